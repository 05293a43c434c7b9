package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Standing implements grant.Reader.
func (g Grant) Standing(ctx context.Context, token guichet.ID) (grant.Standing, error) {
	row, err := g.s.reader.Standing(ctx, string(token))
	if row, err = one(row, err, grant.ErrNoToken); err != nil {
		return grant.Standing{}, err
	}
	return standingOf(query.StandingsRow(row))
}

func standingOf(row query.StandingsRow) (grant.Standing, error) {
	t, err := tokenOf(row.Token)
	return grant.Standing{
		Token: t, Provider: row.Provider, ExternalID: row.ExternalID, RequestTitle: row.RequestTitle, Organization: row.Organization,
		Status: grant.Status(row.Status),
	}, err
}

// Request implements grant.Reader.
func (g Grant) Request(ctx context.Context, provider, externalID string) (r grant.Request, err error) {
	err = g.s.view(ctx, func(q *query.Queries) error {
		row, err := q.RequestByNumber(ctx, query.RequestByNumberParams{Provider: provider, ExternalID: externalID})
		if row, err = one(row, err, grant.ErrNoRequest); err != nil {
			return err
		}
		r, err = (&grantTx{tx: &tx{ctx: ctx, q: q, store: g.s}}).withTokens(row)
		return err
	})
	return r, err
}

// Requests implements grant.Reader; tokens are not filled.
func (g Grant) Requests(ctx context.Context, f grant.RequestFilter) ([]grant.Listed, error) {
	at, id := before(f.Before.At, f.Before.ID)
	archived, scope := int64(0), ""
	if f.Archived || f.Status == grant.Archived {
		archived = 1
	}
	if f.Scope != "" {
		scope = `%"` + f.Scope + `"%`
	}
	rows, err := g.s.reader.Requests(ctx, query.RequestsParams{
		Provider: f.Provider, Status: string(f.Status), Search: like(f.Search), Scope: scope, Archived: archived, BeforeAt: at, BeforeID: id,
		MaxRows: limit(f.Limit), Now: micros(g.s.clock.Now()),
	})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(row query.RequestsRow) (grant.Listed, error) {
		r, err := requestOf(row.Request)
		return grant.Listed{Request: r, Live: int(row.Live), Alerted: row.Alerted > 0}, err
	})
}

// Tokens implements grant.Reader.
func (g Grant) Tokens(ctx context.Context, f grant.TokenFilter) ([]grant.Standing, error) {
	rows, err := g.s.reader.Standings(ctx, query.StandingsParams{
		Provider: f.Provider, State: f.State, Now: micros(f.Now), Search: like(f.Search), BeforeID: string(f.Before), MaxRows: limit(f.Limit),
	})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, standingOf)
}

// Deliveries implements grant.Reader.
func (g Grant) Deliveries(ctx context.Context, f grant.DeliveryFilter) ([]grant.Delivery, error) {
	rows, err := g.journal(ctx, f)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, deliveryOf)
}

// Delivery implements grant.Reader.
func (g Grant) Delivery(ctx context.Context, id guichet.ID) (grant.Delivery, error) {
	row, err := g.s.reader.DeliveryByID(ctx, string(id))
	if row, err = one(row, err, grant.ErrNoDelivery); err != nil {
		return grant.Delivery{}, err
	}
	return deliveryOf(row)
}

// Events implements grant.Reader.
func (g Grant) Events(ctx context.Context, provider, externalID string) ([]grant.SourceEvent, error) {
	rows, err := g.s.reader.EventsOfChain(ctx, provider+"/"+externalID)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	slices.Reverse(rows)
	return each(rows, func(r query.EventsOfChainRow) (grant.SourceEvent, error) {
		return grant.SourceEvent{Sent: r.Event, At: instant(r.FiredAt)}, nil
	})
}

