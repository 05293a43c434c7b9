package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
)

var day = time.Date(2026, 5, 4, 7, 33, 21, 0, time.UTC)

// ring is one key of each algorithm, the shared one usable without its name,
// and a verifier of the three.
type ring struct {
	keys     map[Algorithm]*SigningKey
	verifier *Verifier
}

func newRing(t testing.TB) ring {
	t.Helper()
	r := ring{keys: map[Algorithm]*SigningKey{}}
	var public []Key
	for _, algorithm := range []Algorithm{EdDSA, ES256, HS256} {
		k, err := NewSigningKey(algorithm, day)
		if err != nil {
			t.Fatal(err)
		}
		r.keys[algorithm] = k
		key := k.Key()
		key.WithoutKID = algorithm == HS256
		public = append(public, key)
	}
	v, err := NewVerifier(public...)
	if err != nil {
		t.Fatal(err)
	}
	r.verifier = v
	return r
}

func someClaims() Claims {
	return Claims{
		Issuer: "https://guichet.example", Subject: "Marchés publics de Valmont",
		ID: "0196a1b2-0000-7000-8000-000000000001", UID: "0196a1b2-0000-7000-8000-000000000001",
		Scopes: []string{"entreprises", "open_data"}, IssuedAt: day, ExpiresAt: day.AddDate(1, 6, 0),
		Version: "1.0", ExtraInfo: json.RawMessage(`{"legacy_token_id":"over-9000"}`),
		Status: Status{Index: 131071, URI: "https://guichet.example/status/3"},
	}
}

func mustSign(t testing.TB, k *SigningKey, claims any) string {
	t.Helper()
	token, err := k.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignedTokenIsRead(t *testing.T) {
	r := newRing(t)
	for algorithm, k := range r.keys {
		for _, want := range []Claims{someClaims(), {ID: "x", Scopes: []string{}, ExpiresAt: day}} {
			token := mustSign(t, k, want)
			got, err := r.verifier.Verify(token)
			if err != nil {
				t.Fatalf("%s: %v", algorithm, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-signed +read):\n%s", algorithm, diff)
			}
		}
		header, _ := base64.RawURLEncoding.DecodeString(strings.Split(mustSign(t, k, Claims{}), ".")[0])
		if want := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, algorithm, k.KID); string(header) != want {
			t.Errorf("header %s, want %s", header, want)
		}
	}
}

func TestKeyLoadedAgainIsTheSameKey(t *testing.T) {
	for _, algorithm := range []Algorithm{EdDSA, ES256, HS256} {
		k, err := NewSigningKey(algorithm, day)
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadSigningKey(k.KID, algorithm, k.Private(), k.CreatedAt)
		if err != nil {
			t.Fatal(err)
		}
		v, err := NewVerifier(k.Key())
		if err != nil {
			t.Fatal(err)
		}
		token := mustSign(t, again, someClaims())
		if _, err := v.Verify(token); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		if same := token == mustSign(t, k, someClaims()); !same && algorithm != ES256 {
			t.Errorf("%s: the same claims gave two tokens", algorithm)
		}
		if algorithm == HS256 {
			continue
		}
		unnamed, err := LoadSigningKey("", algorithm, k.Private(), day)
		if err != nil || unnamed.KID != k.KID {
			t.Errorf("%s: without a name the key is %q, %v; want its thumbprint %q", algorithm, unnamed.KID, err, k.KID)
		}
	}
}

