package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/canary"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store"
)

func TestRevokedIsRefusedAtOnceAndForEver(t *testing.T) {
	each(t, func(t *testing.T, c *town) {
		e := c.start(c.config())
		one, jwt := c.Approve()
		_, other := c.Approve()
		e.soon(jwt, "ok")
		for range 3 {
			if v := e.verdict(jwt, "a", "b"); v != "ok" {
				t.Fatal(v)
			}
		}
		c.Block(one)
		e.soon(jwt, "token_revoked")
		if v := e.verdict(other); v != "ok" {
			t.Errorf("another token: %s", v)
		}
		// The same as any other process would block it: nobody wakes this one.
		two, jwt2 := c.Approve()
		e.soon(jwt2, "ok")
		away := *c.Desk
		away.Store = c.DB.Open().Grant()
		if _, err := away.Block(t.Context(), guichet.System("test"), two, grant.Blocking{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		e.soon(jwt2, "token_revoked")
	})
}

// Guichet and its gateway say the same of everything.
func TestSameWordsAsGuichet(t *testing.T) {
	each(t, func(t *testing.T, c *town) {
		e := c.start(c.config())
		dead, blocked := c.Approve()
		_, jwt := c.Approve()
		e.soon(jwt, "ok")
		c.Block(dead)
		e.soon(blocked, "token_revoked")
		edge := httptest.NewServer(canary.NewDoor(t).Handler(e.Handler()))
		t.Cleanup(edge.Close)
		ask := func(url, path string, h http.Header) (int, string, http.Header) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = h
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, string(body), response.Header
		}
		bearer := "Bearer " + jwt
		for name, headers := range map[string]http.Header{
			"good": {"Authorization": {bearer}}, "key": {"X-Api-Key": {jwt}}, "lower case": {"Authorization": {"bearer " + jwt}}, "nothing": {},
			"basic": {"Authorization": {"Basic eDp5"}}, "garbage": {"X-Api-Key": {"garbage"}}, "cut": {"X-Api-Key": {jwt[:80]}}, "revoked": {"X-Api-Key": {blocked}},
			"two": {"Authorization": {bearer}, "X-Api-Key": {jwt}}, "twice": {"X-Api-Key": {jwt, jwt}}, "empty": {"Authorization": {"Bearer "}},
		} {
			for _, path := range []string{"/check", "/check?scope=a", "/check?scope=a&scope=b", "/check?scope=c", "/check?scope=a&scope=c"} {
				status, body, h := ask(c.URL, path, headers)
				status2, body2, h2 := ask(edge.URL, path, headers)
				if status != status2 || body != body2 || status == http.StatusNoContent && h2.Get("Content-Length") != "" {
					t.Errorf("%s %s: %d %s, at the gateway %d %s", name, path, status, body, status2, body2)
				}
				for _, one := range []string{HeaderToken, HeaderRequest, HeaderScopes, "Www-Authenticate", "Cache-Control", "Content-Type"} {
					if h.Get(one) != h2.Get(one) {
						t.Errorf("%s %s: %s is %q, at the gateway %q", name, path, one, h.Get(one), h2.Get(one))
					}
				}
			}
		}
	})
}

func TestTokensThatAreNotQuiteOurs(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	config := c.config()
	shared, err := keyring.LoadSigningKey("hs256-old", keyring.HS256, []byte("a shared secret of forty-two characters ..."), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config.Shared = []keyring.Key{shared.Key()}
	e := c.start(config)
	id, jwt := c.Approve()
	e.soon(jwt, "ok")
	s, err := c.DB.Grant().Standing(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*keyring.Claims){
		"an index beyond the list":  func(k *keyring.Claims) { k.Status = keyring.StatusAt("http://guichet.test", 1<<40) },
		"an index beyond its shard": func(k *keyring.Claims) { k.Status.Index = keyring.StatusShard },
		"another kind of list":      func(k *keyring.Claims) { k.Status.URI = "http://guichet.test/lists/0" },
		"no number":                 func(k *keyring.Claims) { k.Status.URI = "http://guichet.test/status/x" },
	} {
		claims := c.Claims(s)
		change(&claims)
		if v := e.verdict(c.Sign(claims)); v != "invalid_token" {
			t.Errorf("%s: %s", name, v)
		}
	}
	old := c.Claims(s)
	old.ExpiresAt = time.Now().Add(-time.Second)
	if v := e.verdict(c.Sign(old)); v != "token_expired" {
		t.Errorf("ended: %s", v)
	}
	// A token of before Guichet has a shared key and no index: its id is looked up.
	legacy := c.Claims(s)
	legacy.Status = keyring.Status{}
	text, err := shared.Sign(legacy)
	if err != nil {
		t.Fatal(err)
	}
	if v := e.verdict(text); v != "ok" {
		t.Errorf("a legacy token: %s", v)
	}
	c.Block(id)
	e.soon(text, "token_revoked")
	// A new key is asked for when a token names it; an old one that is put out of
	// use stops being good.
	c.NewKey()
	_, fresh := c.Approve()
	e.soon(fresh, "ok")
	c.DropKey()
	_, other := c.Approve()
	e.soon(other, "ok")
	e.soon(jwt, "invalid_token")
}

// Cut off, the gateway goes on for as long as it may, then refuses everything:
// good tokens, bad ones, and those without one. The clock on the wall has no say.
func TestCutOff(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	config := c.config()
	e := c.start(config)
	dead, blocked := c.Approve()
	_, jwt := c.Approve()
	c.Block(dead)
	e.soon(blocked, "token_revoked")
	e.soon(jwt, "ok")
	c.Cut.Store(true)
	began := time.Now()
	e.blurred.Store(int64(-time.Hour))
	e.jumped.Store(int64(config.StaleAfter - 3*time.Second))
	if v := e.verdict(jwt); v != "ok" {
		t.Errorf("within the bound: %s", v)
	}
	e.jumped.Store(int64(config.StaleAfter + time.Second))
	for _, token := range []string{jwt, blocked, "garbage", ""} {
		if v := e.verdict(token); v != "gateway_cut_off" {
			t.Errorf("cut off: %s", v)
		}
	}
	edge := httptest.NewServer(canary.NewDoor(t).Handler(e.Handler()))
	t.Cleanup(edge.Close)
	for _, path := range []string{"/check", "/healthz"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edge.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, response.StatusCode, response.Header)
		}
	}
	// A restart finds the lease as it was, and what was blocked.
	e.stop()
	again := c.start(config)
	again.jumped.Store(int64(config.StaleAfter - 3*time.Second - time.Since(began))) // stopping takes its time
	if again.verdict(blocked) != "token_revoked" || again.verdict(jwt) != "ok" {
		t.Errorf("started again: %s, %s", again.verdict(blocked), again.verdict(jwt))
	}
	again.jumped.Store(int64(config.StaleAfter + time.Second))
	if v := again.verdict(jwt); v != "gateway_cut_off" {
		t.Errorf("started again, and cut off: %s", v)
	}
	c.Cut.Store(false)
	again.soon(jwt, "ok")
	again.soon(blocked, "token_revoked")
}

