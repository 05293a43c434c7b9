package simdatapass

import (
	"fmt"
	"slices"
	"time"
)

// A request is one demand as the source has it.
type request struct {
	Number       int
	Provider     string
	PublicID     string
	Title        string
	Organization string
	SIRET        string
	Scopes       []string // of the draft: what is asked for now, perhaps never approved
	Applicant    person
	Connect      bool // API Particulier with a FranceConnect authorization made beside
	State        string
	Validated    bool // once
	Reopening    bool

	Authorizations []authorization
	Events         []event

	CreatedAt, SubmittedAt, ValidatedAt, ReopenedAt time.Time

	Touched int // rows come in this order: PostgreSQL puts what was changed at the end
}

// An authorization is one approval.
type authorization struct {
	ID         int
	Definition string
	State      string // active, obsolete, revoked
	Revoked    bool
	CreatedAt  time.Time
	Title      string
	Scopes     []string
}

// An event is one line of a request's history.
type event struct {
	ID     int
	Name   string
	At     time.Time
	By     person
	Reason string
}

type person struct {
	ID                   int
	Email, Given, Family string
}

var (
	people = []person{
		{4410, "claire.morel@exemple.test", "Claire", "Morel"},
		{4411, "amina.diallo@exemple.test", "Amina", "Diallo"},
		{4412, "paul.roche@exemple.test", "Paul", "Roche"},
	}
	instructor = person{77, "instruction@exemple.test", "Nora", "Lefort"}
)

// Moves lists the events that may happen to a request, in the order that a page
// shows them. The format matters: v1 knows no way back from a re-opening.
func (r *request) moves(format string) []string {
	var all []string
	add := func(name string, may bool) {
		if may {
			all = append(all, name)
		}
	}
	in := func(states ...string) bool { return slices.Contains(states, r.State) }
	active := r.active() >= 0
	add("update", in("draft", "changes_requested"))
	add("submit", in("draft", "changes_requested"))
	add("request_changes", in("submitted"))
	add("approve", in("submitted", "changes_requested"))
	add("refuse", in("submitted", "changes_requested"))
	add("reopen", in("validated") && active)
	add("cancel_reopening", format == "v2" && r.Reopening && in("draft", "changes_requested", "submitted"))
	add("transfer", format == "v2" && !in("archived", "revoked"))
	add("revoke", in("validated") || active && format == "v2")
	add("archive", in("draft", "refused", "revoked") && !active)
	return all
}

// active is the place of the newest authorization of the provider's own that
// entitles; -1: none.
func (r *request) active() int {
	for i, a := range slices.Backward(r.Authorizations) {
		if a.State == "active" && !a.Revoked && a.Definition == r.Provider {
			return i
		}
	}
	return -1
}

// errIllegal is what the source says of a button that is not there.
type errIllegal struct{ event, state string }

func (e errIllegal) Error() string {
	return fmt.Sprintf("« %s » n’est pas possible sur une demande en état « %s »", e.event, e.state)
}

// move changes the request as the source's state machine does, and tells which
// deliveries follow: mostly one; none where the source keeps silent; two when an
// authorization made beside goes too. Each delivery is written before the next
// change, because the first says what was true then.
func (r *request) move(name, format string, at time.Time, id func() int, fired func(name string)) error {
	if !slices.Contains(r.moves(format), name) {
		return errIllegal{name, r.State}
	}
	by := instructor
	switch name {
	case "update":
		by = r.Applicant
		r.Title += " (revu)"
	case "submit":
		by, r.State, r.SubmittedAt = r.Applicant, "submitted", at
	case "request_changes":
		r.State = "changes_requested"
	case "refuse":
		r.State = "refused"
		if r.Reopening {
			r.State = "validated" // what was granted stays; the refused draft is in the delivery
		}
	case "approve":
		r.approve(at, id)
	case "reopen":
		by, r.State, r.Reopening, r.ReopenedAt = r.Applicant, "draft", true, at
		r.Title += " (réouverture)"
		r.Scopes = append(slices.Clone(r.Scopes), "demande_en_plus")
	case "cancel_reopening":
		r.State = "validated"
	case "transfer":
		i := slices.IndexFunc(people, func(p person) bool { return p.ID == r.Applicant.ID })
		r.Applicant = people[(i+1)%len(people)]
		by = r.Applicant
	case "archive":
		r.State = "archived"
	case "revoke":
		return r.revoke(at, id, fired)
	}
	reason := ""
	if name == "refuse" || name == "request_changes" {
		reason = "Pièce manquante"
	}
	r.Events = append(r.Events, event{id(), name, at, by, reason})
	fired(name)
	if name == "refuse" || name == "cancel_reopening" {
		r.restore() // after the delivery was written, as at the real one
	}
	return nil
}

func (r *request) approve(at time.Time, id func() int) {
	for i := range r.Authorizations {
		if r.Authorizations[i].State == "active" {
			r.Authorizations[i].State = "obsolete"
		}
	}
	grant := authorization{ID: id(), Definition: r.Provider, State: "active", CreatedAt: at, Title: r.Title, Scopes: slices.Clone(r.Scopes)}
	r.Authorizations = append(r.Authorizations, grant)
	if r.Connect {
		beside := grant
		beside.ID, beside.Definition = id(), "france_connect"
		r.Authorizations = append(r.Authorizations, beside)
	}
	r.State, r.Validated, r.Reopening, r.ValidatedAt = "validated", true, false, at
}

// revoke takes the newest authorization away, and then the one made beside it:
// one delivery each. The request is revoked when nothing entitles any more, but
// not while a re-opening is instructed.
func (r *request) revoke(at time.Time, id func() int, fired func(string)) error {
	first := r.active()
	if first < 0 { // an obsolete one can be revoked too: nothing changes but its mark
		first = slices.IndexFunc(r.Authorizations, func(a authorization) bool { return !a.Revoked })
	}
	for i := range r.Authorizations {
		a := &r.Authorizations[i]
		if beside := r.Connect && a.Definition == "france_connect" && a.State == "active"; i != first && !beside {
			continue
		}
		a.Revoked = true
		if a.State == "active" {
			a.State = "revoked"
		}
		entitled := slices.ContainsFunc(r.Authorizations, func(a authorization) bool { return a.State == "active" && !a.Revoked })
		if !entitled && r.State == "validated" {
			r.State = "revoked"
		}
		r.Events = append(r.Events, event{id(), "revoke", at, instructor, "Fin de la convention"})
		fired("revoke")
	}
	return nil
}

// restore puts the draft of a re-opening that came to nothing back to what was
// approved.
func (r *request) restore() {
	if i := r.active(); r.Reopening && r.State == "validated" && i >= 0 {
		r.Title, r.Scopes, r.Reopening = r.Authorizations[i].Title, slices.Clone(r.Authorizations[i].Scopes), false
	}
}
