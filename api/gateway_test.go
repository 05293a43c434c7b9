package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/blocklist"
	"guichet/canary"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store"
	"guichet/store/storetest"
)

// A replica is one of several processes that serve the same database to gateways.
type replica struct {
	*httptest.Server
	t  *testing.T
	db *store.Store
}

func newReplica(t *testing.T, db *storetest.DB) *replica {
	t.Helper()
	own, stopping := db.Open(), make(chan struct{})
	verifier, err := keyring.NewVerifier()
	if err != nil {
		t.Fatal(err)
	}
	door := canary.NewDoor(t)
	s := &api.Server{
		Clock: db.Clock.Clock(), Log: door.Log(nil), Verifier: keyring.NewCachedVerifier(verifier, 10),
		Grant: &grant.Desk{Store: own.Grant(), Clock: db.Clock.Clock()}, JWKS: func() ([]byte, error) { return []byte(`{"keys":[]}`), nil },
		Secrets:  func(string, time.Time) []keyring.Secret { return nil },
		Gateways: gatewaysOf(db), Stopping: stopping, Blocked: func() <-chan struct{} { return own.Changed(store.BlocklistRaised) },
	}
	mux := http.NewServeMux()
	s.Routes(mux)
	r := &replica{httptest.NewServer(door.Handler(mux)), t, own}
	t.Cleanup(func() { close(stopping); r.CloseClientConnections(); r.Close() })
	return r
}

func gatewaysOf(db *storetest.DB) *grant.Gateways {
	return &grant.Gateways{Store: db.Gateways(), List: db.Grant(), Clock: db.Clock.Clock()}
}

func (r *replica) get(path, credential string, headers ...string) *http.Response {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if credential != "" {
		q.Header.Set("Authorization", "Bearer "+credential)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (r *replica) ask(path, credential string) (a blocklist.Answer) {
	r.t.Helper()
	response := r.get(path, credential)
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(body, &a) != nil {
		r.t.Fatalf("%s: %s %s %v", path, response.Status, body, err)
	}
	return a
}

// tokensOf makes requests with a token each.
func tokensOf(t *testing.T, db *storetest.DB, n int) (ids []guichet.ID) {
	t.Helper()
	c := open(t, db)
	for i := range n {
		ids = append(ids, guichet.ID(c.send("approve", noon, 1+i)))
	}
	return ids
}

func block(t *testing.T, s *store.Store, clock guichet.Clock, id guichet.ID) {
	t.Helper()
	desk := &grant.Desk{Store: s.Grant(), Clock: clock}
	if _, err := desk.Block(context.WithoutCancel(t.Context()), guichet.System("test"), id, grant.Blocking{Reason: "test"}); err != nil {
		t.Error(err)
	}
}

// The snapshot is made once for all who begin anew together, and never older than
// the question for it.
func TestSnapshotIsOfNow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		r := newReplica(t, db)
		_, secret, err := gatewaysOf(db).Add(t.Context(), guichet.System("test"), "edge")
		if err != nil {
			t.Fatal(err)
		}
		tokens := tokensOf(t, db, 8)
		for n, token := range tokens {
			block(t, db.Store, db.Clock.Clock(), token)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					set, err := blocklist.ReadSnapshot(r.get("/blocklist/snapshot", secret.Reveal()).Body)
					if err != nil || set.Version().Seq != int64(n)+1 || !set.Token(token) {
						t.Errorf("after block %d: %v, %v", n+1, set, err)
					}
				})
			}
			all.Wait()
		}
		if _, err := db.RaiseEpoch(t.Context(), guichet.System("test")); err != nil {
			t.Fatal(err)
		}
		set, err := blocklist.ReadSnapshot(r.get("/blocklist/snapshot", secret.Reveal()).Body)
		if err != nil || set.Version().Epoch < 2 || set.Count() != int64(len(tokens)) {
			t.Errorf("of the new epoch: %v, %v", set, err)
		}
	})
}