// The example of RFC 8037, appendix A: key, thumbprint, signature.
func TestKnownEd25519Key(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	k, err := LoadSigningKey("", EdDSA, seed, day)
	if err != nil {
		t.Fatal(err)
	}
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; k.KID != want {
		t.Errorf("thumbprint %s, want %s", k.KID, want)
	}
	signature, err := k.sign("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
	if err != nil {
		t.Fatal(err)
	}
	want := "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if got := base64.RawURLEncoding.EncodeToString(signature); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	for name, load := range map[string]func() error{
		"short seed":     func() error { _, err := LoadSigningKey("k", EdDSA, make([]byte, 31), day); return err },
		"zero scalar":    func() error { _, err := LoadSigningKey("k", ES256, make([]byte, 32), day); return err },
		"short scalar":   func() error { _, err := LoadSigningKey("k", ES256, []byte{1}, day); return err },
		"short secret":   func() error { _, err := SharedKey("k", "too short"); return err },
		"secret unnamed": func() error { _, err := SharedKey("", Secret(strings.Repeat("x", 32))); return err },
		"none":           func() error { _, err := LoadSigningKey("k", "none", make([]byte, 32), day); return err },
		"new none":       func() error { _, err := NewSigningKey("none", day); return err },
		"no algorithm":   func() error { _, err := NewVerifier(Key{KID: "k"}); return err },
		"key of nothing": func() error { _, err := NewVerifier(Key{KID: "k", Algorithm: EdDSA}); return err },
		"twice":          func() error { k := newRing(t).keys[EdDSA].Key(); _, err := NewVerifier(k, k); return err },
		"public unnamed": func() error {
			k := newRing(t).keys[EdDSA].Key()
			k.WithoutKID = true
			_, err := NewVerifier(k)
			return err
		},
	} {
		if err := load(); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s: %v, want %v", name, err, ErrInvalidKey)
		}
	}
	if v, err := NewVerifier(); err != nil {
		t.Error(err)
	} else if _, err := v.Verify(mustSign(t, newRing(t).keys[HS256], someClaims())); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("a verifier without keys: %v", err)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs any header and payload text with the key, as its holder could.
