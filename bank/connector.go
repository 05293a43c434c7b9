// Package bank is the window of people: accesses to banks, attempts to fetch
// from them, and the questions banks ask before they answer. Rules are pure
// functions over values; [Desk] is the verbs. It sees no clock of its own, no
// socket and no database: a bank is behind a [Connector], rows behind a [Store].
package bank

import (
	"context"
	"time"

	"guichet"
	"guichet/ledger"
)

// A Connector is a way to reach banks. Implementations live in connector/…
//
// Run must obey ctx at once: when it is done, Run stops talking to the bank and
// returns. It may be called concurrently for different accesses. It keeps
// nothing between two calls: all that must survive, such as cookies and the
// page the bank is on, is in the State it returns, because the answer to a
// question may be given to another process, on another machine, a day later.
// It never retries a login, a code or anything else the bank counts.
type Connector interface {
	// Institutions lists what can be reached and the form each one needs.
	Institutions(ctx context.Context) ([]Institution, error)
	// Run speaks to the bank once: one login at most, and all data of the scope.
	// Data goes to the sink as it comes and counts only if the outcome is of
	// class Done. The returned Result always has an Outcome; it never panics on
	// what a bank says.
	Run(ctx context.Context, run Run, sink Sink) Result
}

// An Institution is a bank one can open an access to.
type Institution struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Connector string `json:"connector"`
	// Trusts is for how long the bank recognises a device after a question was
	// answered, when the connector knows it.
	Trusts time.Duration `json:"-"`
	Fields []Field       `json:"fields"`
}

// A Field is one thing to type: of a login form, or of a question.
type Field struct {
	ID       string   `json:"id"`
	Label    string   `json:"label"`
	Masked   bool     `json:"masked"`  // a secret: shown as dots
	Choices  []Choice `json:"choices"` // pick one; empty: free text
	Pattern  string   `json:"pattern"` // a regular expression for the whole value; empty: anything
	Required bool     `json:"required"`
}

// A Choice is one of the values a field can take.
type Choice struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Op is what a run is for.
type Op string

// The operations of a run. All of them log in once.
const (
	FetchAll     Op = "all"     // accounts and transactions
	FetchBalance Op = "balance" // one account's balance
)

// A Run is everything a connector needs, and nothing about users or storage.
type Run struct {
	Institution string
	Op          Op
	AccountRef  string // for FetchBalance
	Credentials map[string]guichet.Secret
	// Present is true when a person waits. When it is false the connector must
	// not do anything that makes the bank ask someone something: it ends with
	// InteractionRequired instead.
	Present bool
	Answer  *Answer        // set when this run answers a question
	State   guichet.Secret // opaque; what an earlier run returned, or empty
	Since   ledger.Date    // older transactions need not be fetched; empty: everything
	Now     time.Time      // the server's instant, for "today"
	Locale  string         // "fr" or "en"
}

// An Answer is what a person (or their phone) answered to a question.
type Answer struct {
	Method Method
	Fields map[string]guichet.Secret // by field id; empty for a decoupled validation
	Resend bool                      // ask the bank to send the code again instead of answering
}

// A Sink receives what a run learns. Its methods are cheap and never block for
// long; an error they return must end the run.
type Sink interface {
	Progress(phase Phase, done, total int)
	Account(a ledger.Account) error
	// Transactions may be called many times for one account, at most 1000 at a time.
	Transactions(accountRef string, ts []ledger.Transaction) error
	// Warn tells of a part that could not be read while the rest could.
	Warn(code, accountRef string)
}

// A Phase is how far a run is, for people.
type Phase string

// The phases of a run, in order.
const (
	Starting       Phase = "starting"
	Authenticating Phase = "authenticating"
	WaitingUser    Phase = "waiting_user" // a decoupled validation is being polled
	Listing        Phase = "listing"
	Fetching       Phase = "fetching"
	Finishing      Phase = "finishing"
)

// A Result is how a run ended, and the session to keep.
type Result struct {
	Outcome Outcome
	State   guichet.Secret // empty: keep what was there
	// StateExpires is when the bank forgets the session; zero when unknown.
	StateExpires time.Time
}
