package datapass_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

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
