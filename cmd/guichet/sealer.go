package main

import (
	"bytes"
	"context"
	"sync"
	"time"

	"guichet"
	"guichet/keyring"
	"guichet/store"
)

// liveSealer seals and opens with the keys the database has now, so that a
// rotation made by another process is followed without a restart. Sealing is rare
// (credentials, the session of a bank): it looks at the database each time.
type liveSealer struct {
	file  *keyring.KeyFile
	store *store.Store

	mu     sync.Mutex
	stored []byte // what sealer was made from
	sealer *keyring.Sealer
}

// openSealer makes the keyset when there is none.
func openSealer(ctx context.Context, file *keyring.KeyFile, s *store.Store) (*liveSealer, error) {
	l := &liveSealer{file: file, store: s}
	stored, err := s.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		fresh, sealer, err := file.NewKeyset()
		if err != nil {
			return nil, err
		}
		if _, err := s.MakeKeyset(ctx, fresh, sealer.Prefixes()[0]); err != nil {
			return nil, err
		}
	}
	_, err = l.now(ctx)
	return l, err
}

// now is a sealer with the present keys.
func (l *liveSealer) now(ctx context.Context) (*keyring.Sealer, error) {
	stored, err := l.store.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealer != nil && bytes.Equal(stored, l.stored) {
		return l.sealer, nil
	}
	sealer, err := l.file.OpenKeyset(stored)
	if err != nil {
		return nil, err
	}
	l.stored, l.sealer = stored, sealer
	return sealer, nil
}

// lookTimeout bounds a look at the keyset: a database that hangs is an error.
const lookTimeout = 10 * time.Second

// Seal hides plain so that it opens at its place only.
func (l *liveSealer) Seal(place keyring.Place, plain []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	sealer, err := l.now(ctx)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(place, plain)
}

// Open gives back what was sealed at the place. It looks at the database only
// for a value whose key it does not know.
func (l *liveSealer) Open(place keyring.Place, sealed []byte) ([]byte, error) {
	l.mu.Lock()
	sealer := l.sealer
	l.mu.Unlock()
	if !sealer.Knows(sealed) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		var err error
		if sealer, err = l.now(ctx); err != nil {
			return nil, err
		}
	}
	return sealer.Open(place, sealed)
}

// resealAtOnce is how many values change their seal in one transaction.
const resealAtOnce = 200

// rotate gives the database a new sealing key and puts everything under it. Each
// of its steps is durable and known to all processes by itself; dying anywhere
// loses nothing, and the next rotate ends what this one began. It tells each step
// when it is done, and returns how many values it sealed anew.
func (l *liveSealer) rotate(ctx context.Context, by guichet.Actor, done func(step string)) (resealed int, err error) {
	for begun := false; ; {
		stored, err := l.store.Keyset(ctx)
		if err != nil {
			return resealed, err
		}
		sealer, err := l.file.OpenKeyset(stored)
		if err != nil {
			return resealed, err
		}
		alone := len(sealer.KeyIDs()) == 1
		var next []byte
		var nextSealer *keyring.Sealer
		var step string
		switch {
		case alone && begun:
			return resealed, nil
		case alone: // all can open with the new key, none seals with it yet
			step = "added"
			next, nextSealer, err = l.file.AddKey(stored)
		case !sealer.NewestSeals(): // all seal with it
			step = "promoted"
			next, nextSealer, err = l.file.Promote(stored)
		default:
			n, err := l.reseal(ctx, sealer)
			resealed += n
			if err != nil {
				return resealed, err
			}
			done("resealed")
			step = "retired"
			if next, nextSealer, err = l.file.RetireKeys(stored); err != nil {
				return resealed, err
			}
		}
		if err != nil {
			return resealed, err
		}
		left, err := l.store.ChangeKeyset(ctx, by, stored, next, nextSealer.Prefixes())
		if err != nil {
			return resealed, err
		}
		if begun = true; left == 0 {
			done(step)
		}
	}
}

// reseal puts what other keys sealed under the one that seals now.
func (l *liveSealer) reseal(ctx context.Context, sealer *keyring.Sealer) (n int, err error) {
	for {
		former, err := l.store.SealedElsewise(ctx, sealer.Prefixes()[0], resealAtOnce)
		if err != nil || len(former) == 0 {
			return n, err
		}
		next := make([]store.SealedValue, len(former))
		for i, v := range former {
			place := keyring.Place{Table: v.Table, Row: v.Row, Column: v.Column}
			plain, err := sealer.Open(place, v.Value)
			if err != nil {
				return n, err
			}
			next[i] = v
			if next[i].Value, err = sealer.Seal(place, plain); err != nil {
				return n, err
			}
		}
		if err := l.store.Reseal(ctx, former, next); err != nil {
			return n, err
		}
		n += len(former)
	}
}
