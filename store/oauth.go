package store

import (
	"context"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Clients is the book of OAuth clients.
type Clients struct{ s *Store }

// Clients gives the book of OAuth clients.
func (s *Store) Clients() Clients { return Clients{s} }

// List implements grant.Clients.
func (c Clients) List(ctx context.Context) ([]grant.Client, error) {
	rows, err := c.s.reader.AllClients(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, clientOf)
}

// Get implements grant.Clients.
func (c Clients) Get(ctx context.Context, id guichet.ID) (grant.Client, error) {
	row, err := c.s.reader.ClientByID(ctx, string(id))
	if row, err = one(row, err, grant.ErrNoClient); err != nil {
		return grant.Client{}, err
	}
	return clientOf(row)
}

// Add implements grant.Clients.
func (c Clients) Add(ctx context.Context, client grant.Client, deed guichet.AuditEntry) error {
	return c.s.update(ctx, func(t *tx) error {
		n, err := t.q.InsertClient(t.ctx, query.InsertClientParams{
			ID: string(client.ID), Name: client.Name, SecretHash: client.SecretHash[:], Provider: client.Provider, TokenID: string(client.TokenID),
			MayIntrospect: client.MayIntrospect, MayRevoke: client.MayRevoke, CreatedAt: micros(client.CreatedAt),
		})
		if err == nil && n != 1 {
			err = errChanged
		}
		if err != nil {
			return err
		}
		return t.Audit(deed)
	})
}

// Revoke implements grant.Clients.
func (c Clients) Revoke(ctx context.Context, id guichet.ID, deed guichet.AuditEntry) error {
	return c.s.update(ctx, func(t *tx) error {
		row, err := t.q.ClientByID(t.ctx, string(id))
		if _, err = one(row, err, grant.ErrNoClient); err != nil {
			return err
		}
		n, err := t.q.RevokeClient(t.ctx, query.RevokeClientParams{ID: string(id), RevokedAt: micros(deed.At)})
		if err != nil || n == 0 { // revoked before
			return err
		}
		return t.Audit(deed)
	})
}

// NoteUse implements grant.Clients.
func (c Clients) NoteUse(ctx context.Context, id guichet.ID) error {
	return c.s.update(ctx, func(t *tx) error {
		return t.q.NoteClientUse(t.ctx, query.NoteClientUseParams{ID: string(id), LastUsedAt: micros(t.store.clock.Now())})
	})
}

func clientOf(r query.Client) (grant.Client, error) {
	c := grant.Client{
		ID: guichet.ID(r.ID), Name: r.Name, Provider: r.Provider, TokenID: guichet.ID(r.TokenID), MayIntrospect: r.MayIntrospect,
		MayRevoke: r.MayRevoke, CreatedAt: instant(r.CreatedAt), RevokedAt: instant(r.RevokedAt), LastUsedAt: instant(r.LastUsedAt),
	}
	copy(c.SecretHash[:], r.SecretHash)
	return c, nil
}

// HighestIndex is the highest bit of the status lists that a token has; 0 without
// any token.
func (g Grant) HighestIndex(ctx context.Context) (int64, error) {
	n, err := g.s.reader.HighestIndex(ctx)
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	return n, nil
}