// Deeds implements grant.Reader.
func (g Grant) Deeds(ctx context.Context, subject string) ([]guichet.AuditEntry, error) {
	rows, err := g.s.reader.AuditOf(ctx, subject)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.AuditEntry) (guichet.AuditEntry, error) {
		return guichet.AuditEntry{
			ID: guichet.ID(r.ID), At: instant(r.At), Deed: r.Deed, Subject: r.Subject, Detail: r.Detail,
			Actor: guichet.Actor{Kind: guichet.ActorKind(r.ActorKind), ID: guichet.ID(r.ActorID), Name: r.ActorName},
		}, nil
	})
}

// Due implements grant.Reader.
func (g Grant) Due(ctx context.Context, now time.Time) ([]grant.Request, []grant.Token, error) {
	requests, err := g.s.reader.PurgeDue(ctx, micros(now))
	if err != nil {
		return nil, nil, ErrUnavailable.Because(err)
	}
	tokens, err := g.s.reader.BlocksDue(ctx, micros(now))
	if err != nil {
		return nil, nil, ErrUnavailable.Because(err)
	}
	purge, err := each(requests, requestOf)
	if err != nil {
		return nil, nil, err
	}
	block, err := each(tokens, tokenOf)
	return purge, block, err
}

// Blocklist implements grant.Reader. Lines and head are of one instant.
func (g Grant) Blocklist(ctx context.Context, after int64, most int) (lines []grant.Blocked, head grant.Head, err error) {
	err = g.s.view(ctx, func(q *query.Queries) error {
		h, err := q.BlocklistHead(ctx)
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		last, err := q.LastStatusIndex(ctx)
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		head = grant.Head{Epoch: h.Epoch, Seq: h.Seq, LastIndex: last}
		rows, err := q.BlocklistAfter(ctx, query.BlocklistAfterParams{Seq: after, Limit: limit(most)})
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		lines, err = each(rows, func(r query.Blocklist) (grant.Blocked, error) {
			return grant.Blocked{Seq: r.Seq, TokenID: guichet.ID(r.TokenID), StatusIndex: r.StatusIndex, At: instant(r.At)}, nil
		})
		return err
	})
	return lines, head, err
}

// VerifyJournal implements grant.Reader. Chains are read one by one, each from
// one state of the database, so deliveries may come in meanwhile.
func (g Grant) VerifyJournal(ctx context.Context, report func(grant.Break), progress func(done, of int64)) (deliveries int64, err error) {
	of, err := g.s.count(ctx, "SELECT CAST(COALESCE(SUM(length), 0) AS BIGINT) FROM chains")
	if err != nil {
		return 0, err
	}
	for after := ""; ; {
		chains, err := g.s.reader.ListChains(ctx, after)
		if err != nil {
			return deliveries, ErrUnavailable.Because(err)
		}
		if len(chains) == 0 {
			break
		}
		for _, c := range chains {
			after = c
			if ctx.Err() != nil {
				return deliveries, ctx.Err()
			}
			if progress != nil {
				progress(deliveries, of)
			}
			err := g.s.view(ctx, func(q *query.Queries) error {
				n, err := verifyChain(ctx, q, c, report)
				deliveries += n
				return err
			})
			if err != nil {
				return deliveries, err
			}
		}
	}
	stray, err := g.s.count(ctx, "SELECT COUNT(*) FROM deliveries WHERE chain NOT IN (SELECT chain FROM chains)")
	if err == nil && stray > 0 {
		report(grant.Break{Problem: fmt.Sprintf("%d deliveries belong to a chain that has no end", stray)})
	}
	return deliveries, err
}

