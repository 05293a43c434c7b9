package grant

import (
	"context"
	"errors"
	"time"

	"guichet"
)

// Errors of settling what waits for an operator.
var (
	ErrSettled     = &guichet.Error{Kind: guichet.Conflict, Code: "already_settled", Reason: "This delivery was settled already, or does not wait for anybody."}
	ErrNotHeld     = &guichet.Error{Kind: guichet.Conflict, Code: "not_held", Reason: "Only an approval that is held can be accepted."}
	ErrOvertaken   = &guichet.Error{Kind: guichet.Conflict, Code: "overtaken", Reason: "A later revocation arrived since. Nothing was restored."}
	ErrNeedsReason = &guichet.Error{Kind: guichet.Invalid, Code: "reason_needed", Field: "reason", Reason: "Say why, for those who read this later."}
)

// Accept is what an approval does that was held, once an operator wants it: as if
// the request had never been validated. A revocation that is newer than the
// approval wins all the same.
func Accept(r Request, e Event, t Terms) Decision {
	if e.Name != Approve || late(r, e) {
		return Apply(r, e, t)
	}
	r.Status, r.RevokedAt, r.ArchivedAt, r.Tombstone = Submitted, time.Time{}, time.Time{}, false
	return Apply(r, e, t)
}

// A Preview is what a delivery would do now, if it were given to the rules.
type Preview struct {
	Delivery Delivery
	Before   Request
	Decision Decision
	Problem  string // why it is still unusable; empty: it is usable
	Accepted bool   // what accepting it would do, since replaying would hold it again
	Again    bool   // it was applied before: a replay has no effect
}

// DryRun tells what replaying a delivery, or accepting it, would do. It changes
// nothing.
func (d *Desk) DryRun(ctx context.Context, id guichet.ID) (p Preview, err error) {
	if p.Delivery, err = d.Store.Delivery(ctx, id); err != nil {
		return p, err
	}
	if p.Delivery.Body == nil {
		return p, ErrWiped
	}
	event, problem := Parse(p.Delivery.Provider, p.Delivery.Format, p.Delivery.Body)
	now := d.Clock.Now()
	switch {
	case problem != nil:
		p.Problem = problem.Error()
		if cause := errors.Unwrap(problem); cause != nil {
			p.Problem = cause.Error()
		}
		return p, nil
	case event.FiredAt.After(now.Add(futureTolerance)):
		p.Problem = "fired_at is in the future"
		return p, nil
	}
	p.Before, err = d.Store.Request(ctx, p.Delivery.Provider, event.ExternalID)
	if guichet.CodeOf(err) == ErrNoRequest.Code {
		p.Before, err = Request{Provider: p.Delivery.Provider, ExternalID: event.ExternalID}, nil
	}
	if err != nil {
		return p, err
	}
	terms := d.terms(p.Delivery.Provider, now)
	switch p.Delivery.Effect {
	case Held:
		p.Accepted, p.Decision = true, Accept(p.Before, event, terms)
	case Quarantined:
		p.Decision = Apply(p.Before, event, terms)
	default:
		p.Again, p.Decision.Effect, p.Decision.Note, p.Decision.Request = true, Duplicate, NoteNothing, p.Before
	}
	return p, nil
}

// Accept applies an approval that was held. It is a new line of the journal, by
// the hand of the operator, and settles the old one.
func (d *Desk) Accept(ctx context.Context, by guichet.Actor, id guichet.ID, reason string) (done Delivery, err error) {
	old, err := d.waiting(ctx, id, reason)
	switch {
	case err != nil:
		return Delivery{}, err
	case old.Effect != Held:
		return Delivery{}, ErrNotHeld
	case old.Body == nil:
		return Delivery{}, ErrWiped
	}
	event, problem := Parse(old.Provider, old.Format, old.Body)
	if problem != nil {
		return Delivery{}, problem
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		now := d.Clock.Now()
		done = Delivery{
			ID: d.Clock.NewID(), Provider: old.Provider, Format: old.Format, ExternalID: old.ExternalID, Event: event.Sent,
			ModelType: event.ModelType, FiredAt: event.FiredAt, ReceivedAt: now, Identity: old.Identity, Body: old.Body,
			BodyHash: old.BodyHash, Actor: by, ReplayOf: old.ID,
		}
		request, _, err := tx.Find(old.Provider, old.ExternalID, old.Identity)
		if err != nil {
			return err
		}
		if s := request.Situation(); s != IsRevoked && s != IsArchived {
			return ErrSettled // by somebody else, or by what came since
		}
		decision := Accept(request, event, d.terms(old.Provider, now))
		if decision.Effect != Applied {
			return ErrOvertaken
		}
		done.Before = request.Status
		if err := d.audit(tx, by, "delivery.accepted", done.Chain(), map[string]string{"delivery": id.String(), "reason": reason}); err != nil {
			return err
		}
		if err := tx.Resolve(old.ID, now); err != nil {
			return err
		}
		return d.carryOut(tx, &done, request, decision, event)
	})
	return done, err
}

// Dismiss settles a delivery that was held or quarantined without doing anything
// of what it asks for.
func (d *Desk) Dismiss(ctx context.Context, by guichet.Actor, id guichet.ID, reason string) error {
	old, err := d.waiting(ctx, id, reason)
	if err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx Tx) error {
		if _, _, err := tx.Find(old.Provider, old.ExternalID, [32]byte{}); err != nil {
			return err
		}
		if err := tx.Resolve(old.ID, d.Clock.Now()); err != nil {
			return err
		}
		return d.audit(tx, by, "delivery.dismissed", old.Chain(), map[string]string{"delivery": id.String(), "reason": reason})
	})
}

// waiting finds a delivery that waits for an operator.
func (d *Desk) waiting(ctx context.Context, id guichet.ID, reason string) (Delivery, error) {
	if reason == "" {
		return Delivery{}, ErrNeedsReason
	}
	old, err := d.Store.Delivery(ctx, id)
	if err == nil && (!old.Resolved.IsZero() || old.Effect != Held && old.Effect != Quarantined) {
		err = ErrSettled
	}
	return old, err
}

// Note records a deed that changes nothing else, such as an export.
func (d *Desk) Note(ctx context.Context, by guichet.Actor, deed, subject string, detail map[string]string) error {
	return d.Store.Update(ctx, func(tx Tx) error { return d.audit(tx, by, deed, subject, detail) })
}
