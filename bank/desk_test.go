package bank_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/job"
	"guichet/keyring"
	"guichet/store"
	"guichet/store/storetest"
)

// A house is a desk with all that it needs in production: a database, its job
// runner, and a bank that does what its story says.
type house struct {
	*bank.Desk
	t      testing.TB
	db     *storetest.DB
	store  *store.Store
	bank   *fakeBank
	logs   *logBook
	person guichet.Actor
	die    context.CancelFunc
	dead   sync.WaitGroup
}

var somebody = guichet.Actor{Kind: guichet.ByPerson, ID: "0190b6e4-0000-7000-8000-000000000001", Name: "somebody@example.org"}

func newHouse(t testing.TB, db *storetest.DB) *house {
	t.Helper()
	return moveIn(t, db, db.Store, newFakeBank(), testSealer(t))
}

// replica is another process on the same database, before the same bank.
func (h *house) replica() *house {
	h.t.Helper()
	return moveIn(h.t, h.db, h.db.Open(), h.bank, h.Sealer)
}

func moveIn(t testing.TB, db *storetest.DB, s *store.Store, b *fakeBank, sealer bank.Sealer) *house {
	t.Helper()
	h := &house{t: t, db: db, store: s, bank: b, logs: &logBook{}, person: somebody}
	h.Desk = &bank.Desk{
		Store: s.Bank(), Clock: db.Clock.Clock(), Sealer: sealer, Connectors: map[string]bank.Connector{"fake": b},
		Log:    slog.New(slog.NewTextHandler(h.logs, nil)),
		Limits: bank.Limits{Beat: 20 * time.Millisecond, Grace: 200 * time.Millisecond},
	}
	var ctx context.Context
	ctx, h.die = context.WithCancel(context.Background())
	runner := &job.Runner{
		Store: s.Jobs(), Clock: db.Clock.Clock(), Log: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond,
		Handlers: map[string]job.Handler{
			bank.JobRun: func(ctx context.Context, c job.Claimed) error {
				var args bank.RunArgs
				if err := json.Unmarshal(c.Args, &args); err != nil {
					return job.Permanent(err)
				}
				return h.Perform(ctx, args.Attempt)
			},
		},
	}
	h.dead.Go(func() { runner.Run(ctx) })
	t.Cleanup(func() {
		h.die()
		h.dead.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Errorf("a run did not end: %v", err)
		}
		h.noSecrets()
	})
	return h
}

// testSealer is the real one, on a key file of the test.
func testSealer(t testing.TB) bank.Sealer {
	t.Helper()
	file, _, err := keyring.OpenKeyFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return sealer{s}
}

type sealer struct{ *keyring.Sealer }

func (s sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	return s.Sealer.Seal(keyring.Place{Table: table, Row: row, Column: column}, plain)
}

func (s sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	return s.Sealer.Open(keyring.Place{Table: table, Row: row, Column: column}, sealed)
}

func (s sealer) Fingerprint(parts ...string) (string, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	for _, p := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// logBook keeps what the program logs, to look for secrets in it.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What no log and no table may ever hold in clear. Codes of six digits would also be
// found where chance wrote them, in a hash or in something sealed.
const (
	canaryPassword = "canary-password-5yx"
	canaryCode     = "canary-code-q7z"
	wrongCode      = "canary-code-w9v"
	canarySession  = "canary-session-k7t"
	codePattern    = `canary-code-\w{3}`
)

func (h *house) noSecrets() {
	h.t.Helper()
	for _, secret := range []string{canaryPassword, canaryCode, wrongCode, canarySession} {
		if strings.Contains(h.logs.String(), secret) {
			h.t.Errorf("the log holds %q:\n%s", secret, h.logs)
		}
		for table, columns := range map[string][]string{
			"accesses":      {"label", "fingerprint", "credentials", "session"},
			"attempts":      {"label", "detail", "form", "credentials", "fingerprint"},
			"challenges":    {"question", "answer_keys", "last_text", "session"},
			"audit_entries": {"deed", "detail", "actor_name"},
			"jobs":          {"args", "job_key", "last_error"},
			"alerts":        {"detail"},
		} {
			for _, column := range columns { // one by one: what is NULL hides what it is joined to
				where := fmt.Sprintf("CAST(%[1]s AS TEXT) LIKE '%%%[2]s%%' OR CAST(%[1]s AS TEXT) LIKE '%%%[2]x%%'", column, secret)
				if n := h.db.Value(fmt.Sprintf("SELECT CAST(COUNT(*) AS TEXT) FROM %s WHERE %s", table, where)); n != "0" {
					h.t.Errorf("%s.%s holds %q in clear", table, column, secret)
				}
			}
		}
	}
}

func form(login string) map[string]guichet.Secret {
	return map[string]guichet.Secret{"login": guichet.Secret(login), "password": canaryPassword}
}

func code(value string) map[string]guichet.Secret {
	return map[string]guichet.Secret{"code": guichet.Secret(value)}
}

func (h *house) open(login string) bank.Case {
	h.t.Helper()
	c, created, err := h.Open(h.t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form(login)})
	if err != nil || !created {
		h.t.Fatalf("open %s: created %v, %v", login, created, err)
	}
	return c
}

