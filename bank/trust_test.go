package bank_test

import (
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/store/storetest"
)

func (h *house) warn(want int, when string) {
	h.t.Helper()
	n, err := h.WarnTrust(h.t.Context())
	if err != nil || n != want {
		h.t.Errorf("%s: %d letters, want %d, %v", when, n, want, err)
	}
}

func (h *house) letters() string {
	h.t.Helper()
	return h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'bank.tell'")
}

func (h *house) access(id guichet.ID) bank.Case {
	h.t.Helper()
	c, err := h.Access(h.t.Context(), h.person, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// TestTrustCalendar: three warnings before the bank asks again, each once
// whatever looks and how often, and anew after the next answer.
func TestTrustCalendar(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("otp")
		began := c.Access.StrongAt
		if db.Clock.Now().Sub(began) > time.Minute || !c.Access.TrustedUntil.Equal(began.Add(90*24*time.Hour)) {
			t.Errorf("answered %v, trusted until %v", c.Access.StrongAt, c.Access.TrustedUntil)
		}
		h.warn(0, "at once")
		other := h.replica()
		for _, day := range []struct{ day, letters int }{{75, 0}, {76, 1}, {82, 0}, {83, 1}, {88, 0}, {89, 1}, {90, 0}, {91, 0}} {
			db.Clock.Advance(began.AddDate(0, 0, day.day).Sub(db.Clock.Now()))
			h.warn(day.letters, began.AddDate(0, 0, day.day).String())
			h.warn(0, "again")
			other.warn(0, "by another process")
			_, soon := h.TrustEnds(h.access(c.Access.ID).Access)
			if want := day.day >= 76 && day.day < 90; soon != want {
				t.Errorf("day %d: a page says it: %v", day.day, soon)
			}
		}
		if n := h.letters(); n != "3" {
			t.Errorf("%s letters", n)
		}
		// A success without a question gives no new trust; an answer does.
		h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		if a := h.access(c.Access.ID).Access; !a.TrustedUntil.IsZero() {
			t.Errorf("trusted until %v", a.TrustedUntil)
		}
		h.bank.set(func() { h.bank.asks = true })
		asked := h.asked(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID)
		h.bank.set(func() { h.bank.asks = false })
		h.answer(asked, canaryCode)
		a := h.ended(asked.Attempt.ID, bank.AttemptSucceeded).Access
		if !a.TrustedUntil.Equal(a.StrongAt.Add(90*24*time.Hour)) || db.Clock.Now().Sub(a.StrongAt) > time.Minute || a.TrustWarned != 0 {
			t.Errorf("trusted until %v, warned of %d", a.TrustedUntil, a.TrustWarned)
		}
		db.Clock.Advance(76 * 24 * time.Hour)
		h.warn(1, "the next time")
	})
}

// TestWaitingIsToldByMail: what the night learns, nobody sees on a page. One
// letter each time an access is paused, and no other.
func TestWaitingIsToldByMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		h.bank.set(func() { h.bank.asks = true })
		for range 3 {
			db.Clock.Advance(24 * time.Hour)
			if _, err := h.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.until(h.access(c.Access.ID).Attempt.ID, "the end", func(c bank.Case) bool { return !c.Attempt.State.Live() })
		}
		if n := h.letters(); n != "1" {
			t.Errorf("%s letters", n)
		}
		args := db.Value("SELECT args FROM jobs WHERE kind = 'bank.tell'")
		if !strings.Contains(args, `"template":"access_waiting"`) || !strings.Contains(args, c.Access.ID.String()) {
			t.Errorf("%s", args)
		}
		// Someone is there now, and leaves again: they know.
		asked := h.asked(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID)
		if a := h.access(c.Access.ID).Access; !a.TrustedUntil.IsZero() {
			t.Errorf("trusted until %v, and it asks", a.TrustedUntil)
		}
		if _, err := h.Cancel(t.Context(), h.person, asked.Attempt.ID); err != nil {
			t.Fatal(err)
		}
		if n := h.letters(); n != "1" {
			t.Errorf("%s letters", n)
		}
	})
}
