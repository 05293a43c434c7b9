package grant

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// source is DataPass as far as one request goes: its state, its authorizations,
// and whether it is being re-opened. It fires what a real one would, in order, a
// second or more apart.
type source struct {
	state          Status
	reopening      bool
	authorizations []Authorization
	version        int // of what is written in the form
	at             time.Time
	fired          []Event
}

func (s *source) fire(name Name) {
	s.at = s.at.Add(time.Second)
	e := sampleEvent(name, s.state)
	e.FiredAt = s.at
	e.Payload.Title, e.Payload.Scopes = fmt.Sprint("form ", s.version), []string{fmt.Sprint("scope_", s.version)}
	e.Payload.Listed, e.Payload.Authorizations = true, slices.Clone(s.authorizations)
	s.fired = append(s.fired, e)
}

// active is the authorization that stands; there is one at most.
func (s *source) active() int {
	return slices.IndexFunc(s.authorizations, func(a Authorization) bool { return a.State == "active" })
}

// step does one legal thing. It returns false when nothing more can happen.
func (s *source) step(t *rapid.T) bool {
	type move struct {
		name Name
		do   func()
	}
	var legal []move
	add := func(when bool, name Name, do func()) {
		if when {
			legal = append(legal, move{name, do})
		}
	}
	written := s.state == Draft || s.state == ChangesRequested
	instructed := s.state == Submitted || s.state == ChangesRequested
	settle := func(state Status) func() { return func() { s.state, s.reopening = state, false } }
	add(written, Update, func() { s.version++ })
	add(written, Submit, func() { s.state = Submitted })
	add(s.state == Submitted, RequestChanges, func() { s.state = ChangesRequested })
	add(instructed, Approve, func() {
		if i := s.active(); i >= 0 {
			s.authorizations[i].State = "obsolete"
		}
		s.state, s.reopening = Validated, false
		s.authorizations = append(s.authorizations, Authorization{
			ID: fmt.Sprint("a", len(s.authorizations)), Definition: terms.Definition, State: "active",
			Title: fmt.Sprint("form ", s.version), Scopes: []string{fmt.Sprint("scope_", s.version)},
		})
	})
	add(instructed && !s.reopening, Refuse, settle(Refused))
	add(instructed && s.reopening, Refuse, settle(Validated))
	add(s.state == Validated, Reopen, func() { s.state, s.reopening, s.version = Draft, true, s.version+1 })
	add((written || instructed) && s.reopening, CancelReopening, settle(Validated))
	add(s.state == Validated, Revoke, func() {
		s.state = Revoked
		for i := range s.authorizations {
			s.authorizations[i].State, s.authorizations[i].Revoked = "revoked", true
		}
	})
	add((s.state == Draft || s.state == Refused || s.state == Revoked) && s.active() < 0, Archive, settle(Archived))
	if len(legal) == 0 {
		return false
	}
	m := legal[rapid.IntRange(0, len(legal)-1).Draw(t, "move")]
	m.do()
	s.fire(m.name)
	return true
}

var history = rapid.Custom(func(t *rapid.T) []Event {
	s := &source{state: Draft, at: noon}
	s.fire(Create)
	for range rapid.IntRange(0, 20).Draw(t, "steps") {
		if !s.step(t) {
			break
		}
	}
	return s.fired
})

// told is what a request comes to: what people, gateways and applicants see of it.
type told struct {
	Situation Situation
	Status    Status
	Live      int
	Scopes    string // of what the live token may do
	Title     string
	Archived  bool
}

func tell(events []Event) told {
	r, n := sample(Unknown), 0
	for _, e := range events {
		r = carry(r, Apply(r, e, terms), &n)
	}
	out := told{Situation: r.Situation(), Status: r.Status, Live: len(r.Live()), Archived: !r.ArchivedAt.IsZero()}
	if out.Live > 0 {
		out.Scopes = fmt.Sprint(r.Scopes)
	}
	if r.Status != Revoked && r.Status != Archived { // those ask of a delivery nothing but whom it is about
		out.Title = r.Title
	}
	return out
}

// However late, often and disordered its deliveries come, a legal history ends in
// the state that it has in order. Transfers are not in it: they tell people apart
// from the rest, and what one overtakes is late for good.
func TestAnyOrderOfAHistoryEndsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history.Draw(t, "history")
		want := tell(events)
		copies := slices.Clone(events)
		for range rapid.IntRange(0, len(events)).Draw(t, "copies") {
			copies = append(copies, events[rapid.IntRange(0, len(events)-1).Draw(t, "copy")])
		}
		if got := tell(rapid.Permutation(copies).Draw(t, "order")); got != want {
			t.Fatalf("in order: %+v\nthus:     %+v", want, got)
		}
	})
}
