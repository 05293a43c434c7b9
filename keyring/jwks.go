package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"guichet"
)

// ErrInvalidJWKS tells that a document is not a set of public keys.
var ErrInvalidJWKS = &guichet.Error{
	Kind: guichet.Invalid, Code: "invalid_jwks",
	Reason: "This document is not a set of public keys.",
}

// JWKS gives the public keys as a JWK set (RFC 7517), in the order given. A
// shared key (HS256) is left out: there is nothing public about it.
func JWKS(keys ...Key) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys {
		switch key.material.(type) {
		case ed25519.PublicKey, *ecdsa.PublicKey:
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: key.material, KeyID: key.KID, Algorithm: string(key.Algorithm), Use: "sig",
			})
		}
	}
	document, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("writing the public keys: %w", err)
	}
	return document, nil
}

// ParseJWKS reads what JWKS wrote, as a gateway does that knows its issuer by
// address. Keys of algorithms we do not use are left out; a private or shared
// key makes the whole set suspect, and it is refused.
func ParseJWKS(document []byte) ([]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, ErrInvalidJWKS.Because(err)
	}
	if set.Keys == nil {
		return nil, ErrInvalidJWKS.Because(errors.New("no keys member"))
	}
	var keys []Key
	for _, raw := range set.Keys {
		var kind struct {
			Type      string    `json:"kty"`
			Algorithm Algorithm `json:"alg"`
			Private   string    `json:"d"`
			Shared    string    `json:"k"`
		}
		if err := json.Unmarshal(raw, &kind); err != nil {
			return nil, ErrInvalidJWKS.Because(errors.New("a key is not an object"))
		}
		if kind.Private != "" || kind.Shared != "" || kind.Type == "oct" {
			return nil, ErrInvalidJWKS.Because(errors.New("it holds a key that is not public"))
		}
		if kind.Algorithm != EdDSA && kind.Algorithm != ES256 {
			continue
		}
		var web jose.JSONWebKey
		if err := json.Unmarshal(raw, &web); err != nil {
			return nil, ErrInvalidJWKS.Because(err)
		}
		if web.KeyID == "" || !fitting(kind.Algorithm, web.Key) {
			return nil, ErrInvalidJWKS.Because(errors.New("a key has no name, or is not of its algorithm"))
		}
		keys = append(keys, Key{KID: web.KeyID, Algorithm: kind.Algorithm, material: web.Key})
	}
	return keys, nil
}

func fitting(algorithm Algorithm, material any) bool {
	switch key := material.(type) {
	case ed25519.PublicKey:
		return algorithm == EdDSA
	case *ecdsa.PublicKey:
		return algorithm == ES256 && key.Curve == elliptic.P256()
	default:
		return false
	}
}
