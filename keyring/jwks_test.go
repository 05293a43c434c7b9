package keyring

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestJWKSPublishesPublicMembersOnly(t *testing.T) {
	r := newRing(t)
	document, err := JWKS(r.keys[EdDSA].Key(), r.keys[HS256].Key(), r.keys[ES256].Key())
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 {
		t.Fatalf("%d keys published, want the two public ones: %s", len(set.Keys), document)
	}
	allowed := []string{"kty", "crv", "x", "y", "kid", "alg", "use"}
	for i, algorithm := range []Algorithm{EdDSA, ES256} {
		for member := range set.Keys[i] {
			if !slices.Contains(allowed, member) {
				t.Errorf("%s: member %q is published", algorithm, member)
			}
		}
		if got := set.Keys[i]; got["kid"] != r.keys[algorithm].KID || got["alg"] != string(algorithm) || got["use"] != "sig" {
			t.Errorf("%s: published as %v", algorithm, got)
		}
	}
	if strings.Contains(string(document), r.keys[HS256].KID) {
		t.Error("the shared key is named")
	}
	empty, err := JWKS(r.keys[HS256].Key())
	if err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("a set of nothing public: %s, %v", empty, err)
	}

	keys, err := ParseJWKS(document)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(keys...)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, k := range r.keys {
		_, err := v.Verify(mustSign(t, k, someClaims()))
		if public := algorithm != HS256; (err == nil) != public {
			t.Errorf("%s, by a gateway that read the set: %v", algorithm, err)
		}
	}
}

func TestSuspectJWKSIsRefused(t *testing.T) {
	r := newRing(t)
	document, err := JWKS(r.keys[EdDSA].Key())
	if err != nil {
		t.Fatal(err)
	}
	good := string(document)
	for name, text := range map[string]string{
		"not JSON":           `keys`,
		"no keys":            `{}`,
		"keys null":          `{"keys":null}`,
		"key not an object":  `{"keys":["x"]}`,
		"private":            strings.Replace(good, `"kid"`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid"`, 1),
		"shared":             `{"keys":[{"kty":"oct","alg":"HS256","kid":"k","k":"AAAA"}]}`,
		"shared, empty":      `{"keys":[{"kty":"oct","alg":"HS256","kid":"k"}]}`,
		"no name":            strings.Replace(good, r.keys[EdDSA].KID, "", 1),
		"named ES256":        strings.Replace(good, `"EdDSA"`, `"ES256"`, 1),
		"point not on curve": `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
	} {
		if keys, err := ParseJWKS([]byte(text)); !errors.Is(err, ErrInvalidJWKS) {
			t.Errorf("%s: %v, %v; want %v", name, keys, err, ErrInvalidJWKS)
		}
	}
	other := strings.Replace(good, `[`, `[{"kty":"RSA","alg":"RS256","kid":"r","n":"AQAB","e":"AQAB"},`, 1)
	if keys, err := ParseJWKS([]byte(other)); err != nil || len(keys) != 1 || keys[0].KID != r.keys[EdDSA].KID {
		t.Errorf("beside a key we do not use: %v, %v", keys, err)
	}
}
