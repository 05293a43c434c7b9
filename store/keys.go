package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"guichet/store/query"
)

// A SigningKey is a key as it is kept: its private half is sealed by the keyring.
type SigningKey struct {
	KID       string
	Algorithm string
	Purpose   string
	Public    []byte
	Sealed    []byte
	CreatedAt time.Time
	RetiredAt time.Time
}

// SigningKeys lists the keys of all replicas, the oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	rows, err := s.reader.SigningKeys(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, signingKeyOf)
}

// EnsureSigningKey keeps a new key unless there is one of its algorithm already,
// and returns the one that is kept: two replicas that start at once sign with
// the same.
func (s *Store) EnsureSigningKey(ctx context.Context, k SigningKey) (kept SigningKey, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := t.q.LockBlocklist(t.ctx); err != nil { // any row that always exists would do
			return err
		}
		rows, err := t.q.SigningKeys(t.ctx)
		if err != nil {
			return err
		}
		kept = k
		for _, r := range rows {
			if r.Algorithm == k.Algorithm {
				kept, err = signingKeyOf(r)
				return err
			}
		}
		_, err = t.q.InsertSigningKey(t.ctx, query.InsertSigningKeyParams{
			Kid: k.KID, Algorithm: k.Algorithm, Purpose: k.Purpose, Public: k.Public, Sealed: k.Sealed, CreatedAt: micros(k.CreatedAt),
		})
		return err
	})
	return kept, err
}

func signingKeyOf(r query.SigningKey) (SigningKey, error) {
	return SigningKey{r.Kid, r.Algorithm, r.Purpose, r.Public, r.Sealed, instant(r.CreatedAt), instant(r.RetiredAt)}, nil
}

// Setting reads a setting of the database; nil when there is none.
func (s *Store) Setting(ctx context.Context, name string) ([]byte, error) {
	value, err := s.reader.Setting(ctx, name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, ErrUnavailable.Because(err)
	}
	return value, nil
}

// SetOnce keeps a setting unless there is one already, and returns the one that
// is kept: two replicas that start at once end with the same.
func (s *Store) SetOnce(ctx context.Context, name string, value []byte) (kept []byte, err error) {
	err = s.update(ctx, func(t *tx) error {
		if _, err := t.q.InsertSetting(t.ctx, query.InsertSettingParams{Name: name, Value: value}); err != nil {
			return err
		}
		kept, err = t.q.Setting(t.ctx, name)
		return err
	})
	return kept, err
}