// An answer that took long brings a lease that is as much shorter: what was blocked
// while it was on its way is not in it.
func TestLeaseCountsFromTheQuestion(t *testing.T) {
	r := NewReplica(10 * time.Second)
	server := newWorld(1)
	ask := func(at, back time.Duration) Outcome {
		server.nonces++
		q := query{nonce: fmt.Sprint(server.nonces)}
		q.have, q.keys = r.Ask(Reading{Boot: at}, q.nonce)
		p := server.serve(packet{question: &q})
		return r.Take(Reading{Boot: back}, *p.answer)
	}
	if o := r.Load(server.set, r.Highest()); o != Behind {
		t.Fatal(o)
	}
	if o := ask(100*time.Second, 104*time.Second); o != Renewed {
		t.Fatal(o)
	}
	if left := r.View().Left(Reading{Boot: 104 * time.Second}); left != 6*time.Second {
		t.Errorf("%v left", left)
	}
	if left := r.View().Left(Reading{Boot: 110 * time.Second}); left != 0 {
		t.Errorf("%v left at the end", left)
	}
}

// A backup that was restored brings back nothing that this gateway has refused; and
// when nobody said that it was restored, the gateway refuses everything and
// Guichet opens an alert.
func TestRestoredBackup(t *testing.T) {
	each(t, func(t *testing.T, c *town) {
		e := c.start(c.config())
		dead, jwt := c.Approve()
		_, good := c.Approve()
		e.soon(good, "ok")
		c.Block(dead)
		e.soon(jwt, "token_revoked")
		before := c.DB.Value("SELECT CAST(seq AS TEXT) FROM blocklist_head")
		// The block is undone behind everybody's back, as a backup would.
		c.undoBlock(dead)
		e.jumped.Add(int64(9 * time.Second))
		for began := time.Now(); e.verdict(good) != "gateway_cut_off"; <-time.After(10 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("a list that went back from %s is believed", before)
			}
		}
		for began := time.Now(); c.DB.Value("SELECT CAST(COUNT(*) AS TEXT) FROM alerts WHERE kind = 'blocklist_went_back'") != "1"; <-time.After(10 * time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatal("no alert, or more than one")
			}
		}
		if _, err := c.DB.RaiseEpoch(t.Context(), guichet.System("test")); err != nil {
			t.Fatal(err)
		}
		e.soon(good, "ok")
		if v := e.verdict(jwt); v != "token_revoked" {
			t.Errorf("what was refused is %s after the restore", v)
		}
		c.Block(dead)
		third, jwt3 := c.Approve()
		e.soon(jwt3, "ok")
		c.Block(third)
		e.soon(jwt3, "token_revoked")
	})
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	e := c.start(c.config())
	id, jwt := c.Approve()
	e.soon(jwt, "ok")
	var seen http.Header
	h := e.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }), "a")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/anything", nil)
	r.Header.Set("Authorization", "Bearer "+jwt)
	r.Header.Set("X-Guichet-Scopes", "everything")
	r.Header.Set("X-Guichet-Administrator", "yes")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if seen.Get(HeaderToken) != id.String() || seen.Get(HeaderScopes) != "a b" || seen.Get(HeaderRequest) != "api_entreprise/1" || seen.Get("X-Guichet-Administrator") != "" {
		t.Errorf("%d %v", w.Code, seen)
	}
	if r.Header.Get("X-Guichet-Administrator") == "" {
		t.Error("the caller's own request was changed")
	}
	seen = nil
	h = e.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }), "c")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || seen != nil || !strings.Contains(w.Body.String(), "insufficient_scope") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	config := c.config()
	near, nearJWT := c.Approve()
	often, oftenJWT := c.Approve()
	config.Limits = Limits{near.String(): {From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, often.String(): {PerMinute: 3}}
	config.ClientIP = "X-Real-Ip"
	e := c.start(config)
	e.soon(nearJWT, "address_not_allowed")
	ask := func(jwt string, from ...string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/check", nil)
		r.Header.Set("X-Api-Key", jwt)
		r.Header["X-Real-Ip"] = from
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, r)
		return w.Code
	}
	for want, from := range map[int][]string{204: {"192.0.2.7"}, 403: {"198.51.100.1"}} {
		if got := ask(nearJWT, from...); got != want {
			t.Errorf("from %s: %d", from, got)
		}
	}
	if ask(nearJWT) != 403 || ask(nearJWT, "192.0.2.7", "192.0.2.8") != 403 || ask(nearJWT, "::ffff:192.0.2.9") != 204 {
		t.Error("no address, two, or one in another form")
	}
	for i, want := range []int{204, 204, 204, 429} {
		if got := ask(oftenJWT); got != want {
			t.Errorf("use %d: %d", i, got)
		}
	}
	e.jumped.Add(int64(21 * time.Second))
	e.soon(nearJWT, "address_not_allowed") // it has heard again
	if got := ask(oftenJWT); got != 204 {
		t.Errorf("a third of a minute later: %d", got)
	}
}

