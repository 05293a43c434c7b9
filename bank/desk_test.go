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
	"guichet/ledger"
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
		fmt.Fprintf(mac, "%d:%s", len(p), p)
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

// What no log and no table may ever hold in clear.
const (
	canaryPassword = "canary-password-5yx"
	canaryCode     = "424242"
	wrongCode      = "131313"
	canarySession  = "canary-session-k7t"
)

func (h *house) noSecrets() {
	h.t.Helper()
	for _, secret := range []string{canaryPassword, canaryCode, wrongCode, canarySession} {
		if strings.Contains(h.logs.String(), secret) {
			h.t.Errorf("the log holds %q:\n%s", secret, h.logs)
		}
		for table, columns := range map[string]string{
			"accesses":      "label || fingerprint || CAST(credentials AS TEXT) || CAST(session AS TEXT)",
			"attempts":      "label || detail || CAST(form AS TEXT) || fingerprint",
			"challenges":    "question || answer_keys || last_text || CAST(session AS TEXT)",
			"audit_entries": "deed || detail || actor_name",
			"jobs":          "args || job_key || last_error",
			"alerts":        "detail",
		} {
			if n := h.db.Value(fmt.Sprintf("SELECT CAST(COUNT(*) AS TEXT) FROM %s WHERE %s LIKE '%%%s%%' OR %s LIKE '%%%x%%'", table, columns, secret, columns, secret)); n != "0" {
				h.t.Errorf("%s holds %q in clear", table, secret)
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

// fakeBank is a bank of the outside world. The login chooses the story; what it
// remembers between two runs is in the session, as with a real one.
type fakeBank struct {
	mu     sync.Mutex
	logins int
	sent   int      // codes sent to the phone
	tried  []string // codes that reached it
	seen   []bank.Run
	open   int  // runs under way
	held   int  // of these, how many wait at the gate
	down   bool // it answers nobody
	phone  string
	lists  func() ([]ledger.Account, map[string][]ledger.Transaction)
	gate   chan struct{} // runs of the story "hang" wait here
	asks   bool          // it asks a code of everyone, from now on
}

func newFakeBank() *fakeBank {
	return &fakeBank{lists: oneAccount, gate: make(chan struct{})}
}

func oneAccount() ([]ledger.Account, map[string][]ledger.Transaction) {
	eur := func(n int64) ledger.Money { return ledger.Money{Minor: n, Currency: "EUR"} }
	return []ledger.Account{{Ref: "a1", Kind: ledger.Cash, Label: "Compte courant", IBAN: "FR7630001007941234567890185", Balance: eur(10000)}},
		map[string][]ledger.Transaction{"a1": {
			{Ref: "t1", Status: ledger.Booked, BookedOn: "2026-11-20", Amount: eur(-150), RawLabel: "CB CAFE"},
			{Ref: "t2", Status: ledger.Booked, BookedOn: "2026-11-20", Amount: eur(-150), RawLabel: "CB CAFE"},
			{Status: ledger.Pending, DoneOn: "2026-11-21", Amount: eur(-4520), RawLabel: "CB CARREFOUR PARIS"},
		}}
}

func (b *fakeBank) Institutions(context.Context) ([]bank.Institution, error) {
	return []bank.Institution{{ID: "fake", Name: "Banque factice", Trusts: 90 * 24 * time.Hour, Fields: []bank.Field{
		{ID: "login", Label: "Identifiant", Required: true},
		{ID: "password", Label: "Mot de passe", Masked: true, Required: true},
	}}}, nil
}

// set changes the bank between two runs.
func (b *fakeBank) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *fakeBank) snapshot() (logins, sent, tried, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logins, b.sent, len(b.tried), b.open
}

// wait holds a run until the gate is opened, or until it is told to stop.
func (b *fakeBank) wait(ctx context.Context) bool {
	b.mu.Lock()
	gate := b.gate
	b.held++
	b.mu.Unlock()
	defer b.set(func() { b.held-- })
	select {
	case <-gate:
		return true
	case <-ctx.Done():
		return false
	}
}

// atGate tells how many runs are held.
func (b *fakeBank) atGate() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// release lets the runs that are held go on, and holds the next ones.
func (b *fakeBank) release() {
	b.set(func() {
		close(b.gate)
		b.gate = make(chan struct{})
	})
}

func (b *fakeBank) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	b.mu.Lock()
	b.seen = append(b.seen, run)
	b.open++
	down, asks := b.down, b.asks
	b.mu.Unlock()
	defer b.set(func() { b.open-- })
	end := func(k bank.OutcomeKind, reason, text string) bank.Result {
		return bank.Result{Outcome: bank.Outcome{Kind: k, Reason: reason, Text: text, TriesLeft: -1}}
	}
	if ctx.Err() != nil {
		return end(bank.Cancelled, "", "")
	}
	if down {
		return end(bank.BankUnavailable, "", "le site est en maintenance")
	}
	story := run.Credentials["login"].Reveal()
	ask := func(m bank.Method, resendable bool) bank.Result {
		q := &bank.Question{Method: m, Prompt: "Code reçu par SMS", MediumType: "sms", Medium: "06 •• •• •• 12", TriesLeft: -1, Resendable: resendable}
		if m == bank.Decoupled {
			q.Prompt, q.MediumType, q.Medium = "Validez dans votre application", "app", "Téléphone de Camille"
		} else {
			q.Fields = []bank.Field{{ID: "code", Label: "Code", Pattern: `\d{6}`, Required: true}}
		}
		b.set(func() { b.sent++ })
		r := end(bank.Asks, "", "")
		r.Outcome.Question = q
		r.State = guichet.Secret(fmt.Sprintf("%s/%s/%d", canarySession, m, len(b.seen)))
		return r
	}
	if a := run.Answer; a != nil {
		return b.answered(ctx, run, sink, story, *a, ask, end)
	}
	b.set(func() { b.logins++ })
	sink.Progress(bank.Authenticating, 0, 0)
	switch trusted := strings.HasPrefix(run.State.Reveal(), canarySession+"/trusted"); story {
	case "simple":
		if asks && !run.Present {
			return end(bank.InteractionRequired, "sca", "")
		}
		if asks {
			return ask(bank.OTPSent, true)
		}
		return b.list(run, sink)
	case "app", "app-otp":
		return ask(bank.Decoupled, false)
	case "wrongpass":
		r := end(bank.BadCredentials, "", "Mot de passe incorrect")
		r.Outcome.BadFields = []string{"password"}
		return r
	case "outage":
		return end(bank.BankUnavailable, "", "")
	case "empty":
		return end(bank.NoAccounts, "", "")
	case "panic":
		panic(canaryPassword) // a careless connector
	case "garbage":
		_ = sink.Account(ledger.Account{Ref: "a1", Balance: ledger.Money{Minor: 1, Currency: "euros"}})
		return end(bank.OK, "", "")
	case "flood":
		if err := sink.Account(ledger.Account{Ref: "a1", Balance: ledger.Money{Minor: 1, Currency: "EUR"}}); err != nil {
			return end(bank.ConnectorError, "bug", "")
		}
		_ = sink.Transactions("a1", make([]ledger.Transaction, 1001))
		return end(bank.OK, "", "")
	case "hang": // it obeys when told to stop
		if !b.wait(ctx) {
			return end(bank.Cancelled, "", "")
		}
		return b.list(run, sink)
	case "deaf": // it does not
		b.wait(context.Background())
		return b.list(run, sink)
	default: // "otp…": it asks until the device is trusted
		if trusted && !asks {
			return b.list(run, sink)
		}
		if !run.Present {
			return end(bank.InteractionRequired, "sca", "")
		}
		return ask(bank.OTPSent, true)
	}
}

func (b *fakeBank) answered(ctx context.Context, run bank.Run, sink bank.Sink, story string, a bank.Answer, ask func(bank.Method, bool) bank.Result, end func(bank.OutcomeKind, string, string) bank.Result) bank.Result {
	if !strings.HasPrefix(run.State.Reveal(), canarySession) {
		return end(bank.ConnectorError, "bug", "the session is not the question's")
	}
	if a.Resend {
		return ask(bank.OTPSent, true)
	}
	if a.Method == bank.Decoupled {
		sink.Progress(bank.WaitingUser, 0, 0)
		for {
			b.mu.Lock()
			phone := b.phone
			b.mu.Unlock()
			switch phone {
			case "yes":
				if story == "app-otp" {
					return ask(bank.OTPSent, false)
				}
				return b.list(run, sink)
			case "no":
				return end(bank.ChallengeDeclined, "", "")
			}
			select {
			case <-ctx.Done():
				return end(bank.Cancelled, "", "")
			case <-time.After(5 * time.Millisecond): // the phone of the outside world
			}
		}
	}
	typed := a.Fields["code"].Reveal()
	b.set(func() { b.tried = append(b.tried, typed) })
	if strings.HasPrefix(story, "otp-hang") && !b.wait(ctx) {
		return end(bank.Cancelled, "", "")
	}
	if story == "otp-deaf" {
		b.wait(context.Background())
	}
	switch {
	case typed == wrongCode:
		return end(bank.AnswerRejected, "", "Code incorrect")
	case typed != canaryCode:
		return end(bank.ConnectorError, "bug", "another code")
	case story == "otp-otp" && strings.Contains(run.State.Reveal(), string(bank.OTPSent)):
		r := ask(bank.OTPDevice, false)
		return r
	}
	return b.list(run, sink)
}

func (b *fakeBank) list(run bank.Run, sink bank.Sink) bank.Result {
	b.mu.Lock()
	accounts, transactions := b.lists()
	b.mu.Unlock()
	bug := bank.Result{Outcome: bank.Outcome{Kind: bank.ConnectorError, Reason: "bug"}}
	for _, a := range accounts {
		if err := sink.Account(a); err != nil {
			return bug
		}
		if run.Op == bank.FetchBalance {
			continue
		}
		sink.Progress(bank.Fetching, 0, len(accounts))
		for list := transactions[a.Ref]; len(list) > 0; {
			n := min(len(list), 1000)
			if err := sink.Transactions(a.Ref, list[:n]); err != nil {
				return bug
			}
			list = list[n:]
		}
	}
	return bank.Result{Outcome: bank.Outcome{Kind: bank.OK}, State: canarySession + "/trusted"}
}
