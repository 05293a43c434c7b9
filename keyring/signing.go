package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"guichet"
)

// An Algorithm is how a key signs. It belongs to the key: what a token claims
// about its own algorithm is only ever compared with it.
type Algorithm string

// The algorithms of Guichet.
const (
	EdDSA Algorithm = "EdDSA" // Ed25519, the default
	ES256 Algorithm = "ES256" // ECDSA on P-256, for gateways that lack Ed25519
	HS256 Algorithm = "HS256" // HMAC, for a gateway that already shares a secret
)

// TypeToken is the typ of the tokens of applicants. Whatever else we sign has
// another, so that one kind never passes for another.
const TypeToken = "JWT"

// MaxTokenBytes is the longest token that is made or read.
const MaxTokenBytes = 8 << 10

// minSharedBytes is what RFC 7518 section 3.2 asks of an HMAC-SHA256 secret.
const minSharedBytes = 32

// ErrInvalidKey tells that bytes are no key of their algorithm.
var ErrInvalidKey = &guichet.Error{
	Kind: guichet.Invalid, Code: "invalid_key",
	Reason: "This is not a key of this algorithm, or it is too short.",
}

// A SigningKey makes tokens. Its caller keeps Private, sealed, and loads it
// again with LoadSigningKey. Safe for concurrent use.
type SigningKey struct {
	KID       string
	Algorithm Algorithm
	CreatedAt time.Time
	private   []byte
	sign      func(signed string) ([]byte, error)
	key       Key
}

// A Key verifies what one SigningKey signed. It is public, save for HS256.
type Key struct {
	KID       string
	Algorithm Algorithm
	// WithoutKID says that a token that names no key may be this one's. It is for
	// a shared secret whose tokens were made before keys had names: only with HS256.
	WithoutKID bool
	// Only, when it is not empty, names the providers whose tokens this key may
	// sign. Whoever shares a secret can make tokens with it, and must not make
	// another provider's. The verifier tells; its caller compares.
	Only     []string
	material any // ed25519.PublicKey, *ecdsa.PublicKey, or []byte
}

// NewSigningKey makes a key from the randomness of the system.
func NewSigningKey(algorithm Algorithm, at time.Time) (*SigningKey, error) {
	// 32 bytes are a seed of Ed25519 and a secret of HMAC as they are.
	private := make([]byte, 32)
	if _, err := rand.Read(private); err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	kid := ""
	switch algorithm {
	case HS256:
		// Not derived from the secret: a kid is public.
		name := make([]byte, 12)
		if _, err := rand.Read(name); err != nil {
			return nil, fmt.Errorf("making a signing key: %w", err)
		}
		kid = hex.EncodeToString(name)
	case ES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making a signing key: %w", err)
		}
		if private, err = key.Bytes(); err != nil {
			return nil, fmt.Errorf("making a signing key: %w", err)
		}
	case EdDSA:
	default:
		return nil, ErrInvalidKey.Because(fmt.Errorf("unknown algorithm %q", algorithm))
	}
	return LoadSigningKey(kid, algorithm, private, at)
}

// LoadSigningKey makes a key again from its private bytes: the 32-byte seed of
// Ed25519, the 32-byte scalar of P-256, or a shared secret of at least 32 bytes.
// An empty kid of a public key is replaced by its thumbprint (RFC 7638).
func LoadSigningKey(kid string, algorithm Algorithm, private []byte, at time.Time) (*SigningKey, error) {
	k := &SigningKey{Algorithm: algorithm, CreatedAt: at, private: bytes.Clone(private)}
	var secret, public any
	var method jwt.SigningMethod
	switch algorithm {
	case EdDSA:
		if len(private) != ed25519.SeedSize {
			return nil, ErrInvalidKey
		}
		key := ed25519.NewKeyFromSeed(k.private)
		method, secret, public = jwt.SigningMethodEdDSA, key, key.Public()
	case ES256:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.private)
		if err != nil {
			return nil, ErrInvalidKey.Because(err)
		}
		method, secret, public = jwt.SigningMethodES256, key, &key.PublicKey
	case HS256:
		if len(private) < minSharedBytes {
			return nil, ErrInvalidKey
		}
		method, secret, public = jwt.SigningMethodHS256, k.private, k.private
	default:
		return nil, ErrInvalidKey.Because(fmt.Errorf("unknown algorithm %q", algorithm))
	}
	k.sign = func(signed string) ([]byte, error) { return method.Sign(signed, secret) }
	k.key = Key{KID: kid, Algorithm: algorithm, material: public}
	if kid == "" && algorithm != HS256 {
		thumbprint, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, ErrInvalidKey.Because(err)
		}
		k.key.KID = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	if k.key.KID == "" {
		return nil, ErrInvalidKey.Because(errors.New("a shared key needs a name"))
	}
	k.KID = k.key.KID
	return k, nil
}

// SharedKey is the verifying key of a secret shared with a gateway, of at least
// 32 bytes.
func SharedKey(kid string, secret Secret) (Key, error) {
	k, err := LoadSigningKey(kid, HS256, []byte(secret.Reveal()), time.Time{})
	if err != nil {
		return Key{}, err
	}
	return k.Key(), nil
}

// Private gives the bytes that LoadSigningKey takes. Whoever calls it seals them.
func (k *SigningKey) Private() []byte { return bytes.Clone(k.private) }

// Key gives the key that verifies what this one signs.
func (k *SigningKey) Key() Key { return k.key }

// Sign makes a token of the claims, which may be of any type that is a JSON
// object. A token nobody would read, being too long, is not made.
func (k *SigningKey) Sign(claims any) (string, error) { return k.SignAs(TypeToken, claims) }

// SignAs makes a signed document of another kind, named by its typ: a status
// list, for instance. It has no limit of length, and a Verifier refuses it.
func (k *SigningKey) SignAs(typ string, claims any) (string, error) {
	header, err := encodeHeader(k.Algorithm, k.KID, typ)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	if len(payload) == 0 || payload[0] != '{' {
		return "", errors.New("signing: the claims are not a JSON object")
	}
	signed := header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := k.sign(signed)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	token := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if typ == TypeToken && len(token) > MaxTokenBytes {
		return "", &guichet.Error{
			Kind: guichet.Invalid, Code: "token_too_long",
			Reason: "The claims of this token are too long: shorten its title or its scopes.",
		}
	}
	return token, nil
}

func encodeHeader(algorithm Algorithm, kid, typ string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm Algorithm `json:"alg"`
		KID       string    `json:"kid"`
		Type      string    `json:"typ"`
	}{algorithm, kid, typ})
	return base64.RawURLEncoding.EncodeToString(header), err
}

// Format shows which key it is and hides it, whatever the verb.
func (k *SigningKey) Format(f fmt.State, _ rune) { k.label().format(f) }

// LogValue shows which key it is and hides it.
func (k *SigningKey) LogValue() slog.Value { return k.label().logValue() }

// MarshalJSON shows which key it is and hides it.
func (k *SigningKey) MarshalJSON() ([]byte, error) { return k.label().json() }

func (k *SigningKey) label() redacted {
	return redacted(fmt.Sprintf("signing key %s (%s)", k.KID, k.Algorithm))
}

// Format shows which key it is and hides it, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { k.label().format(f) }

// LogValue shows which key it is and hides it.
func (k Key) LogValue() slog.Value { return k.label().logValue() }

// MarshalJSON shows which key it is and hides it: JWKS publishes keys.
func (k Key) MarshalJSON() ([]byte, error) { return k.label().json() }

func (k Key) label() redacted {
	return redacted(fmt.Sprintf("key %s (%s)", k.KID, k.Algorithm))
}
