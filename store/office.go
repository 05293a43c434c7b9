package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Expiring implements grant.Office.
func (g Grant) Expiring(ctx context.Context, from, to time.Time, after grant.Standing) ([]grant.Standing, error) {
	p := query.ExpiringParams{Until: micros(to), AfterAt: micros(from)}
	if after.ID != "" {
		p.AfterAt, p.AfterID = micros(after.ExpiresAt), string(after.ID)
	}
	rows, err := g.s.reader.Expiring(ctx, p)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.ExpiringRow) (grant.Standing, error) { return standingOf(query.StandingsRow(r)) })
}

// Prolongation implements grant.Office.
func (g Grant) Prolongation(ctx context.Context, token guichet.ID) (grant.Prolongation, error) {
	row, err := g.s.reader.Prolongation(ctx, string(token))
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Prolongation{TokenID: token}, nil
	}
	if err != nil {
		return grant.Prolongation{}, ErrUnavailable.Because(err)
	}
	return grant.Prolongation{
		TokenID: token, By: row.AskedBy, InCharge: row.InCharge, Purpose: row.Purpose, Contacts: row.Contacts,
		DoneAt: instant(row.DoneAt), UpdatedAt: instant(row.UpdatedAt), Version: row.Version,
	}, nil
}

// SaveProlongation implements grant.Tx.
func (t *grantTx) SaveProlongation(p *grant.Prolongation) error {
	var n int64
	var err error
	if p.Version == 0 {
		n, err = t.q.InsertProlongation(t.ctx, query.InsertProlongationParams{
			TokenID: string(p.TokenID), AskedBy: p.By, InCharge: p.InCharge, Purpose: p.Purpose, Contacts: p.Contacts,
			DoneAt: micros(p.DoneAt), UpdatedAt: micros(p.UpdatedAt),
		})
	} else {
		n, err = t.q.UpdateProlongation(t.ctx, query.UpdateProlongationParams{
			TokenID: string(p.TokenID), AskedBy: p.By, InCharge: p.InCharge, Purpose: p.Purpose, Contacts: p.Contacts,
			DoneAt: micros(p.DoneAt), UpdatedAt: micros(p.UpdatedAt), Version: p.Version,
		})
	}
	if err == nil && n != 1 {
		err = errChanged
	}
	p.Version++
	return err
}

// Lend implements grant.Tx.
func (t *grantTx) Lend(h *grant.Handover) error {
	return t.q.InsertHandover(t.ctx, query.InsertHandoverParams{
		ID: string(h.ID), Hash: h.Hash[:], TokenID: string(h.TokenID), GivenBy: h.By, GivenTo: h.To,
		CreatedAt: micros(h.CreatedAt), ExpiresAt: micros(h.ExpiresAt),
	})
}

// Redeem implements grant.Tx. The statement itself decides: of two who come at
// once, one finds the row.
func (t *grantTx) Redeem(hash [32]byte, now time.Time) (grant.Handover, error) {
	row, err := t.q.RedeemHandover(t.ctx, query.RedeemHandoverParams{Hash: hash[:], Now: micros(now)})
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Handover{}, grant.ErrHandover
	}
	return grant.Handover{
		ID: guichet.ID(row.ID), Hash: hash, TokenID: guichet.ID(row.TokenID), By: row.GivenBy, To: row.GivenTo,
		CreatedAt: instant(row.CreatedAt), ExpiresAt: instant(row.ExpiresAt),
	}, err
}

// Forget implements grant.Office. The audit keeps who gave what to whom.
func (g Grant) Forget(ctx context.Context) error {
	return g.s.update(ctx, func(t *tx) error {
		now := t.store.clock.Now()
		if err := t.q.ForgetUsage(t.ctx, grant.DayOf(now.Add(-grant.UsageKept))); err != nil {
			return err
		}
		if err := t.q.ForgetReports(t.ctx, micros(now.Add(-grant.ReportsKept))); err != nil {
			return err
		}
		return t.q.ForgetHandovers(t.ctx, micros(now.AddDate(0, 0, -1)))
	})
}

const week = 7 * 24 * time.Hour

