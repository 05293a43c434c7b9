package bank_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/storetest"
)

// TestHostileConnector: whatever a connector does, the attempt ends with a typed
// outcome, and nothing half is stored.
func TestHostileConnector(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		for story, want := range map[string]struct{ outcome, reason string }{
			"panic":   {"connector_error", "crash"},
			"garbage": {"connector_error", "protocol"},
			"flood":   {"connector_error", "protocol"},
			"outage":  {"unavailable", ""},
		} {
			c := h.ended(h.open(story).Attempt.ID, bank.AttemptFailed)
			if string(c.Attempt.Outcome) != want.outcome || c.Attempt.Reason != want.reason {
				t.Errorf("%s: %s %s", story, c.Attempt.Outcome, c.Attempt.Reason)
			}
		}
		c := h.ended(h.open("empty").Attempt.ID, bank.AttemptSucceeded)
		if c.Attempt.Outcome != bank.NoAccounts {
			t.Errorf("empty: %s", c.Attempt.Outcome)
		}
		h.nothingLeft()
		if n := h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM alerts WHERE kind = 'connector_broken'"); n != "3" {
			t.Errorf("%s alerts", n)
		}
	})
}

// TestDeadline: a bank that never answers, and a connector that does not obey.
func TestDeadline(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.Limits.Run, h.Limits.Grace = 2*time.Second, 50*time.Millisecond // what does not hang ends before
		for _, story := range []string{"hang", "deaf"} {
			c := h.ended(h.open(story).Attempt.ID, bank.AttemptFailed)
			if c.Attempt.Outcome != bank.Cancelled || c.Attempt.Reason != bank.ReasonDeadline {
				t.Errorf("%s: %s %s", story, c.Attempt.Outcome, c.Attempt.Reason)
			}
		}
		// With a code at the bank the question stands again; nobody knows what the
		// bank saw, so the try is counted.
		c := h.asked(h.open("otp-deaf").Attempt.ID)
		h.answer(c, canaryCode)
		c = h.asked(c.Attempt.ID)
		if c.Challenge.Used != 1 || c.Challenge.LastOutcome != bank.Cancelled {
			t.Errorf("%d used, %s", c.Challenge.Used, c.Challenge.LastOutcome)
		}
		h.bank.release() // the deaf ones may go, and have no effect
		if _, err := h.Cancel(t.Context(), h.person, c.Attempt.ID); err != nil {
			t.Fatal(err)
		}
		h.nothingLeft()
	})
}

// TestOneHangDelaysNobody: many slow banks, and another one goes through.
func TestOneHangDelaysNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		var held []bank.Case
		fields := func(i int) map[string]guichet.Secret {
			f := form("hang")
			f["password"] = canaryPassword
			f["login"] = "hang"
			f["branch"] = guichet.Secret(fmt.Sprint(i))
			return f
		}
		h.Connectors = map[string]bank.Connector{"fake": branches{h.bank}}
		for i := range 20 {
			c, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: fields(i)})
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		h.eventually("all are at the bank", func() bool { return h.bank.atGate() == len(held) })
		f := form("simple")
		f["branch"] = "1"
		c, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: f})
		if err != nil {
			t.Fatal(err)
		}
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		h.bank.release()
		for _, c := range held {
			h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		}
	})
}

// branches is the same bank with one more field to its form.
type branches struct{ *fakeBank }

func (b branches) Institutions(ctx context.Context) ([]bank.Institution, error) {
	list, err := b.fakeBank.Institutions(ctx)
	list[0].Fields = append(list[0].Fields, bank.Field{ID: "branch"})
	return list, err
}

// TestConnectorIsGone: an access whose connector is not configured any more.
func TestConnectorIsGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		h.Connectors = map[string]bank.Connector{}
		c = h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptFailed)
		if c.Attempt.Outcome != bank.ConnectorError || c.Attempt.Reason != bank.ReasonMissing || !c.Access.HasAccounts {
			t.Errorf("%s %s", c.Attempt.Outcome, c.Attempt.Reason)
		}
		_, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form("simple")})
		codeOf(t, err, "unknown_institution")
	})
}

type broken struct{}

func (broken) Institutions(context.Context) ([]bank.Institution, error) {
	return nil, errors.New("no python here")
}

func (broken) Run(context.Context, bank.Run, bank.Sink) bank.Result { return bank.Result{} }

