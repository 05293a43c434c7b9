package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"guichet"
)

// A provider is an issuer of OpenID Connect, with a page that signs everybody in
// at once. It checks the secret of its client, the address it sends back to, and
// PKCE; a code is good once. What it says can be bent.
type provider struct {
	*httptest.Server
	t     *testing.T
	clock guichet.Clock
	key   jose.SigningKey

	mu    sync.Mutex
	down  bool
	n     int
	codes map[string]url.Values // the request of each code that was not used
	bent
}

// bent is how the provider is to behave, one sign-in long.
type bent struct {
	person    map[string]any            // claims of the ID token
	info      map[string]any            // what userinfo says; nil: there is none
	signed    *jose.SigningKey          // of userinfo; nil: it is plain JSON
	publishes map[string]any            // beside what it always does
	with      *jose.SigningKey          // signs the ID token instead of its key
	token     func(id string) string    // another text instead of the ID token
	back      func(url.Values)          // what the browser brings back
	answers   func(http.ResponseWriter) // instead of the token endpoint
	asked     url.Values                // of the last authorization
}

const (
	clientID     = "guichet"
	clientSecret = "canary+secret of/the client" // with what must be escaped
)

func newKey(t *testing.T) jose.SigningKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "one"}}
}

func newProvider(t *testing.T, clock guichet.Clock) *provider {
	t.Helper()
	p := &provider{t: t, clock: clock, key: newKey(t), codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		key := p.key.Key.(jose.JSONWebKey)
		write(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.exchange)
	mux.HandleFunc("GET /userinfo", p.userInfo)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// says makes the next sign-ins those of a person, bent in some way.
func (p *provider) says(b bent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bent = b
}

func (p *provider) goDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// lastAsked is what the last browser was sent here with.
func (p *provider) lastAsked() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (p *provider) configuration(w http.ResponseWriter, _ *http.Request) {
	c := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}, "authorization_response_iss_parameter_supported": true,
	}
	if p.info != nil {
		c["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	maps.Copy(c, p.publishes)
	write(w, c)
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != clientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "openid email" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	p.n++
	code := fmt.Sprintf("code-%d", p.n)
	p.codes[code], p.asked = q, q
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	if p.back != nil {
		p.back(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *provider) exchange(w http.ResponseWriter, r *http.Request) {
	if p.answers != nil {
		p.answers(w)
		return
	}
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if p.publishes["token_endpoint_auth_methods_supported"] != nil {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if id != clientID || secret != clientSecret || !known || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		write(w, map[string]string{"error": "invalid_grant", "error_description": "canary-description"})
		return
	}
	now := p.clock.Now()
	claims := map[string]any{"iss": p.URL, "aud": clientID, "sub": "42", "nonce": asked.Get("nonce"), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, p.person)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	with := p.key
	if p.with != nil {
		with = *p.with
	}
	answer := map[string]any{"access_token": "canary-access-token", "token_type": "Bearer", "expires_in": 60, "id_token": p.sign(with, claims)}
	if p.token != nil {
		answer["id_token"] = p.token(answer["id_token"].(string))
	}
	write(w, answer)
}

func (p *provider) userInfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer canary-access-token" {
		http.Error(w, "who", http.StatusUnauthorized)
		return
	}
	if p.signed == nil {
		write(w, p.info)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = w.Write([]byte(p.sign(*p.signed, p.info)))
}

func (p *provider) sign(with jose.SigningKey, claims map[string]any) string {
	signer, err := jose.NewSigner(with, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		p.t.Error(err)
		return ""
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	text, err := signature.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	return text
}
