// Package peopletest is what any store of people must pass: the promises of
// people.Store and people.Tx, and the verbs of the desk on top of it.
package peopletest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/people"
)

// Run runs everything. open gives an empty, migrated store that ends with its
// test; it is called once for each.
func Run(t *testing.T, open func(t *testing.T) people.Store) {
	tests := map[string]func(*testing.T, *world){
		"PersonIsKeptWhole":             personIsKeptWhole,
		"SaveComparesVersions":          saveComparesVersions,
		"EmailIsOnePersons":             emailIsOnePersons,
		"APITokenIsKeptWhole":           apiTokenIsKeptWhole,
		"SetupIsKept":                   setupIsKept,
		"UpdateLeavesNoTrace":           updateLeavesNoTrace,
		"FailuresAreLocked":             failuresAreLocked,
		"SetupFromCodeToOperator":       setupFromCodeToOperator,
		"SetupRefusals":                 setupRefusals,
		"SetupLetsOneThrough":           setupLetsOneThrough,
		"AddPerson":                     addPerson,
		"WhoMayDoWhat":                  whoMayDoWhat,
		"SignIn":                        signIn,
		"SignInTellsNothing":            signInTellsNothing,
		"SignInWaitsAfterFailures":      signInWaitsAfterFailures,
		"SignInCountsAddresses":         signInCountsAddresses,
		"SignInAtOnceCountsAll":         signInAtOnceCountsAll,
		"SignInHashesAnew":              signInHashesAnew,
		"SignInWhilePersonChanges":      signInWhilePersonChanges,
		"OperatorsAgainstEachOther":     operatorsAgainstEachOther,
		"PasswordSet":                   passwordSet,
		"DisabledPersonIsOut":           disabledPersonIsOut,
		"APITokens":                     apiTokens,
		"NothingHappensWithoutItsAudit": nothingHappensWithoutItsAudit,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(open(t))
			test(t, w)
			w.checkNoSecret(t)
		})
	}
}

// A world is a desk at an instant the test chooses, over a store whose outbox
// the test can read.
type world struct {
	desk  *people.Desk
	store *recorder

	mu      sync.Mutex
	now     time.Time
	secrets []string
	seen    int // how many audit entries deeds has given
}

func newWorld(s people.Store) *world {
	w := &world{now: time.Date(2026, 5, 4, 7, 33, 21, 123456000, time.UTC), store: &recorder{Store: s}}
	w.desk = &people.Desk{
		Store:  w.store,
		Clock:  guichet.Clock{Now: w.at, Rand: rand.Reader},
		Hasher: people.NewHasher(people.Params{Time: 1, MemoryKiB: 8, Threads: 1}),
		URL:    "https://guichet.example",
	}
	return w
}

func (w *world) at() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// A recorder notes what each committed transaction put in its outbox, and can
// break a transaction on its way. The store under it is the real one.
type recorder struct {
	people.Store

	mu     sync.Mutex
	audits []guichet.AuditEntry
	jobs   []guichet.Job
	before func() // called once, when the next transaction ends well
	fail   func(method string) error
}

type recordingTx struct {
	people.Tx
	r      *recorder
	audits []guichet.AuditEntry
	jobs   []guichet.Job
}

func (r *recorder) Update(ctx context.Context, fn func(people.Tx) error) error {
	var last *recordingTx
	err := r.Store.Update(ctx, func(tx people.Tx) error {
		last = &recordingTx{Tx: tx, r: r} // anew: fn may be run again
		return fn(last)
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.audits, r.jobs = append(r.audits, last.audits...), append(r.jobs, last.jobs...)
	before := r.before
	r.before = nil
	r.mu.Unlock()
	if before != nil {
		before()
	}
	return nil
}

func (t *recordingTx) broken(method string) error {
	if t.r.fail == nil {
		return nil
	}
	return t.r.fail(method)
}

func (t *recordingTx) Audit(e guichet.AuditEntry) error {
	t.audits = append(t.audits, e)
	return errors.Join(t.broken("Audit"), t.Tx.Audit(e))
}

func (t *recordingTx) Enqueue(j guichet.Job) error {
	t.jobs = append(t.jobs, j)
	return errors.Join(t.broken("Enqueue"), t.Tx.Enqueue(j))
}

// after runs do once, right after the next transaction has committed.
func (r *recorder) after(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = do
}

// deeds gives the deeds recorded since it was last asked.
func (w *world) deeds() []string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	var deeds []string
	for _, e := range w.store.audits[w.seen:] {
		deeds = append(deeds, e.Deed)
	}
	w.seen = len(w.store.audits)
	return deeds
}

// expect compares what was recorded since with what should have been.
func (w *world) expect(t *testing.T, deeds ...string) {
	t.Helper()
	if got := w.deeds(); !slices.Equal(got, deeds) {
		t.Errorf("recorded %q, want %q", got, deeds)
	}
}

// keep remembers a secret that must show nowhere.
func (w *world) keep(s guichet.Secret) guichet.Secret {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, s.Reveal())
	return s
}

// checkNoSecret looks for passwords, codes, API tokens and hashes in everything
// that was recorded or will be sent.
func (w *world) checkNoSecret(t *testing.T) {
	t.Helper()
	secrets := append([]string{password, otherPassword, "$argon2id$"}, w.secrets...)
	for _, e := range w.store.audits {
		if !json.Valid([]byte(e.Detail)) || e.ID == "" || e.At.IsZero() || e.Actor.Kind == "" || e.Subject == "" {
			t.Errorf("an audit entry is not whole: %+v", e)
		}
		for _, s := range secrets {
			if strings.Contains(fmt.Sprintf("%+v", e), s) {
				t.Errorf("the audit entry %s holds a secret", e.Deed)
			}
		}
	}
	for _, j := range w.store.jobs {
		for _, s := range secrets {
			if strings.Contains(string(j.Args), s) {
				t.Errorf("a job of kind %s holds a secret", j.Kind)
			}
		}
	}
}

const (
	password      = "tulipe orange 42"
	otherPassword = "jonquille verte 43"
)

// commandLine is whoever runs a command on the machine itself.
var commandLine = guichet.Actor{Kind: guichet.ByPerson, Name: "command line"}

// add adds somebody with the password.
func (w *world) add(t *testing.T, email string, role people.Role) people.Person {
	t.Helper()
	p, err := w.desk.AddPerson(t.Context(), commandLine, people.NewPerson{Email: email, Name: "Claire Morel", Role: role, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// same compares a person or an API token with what the store gives.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b guichet.Secret) bool { return a == b })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
