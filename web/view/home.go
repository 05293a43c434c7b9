package view

import "time"

// An Overview is the start page: what waits for a person, what changed, how
// things stand, in this order.
type Overview struct {
	Accesses []AccessLine // that wait
	Alerts   []Alert
	News     []News
	Stats    []Stat
	Begin    *Empty // what to do first, when there is nothing yet
}

// waits counts what waits for a person.
func (o Overview) waits() int { return len(o.Accesses) + len(o.Alerts) }

// A News is one line of what changed.
type News struct {
	At      time.Time
	Civil   bool // At is a day, in UTC, without a time
	Meaning Meaning
	Says    string
	Subject string
	Amount  *Money
	URL     string
}

// SignIn is the page that asks who one is.
type SignIn struct {
	Address string // typed before
	Error   string // in words
	Wait    time.Time
	Next    string // where to go afterwards
	OIDC    *Link  // sign-in elsewhere
	Away    string // why there is none just now, in words
}

// Setup is the page of the very first visit.
type Setup struct {
	Code, Address, Password Field
	Error                   string
}

// SettingsPage is what one decides about oneself.
type SettingsPage struct {
	Me        Person
	Password  []Field
	Saved     bool
	APITokens []APIToken
	Fresh     *Secret // the token just made, shown once
	Sessions  []Session
}

// An APIToken is a personal token for scripts.
type APIToken struct {
	Name    string
	Made    time.Time
	LastUse time.Time
	Revoke  Action
}

// A Session is a browser that is signed in.
type Session struct {
	Device  string
	Place   string
	LastUse time.Time
	Current bool
	End     Action
}

// A Fault says what happened, whether anything was lost, and the next step.
type Fault struct {
	Status    int
	Code      string // of the error; its words are "error." and itself when there are some
	Kind      string // of the error; the words of last resort
	Reference string // to find it in the log
	Next      *Action
	Bare      bool // nobody is signed in: no navigation
}

// FaultKinds lists the families of errors. The keys of each are "fault." and
// itself, then "title", "lost" and "next".
func FaultKinds() []string {
	return []string{"invalid", "unauthorized", "forbidden", "not_found", "conflict", "gone", "too_many", "unavailable", "internal"}
}