// Figures implements grant.Office. Weeks are of requests by when they came; since
// is moved back to its Monday.
func (g Grant) Figures(ctx context.Context, provider string, since, now time.Time) (f grant.Figures, err error) {
	since = since.UTC().Truncate(24 * time.Hour)
	since = since.AddDate(0, 0, -(int(since.Weekday())+6)%7)
	for at := since; at.Before(now); at = at.Add(week) {
		f.Weeks = append(f.Weeks, grant.Week{Begins: at})
	}
	err = g.s.view(ctx, func(q *query.Queries) error {
		weeks, err := q.WeeksOf(ctx, query.WeeksOfParams{Since: micros(since), Provider: provider})
		if err != nil {
			return err
		}
		for _, w := range weeks {
			if w.Week < int64(len(f.Weeks)) {
				f.Weeks[w.Week] = grant.Week{
					Begins: f.Weeks[w.Week].Begins, Received: w.Received, Submitted: w.Submitted, Validated: w.Validated, Refused: w.Refused, Revoked: w.Revoked,
				}
			}
		}
		delays, err := q.DelaysOf(ctx, query.DelaysOfParams{Since: micros(since), Provider: provider})
		if err != nil {
			return err
		}
		if f.Validated = int64(len(delays)); f.Validated > 0 {
			slices.Sort(delays)
			f.Median = time.Duration(delays[len(delays)/2]) * time.Microsecond
		}
		tokens, err := q.TokenFigures(ctx, query.TokenFiguresParams{Now: micros(now), Soon: micros(now.AddDate(0, 0, 90)), Provider: provider})
		if err != nil {
			return err
		}
		for _, t := range tokens {
			f.Tokens = append(f.Tokens, grant.TokenFigure(t))
		}
		f.Scopes, err = scopeFigures(ctx, q, provider, now)
		return err
	})
	if err != nil {
		return f, ErrUnavailable.Because(err)
	}
	return f, nil
}

func scopeFigures(ctx context.Context, q *query.Queries, provider string, now time.Time) (all []grant.ScopeFigure, err error) {
	rows, err := q.ScopeFigures(ctx, query.ScopeFiguresParams{Now: micros(now), Provider: provider})
	if err != nil {
		return nil, err
	}
	count := map[string]int64{}
	for _, r := range rows {
		scopes, err := fromJSON[[]string](r.Scopes)
		if err != nil {
			return nil, err
		}
		for _, s := range scopes {
			count[s] += r.Number
		}
	}
	for s, n := range count {
		all = append(all, grant.ScopeFigure{Scope: s, Tokens: n})
	}
	slices.SortFunc(all, func(a, b grant.ScopeFigure) int {
		return cmp.Or(cmp.Compare(b.Tokens, a.Tokens), cmp.Compare(a.Scope, b.Scope))
	})
	return all, nil
}

// Assign notes who sees to an alert; an empty name: nobody any more.
func (a Alerts) Assign(ctx context.Context, by guichet.Actor, id guichet.ID, to string) error {
	return a.s.update(ctx, func(t *tx) error {
		row, err := t.q.AlertByID(t.ctx, string(id))
		if row, err = one(row, err, guichet.ErrNoAlert); err != nil {
			return err
		}
		n, err := t.q.AssignAlert(t.ctx, query.AssignAlertParams{ID: string(id), AssignedTo: to})
		if err != nil || n == 0 || row.AssignedTo == to {
			return err
		}
		return t.Audit(guichet.AuditEntry{
			ID: t.store.clock.NewID(), At: t.store.clock.Now(), Actor: by, Deed: "alert.assigned", Subject: row.Subject,
			Detail: asJSON(map[string]string{"alert": string(id), "kind": row.Kind, "to": to}),
		})
	})
}

// journal chooses the query whose index fits: the journal is the longest table.
func (g Grant) journal(ctx context.Context, f grant.DeliveryFilter) ([]query.Delivery, error) {
	before, most := cmp.Or(string(f.Before), "z"), limit(f.Limit) // after every identifier
	switch {
	case f.Open:
		return g.s.reader.OpenDeliveries(ctx, query.OpenDeliveriesParams{
			Provider: f.Provider, Effect: string(f.Effect), ExternalID: f.ExternalID, BeforeID: before, MaxRows: most,
		})
	case f.Provider != "" && f.ExternalID != "":
		return g.s.reader.ChainDeliveries(ctx, query.ChainDeliveriesParams{
			Chain: f.Provider + "/" + f.ExternalID, Effect: string(f.Effect), BeforeID: before, MaxRows: most,
		})
	case f.ExternalID == "" && f.Effect != "" && f.Effect != grant.Applied && f.Effect != grant.Duplicate:
		return g.s.reader.OddDeliveries(ctx, query.OddDeliveriesParams{Provider: f.Provider, Effect: string(f.Effect), BeforeID: before, MaxRows: most})
	}
	return g.s.reader.Deliveries(ctx, query.DeliveriesParams{
		Provider: f.Provider, ExternalID: f.ExternalID, Effect: string(f.Effect), BeforeID: string(f.Before), MaxRows: most,
	})
}
