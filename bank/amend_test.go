package bank_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet/bank"
	"guichet/store/storetest"
)

// TestDisable: secrets go, data stays, nobody goes to the bank, and the way back
// is the bank's yes to credentials typed again.
func TestDisable(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("otp")
		id, before := c.Access.ID, h.picture()
		// While the bank asks something: that ends too.
		h.bank.set(func() { h.bank.asks = true })
		asked := h.asked(h.fetch(id, bank.RefreshAccounts).Attempt.ID)
		disabled, err := h.Amend(t.Context(), h.person, id, bank.Amendment{Disabled: &yes})
		if err != nil {
			t.Fatal(err)
		}
		h.ended(asked.Attempt.ID, bank.AttemptCancelled)
		a := disabled.Access
		if a.Credentials != nil || a.Session != nil || !a.NextPoll.IsZero() || !a.TrustedUntil.IsZero() || disabled.State() != bank.AccessDisabled {
			t.Errorf("%+v, %s", a, disabled.State())
		}
		if diff := cmp.Diff(before, h.picture()); diff != "" {
			t.Errorf("its data changed:\n%s", diff)
		}
		logins, _, _, _ := h.bank.snapshot()
		db.Clock.Advance(48 * time.Hour)
		if n, err := h.Poll(t.Context()); err != nil || n != 0 {
			t.Errorf("%d polled, %v", n, err)
		}
		_, _, err = h.Fetch(t.Context(), h.person, bank.Refresh{Access: id, Purpose: bank.RefreshAccounts})
		codeOf(t, err, "credentials_needed")
		_, err = h.Amend(t.Context(), h.person, id, bank.Amendment{Disabled: &no})
		codeOf(t, err, "credentials_needed")
		if now, _, _, _ := h.bank.snapshot(); now != logins {
			t.Errorf("%d logins while it was disabled", now-logins)
		}
		// Nor can anything else seal something into it.
		for _, column := range []string{"credentials", "session"} {
			if err := db.TrySQL("UPDATE accesses SET " + column + " = CAST('sealed' AS BYTEA)"); err == nil {
				t.Errorf("the database let %s into a disabled access", column)
			}
		}
		// The bank says no: it stays as it is. Then yes, after a question.
		try := func(login string) bank.Case {
			t.Helper()
			c, started, err := h.Fetch(t.Context(), h.person, bank.Refresh{Access: id, Purpose: bank.RefreshAccounts, Credentials: form(login)})
			if err != nil || !started {
				t.Fatalf("%v %v", started, err)
			}
			return c
		}
		c = h.ended(try("wrongpass").Attempt.ID, bank.AttemptFailed)
		if !c.Access.Disabled || c.Access.Credentials != nil || c.Attempt.Credentials != nil {
			t.Errorf("disabled %v, something kept", c.Access.Disabled)
		}
		c = h.asked(try("otp").Attempt.ID)
		if !c.Access.Disabled || c.Access.Session != nil || c.State() != bank.AccessWaiting {
			t.Errorf("disabled %v, %s", c.Access.Disabled, c.State())
		}
		h.answer(c, canaryCode)
		c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if c.Access.Disabled || c.Access.Credentials == nil || c.Attempt.Credentials != nil || c.Access.NextPoll.IsZero() || c.State() != bank.AccessReady {
			t.Errorf("%s, next at %v", c.State(), c.Access.NextPoll)
		}
	})
}

// TestOldCredentialsStay: new ones are the attempt's until the bank has let them
// in. Whatever else happens, those that worked are still there.
func TestOldCredentialsStay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("simple")
		id, kept, login := c.Access.ID, c.Access.Credentials, c.Access.Fingerprint
		try := func(login string) bank.Case {
			t.Helper()
			c, started, err := h.Fetch(t.Context(), h.person, bank.Refresh{Access: id, Purpose: bank.RefreshAccounts, Credentials: form(login)})
			if err != nil || !started {
				t.Fatalf("%v %v", started, err)
			}
			return c
		}
		same := func(c bank.Case, when string) {
			t.Helper()
			if !bytes.Equal(c.Access.Credentials, kept) || c.Access.Fingerprint != login {
				t.Errorf("%s: the credentials are others", when)
			}
			if !c.Attempt.State.Live() && c.Attempt.Credentials != nil {
				t.Errorf("%s: what was typed is still there", when)
			}
		}
		for story, state := range map[string]bank.AttemptState{"wrongpass": bank.AttemptFailed, "outage": bank.AttemptFailed, "panic": bank.AttemptFailed} {
			same(h.ended(try(story).Attempt.ID, state), story)
		}
		asked := h.asked(try("otp").Attempt.ID)
		same(asked, "while it asks")
		if bytes.Contains(asked.Access.Session, []byte(canarySession)) || len(asked.Attempt.Credentials) == 0 {
			t.Error("the attempt does not have what was typed")
		}
		if _, err := h.Cancel(t.Context(), h.person, asked.Attempt.ID); err != nil {
			t.Fatal(err)
		}
		same(h.access(id), "given up")
		// Those that were kept still work.
		h.ended(h.fetch(id, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		asked = h.asked(try("otp").Attempt.ID)
		h.answer(asked, canaryCode)
		c = h.ended(asked.Attempt.ID, bank.AttemptSucceeded)
		if bytes.Equal(c.Access.Credentials, kept) || c.Access.Fingerprint == login || c.Attempt.Credentials != nil {
			t.Error("the bank let the new ones in, and the old ones are kept")
		}
		h.ended(h.fetch(id, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestBeginAndStopKeeping: "do not store" can be said later, and taken back.
func TestBeginAndStopKeeping(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		id := h.settled("simple").Access.ID
		amend := func(m bank.Amendment) (bank.Case, error) { return h.Amend(t.Context(), h.person, id, m) }
		c, err := amend(bank.Amendment{Lend: &yes})
		if err != nil || c.Access.Credentials != nil || c.Access.Session != nil || !c.Access.NextPoll.IsZero() {
			t.Errorf("something is kept: %v", err)
		}
		_, err = amend(bank.Amendment{Credentials: form("simple")})
		codeOf(t, err, "credentials_not_kept")
		_, err = amend(bank.Amendment{Lend: &no})
		codeOf(t, err, "credentials_needed")
		c, err = amend(bank.Amendment{Lend: &no, Credentials: form("simple")})
		if err != nil || c.Access.Credentials == nil {
			t.Errorf("nothing is kept: %v", err)
		}
		h.ended(h.fetch(id, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
	})
}
