package bank_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/storetest"
)

// A usage of the seed: what a person was doing when it went well, badly, or was
// interrupted.
type usage struct {
	name string
	// start begins it with a bank that asks a code, and returns the attempt.
	start func(h *house) bank.Case
	// fail begins it with a bank that answers with an error, not a question.
	fail func(h *house) bank.Case
	// creates: an interruption leaves nothing; otherwise all stays as it was.
	creates bool
	others  int // accesses that exist besides
}

func usages() []usage {
	opening := func(h *house) bank.Case { return h.open("otp") }
	failing := func(h *house) bank.Case { return h.open("wrongpass") }
	refresh := func(p bank.Purpose) (start, fail func(h *house) bank.Case) {
		start = func(h *house) bank.Case {
			c := h.settled("otp")
			h.bank.set(func() { h.bank.asks = true })
			return h.fetch(c.Access.ID, p)
		}
		fail = func(h *house) bank.Case {
			c := h.settled("otp")
			h.bank.set(func() { h.bank.down = true })
			return h.fetch(c.Access.ID, p)
		}
		return start, fail
	}
	other := func(then func(h *house) bank.Case) func(h *house) bank.Case {
		return func(h *house) bank.Case {
			h.settled("simple")
			return then(h)
		}
	}
	list := []usage{
		{name: "U1 first access", start: opening, fail: failing, creates: true},
		{name: "U2 another access", start: other(opening), fail: other(failing), creates: true, others: 1},
	}
	for _, u := range []struct {
		name string
		p    bank.Purpose
	}{{"U3 fetch accounts", bank.RefreshAccounts}, {"U4 fetch operations", bank.RefreshOperations}, {"U5 resync balance", bank.RefreshBalance}} {
		start, fail := refresh(u.p)
		list = append(list, usage{name: u.name, start: start, fail: fail})
	}
	return list
}

// picture is what must not change by an error or an interruption.
type picture struct {
	Accounts     []ledger.Account
	Transactions []ledger.Transaction
	LastSuccess  []time.Time
}

func (h *house) picture() picture {
	h.t.Helper()
	o := h.overview()
	p := picture{Accounts: o.Accounts, Transactions: o.Transactions}
	for _, c := range o.Cases {
		if c.Access.HasAccounts {
			p.LastSuccess = append(p.LastSuccess, c.Access.LastSuccess)
		}
	}
	return p
}

// TestMatrix is the seed's matrix: five usages × success, failure, and the
// interruptions. What a browser does in I2 and I3c is to load the page again.
func TestMatrix(t *testing.T) {
	outcomes := []struct {
		name string
		play func(h *house, u usage)
	}{
		{"S success", playSuccess},
		{"F failure", playFailure},
		{"I1 code too late", playTooLate},
		{"I2 page reloaded", playReload},
		{"I3c browser died", playBrowserDied},
		{"I3s server died", playServerDied},
	}
	for _, u := range usages() {
		for _, o := range outcomes {
			t.Run(u.name+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				storetest.Each(t, func(t *testing.T, db *storetest.DB) { o.play(newHouse(t, db), u) })
			})
		}
	}
}

func playSuccess(h *house, u usage) {
	c := h.asked(u.start(h).Attempt.ID)
	if purpose := c.Attempt.Purpose; purpose != bank.Create {
		// The bank has moved on: another coffee, another balance, another account.
		h.bank.set(func() { h.bank.lists = tomorrow })
	}
	h.answer(c, canaryCode)
	c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	o := h.overview()
	if len(o.Cases) != u.others+1 {
		h.t.Fatalf("%d accesses", len(o.Cases))
	}
	var accounts, transactions int
	var balance int64
	for _, a := range o.Accounts {
		if a.AccessID == c.Access.ID {
			accounts++
			if a.Ref == "a1" {
				balance = a.Balance.Minor
			}
			for _, t := range o.Transactions {
				if t.AccountID == a.ID {
					transactions++
				}
			}
		}
	}
	want := map[bank.Purpose][3]int{
		bank.Create: {1, 3, 10000}, bank.RefreshAccounts: {2, 5, 9850}, bank.RefreshOperations: {1, 4, 9850}, bank.RefreshBalance: {1, 3, 9850},
	}[c.Attempt.Purpose]
	if got := [3]int{accounts, transactions, int(balance)}; got != want {
		h.t.Errorf("accounts, transactions, balance: %v, want %v", got, want)
	}
	if c.Access.Pause != "" || c.Access.NextPoll.IsZero() {
		h.t.Errorf("after a success the night comes back: pause %q, next %v", c.Access.Pause, c.Access.NextPoll)
	}
}

// tomorrow: a second account, the pending purchase was entered, a third coffee.
func tomorrow() ([]ledger.Account, map[string][]ledger.Transaction) {
	accounts, lists := oneAccount()
	accounts[0].Balance.Minor = 9850
	l := lists["a1"]
	l[2].Status, l[2].BookedOn, l[2].RawLabel = ledger.Booked, "2026-11-22", "CARTE 21/11 CARREFOUR PARIS"
	lists["a1"] = append(l, ledger.Transaction{Ref: "t3", Status: ledger.Booked, BookedOn: "2026-11-22", Amount: ledger.Money{Minor: -150, Currency: "EUR"}, RawLabel: "CB CAFE"})
	accounts = append(accounts, ledger.Account{Ref: "a2", Kind: ledger.Savings, Label: "Livret A", Balance: ledger.Money{Minor: 0, Currency: "EUR"}})
	lists["a2"] = []ledger.Transaction{{Status: ledger.Booked, BookedOn: "2026-11-01", Amount: ledger.Money{Minor: 5000, Currency: "EUR"}, RawLabel: "VIREMENT"}}
	return accounts, lists
}