func forge(t testing.TB, k *SigningKey, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	signature, err := k.sign(signed)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hs256(secret []byte, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// The attack matrix. Each token is what someone could send; none is accepted.
// Those that forge makes are even signed with the right key, so that it is the
// check they are named after that refuses them, and no other.
func TestAttacks(t *testing.T) {
	r := newRing(t)
	ed, es, hs := r.keys[EdDSA], r.keys[ES256], r.keys[HS256]
	stranger := newRing(t).keys[EdDSA]
	payload := `{"jti":"x","exp":4102444800}`
	good := mustSign(t, ed, someClaims())
	parts := strings.Split(good, ".")
	head := func(alg, kid, more string) string {
		return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"%s}`, alg, kid, more)
	}
	public := ed.key.material.(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	point, err := es.key.material.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := JWKS(ed.Key())
	if err != nil {
		t.Fatal(err)
	}
	attacks := map[string]string{
		"empty":                  "",
		"dots":                   "..",
		"two parts":              parts[0] + "." + parts[1],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"no header":              "." + parts[1] + "." + parts[2],
		"no payload":             parts[0] + ".." + parts[2],
		"four parts":             good + "." + parts[2],
		"JWE of five parts":      good + ".." + parts[2],
		"JSON serialisation":     `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"bearer left on":         "Bearer " + good,
		"space before":           " " + good,
		"space after":            good + " ",
		"line end after":         good + "\n",
		"line end within":        good[:len(good)-4] + "\n" + good[len(good)-4:],
		"carriage return within": parts[0] + "." + parts[1][:4] + "\r" + parts[1][4:] + "." + parts[2],
		"padded":                 good + "==",
		"padded header":          parts[0] + "=." + parts[1] + "." + parts[2],
		"standard base64":        parts[0] + "." + parts[1] + "+/." + parts[2],
		"percent-encoded":        strings.ReplaceAll(good, ".", "%2E"),
		"full-width dot":         strings.Replace(good, ".", "．", 1),
		"NUL after":              good + "\x00",
		"too long":               forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":"`+strings.Repeat("x", MaxTokenBytes)+`"}`),

		"unknown kid":          forge(t, stranger, head("EdDSA", stranger.KID, ""), payload),
		"stranger as our kid":  forge(t, stranger, head("EdDSA", ed.KID, ""), payload),
		"kid of another key":   forge(t, ed, head("ES256", es.KID, ""), payload),
		"kid path":             forge(t, ed, head("EdDSA", "../../../../dev/null", ""), payload),
		"kid SQL":              forge(t, ed, head("EdDSA", "x' UNION SELECT 'secret", ""), payload),
		"kid empty":            forge(t, ed, head("EdDSA", "", ""), payload),
		"kid number":           forge(t, ed, `{"alg":"EdDSA","kid":0,"typ":"JWT"}`, payload),
		"kid null":             forge(t, hs, `{"alg":"HS256","kid":null,"typ":"JWT"}`, payload),
		"kid list":             forge(t, ed, `{"alg":"EdDSA","kid":["`+ed.KID+`"],"typ":"JWT"}`, payload),
		"kid with a space":     forge(t, ed, head("EdDSA", ed.KID+" ", ""), payload),
		"no kid, public key":   forge(t, ed, `{"alg":"EdDSA","typ":"JWT"}`, payload),
		"no kid, ES256":        forge(t, es, `{"alg":"ES256","typ":"JWT"}`, payload),
		"kid twice":            forge(t, ed, `{"alg":"EdDSA","kid":"y","kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"alg twice":            forge(t, ed, `{"alg":"none","alg":"EdDSA","kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"ALG beside alg":       forge(t, ed, head("EdDSA", ed.KID, `,"ALG":"none"`), payload),
		"Alg instead of alg":   forge(t, ed, `{"Alg":"EdDSA","kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"Kelvin kid":           forge(t, ed, `{"alg":"EdDSA","`+"\u212a"+`id":"`+ed.KID+`","typ":"JWT"}`, payload),
		"no alg":               forge(t, ed, `{"kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"alg null":             forge(t, ed, `{"alg":null,"kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"alg list":             forge(t, ed, `{"alg":["EdDSA"],"kid":"`+ed.KID+`","typ":"JWT"}`, payload),
		"alg in other case":    forge(t, ed, head("eddsa", ed.KID, ""), payload),
		"alg Ed25519":          forge(t, ed, head("Ed25519", ed.KID, ""), payload),
		"alg with a space":     forge(t, ed, head("EdDSA ", ed.KID, ""), payload),
		"ES256 named EdDSA":    forge(t, es, head("EdDSA", es.KID, ""), payload),
		"EdDSA named HS256":    forge(t, ed, head("HS256", ed.KID, ""), payload),
		"HS512 by its holder":  forge(t, hs, head("HS512", hs.KID, ""), payload),
		"header not an object": forge(t, ed, `["EdDSA"]`, payload),
		"header null":          forge(t, ed, `null`, payload),
		"header and more":      forge(t, ed, head("EdDSA", ed.KID, "")+`{}`, payload),
		"header not UTF-8":     forge(t, ed, head("EdDSA", ed.KID, `,"x":"`+"\xff"+`"`), payload),
		"header with BOM":      forge(t, ed, "\ufeff"+head("EdDSA", ed.KID, ""), payload),

		"typ of a status list": forge(t, ed, `{"alg":"EdDSA","kid":"`+ed.KID+`","typ":"statuslist+jwt"}`, payload),
		"typ of an event":      forge(t, ed, `{"alg":"EdDSA","kid":"`+ed.KID+`","typ":"secevent+jwt"}`, payload),
		"typ empty":            forge(t, ed, `{"alg":"EdDSA","kid":"`+ed.KID+`","typ":""}`, payload),
		"typ number":           forge(t, hs, `{"alg":"HS256","typ":1}`, payload),
		"typ null":             forge(t, hs, `{"alg":"HS256","typ":null}`, payload),
		"typ of list, shared":  forge(t, hs, `{"alg":"HS256","typ":"statuslist+jwt"}`, payload),
		"no typ, public key":   forge(t, ed, `{"alg":"EdDSA","kid":"`+ed.KID+`"}`, payload),

		"HMAC of raw public key": hs256(public, head("HS256", ed.KID, ""), payload),
		"HMAC of public DER":     hs256(der, head("HS256", ed.KID, ""), payload),
		"HMAC of public PEM":     hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), head("HS256", ed.KID, ""), payload),
		"HMAC of the JWKS":       hs256(jwks, head("HS256", ed.KID, ""), payload),
		"HMAC of the point":      hs256(point, head("HS256", es.KID, ""), payload),
		"HMAC of nothing":        hs256(nil, head("HS256", hs.KID, ""), payload),
		"HMAC of the kid":        hs256([]byte(hs.KID), head("HS256", hs.KID, ""), payload),
		"no kid, HMAC of key":    hs256(public, `{"alg":"HS256","typ":"JWT"}`, payload),

		"signature cut":        good[:len(good)-4],
		"signature doubled":    good + parts[2],
		"signature of zeros":   parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"signature of a byte":  parts[0] + "." + parts[1] + ".AA",
		"other payload":        parts[0] + "." + b64(payload) + "." + parts[2],
		"other header":         b64(head("EdDSA", ed.KID, " ")) + "." + parts[1] + "." + parts[2],
		"psychic ES256":        b64(head("ES256", es.KID, "")) + "." + b64(payload) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"ES256 r of the order": b64(head("ES256", es.KID, "")) + "." + b64(payload) + "." + base64.RawURLEncoding.EncodeToString(orderTwice()),

		"payload not an object":  forge(t, ed, head("EdDSA", ed.KID, ""), `"x"`),
		"payload empty object +": forge(t, ed, head("EdDSA", ed.KID, ""), `{} {}`),
		"jti twice":              forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":"a","jti":"b"}`),
		"jti number":             forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":1}`),
		"exp text":               forge(t, ed, head("EdDSA", ed.KID, ""), `{"exp":"4102444800"}`),
		"exp fraction":           forge(t, ed, head("EdDSA", ed.KID, ""), `{"exp":4102444800.5}`),
		"exp huge":               forge(t, ed, head("EdDSA", ed.KID, ""), `{"exp":1e400}`),
		"exp beyond years":       forge(t, ed, head("EdDSA", ed.KID, ""), `{"exp":9223372036854775807}`),
		"exp negative":           forge(t, ed, head("EdDSA", ed.KID, ""), `{"exp":-1}`),
		"scopes text":            forge(t, ed, head("EdDSA", ed.KID, ""), `{"scopes":"open_data"}`),
		"scopes of null":         forge(t, ed, head("EdDSA", ed.KID, ""), `{"scopes":[null]}`),
		"extra_info list":        forge(t, ed, head("EdDSA", ed.KID, ""), `{"extra_info":[]}`),
		"status text":            forge(t, ed, head("EdDSA", ed.KID, ""), `{"status":"active"}`),
		"status list no index":   forge(t, ed, head("EdDSA", ed.KID, ""), `{"status":{"status_list":{"uri":"u"}}}`),
		"status list no uri":     forge(t, ed, head("EdDSA", ed.KID, ""), `{"status":{"status_list":{"idx":1}}}`),
		"status list minus one":  forge(t, ed, head("EdDSA", ed.KID, ""), `{"status":{"status_list":{"idx":-1,"uri":"u"}}}`),
		"status list twice":      forge(t, ed, head("EdDSA", ed.KID, ""), `{"status":{"status_list":{"idx":1,"idx":2,"uri":"u"}}}`),
	}
	for _, none := range noneSpellings() {
		attacks["none: "+none] = b64(head(none, ed.KID, "")) + "." + b64(payload) + "."
		attacks["none without kid: "+none] = b64(fmt.Sprintf(`{"alg":%q}`, none)) + "." + b64(payload) + "."
		attacks["none with signature: "+none] = forge(t, ed, head(none, ed.KID, ""), payload)
		attacks["none shared: "+none] = forge(t, hs, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, none), payload)
	}
	for _, member := range []string{
		`"jku":"https://evil.example/jwks.json"`, `"jwk":` + strings.TrimSuffix(strings.TrimPrefix(string(jwks), `{"keys":[`), "]}"),
		`"x5u":"https://evil.example/c.pem"`, `"x5c":["MIIB"]`, `"x5t":"AA"`, `"x5t#S256":"AA"`, `"crit":["exp"]`, `"crit":[]`,
		`"b64":false`, `"zip":"DEF"`, `"enc":"A256GCM"`, `"cty":"JWT"`, `"p2c":1000000`, `"jku":null`,
	} {
		attacks["header "+member] = forge(t, ed, head("EdDSA", ed.KID, ","+member), payload)
		attacks["shared header "+member] = forge(t, hs, `{"alg":"HS256",`+member+`}`, payload)
	}
	cached := NewCachedVerifier(r.verifier, 1000)
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		for range 2 { // the second time, whatever the first left behind
			if claims, err := cached.Verify(attacks[name]); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%s: read as %+v, %v", name, claims, err)
			} else if guichet.KindOf(err) != guichet.Unauthorized {
				t.Errorf("%s: kind %s", name, guichet.KindOf(err))
			}
		}
	}
	if cached.Len() != 0 {
		t.Errorf("%d attacks are remembered", cached.Len())
	}
	t.Logf("%d attacks refused", len(attacks))

	// The same forger is believed when nothing is wrong: the matrix refuses
	// attacks, not everything.
	for name, token := range map[string]string{
		"named":              forge(t, ed, head("EdDSA", ed.KID, ""), payload),
		"ES256":              forge(t, es, head("ES256", es.KID, ""), payload),
		"shared":             forge(t, hs, head("HS256", hs.KID, ""), payload),
		"shared without kid": forge(t, hs, `{"alg":"HS256","typ":"JWT"}`, payload),
		"shared, old header": forge(t, hs, `{"alg":"HS256"}`, payload),
		"spaces in JSON":     forge(t, ed, " "+head("EdDSA", ed.KID, "")+" ", " "+payload+" "),
		"null claims":        forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":"x","exp":4102444800,"scopes":null,"status":null,"sub":null}`),
		"other status":       forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":"x","exp":4102444800,"status":{"other":{}}}`),
		"unknown claims":     forge(t, ed, head("EdDSA", ed.KID, ""), `{"jti":"x","JTI":"y","exp":4102444800,"admin":true}`),
	} {
		claims, err := r.verifier.Verify(token)
		if err != nil || claims.ID != "x" || claims.ExpiresAt.Unix() != 4102444800 {
			t.Errorf("%s: %+v, %v; want it read", name, claims, err)
		}
	}
}

func noneSpellings() []string {
	spellings := []string{"", "none ", " none", "nonE\x00", "n\u043ene"}
	for mask := range 16 {
		word := []byte("none")
		for i := range word {
			if mask>>i&1 == 1 {
				word[i] -= 'a' - 'A'
			}
		}
		spellings = append(spellings, string(word))
	}
	return spellings
}

// orderTwice is a signature whose r and s are the order of P-256, zero in its field.
func orderTwice() []byte {
	order := []byte{
		0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
	}
	return append(slices.Clone(order), order...)
}

// Whatever one character becomes, the token is refused: there is one spelling
// of each token.
func TestTokenMutations(t *testing.T) {
	r := newRing(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= \n"
	for algorithm, k := range r.keys {
		token := mustSign(t, k, someClaims())
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
			to := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "to")]
			var changed string
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				changed = token[:at] + string(to) + token[at+1:]
			case 1:
				changed = token[:at] + string(to) + token[at:]
			case 2:
				changed = token[:at] + token[at+1:]
			}
			_, err := r.verifier.Verify(changed)
			if (err == nil) != (changed == token) {
				t.Fatalf("%s: %q: %v", algorithm, changed, err)
			}
		})
	}
}

