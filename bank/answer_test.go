package bank_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/store/storetest"
)

func TestCancelCreation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		if _, err := h.Cancel(t.Context(), h.person, c.Attempt.ID); err != nil {
			t.Fatal(err)
		}
		h.nothingLeft()
		if c = h.ended(c.Attempt.ID, bank.AttemptCancelled); c.Challenge.Status != bank.StatusCancelled {
			t.Errorf("the question is %s", c.Challenge.Status)
		}
		if _, err := h.Cancel(t.Context(), h.person, c.Attempt.ID); err != nil {
			t.Errorf("cancelling twice: %v", err)
		}
		_, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: code(canaryCode)})
		codeOf(t, err, "question_over")
	})
}

func TestCancelRefreshOnlyStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.settled("otp")
		h.bank.set(func() { h.bank.asks = true })
		before := h.picture()
		c = h.asked(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID)
		if _, err := h.Cancel(t.Context(), h.person, c.Attempt.ID); err != nil {
			t.Fatal(err)
		}
		if after := h.picture(); len(after.Accounts) != len(before.Accounts) || len(after.Transactions) != len(before.Transactions) {
			t.Errorf("cancelling a refresh removed something: %+v", after)
		}
		if c, err := h.Access(t.Context(), h.person, c.Access.ID); err != nil || c.Access.Pause != bank.PausedForAnswer {
			t.Errorf("the bank asks, so the night leaves it alone: %q, %v", c.Access.Pause, err)
		}
	})
}

// TestCancelStopsTheConnector: here at once, and in another process at its next
// heartbeat; in both nothing of the run is stored, even if it then succeeds.
func TestCancelStopsTheConnector(t *testing.T) { // not beside others of this package: it has one second
	for _, elsewhere := range []bool{false, true} {
		name := map[bool]string{false: "same process", true: "another process"}[elsewhere]
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				h := newHouse(t, db)
				if !elsewhere {
					h.Limits.Beat = time.Hour // it does not take a heartbeat
				}
				c := h.open("hang")
				h.until(c.Attempt.ID, "a run", func(c bank.Case) bool { return c.Attempt.State == bank.AttemptRunning && h.running() == 1 })
				by := h
				if elsewhere {
					by = h.replica()
				}
				began := time.Now()
				if _, err := by.Cancel(t.Context(), h.person, c.Attempt.ID); err != nil {
					t.Fatal(err)
				}
				h.eventually("the connector stopped", func() bool { return h.running() == 0 })
				if took := time.Since(began); took > time.Second {
					t.Errorf("the connector stopped after %v", took)
				}
				h.nothingLeft()
			})
		})
	}
}

func (h *house) running() int {
	_, _, _, open := h.bank.snapshot()
	return open
}

// eventually waits for what no row tells.
func (h *house) eventually(what string, done func() bool) {
	h.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s\n%s", what, h.logs)
		}
	}
}

// TestTwoTabs: two answers to one question at the same moment, from two
// processes. One wins; the bank sees one code; the other is told.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		other := h.replica()
		for round := range 5 {
			c := h.asked(h.open([]string{"otp-hang", "otp-hang2", "otp-hang3", "otp-hang4", "otp-hang5"}[round]).Attempt.ID)
			_, _, before, _ := h.bank.snapshot()
			errs := make([]error, 8)
			var ready, tabs sync.WaitGroup
			ready.Add(1)
			for i := range errs {
				desk := h
				if i%2 == 1 {
					desk = other
				}
				tabs.Go(func() {
					ready.Wait()
					_, errs[i] = desk.Answer(context.Background(), h.person, bank.Reply{Challenge: c.Challenge.ID, Version: c.Challenge.Version, Fields: code(canaryCode)})
				})
			}
			ready.Done()
			tabs.Wait()
			won := 0
			for _, err := range errs {
				switch code := guichet.CodeOf(err); {
				case err == nil:
					won++
				case code != "changed_meanwhile" && code != "question_busy":
					t.Errorf("a tab was told %v", err)
				}
			}
			if won != 1 {
				t.Errorf("%d tabs won", won)
			}
			h.eventually("the bank has the code", func() bool { return h.bank.atGate() == 1 })
			h.bank.release()
			h.ended(c.Attempt.ID, bank.AttemptSucceeded)
			if _, _, tried, _ := h.bank.snapshot(); tried != before+1 {
				t.Errorf("the bank saw %d codes", tried-before)
			}
		}
	})
}

