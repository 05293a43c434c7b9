package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/canary"
	"guichet/gateway"
	"guichet/grant"
	"guichet/keyring"
	"guichet/usage"
)

// edge is a server for gateways on the window's database, and the credential of one.
func (c *window) edge() (*http.ServeMux, guichet.Secret) {
	c.t.Helper()
	stopping := make(chan struct{})
	c.t.Cleanup(func() { close(stopping) })
	verifier, err := keyring.NewVerifier(c.key.Key())
	if err != nil {
		c.t.Fatal(err)
	}
	s := &api.Server{
		Clock: c.db.Clock.Clock(), Log: slog.New(slog.DiscardHandler), Grant: c.desk, Verifier: keyring.NewCachedVerifier(verifier, 10),
		JWKS: func() ([]byte, error) { return keyring.JWKS(c.key.Key()) }, Secrets: func(string, time.Time) []keyring.Secret { return nil },
		Gateways: gatewaysOf(c.db), Stopping: stopping, Blocked: func() <-chan struct{} { return nil },
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	_, credential, err := gatewaysOf(c.db).Add(c.t.Context(), guichet.System("test"), "edge")
	if err != nil {
		c.t.Fatal(err)
	}
	return mux, credential
}

func (c *window) used(token string) int64 {
	c.t.Helper()
	u, err := c.db.Grant().Usage(c.t.Context(), guichet.ID(token), c.db.Clock.Now().AddDate(0, 0, -30))
	if err != nil {
		c.t.Fatal(err)
	}
	return u.Total()
}

// What gateways count arrives, once, although the answers to their reports are lost
// and the same reports come again.
func TestUsageOfGateways(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		tokens := map[string]int64{c.send("approve", noon, 1): 7, c.send("approve", noon, 2): 300, c.send("approve", noon, 3): 0}
		blocked := c.send("approve", noon, 4)
		c.send("revoke", noon+1, 4)
		mux, credential := c.edge()
		var lost, reports atomic.Int64
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/usage" && reports.Add(1)%3 != 0 {
				mux.ServeHTTP(httptest.NewRecorder(), r) // it is taken, and nobody hears of it
				lost.Add(1)
				panic(http.ErrAbortHandler)
			}
			mux.ServeHTTP(w, r)
		}))
		defer upstream.Close()
		defer upstream.CloseClientConnections()
		g, err := gateway.Open(gateway.Config{
			Upstream: upstream.URL, Credential: credential, Clock: c.db.Clock.Clock(), Log: slog.New(slog.DiscardHandler), ReportEvery: 5 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = g.Run(ctx) })
		for token := range tokens {
			c.until(g, token, nil)
		}
		c.until(g, blocked, keyring.ErrTokenRevoked)
		for token, n := range tokens {
			for range n {
				c.until(g, token, nil)
			}
		}
		for lost.Load() < 4 {
			<-time.After(time.Millisecond)
		}
		stop()
		running.Wait() // it tells the rest before it stops
		for token, n := range tokens {
			if got := c.used(token); got != n+1 {
				t.Errorf("%d uses of a token were counted as %d", n+1, got)
			}
		}
		if n := c.used(blocked); n != 0 {
			t.Errorf("%d uses of a token that was refused", n)
		}
	})
}