func verifyChain(ctx context.Context, q *query.Queries, chain string, report func(grant.Break)) (int64, error) {
	end, err := q.ChainEnd(ctx, chain)
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	rows, err := q.DeliveriesOfChain(ctx, chain)
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	prev := [32]byte{}
	for i, row := range rows {
		d, err := deliveryOf(row)
		if err != nil {
			return 0, err
		}
		problem := ""
		switch {
		case d.N != int64(i)+1:
			problem = fmt.Sprintf("the place %d is missing or taken twice", i+1)
		case d.Prev != prev:
			problem = "it does not follow the delivery before it"
		case d.Hash != hashOf(d):
			problem = "its columns were changed"
		case d.Body != nil && sha256.Sum256(d.Body) != d.BodyHash:
			problem = "its body was changed"
		case row.Chain != d.Chain():
			problem = "it was moved to another chain"
		}
		if problem != "" {
			report(grant.Break{Chain: chain, N: d.N, Delivery: d.ID, Problem: problem})
			return int64(len(rows)), nil // what follows is broken because of this
		}
		prev = d.Hash
	}
	if end.Length != int64(len(rows)) || !bytes.Equal(end.Head, prev[:]) {
		report(grant.Break{Chain: chain, N: int64(len(rows)), Problem: "deliveries at its end are missing"})
	}
	return int64(len(rows)), nil
}

// Summary implements grant.Reader.
func (g Grant) Summary(ctx context.Context, now time.Time) (s grant.Summary, err error) {
	s.Requests = map[grant.Status]int64{}
	err = g.s.view(ctx, func(q *query.Queries) error {
		counts, err := q.CountRequests(ctx)
		if err != nil {
			return err
		}
		for _, c := range counts {
			s.Requests[grant.Status(c.Status)] = c.Number
		}
		tokens, err := q.CountTokens(ctx, query.CountTokensParams{Now: micros(now), Soon: micros(now.AddDate(0, 0, 90))})
		if err != nil {
			return err
		}
		s.LiveTokens, s.BlockedTokens, s.ExpiringSoon = tokens.Live, tokens.Blocked, tokens.Expiring
		open, err := q.CountOpenDeliveries(ctx)
		if err != nil {
			return err
		}
		s.OpenHeld, s.OpenQuarantine = open.Held, open.Quarantined
		if s.OpenAlerts, err = q.CountOpenAlerts(ctx); err != nil {
			return err
		}
		s.ReceivedToday, err = q.CountDeliveriesSince(ctx, micros(now.Truncate(24*time.Hour)))
		return err
	})
	if err != nil {
		return s, ErrUnavailable.Because(err)
	}
	return s, nil
}

func deliveryOf(r query.Delivery) (grant.Delivery, error) {
	d := grant.Delivery{
		ID: guichet.ID(r.ID), Provider: r.Provider, Format: grant.Format(r.Format), ExternalID: r.ExternalID, Event: r.Event,
		ModelType: r.ModelType, FiredAt: instant(r.FiredAt), ReceivedAt: instant(r.ReceivedAt), Body: unpacked(r.Body),
		Effect: grant.Effect(r.Effect), Note: grant.Note(r.Note), Before: grant.Status(r.Before), After: grant.Status(r.After),
		TokenID: guichet.ID(r.TokenID), Refused: r.Refused, Problem: r.Problem, Blocked: int(r.Blocked), Mails: int(r.Mails),
		ReplayOf: guichet.ID(r.ReplayOf), Resolved: instant(r.ResolvedAt),
		Actor: guichet.Actor{Kind: guichet.ActorKind(r.ActorKind), ID: guichet.ID(r.ActorID), Name: r.ActorName}, N: r.N,
	}
	for _, f := range []struct {
		to   *[32]byte
		from []byte
	}{{&d.Identity, r.Identity}, {&d.BodyHash, r.BodyHash}, {&d.Prev, r.Prev}, {&d.Hash, r.Hash}} {
		copy(f.to[:], f.from) // a column of another length does not verify
	}
	return d, nil
}

// each turns rows into values of the domain.
func each[R, T any](rows []R, turn func(R) (T, error)) ([]T, error) {
	out := make([]T, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = turn(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) count(ctx context.Context, text string) (n int64, err error) {
	if err := s.read.QueryRowContext(ctx, text).Scan(&n); err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	return n, nil
}
