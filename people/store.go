package people

import (
	"context"

	"guichet"
)

// A Store keeps persons, their API tokens, the setup code and the counts of
// failed sign-ins. Update is the only way to change anything.
type Store interface {
	// Update runs fn in one transaction: durable when it returns nil, without any
	// trace when it returns an error, which is then fn's own or the database's. fn
	// may be run again after a conflict, so it must set what it captures from
	// scratch; it must not wait for anything, the hash of a password least of all.
	Update(ctx context.Context, fn func(Tx) error) error
	Reader
}

// A Reader answers questions without changing anything.
type Reader interface {
	// Person and PersonByEmail return ErrNoPerson for nobody. The e-mail is given
	// as it is kept.
	Person(ctx context.Context, id guichet.ID) (Person, error)
	PersonByEmail(ctx context.Context, email string) (Person, error)
	// People lists everybody by e-mail, disabled ones too.
	People(ctx context.Context) ([]Person, error)
	// APITokenByHash returns the API token in force or revoked, or ErrNoToken.
	APITokenByHash(ctx context.Context, hash [32]byte) (APIToken, error)
	// APITokens lists those of a person, the newest first, revoked ones too.
	APITokens(ctx context.Context, person guichet.ID) ([]APIToken, error)
	// Setup is the zero Setup before anything was stored.
	Setup(ctx context.Context) (Setup, error)
}

// A Tx is what a verb can do inside one transaction.
//
// Each Save writes a new row when Version is 0, else every field of the row of
// that version and no other; it returns ErrChanged when that row is not there (a
// new one: when it is there already), and raises Version in what it was given.
type Tx interface {
	guichet.Outbox

	Person(id guichet.ID) (Person, error)
	PersonByEmail(email string) (Person, error)
	// SavePerson returns ErrEmailTaken for a new person whose e-mail is someone's.
	// An e-mail never changes.
	SavePerson(p *Person) error

	APIToken(id guichet.ID) (APIToken, error)
	SaveAPIToken(t *APIToken) error

	Setup() (Setup, error)
	SaveSetup(s *Setup) error

	// Failures takes the lock of the key until the end of the transaction, known
	// or not, and returns what is counted there: nothing, for an unknown key. Who
	// takes two locks takes the one of the e-mail first.
	Failures(key string) (Failures, error)
	// SaveFailures replaces what is counted at f.Key; Failures was called for it.
	// A row whose LastAt is older than ForgetAfter may be removed by anyone at
	// any time, one whose Count is 0 at once.
	SaveFailures(f Failures) error
}
