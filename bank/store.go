package bank

import (
	"context"
	"time"

	"guichet"
	"guichet/ledger"
)

// A Store keeps accesses, attempts, questions and the money below them.
type Store interface {
	// Update runs fn in one transaction: durable when it returns nil, without any
	// trace when it returns an error. fn may be run again after a conflict, so it
	// must set what it captures from scratch; it must not wait for anything.
	Update(ctx context.Context, fn func(Tx) error) error
	// Beat says that the worker still speaks to the bank for the attempt, and how
	// far it is. It returns false, and changes nothing, when the lease is no longer
	// the worker's: the attempt ended, or another worker has a higher epoch.
	Beat(ctx context.Context, b Beat) (alive bool, err error)
	// Changed returns a channel closed at the next commit of this process that
	// moves an attempt of the person. Other processes are not heard.
	Changed(owner guichet.ID) <-chan struct{}
	// Purge removes attempts, with their questions, that ended before the instant
	// and are not the latest of an access. It returns how many.
	Purge(ctx context.Context, before time.Time) (int, error)
	Reader
}

// A Tx is what a verb can do inside one transaction.
type Tx interface {
	guichet.Outbox

	// Find takes the access's own lock until the end of the transaction and
	// returns the case. With an attempt or a question named, the case has that
	// one, even when a later one exists, and even when its access is gone.
	// ErrNoAccess, ErrNoAttempt or ErrNoQuestion when what is named is not there.
	Find(r Ref) (Case, error)
	// LiveOn is the live attempt of any access on a login, or ErrNoAttempt.
	LiveOn(fingerprint string) (Attempt, error)
	// SaveAccess, SaveAttempt and SaveChallenge write a new row when Version is 0,
	// else the row of that version and no other, and raise Version. A new live
	// attempt is refused with ErrLoginBusy when its access or its login has one.
	SaveAccess(a *Access) error
	SaveAttempt(a *Attempt) error
	SaveChallenge(c *Challenge) error
	// Delete removes the access, its accounts and its transactions, and every
	// secret below it. With history, its attempts and questions too.
	Delete(a Access, history bool) error
	// Accounts lists the accounts of an access.
	Accounts(access guichet.ID) ([]ledger.Account, error)
	// Transactions lists those of an account whose day is since or later, and all
	// that are not booked, in the order of their ids.
	Transactions(account guichet.ID, since ledger.Date) ([]ledger.Transaction, error)
	// SaveMoney writes new and changed accounts, then new and changed
	// transactions; the ids tell which is which.
	SaveMoney(m Money) error
}

// Money is what a run changes in the ledger.
type Money struct {
	NewAccounts, Accounts         []ledger.Account
	NewTransactions, Transactions []ledger.Transaction
}

// A Ref names a case by one of its parts; exactly one field is set.
type Ref struct {
	Access    guichet.ID
	Attempt   guichet.ID
	Challenge guichet.ID
	Former    guichet.ID // an access that may be gone: its last attempt
}

// A Beat is one heartbeat of a worker.
type Beat struct {
	Attempt guichet.ID
	Worker  string
	Epoch   int64
	Until   time.Time
	Phase   Phase
	Done    int
	Total   int
}

// A Reader answers questions without changing anything. What it returns may be
// old by the time it is read.
type Reader interface {
	// Case is what Find returns, without a lock.
	Case(ctx context.Context, r Ref) (Case, error)
	// Cases lists a person's accesses, oldest first.
	Cases(ctx context.Context, owner guichet.ID) ([]Case, error)
	Accounts(ctx context.Context, f AccountFilter) ([]ledger.Account, error)
	Transactions(ctx context.Context, f TransactionFilter) ([]ledger.Transaction, error)
	// Stale lists what the sweeper must look at: the accesses of one person, or
	// of all when owner is empty, that have a question past its deadline, a dead
	// lease, an attempt that waits for a worker since long, or no account and no
	// live attempt. With drafts, which needs an owner, also every access without account.
	Stale(ctx context.Context, f StaleFilter) ([]guichet.ID, error)
	// Pollable lists accesses that the night may fetch at now and that have no
	// live attempt.
	Pollable(ctx context.Context, now time.Time, limit int) ([]guichet.ID, error)
	// TrustEnding lists, in the order of their ids and after one, the accesses that
	// are fetched by themselves and that their bank stops to trust between the
	// instants.
	TrustEnding(ctx context.Context, from, to time.Time, after guichet.ID, limit int) ([]guichet.ID, error)
	// Moved lists a person's attempts that changed after the instant, oldest
	// change first.
	Moved(ctx context.Context, owner guichet.ID, after time.Time) ([]Attempt, error)
}

// A StaleFilter narrows what the sweeper looks at.
type StaleFilter struct {
	Owner       guichet.ID // empty: everyone
	Now         time.Time
	QueuedSince time.Time // attempts queued before this found no worker
	Drafts      bool      // every access without account
	Limit       int
}

// An AccountFilter narrows a list of accounts; zero fields do not, but Owner is
// always required.
type AccountFilter struct {
	Owner guichet.ID
	ID    guichet.ID
}

// A TransactionFilter narrows a list of transactions of one account, newest
// first.
type TransactionFilter struct {
	Account guichet.ID
	Before  TransactionCursor
	Limit   int
}

// A TransactionCursor is where a page ended; the next one has what is older.
type TransactionCursor struct {
	Day ledger.Date
	ID  guichet.ID
}

// A Sealer keeps secrets closed. What it sealed for one place opens nowhere
// else: another row, column or table is an error.
type Sealer interface {
	Seal(table, row, column string, plain []byte) ([]byte, error)
	Open(table, row, column string, sealed []byte) ([]byte, error)
	// Fingerprint is a keyed hash of the parts, in hexadecimal: equal for equal
	// parts, and telling nothing of them without the key.
	Fingerprint(parts ...string) (string, error)
}

// Errors of the window.
var (
	ErrNoAccess    = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_access", Reason: "There is no such access."}
	ErrNoAttempt   = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_attempt", Reason: "There is no such attempt."}
	ErrNoQuestion  = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_question", Reason: "There is no such question."}
	ErrNoAccount   = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_account", Reason: "There is no such account."}
	ErrLoginBusy   = &guichet.Error{Kind: guichet.Conflict, Code: "login_busy", Reason: "Another attempt with this login at this bank is going on. Wait for its end."}
	ErrChanged     = &guichet.Error{Kind: guichet.Conflict, Code: "changed_meanwhile", Reason: "Someone else changed this at the same moment. Look again."}
	ErrNoneWaiting = &guichet.Error{Kind: guichet.Conflict, Code: "no_question", Reason: "The bank asks nothing here at the moment."}
)