// until waits for something of an attempt; nothing takes long here.
func (h *house) until(attempt guichet.ID, what string, done func(bank.Case) bool) bank.Case {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	c, err := h.Wait(ctx, h.person, attempt, done)
	if err != nil || !done(c) {
		h.t.Fatalf("%s: attempt %s, question %q, outcome %s %s, %v\n%s", what, c.Attempt.State, c.Challenge.Status, c.Attempt.Outcome, c.Attempt.Text, err, h.logs)
	}
	return c
}

func (h *house) ended(attempt guichet.ID, state bank.AttemptState) bank.Case {
	h.t.Helper()
	c := h.until(attempt, "the end", func(c bank.Case) bool { return !c.Attempt.State.Live() })
	if c.Attempt.State != state {
		h.t.Fatalf("the attempt ended %s (%s %s), not %s", c.Attempt.State, c.Attempt.Outcome, c.Attempt.Text, state)
	}
	return c
}

func (h *house) asked(attempt guichet.ID) bank.Case {
	h.t.Helper()
	return h.until(attempt, "a question", func(c bank.Case) bool {
		return c.Attempt.State == bank.AttemptWaiting && c.Challenge.Status == bank.StatusOpen && c.Challenge.Typed()
	})
}

// settled opens an access that the bank lets in at once or after the code, and
// waits for its data.
func (h *house) settled(login string) bank.Case {
	h.t.Helper()
	c := h.open(login)
	c = h.until(c.Attempt.ID, "rest", bank.Over)
	if c.Attempt.State == bank.AttemptWaiting {
		h.answer(c, canaryCode)
	}
	return h.ended(c.Attempt.ID, bank.AttemptSucceeded)
}

func (h *house) answer(c bank.Case, value string) bank.Case {
	h.t.Helper()
	c, err := h.Answer(h.t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Version: c.Challenge.Version, Fields: code(value)})
	if err != nil {
		h.t.Fatalf("answer: %v", err)
	}
	return c
}

func (h *house) fetch(access guichet.ID, p bank.Purpose) bank.Case {
	h.t.Helper()
	r := bank.Refresh{Access: access, Purpose: p}
	if p == bank.RefreshBalance {
		r.Account = h.overview().Accounts[0].ID
	}
	c, started, err := h.Fetch(h.t.Context(), h.person, r)
	if err != nil || !started {
		h.t.Fatalf("fetch: started %v, %v", started, err)
	}
	return c
}

func (h *house) overview() bank.Overview {
	h.t.Helper()
	o, err := h.Overview(h.t.Context(), h.person)
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *house) count(table string) string {
	h.t.Helper()
	return h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + table)
}

// nothingLeft: no access, no secret, no money.
func (h *house) nothingLeft() {
	h.t.Helper()
	if a, b, c := h.count("accesses"), h.count("accounts"), h.count("transactions"); a+b+c != "000" {
		h.t.Errorf("%s accesses, %s accounts, %s transactions are left", a, b, c)
	}
}

func codeOf(t testing.TB, err error, want string) {
	t.Helper()
	if guichet.CodeOf(err) != want || err == nil {
		t.Errorf("error %v, want %s", err, want)
	}
}
