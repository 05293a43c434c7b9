package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/grant"
	"guichet/keyring"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
	"guichet/store/storetest"
)

// A town is a real Guichet on a real database, with the power to be unreachable.
type town struct {
	t      *testing.T
	db     *storetest.DB
	desk   *grant.Desk
	edges  *grant.Gateways
	mu     sync.Mutex
	keys   []*keyring.SigningKey // the last one signs
	url    string
	cut    atomic.Bool // nobody is answered
	number int
}

func newTown(t *testing.T, engine store.Engine) *town {
	t.Helper()
	c := &town{t: t, db: storetest.New(t, engine)}
	clock := guichet.SystemClock()
	c.newKey()
	c.desk = &grant.Desk{
		Store: c.db.Grant(), Clock: clock, URL: "http://guichet.test", PurgeAfter: -1, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise", Title: "API Entreprise"}},
		Mint:      c.mint,
	}
	c.edges = &grant.Gateways{Store: c.db.Gateways(), List: c.db.Grant(), Clock: clock}
	verifier, err := keyring.NewVerifier(c.keys[0].Key())
	if err != nil {
		t.Fatal(err)
	}
	stopping := make(chan struct{})
	server := &api.Server{
		Clock: clock, Log: slog.New(slog.DiscardHandler), Grant: c.desk, Verifier: keyring.NewCachedVerifier(verifier, 100),
		Secrets: func(string, time.Time) []keyring.Secret { return []keyring.Secret{"dev-verify-token"} },
		JWKS:    c.jwks, Gateways: c.edges, Stopping: stopping,
		Blocked: func() <-chan struct{} { return c.db.Changed(store.BlocklistRaised) },
	}
	mux := http.NewServeMux()
	server.Routes(mux)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	c.url = h.URL
	t.Cleanup(func() { close(stopping); h.CloseClientConnections(); h.Close() })
	return c
}

func (c *town) newKey() {
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Unix(1_800_000_000, 0))
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
}

func (c *town) jwks() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var public []keyring.Key
	for _, k := range c.keys {
		public = append(public, k.Key())
	}
	return keyring.JWKS(public...)
}

func (c *town) claims(s grant.Standing) keyring.Claims {
	return keyring.Claims{
		ID: s.ID.String(), UID: s.ID.String(), Scopes: s.Scopes, IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt,
		ExtraInfo: []byte(`{"request":"` + s.Provider + "/" + s.ExternalID + `"}`), Status: keyring.StatusAt("http://guichet.test", s.StatusIndex),
	}
}

func (c *town) sign(claims keyring.Claims) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	jwt, err := c.keys[len(c.keys)-1].Sign(claims)
	if err != nil {
		c.t.Fatal(err)
	}
	return jwt
}

func (c *town) mint(s grant.Standing) (guichet.Secret, error) {
	return guichet.Secret(c.sign(c.claims(s))), nil
}

// approve gives the token of a new request: its id and its JWT.
func (c *town) approve() (id guichet.ID, jwt string) {
	c.t.Helper()
	c.number++
	body := fmt.Sprintf(`{"event":"approve","fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"validated",
		"data":{"intitule":"Marchés","scopes":["a","b"]},"organization":{"name":"VALMONT","siret":"21730065600011"},
		"applicant":{"email":"claire@valmont.fr","given_name":"Claire","family_name":"Morel"}}}`, 1_777_880_000+c.number, c.number)
	answer, err := simdatapass.Sender{URL: c.url, Provider: "api_entreprise", Format: "v2", Secret: "dev-verify-token"}.Send(c.t.Context(), []byte(body))
	var said map[string]guichet.ID
	if err != nil || json.Unmarshal([]byte(answer.Body), &said) != nil || said["token_id"] == "" {
		c.t.Fatalf("%v %v", answer, err)
	}
	_, secret, err := c.desk.Reveal(c.t.Context(), guichet.System("test"), said["token_id"])
	if err != nil {
		c.t.Fatal(err)
	}
	return said["token_id"], secret.Reveal()
}

func (c *town) block(id guichet.ID) {
	c.t.Helper()
	if _, err := c.desk.Block(c.t.Context(), guichet.System("test"), id, grant.Blocking{Reason: "test"}); err != nil {
		c.t.Fatal(err)
	}
}

// An edgeAt is a gateway of a town, running.
type edgeAt struct {
	*Gateway
	t       *testing.T
	stop    func()
	jumped  atomic.Int64 // what its clock of leases has been set forward
	blurred atomic.Int64 // what people added to the clock on the wall
}

func (c *town) config() Config {
	_, credential, err := c.edges.Add(c.t.Context(), guichet.System("test"), fmt.Sprintf("edge-%d", time.Now().UnixNano()))
	if err != nil {
		c.t.Fatal(err)
	}
	return Config{
		Upstream: c.url, Credential: credential, StaleAfter: 10 * time.Second, StateDir: c.t.TempDir(), Clock: guichet.SystemClock(),
		Log: slog.New(slog.DiscardHandler), Version: "test",
	}
}

// start opens a gateway and runs it until the test ends.
func (c *town) start(config Config) *edgeAt {
	c.t.Helper()
	g, err := Open(config)
	if err != nil {
		c.t.Fatal(err)
	}
	e := &edgeAt{Gateway: g, t: c.t}
	machine := g.clocks
	g.clocks = func() Reading {
		now := machine()
		return Reading{Boot: now.Boot + time.Duration(e.jumped.Load()), Wall: now.Wall.Add(time.Duration(e.blurred.Load()))}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := g.Run(ctx); err != nil {
			c.t.Error(err)
		}
	})
	e.stop = func() { cancel(); done.Wait() }
	c.t.Cleanup(e.stop)
	return e
}

// verdict is the word of the refusal, or "ok".
func (e *edgeAt) verdict(jwt string, scopes ...string) string {
	_, err := e.Check(context.Background(), jwt, scopes, netip.Addr{})
	if err == nil {
		return "ok"
	}
	return guichet.CodeOf(err)
}

// soon waits until the verdict is this one.
func (e *edgeAt) soon(jwt, want string) {
	e.t.Helper()
	for began := time.Now(); e.verdict(jwt) != want; <-time.After(2 * time.Millisecond) {
		if time.Since(began) > 8*time.Second {
			e.t.Fatalf("%s, and not %s in time", e.verdict(jwt), want)
		}
	}
}

func each(t *testing.T, test func(t *testing.T, c *town)) {
	t.Parallel()
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, newTown(t, engine))
		})
	}
}

// undoBlock does what the guards of the database forbid everybody but a restore.
func (c *town) undoBlock(id guichet.ID) {
	c.t.Helper()
	statements := []string{
		"DELETE FROM blocklist WHERE token_id = $1",
		"UPDATE tokens SET blocked_at = 0 WHERE id = $1",
	}
	off, on := []string{"DROP TRIGGER IF EXISTS blocklist_kept", "DROP TRIGGER IF EXISTS tokens_stay_blocked"}, []string{}
	if c.db.Engine() == store.PostgreSQL {
		off = []string{"ALTER TABLE blocklist DISABLE TRIGGER ALL", "ALTER TABLE tokens DISABLE TRIGGER ALL"}
		on = []string{"ALTER TABLE blocklist ENABLE TRIGGER ALL", "ALTER TABLE tokens ENABLE TRIGGER ALL"}
	}
	for _, s := range off {
		c.db.SQL(s)
	}
	for _, s := range statements {
		c.db.SQL(s, id.String())
	}
	for _, s := range on {
		c.db.SQL(s)
	}
	c.db.SQL("UPDATE blocklist_head SET seq = seq - 1")
}
