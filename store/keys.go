package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"guichet"
	"guichet/store/query"
)

// A SigningKey is a key as it is kept: its private half is sealed by the keyring.
type SigningKey struct {
	KID        string
	Algorithm  string
	Purpose    string
	Public     []byte
	Sealed     []byte
	CreatedAt  time.Time
	UseAt      time.Time // signs from then on, until another does
	BurnedAt   time.Time // zero: what it signed is believed
	BurnReason string
}

// Errors of keys.
var (
	ErrNoKey      = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_key", Reason: "No signing key has this identifier."}
	ErrKeyWaiting = &guichet.Error{Kind: guichet.Conflict, Code: "key_waiting", Reason: "A key of this algorithm waits for its use already. Use it, or burn it."}
	ErrKeySpent   = &guichet.Error{Kind: guichet.Conflict, Code: "key_spent", Reason: "This key has signed and another took its place, or it is burned. Make a new one."}
)

// AlertKeyBurned tells that tokens were refused because their key was withdrawn.
const AlertKeyBurned = "key_burned"

// CurrentKey finds the key that signs at an instant: of those that are not burned,
// the last whose time has come. All processes find the same, without a word.
func CurrentKey(keys []SigningKey, algorithm string, now time.Time) (current SigningKey, ok bool) {
	for _, k := range keys {
		if k.Algorithm != algorithm || !k.BurnedAt.IsZero() || k.UseAt.After(now) {
			continue
		}
		if !ok || !k.UseAt.Before(current.UseAt) {
			current, ok = k, true
		}
	}
	return current, ok
}

// waitingKey finds the key whose time has not come.
func waitingKey(keys []SigningKey, algorithm string, now time.Time) (SigningKey, bool) {
	for _, k := range keys {
		if k.Algorithm == algorithm && k.BurnedAt.IsZero() && k.UseAt.After(now) {
			return k, true
		}
	}
	return SigningKey{}, false
}

// SigningKeys lists the keys of all replicas, burned ones too, the oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	rows, err := s.reader.SigningKeys(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, signingKeyOf)
}

// EnsureSigningKey keeps a new key unless there is one of its algorithm already
// that may sign, and returns the one that is kept: two replicas that start at
// once sign with the same.
func (s *Store) EnsureSigningKey(ctx context.Context, k SigningKey) (kept SigningKey, err error) {
	err = s.updateKeys(ctx, func(t *tx, keys []SigningKey) error {
		kept = k
		if current, ok := CurrentKey(keys, k.Algorithm, k.UseAt); ok {
			kept = current
			return nil
		}
		return t.addKey(k)
	})
	return kept, err
}

// AddSigningKey keeps a key that will sign later: it is published from now on, so
// that everyone knows it when its time comes.
func (s *Store) AddSigningKey(ctx context.Context, by guichet.Actor, k SigningKey) error {
	return s.updateKeys(ctx, func(t *tx, keys []SigningKey) error {
		if _, waits := waitingKey(keys, k.Algorithm, s.clock.Now()); waits {
			return ErrKeyWaiting
		}
		if err := t.addKey(k); err != nil {
			return err
		}
		return t.auditKey(by, "key.added", k.KID, map[string]string{"algorithm": k.Algorithm, "use_at": k.UseAt.Format(time.RFC3339)})
	})
}

// UseSigningKey makes a key that waits sign from now on. Doing it twice changes
// nothing.
func (s *Store) UseSigningKey(ctx context.Context, by guichet.Actor, kid string) error {
	return s.updateKeys(ctx, func(t *tx, keys []SigningKey) error {
		k, err := findKey(keys, kid)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		if current, ok := CurrentKey(keys, k.Algorithm, now); ok && current.KID == kid {
			return nil
		}
		if !k.UseAt.After(now) || !k.BurnedAt.IsZero() {
			return ErrKeySpent
		}
		if _, err := t.q.UseSigningKey(t.ctx, query.UseSigningKeyParams{Kid: kid, UseAt: micros(now)}); err != nil {
			return err
		}
		return t.auditKey(by, "key.used", kid, map[string]string{"algorithm": k.Algorithm})
	})
}

