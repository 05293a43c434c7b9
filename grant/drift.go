package grant

import (
	"cmp"
	"slices"
	"time"

	"guichet"
)

// A DriftKind is a way in which we and the source disagree about a request.
type DriftKind string

// The kinds of drift, the gravest first.
const (
	DriftTokenAlive   DriftKind = "token_alive"         // a token works that the source grants no more
	DriftMissedEvent  DriftKind = "missed_event"        // the source says it happened; no delivery told us
	DriftUnknown      DriftKind = "unknown_request"     // it lives there and was never heard of here
	DriftStatus       DriftKind = "status_differs"      // every event came, and yet
	DriftEntitlement  DriftKind = "entitlement_differs" // validated on both sides, for other scopes
	DriftGoneAtSource DriftKind = "gone_at_source"      // tokens work here and the source has no such request
)

// A Repair is what Guichet proposes about a drift. Only a person carries it out.
type Repair string

// The repairs.
const (
	RepairNone   Repair = ""       // a person must look
	RepairReplay Repair = "replay" // the event that never came goes through the rules
	RepairRevoke Repair = "revoke" // no event can be found: revoked by hand
)

// A Finding is one drift as a comparison sees it.
type Finding struct {
	Kind   DriftKind `json:"kind"`
	What   string    `json:"what"` // tells two drifts of one kind and request apart
	Repair Repair    `json:"repair"`
	Event  Name      `json:"event,omitempty"`    // the event to replay
	Named  string    `json:"event_id,omitempty"` // its number at the source
	At     time.Time `json:"event_at,omitzero"`
	Theirs Status    `json:"theirs,omitempty"`
	Ours   Status    `json:"ours,omitempty"`
	Tokens int       `json:"tokens,omitempty"` // that work and are concerned

	young bool // may settle by itself: an event is on its way
}

// DriftTerms are what a comparison needs beside the two sides.
type DriftTerms struct {
	Terms
	Provider string
	Since    time.Time     // when we began to listen: what is older is not ours to know
	Settle   time.Duration // what happened since may still be on its way
	Revoked  []string      // authorizations that the source lists as taken back, whatever it tells of their requests
}

// slack is how far the instant of an event and that of its delivery may be apart.
const slack = 2 * time.Minute

// Suspicious tells whether a request needs a closer look, from what a list says
// of it. Asking for each history would be one more call per request.
func Suspicious(ours Request, theirs SourceRequest, t DriftTerms) bool {
	word := theirs.Word(t.Definition)
	changed := theirs.changed()
	switch {
	case word == "":
		return false // a word of tomorrow; nothing can be concluded
	case ours.ID == "":
		return changed.After(t.Since) && word != Archived
	case word != ours.Status, word != Validated && len(ours.Live()) > 0:
		return true
	case theirs.SubmittedAt.After(ours.Last.FiredAt.Add(slack)), theirs.ValidatedAt.After(ours.ValidatedAt.Add(slack)) && word == Validated:
		return true
	}
	return word == Validated && (theirs.SIRET != "" && theirs.SIRET != ours.SIRET || len(orphans(ours, theirs, t)) > 0 || !sameScopes(ours, theirs, t))
}

