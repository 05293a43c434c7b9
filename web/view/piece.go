package view

import (
	"context"
	"slices"
	"time"
	"unicode"

	"github.com/a-h/templ"
)

// A Link leads to another page.
type Link struct {
	Text string
	URL  string
}

// A Tone is how loud an action is.
type Tone string

// The tones. A page has at most one primary action.
const (
	Primary Tone = "primary"
	Plain   Tone = "plain"
	Quiet   Tone = "quiet"
	Danger  Tone = "danger"
)

// An Action is a button: a link when it only leads somewhere, a form when it
// changes something.
type Action struct {
	Label   string // a verb, and the consequence when there is one
	URL     string
	Post    bool
	Tone    Tone   // [Plain] when empty
	Key     string // the letter that does it while its row has the focus
	Hidden  []Hidden
	Confirm *Confirm // asked first, of what cannot be undone or needs to be told more
}

// keyed is the attribute that a script finds the action by, when it has a letter.
func (a Action) keyed() templ.Attributes {
	if a.Key == "" {
		return nil
	}
	return templ.Attributes{"data-key": a.Key}
}

// A Hidden is a value that goes with an action, such as the version that the
// reader saw.
type Hidden struct{ Name, Value string }

// Confirm is the question before an action. Of one that is [Danger] the other
// button has the focus, and this one is red.
type Confirm struct {
	ID     string // of the dialog, unique in the page
	Title  string
	Says   string  // what will happen, to whom
	Fields []Field // what must be told, such as a reason
	Open   bool    // the page comes with it: something in it was refused
}

// sure is how the button looks that does it.
func (a Action) sure() string {
	if a.Tone == Danger {
		return "danger solid"
	}
	return string(Primary)
}

// fields are what must be told; where nothing is a danger, one begins to type.
func (a Action) fields() []Field {
	all := slices.Clone(a.Confirm.Fields)
	if a.Tone != Danger && len(all) > 0 && !slices.ContainsFunc(all, func(f Field) bool { return f.Focus }) {
		all[0].Focus = true
	}
	return all
}

// Money is an amount of minor units of a currency.
type Money struct {
	Minor    int64
	Currency string
}

// A Person is someone by name.
type Person struct {
	Name    string
	Address string // of mail
}

// initials are shown where there is no room for the name.
func (p Person) initials() string {
	name := p.Name
	if name == "" {
		name = p.Address
	}
	var out []rune
	start := true
	for _, r := range name {
		if r == '@' {
			break
		}
		if start && len(out) < 2 {
			out = append(out, unicode.ToUpper(r))
		}
		start = r == ' ' || r == '-' || r == '.'
	}
	return string(out)
}

// A Stat is one figure that tells how things stand.
type Stat struct {
	Label string
	Value string // or
	Money *Money
	Trend string  // one short line below
	State Meaning // of the trend
	URL   string
}

// A Progress is work that goes on elsewhere. Total zero means that nobody knows
// how long it takes.
type Progress struct {
	Phase       string // one of [Phases]
	Done, Total int
	StatusURL   string // gives the line again; asked every few seconds
}

// A Toast says what was just done.
type Toast struct {
	Text      string
	Trouble   bool   // stays until it is closed
	Reference string // of trouble of ours: what stands in the log beside its cause
}

// A Secret is shown masked, and copied.
type Secret struct {
	ID        string // of the field, unique in the page
	Label     string
	Mask      string // what the reader sees first
	Value     string // empty when it has to be asked for
	RevealURL string // gives the field again with its value; every use is recorded
	Open      bool   // shown at once: a secret that is seen only now
}

// A Field is one thing to fill in.
type Field struct {
	Name, Label  string
	ID           string // unique in the page; empty: the name is
	Value        string // never of a masked field
	Type         string // of the input; "text" when empty
	Help         string
	Error        string
	Placeholder  string
	Autocomplete string
	InputMode    string
	Pattern      string
	Wants        string // what the pattern asks for, in words
	Least        string // of a date: no earlier one
	MaxLength    int
	Required     bool
	Masked       bool
	Code         bool // a one-time code: large, in figures
	Focus        bool
	Filter       bool // of a list: nobody expects it to be filled in
	Choices      []Choice
}

// A Choice is one of a closed list.
type Choice struct{ Value, Label string }

// few tells whether the choices are shown side by side, rather than in a list to
// open.
func (f Field) few() bool { return len(f.Choices) > 0 && len(f.Choices) <= 8 }

func (f Field) kind() string {
	switch {
	case f.Masked:
		return "password"
	case f.Type == "":
		return "text"
	default:
		return f.Type
	}
}

// id is unique in a page as long as no two forms have a field of one name.
func (f Field) id() string {
	if f.ID != "" {
		return "field-" + f.ID
	}
	return "field-" + f.Name
}

// describedBy names the texts that go with the field.
func (f Field) describedBy() string {
	switch {
	case f.Error != "" && f.Help != "":
		return f.id() + "-error " + f.id() + "-help"
	case f.Error != "":
		return f.id() + "-error"
	case f.Help != "":
		return f.id() + "-help"
	default:
		return ""
	}
}

// An Entry is one thing that happened, in a timeline.
type Entry struct {
	At      time.Time
	Verb    string // the event as its sender names it: revoke, approve
	Meaning Meaning
	Says    string
	Who     string // a person, a source, or empty for Guichet itself
	Changes []Change
	URL     string
}

// A Change is one value before and after.
type Change struct{ Name, Before, After string }

// direction tells the colour of an amount; its sign says the same.
func (m Money) direction() string {
	if m.Minor > 0 {
		return "money in"
	}
	return "money"
}

func (m Money) write(ctx context.Context, signed bool) string {
	if signed {
		return words(ctx).Signed(m.Minor, m.Currency)
	}
	return words(ctx).Money(m.Minor, m.Currency)
}
