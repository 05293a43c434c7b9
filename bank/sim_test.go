package bank_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	simconnector "guichet/connector/sim"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// TestSimulatedBank plays the stories of the simulated bank from the first click
// to the data, over its real pages.
func TestSimulatedBank(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		site := simbank.New(db.Clock.Clock())
		server := httptest.NewServer(site)
		t.Cleanup(server.Close)
		connector, err := simconnector.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		h.Connectors = map[string]bank.Connector{"sim": connector}
		open := func(login string) bank.Case {
			t.Helper()
			c, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: simconnector.Institution, Fields: form(login)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		answer := func(c bank.Case, value string) {
			t.Helper()
			fields := map[string]guichet.Secret{c.Challenge.Question.Fields[0].ID: guichet.Secret(value)}
			if _, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: fields}); err != nil {
				t.Fatal(err)
			}
		}

		c := h.ended(open("simple").Attempt.ID, bank.AttemptSucceeded)
		if c.Attempt.Counts.Accounts == 0 || c.Attempt.Counts.Added == 0 {
			t.Errorf("simple: %+v", c.Attempt.Counts)
		}
		again := h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptSucceeded)
		if again.Attempt.Counts.Added != 0 || again.Attempt.Counts.Promoted != 0 {
			t.Errorf("simple, again: %+v", again.Attempt.Counts)
		}

		c = h.asked(open("otp").Attempt.ID)
		answer(c, "000000")
		c = h.asked(c.Attempt.ID)
		if c.Challenge.LastOutcome != bank.AnswerRejected || c.Challenge.TriesLeft() != 1 {
			t.Errorf("otp, wrong code: %s, %d left", c.Challenge.LastOutcome, c.Challenge.TriesLeft())
		}
		answer(c, "123456")
		c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if n := site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesTried != 2 {
			t.Errorf("otp: the bank saw %+v", n)
		}
		if c.Access.TrustedUntil.Before(db.Clock.Now().Add(100 * 24 * time.Hour)) {
			t.Errorf("otp: trusted until %v", c.Access.TrustedUntil)
		}
		// The device is trusted: the night asks nothing.
		db.Clock.Advance(24 * time.Hour)
		if n, err := h.Poll(t.Context()); err != nil || n != 2 {
			t.Errorf("%d polled, %v", n, err)
		}
		for _, other := range h.overview().Cases {
			h.ended(other.Attempt.ID, bank.AttemptSucceeded)
		}
		if n := site.Counters("otp"); n.CodesSent != 1 {
			t.Errorf("otp: %d codes sent", n.CodesSent)
		}

		c = h.until(open("app-otp").Attempt.ID, "the phone is watched", func(c bank.Case) bool { return c.Challenge.Status == bank.StatusAnswering })
		db.Clock.Advance(4 * time.Second)
		c = h.asked(c.Attempt.ID)
		answer(c, "123456")
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)

		for story, want := range map[string]bank.OutcomeKind{
			"wrongpass": bank.BadCredentials, "expiredpass": bank.CredentialsExpired, "banned": bank.Locked, "terms": bank.ActionRequired,
			"outage": bank.BankUnavailable, "garbage": bank.ConnectorError,
		} {
			c := h.ended(open(story).Attempt.ID, bank.AttemptFailed)
			if c.Attempt.Outcome != want {
				t.Errorf("%s: %s %s", story, c.Attempt.Outcome, c.Attempt.Text)
			}
		}
		if n := len(h.overview().Cases); n != 3 {
			t.Errorf("%d accesses", n)
		}
	})
}