func TestBlocklistAnswers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		r := newReplica(t, db)
		_, secret, err := gatewaysOf(db).Add(t.Context(), guichet.System("test"), "edge")
		if err != nil {
			t.Fatal(err)
		}
		credential, tokens := secret.Reveal(), tokensOf(t, db, 3)
		a := r.ask("/blocklist?epoch=1&after=0&nonce=mine&keys=", credential)
		if a.Nonce != "mine" || a.Version != (blocklist.Version{Epoch: 1}) || len(a.Lines) != 0 || a.Keys == "" || string(a.JWKS) != `{"keys":[]}` || a.Size != 1<<20 {
			t.Errorf("%+v", a)
		}
		if again := r.ask("/blocklist?epoch=1&after=0&keys="+a.Keys, credential); again.Keys != a.Keys || again.JWKS != nil {
			t.Errorf("the same keys again: %+v", again)
		}
		// A question that waits is answered when something is blocked.
		waiting := make(chan blocklist.Answer)
		go func() { waiting <- r.ask("/blocklist?epoch=1&after=0&wait=30", credential) }()
		block(t, db.Store, db.Clock.Clock(), tokens[0])
		if a = <-waiting; a.Seq != 1 || len(a.Lines) != 1 || a.Lines[0].Token != tokens[0] || a.Lines[0].Sum != a.Sum {
			t.Errorf("%+v", a)
		}
		block(t, db.Store, db.Clock.Clock(), tokens[1])
		set, err := blocklist.Empty(1).Apply(r.ask("/blocklist?epoch=1&after=0", credential).Lines...)
		if err != nil || set.Version().Seq != 2 {
			t.Fatalf("%v %v", set, err)
		}
		snapshot, err := blocklist.ReadSnapshot(r.get("/blocklist/snapshot", credential).Body)
		if err != nil || snapshot.Head() != set.Head() || !snapshot.Token(tokens[1]) || snapshot.Token(tokens[2]) {
			t.Errorf("%v %v", snapshot, err)
		}
		for path, reset := range map[string]bool{"epoch=1&after=2": false, "epoch=1&after=3": true, "epoch=2&after=0": true, "epoch=0&after=0": true, "after=1": false} {
			if got := r.ask("/blocklist?"+path, credential); got.Reset != reset {
				t.Errorf("%s: reset %v", path, got.Reset)
			}
		}
		for path, want := range map[string]int{"after=-1": 422, "after=x": 422, "epoch=1.5": 422, "nonce=" + strings.Repeat("n", 129): 422} {
			if got := r.get("/blocklist?"+path, credential).StatusCode; got != want {
				t.Errorf("%s: %d", path, got)
			}
		}
		for _, bad := range []string{"", "x", "ggw_" + strings.Repeat("2", 32), "gch_" + credential[4:], credential + "2"} {
			for _, path := range []string{"/blocklist", "/blocklist/snapshot"} {
				if got := r.get(path, bad).StatusCode; got != http.StatusUnauthorized {
					t.Errorf("%s with %q: %d", path, bad, got)
				}
			}
		}
		if got := r.get("/check", credential).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("the credential of a gateway as a token: %d", got)
		}
	})
}

// A stream begins after what the gateway has, says each block once, in order, and
// ends when the gateway may not listen any more.
func TestBlocklistStream(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		r := newReplica(t, db)
		gateways := gatewaysOf(db)
		_, secret, err := gateways.Add(t.Context(), guichet.System("test"), "edge")
		if err != nil {
			t.Fatal(err)
		}
		tokens := tokensOf(t, db, 4)
		block(t, db.Store, db.Clock.Clock(), tokens[0])
		block(t, db.Store, db.Clock.Clock(), tokens[1])
		ids := make(chan string, 64)
		response := r.get("/blocklist", secret.Reveal(), "Accept", "text/event-stream", "Last-Event-ID", "1-1")
		go func() {
			defer close(ids)
			id, name := "", ""
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
				key, value, _ := strings.Cut(lines.Text(), ": ")
				switch {
				case key == "id":
					id = value
				case key == "event":
					name = value
				case lines.Text() == "" && name == "blocked":
					ids <- id
					name = ""
				}
			}
		}()
		if got := <-ids; got != "1-2" {
			t.Errorf("begins with %s", got)
		}
		// By another process: nobody wakes this one.
		block(t, db.Open(), db.Clock.Clock(), tokens[2])
		block(t, r.db, db.Clock.Clock(), tokens[3])
		for _, want := range []string{"1-3", "1-4"} {
			if got := <-ids; got != want {
				t.Errorf("%s and not %s", got, want)
			}
		}
		if err := gateways.Revoke(t.Context(), guichet.System("test"), "edge"); err != nil {
			t.Fatal(err)
		}
		for id := range ids {
			t.Errorf("%s after all", id)
		}
	})
}

