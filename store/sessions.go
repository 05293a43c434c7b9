package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"guichet/people"
	"guichet/store/query"
)

// Sessions keeps the sessions of people's browsers, as scs wants them. Only a
// hash of a session's token is stored: who reads the database can sign in as
// nobody.
type Sessions struct{ s *Store }

// Sessions gives the store of sessions.
func (s *Store) Sessions() Sessions { return Sessions{s} }

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// FindCtx implements scs.CtxStore.
func (s Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	data, err = s.s.reader.FindSession(ctx, query.FindSessionParams{Hash: hashToken(token), ExpiresAt: micros(s.s.clock.Now())})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, false, nil
	case err != nil:
		return nil, false, ErrUnavailable.Because(err)
	}
	return data, true, nil
}

// CommitCtx implements scs.CtxStore.
func (s Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.s.update(ctx, func(t *tx) error {
		return t.q.PutSession(t.ctx, query.PutSessionParams{Hash: hashToken(token), Data: data, ExpiresAt: micros(expiry)})
	})
}

// DeleteCtx implements scs.CtxStore.
func (s Sessions) DeleteCtx(ctx context.Context, token string) error {
	return s.s.update(ctx, func(t *tx) error { return t.q.DropSession(t.ctx, hashToken(token)) })
}

// Find implements scs.Store; scs calls FindCtx instead.
func (s Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements scs.Store; scs calls CommitCtx instead.
func (s Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete implements scs.Store; scs calls DeleteCtx instead.
func (s Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// Open lists the data of every session, by the name that End takes.
func (s Sessions) Open(ctx context.Context) (map[string][]byte, error) {
	rows, err := s.s.reader.Sessions(ctx, micros(s.s.clock.Now()))
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	open := map[string][]byte{}
	for _, r := range rows {
		open[hex.EncodeToString(r.Hash)] = r.Data
	}
	return open, nil
}

// End closes a session by the name that Open gave.
func (s Sessions) End(ctx context.Context, name string) error {
	hash, err := hex.DecodeString(name)
	if err != nil {
		return nil // there is no such session
	}
	return s.s.update(ctx, func(t *tx) error { return t.q.DropSession(t.ctx, hash) })
}

// Forget removes sessions that are over and sign-in failures that no longer
// count. A job runs it every hour.
func (s Sessions) Forget(ctx context.Context) error {
	return s.s.update(ctx, func(t *tx) error {
		now := t.store.clock.Now()
		if err := t.q.DropSessions(t.ctx, micros(now)); err != nil {
			return err
		}
		return t.q.ForgetFailures(t.ctx, micros(now.Add(-people.ForgetAfter)))
	})
}
