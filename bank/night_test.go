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

// TestNightPausesWhoAsks: a bank that would ask during the night is not asked
// again before a person was there; then the night comes back by itself.
func TestNightPausesWhoAsks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		poll := func() int {
			t.Helper()
			n, err := h.Poll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := poll(); n != 0 {
			t.Errorf("%d polled at once after a success", n)
		}
		if at := c.Access.NextPoll; at.Hour() < 2 || at.Hour() > 3 || at.Sub(db.Clock.Now()) > 24*time.Hour {
			t.Errorf("the next fetch is at %v", at)
		}
		db.Clock.Advance(24 * time.Hour)
		if n := poll(); n != 1 {
			t.Fatalf("%d polled", n)
		}
		c, err := h.Access(t.Context(), h.person, c.Access.ID)
		if err != nil {
			t.Fatal(err)
		}
		c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)

		h.bank.set(func() { h.bank.asks = true })
		before := h.picture()
		db.Clock.Advance(24 * time.Hour)
		if n := poll(); n != 1 {
			t.Fatalf("%d polled", n)
		}
		c, err = h.Access(t.Context(), h.person, c.Access.ID)
		if err != nil {
			t.Fatal(err)
		}
		c = h.ended(c.Attempt.ID, bank.AttemptFailed)
		if c.Attempt.Outcome != bank.InteractionRequired || c.Access.Pause != bank.PausedForAnswer || c.State() != bank.AccessPaused {
			t.Errorf("%s, pause %q, %s", c.Attempt.Outcome, c.Access.Pause, c.State())
		}
		if diff := cmp.Diff(before, h.picture()); diff != "" {
			t.Errorf("the night changed something:\n%s", diff)
		}
		for range 3 {
			db.Clock.Advance(24 * time.Hour)
			if n := poll(); n != 0 {
				t.Errorf("%d polled although paused", n)
			}
		}
		if _, sent, _, _ := h.bank.snapshot(); sent != 0 {
			t.Errorf("%d codes were sent at night", sent)
		}
		h.bank.set(func() {
			for i, run := range h.bank.seen {
				if run.Present != (i == 0) { // the creation, then nights
					t.Errorf("run %d: someone present: %v", i, run.Present)
				}
			}
		})
		// A person comes.
		c = h.asked(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID)
		h.bank.set(func() { h.bank.asks = false })
		h.answer(c, canaryCode)
		c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if c.Access.Pause != "" || c.Access.NextPoll.IsZero() || c.State() != bank.AccessReady {
			t.Errorf("pause %q, next %v, %s", c.Access.Pause, c.Access.NextPoll, c.State())
		}
		db.Clock.Advance(24 * time.Hour)
		if n := poll(); n != 1 {
			t.Errorf("%d polled after a person was there", n)
		}
	})
}

// TestNeverPolled: waiting, disabled, lent, without account, in need of a fix.
func TestNeverPolled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		disabled := h.settled("simple")
		yes := true
		if _, err := h.Amend(t.Context(), h.person, disabled.Access.ID, bank.Amendment{NightOff: &yes}); err != nil {
			t.Fatal(err)
		}
		c, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form("otp-lent"), Lend: true})
		if err != nil {
			t.Fatal(err)
		}
		h.answer(h.asked(c.Attempt.ID), canaryCode)
		lent := h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if lent.Access.Credentials != nil || lent.Access.Session != nil {
			t.Error("what was lent was kept")
		}
		h.asked(h.open("otp").Attempt.ID)
		db.Clock.Advance(48 * time.Hour)
		if n, err := h.Poll(t.Context()); err != nil || n != 0 {
			t.Errorf("%d polled, %v", n, err)
		}
		// Lent credentials are given again for the next attempt, and go again.
		_, _, err = h.Fetch(t.Context(), h.person, bank.Refresh{Access: lent.Access.ID, Purpose: bank.RefreshAccounts})
		codeOf(t, err, "credentials_needed")
		c, _, err = h.Fetch(t.Context(), h.person, bank.Refresh{Access: lent.Access.ID, Purpose: bank.RefreshAccounts, Credentials: form("otp-lent")})
		if err != nil {
			t.Fatal(err)
		}
		h.answer(h.asked(c.Attempt.ID), canaryCode)
		if c = h.ended(c.Attempt.ID, bank.AttemptSucceeded); c.Access.Credentials != nil {
			t.Error("what was lent was kept")
		}
	})
}

