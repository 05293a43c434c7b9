// Package keyring holds everything Guichet does with keys: it seals secrets at
// rest ([KeyFile], [Sealer]), signs and verifies tokens ([SigningKey],
// [Verifier], [CachedVerifier]), publishes public keys ([JWKS]) and checks the
// signature of webhooks ([VerifyMAC]).
//
// The hierarchy has three steps. The key file, on the disk of the machine,
// opens the sealing keyset, kept in the database; the sealing keyset opens
// everything else: bank credentials, sessions, and the private signing keys.
// So a copy of the database alone opens nothing, and the keys that touch data
// can be replaced without touching the file.
//
// This package keeps nothing anywhere but the key file: what must be stored is
// returned as bytes. Its keys come from the randomness of the system and never
// from a guichet.Clock, so that no test clock can ever make a real key.
package keyring

import (
	"fmt"
	"log/slog"

	"guichet"
)

// Secret is a string that never prints itself.
type Secret = guichet.Secret

// A redacted value prints as its label whatever asks: fmt reads unexported
// fields by reflection, so hiding a key in one is not enough.
type redacted string

func (r redacted) format(f fmt.State)   { _, _ = f.Write([]byte(r)) }
func (r redacted) logValue() slog.Value { return slog.StringValue(string(r)) }
func (r redacted) json() ([]byte, error) {
	return fmt.Appendf(nil, "%q", string(r)), nil
}
