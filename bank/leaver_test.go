package bank_test

import (
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/people"
	"guichet/store/storetest"
)

// TestDisabledPersonIsLeftAlone: for somebody who may not sign in, no bank is asked
// at night and no letter about trust is written; what is theirs stays, and it all
// goes on when they are let in again. Others notice nothing.
func TestDisabledPersonIsLeftAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		desk := &people.Desk{Store: db.People(), Clock: db.Clock.Clock()}
		line := guichet.Actor{Kind: guichet.BySystem, Name: "command line"}
		leaver, err := desk.AddPerson(t.Context(), line, people.NewPerson{Email: "leaver@example.org", Role: people.Member})
		if err != nil {
			t.Fatal(err)
		}
		h.person = leaver.Actor()
		theirs := h.settled("otp")
		if err := desk.Disable(t.Context(), line, leaver.ID); err != nil {
			t.Fatal(err)
		}
		poll := func(want int, when string) {
			t.Helper()
			if n, err := h.Poll(t.Context()); err != nil || n != want {
				t.Errorf("%s: %d polled, want %d, %v", when, n, want, err)
			}
		}
		db.Clock.Advance(48 * time.Hour)
		poll(0, "disabled")
		db.Clock.Advance(75 * 24 * time.Hour)
		h.warn(0, "disabled")
		if logins, _, _, _ := h.bank.snapshot(); logins != 1 {
			t.Errorf("the bank saw %d logins", logins)
		}
		if err := desk.Enable(t.Context(), line, leaver.ID); err != nil {
			t.Fatal(err)
		}
		h.warn(1, "let in again")
		h.bank.set(func() { h.bank.asks = false })
		poll(1, "let in again")
		c := h.ended(h.access(theirs.Access.ID).Attempt.ID, bank.AttemptSucceeded)
		if c.Attempt.Trigger != bank.ByPoll {
			t.Errorf("fetched by %s", c.Attempt.Trigger)
		}
		// Whoever is nobody's person here is not a disabled one.
		h.person = somebody
		h.settled("simple")
		db.Clock.Advance(48 * time.Hour)
		if err := desk.Disable(t.Context(), line, leaver.ID); err != nil {
			t.Fatal(err)
		}
		poll(1, "somebody else")
	})
}