// TestWrongPasswordIsNeverRepeated: not by the night, not by a retry.
func TestWrongPasswordIsNeverRepeated(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		c, err := h.Amend(t.Context(), h.person, c.Access.ID, bank.Amendment{Credentials: form("wrongpass")})
		if err != nil {
			t.Fatal(err)
		}
		c = h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptFailed)
		if c.Access.Pause != bank.PausedForFix || c.State() != bank.AccessBroken || !c.Access.HasAccounts {
			t.Errorf("pause %q, %s", c.Access.Pause, c.State())
		}
		logins, _, _, _ := h.bank.snapshot()
		for range 5 {
			db.Clock.Advance(24 * time.Hour)
			if n, err := h.Poll(t.Context()); err != nil || n != 0 {
				t.Errorf("%d polled, %v", n, err)
			}
			if _, err := h.Sweep(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if now, _, _, _ := h.bank.snapshot(); now != logins {
			t.Errorf("%d more logins", now-logins)
		}
		if _, err := h.Amend(t.Context(), h.person, c.Access.ID, bank.Amendment{Credentials: form("simple")}); err != nil {
			t.Fatal(err)
		}
		c = h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		if c.Access.Pause != "" {
			t.Errorf("pause %q after the fix worked", c.Access.Pause)
		}
	})
}

// TestOutageIsTriedAgain: sooner, then at night.
func TestOutageIsTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		h.bank.set(func() { h.bank.down = true })
		db.Clock.Advance(24 * time.Hour)
		for i, want := range []time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour, 0} {
			if n, err := h.Poll(t.Context()); err != nil || n != 1 {
				t.Fatalf("%d polled, %v", n, err)
			}
			c, err := h.Access(t.Context(), h.person, c.Access.ID)
			if err != nil {
				t.Fatal(err)
			}
			c = h.ended(c.Attempt.ID, bank.AttemptFailed)
			wait := c.Access.NextPoll.Sub(db.Clock.Now())
			if want != 0 && (wait > want || wait < want-time.Minute) || c.Access.Failures != i+1 || c.State() != bank.AccessFailing {
				t.Errorf("failure %d: next in %v, %s", c.Access.Failures, wait, c.State())
			}
			db.Clock.Advance(wait + time.Second)
		}
	})
}

// TestPersonTakesOverTheNight: a poll that no worker has begun becomes theirs.
func TestPersonTakesOverTheNight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		h.die()
		h.dead.Wait() // no worker
		db.Clock.Advance(24 * time.Hour)
		if n, err := h.Poll(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d polled, %v", n, err)
		}
		h.bank.set(func() { h.bank.asks = true })
		taken, started, err := h.Fetch(t.Context(), h.person, bank.Refresh{Access: c.Access.ID, Purpose: bank.RefreshOperations})
		if err != nil || started || taken.Attempt.Trigger != bank.ByPerson {
			t.Fatalf("started %v, %s, %v", started, taken.Attempt.Trigger, err)
		}
		next := h.replica()
		next.answer(next.asked(taken.Attempt.ID), canaryCode)
		next.ended(taken.Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestSecondStartIsTheFirst: never a second question at the bank.
func TestSecondStartIsTheFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		other := h.replica()
		c := h.settled("otp")
		h.bank.set(func() { h.bank.asks = true })
		ids := make(chan guichet.ID, 10)
		for i := range cap(ids) {
			go func() {
				desk := h
				if i%2 == 1 {
					desk = other
				}
				c, _, err := desk.Fetch(context.Background(), h.person, bank.Refresh{Access: c.Access.ID, Purpose: bank.RefreshAccounts})
				if err != nil {
					t.Error(err)
				}
				ids <- c.Attempt.ID
			}()
		}
		first := <-ids
		for range cap(ids) - 1 {
			if id := <-ids; id != first {
				t.Errorf("another attempt: %s", id)
			}
		}
		h.asked(first)
		if _, sent, _, _ := h.bank.snapshot(); sent != 2 { // one of the creation
			t.Errorf("%d codes sent", sent)
		}
		// The same form sent twice is one creation, too.
		a := h.open("otp-x")
		b, created, err := other.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form("otp-x")})
		if err != nil || created || a.Attempt.ID != b.Attempt.ID || a.Access.ID != b.Access.ID {
			t.Errorf("twice: created %v, %v", created, err)
		}
	})
}