func TestExpired(t *testing.T) {
	c := Claims{ExpiresAt: day}
	for _, x := range []struct {
		at   time.Time
		want bool
	}{{day.Add(-time.Nanosecond), false}, {day, true}, {day.Add(time.Hour), true}} {
		if got := c.Expired(x.at); got != x.want {
			t.Errorf("at %v: %v, want %v", x.at, got, x.want)
		}
	}
	if !(Claims{}).Expired(time.Time{}) {
		t.Error("a token without an end must count as ended")
	}
}

func TestTooLongATokenIsNotMade(t *testing.T) {
	k := newRing(t).keys[EdDSA]
	c := someClaims()
	c.Subject = strings.Repeat("é", MaxTokenBytes/2)
	if _, err := k.Sign(c); guichet.CodeOf(err) != "token_too_long" {
		t.Errorf("Sign: %v, want token_too_long", err)
	}
	if _, err := k.SignAs("statuslist+jwt", c); err != nil {
		t.Errorf("SignAs: %v; a status list may be long", err)
	}
	for _, claims := range []any{nil, 1, "x", []string{"x"}} {
		if _, err := k.Sign(claims); err == nil {
			t.Errorf("Sign(%v) made a token", claims)
		}
	}
}

func FuzzVerify(f *testing.F) {
	r := newRing(f)
	signed := map[string]bool{}
	for _, k := range r.keys {
		token := mustSign(f, k, someClaims())
		signed[token] = true
		f.Add(token)
	}
	f.Add("")
	f.Add("..")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".")
	f.Add(b64(`{"alg":"HS256"}`) + "." + b64(`{}`) + ".AA")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := r.verifier.Verify(token)
		switch {
		case signed[token]:
			if err != nil {
				t.Fatalf("a token of ours: %v", err)
			}
		case err == nil:
			t.Fatalf("accepted %q as %+v", token, claims)
		case !errors.Is(err, ErrInvalidToken):
			t.Fatalf("%v is no ErrInvalidToken", err)
		case !cmp.Equal(claims, Claims{}):
			t.Fatalf("refused, and gave claims: %+v", claims)
		}
	})
}
