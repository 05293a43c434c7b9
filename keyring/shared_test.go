package keyring

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// Several secrets may sign tokens that name no key. Each says whose tokens it may
// be, and a token of one secret is never taken for another's.
func TestSharedSecretsAreApart(t *testing.T) {
	r := newRing(t)
	one, two := newRing(t).keys[HS256], newRing(t).keys[HS256]
	a, b := one.Key(), two.Key()
	a.WithoutKID, b.WithoutKID, a.Only, b.Only = true, true, []string{"api_a"}, []string{"api_b", "api_c"}
	v, err := NewVerifier(a, b, r.keys[EdDSA].Key())
	if err != nil {
		t.Fatal(err)
	}
	payload := `{"jti":"x","exp":4102444800}`
	for name, c := range map[string]struct {
		token string
		may   []string
	}{
		"first without a name":  {forge(t, one, `{"alg":"HS256"}`, payload), []string{"api_a"}},
		"second without a name": {forge(t, two, `{"alg":"HS256"}`, payload), []string{"api_b", "api_c"}},
		"second by its name":    {forge(t, two, `{"alg":"HS256","kid":"`+two.KID+`","typ":"JWT"}`, payload), []string{"api_b", "api_c"}},
		"public":                {mustSign(t, r.keys[EdDSA], someClaims()), []string{"api_a", "api_b", "api_c", "api_d"}},
	} {
		claims, err := v.Verify(c.token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, provider := range []string{"api_a", "api_b", "api_c", "api_d"} {
			if got, want := claims.MayBeOf(provider), slices.Contains(c.may, provider); got != want {
				t.Errorf("%s: may be of %s: %v", name, provider, got)
			}
		}
	}
	for name, token := range map[string]string{
		"a third secret":             forge(t, r.keys[HS256], `{"alg":"HS256"}`, payload),
		"the first, named second":    forge(t, one, `{"alg":"HS256","kid":"`+two.KID+`","typ":"JWT"}`, payload),
		"no name, another algorithm": forge(t, one, `{"alg":"EdDSA"}`, payload),
		"no name, HS512":             forge(t, one, `{"alg":"HS512"}`, payload),
		"no name, none":              b64(`{"alg":"none"}`) + "." + b64(payload) + ".",
		"no name, typ of a list":     forge(t, one, `{"alg":"HS256","typ":"statuslist+jwt"}`, payload),
		"the secret as EdDSA":        forge(t, one, `{"alg":"HS256","kid":"`+r.keys[EdDSA].KID+`","typ":"JWT"}`, payload),
		"the secret named EdDSA":     forge(t, one, `{"alg":"EdDSA","kid":"`+one.KID+`","typ":"JWT"}`, payload),
	} {
		if _, err := v.Verify(token); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token that names a key we do not have yet makes the cache look once; one that
// is wrong otherwise does not.
func TestCacheLooksForAnUnknownKey(t *testing.T) {
	r, later := newRing(t), newRing(t)
	cached := NewCachedVerifier(r.verifier, 100)
	looks := 0
	cached.OnUnknownKey(func() { looks++ })
	token := mustSign(t, later.keys[EdDSA], someClaims())
	if _, err := cached.Verify(token); !UnknownKey(err) || looks != 1 {
		t.Errorf("still unknown: %v after %d looks", err, looks)
	}
	if _, err := cached.Verify(token[:len(token)-4] + "AAAA"); !UnknownKey(err) || looks != 2 {
		t.Errorf("unknown and wrong: %v after %d looks", err, looks)
	}
	if _, err := cached.Verify(mustSign(t, r.keys[EdDSA], someClaims()) + "x"); err == nil || UnknownKey(err) || looks != 2 {
		t.Errorf("known and wrong: %v after %d looks", err, looks)
	}
	cached.OnUnknownKey(func() { cached.Use(later.verifier) })
	if _, err := cached.Verify(token); err != nil {
		t.Errorf("known by now: %v", err)
	}
}

// A status list says what the draft of the IETF says it says, and no verifier of
// tokens takes it for one.
func TestStatusListDocument(t *testing.T) {
	r := newRing(t)
	bits := make([]byte, 64)
	bits[0], bits[1] = 0b10111001, 0b10100011 // the draft's example of one bit a token
	packed, err := PackBits(bits)
	if err != nil {
		t.Fatal(err)
	}
	document, err := r.keys[EdDSA].SignStatusList(StatusList{
		URI: "https://guichet.example/status/3", Issuer: "https://guichet.example", Packed: packed, IssuedAt: day, ExpiresAt: day.Add(300 * time.Second),
		TTL: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.verifier.Verify(document); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("a status list was taken for a token: %v", err)
	}
	parts := strings.Split(document, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if want := `{"alg":"EdDSA","kid":"` + r.keys[EdDSA].KID + `","typ":"statuslist+jwt"}`; string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct {
		Sub           string
		Iat, Exp, TTL int64
		List          struct {
			Bits int
			Lst  string
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		t.Fatal(err)
	}
	if said.Sub != "https://guichet.example/status/3" || said.Iat != day.Unix() || said.Exp != day.Unix()+300 || said.TTL != 10 || said.List.Bits != 1 {
		t.Errorf("said %s", payload)
	}
	compressed, err := base64.RawURLEncoding.DecodeString(said.List.Lst)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(back, bits) {
		t.Errorf("came back as %x, %v", back, err)
	}
}