// changed is the last instant that the source tells of a request.
func (s SourceRequest) changed() time.Time {
	last := s.CreatedAt
	for _, at := range []time.Time{s.SubmittedAt, s.ValidatedAt} {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// orphans are the tokens that work although the authorization that gave them was
// taken back.
func orphans(ours Request, theirs SourceRequest, t DriftTerms) (all []Token) {
	for _, token := range ours.Live() {
		if token.Authorization != "" && slices.Contains(t.Revoked, token.Authorization) || slices.ContainsFunc(theirs.Authorizations, func(a SourceAuthorization) bool {
			return a.ID == token.Authorization && a.ID != "" && (a.Revoked || a.State == "revoked")
		}) {
			all = append(all, token)
		}
	}
	return all
}

func sameScopes(ours Request, theirs SourceRequest, t DriftTerms) bool {
	event := t.rebuild(theirs, SourceEvent{Sent: string(Approve), At: t.Now}, nil, ours)
	_, scopes := event.Payload.Entitlement(t.Definition)
	return len(scopes) == 0 || slices.Equal(scopes, ours.Scopes)
}

// rebuild reads back what Rebuilt writes. What cannot be used is an event nobody
// knows, and has no effect.
func (t DriftTerms) rebuild(theirs SourceRequest, e SourceEvent, events []SourceEvent, ours Request) Event {
	event, err := Parse(t.Provider, SourceAPI, Rebuilt(theirs, e, events, ours, t.Definition))
	if err != nil {
		event.Name = UnknownEvent
	}
	return event
}

// Compare lists where we and the source disagree about one request, at most one
// drift for each cause. It reads the whole of both sides and changes nothing. What
// is younger than Settle, or harmless by the rules, is no drift.
func Compare(ours Request, journal []Delivery, theirs SourceRequest, events []SourceEvent, t DriftTerms) []Finding {
	word := theirs.Word(t.Definition)
	if word == "" {
		return nil
	}
	c := comparison{ours: ours, theirs: theirs, events: events, word: word, t: t, missed: missed(journal, events, t)}
	if ours.ID == "" {
		return c.unknown()
	}
	var found []Finding
	found = append(found, c.alive()...)
	found = append(found, c.never(len(found) > 0)...)
	if len(found) == 0 && !c.moving() {
		found = append(found, c.status()...)
	}
	if len(found) == 0 && word == Validated && ours.Status == Validated && !c.moving() && !sameScopes(ours, theirs, t) {
		found = append(found, c.propose(Finding{Kind: DriftEntitlement, What: "scopes"}, Approve))
	}
	return found
}

// missed lists the events that no delivery told us of, the oldest first. Each
// delivery stands for one event, the nearest of its name: of two revocations in a
// second, one may be lost.
func missed(journal []Delivery, events []SourceEvent, t DriftTerms) (all []SourceEvent) {
	told := make([]bool, len(events))
	for _, d := range journal {
		nearest := -1
		for i, e := range events {
			apart := d.FiredAt.Sub(e.At).Abs()
			if !told[i] && d.Effect != Duplicate && nameOf(d.Event) == e.Name() && apart <= slack &&
				(nearest < 0 || apart < d.FiredAt.Sub(events[nearest].At).Abs()) {
				nearest = i
			}
		}
		if nearest >= 0 {
			told[nearest] = true
		}
	}
	for i, e := range events {
		if !told[i] && e.Name() != UnknownEvent && e.Name() != Notify && e.At.After(t.Since) && !e.At.After(t.Now.Add(-t.Settle)) {
			all = append(all, e)
		}
	}
	return all
}

type comparison struct {
	ours   Request
	theirs SourceRequest
	events []SourceEvent
	missed []SourceEvent
	word   Status
	t      DriftTerms
}

// moving tells whether something happened so lately that its delivery may be on
// its way.
func (c comparison) moving() bool {
	return slices.ContainsFunc(c.events, func(e SourceEvent) bool { return e.At.After(c.t.Now.Add(-c.t.Settle)) })
}

// latest is the newest event of the name in a list.
func latest(events []SourceEvent, names ...Name) (last SourceEvent, ok bool) {
	for _, e := range events {
		if slices.Contains(names, e.Name()) && (!ok || !e.At.Before(last.At)) {
			last, ok = e, true
		}
	}
	return last, ok
}

// decide tells what the rules would do with an event, if it came now.
func (c comparison) decide(e SourceEvent) Decision {
	return Apply(c.ours, c.t.rebuild(c.theirs, e, c.events, c.ours), c.t.Terms)
}

func (c comparison) fill(f Finding, e SourceEvent) Finding {
	f.Repair, f.Event, f.Named, f.At = RepairReplay, e.Name(), e.ID, e.At
	f.Theirs, f.Ours = c.word, c.ours.Status
	return f
}

// propose offers to replay the newest event of the names, when there is one that
// the rules would take.
func (c comparison) propose(f Finding, names ...Name) Finding {
	f.Theirs, f.Ours = c.word, c.ours.Status
	if e, ok := latest(c.events, names...); ok && c.decide(e).Effect == Applied {
		return c.fill(f, e)
	}
	return f
}

// alive is the gravest drift: what the source took back works here.
func (c comparison) alive() []Finding {
	f := Finding{Kind: DriftTokenAlive, What: string(c.word), Tokens: len(c.ours.Live())}
	if c.word == Validated {
		lost := orphans(c.ours, c.theirs, c.t)
		if len(lost) == 0 || c.moving() {
			return nil
		}
		f.What, f.Tokens = "partial/"+lost[0].Authorization, len(lost)
	} else if f.Tokens == 0 || c.moving() {
		return nil
	}
	f = c.propose(f, Revoke)
	if f.Repair == RepairReplay {
		if e, ok := latest(c.events, Revoke); ok && len(c.decide(e).Block) >= f.Tokens {
			return []Finding{f}
		}
		f.Repair, f.Event, f.Named, f.At = RepairNone, "", "", time.Time{}
	}
	if c.word == Revoked || c.word == Archived {
		f.Repair = RepairRevoke
	}
	return []Finding{f}
}

// never lists what never came and would do something now: for what grants, only
// if the source grants it still; for what describes, the newest.
func (c comparison) never(alive bool) (all []Finding) {
	for _, names := range [][]Name{{Revoke}, {Approve}, {Archive}, {Transfer}, {Create, Update, Submit, RequestChanges, Refuse, Reopen, CancelReopening}} {
		e, ok := latest(c.missed, names...)
		if !ok || names[0] == Revoke && alive || names[0] == Approve && c.word != Validated {
			continue
		}
		if d := c.decide(e); d.Effect == Applied && (d.Note != NoteNothing || len(d.Block) > 0) || d.Effect == Held {
			all = append(all, c.fill(Finding{Kind: DriftMissedEvent, What: e.Sent + "/" + cmp.Or(e.ID, e.At.UTC().Format(time.RFC3339))}, e))
		}
	}
	return all
}

// status is a difference that no missed event explains.
func (c comparison) status() []Finding {
	if c.word == c.ours.Status || c.word != Validated && !c.ours.PurgedAt.IsZero() {
		return nil
	}
	f := Finding{Kind: DriftStatus, What: string(c.ours.Status) + "/" + string(c.word)}
	switch c.word {
	case Validated:
		f = c.propose(f, Approve)
	case Revoked:
		if f = c.propose(f, Revoke); f.Repair == RepairNone && c.ours.Status == Validated {
			f.Repair = RepairRevoke
		}
	case Archived:
		if f = c.propose(f, Archive); c.ours.Status == Validated {
			f.Repair, f.Event, f.Named, f.At = RepairRevoke, "", "", time.Time{}
		}
	default:
		f = c.propose(f, Create, Update, Submit, RequestChanges, Refuse)
	}
	if d, ok := latest(c.events, f.Event); ok && f.Repair == RepairReplay && c.decide(d).Request.Status != c.word {
		f.Repair, f.Event, f.Named, f.At = RepairNone, "", "", time.Time{} // it would not make the two agree
	}
	return []Finding{f}
}

// unknown is a request that we never heard of. What the source has put away, and
// what did not move since we listen, is none of our business.
func (c comparison) unknown() []Finding {
	if len(c.missed) == 0 || c.word == Archived || c.word == Revoked {
		return nil
	}
	f := Finding{Kind: DriftUnknown, What: string(c.word)}
	if c.word == Validated {
		return []Finding{c.propose(f, Approve)}
	}
	return []Finding{c.propose(f, Create, Update, Submit, RequestChanges, Refuse)}
}

// A DriftState is how far a drift came.
type DriftState string

// The states of a drift.
const (
	DriftOpen      DriftState = "open"      // an operator repairs or dismisses it, or it goes by itself
	DriftDismissed DriftState = "dismissed" // an operator wants it so, as long as it is the same
	DriftRepaired  DriftState = "repaired"  // over, by an operator's deed
	DriftGone      DriftState = "gone"      // over: the two sides agree again
)

// A Drift is a finding that was noted. A row never comes back to life: what goes
// and returns is another drift.
type Drift struct {
	ID         guichet.ID
	Provider   string
	ExternalID string
	Finding
	State    DriftState
	OpenedAt time.Time
	SeenAt   time.Time // by the latest comparison
	ClosedAt time.Time
	ClosedBy string // the operator; empty: nobody
	Reason   string // why it was dismissed
	Alerted  bool
	Version  int64
}

// Subject names the request of the drift.
func (d Drift) Subject() string { return d.Provider + "/" + d.ExternalID }

// same tells whether a finding is this drift.
func (d Drift) same(f Finding) bool { return d.Kind == f.Kind && d.What == f.What }
