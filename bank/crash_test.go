package bank_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/store/storetest"
)

// kill makes a process of this house die with its runs: no heartbeat, no job, no
// landing that counts. What it was speaking to the bank goes on, as after a
// pause of the machine: a zombie.
func (h *house) kill() *house {
	h.t.Helper()
	next := h.replica()
	h.die()
	h.db.Clock.Advance(11 * time.Second) // longer than a lease
	return next
}

// slowHeart is a store whose heartbeats take as long as the test wants.
type slowHeart struct {
	bank.Store
	begun, on chan struct{}
	over      atomic.Bool
}

func (s *slowHeart) Beat(ctx context.Context, b bank.Beat) (bool, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	<-s.on
	alive, err := s.Store.Beat(context.WithoutCancel(ctx), b)
	s.over.Store(true)
	return alive, err
}

// What Stop has waited for writes nothing any more: the database may be closed.
func TestStopWaitsForTheHeart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		heart := &slowHeart{Store: h.Store, begun: make(chan struct{}, 1), on: make(chan struct{})}
		h.Store = heart
		h.open("hang")
		<-heart.begun // in the midst of a beat
		h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
		h.bank.release()
		h.eventually("the run has landed", func() bool { return h.count("transactions") == "3" })
		soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := h.Stop(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped beside a beat: %v", err)
		}
		close(heart.on)
		if err := h.Stop(t.Context()); err != nil || !heart.over.Load() {
			t.Errorf("%v; the beat is over: %v", err, heart.over.Load())
		}
	})
}

// mute is a house whose heartbeat never comes, so that its leases end.
func mute(t testing.TB, db *storetest.DB) *house {
	h := newHouse(t, db)
	h.Limits.Beat = time.Hour
	return h
}

// TestServerDiedWithTheCode: the process that had the code in its memory is
// gone. The question stands again, the try counted; the zombie can write nothing.
func TestServerDiedWithTheCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := mute(t, db)
		c := h.asked(h.open("otp-hang").Attempt.ID)
		h.answer(c, canaryCode)
		h.eventually("the code is at the bank", func() bool { return h.bank.atGate() == 1 })
		next := h.kill()
		if swept, err := next.Sweep(t.Context(), ""); err != nil || swept.Revived != 1 {
			t.Fatalf("swept %+v, %v", swept, err)
		}
		c = next.asked(c.Attempt.ID)
		if c.Challenge.Used != 1 || c.Challenge.LastOutcome != bank.Cancelled {
			t.Errorf("revived: %d used, %s", c.Challenge.Used, c.Challenge.LastOutcome)
		}
		// The zombie now gets its data from the bank, and lands.
		before := next.count("audit_entries")
		h.bank.release()
		h.eventually("the zombie landed", func() bool { return strings.Contains(h.logs.String(), "a run ended after its attempt") })
		if after := next.count("audit_entries"); after != before || next.count("accounts") != "0" {
			t.Errorf("a fenced run wrote something: %s accounts", next.count("accounts"))
		}
		next.answer(c, canaryCode)
		next.eventually("the code is at the bank", func() bool { return next.bank.atGate() == 1 })
		next.bank.release()
		next.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestZombieBesideItsHeir: two processes believe they have the answer of one
// question at the bank. Only the one with the higher epoch can land.
func TestZombieBesideItsHeir(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := mute(t, db)
		c := h.asked(h.open("otp-hang").Attempt.ID)
		h.answer(c, canaryCode)
		h.eventually("the code is at the bank", func() bool { return h.bank.atGate() == 1 })
		zombie := h.bank.newGate()
		next := h.kill()
		if _, err := next.Sweep(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		next.answer(next.asked(c.Attempt.ID), canaryCode)
		next.eventually("the code is at the bank again", func() bool { return next.bank.atGate() == 2 })
		close(zombie)
		h.eventually("the zombie landed", func() bool { return strings.Contains(h.logs.String(), "a run ended after its attempt") })
		if now, err := next.Attempt(t.Context(), next.person, c.Attempt.ID); err != nil || now.Challenge.Status != bank.StatusAnswering || next.count("accounts") != "0" {
			t.Errorf("the zombie wrote something: %s, %v", now.Challenge.Status, err)
		}
		next.bank.release()
		next.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestServerDiedAtItsFirstWord: nobody knows whether the bank sent a code, so a
// person's attempt is not repeated by itself.
func TestServerDiedAtItsFirstWord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := mute(t, db)
		c := h.open("hang")
		h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
		next := h.kill()
		if _, err := next.Sweep(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		c = next.ended(c.Attempt.ID, bank.AttemptFailed)
		if c.Attempt.Outcome != bank.Cancelled || c.Attempt.Reason != bank.ReasonShutdown {
			t.Errorf("%s %s", c.Attempt.Outcome, c.Attempt.Reason)
		}
		next.nothingLeft()
		h.bank.release()
		h.eventually("the zombie landed", func() bool { return strings.Contains(h.logs.String(), "a run ended after its attempt") })
		next.nothingLeft()
		if logins, _, _, _ := h.bank.snapshot(); logins != 1 {
			t.Errorf("%d logins", logins)
		}
	})
}