func playFailure(h *house, u usage) {
	c := u.fail(h)
	before := h.picture()
	c = h.ended(c.Attempt.ID, bank.AttemptFailed)
	if diff := cmp.Diff(before, h.picture()); diff != "" {
		h.t.Errorf("a failure changed something:\n%s", diff)
	}
	if u.creates {
		h.goneWith(c, u)
		typed, err := h.Form(c.Attempt)
		if err != nil || typed["login"] != "wrongpass" || len(typed) != 1 {
			h.t.Errorf("what was typed, secrets aside: %v, %v", typed, err)
		}
		if c.Attempt.Outcome != bank.BadCredentials || c.Attempt.Text != "Mot de passe incorrect" {
			h.t.Errorf("the reason: %s %q", c.Attempt.Outcome, c.Attempt.Text)
		}
	}
}

// goneWith: a creation went without a trace but the attempt that tells why.
func (h *house) goneWith(c bank.Case, u usage) {
	h.t.Helper()
	if _, err := h.Access(h.t.Context(), h.person, c.Attempt.AccessID); guichet.CodeOf(err) != "unknown_access" {
		h.t.Errorf("the access is still there: %v", err)
	}
	if n := len(h.overview().Cases); n != u.others {
		h.t.Errorf("%d accesses", n)
	}
	if u.others == 0 {
		h.nothingLeft()
	}
}

func playTooLate(h *house, u usage) {
	c := h.asked(u.start(h).Attempt.ID)
	before := h.picture()
	h.db.Clock.Advance(6 * time.Minute)
	_, err := h.Answer(h.t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: code(canaryCode)})
	codeOf(h.t, err, "question_expired")
	if _, _, tried, _ := h.bank.snapshot(); !u.creates && tried != 1 || u.creates && tried != 0 {
		h.t.Errorf("the late code reached the bank: %d tried", tried)
	}
	c = h.ended(c.Attempt.ID, bank.AttemptExpired)
	if diff := cmp.Diff(before, h.picture()); diff != "" {
		h.t.Errorf("being late changed something:\n%s", diff)
	}
	if u.creates {
		h.goneWith(c, u)
	}
	// Said again, it is still said plainly, at the address of the access too.
	_, _, err = h.Fetch(h.t.Context(), h.person, bank.Refresh{Access: c.Attempt.AccessID, Fields: code(canaryCode)})
	codeOf(h.t, err, "question_expired")
	_, err = h.Answer(h.t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: code(canaryCode)})
	codeOf(h.t, err, "question_expired")
}

func playReload(h *house, u usage) {
	c := h.asked(u.start(h).Attempt.ID)
	before := h.picture()
	o := h.overview() // the page is loaded again
	var again bank.Case
	for _, other := range o.Cases {
		if other.Access.ID == c.Access.ID {
			again = other
		}
	}
	if again.Challenge.ID != c.Challenge.ID || again.Question() == nil {
		h.t.Fatalf("the question is not there any more: %+v", again)
	}
	if _, sent, _, _ := h.bank.snapshot(); sent > 2 || u.creates && sent != 1 {
		h.t.Errorf("a reload made the bank send a code: %d", sent)
	}
	if diff := cmp.Diff(before, h.picture()); diff != "" {
		h.t.Errorf("a reload changed something:\n%s", diff)
	}
	h.answer(again, canaryCode)
	h.ended(c.Attempt.ID, bank.AttemptSucceeded)
}

// playBrowserDied: nobody comes back before the deadline. The timer, not a page,
// puts things right.
func playBrowserDied(h *house, u usage) {
	c := h.asked(u.start(h).Attempt.ID)
	before := h.picture()
	h.db.Clock.Advance(time.Hour)
	swept, err := h.Sweep(h.t.Context(), "")
	if err != nil || swept.Expired != 1 {
		h.t.Errorf("swept %+v, %v", swept, err)
	}
	c = h.ended(c.Attempt.ID, bank.AttemptExpired)
	if diff := cmp.Diff(before, h.picture()); diff != "" {
		h.t.Errorf("being away changed something:\n%s", diff)
	}
	if u.creates {
		h.goneWith(c, u)
		return
	}
	if c.Access.Pause != bank.PausedForAnswer || !c.Access.NextPoll.IsZero() {
		h.t.Errorf("the night would ask: pause %q, next %v", c.Access.Pause, c.Access.NextPoll)
	}
}

// playServerDied: the process that asked is gone, another one has only the rows.
func playServerDied(h *house, u usage) {
	c := h.asked(u.start(h).Attempt.ID)
	h.die()
	h.dead.Wait()
	next := h.replica()
	if swept, err := next.Sweep(h.t.Context(), ""); err != nil || swept != (bank.Swept{}) {
		h.t.Errorf("a restart swept %+v, %v", swept, err)
	}
	again, err := next.Attempt(context.Background(), next.person, c.Attempt.ID)
	if err != nil || again.Challenge.ID != c.Challenge.ID || again.Question() == nil {
		h.t.Fatalf("the question did not survive: %+v, %v", again, err)
	}
	next.answer(again, canaryCode)
	next.ended(c.Attempt.ID, bank.AttemptSucceeded)
}
