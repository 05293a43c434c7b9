package gateway

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
)

// Tokens whose header tells the gateway how to believe them. Each is signed by the
// gateway's own good key over that very header, or by the key that the header
// brings: it is the header that is refused. The one without an attack passes.
func TestHeadersCannotChooseTheKey(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	seed := sha256.Sum256([]byte(t.Name()))
	private := ed25519.NewKeyFromSeed(seed[:])
	key, err := keyring.LoadSigningKey("", keyring.EdDSA, seed[:], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.AddKey(key)
	_, jwt := c.Approve()
	e := c.start(c.config())
	e.soon(jwt, "ok")
	_, payload, _ := strings.Cut(jwt, ".")
	payload, _, _ = strings.Cut(payload, ".")

	// What a header could have us fetch is counted.
	var fetched atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fetched.Add(1); w.WriteHeader(http.StatusNoContent) }))
	defer evil.Close()
	stranger := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	b64 := base64.RawURLEncoding.EncodeToString
	sign := func(by ed25519.PrivateKey, header string) string {
		signed := b64([]byte(header)) + "." + payload
		return signed + "." + b64(ed25519.Sign(by, []byte(signed)))
	}
	mac := func(secret []byte, header string) string {
		signed := b64([]byte(header)) + "." + payload
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signed))
		return signed + "." + b64(h.Sum(nil))
	}
	with := func(more string) string { return fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"%s}`, key.KID, more) }
	head := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid) }
	jwk := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, key.KID, b64(stranger.Public().(ed25519.PublicKey)))
	attacks := map[string]string{
		"alg none":               sign(private, head("none", key.KID)),
		"alg none, unsigned":     b64([]byte(head("none", key.KID))) + "." + payload + ".",
		"alg in other case":      sign(private, head("eddsa", key.KID)),
		"alg of another key":     sign(private, head("ES256", key.KID)),
		"alg missing":            sign(private, fmt.Sprintf(`{"kid":%q,"typ":"JWT"}`, key.KID)),
		"alg twice":              sign(private, fmt.Sprintf(`{"alg":"none","alg":"EdDSA","kid":%q,"typ":"JWT"}`, key.KID)),
		"alg HS256, public key":  mac(private.Public().(ed25519.PublicKey), head("HS256", key.KID)),
		"alg HS256, empty":       mac(nil, head("HS256", key.KID)),
		"kid missing":            sign(private, `{"alg":"EdDSA","typ":"JWT"}`),
		"kid empty":              sign(private, head("EdDSA", "")),
		"kid unknown":            sign(private, head("EdDSA", "another")),
		"kid a path":             sign(private, head("EdDSA", "../../../../dev/null")),
		"kid SQL":                sign(private, head("EdDSA", "x' UNION SELECT 'secret")),
		"kid an address":         sign(private, head("EdDSA", evil.URL)),
		"kid a list":             sign(private, fmt.Sprintf(`{"alg":"EdDSA","kid":[%q],"typ":"JWT"}`, key.KID)),
		"kid ours, their key":    sign(stranger, head("EdDSA", key.KID)),
		"jku":                    sign(private, with(`,"jku":"`+evil.URL+`/jwks.json"`)),
		"jku, their key":         sign(stranger, with(`,"jku":"`+evil.URL+`/jwks.json"`)),
		"jku null":               sign(private, with(`,"jku":null`)),
		"jwk":                    sign(private, with(`,"jwk":`+jwk)),
		"jwk, their key":         sign(stranger, with(`,"jwk":`+jwk)),
		"x5u":                    sign(private, with(`,"x5u":"`+evil.URL+`/c.pem"`)),
		"x5u, their key":         sign(stranger, with(`,"x5u":"`+evil.URL+`/c.pem"`)),
		"x5c":                    sign(private, with(`,"x5c":["MIIB"]`)),
		"crit":                   sign(private, with(`,"crit":["exp"]`)),
		"crit of nothing":        sign(private, with(`,"crit":[]`)),
		"crit and what it names": sign(private, with(`,"crit":["b64"],"b64":false`)),
		"zip":                    sign(private, with(`,"zip":"DEF"`)),
	}
	edge := e.Handler()
	api := e.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	ask := func(h http.Handler, token string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/check", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, h := range []http.Handler{edge, api} {
		if got, body := ask(h, sign(private, with(""))); got != http.StatusNoContent {
			t.Fatalf("without an attack: %d %s", got, body)
		}
		for name, token := range attacks {
			if got, body := ask(h, token); got != http.StatusUnauthorized || body != `{"error":"invalid_token"}` {
				t.Errorf("%s: %d %s", name, got, body)
			}
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("what the header names was fetched %d times", n)
	}
}