// TestServerDiedDuringTheNight: nobody was there and nothing was asked, so the
// fetch simply goes again.
func TestServerDiedDuringTheNight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := mute(t, db)
		c := h.open("hang")
		h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
		h.bank.release()
		c = h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		h.db.Clock.Advance(24 * time.Hour)
		if n, err := h.Poll(t.Context()); err != nil || n != 1 {
			t.Fatalf("polled %d, %v", n, err)
		}
		h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
		poll, err := h.Access(t.Context(), h.person, c.Access.ID)
		if err != nil || poll.Attempt.Trigger != bank.ByPoll {
			t.Fatalf("%+v, %v", poll.Attempt, err)
		}
		next := h.kill()
		if swept, err := next.Sweep(t.Context(), ""); err != nil || swept.Revived != 1 {
			t.Fatalf("swept %+v, %v", swept, err)
		}
		next.eventually("the bank is spoken to again", func() bool { return next.bank.atGate() == 2 })
		next.bank.release()
		next.ended(poll.Attempt.ID, bank.AttemptSucceeded)
	})
}

// TestServerDiedWatchingThePhone: another process watches on by itself.
func TestServerDiedWatchingThePhone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := mute(t, db)
		c := h.until(h.open("app").Attempt.ID, "the phone is watched", func(c bank.Case) bool { return c.Challenge.Status == bank.StatusAnswering })
		next := h.kill()
		if swept, err := next.Sweep(t.Context(), ""); err != nil || swept.Revived != 1 {
			t.Fatalf("swept %+v, %v", swept, err)
		}
		h.db.Clock.Advance(10 * time.Second) // the bank is left alone for a moment
		next.until(c.Attempt.ID, "the phone is watched again", func(now bank.Case) bool {
			return now.Challenge.Status == bank.StatusAnswering && now.Attempt.Epoch > c.Attempt.Epoch
		})
		h.bank.set(func() { h.bank.phone = "yes" })
		next.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if logins, sent, _, _ := h.bank.snapshot(); logins != 1 || sent != 1 {
			t.Errorf("%d logins, %d questions", logins, sent)
		}
	})
}

// TestStop: a process that is told to stop leaves nothing half done. The code is
// counted, because it may have reached the bank; the question stands.
func TestStop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		c := h.asked(h.open("otp-hang").Attempt.ID)
		h.answer(c, canaryCode)
		h.eventually("the code is at the bank", func() bool { return h.bank.atGate() == 1 })
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := h.replica()
		c = next.asked(c.Attempt.ID)
		if c.Challenge.Used != 1 || c.Attempt.Worker != "" {
			t.Errorf("%d used, worker %q", c.Challenge.Used, c.Attempt.Worker)
		}
		next.bank.set(func() { next.bank.gate = closed() })
		next.answer(c, canaryCode)
		next.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// TestCommitFails at each step, in both ways: nothing stored, or all of it stored
