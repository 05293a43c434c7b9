package datapass_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"guichet"
	"guichet/grant"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
	"guichet/store/storetest"
)

// Any legal history, with any deliveries lost: looking changes nothing; and once
// what is proposed was done, no token lives that the source took back, none is
// missing that it grants, and there is nothing left to propose.
func TestRepairsConverge(t *testing.T) {
	db := storetest.New(t, store.SQLite)
	s := newScene(t, db)
	s.api.PageSize = 500
	moves := []string{"submit", "approve", "reopen", "submit", "request_changes", "update", "refuse", "cancel_reopening", "revoke", "transfer", "archive"}
	var numbers []string
	rapid.Check(t, func(rt *rapid.T) {
		number := s.create()
		numbers = append(numbers, number)
		var history []string
		for range rapid.IntRange(1, 9).Draw(rt, "length") {
			move := rapid.SampledFrom(moves).Draw(rt, "move")
			lost := rapid.IntRange(0, 2).Draw(rt, "lost") == 0
			var n int
			_, _ = fmt.Sscan(number, &n)
			db.Clock.Advance(10 * time.Minute)
			if lost {
				_ = s.site.Fault(simdatapass.FaultDrop, 2)
			}
			if s.site.Do(n, move) == nil {
				history = append(history, map[bool]string{true: "-"}[lost]+move)
			}
			s.site.Step(t.Context())
			_ = s.site.Fault(simdatapass.FaultDrop, 0)
		}
		before, err := db.Grant().Request(t.Context(), "api_entreprise", number)
		if err != nil {
			rt.Fatal(err)
		}
		s.run()
		if looked, err := db.Grant().Request(t.Context(), "api_entreprise", number); err != nil || looked.Version != before.Version || len(looked.Live()) != len(before.Live()) {
			rt.Fatalf("%v: looking changed it: %v", history, err)
		}
		for range 2 {
			s.repairAll()
			s.run()
		}
		// One thing cannot be repaired: a submission that was lost before a transfer
		// that came. It is late for the rules, grants nothing, and the next event
		// says it too.
		differs := false
		for _, d := range s.drifts(grant.DriftOpen) {
			harmless := d.Kind == grant.DriftStatus && d.Repair == grant.RepairNone && d.Theirs != grant.Validated && d.Theirs != grant.Revoked
			if !harmless {
				rt.Fatalf("%v: %s is left", history, told([]grant.Drift{d}))
			}
			differs = differs || d.ExternalID == number
		}
		after, err := db.Grant().Request(t.Context(), "api_entreprise", number)
		theirs, errThere := s.api.Get(t.Context(), number)
		if err != nil || errThere != nil {
			rt.Fatal(err, errThere)
		}
		word := theirs.Word("api_entreprise")
		if word != after.Status && !differs {
			rt.Fatalf("%v: %s there, %s here", history, word, after.Status)
		}
		if entitled := word == grant.Validated; entitled != (len(after.Live()) == 1) {
			rt.Fatalf("%v: %s there, %d tokens here", history, word, len(after.Live()))
		}
	})
	if len(numbers) < 50 {
		t.Errorf("%d histories", len(numbers))
	}
}

// The former DataPass never tells of an archive; its API does.
func TestFormerFormat(t *testing.T) {
	s := newSceneOf(t, storetest.New(t, store.SQLite), "v1")
	approved := s.create("submit", "approve")
	s.run()
	if s.live(approved) != 1 || len(s.drifts(grant.DriftOpen)) != 0 {
		t.Fatalf("%d live, %s", s.live(approved), told(s.drifts(grant.DriftOpen)))
	}
	s.do(approved, "revoke", "archive")
	s.run()
	if got := told(s.drifts(grant.DriftOpen)); got != "missed_event archive replay" || s.live(approved) != 0 {
		t.Fatalf("%s, %d live", got, s.live(approved))
	}
	s.repairAll()
	s.run()
	if r, err := s.desk.Store.Request(t.Context(), "api_entreprise", approved); err != nil || r.Status != grant.Archived || len(s.drifts(grant.DriftOpen)) != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// A reader that was paused for longer than its sign of life lasts finds that
// another one went on, and writes nothing more.
func TestTakenOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		for range 8 {
			s.create("submit", "approve")
		}
		s.do("50003", "-revoke")
		db.Clock.Advance(10 * time.Minute)
		other := &grant.Reconciler{Desk: s.desk, Store: db.Drifts(), Sources: s.r.Sources, Settle: s.r.Settle}
		var heir grant.Run
		paused := false
		_, err := s.r.Run(t.Context(), "api_entreprise", func(grant.Run) {
			if paused {
				t.Error("it went on")
			}
			paused = true
			db.Clock.Advance(2 * time.Minute)
			var err error
			if heir, err = other.Run(t.Context(), "api_entreprise", nil); err != nil {
				t.Error(err)
			}
		})
		if guichet.CodeOf(err) != "reconcile_taken_over" || heir.State != grant.RunDone || heir.Read != 9 {
			t.Errorf("%v %+v", err, heir)
		}
		runs, err := db.Drifts().Runs(t.Context())
		if err != nil || len(runs) != 1 || runs[0].State != grant.RunDone || runs[0].ID != heir.ID || len(s.drifts(grant.DriftOpen)) != 1 {
			t.Errorf("%+v %v", runs, err)
		}
	})
}

// Two operators at once: one repairs, the other is told; the token is blocked once.
func TestTwoRepairs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := newScene(t, db)
		number := s.create("submit", "approve", "-revoke")
		s.run()
		id := s.drifts(grant.DriftOpen)[0].ID
		ended := make(chan error, 2)
		for range 2 {
			go func() { _, err := s.r.Repair(t.Context(), operator, id, ""); ended <- err }()
		}
		done := 0
		for range 2 {
			switch err := <-ended; {
			case err == nil:
				done++
			case !errors.Is(err, grant.ErrDriftSettled) && !errors.Is(err, grant.ErrNotRepaired) && guichet.KindOf(err) != guichet.Conflict:
				t.Error(err)
			}
		}
		if done != 1 || s.live(number) != 0 {
			t.Errorf("%d repairs, %d live", done, s.live(number))
		}
		if n := db.Value("SELECT COUNT(*) FROM blocklist"); n != "1" {
			t.Errorf("%s blocks", n)
		}
		if left := s.drifts(grant.DriftRepaired); len(left) != 1 || left[0].ID != id {
			t.Errorf("%+v", left)
		}
	})
}
