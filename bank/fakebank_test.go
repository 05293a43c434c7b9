package bank_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

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
func (b *fakeBank) release() { close(b.newGate()) }

// newGate holds the next runs at another gate than the present ones, which it
// returns.
func (b *fakeBank) newGate() (old chan struct{}) {
	b.set(func() { old, b.gate = b.gate, make(chan struct{}) })
	return old
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
		switch m {
		case bank.Redirect:
			q.RedirectURL = "https://bank.test/authorize?request=r" + strings.TrimPrefix(story, "redirect")
			q.Fields = []bank.Field{{ID: "code", Label: "Adresse", Required: true}}
		case bank.Decoupled:
			q.Prompt, q.MediumType, q.Medium = "Validez dans votre application", "app", "Téléphone de Camille"
		default:
			q.Fields = []bank.Field{{ID: "code", Label: "Code", Pattern: codePattern, Required: true}}
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
	case "redirect", "redirect&state=theirs":
		return ask(bank.Redirect, false)
	case "wrongpass":
		r := end(bank.BadCredentials, "", "Mot de passe incorrect")
		r.Outcome.BadFields = []string{"password"}
		return r
	case "outage":
		return end(bank.BankUnavailable, "", "")
	case "partial": // whatever it lists, one account's history cannot be read
		r := b.list(run, sink)
		sink.Warn("history_unavailable", "a2")
		r.Outcome.Kind = bank.Partial
		return r
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
	if u, err := url.Parse(typed); err == nil && u.Host != "" {
		typed = u.Query().Get("code")
	}
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
