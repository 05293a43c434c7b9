package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store"
)

// keys are the secrets of a running program: what seals, what signs.
type keys struct {
	sealer   *liveSealer
	signing  map[keyring.Algorithm]*keyring.SigningKey // the one that signs now
	shared   map[string]*keyring.SigningKey            // of HS256 providers, by name
	verifier *keyring.CachedVerifier
	jwks     []byte
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
	k := &keys{signing: map[keyring.Algorithm]*keyring.SigningKey{}, shared: map[string]*keyring.SigningKey{}}
	if k.sealer, err = openSealer(ctx, file, s); err != nil {
		return nil, err
	}
	return k, k.openSigning(ctx, c, s, clock)
}

func place(kid string) keyring.Place {
	return keyring.Place{Table: "signing_keys", Row: kid, Column: "sealed"}
}

func (k *keys) openSigning(ctx context.Context, c config, s *store.Store, clock guichet.Clock) error {
	rows, err := s.SigningKeys(ctx)
	if err != nil {
		return err
	}
	have := map[keyring.Algorithm]bool{}
	for _, row := range rows {
		have[keyring.Algorithm(row.Algorithm)] = true
	}
	wanted := map[keyring.Algorithm]bool{keyring.EdDSA: true}
	for _, p := range c.Providers {
		wanted[p.Algorithm] = true
	}
	for _, algorithm := range []keyring.Algorithm{keyring.EdDSA, keyring.ES256} {
		if !wanted[algorithm] || have[algorithm] {
			continue
		}
		row, err := k.newSigning(ctx, algorithm, s, clock)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	var public []keyring.Key
	for _, row := range rows {
		private, err := k.sealer.Open(place(row.KID), row.Sealed)
		if err != nil {
			return err
		}
		key, err := keyring.LoadSigningKey(row.KID, keyring.Algorithm(row.Algorithm), private, row.CreatedAt)
		if err != nil {
			return err
		}
		k.signing[key.Algorithm] = key
		public = append(public, key.Key())
	}
	if k.jwks, err = keyring.JWKS(public...); err != nil {
		return err
	}
	for name, p := range c.Providers {
		if p.Algorithm != keyring.HS256 {
			continue
		}
		key, err := keyring.LoadSigningKey("hs256-"+name, keyring.HS256, []byte(p.Shared.Reveal()), clock.Now())
		if err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
		k.shared[name] = key
		public = append(public, key.Key())
	}
	verifier, err := keyring.NewVerifier(public...)
	if err != nil {
		return err
	}
	k.verifier = keyring.NewCachedVerifier(verifier, cachedSignatures)
	return nil
}

func (k *keys) newSigning(ctx context.Context, algorithm keyring.Algorithm, s *store.Store, clock guichet.Clock) (store.SigningKey, error) {
	key, err := keyring.NewSigningKey(algorithm, clock.Now())
	if err != nil {
		return store.SigningKey{}, err
	}
	sealed, err := k.sealer.Seal(place(key.KID), key.Private())
	if err != nil {
		return store.SigningKey{}, err
	}
	return s.EnsureSigningKey(ctx, store.SigningKey{
		KID: key.KID, Algorithm: string(algorithm), Purpose: "token", Sealed: sealed, Public: []byte{}, CreatedAt: key.CreatedAt,
	})
}

// mint computes the JWT of a token. It is never stored.
func (k *keys) mint(c config) func(grant.Standing) (guichet.Secret, error) {
	return func(t grant.Standing) (guichet.Secret, error) {
		key := k.signing[c.Providers[t.Provider].Algorithm]
		if shared := k.shared[t.Provider]; shared != nil {
			key = shared
		}
		if key == nil { // a provider that is not configured any more
			key = k.signing[keyring.EdDSA]
		}
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
			Issuer: c.URL, Subject: t.Title, ID: id, UID: id, Scopes: t.Scopes, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
			Version: "1.0", ExtraInfo: info,
			Status: keyring.StatusAt(c.URL, t.StatusIndex),
		})
		return guichet.Secret(jwt), err
	}
}
