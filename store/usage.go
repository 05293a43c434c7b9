package store

import (
	"context"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// NoteReport implements grant.GatewayTx.
func (t gatewayTx) NoteReport(gateway guichet.ID, report string, at time.Time) (first bool, err error) {
	n, err := t.q.NoteReport(t.ctx, query.NoteReportParams{GatewayID: string(gateway), Report: report, At: micros(at)})
	return n == 1, err
}

// AddUses implements grant.GatewayTx.
func (t gatewayTx) AddUses(token guichet.ID, day string, uses int64, last time.Time) (known bool, err error) {
	n, err := t.q.AddUses(t.ctx, query.AddUsesParams{Day: day, Uses: uses, LastAt: micros(last), TokenID: string(token)})
	return n == 1, err
}

// Usage implements grant.Office.
func (g Grant) Usage(ctx context.Context, token guichet.ID, since time.Time) (u grant.Usage, err error) {
	rows, err := g.s.reader.UsageOfToken(ctx, query.UsageOfTokenParams{TokenID: string(token), Day: grant.DayOf(since)})
	if err != nil {
		return u, ErrUnavailable.Because(err)
	}
	for _, r := range rows {
		u.Days = append(u.Days, grant.DayOfUse{Day: r.Day, Uses: r.Uses})
	}
	u.Last, err = g.LastUse(ctx, token)
	return u, err
}

// LastUse implements grant.Office.
func (g Grant) LastUse(ctx context.Context, token guichet.ID) (time.Time, error) {
	at, err := g.s.reader.LastUse(ctx, string(token))
	if err != nil {
		return time.Time{}, ErrUnavailable.Because(err)
	}
	return instant(at), nil
}

// LastUseOfRequest implements grant.Office.
func (g Grant) LastUseOfRequest(ctx context.Context, request guichet.ID) (time.Time, error) {
	at, err := g.s.reader.LastUseOfRequest(ctx, string(request))
	if err != nil {
		return time.Time{}, ErrUnavailable.Because(err)
	}
	return instant(at), nil
}
