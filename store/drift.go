package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Drifts is the store of reconciliation.
type Drifts struct{ s *Store }

// Drifts gives the store of reconciliation.
func (s *Store) Drifts() Drifts { return Drifts{s} }

// Update implements grant.DriftStore.
func (d Drifts) Update(ctx context.Context, fn func(grant.DriftTx) error) error {
	return d.s.update(ctx, func(t *tx) error { return fn(driftTx{t}) })
}

// Runs implements grant.DriftStore.
func (d Drifts) Runs(ctx context.Context) ([]grant.Run, error) {
	rows, err := d.s.reader.Reconciliations(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.Reconciliation) (grant.Run, error) { return runOf(r), nil })
}

// Drifts implements grant.DriftStore.
func (d Drifts) Drifts(ctx context.Context, f grant.DriftFilter) ([]grant.Drift, error) {
	rows, err := d.s.reader.Drifts(ctx, query.DriftsParams{
		State: string(cmp.Or(f.State, grant.DriftOpen)), Provider: f.Provider, BeforeID: cmp.Or(string(f.Before), "z"), MaxRows: limit(f.Limit),
	})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.Drift) (grant.Drift, error) { return driftOf(r), nil })
}

// Drift implements grant.DriftStore.
func (d Drifts) Drift(ctx context.Context, id guichet.ID) (grant.Drift, error) {
	row, err := d.s.reader.DriftByID(ctx, string(id))
	row, err = one(row, err, grant.ErrNoDrift)
	return driftOf(row), err
}

// Unseen implements grant.DriftStore.
func (d Drifts) Unseen(ctx context.Context, r grant.Run, after string, most int) ([]string, error) {
	numbers, err := d.s.reader.UnseenRequests(ctx, query.UnseenRequestsParams{Provider: r.Provider, Run: string(r.ID), After: after, MaxRows: limit(most)})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return numbers, nil
}

// CountUnseen implements grant.DriftStore.
func (d Drifts) CountUnseen(ctx context.Context, r grant.Run) (unseen, all int, err error) {
	row, err := d.s.reader.CountUnseen(ctx, query.CountUnseenParams{Provider: r.Provider, Run: string(r.ID)})
	if err != nil {
		return 0, 0, ErrUnavailable.Because(err)
	}
	return int(row.Unseen), int(row.WithTokens), nil
}

// Since implements grant.DriftStore.
func (d Drifts) Since(ctx context.Context, provider string) (time.Time, error) {
	first, err := d.s.reader.FirstDelivery(ctx, provider)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, ErrUnavailable.Because(err)
	}
	return instant(first), nil
}

// driftTx implements grant.DriftTx.
type driftTx struct{ *tx }

func (t driftTx) NewestRun(provider string) (grant.Run, error) {
	row, err := t.q.LockReconciliation(t.ctx, provider)
	return runOf(row), err
}

func (t driftTx) SaveRun(r *grant.Run) error {
	n, err := t.q.SaveReconciliation(t.ctx, query.SaveReconciliationParams{
		Provider: r.Provider, Version: r.Version, RunID: string(r.ID), State: string(r.State), Worker: string(r.Worker), StartedAt: micros(r.StartedAt),
		BeatAt: micros(r.BeatAt), EndedAt: micros(r.EndedAt), Position: int64(r.Offset), Listed: r.Listed, Seen: int64(r.Read), Opened: int64(r.Opened),
		Failure: r.Failure, DoneAt: micros(r.DoneAt),
	})
	return saved(n, err, &r.Version, errChanged)
}

func (t driftTx) Drifts(provider, externalID string) ([]grant.Drift, error) {
	rows, err := t.q.StandingDrifts(t.ctx, query.StandingDriftsParams{Provider: provider, ExternalID: externalID})
	if err != nil {
		return nil, err
	}
	return each(rows, func(r query.Drift) (grant.Drift, error) { return driftOf(r), nil })
}

func (t driftTx) SaveDrift(d *grant.Drift) error {
	if d.Version == 0 {
		n, err := t.q.InsertDrift(t.ctx, query.InsertDriftParams{
			ID: string(d.ID), Provider: d.Provider, ExternalID: d.ExternalID, Kind: string(d.Kind), What: d.What, Repair: string(d.Repair), Event: string(d.Event),
			EventID: d.Named, EventAt: micros(d.At), Theirs: string(d.Theirs), Ours: string(d.Ours), Tokens: int64(d.Tokens), State: string(d.State),
			OpenedAt: micros(d.OpenedAt), SeenAt: micros(d.SeenAt), ClosedAt: micros(d.ClosedAt), ClosedBy: d.ClosedBy, Reason: d.Reason, Alerted: d.Alerted,
		})
		return saved(n, err, &d.Version, errChanged)
	}
	n, err := t.q.UpdateDrift(t.ctx, query.UpdateDriftParams{
		ID: string(d.ID), Version: d.Version, Repair: string(d.Repair), Event: string(d.Event), EventID: d.Named, EventAt: micros(d.At), Theirs: string(d.Theirs),
		Ours: string(d.Ours), Tokens: int64(d.Tokens), State: string(d.State), SeenAt: micros(d.SeenAt), ClosedAt: micros(d.ClosedAt), ClosedBy: d.ClosedBy,
		Reason: d.Reason, Alerted: d.Alerted,
	})
	return saved(n, err, &d.Version, errChanged)
}

func (t driftTx) See(r grant.Run, externalIDs []string) error {
	for _, number := range externalIDs {
		if err := t.q.SeeRequest(t.ctx, query.SeeRequestParams{Provider: r.Provider, ExternalID: number, RunID: string(r.ID)}); err != nil {
			return err
		}
	}
	return nil
}

func runOf(r query.Reconciliation) grant.Run {
	return grant.Run{
		ID: guichet.ID(r.RunID), Provider: r.Provider, State: grant.RunState(r.State), Worker: guichet.ID(r.Worker), StartedAt: instant(r.StartedAt),
		BeatAt: instant(r.BeatAt), EndedAt: instant(r.EndedAt), Offset: int(r.Position), Listed: r.Listed, Read: int(r.Seen), Opened: int(r.Opened),
		Failure: r.Failure, DoneAt: instant(r.DoneAt), Version: r.Version,
	}
}

func driftOf(r query.Drift) grant.Drift {
	return grant.Drift{
		ID: guichet.ID(r.ID), Provider: r.Provider, ExternalID: r.ExternalID,
		Finding: grant.Finding{
			Kind: grant.DriftKind(r.Kind), What: r.What, Repair: grant.Repair(r.Repair), Event: grant.Name(r.Event), Named: r.EventID, At: instant(r.EventAt),
			Theirs: grant.Status(r.Theirs), Ours: grant.Status(r.Ours), Tokens: int(r.Tokens),
		},
		State: grant.DriftState(r.State), OpenedAt: instant(r.OpenedAt), SeenAt: instant(r.SeenAt), ClosedAt: instant(r.ClosedAt), ClosedBy: r.ClosedBy,
		Reason: r.Reason, Alerted: r.Alerted, Version: r.Version,
	}
}