// TestFetchTwice: the same statement twice adds nothing.
func TestFetchTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		before := h.picture()
		c = h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		if c.Attempt.Counts.Added != 0 || c.Attempt.Counts.Known != 3 {
			t.Errorf("%+v", c.Attempt.Counts)
		}
		after := h.picture()
		after.LastSuccess = before.LastSuccess
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the same again changed something:\n%s", diff)
		}
		// The bank forgets an account and a pending purchase: nothing is deleted.
		h.bank.set(func() {
			h.bank.lists = func() ([]ledger.Account, map[string][]ledger.Transaction) {
				accounts, lists := oneAccount()
				accounts[0].Ref, accounts[0].IBAN = "b1", ""
				return accounts, map[string][]ledger.Transaction{"b1": lists["a1"][:1]}
			}
		})
		h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		o := h.overview()
		missing := map[string]bool{}
		for _, a := range o.Accounts {
			missing[a.Ref] = a.Missing
		}
		if diff := cmp.Diff(map[string]bool{"a1": true, "b1": false}, missing); diff != "" || len(o.Transactions) != 4 {
			t.Errorf("%d transactions; missing accounts:\n%s", len(o.Transactions), diff)
		}
	})
}

// TestUnfinished: offered again at each page load, or discarded by the seed's
// literal rule. A timer never takes the question from under someone.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		if o := h.overview(); len(o.Cases) != 1 || !o.Cases[0].Answerable(db.Clock.Now()) {
			t.Fatalf("%+v", o.Cases)
		}
		if again, err := h.Resume(t.Context(), h.person, c.Access.ID); err != nil || again.Challenge.ID != c.Challenge.ID {
			t.Errorf("resume: %v", err)
		}
		if err := h.Discard(t.Context(), h.person, c.Access.ID); err != nil {
			t.Fatal(err)
		}
		h.nothingLeft()

		h.DiscardUnfinished = true
		c = h.asked(h.open("otp").Attempt.ID)
		if swept, err := h.Sweep(t.Context(), ""); err != nil || swept.Removed != 0 {
			t.Errorf("the timer swept %+v, %v", swept, err)
		}
		if o := h.overview(); len(o.Cases) != 0 {
			t.Errorf("%+v", o.Cases)
		}
		h.ended(c.Attempt.ID, bank.AttemptCancelled)
		h.nothingLeft()

		kept := h.settled("simple")
		codeOf(t, h.Discard(t.Context(), h.person, kept.Access.ID), "access_has_accounts")
		if err := h.Delete(t.Context(), h.person, kept.Access.ID); err != nil {
			t.Fatal(err)
		}
		h.nothingLeft()
		if _, err := h.Attempt(t.Context(), h.person, kept.Attempt.ID); guichet.CodeOf(err) != "unknown_attempt" {
			t.Errorf("history of what was deleted: %v", err)
		}
	})
}

// TestNextWindow: the hours are civil ones, also when the clocks change.
func TestNextWindow(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	w := bank.Window{From: 2 * time.Hour, To: 4 * time.Hour, Location: paris}
	first := func(int64) int64 { return 0 }
	last := func(n int64) int64 { return n - 1 }
	for _, c := range []struct {
		now, want string
		jitter    func(int64) int64
	}{
		{"2026-05-04T12:00:00+02:00", "2026-05-05T02:00:00+02:00", first},
		{"2026-05-04T12:00:00+02:00", "2026-05-05T03:59:59+02:00", last},
		{"2026-05-04T01:59:59+02:00", "2026-05-04T02:00:00+02:00", first},
		{"2026-05-04T02:00:00+02:00", "2026-05-05T02:00:00+02:00", first},
		{"2026-10-24T12:00:00+02:00", "2026-10-25T02:00:00+01:00", first}, // the hour comes twice: the second
		{"2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00", first}, // 02:00 does not exist
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Next(now, c.jitter).In(paris).Format(time.RFC3339); got != c.want {
			t.Errorf("after %s: %s, want %s", c.now, got, c.want)
		}
	}
}
