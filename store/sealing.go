package store

import (
	"bytes"
	"context"
	"fmt"

	"guichet"
	"guichet/store/query"
)

// ErrKeysetChanged tells that another process changed the keyset meanwhile.
var ErrKeysetChanged = &guichet.Error{Kind: guichet.Conflict, Code: "keyset_changed", Reason: "The sealing keys were changed by another process. Look at them again."}

// A SealedValue is one value sealed by the keyring, and where it lives.
type SealedValue struct {
	Table, Row, Column string
	Value              []byte
}

const keysetSetting = "keyset"

// Keyset is the stored sealing keyset; nil when none was made yet.
func (s *Store) Keyset(ctx context.Context) ([]byte, error) { return s.Setting(ctx, keysetSetting) }

// MakeKeyset keeps the first keyset and what its key's seals begin with, unless
// there is a keyset already, and returns the one that is kept.
func (s *Store) MakeKeyset(ctx context.Context, fresh, prefix []byte) (kept []byte, err error) {
	err = s.update(ctx, func(t *tx) error {
		n, err := t.q.InsertSetting(t.ctx, query.InsertSettingParams{Name: keysetSetting, Value: fresh})
		if err != nil {
			return err
		}
		if n == 1 {
			if err := t.q.AddSealingKey(t.ctx, prefix); err != nil {
				return err
			}
		}
		kept, err = t.q.Setting(t.ctx, keysetSetting)
		return err
	})
	return kept, err
}

// ChangeKeyset replaces the keyset by one that has the keys of the prefixes, if
// nobody did so before. From the commit on, the database refuses what any other
// key sealed; while something sealed by a key that would go is left, nothing is
// changed and left says how much.
func (s *Store) ChangeKeyset(ctx context.Context, by guichet.Actor, former, next []byte, prefixes [][]byte) (left int, err error) {
	err = s.update(ctx, func(t *tx) error {
		left = 0
		n, err := t.q.ReplaceSetting(t.ctx, query.ReplaceSettingParams{Name: keysetSetting, Value: next, Former: former})
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrKeysetChanged
		}
		known, err := t.q.SealingKeys(t.ctx)
		if err != nil {
			return err
		}
		for _, prefix := range prefixes {
			if err := t.q.AddSealingKey(t.ctx, prefix); err != nil {
				return err
			}
		}
		for _, prefix := range known {
			if contains(prefixes, prefix) {
				continue
			}
			// This waits for whoever is writing a value of that key, and then sees it.
			if err := t.q.RetireSealingKey(t.ctx, prefix); err != nil {
				return err
			}
			rest, err := t.q.SealedElsewise(t.ctx, query.SealedElsewiseParams{Prefix: prefixes[0], MaxRows: 1000})
			if err != nil {
				return err
			}
			if left = len(rest); left > 0 {
				return errLeft
			}
		}
		return t.Audit(guichet.AuditEntry{
			ID: t.store.clock.NewID(), At: t.store.clock.Now(), Actor: by, Deed: "keyset.changed", Subject: "keyset",
			Detail: asJSON(map[string]int{"keys": len(prefixes)}),
		})
	})
	if left > 0 {
		err = nil
	}
	return left, err
}

// errLeft undoes a retirement that came too early.
var errLeft = &guichet.Error{Kind: guichet.Conflict, Code: "sealed_values_left", Reason: "Something is still sealed by a key that would be retired."}

func contains(all [][]byte, one []byte) bool {
	for _, b := range all {
		if bytes.Equal(b, one) {
			return true
		}
	}
	return false
}

// SealedElsewise lists up to limit values that another key than that of the
// prefix has sealed.
func (s *Store) SealedElsewise(ctx context.Context, prefix []byte, most int) ([]SealedValue, error) {
	rows, err := s.reader.SealedElsewise(ctx, query.SealedElsewiseParams{Prefix: prefix, MaxRows: limit(most)})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.SealedElsewiseRow) (SealedValue, error) {
		return SealedValue{r.TableName, r.RowID, r.ColumnName, r.Sealed}, nil
	})
}

// Reseal puts the same values under other seals, in one transaction. One that
// changed meanwhile is passed over: it was sealed anew by whoever changed it.
func (s *Store) Reseal(ctx context.Context, former, next []SealedValue) error {
	return s.update(ctx, func(t *tx) error {
		for i, v := range next {
			if err := t.reseal(v, former[i].Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) reseal(v SealedValue, former []byte) (err error) {
	switch v.Table + "." + v.Column {
	case "accesses.credentials":
		_, err = t.q.ResealCredentials(t.ctx, query.ResealCredentialsParams{Credentials: v.Value, ID: v.Row, Former: former})
	case "accesses.session":
		_, err = t.q.ResealAccessSession(t.ctx, query.ResealAccessSessionParams{Session: v.Value, ID: v.Row, Former: former})
	case "attempts.form":
		_, err = t.q.ResealForm(t.ctx, query.ResealFormParams{Form: v.Value, ID: v.Row, Former: former})
	case "attempts.credentials":
		_, err = t.q.ResealAttemptCredentials(t.ctx, query.ResealAttemptCredentialsParams{Credentials: v.Value, ID: v.Row, Former: former})
	case "challenges.session":
		_, err = t.q.ResealChallengeSession(t.ctx, query.ResealChallengeSessionParams{Session: v.Value, ID: v.Row, Former: former})
	case "signing_keys.sealed":
		_, err = t.q.ResealSigningKey(t.ctx, query.ResealSigningKeyParams{Sealed: v.Value, Kid: v.Row, Former: former})
	case "settings.value":
		_, err = t.q.ReplaceSetting(t.ctx, query.ReplaceSettingParams{Name: v.Row, Value: v.Value, Former: former})
	default:
		err = fmt.Errorf("nothing sealed lives in %s.%s", v.Table, v.Column)
	}
	return err
}