// until asks the gateway until it says so.
func (c *window) until(g *gateway.Gateway, token string, want error) {
	c.t.Helper()
	standing, err := c.desk.Store.Standing(c.t.Context(), guichet.ID(token))
	if err != nil {
		c.t.Fatal(err)
	}
	jwt, err := c.key.Sign(keyring.Claims{
		ID: token, UID: token, Scopes: standing.Scopes, IssuedAt: standing.IssuedAt, ExpiresAt: standing.ExpiresAt,
		ExtraInfo: fmt.Appendf(nil, `{"request":"api_entreprise/%s"}`, standing.ExternalID), Status: keyring.StatusAt("http://guichet.test", standing.StatusIndex),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for {
		_, err := g.Check(c.t.Context(), jwt, nil, netip.Addr{})
		if guichet.CodeOf(err) == guichet.CodeOf(want) {
			return
		}
		select {
		case <-c.t.Context().Done():
			c.t.Fatal("the test is over")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// /check of the server counts too, and what is refused is no use.
func TestUsageOfCheck(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		token := c.send("approve", noon, 1)
		for range 5 {
			c.is("ok", token)
		}
		c.send("revoke", noon+1, 1)
		c.is("token_revoked", token)
		reports := c.uses.Take()
		if len(reports) != 1 || len(reports[0].Uses) != 1 || reports[0].Uses[token] != 5 {
			t.Fatalf("%+v", reports)
		}
		for range 2 {
			if _, err := gatewaysOf(c.db).TakeUsage(t.Context(), grant.Gateway{}, api.ReportOf(reports[0])); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.used(token); n != 5 {
			t.Errorf("counted %d", n)
		}
		if again := c.uses.Take(); len(again) != 0 {
			t.Errorf("counted again: %+v", again)
		}
	})
}

// Reports that a gateway of ours would not make are refused, or passed over line by
// line: nothing grows but by a known token and a number that can be true.
func TestHostileUsage(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		mux, credential := c.edge()
		server := httptest.NewServer(canary.NewDoor(t).Handler(mux))
		defer server.Close()
		token := c.send("approve", noon, 1)
		now := c.db.Clock.Now()
		report := func(id string, from, to time.Duration, uses map[string]int64) string {
			text, err := json.Marshal(usage.Report{ID: id, From: now.Add(from), To: now.Add(to), Uses: uses})
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		send := func(credential, body string) (int, string) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/usage", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+credential)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			answer, _ := io.ReadAll(response.Body)
			return response.StatusCode, string(answer)
		}
		many := map[string]int64{}
		for range 2001 {
			many[c.desk.Clock.NewID().String()] = 1
		}
		good := report("r1", -time.Minute, 0, map[string]int64{token: 3})
		for name, try := range map[string]struct {
			credential guichet.Secret
			body       string
			status     int
		}{
			"nobody":            {"", good, 401},
			"somebody else":     {"ggw_" + credential[4:len(credential)-4] + "aaaa", good, 401},
			"a token":           {guichet.Secret(token), good, 401},
			"not JSON":          {credential, "uses", 422},
			"two members":       {credential, `{"id":"a","id":"b"}`, 422},
			"a member of ours":  {credential, `{"id":"a","gateway":"other"}`, 422},
			"a number too big":  {credential, strings.Replace(good, ":3}", ":99999999999999999999}", 1), 422},
			"a fraction":        {credential, strings.Replace(good, ":3}", ":3.5}", 1), 422},
			"no name":           {credential, report("", -time.Minute, 0, nil), 422},
			"a long name":       {credential, report(strings.Repeat("a", 65), -time.Minute, 0, nil), 422},
			"from the future":   {credential, report("r2", 0, time.Hour, nil), 422},
			"of long ago":       {credential, report("r3", -72*time.Hour, -71*time.Hour, nil), 422},
			"ends before it is": {credential, report("r4", 0, -time.Hour, nil), 422},
			"too many tokens":   {credential, report("r5", -time.Minute, 0, many), 422},
			"too large":         {credential, good + strings.Repeat(" ", 2<<20), 422},
		} {
			if status, answer := send(try.credential.Reveal(), try.body); status != try.status {
				t.Errorf("%s: %d %s, want %d", name, status, answer, try.status)
			}
		}
		for name, uses := range map[string]map[string]int64{
			"a token nobody issued": {c.desk.Clock.NewID().String(): 5}, "no identifier": {"' OR 1=1": 5, "": 1, strings.ToUpper(token): 2},
			"nothing": {token: 0}, "less than nothing": {token: -5}, "more than there is time for": {token: 1 << 50},
		} {
			if status, answer := send(credential.Reveal(), report("l"+fmt.Sprint(len(name)), -time.Minute, 0, uses)); status != 200 || !strings.Contains(answer, `"added":0`) {
				t.Errorf("%s: %d %s", name, status, answer)
			}
		}
		if n := c.rows("token_usage"); n != "0" {
			t.Fatalf("%s rows of hostile reports", n)
		}
		for range 3 {
			if status, _ := send(credential.Reveal(), good); status != 200 {
				t.Errorf("a good report: %d", status)
			}
		}
		// the name is another gateway's too: it is not the same report
		_, other, err := gatewaysOf(c.db).Add(t.Context(), guichet.System("test"), "other")
		if err != nil {
			t.Fatal(err)
		}
		if send(other.Reveal(), good); c.used(token) != 6 {
			t.Errorf("counted %d", c.used(token))
		}
		// kept as long as promised
		c.db.Clock.Advance(399 * 24 * time.Hour)
		if err := c.db.Grant().Forget(t.Context()); err != nil || c.rows("token_usage") != "1" || c.rows("usage_reports") != "0" {
			t.Errorf("%v, %s days, %s reports", err, c.rows("token_usage"), c.rows("usage_reports"))
		}
		c.db.Clock.Advance(3 * 24 * time.Hour)
		if err := c.db.Grant().Forget(t.Context()); err != nil || c.rows("token_usage") != "0" {
			t.Errorf("%v, %s days are kept too long", err, c.rows("token_usage"))
		}
	})
}
