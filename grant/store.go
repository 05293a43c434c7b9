package grant

import (
	"context"
	"time"

	"guichet"
)

// A Store keeps requests, tokens, the journal and the blocklist. Update is the
// only way to change anything.
type Store interface {
	// Update runs fn in one transaction: durable when it returns nil, without any
	// trace when it returns an error. fn may be run again after a conflict, so it
	// must set what it captures from scratch; it must not wait for anything.
	Update(ctx context.Context, fn func(Tx) error) error
	Reader
}

// A Tx is what a verb can do inside one transaction.
type Tx interface {
	guichet.Outbox

	// Find takes the request's own lock until the end of the transaction, known or
	// not, and returns the request with its tokens, and the first delivery with
	// the identity, if any. Two requests never wait for each other here.
	Find(provider, externalID string, identity [32]byte) (r Request, earlier *Delivery, err error)
	// Append adds a delivery at the end of its chain and fills N, Prev and Hash.
	// Find must have been called for its chain before.
	Append(d *Delivery) error
	// Save writes the request, its tokens aside: a new row when Version is 0, else
	// the row of that version and no other. It fills Version.
	Save(r *Request) error
	// Issue adds a token and gives it a bit of the status list that no token ever had.
	Issue(t *Token) error
	// Amend writes what may change of a token: authorization, scopes, title, end,
	// foreseen block, reminders. It never blocks and never unblocks.
	Amend(t *Token) error
	// Block refuses tokens from the commit on: sets BlockedAt where it is not set
	// and adds each to the blocklist, whose sequence has no gap and follows the
	// order of commits. It returns how many were newly blocked. It takes the lock
	// of the blocklist until the end of the transaction, so it comes last.
	Block(ids []guichet.ID, at time.Time, reason string) (int, error)
	// Resolve notes that a held or quarantined delivery was settled.
	Resolve(id guichet.ID, at time.Time) error
	// WipeBodies removes the bodies of a request's deliveries; hashes stay.
	WipeBodies(provider, externalID string) error

	// Lend adds a link by which a token is handed over; Redeem spends the one with
	// the hash, or gives ErrHandover when it is spent or too old.
	Lend(h *Handover) error
	Redeem(hash [32]byte, now time.Time) (Handover, error)
	// SaveProlongation writes the answers of an applicant, like Save.
	SaveProlongation(p *Prolongation) error
}

// A Reader answers questions without changing anything. What it returns may be
// old by the time it is read; no entitlement is decided on it but by Standing.
type Reader interface {
	// Standing is the token as it is now, with its request's provider, number and
	// status. It always reads the database that decides.
	Standing(ctx context.Context, token guichet.ID) (Standing, error)
	Request(ctx context.Context, provider, externalID string) (Request, error)
	Requests(ctx context.Context, f RequestFilter) ([]Listed, error)
	Tokens(ctx context.Context, f TokenFilter) ([]Standing, error)
	Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error)
	Delivery(ctx context.Context, id guichet.ID) (Delivery, error)
	// Events lists what was told of a request and was applied, or came late: what
	// happened, and when it did, oldest first. When there is very much of it, it is the 200
	// that happened last.
	Events(ctx context.Context, provider, externalID string) ([]SourceEvent, error)
	// Deeds lists what people and Guichet did to a request, oldest first.
	Deeds(ctx context.Context, subject string) ([]guichet.AuditEntry, error)
	// Due lists what a job has to do at now: requests to purge, tokens to block.
	Due(ctx context.Context, now time.Time) (purge []Request, block []Token, err error)
	// Blocklist lists blocks after the sequence, oldest first, and its present head.
	Blocklist(ctx context.Context, after int64, limit int) ([]Blocked, Head, error)
	// VerifyJournal walks every chain, reports each place where it is broken, and
	// tells how far it is, of how many; progress may be nil. When ctx ends it stops,
	// with how many deliveries it has seen.
	VerifyJournal(ctx context.Context, report func(Break), progress func(done, of int64)) (deliveries int64, err error)
	Summary(ctx context.Context, now time.Time) (Summary, error)
}

// A Standing is a token together with what decides whether it may be used.
type Standing struct {
	Token
	Provider     string
	ExternalID   string
	RequestTitle string
	Organization string
	Status       Status
}

// A Listed request is one in a list: its tokens are only counted.
type Listed struct {
	Request
	Live    int  // tokens that may be used
	Alerted bool // an alert about it waits for someone
}

// A RequestFilter narrows a list of requests; zero fields do not.
type RequestFilter struct {
	Provider string
	Status   Status
	Search   string // words in the title, organization, SIRET, number, e-mails
	Scope    string
	Archived bool // archived ones that never had a token too: they are hidden otherwise
	Before   Cursor
	Limit    int
}

// A TokenFilter narrows a list of tokens; zero fields do not.
type TokenFilter struct {
	Provider string
	State    string // live, blocked, expired
	Search   string
	Now      time.Time
	Before   guichet.ID // the last of the page before
	Limit    int
}

// A DeliveryFilter narrows the journal; zero fields do not.
type DeliveryFilter struct {
	Provider   string
	ExternalID string
	Effect     Effect
	Open       bool       // held or quarantined, and not settled
	Before     guichet.ID // the last of the page before
	Limit      int
}

// A Cursor is where a page ended: the next one has what is older.
type Cursor struct {
	At time.Time
	ID guichet.ID
}

// Blocked is one line of the blocklist.
type Blocked struct {
	Seq         int64      `json:"seq"`
	TokenID     guichet.ID `json:"token"`
	StatusIndex int64      `json:"index"`
	At          time.Time  `json:"at"`
}

// Head is where the blocklist ends. Its epoch rises when a database is restored
// from a backup, so that a list that went backwards is seen.
type Head struct {
	Epoch int64 `json:"epoch"`
	Seq   int64 `json:"seq"`
	// LastIndex is the highest index of the status list that a token was given.
	LastIndex int64 `json:"-"`
}

// A Summary counts what an operator looks at first.
type Summary struct {
	Requests       map[Status]int64
	LiveTokens     int64
	BlockedTokens  int64
	ExpiringSoon   int64 // live, and ending within 90 days
	OpenAlerts     int64
	OpenHeld       int64
	OpenQuarantine int64
	ReceivedToday  int64
}