// What a token says of its limit holds without any file, and beside one.
func TestLimitsOfTheToken(t *testing.T) {
	t.Parallel()
	c := newTown(t, store.SQLite)
	id, before := c.Approve()
	limit, err := guichet.ParseLimit([]string{"192.0.2.0/24"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Desk.Limit(t.Context(), guichet.System("test"), id, limit); err != nil {
		t.Fatal(err)
	}
	_, secret, err := c.Desk.Reveal(t.Context(), guichet.System("test"), id)
	if err != nil {
		t.Fatal(err)
	}
	from := func(e *edgeAt, jwt, at string) string {
		t.Helper()
		_, err := e.Check(t.Context(), jwt, nil, netip.MustParseAddr(at))
		if err == nil {
			return "ok"
		}
		return guichet.CodeOf(err)
	}
	e := c.start(c.config())
	e.soon(before, "ok") // it was shown before, and says nothing
	jwt := secret.Reveal()
	for i, want := range []string{"ok", "ok", "ok", "rate_exceeded"} {
		if got := from(e, jwt, "192.0.2.1"); got != want {
			t.Errorf("use %d: %s", i, got)
		}
	}
	if got := from(e, jwt, "198.51.100.1"); got != "address_not_allowed" {
		t.Errorf("from elsewhere: %s", got)
	}
	config := c.config()
	config.Limits = Limits{"*": {From: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16"), netip.MustParsePrefix("192.0.2.0/25")}, PerMinute: 1}}
	narrow := c.start(config)
	narrow.soon(jwt, "address_not_allowed") // nobody's address
	for i, want := range []string{"ok", "rate_exceeded"} {
		if got := from(narrow, jwt, "192.0.2.1"); got != want {
			t.Errorf("beside a file, use %d: %s", i, got)
		}
	}
	if got := from(narrow, jwt, "192.0.3.1"); got != "address_not_allowed" {
		t.Errorf("in the file's network alone: %s", got)
	}
}