func TestSameKeyIsSameAnswer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		r := bank.Reply{Challenge: c.Challenge.ID, Version: c.Challenge.Version, Key: "k1", Fields: code(wrongCode)}
		for range 3 { // a client that repeats itself
			if _, err := h.Answer(t.Context(), h.person, r); err != nil {
				t.Fatal(err)
			}
		}
		c = h.asked(c.Attempt.ID)
		// However late the same request comes, it spends no second try.
		if _, err := h.Answer(t.Context(), h.person, r); err != nil {
			t.Fatal(err)
		}
		if _, _, tried, _ := h.bank.snapshot(); tried != 1 || c.Challenge.Used != 1 {
			t.Errorf("%d tried, %d used", tried, c.Challenge.Used)
		}
		// An old tab that would answer anew sees that the question has moved.
		r.Key = "k2"
		_, err := h.Answer(t.Context(), h.person, r)
		codeOf(t, err, "changed_meanwhile")
	})
}

func TestWrongCodeThenRightCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		h.answer(c, wrongCode)
		c = h.asked(c.Attempt.ID)
		if c.Challenge.LastOutcome != bank.AnswerRejected || c.Challenge.TriesLeft() != 1 || c.Challenge.LastText != "Code incorrect" {
			t.Errorf("after a wrong code: %+v", c.Challenge)
		}
		h.answer(c, canaryCode)
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if logins, sent, tried, _ := h.bank.snapshot(); logins != 1 || sent != 1 || tried != 2 {
			t.Errorf("%d logins, %d sent, %d tried", logins, sent, tried)
		}
	})
}

func TestTwoWrongCodesEndIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		h.answer(c, wrongCode)
		h.answer(h.asked(c.Attempt.ID), wrongCode)
		c = h.ended(c.Attempt.ID, bank.AttemptFailed)
		if c.Attempt.Outcome != bank.AnswerRejected || c.Challenge.Status != bank.StatusFailed {
			t.Errorf("%s, %s", c.Attempt.Outcome, c.Challenge.Status)
		}
		if _, _, tried, _ := h.bank.snapshot(); tried != 2 {
			t.Errorf("%d codes tried; the bank locks at three", tried)
		}
		h.nothingLeft()
	})
}

// TestMisspelt: what cannot be a code spends no try and does not reach the bank.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		for value, want := range map[string]string{"": "field_required", "12345": "field_invalid", "12345x": "field_invalid", "1234567": "field_invalid"} {
			_, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: code(value)})
			codeOf(t, err, want)
		}
		_, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: map[string]guichet.Secret{"code": canaryCode, "x": "y"}})
		codeOf(t, err, "field_unknown")
		if now := h.asked(c.Attempt.ID); now.Challenge.Used != 0 || now.Challenge.Version != c.Challenge.Version {
			t.Errorf("%d used, version %d", now.Challenge.Used, now.Challenge.Version)
		}
		if _, _, tried, _ := h.bank.snapshot(); tried != 0 {
			t.Errorf("%d reached the bank", tried)
		}
	})
}

func TestSecondQuestionAfterTheFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		first := h.asked(h.open("otp-otp").Attempt.ID)
		h.answer(first, canaryCode)
		second := h.until(first.Attempt.ID, "a second question", func(c bank.Case) bool {
			return c.Challenge.Seq == 2 && c.Challenge.Status == bank.StatusOpen
		})
		if second.Challenge.Question.Method != bank.OTPDevice || second.Challenge.TriesLeft() != 2 {
			t.Errorf("the second question: %+v", second.Challenge)
		}
		// The tab that shows the first one is told.
		_, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: first.Challenge.ID, Version: first.Challenge.Version, Fields: code(canaryCode)})
		codeOf(t, err, "question_over")
		h.answer(second, canaryCode)
		h.ended(first.Attempt.ID, bank.AttemptSucceeded)
	})
}

func TestValidationOnThePhone(t *testing.T) {
	t.Parallel()
	watched := func(c bank.Case) bool { return c.Challenge.Status == bank.StatusAnswering }
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.until(h.open("app").Attempt.ID, "the phone is watched", watched)
		if c.Attempt.State != bank.AttemptWaiting || c.Question() == nil || c.Challenge.Question.Medium != "Téléphone de Camille" {
			t.Errorf("while the phone is watched: attempt %s, %+v", c.Attempt.State, c.Challenge)
		}
		// "I have validated" is no answer of its own.
		if _, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID}); err != nil {
			t.Errorf("saying so: %v", err)
		}
		h.bank.set(func() { h.bank.phone = "yes" })
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

func TestRefusedOnThePhone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.bank.set(func() { h.bank.phone = "no" })
		c := h.ended(h.open("app").Attempt.ID, bank.AttemptFailed)
		if c.Attempt.Outcome != bank.ChallengeDeclined || c.Challenge.Status != bank.StatusDeclined {
			t.Errorf("%s, %s", c.Attempt.Outcome, c.Challenge.Status)
		}
		h.nothingLeft()
	})
}

func TestPhoneThenCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.bank.set(func() { h.bank.phone = "yes" })
		c := h.asked(h.open("app-otp").Attempt.ID)
		if c.Challenge.Seq != 2 {
			t.Errorf("question %d", c.Challenge.Seq)
		}
		h.answer(c, canaryCode)
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

func TestResend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		first := h.asked(h.open("otp").Attempt.ID)
		if _, err := h.Resend(t.Context(), h.person, first.Challenge.ID, first.Challenge.Version, ""); err != nil {
			t.Fatal(err)
		}
		second := h.until(first.Attempt.ID, "the code again", func(c bank.Case) bool { return c.Challenge.Seq == 2 })
		if _, sent, _, _ := h.bank.snapshot(); sent != 2 || second.Challenge.Used != 0 {
			t.Errorf("%d sent, %d used", sent, second.Challenge.Used)
		}
		old, err := h.Store.Case(t.Context(), bank.Ref{Challenge: first.Challenge.ID})
		if err != nil || old.Challenge.Status != bank.StatusSuperseded {
			t.Errorf("the first question is %s, %v", old.Challenge.Status, err)
		}
		for range 2 { // three in all
			second, err = h.Resend(t.Context(), h.person, second.Challenge.ID, 0, "")
			if err != nil {
				t.Fatal(err)
			}
			seq := second.Challenge.Seq
			second = h.until(first.Attempt.ID, "the code again", func(c bank.Case) bool { return c.Challenge.Seq == seq+1 })
		}
		_, err = h.Resend(t.Context(), h.person, second.Challenge.ID, 0, "")
		codeOf(t, err, "no_resend")
		h.answer(second, canaryCode)
		h.ended(first.Attempt.ID, bank.AttemptSucceeded)
	})
}

func TestOutageDoesNotSpendATry(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp").Attempt.ID)
		for range 3 {
			h.bank.set(func() { h.bank.down = true })
			h.answer(c, canaryCode)
			c = h.asked(c.Attempt.ID)
			if c.Challenge.LastOutcome != bank.BankUnavailable || c.Challenge.Used != 0 {
				t.Errorf("after an outage: %s, %d used", c.Challenge.LastOutcome, c.Challenge.Used)
			}
		}
		h.bank.set(func() { h.bank.down = false })
		h.answer(c, canaryCode)
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestSomeoneElse: what is not yours does not exist.
func TestSomeoneElse(t *testing.T) {
	t.Parallel()
	stranger := guichet.Actor{Kind: guichet.ByPerson, ID: "0190b6e4-0000-7000-8000-000000000002"}
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		account := func() guichet.ID { return h.overview().Accounts[0].ID }
		h.settled("simple")
		c := h.asked(h.open("otp").Attempt.ID)
		for _, by := range []guichet.Actor{stranger, {Kind: guichet.ByPerson}, {}} {
			_, err := h.Answer(t.Context(), by, bank.Reply{Challenge: c.Challenge.ID, Fields: code(canaryCode)})
			codeOf(t, err, "unknown_question")
			_, err = h.Cancel(t.Context(), by, c.Attempt.ID)
			codeOf(t, err, "unknown_attempt")
			_, err = h.Attempt(t.Context(), by, c.Attempt.ID)
			codeOf(t, err, "unknown_attempt")
			codeOf(t, h.Delete(t.Context(), by, c.Access.ID), "unknown_access")
			codeOf(t, h.Discard(t.Context(), by, c.Access.ID), "unknown_access")
			_, err = h.Resume(t.Context(), by, c.Access.ID)
			codeOf(t, err, "unknown_access")
			_, err = h.Access(t.Context(), by, c.Access.ID)
			codeOf(t, err, "unknown_access")
			_, err = h.Amend(t.Context(), by, c.Access.ID, bank.Amendment{})
			codeOf(t, err, "unknown_access")
			_, _, err = h.Fetch(t.Context(), by, bank.Refresh{Access: c.Access.ID, Purpose: bank.RefreshAccounts})
			codeOf(t, err, "unknown_access")
			_, _, err = h.Fetch(t.Context(), by, bank.Refresh{Access: c.Access.ID, Fields: code(canaryCode)})
			codeOf(t, err, "unknown_access")
			_, err = h.Transactions(t.Context(), by, bank.TransactionFilter{Account: account()})
			codeOf(t, err, "unknown_account")
			if o, err := h.Overview(t.Context(), by); len(o.Cases)+len(o.Accounts)+len(o.Transactions) != 0 || err == nil && by.ID == "" {
				t.Errorf("%v sees %+v, %v", by, o, err)
			}
		}
		// The same login at the same bank by someone else would send a second code.
		_, _, err := h.Open(t.Context(), stranger, bank.Opening{Institution: "fake", Fields: form("otp")})
		codeOf(t, err, "login_busy")
		h.answer(c, canaryCode)
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}
