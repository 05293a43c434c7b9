package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/store/storetest"
)

const (
	lostRevocations = 10_000 // and none of them lost
	lostSpared      = 100    // tokens that nobody revokes
	lostKills       = 48
	lostCheckers    = 6
	lostBound       = 5 * time.Second
)

// Ten thousand tokens are revoked, by signed deliveries and by a client's call in
// turn, while everybody is asked about them and the server is killed again and
// again. A revocation that was answered 2xx holds from then on: in the database as
// the kill left it, at the server, by introspection, and within its bound at the
// gateway.
func TestNoRevocationIsLost(t *testing.T) {
	t.Parallel()
	program := built(t)
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: t.TempDir()}
		s.start()
		r := &revocations{storm: s, refused: map[string]int{}, accepted: map[string]int{}}
		r.issue()
		r.admit("gateway", "gateway", "add", "--name", "edge", "--json")
		r.admit("client", "client", "add", "--name", "operators", "--provider", "api_entreprise", "--introspect", "--revoke", "--json")
		edge := r.edge()
		r.everywhere(r.tokens[:1], true)

		r.next.Store(0)
		r.answered.Store(0)
		ctx, enough := context.WithCancel(t.Context())
		defer enough()
		var senders, checkers sync.WaitGroup
		for range stormSenders {
			senders.Go(func() { r.send(r.revoke) })
		}
		for n := range lostCheckers {
			checkers.Go(func() { r.check(ctx, rand.New(rand.NewPCG(uint64(n), 7))) })
		}
		for life := range int64(lostKills) {
			r.life.Store(life)
			r.wait(lostRevocations / (lostKills + 1))
			r.kill()
			r.life.Store(down)
			answered := r.answered.Load()
			if kept := r.blocked(); kept < answered {
				t.Errorf("%d revocations were answered before a kill, and %d are in the database after it", answered, kept)
			}
			r.start()
		}
		senders.Wait()
		enough()
		checkers.Wait()
		midst, met := 0, int64(0)
		for i := range r.met {
			n := r.met[i].Load()
			met += n
			midst += int(min(1, n))
		}
		t.Logf("%d of %d kills met revocations on their way: %d of them", midst, lostKills, met)
		if midst < lostKills*3/4 {
			t.Errorf("only %d of %d kills came in the midst of work", midst, lostKills)
		}
		r.judge(edge)
	})
}

// A revocable token, and when its revocation was answered 2xx.
type revocable struct {
	id       guichet.ID
	jwt      string
	delivery string // the revocation of its request
	asked    atomic.Bool
	answered atomic.Int64
}

const down = -1 // between a kill and the next start

type revocations struct {
	*storm
	tokens  []*revocable
	client  url.Values // credentials of the OAuth client
	gateway struct{ credential, url string }
	life    atomic.Int64            // which one the server is in, or down
	met     [lostKills]atomic.Int64 // revocations on their way at each kill: sent to a server that was up, never answered

	mu                sync.Mutex
	refused, accepted map[string]int // answers to checks, by who gave them
}

// issue has all requests approved and signs their tokens, by the server's own keys.
func (r *revocations) issue() {
	const all = lostRevocations + lostSpared
	for i := range all {
		r.deliveries = append(r.deliveries, delivery("approve", 1_777_880_000, i))
	}
	var senders sync.WaitGroup
	for range stormSenders {
		senders.Go(func() { r.send(func(i int) bool { return r.deliver(r.deliveries[i]) }) })
	}
	senders.Wait()
	for _, one := range signed(r.t, r.settings(), r.db) {
		body := strings.Replace(delivery("revoke", 1_777_880_001, 0), `"model_id":0`, `"model_id":`+one.request, 1)
		r.tokens = append(r.tokens, &revocable{id: one.id, jwt: one.jwt, delivery: body})
	}
	if len(r.tokens) != all {
		r.t.Fatalf("%d tokens for %d requests", len(r.tokens), all)
	}
	r.deliveries = r.deliveries[:lostRevocations] // from now on as many are sent as are revoked
}

// A signedToken is a token of a request, by its number.
type signedToken struct {
	id           guichet.ID
	request, jwt string
}

// signed gives all tokens of a running server, signed by its keys: the program shows
// them one by one.
func signed(t *testing.T, settings []string, db *storetest.DB) (all []signedToken) {
	t.Helper()
	var text strings.Builder
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		_, _ = fmt.Fprintf(&text, "%s = %q\n", strings.ToLower(name), value)
	}
	file := filepath.Join(t.TempDir(), "guichet.toml")
	db.Given(file)
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openProgram(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.store.Close() }()
	for _, id := range db.Column("SELECT id FROM tokens ORDER BY id") {
		standing, err := p.store.Grant().Standing(t.Context(), guichet.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		jwt, err := p.keys.mint(standing)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, signedToken{standing.ID, standing.ExternalID, jwt.Reveal()})
	}
	return all
}

// admit makes the credentials of a gateway or of a client.
func (r *revocations) admit(what string, args ...string) {
	cmd := exec.CommandContext(r.t.Context(), r.program, args...)
	cmd.Env = append(os.Environ(), r.settings()...)
	out, err := cmd.Output()
	var said struct{ ID, Secret, Token string }
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil || said.Secret+said.Token == "" {
		r.t.Fatalf("%v: %v %s", args, err, out)
	}
	if what == "gateway" {
		r.gateway.credential = said.Token
	} else {
		r.client = url.Values{"client_id": {said.ID}, "client_secret": {said.Secret}}
	}
}

