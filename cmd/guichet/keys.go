package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store"
)

// keys are the secrets of a running program: what seals, what signs. What signs may
// be changed at any moment by another process; see keyset.go.
type keys struct {
	config   config
	store    *store.Store
	clock    guichet.Clock
	sealer   *liveSealer
	verifier *keyring.CachedVerifier

	now    atomic.Pointer[keyset]
	mu     sync.Mutex // one reload at a time
	looked time.Time  // when a key nobody knows last made us look
}

// cachedSignatures is how many verified signatures are remembered: about 10 MB.
const cachedSignatures = 20_000

// openKeys opens the key file and what it seals in the database, and makes what
// is missing. If we die after the key file is made and before the keyset is, the
// next start goes on from there.
func openKeys(ctx context.Context, c config, s *store.Store, clock guichet.Clock) (*keys, error) {
	if err := os.MkdirAll(filepath.Dir(c.KeyFile), 0o700); err != nil {
		return nil, err
	}
	sealed, err := s.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.KeyFile); sealed != nil && os.IsNotExist(err) {
		// A new key file would open nothing of this database.
		return nil, &guichet.Error{
			Kind: guichet.Invalid, Code: "key_file_missing", Field: "GUICHET_KEY_FILE",
			Reason: "The database has secrets sealed by a key file that is not there. Put the file back, or start with an empty database.",
		}
	}
	file, _, err := keyring.OpenKeyFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	k := &keys{config: c, store: s, clock: clock}
	if k.sealer, err = openSealer(ctx, file, s); err != nil {
		return nil, err
	}
	return k, k.openSigning(ctx)
}

func place(kid string) keyring.Place {
	return keyring.Place{Table: "signing_keys", Row: kid, Column: "sealed"}
}

// openSigning makes the signing keys that the providers need and that are not
// there, and loads all.
func (k *keys) openSigning(ctx context.Context) error {
	wanted := map[keyring.Algorithm]bool{keyring.EdDSA: true} // status lists
	for _, p := range k.config.Providers {
		wanted[p.Algorithm] = true
	}
	rows, err := k.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, algorithm := range []keyring.Algorithm{keyring.EdDSA, keyring.ES256} {
		if _, have := store.CurrentKey(rows, string(algorithm), k.clock.Now()); !wanted[algorithm] || have {
			continue
		}
		fresh, err := k.fresh(string(algorithm))
		if err != nil {
			return err
		}
		if _, err := k.store.EnsureSigningKey(ctx, fresh); err != nil {
			return err
		}
	}
	if k.verifier, err = newVerifier(); err != nil {
		return err
	}
	k.verifier.OnUnknownKey(k.look)
	return k.reload(ctx)
}

func newVerifier() (*keyring.CachedVerifier, error) {
	empty, err := keyring.NewVerifier()
	if err != nil {
		return nil, err
	}
	return keyring.NewCachedVerifier(empty, cachedSignatures), nil
}

// fresh makes a key and seals it. It is nowhere yet. Its name never looks like a
// flag, because people will type it.
func (k *keys) fresh(algorithm string) (store.SigningKey, error) {
	key, err := keyring.NewSigningKey(keyring.Algorithm(algorithm), k.clock.Now())
	for err == nil && strings.HasPrefix(key.KID, "-") {
		key, err = keyring.NewSigningKey(keyring.Algorithm(algorithm), k.clock.Now())
	}
	if err != nil {
		return store.SigningKey{}, err
	}
	sealed, err := k.sealer.Seal(place(key.KID), key.Private())
	if err != nil {
		return store.SigningKey{}, err
	}
	return store.SigningKey{
		KID: key.KID, Algorithm: algorithm, Purpose: "token", Sealed: sealed, Public: []byte{}, CreatedAt: key.CreatedAt, UseAt: key.CreatedAt,
	}, nil
}

// mint computes the JWT of a token. It is never stored, so that after a key is
// burned the same token is another JWT.
func (k *keys) mint(t grant.Standing) (guichet.Secret, error) {
	key := k.signer(t.Provider)
	extra := map[string]string{"request": t.Provider + "/" + t.ExternalID} // gateways tell it to the API
	if t.LegacyID != "" {
		extra["legacy_token_id"] = t.LegacyID
	}
	info, err := json.Marshal(extra)
	if err != nil {
		return "", err
	}
	id := t.ID.String()
	jwt, err := key.Sign(keyring.Claims{
		Issuer: k.config.URL, Subject: t.Title, ID: id, UID: id, Scopes: t.Scopes, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
		Version: "1.0", ExtraInfo: info, Status: keyring.StatusAt(k.config.URL, t.StatusIndex), Limit: t.Limit,
	})
	return guichet.Secret(jwt), err
}
