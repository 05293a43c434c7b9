package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/query"
)

// Gateways is the store of gateways.
type Gateways struct{ s *Store }

// Gateways gives the store of gateways.
func (s *Store) Gateways() Gateways { return Gateways{s} }

// Update implements grant.GatewayStore.
func (g Gateways) Update(ctx context.Context, fn func(grant.GatewayTx) error) error {
	return g.s.update(ctx, func(t *tx) error { return fn(gatewayTx{t}) })
}

// Gateways implements grant.GatewayStore.
func (g Gateways) Gateways(ctx context.Context) ([]grant.Gateway, error) {
	rows, err := g.s.reader.Gateways(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.Gateway) (grant.Gateway, error) { return gatewayOf(r), nil })
}

// GatewayByHash implements grant.GatewayStore.
func (g Gateways) GatewayByHash(ctx context.Context, hash [32]byte) (grant.Gateway, error) {
	row, err := g.s.reader.GatewayByHash(ctx, hash[:])
	if errors.Is(err, sql.ErrNoRows) {
		row, err = g.s.reader.GatewayByFormerHash(ctx, hash[:])
	}
	row, err = one(row, err, grant.ErrNoGateway)
	return gatewayOf(row), err
}

// NoteContact implements grant.GatewayStore.
func (g Gateways) NoteContact(ctx context.Context, id guichet.ID, c grant.Sighting) error {
	return g.s.update(ctx, func(t *tx) error {
		return t.q.NoteContact(t.ctx, query.NoteContactParams{
			Epoch: c.Have.Epoch, Seq: c.Have.Seq, StaleAfter: c.StaleAfter.Microseconds(), Software: c.Software, ContactAt: micros(c.At), ID: string(id),
		})
	})
}

// RaiseEpoch says that the blocklist may have gone back: a backup was restored.
// Gateways then take the whole list again, and go on refusing what they refused.
func (s *Store) RaiseEpoch(ctx context.Context, by guichet.Actor) (epoch int64, err error) {
	err = s.update(ctx, func(t *tx) error {
		var err error
		if epoch, err = t.raiseEpoch(); err != nil {
			return err
		}
		return t.Audit(guichet.AuditEntry{
			ID: s.clock.NewID(), At: s.clock.Now(), Actor: by, Deed: "blocklist.epoch_raised", Subject: "blocklist", Detail: asJSON(map[string]int64{"epoch": epoch}),
		})
	})
	return epoch, err
}

// raiseEpoch begins another epoch of the blocklist. A restored past may be restored
// twice, and lived differently each time: the instant makes the epochs differ, and
// plus one makes them rise.
func (t *tx) raiseEpoch() (int64, error) {
	t.touch(BlocklistRaised)
	head, err := t.q.LockBlocklist(t.ctx)
	if err != nil {
		return 0, err
	}
	epoch := max(head.Epoch+1, t.store.clock.Now().Unix())
	return epoch, t.q.RaiseEpoch(t.ctx, epoch)
}

// gatewayTx implements grant.GatewayTx.
type gatewayTx struct{ *tx }

func (t gatewayTx) GatewayByName(name string) (grant.Gateway, error) {
	row, err := t.q.GatewayByName(t.ctx, name)
	row, err = one(row, err, grant.ErrNoGateway)
	return gatewayOf(row), err
}

func (t gatewayTx) SaveGateway(g *grant.Gateway) error {
	former := []byte{}
	if !g.FormerUntil.IsZero() {
		former = g.FormerHash[:]
	}
	if g.Version != 0 {
		n, err := t.q.UpdateGateway(t.ctx, query.UpdateGatewayParams{
			Hash: g.Hash[:], FormerHash: former, FormerUntil: micros(g.FormerUntil), RevokedAt: micros(g.RevokedAt), ID: string(g.ID), Version: g.Version,
		})
		return saved(n, err, &g.Version, errChanged)
	}
	n, err := t.q.InsertGateway(t.ctx, query.InsertGatewayParams{
		ID: string(g.ID), Name: g.Name, Hash: g.Hash[:], FormerHash: former, FormerUntil: micros(g.FormerUntil), CreatedAt: micros(g.CreatedAt),
		RevokedAt: micros(g.RevokedAt), Epoch: g.Seen.Have.Epoch, Seq: g.Seen.Have.Seq, StaleAfter: g.Seen.StaleAfter.Microseconds(),
		Software: g.Seen.Software, ContactAt: micros(g.Seen.At),
	})
	return saved(n, err, &g.Version, grant.ErrGatewayTaken)
}

func gatewayOf(r query.Gateway) grant.Gateway {
	g := grant.Gateway{
		ID: guichet.ID(r.ID), Name: r.Name, FormerUntil: instant(r.FormerUntil), CreatedAt: instant(r.CreatedAt), RevokedAt: instant(r.RevokedAt),
		Seen: grant.Sighting{
			At: instant(r.ContactAt), Have: grant.Head{Epoch: r.Epoch, Seq: r.Seq}, StaleAfter: time.Duration(r.StaleAfter) * time.Microsecond,
			Software: r.Software,
		},
		Version: r.Version,
	}
	copy(g.Hash[:], r.Hash)
	copy(g.FormerHash[:], r.FormerHash)
	return g
}