// Two processes block at once, two serve: every listener hears every line, in the
// order of the sequence, without a gap.
func TestBlocklistHasNoGapAtAnyReplica(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const n = 40
		_, secret, err := gatewaysOf(db).Add(t.Context(), guichet.System("test"), "edge")
		if err != nil {
			t.Fatal(err)
		}
		tokens := tokensOf(t, db, n)
		replicas := []*replica{newReplica(t, db), newReplica(t, db)}
		var all sync.WaitGroup
		for i, id := range tokens {
			all.Go(func() { block(t, replicas[i%2].db, db.Clock.Clock(), id) })
		}
		sums := make(chan string, 2)
		for _, r := range replicas {
			go func() {
				set := blocklist.Empty(1)
				for set.Version().Seq < n {
					a := r.ask(fmt.Sprintf("/blocklist?epoch=1&after=%d&wait=5", set.Version().Seq), secret.Reveal())
					var err error
					if set, err = set.Apply(a.Lines...); err != nil || set.Version() != a.Version && !a.More {
						t.Errorf("%v at %v: %+v", err, set, a)
						break
					}
				}
				sums <- set.Head().Sum
			}()
		}
		all.Wait()
		if a, b := <-sums, <-sums; a != b {
			t.Errorf("two lists: %s %s", a, b)
		}
	})
}

func TestGatewayStandings(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		r, d := newReplica(t, db), gatewaysOf(db)
		by := guichet.System("test")
		_, secret, err := d.Add(t.Context(), by, "edge")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Add(t.Context(), by, "edge"); guichet.CodeOf(err) != grant.ErrGatewayTaken.Code {
			t.Errorf("the same name: %v", err)
		}
		for _, bad := range []string{"", "a b", "a/b", "-a", strings.Repeat("a", 65)} {
			if _, _, err := d.Add(t.Context(), by, bad); guichet.CodeOf(err) != grant.ErrGatewayName.Code {
				t.Errorf("%q: %v", bad, err)
			}
		}
		is := func(want grant.GatewayState, behind int64) {
			t.Helper()
			all, _, err := d.Standings(t.Context())
			if err != nil || len(all) != 1 || all[0].State != want || all[0].Behind != behind {
				t.Errorf("%+v %v, and not %s, %d behind", all, err, want, behind)
			}
			if err := d.Watch(t.Context()); err != nil {
				t.Error(err)
			}
		}
		alerts := func() string {
			return db.Value("SELECT CAST(COUNT(*) AS TEXT) || COALESCE(MAX(kind), '') FROM alerts WHERE subject = 'gateway/edge'")
		}
		tokens := tokensOf(t, db, 1)
		is(grant.GatewayNew, 0)
		r.get("/blocklist?epoch=1&after=0", secret.Reveal(), "Guichet-Stale-After", "5", "User-Agent", "edge/1")
		is(grant.GatewayCurrent, 0)
		block(t, db.Store, db.Clock.Clock(), tokens[0])
		is(grant.GatewayCurrent, 1)
		db.Clock.Advance(time.Minute)
		is(grant.GatewaySilent, 1)
		is(grant.GatewaySilent, 1)
		if got := alerts(); got != "1gateway_silent" {
			t.Errorf("%s", got)
		}
		r.get("/blocklist?epoch=1&after=0", secret.Reveal()) // asks, and still has nothing
		is(grant.GatewayLate, 1)
		is(grant.GatewayLate, 1)
		db.Clock.Advance(10 * time.Second)
		r.get("/blocklist?epoch=1&after=1", secret.Reveal())
		is(grant.GatewayCurrent, 0)
		db.Clock.Advance(time.Minute)
		is(grant.GatewaySilent, 0)
		if got := alerts(); got != "3gateway_silent" {
			t.Errorf("%s", got)
		}
		next, err := d.Rotate(t.Context(), by, "edge")
		if err != nil {
			t.Fatal(err)
		}
		if r.get("/blocklist", secret.Reveal()).StatusCode != http.StatusOK || r.get("/blocklist", next.Reveal()).StatusCode != http.StatusOK || r.get("/blocklist", secret.Reveal()).StatusCode != http.StatusUnauthorized {
			t.Error("rotation")
		}
		unused, err := d.Rotate(t.Context(), by, "edge")
		if err != nil {
			t.Fatal(err)
		}
		db.Clock.Advance(25 * time.Hour)
		if r.get("/blocklist", next.Reveal()).StatusCode != http.StatusUnauthorized || r.get("/blocklist", unused.Reveal()).StatusCode != http.StatusOK {
			t.Error("the former credential a day later")
		}
		if err := d.Revoke(t.Context(), by, "edge"); err != nil {
			t.Fatal(err)
		}
		is(grant.GatewayRevoked, 0)
		if r.get("/blocklist", unused.Reveal()).StatusCode != http.StatusUnauthorized {
			t.Error("a revoked gateway is answered")
		}
		if _, _, err := d.Add(t.Context(), by, "edge"); err != nil {
			t.Errorf("the name again: %v", err)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE subject = 'gateway/edge'"); n != "5" {
			t.Errorf("%s audit entries", n)
		}
	})
}