// TestInstitutions: a connector that cannot tell hides no other.
func TestInstitutions(t *testing.T) {
	d := &bank.Desk{Log: slog.New(slog.DiscardHandler), Connectors: map[string]bank.Connector{"a": broken{}, "fake": newFakeBank()}}
	list, err := d.Institutions(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "fake" || list[0].Connector != "fake" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestManyTransactions: very many in one run, whole or not at all, and
// the second time none.
func TestManyTransactions(t *testing.T) {
	t.Parallel()
	const n = 20_000
	many := func() ([]ledger.Account, map[string][]ledger.Transaction) {
		accounts, _ := oneAccount()
		list := make([]ledger.Transaction, n)
		first := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range list {
			list[i] = ledger.Transaction{
				Status: ledger.Booked, BookedOn: ledger.DateOf(first.AddDate(0, 0, i/10)), RawLabel: "CB CAFE",
				Amount: ledger.Money{Minor: int64(-100 - i%7), Currency: "EUR"},
			}
		}
		return accounts, map[string][]ledger.Transaction{"a1": list}
	}
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.Limits.Beat = 500 * time.Millisecond
		h.bank.set(func() { h.bank.lists = many })
		wait := func(id guichet.ID) bank.Case {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			c, err := h.Wait(ctx, h.person, id, bank.AtRest)
			if err != nil || c.Attempt.State != bank.AttemptSucceeded {
				t.Fatalf("%s %s, %v", c.Attempt.State, c.Attempt.Outcome, err)
			}
			return c
		}
		c := wait(h.open("simple").Attempt.ID)
		if c.Attempt.Counts.Added != n {
			t.Errorf("added %d", c.Attempt.Counts.Added)
		}
		if o := h.overview(); len(o.Transactions) != bank.LatestTransactions {
			t.Errorf("%d in the overview", len(o.Transactions))
		}
		c = wait(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID)
		if c.Attempt.Counts.Added != 0 || c.Attempt.Counts.Known != n {
			t.Errorf("again: %+v", c.Attempt.Counts)
		}
	})
}

// TestPages: every transaction once, newest first.
func TestPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.bank.set(func() {
			h.bank.lists = func() ([]ledger.Account, map[string][]ledger.Transaction) {
				accounts, _ := oneAccount()
				var list []ledger.Transaction
				for i := range 137 {
					list = append(list, ledger.Transaction{
						Status: ledger.Booked, BookedOn: ledger.Date(fmt.Sprintf("2026-10-%02d", 1+i%9)), RawLabel: strings.Repeat("X", i%3+1),
						Amount: ledger.Money{Minor: int64(i), Currency: "EUR"},
					})
				}
				return accounts, map[string][]ledger.Transaction{"a1": list}
			}
		})
		h.settled("simple")
		f := bank.TransactionFilter{Account: h.overview().Accounts[0].ID, Limit: 20}
		seen := map[guichet.ID]bool{}
		last := ledger.Date("9999")
		for {
			page, err := h.Transactions(t.Context(), h.person, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page {
				if seen[one.ID] || one.Day() > last {
					t.Fatalf("%s comes again, or out of order", one.ID)
				}
				seen[one.ID], last = true, one.Day()
				f.Before = bank.TransactionCursor{Day: one.Day(), ID: one.ID}
			}
			if len(page) < f.Limit {
				break
			}
		}
		if len(seen) != 137 {
			t.Errorf("%d seen", len(seen))
		}
	})
}

// TestWatch: a page hears of every move, from whatever process, and of nobody
// else's.
func TestWatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		other := h.replica()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := make(chan bank.Event, 100)
		watching := make(chan error, 1)
		stranger := guichet.Actor{Kind: guichet.ByPerson, ID: "0190b6e4-0000-7000-8000-000000000002"}
		go func() {
			watching <- other.Watch(ctx, h.person, time.Time{}, func(e bank.Event) error { events <- e; return nil })
		}()
		go func() {
			_ = other.Watch(ctx, stranger, time.Time{}, func(e bank.Event) error { t.Errorf("a stranger hears of %s", e.Attempt); return nil })
		}()
		c := h.settled("otp")
		versions := map[int64]bool{}
		for len(versions) == 0 || !versions[c.Attempt.Version] {
			select {
			case e := <-events:
				if e.Attempt != c.Attempt.ID || versions[e.Version] {
					t.Errorf("told of %+v", e)
				}
				versions[e.Version] = true
			case <-time.After(20 * time.Second):
				t.Fatal("the end was never told")
			}
		}
		// Nobody else is woken: a step of one would be a read of everybody.
		for what, move := range map[string]func(){
			"an access": func() { h.settled("simple") },
			"a deletion": func() {
				if err := h.Delete(t.Context(), h.person, c.Access.ID); err != nil {
					t.Error(err)
				}
			},
		} {
			own, others := h.Store.Changed(h.person.ID), h.Store.Changed(stranger.ID)
			move()
			select {
			case <-own:
			case <-others:
				t.Errorf("%s woke a stranger", what)
			default:
				t.Errorf("%s woke nobody", what)
			}
			select {
			case <-others:
				t.Errorf("%s woke a stranger too", what)
			default:
			}
		}
		cancel()
		if err := <-watching; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	})
}
