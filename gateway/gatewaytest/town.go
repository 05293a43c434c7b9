// Package gatewaytest gives tests of gateways a real Guichet to listen to.
package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/canary"
	"guichet/grant"
	"guichet/keyring"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
	"guichet/store/storetest"
)

// VerifySecret signs the deliveries of DataPass.
const VerifySecret = "dev-verify-token" //nolint:gosec // of the tests

// A Town is a real Guichet on a real database, with the power to be unreachable.
type Town struct {
	T        *testing.T
	DB       *storetest.DB
	Desk     *grant.Desk
	Gateways *grant.Gateways
	mu       sync.Mutex
	keys     []*keyring.SigningKey // the last one signs
	URL      string
	Cut      atomic.Bool // nobody is answered
	number   int
	gateways atomic.Int64
}

// New builds a town on a database of its own, until the test ends.
func New(t *testing.T, engine store.Engine) *Town {
	t.Helper()
	c := &Town{T: t, DB: storetest.New(t, engine)}
	clock := guichet.SystemClock()
	c.NewKey()
	c.Desk = &grant.Desk{
		Store: c.DB.Grant(), Clock: clock, URL: "http://guichet.test", PurgeAfter: -1, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise", Title: "API Entreprise"}},
		Mint:      c.mint,
	}
	c.Gateways = &grant.Gateways{Store: c.DB.Gateways(), List: c.DB.Grant(), Clock: clock}
	verifier, err := keyring.NewVerifier(c.keys[0].Key())
	if err != nil {
		t.Fatal(err)
	}
	stopping := make(chan struct{})
	door := canary.NewDoor(t)
	server := &api.Server{
		Clock: clock, Log: door.Log(nil), Grant: c.Desk, Verifier: keyring.NewCachedVerifier(verifier, 100),
		Secrets: func(string, time.Time) []keyring.Secret { return []keyring.Secret{VerifySecret} },
		JWKS:    c.jwks, Gateways: c.Gateways, Stopping: stopping,
		Blocked: func() <-chan struct{} { return c.DB.Changed(store.BlocklistRaised) },
	}
	mux := http.NewServeMux()
	server.Routes(mux)
	answers := door.Handler(mux)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.Cut.Load() {
			panic(http.ErrAbortHandler)
		}
		answers.ServeHTTP(w, r)
	}))
	c.URL = h.URL
	t.Cleanup(func() { close(stopping); h.CloseClientConnections(); h.Close() })
	return c
}

// NewKey makes the key that signs from now on; the others stay good.
func (c *Town) NewKey() {
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Unix(1_800_000_000, 0))
	if err != nil {
		c.T.Fatal(err)
	}
	c.AddKey(key)
}

// AddKey puts a key into use, whose seed the test may know: it signs from now on.
func (c *Town) AddKey(key *keyring.SigningKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
}

// DropKey puts the oldest key out of use.
func (c *Town) DropKey() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = c.keys[1:]
}

func (c *Town) jwks() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var public []keyring.Key
	for _, k := range c.keys {
		public = append(public, k.Key())
	}
	return keyring.JWKS(public...)
}

// Claims are what the token of a standing says.
func (c *Town) Claims(s grant.Standing) keyring.Claims {
	return keyring.Claims{
		ID: s.ID.String(), UID: s.ID.String(), Scopes: s.Scopes, IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt,
		ExtraInfo: []byte(`{"request":"` + s.Provider + "/" + s.ExternalID + `"}`), Status: keyring.StatusAt("http://guichet.test", s.StatusIndex),
		Limit: s.Limit,
	}
}

// Sign signs with the newest key.
func (c *Town) Sign(claims keyring.Claims) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	jwt, err := c.keys[len(c.keys)-1].Sign(claims)
	if err != nil {
		c.T.Fatal(err)
	}
	return jwt
}

func (c *Town) mint(s grant.Standing) (guichet.Secret, error) {
	return guichet.Secret(c.Sign(c.Claims(s))), nil
}

// Approve gives the token of a new request: its id and its JWT.
func (c *Town) Approve() (id guichet.ID, jwt string) {
	c.T.Helper()
	c.number++
	body := fmt.Sprintf(`{"event":"approve","fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"validated",
		"data":{"intitule":"Marchés","scopes":["a","b"]},"organization":{"name":"VALMONT","siret":"21730065600011"},
		"applicant":{"email":"claire@valmont.fr","given_name":"Claire","family_name":"Morel"}}}`, 1_777_880_000+c.number, c.number)
	answer, err := simdatapass.Sender{URL: c.URL, Provider: "api_entreprise", Format: "v2", Secret: VerifySecret}.Send(c.T.Context(), []byte(body))
	var said map[string]guichet.ID
	if err != nil || json.Unmarshal([]byte(answer.Body), &said) != nil || said["token_id"] == "" {
		c.T.Fatalf("%v %v", answer, err)
	}
	_, secret, err := c.Desk.Reveal(c.T.Context(), guichet.System("test"), said["token_id"])
	if err != nil {
		c.T.Fatal(err)
	}
	return said["token_id"], secret.Reveal()
}

// Block blocks a token as an operator does.
func (c *Town) Block(id guichet.ID) {
	c.T.Helper()
	if _, err := c.Desk.Block(c.T.Context(), guichet.System("test"), id, grant.Blocking{Reason: "test"}); err != nil {
		c.T.Fatal(err)
	}
}

// Credential is one more gateway's.
func (c *Town) Credential() guichet.Secret {
	c.T.Helper()
	_, credential, err := c.Gateways.Add(c.T.Context(), guichet.System("test"), fmt.Sprintf("edge-%d", c.gateways.Add(1)))
	if err != nil {
		c.T.Fatal(err)
	}
	return credential
}
