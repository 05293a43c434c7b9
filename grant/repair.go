package grant

import (
	"context"
	"slices"
	"strings"

	"guichet"
)

// Repair carries out what was proposed about a drift, as the deed of a person. The
// source is asked again first: a drift that is gone is closed and nothing is done.
//
// If we die after the repair and before the drift is closed, the next comparison
// closes it: the two sides agree by then.
func (r *Reconciler) Repair(ctx context.Context, by guichet.Actor, id guichet.ID, reason string) (Drift, error) {
	drift, err := r.Store.Drift(ctx, id)
	if err != nil {
		return Drift{}, err
	}
	source, ok := r.Sources[drift.Provider]
	switch {
	case drift.State != DriftOpen:
		return drift, ErrDriftSettled
	case !ok:
		return drift, ErrNoSource
	}
	revoked, err := source.Revoked(ctx)
	if err != nil {
		return drift, err
	}
	found, theirs, events, err := r.compare(ctx, source, drift.Provider, drift.ExternalID, revoked)
	if err != nil {
		return drift, err
	}
	i := slices.IndexFunc(found, drift.same)
	if i < 0 {
		if err := r.again(ctx, drift, found); err != nil {
			return drift, err
		}
		return drift, ErrDriftSettled
	}
	drift.Finding = found[i]
	switch drift.Repair {
	case RepairReplay:
		err = r.replay(ctx, by, drift, theirs, events)
	case RepairRevoke:
		if reason = strings.TrimSpace(reason); reason == "" {
			reason = "reconciliation"
		}
		_, err = r.Desk.Revoke(ctx, by, drift.Provider, drift.ExternalID, reason)
	default:
		err = ErrNothingToDo
	}
	if err != nil {
		return drift, err
	}
	if drift, err = r.close(ctx, by, id, DriftRepaired, reason); err != nil {
		return drift, err
	}
	if found, err = r.examine(ctx, source, drift.Provider, drift.ExternalID, revoked); err != nil {
		return drift, nil //nolint:nilerror // it is repaired; the next run looks at what else there is
	}
	return drift, r.again(ctx, drift, found)
}

// replay gives the rules the event that never came, under its own instant, after
// those that were missed before it and only describe the request: the rules would
// take them for late afterwards. Each is a line of the journal by the hand of
// whoever asked. If we die in between, what is left is a drift still.
func (r *Reconciler) replay(ctx context.Context, by guichet.Actor, drift Drift, theirs SourceRequest, events []SourceEvent) error {
	i := slices.IndexFunc(events, func(e SourceEvent) bool {
		return e.Name() == drift.Event && e.ID == drift.Named && e.At.Equal(drift.At)
	})
	if i < 0 {
		return ErrDriftSettled
	}
	queue := []SourceEvent{events[i]}
	if drift.Kind == DriftMissedEvent {
		journal, err := r.Desk.Store.Deliveries(ctx, DeliveryFilter{Provider: drift.Provider, ExternalID: drift.ExternalID, Limit: deliveriesLooked})
		if err != nil {
			return err
		}
		t, err := r.terms(ctx, drift.Provider, nil)
		if err != nil {
			return err
		}
		before := missed(journal, events[:i], t)
		before = slices.DeleteFunc(before, func(e SourceEvent) bool { return e.Name().grants() })
		queue = append(before, queue...)
	}
	for n, e := range queue {
		ours, err := r.ours(ctx, drift.Provider, drift.ExternalID)
		if err != nil {
			return err
		}
		body := Rebuilt(theirs, e, events, ours, r.Desk.Providers[drift.Provider].DefinitionID())
		done, err := r.Desk.take(ctx, by, drift.Provider, SourceAPI, "", body)
		if err != nil {
			return err
		}
		if n == len(queue)-1 && done.Effect != Applied && done.Effect != Held {
			return ErrNotRepaired
		}
	}
	return nil
}

// Dismiss says that a drift is wanted so. It stays dismissed as long as it is the
// same, and no alert is raised about it again.
func (r *Reconciler) Dismiss(ctx context.Context, by guichet.Actor, id guichet.ID, reason string) (Drift, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return Drift{}, ErrNeedsReason
	}
	return r.close(ctx, by, id, DriftDismissed, reason)
}

func (r *Reconciler) close(ctx context.Context, by guichet.Actor, id guichet.ID, state DriftState, reason string) (closed Drift, err error) {
	old, err := r.Store.Drift(ctx, id)
	if err != nil {
		return old, err
	}
	err = r.Store.Update(ctx, func(tx DriftTx) error {
		standing, err := tx.Drifts(old.Provider, old.ExternalID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(standing, func(d Drift) bool { return d.ID == id && d.State == DriftOpen })
		if i < 0 {
			return ErrDriftSettled
		}
		closed = standing[i]
		now := r.Desk.Clock.Now()
		closed.State, closed.ClosedAt, closed.ClosedBy, closed.Reason = state, now, by.Name, reason
		if err := tx.SaveDrift(&closed); err != nil {
			return err
		}
		return tx.Audit(guichet.AuditEntry{
			ID: r.Desk.Clock.NewID(), At: now, Actor: by, Deed: "drift." + string(state), Subject: closed.Subject(),
			Detail: jsonOf(map[string]string{"drift": id.String(), "kind": string(closed.Kind), "event": string(closed.Event), "reason": reason}),
		})
	})
	return closed, err
}

// again notes what a fresh comparison of the drift's request found.
func (r *Reconciler) again(ctx context.Context, d Drift, found []Finding) error {
	return r.Store.Update(ctx, func(tx DriftTx) error { return r.settle(tx, nil, d.Provider, d.ExternalID, found) })
}

// Ask makes a reconciliation run soon, wherever jobs run. Asking twice is asking
// once.
func (r *Reconciler) Ask(ctx context.Context, by guichet.Actor, provider string) error {
	if _, ok := r.Sources[provider]; !ok {
		return ErrNoSource
	}
	return r.Store.Update(ctx, func(tx DriftTx) error {
		now := r.Desk.Clock.Now()
		if by.Kind == guichet.ByPerson {
			if err := tx.Audit(guichet.AuditEntry{ID: r.Desk.Clock.NewID(), At: now, Actor: by, Deed: "reconcile.asked", Subject: provider + "/", Detail: "{}"}); err != nil {
				return err
			}
		}
		return tx.Enqueue(guichet.Job{Kind: "reconcile", Key: provider, Args: []byte(jsonOf(map[string]string{"provider": provider})), RunAt: now, MaxAttempts: 12})
	})
}