// Whoever has no key makes neither Guichet nor a gateway write: no byte of the
// database, no file of the gateway, nothing in its memory of good tokens.
func TestBadSignatureCostsNoWrite(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	_, jwt := c.Approve()
	forged := make([]string, 200)
	for i := range forged {
		signature := sha256.Sum256([]byte(fmt.Sprint(i)))
		forged[i] = jwt[:strings.LastIndexByte(jwt, '.')+1] + base64.RawURLEncoding.EncodeToString(append(signature[:], signature[:]...))
	}
	database := strings.TrimPrefix(c.DB.Source, "sqlite:")
	before := contents(t, filepath.Dir(database))
	for i, token := range forged {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/check", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a forged token: %s", response.Status)
		}
		sender := simdatapass.Sender{URL: c.URL, Provider: "api_entreprise", Format: "v2", Secret: guichet.Secret("another secret")}
		answer, err := sender.Send(t.Context(), fmt.Appendf(nil, `{"event":"revoke","fired_at":1777880000,"model_type":"authorization_request/api_entreprise","model_id":%d}`, i))
		if err != nil || answer.Status != http.StatusUnauthorized {
			t.Fatalf("a forged delivery: %v %v", answer, err)
		}
	}
	same(t, "the database", before, contents(t, filepath.Dir(database)))

	config := c.config()
	config.StaleAfter = 10 * time.Minute
	e := c.start(config)
	e.soon(jwt, "ok")
	e.stop() // what it heard is written; what it verifies by stays
	before = contents(t, config.StateDir)
	for _, token := range forged {
		if v := e.verdict(token); v != "invalid_token" {
			t.Fatal(v)
		}
	}
	same(t, "what the gateway keeps", before, contents(t, config.StateDir))
	if n := e.verifier.Len(); n != 1 {
		t.Errorf("the gateway remembers %d tokens, and one is good", n)
	}
}

func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "-shm") || entry.IsDir() { // locks of readers, shared memory
			continue
		}
		b, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(b)
	}
	if len(all) == 0 {
		t.Fatalf("nothing in %s", folder)
	}
	return all
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	if len(before) != len(after) {
		t.Errorf("%s: %d files, and now %d", what, len(before), len(after))
	}
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s: %s changed", what, name)
		}
	}
}

// The highest version ever seen is on the disk. An old list that is put back in the
// folder, with a Guichet that was put back too, is not believed.
func TestHighestSeenIsKept(t *testing.T) {
	each(t, func(t *testing.T, c *town) {
		config := c.config()
		e := c.start(config)
		_, good := c.Approve()
		var dead []guichet.ID
		list := filepath.Join(config.StateDir, listFile)
		var old []byte
		for range 3 {
			id, jwt := c.Approve()
			e.soon(jwt, "ok")
			c.Block(id)
			e.soon(jwt, "token_revoked")
			dead = append(dead, id)
			if old == nil {
				e.stop()
				var err error
				if old, err = os.ReadFile(list); err != nil {
					t.Fatal(err)
				}
				e = c.start(config)
			}
		}
		e.soon(good, "ok")
		e.stop()
		var kept state
		b, err := os.ReadFile(filepath.Join(config.StateDir, stateFile))
		if err != nil || json.Unmarshal(b, &kept) != nil {
			t.Fatal(err)
		}
		if want := (blocklist.Version{Epoch: 1, Seq: 3}); kept.Highest != want {
			t.Fatalf("kept %s, want %s", kept.Highest, want)
		}
		for _, id := range slices.Backward(dead[1:]) {
			c.undoBlock(id)
		}
		if err := os.WriteFile(list, old, 0o600); err != nil {
			t.Fatal(err)
		}
		e = c.start(config)
		for began := time.Now(); e.meter.outcomes[WentBack].Load() == 0; <-time.After(2 * time.Millisecond) {
			if v := e.verdict(good); v != "gateway_cut_off" {
				t.Fatalf("a list that is older than what was seen: %s", v)
			}
			if time.Since(began) > 20*time.Second {
				t.Fatal("the old list was never refused")
			}
		}
		if v := e.verdict(good); v != "gateway_cut_off" {
			t.Errorf("after the old list was refused: %s", v)
		}
		if _, err := c.DB.RaiseEpoch(t.Context(), guichet.System("test")); err != nil {
			t.Fatal(err)
		}
		e.soon(good, "ok")
	})
}

func TestLeastStaleAfter(t *testing.T) {
	c := Config{StaleAfter: LeastStaleAfter - time.Millisecond, Clock: guichet.SystemClock()}
	if _, err := Open(c); guichet.CodeOf(err) != "stale_after_too_short" {
		t.Errorf("%v", err)
	}
	c.StaleAfter = LeastStaleAfter
	if _, err := Open(c); err != nil {
		t.Errorf("%v", err)
	}
	c.StaleAfter = 0
	if g, err := Open(c); err != nil || g.config.StaleAfter != time.Minute {
		t.Errorf("%v", err)
	}
}