// and only the news lost.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		name := map[bool]string{false: "not stored", true: "stored"}[stored]
		t.Run("open, "+name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				h := newHouse(t, db)
				h.die() // only what this test does commits
				h.dead.Wait()
				db.FailCommit(stored)
				_, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form("otp")})
				codeOf(t, err, "database_unavailable")
				// The client tries again: one access, one attempt, whatever happened.
				c, created, err := h.Open(t.Context(), h.person, bank.Opening{Institution: "fake", Fields: form("otp")})
				if err != nil || created == stored {
					t.Fatalf("again: created %v, %v", created, err)
				}
				next := h.replica()
				next.answer(next.asked(c.Attempt.ID), canaryCode)
				next.ended(c.Attempt.ID, bank.AttemptSucceeded)
				if next.count("accesses") != "1" || next.count("attempts") != "1" {
					t.Errorf("%s accesses, %s attempts", next.count("accesses"), next.count("attempts"))
				}
			})
		})
		t.Run("answer, "+name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				h := mute(t, db) // a heartbeat is a commit too
				c := h.asked(h.open("otp").Attempt.ID)
				h.die()
				h.dead.Wait()
				db.FailCommit(stored)
				r := bank.Reply{Challenge: c.Challenge.ID, Key: "k", Fields: code(canaryCode)}
				_, err := h.Answer(t.Context(), h.person, r)
				codeOf(t, err, "database_unavailable")
				if _, _, tried, _ := h.bank.snapshot(); tried != 0 {
					t.Error("the bank was spoken to although the commit failed")
				}
				next := h.replica()
				c, err = next.Answer(t.Context(), h.person, r)
				if err != nil {
					t.Fatal(err)
				}
				if stored {
					// Taken once, by a process that then lost it: the lease says so.
					db.Clock.Advance(11 * time.Second)
					if swept, err := next.Sweep(t.Context(), ""); err != nil || swept.Revived != 1 {
						t.Fatalf("swept %+v, %v", swept, err)
					}
					c = next.asked(c.Attempt.ID)
					if c.Challenge.Used != 1 {
						t.Errorf("%d used", c.Challenge.Used)
					}
					next.answer(c, canaryCode)
				}
				next.ended(c.Attempt.ID, bank.AttemptSucceeded)
				if _, _, tried, _ := h.bank.snapshot(); tried != 1 {
					t.Errorf("%d codes tried", tried)
				}
			})
		})
		t.Run("landing, "+name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				h := mute(t, db)
				c := h.open("hang")
				h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
				h.die()
				h.dead.Wait()
				db.FailCommit(stored)
				h.bank.release()
				h.eventually("the landing failed", func() bool { return strings.Contains(h.logs.String(), "could not be stored") })
				db.Clock.Advance(11 * time.Second)
				next := h.replica()
				if _, err := next.Sweep(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				if stored {
					next.ended(c.Attempt.ID, bank.AttemptSucceeded)
					if next.count("transactions") != "3" {
						t.Errorf("%s transactions", next.count("transactions"))
					}
					return
				}
				next.ended(c.Attempt.ID, bank.AttemptFailed)
				next.nothingLeft()
			})
		})
	}
}

// TestLandingIsWhole: whatever statement of it fails, nothing of it is stored.
func TestLandingIsWhole(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"accounts", "transactions", "audit_entries", "accesses"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				h := mute(t, db)
				c := h.open("hang")
				h.eventually("the bank is spoken to", func() bool { return h.bank.atGate() == 1 })
				heal := db.FailStatement(table, map[bool]string{true: "UPDATE", false: "INSERT"}[table == "accesses"])
				h.bank.release()
				h.eventually("the landing failed", func() bool { return strings.Contains(h.logs.String(), "could not be stored") })
				heal()
				if n := h.count("accounts") + h.count("transactions"); n != "00" {
					t.Errorf("accounts and transactions: %s", n)
				}
				if c, err := h.Attempt(context.Background(), h.person, c.Attempt.ID); err != nil || c.Attempt.State != bank.AttemptRunning {
					t.Errorf("the attempt is %s, %v", c.Attempt.State, err)
				}
				h.db.Clock.Advance(11 * time.Second)
				if _, err := h.Sweep(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				h.ended(c.Attempt.ID, bank.AttemptFailed)
			})
		})
	}
}

// TestNoWorkerEverCame: an attempt does not wait for a worker for ever.
func TestNoWorkerEverCame(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.die()
		h.dead.Wait()
		c := h.open("simple")
		h.db.Clock.Advance(11 * time.Minute)
		if swept, err := h.Sweep(t.Context(), ""); err != nil || swept.Revived != 1 || swept.Removed != 1 {
			t.Errorf("swept %+v, %v", swept, err)
		}
		h.ended(c.Attempt.ID, bank.AttemptFailed)
		h.nothingLeft()
		// What is left of it goes too, in its time.
		h.db.Clock.Advance(8 * 24 * time.Hour)
		if _, err := h.Sweep(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		_, err := h.Attempt(t.Context(), h.person, c.Attempt.ID)
		if guichet.CodeOf(err) != "unknown_attempt" {
			t.Errorf("still there: %v", err)
		}
	})
}
