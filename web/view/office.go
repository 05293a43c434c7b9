package view

import "time"

// Filters is the form above a list: what is asked for, and what to do with it.
type Filters struct {
	URL    string // of the list
	Fields []Field
	Hidden []Hidden
	Export string // address that gives the same as a file; empty: none
	On     []Chip // what is asked for now; a click asks for it no more
	Open   bool
}

// A DeliveryRow is one delivery in the journal.
type DeliveryRow struct {
	Event    string
	Subject  string // number of the request
	Provider string
	Meaning  Meaning
	Says     string
	Open     bool // waits for an operator
	At       time.Time
	URL      string
}

// A Journal is the page of all deliveries.
type Journal struct {
	Chips   []Chip
	Filters Filters
	Rows    []DeliveryRow
	Pager   Pager
	Empty   Empty
	Verify  Verification
}

// A Verification is the proof of the journal: what was found, or how far it is.
type Verification struct {
	Start     Action
	Running   bool
	Begun     time.Time
	Ended     time.Time
	Checked   int64
	Of        int64 // how many there are; 0: not known yet
	Breaks    []Break
	Failed    bool // it could not be done
	Stopped   bool // somebody stopped it
	Stop      Action
	StatusURL string // gives the piece again while it runs
}

// A Break is a place where the journal does not hold.
type Break struct{ Chain, Problem, URL string }

// A Delivery is one message as it was received, and what it would do now.
type Delivery struct {
	ID         string
	Entry      Entry // as its timeline tells it
	Event      string
	Provider   string
	Format     string
	Subject    string // number of the request; empty: none was readable
	SubjectURL string
	FiredAt    time.Time
	ReceivedAt time.Time
	Problem    string
	TokenURL   string
	TokenShort string
	Place      string // in its chain
	Hash       string
	Body       string // indented; empty: purged
	State      State
	Preview    *Preview
	Actions    []Action
}

// A Preview says what a delivery would do now, before anybody does it.
type Preview struct {
	Title   string
	Says    []string // each one thing that would happen
	Problem string   // why nothing can be done yet
	Changes []Change
}

// A Fact is a name and its value.
type Fact struct {
	Name, Value string
	At          time.Time // instead of the value
	URL         string
}

// A PurgeLine is a request whose people will be forgotten.
type PurgeLine struct {
	ExternalID string
	Title      string
	Provider   string
	At         time.Time
	URL        string
}

// A Purge is what the next runs of the purge will remove.
type Purge struct {
	Says  string
	Lines []PurgeLine
}

// A Statistics page is figures, each with the table it is drawn from.
type Statistics struct {
	Chips   []Chip // providers
	Stats   []Stat
	Funnel  Chart
	Tokens  FigureTable
	Scopes  FigureTable
	Pending string // the index is behind
}

// A Chart is bars by week, and the same as a table.
type Chart struct {
	Title  string
	Series []string // names, in the order of the values
	Table  FigureTable
}

// A FigureTable is figures with their names.
type FigureTable struct {
	Title   string
	Columns []string // the first names the rows
	Rows    []FigureRow
}

// A FigureRow is one line of figures.
type FigureRow struct {
	Name   string
	Values []int64
}
