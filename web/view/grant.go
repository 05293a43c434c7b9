package view

import "time"

// RequestList is the page of all requests.
type RequestList struct {
	Chips   []Chip
	Filters Filters
	Notice  string // what the list cannot show yet
	Purge   string // address of what will be purged
	Columns RequestSorts
	Rows    []RequestRow
	Pager   Pager
	Empty   Empty
}

// RequestSorts are the links that order the list.
type RequestSorts struct{ Number, Title, Changed *Sort }

// A RequestRow is one request in the list.
type RequestRow struct {
	ExternalID   string
	Title        string
	Organisation string
	Provider     string
	State        State
	Tokens       int // that work
	Changed      time.Time
	URL          string
	Alert        bool // something about it waits
}

// A Request is one request with all that happened to it.
type Request struct {
	ExternalID   string
	Title        string
	Organisation string
	SIRET        string // grouped for reading
	Provider     string
	State        State
	Since        time.Time
	Actions      []Action
	Alerts       []Alert
	Tokens       []TokenLine
	Scopes       []string
	Contacts     []Contact
	Facts        []Fact
	Granted      []Granted
	Entries      []Entry
	Older        string // address of the older entries
	SourceURL    string // the request at its source
}

// A Granted is one authorization of a request, at its source.
type Granted struct {
	ID     string
	State  State
	At     time.Time
	Scopes []string
}

// A Contact is somebody of a request.
type Contact struct {
	Role   string // one of [ContactRoles]
	Person Person
}

// A TokenLine is one token inside a request, or a row of the list of tokens.
type TokenLine struct {
	Short     string // first and last characters of its id
	Holder    string // organisation and request
	Title     string
	Provider  string
	State     State
	ExpiresAt time.Time
	BlockedAt time.Time
	RefusedAt time.Time // when the last gateway in reach had it
	Reached   int       // gateways that refuse it
	Gateways  int
	LastUse   time.Time
	Used      bool // uses are counted, so that "never" means never
	URL       string
}

// TokenList is the page of all tokens.
type TokenList struct {
	Chips []Chip
	Sorts TokenSorts
	Rows  []TokenLine
	Pager Pager
	Empty Empty
}

// TokenSorts are the links that order the list.
type TokenSorts struct{ Holder, Expires *Sort }

// A Token is one token with its history.
type Token struct {
	Line       TokenLine
	ID         string
	IssuedAt   time.Time
	RequestURL string
	RequestID  string
	Scopes     []string
	Secret     *Secret // nil when whoever looks may not see it
	Withheld   string  // why not, in words
	Actions    []Action
	Entries    []Entry
	Uses       []DayOfUse // the newest first, those without a use left out
	Used       int64      // of all those days
	Mine       bool       // whoever looks is of the request, and no operator
	Notice     string     // such as that it ends soon
	Limits     []string   // what narrows its use, in words
}

// A DayOfUse is how often a token was used on a day.
type DayOfUse struct {
	Day  time.Time
	Uses int64
}

// An Alert asks a person to look: the sentence first, the action second.
type Alert struct {
	ID           string
	Kind         string // one of [AlertKinds]
	Subject      string // request number, access name
	Params       []any  // names and values of the sentence
	Count        int    // of what the sentence counts
	OpenedAt     time.Time
	Done         time.Time
	DoneBy       string
	Consequence  string // told when the kind has no words here
	Actions      []Action
	TimelineURL  string
	SubjectTitle string
	AssignedTo   string
}

// AlertList is the page of alerts.
type AlertList struct {
	Chips  []Chip
	Groups []AlertGroup
	Pager  Pager
}

// An AlertGroup is the alerts of one kind.
type AlertGroup struct {
	Kind   string
	Alerts []Alert
	All    *Action // what sees to all of them; nil: there is one
}