// BurnSigningKey withdraws a key: what it signed is refused from the commit on,
// everywhere that asks. When it was the one that signs, the one that waits takes
// its place, or else the spare, so that there always is one. It returns the key
// that signs now.
func (s *Store) BurnSigningKey(ctx context.Context, by guichet.Actor, kid, reason string, spare func(algorithm string) (SigningKey, error)) (current string, err error) {
	// Made before the transaction, which must not wait for its seal.
	known, err := s.SigningKeys(ctx)
	if err != nil {
		return "", err
	}
	burning, err := findKey(known, kid)
	if err != nil {
		return "", err
	}
	fresh, err := spare(burning.Algorithm)
	if err != nil {
		return "", err
	}
	err = s.updateKeys(ctx, func(t *tx, keys []SigningKey) error {
		k, err := findKey(keys, kid)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		signs, _ := CurrentKey(keys, k.Algorithm, now)
		current = signs.KID
		if !k.BurnedAt.IsZero() {
			return nil
		}
		if _, err := t.q.BurnSigningKey(t.ctx, query.BurnSigningKeyParams{Kid: kid, BurnedAt: micros(now), BurnReason: reason}); err != nil {
			return err
		}
		if current == kid {
			if current, err = t.succeed(keys, fresh, now); err != nil {
				return err
			}
		}
		detail := map[string]string{"algorithm": k.Algorithm, "reason": reason, "signs_now": current}
		if err := t.auditKey(by, "key.burned", kid, detail); err != nil {
			return err
		}
		return t.Alert(guichet.Alert{
			ID: s.clock.NewID(), Kind: AlertKeyBurned, Subject: "key/" + kid, Detail: asJSON(detail), OpenedAt: now,
		})
	})
	return current, err
}

// succeed puts another key in the place of one that is gone. A key that has signed
// before does not come back.
func (t *tx) succeed(keys []SigningKey, fresh SigningKey, now time.Time) (string, error) {
	if next, ok := waitingKey(keys, fresh.Algorithm, now); ok {
		_, err := t.q.UseSigningKey(t.ctx, query.UseSigningKeyParams{Kid: next.KID, UseAt: micros(now)})
		return next.KID, err
	}
	fresh.UseAt = now
	return fresh.KID, t.addKey(fresh)
}

// updateKeys runs fn on the keys as they are, one such change at a time.
func (s *Store) updateKeys(ctx context.Context, fn func(*tx, []SigningKey) error) error {
	return s.update(ctx, func(t *tx) error {
		if _, err := t.q.LockBlocklist(t.ctx); err != nil { // any row that always exists would do
			return err
		}
		rows, err := t.q.SigningKeys(t.ctx)
		if err != nil {
			return err
		}
		keys, err := each(rows, signingKeyOf)
		if err != nil {
			return err
		}
		return fn(t, keys)
	})
}

func findKey(keys []SigningKey, kid string) (SigningKey, error) {
	for _, k := range keys {
		if k.KID == kid {
			return k, nil
		}
	}
	return SigningKey{}, ErrNoKey
}

func (t *tx) addKey(k SigningKey) error {
	n, err := t.q.AddSigningKey(t.ctx, query.AddSigningKeyParams{
		Kid: k.KID, Algorithm: k.Algorithm, Purpose: k.Purpose, Public: k.Public, Sealed: k.Sealed, CreatedAt: micros(k.CreatedAt), UseAt: micros(k.UseAt),
	})
	if err == nil && n != 1 {
		err = errChanged
	}
	return err
}

func (t *tx) auditKey(by guichet.Actor, deed, kid string, detail map[string]string) error {
	return t.Audit(guichet.AuditEntry{
		ID: t.store.clock.NewID(), At: t.store.clock.Now(), Actor: by, Deed: deed, Subject: "key/" + kid, Detail: asJSON(detail),
	})
}

func signingKeyOf(r query.SigningKey) (SigningKey, error) {
	k := SigningKey{r.Kid, r.Algorithm, r.Purpose, r.Public, r.Sealed, instant(r.CreatedAt), instant(r.UseAt), instant(r.BurnedAt), r.BurnReason}
	if r.UseAt == 0 { // made by a version that knew no waiting
		k.UseAt = k.CreatedAt
	}
	return k, nil
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
