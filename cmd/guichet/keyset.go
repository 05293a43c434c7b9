package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"guichet/keyring"
	"guichet/store"
)

// keyset is the signing keys as they were at one reading of the database. It is
// never changed: another one takes its place.
type keyset struct {
	rows    []store.SigningKey
	mark    string // equal for two readings that found the same
	private map[string]*keyring.SigningKey
	shared  map[string]*keyring.SigningKey // of HS256 providers, by provider
	jwks    []byte
}

const (
	// watchKeys is how often a process looks whether another has changed the keys.
	watchKeys = 250 * time.Millisecond
	// lookKeys is how often a token of a key nobody knows may make it look at once.
	lookKeys = 100 * time.Millisecond
)

// watch keeps the keys as the database has them until ctx is done: a key that is
// burned at another process is refused here within a moment. While the database
// does not answer nothing is accepted anyway: each check asks it.
func (k *keys) watch(ctx context.Context) {
	tick := time.NewTicker(watchKeys)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = k.reload(ctx) // the next one tries again
		}
	}
}

// look is for a token that names a key we do not have: it may have been made a
// moment ago.
func (k *keys) look() {
	k.mu.Lock()
	now := k.clock.Now()
	early := now.Sub(k.looked) < lookKeys && !now.Before(k.looked)
	if !early {
		k.looked = now
	}
	k.mu.Unlock()
	if early {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = k.reload(ctx) // the token stays unknown
}

// reload reads the keys and, when they are not what they were, uses what it read.
func (k *keys) reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	mark := markOf(rows)
	if have := k.now.Load(); have != nil && have.mark == mark {
		return nil
	}
	set, verifier, err := k.load(rows)
	if err != nil {
		return err
	}
	set.mark = mark
	// The verifier last: whoever finds a token good finds its keys published.
	k.now.Store(set)
	k.verifier.Use(verifier)
	return nil
}

func markOf(rows []store.SigningKey) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %d %d\n", r.KID, r.UseAt.UnixMicro(), r.BurnedAt.UnixMicro())
	}
	return b.String()
}

// load opens what is sealed. Every key that is not burned verifies and is
// published: those that wait, so that they are known when their time comes, and
// those that have signed, because what they signed is in people's hands.
func (k *keys) load(rows []store.SigningKey) (*keyset, *keyring.Verifier, error) {
	set := &keyset{rows: rows, private: map[string]*keyring.SigningKey{}, shared: map[string]*keyring.SigningKey{}}
	var verifying []keyring.Key
	for _, row := range rows {
		if !row.BurnedAt.IsZero() {
			continue
		}
		private, err := k.sealer.Open(place(row.KID), row.Sealed)
		if err != nil {
			return nil, nil, err
		}
		key, err := keyring.LoadSigningKey(row.KID, keyring.Algorithm(row.Algorithm), private, row.CreatedAt)
		if err != nil {
			return nil, nil, err
		}
		set.private[row.KID] = key
		verifying = append(verifying, key.Key())
	}
	var err error
	if set.jwks, err = keyring.JWKS(verifying...); err != nil {
		return nil, nil, err
	}
	shared, err := set.loadShared(k.config)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := keyring.NewVerifier(append(verifying, shared...)...)
	return set, verifier, err
}

// loadShared makes the keys of the secrets that providers share with their
// gateways. Each verifies its own provider's tokens, and no other's; a token that
// names no key, as an earlier service made them, is tried with each secret.
func (s *keyset) loadShared(c config) (verifying []keyring.Key, err error) {
	nameless := map[keyring.Secret]int{}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		if p.Algorithm != keyring.HS256 {
			continue
		}
		key, err := keyring.LoadSigningKey("hs256-"+name, keyring.HS256, []byte(p.Shared.Reveal()), time.Time{})
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", name, err)
		}
		s.shared[name] = key
		named := key.Key()
		named.Only = []string{name}
		verifying = append(verifying, named)
		if at, twice := nameless[p.Shared]; twice { // two providers share one secret
			verifying[at].Only = append(verifying[at].Only, name)
			continue
		}
		old := key.Key()
		old.KID, old.WithoutKID, old.Only = "hs256-without-name-"+name, true, []string{name}
		nameless[p.Shared] = len(verifying)
		verifying = append(verifying, old)
	}
	return verifying, nil
}

// signer is the key that signs a provider's tokens now. A provider that is not
// configured any more has the usual one.
func (k *keys) signer(provider string) *keyring.SigningKey {
	set := k.now.Load()
	if shared := set.shared[provider]; shared != nil {
		return shared
	}
	algorithm := k.config.Providers[provider].Algorithm
	if row, ok := store.CurrentKey(set.rows, string(algorithm), k.clock.Now()); ok {
		return set.private[row.KID]
	}
	return k.lists()
}

// lists is the key that signs status lists now. There always is one: whoever burns
// it puts another in its place.
func (k *keys) lists() *keyring.SigningKey {
	set := k.now.Load()
	row, _ := store.CurrentKey(set.rows, string(keyring.EdDSA), k.clock.Now())
	return set.private[row.KID]
}