// edge starts a gateway that knows nothing yet.
func (r *revocations) edge() *edgeProcess {
	e := runEdge(r.t, freeAddress(r.t), []string{"GUICHET_GATEWAY_TOKEN=" + r.gateway.credential},
		"--upstream", "http://"+r.address, "--stale-after", lostBound.String(), "--state", r.t.TempDir())
	r.t.Cleanup(func() { e.stop(syscall.SIGKILL) })
	r.gateway.url = e.url
	until(r.t, 30*time.Second, "the gateway knows the tokens", func() bool { return status(e, r.tokens[len(r.tokens)-1].jwt) == http.StatusNoContent })
	return e
}

// revoke takes one token back, by one of two ways.
func (r *revocations) revoke(i int) bool {
	token, life := r.tokens[i], r.life.Load()
	token.asked.Store(true)
	var revoked bool
	if i%2 == 0 {
		revoked = r.deliver(token.delivery)
	} else {
		status, _ := r.form("/oauth/revoke", token)
		revoked = status == http.StatusOK
	}
	switch {
	case revoked:
		token.answered.Store(time.Now().UnixNano())
	case life != down:
		r.met[life].Add(1)
	}
	return revoked
}

func (r *revocations) form(path string, token *revocable) (status int, answer string) {
	form := url.Values{"token": {token.jwt}}
	for name, value := range r.client {
		form[name] = value
	}
	return r.post(path, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// ask tells whether somebody accepts a token; no word when nobody answered.
func (r *revocations) ask(who string, token *revocable) (word string) {
	switch who {
	case "introspection":
		status, answer := r.form("/oauth/introspect", token)
		switch {
		case status != http.StatusOK:
		case strings.HasPrefix(answer, `{"active":true`):
			word = "accepted"
		case answer == `{"active":false}`:
			word = "refused"
		}
		return word
	case "server":
		return verdictAt("http://"+r.address, token)
	}
	return verdictAt(r.gateway.url, token)
}

func verdictAt(url string, token *revocable) string {
	request, err := http.NewRequest(http.MethodGet, url+"/check", nil)
	if err != nil {
		return ""
	}
	request.Header.Set("Authorization", "Bearer "+token.jwt)
	response, err := stormClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body := readAll(response)
	switch {
	case response.StatusCode == http.StatusNoContent:
		return "accepted"
	case response.StatusCode == http.StatusUnauthorized && strings.Contains(body, "token_revoked"):
		return "refused"
	}
	return ""
}

var whoIsAsked = []string{"server", "introspection", "gateway"}

// check asks about tokens near the ones that are revoked now, as long as it goes on.
func (r *revocations) check(ctx context.Context, random *rand.Rand) {
	for at := int64(-1); ctx.Err() == nil; <-time.After(2 * time.Millisecond) {
		if at == r.next.Load() {
			continue
		}
		at = r.next.Load()
		i := min(max(0, int(at)+50-random.IntN(300)), len(r.tokens)-1)
		token, who := r.tokens[i], whoIsAsked[random.IntN(len(whoIsAsked))]
		answered, began := token.answered.Load(), time.Now()
		word := r.ask(who, token)
		asked := token.asked.Load()
		r.mu.Lock()
		switch since := began.Sub(time.Unix(0, answered)); {
		case word == "refused" && !asked:
			r.t.Errorf("%s refuses token %d, which nobody has revoked", who, i)
		case word == "refused" && answered != 0:
			r.refused[who]++
		case word == "accepted" && answered == 0:
			r.accepted[who]++
		case word == "accepted" && (who != "gateway" || since > lostBound):
			r.t.Errorf("%s accepts token %d, asked %v after its revocation was answered", who, i, since)
		}
		r.mu.Unlock()
	}
}

func (r *revocations) blocked() (n int64) {
	if _, err := fmt.Sscan(r.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM tokens WHERE blocked_at <> 0"), &n); err != nil {
		r.t.Error(err)
	}
	return n
}

// judge asks everybody about every token at the end: after another kill, and a
// gateway that begins anew beside the one that was there all the time.
func (r *revocations) judge(edge *edgeProcess) {
	r.t.Logf("answers while it went on: %v refusals of what was revoked, %v acceptances of what was not yet", r.refused, r.accepted)
	for _, who := range whoIsAsked {
		if r.refused[who] < 100 || r.accepted[who] < 100 {
			r.t.Errorf("%s was hardly asked meanwhile", who)
		}
	}
	r.kill()
	if n := r.blocked(); n != lostRevocations {
		r.t.Errorf("%d tokens are blocked in the database", n)
	}
	r.start()
	until(r.t, 30*time.Second, "the gateway hears again", func() bool { return status(edge, r.tokens[len(r.tokens)-1].jwt) == http.StatusNoContent })
	r.everywhere(r.tokens[:lostRevocations], false)
	r.everywhere(r.tokens[lostRevocations:], true)
	edge.stop(syscall.SIGKILL)
	r.edge()
	r.everywhere(r.tokens[:lostRevocations], false, "gateway")
	r.kill()
}

// everywhere wants the same word from everybody, or from those named, about all of
// these.
func (r *revocations) everywhere(tokens []*revocable, accepted bool, whom ...string) {
	r.t.Helper()
	if len(whom) == 0 {
		whom = whoIsAsked
	}
	want := "refused"
	if accepted {
		want = "accepted"
	}
	var all sync.WaitGroup
	for part := range slices.Chunk(tokens, max(1, len(tokens)/8)) {
		all.Go(func() {
			for _, token := range part {
				for _, who := range whom {
					if got := r.ask(who, token); got != want {
						r.t.Errorf("%s says %q of token %s", who, got, token.id)
					}
				}
			}
		})
	}
	all.Wait()
}
