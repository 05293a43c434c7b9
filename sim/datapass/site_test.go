package simdatapass_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	simdatapass "guichet/sim/datapass"
)

// A world is a source, a receiver that remembers what it was sent, and a clock
// that only the test moves.
type world struct {
	t        *testing.T
	options  simdatapass.Options
	site     *simdatapass.Site
	web      *httptest.Server
	mu       sync.Mutex
	now      time.Time
	status   int
	got      []got
	receiver *httptest.Server
}

type got struct {
	path, signature, environment string
	body                         []byte
}

func newWorld(t *testing.T, format string) *world {
	w := &world{t: t, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), status: http.StatusOK}
	w.receiver = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.got = append(w.got, got{r.URL.Path, r.Header.Get("X-Hub-Signature-256"), r.Header.Get("X-App-Environment"), body})
		status := w.status
		w.mu.Unlock()
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, `{"token_id":"t1"}`)
	}))
	t.Cleanup(w.receiver.Close)
	clock := guichet.SystemClock()
	clock.Now = func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	w.options = simdatapass.Options{
		Clock: clock, Receiver: w.receiver.URL, ClientID: "guichet", ClientSecret: "s3cret",
		Providers: []simdatapass.Provider{{Name: "api_entreprise", Format: format, Secrets: []guichet.Secret{"first", "second"}}, {Name: "api_particulier", Secrets: []guichet.Secret{"other"}}},
	}
	w.site = simdatapass.New(w.options)
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.site.ServeHTTP(rw, r) }))
	t.Cleanup(w.web.Close)
	return w
}

func (w *world) advance(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

func (w *world) answers(status int) { w.mu.Lock(); defer w.mu.Unlock(); w.status = status }

func (w *world) received() []got { w.mu.Lock(); defer w.mu.Unlock(); return slices.Clone(w.got) }

func (w *world) step(want int) {
	w.t.Helper()
	if n := w.site.Step(w.t.Context()); n != want {
		w.t.Fatalf("%d sendings, want %d", n, want)
	}
}

func (w *world) create(provider string, connect bool) int {
	w.t.Helper()
	n, err := w.site.Create(simdatapass.Draft{Provider: provider, Title: "Cantines <b>", Connect: connect})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) do(number int, events ...string) {
	w.t.Helper()
	for _, e := range events {
		w.advance(time.Minute)
		if err := w.site.Do(number, e); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) last() map[string]any {
	w.t.Helper()
	all := w.received()
	var body map[string]any
	if err := json.Unmarshal(all[len(all)-1].body, &body); err != nil {
		w.t.Fatal(err)
	}
	return body
}

func state(body map[string]any) any { return body["data"].(map[string]any)["state"] }

// The retry law, to the second: what fails is sent again with the same bytes
// after n⁴ + 2 s and up to 15 %, for ever.
func TestRetryLawV2(t *testing.T) {
	w := newWorld(t, "v2")
	w.answers(http.StatusAccepted) // 202 is a failure to it
	w.create("api_entreprise", false)
	w.step(1)
	for n := int64(1); n <= 12; n++ {
		law := time.Duration(n*n*n*n+2) * time.Second
		w.advance(law - time.Second)
		w.step(0)
		w.advance(time.Second + law*15/100)
		w.step(1)
	}
	all := w.received()
	for _, g := range all {
		if !bytes.Equal(g.body, all[0].body) || g.signature != all[0].signature || g.environment != "sandbox" || g.path != "/api/datapass/v2/api_entreprise/webhook" {
			t.Fatalf("a retry differs: %+v", g)
		}
	}
	w.answers(http.StatusNoContent)
	w.advance(24 * time.Hour)
	w.step(1)
	w.advance(1000 * time.Hour)
	w.step(0) // it was received
}

func TestRetryLawV1(t *testing.T) {
	w := newWorld(t, "v1")
	w.answers(http.StatusServiceUnavailable)
	w.create("api_entreprise", false)
	w.step(1)
	for n := int64(0); n <= 8; n++ {
		w.advance(time.Duration(n*n*n*n+14) * time.Second)
		w.step(0)
		w.advance(time.Second + time.Duration(29*(n+1))*time.Second)
		w.step(1)
	}
	if g := w.received()[0]; g.path != "/api/datapass/api_entreprise/webhook" || g.environment != "" {
		t.Errorf("%+v", g)
	}
}

// A connection that breaks is never tried again in v2, and leaves no attempt;
// v1 comes back.
func TestLostConnections(t *testing.T) {
	for format, again := range map[string]int{"v2": 0, "v1": 1} {
		w := newWorld(t, format)
		for _, kind := range []string{simdatapass.FaultDrop, simdatapass.FaultLoseAnswer} {
			if err := w.site.Fault(kind, 1); err != nil {
				t.Fatal(err)
			}
			before := len(w.received())
			w.create("api_entreprise", false)
			w.step(1)
			arrived := len(w.received()) - before
			if want := map[string]int{simdatapass.FaultDrop: 0, simdatapass.FaultLoseAnswer: 1}[kind]; arrived != want {
				t.Errorf("%s: %d arrived, want %d", kind, arrived, want)
			}
			w.advance(24 * time.Hour)
			w.step(again)
			if got := w.received(); again == 1 && kind == simdatapass.FaultLoseAnswer && !bytes.Equal(got[len(got)-1].body, got[len(got)-2].body) {
				t.Error("the duplicate after a lost answer has other bytes")
			}
		}
	}
}

func TestDuplicatesReorderingReplay(t *testing.T) {
	w := newWorld(t, "v2")
	if err := w.site.Fault(simdatapass.FaultDuplicate, 1); err != nil {
		t.Fatal(err)
	}
	n := w.create("api_entreprise", false)
	w.step(2)
	w.site.Hold(true)
	w.do(n, "submit", "approve")
	w.step(0)
	w.site.Hold(false)
	w.step(2)
	if body := w.last(); body["event"] != "submit" {
		t.Errorf("the newest goes first: the last was %v", body["event"])
	}
	if err := w.site.Replay(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	all := w.received()
	sent, replayed := all[len(all)-2], all[len(all)-1]
	if !slices.ContainsFunc(all, func(g got) bool { return string(g.body) != string(replayed.body) && same(t, g.body, replayed.body) }) || sent.signature == replayed.signature {
		t.Error("a replay says the same in other bytes, under another signature")
	}
}

func same(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y map[string]any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		t.Fatal("not JSON")
	}
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	return bytes.Equal(left, right)
}

func TestSecretRotationAndPing(t *testing.T) {
	w := newWorld(t, "v2")
	for _, secret := range []guichet.Secret{"first", "second", "first"} {
		if err := w.site.Ping("api_entreprise"); err != nil {
			t.Fatal(err)
		}
		w.step(1)
		all := w.received()
		g := all[len(all)-1]
		if g.signature != simdatapass.Sign(secret, g.body) {
			t.Errorf("not signed with %q", secret.Reveal())
		}
		if body := w.last(); fmt.Sprint(body["test"]) != "true" || len(body) != 2 {
			t.Errorf("ping: %v", body)
		}
		if err := w.site.Rotate("api_entreprise"); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.site.Rotate("api_particulier"); err == nil {
		t.Error("there is no other secret to go on to")
	}
}

// A revoke of API Particulier with FranceConnect comes twice: first while the
// other authorization is active, then when nothing is.
func TestDoubleRevoke(t *testing.T) {
	w := newWorld(t, "v2")
	n := w.create("api_particulier", true)
	w.do(n, "submit", "approve")
	w.step(3)
	w.do(n, "revoke")
	w.step(2)
	all := w.received()
	var first map[string]any
	if err := json.Unmarshal(all[len(all)-2].body, &first); err != nil {
		t.Fatal(err)
	}
	if state(first) != "validated" || state(w.last()) != "revoked" {
		t.Errorf("%v, then %v", state(first), state(w.last()))
	}
}

// What the deliveries of a re-opening say is the trap of the real one: the state
// is validated, the data is the refused draft.
func TestRefusedReopening(t *testing.T) {
	w := newWorld(t, "v2")
	n := w.create("api_entreprise", false)
	w.do(n, "submit", "approve", "reopen", "submit", "refuse")
	w.step(6)
	body := w.last()
	scopes := body["data"].(map[string]any)["data"].(map[string]any)["scopes"].([]any)
	if state(body) != "validated" || !slices.Contains(scopes, any("demande_en_plus")) {
		t.Errorf("%v %v", state(body), scopes)
	}
	w.do(n, "reopen", "cancel_reopening", "revoke", "archive")
	w.step(4)
	if state(w.last()) != "archived" {
		t.Errorf("%v", state(w.last()))
	}
}

// Every event from every state that the source's machine knows, and no other.
func TestLegalMovesOnly(t *testing.T) {
	for _, c := range []struct {
		way  []string
		want string
	}{
		{nil, "update submit transfer archive"},
		{[]string{"submit"}, "request_changes approve refuse transfer"},
		{[]string{"submit", "request_changes"}, "update submit approve refuse transfer"},
		{[]string{"submit", "refuse"}, "transfer archive"},
		{[]string{"submit", "approve"}, "reopen transfer revoke"},
		{[]string{"submit", "approve", "reopen"}, "update submit cancel_reopening transfer revoke"},
		{[]string{"submit", "approve", "reopen", "submit"}, "request_changes approve refuse cancel_reopening transfer revoke"},
		{[]string{"submit", "approve", "revoke"}, "archive"},
		{[]string{"archive"}, ""},
	} {
		w := newWorld(t, "v2")
		n := w.create("api_entreprise", false)
		w.do(n, c.way...)
		page := w.get("/demandes/50001")
		var may []string
		for _, m := range regexp.MustCompile(`action="/demandes/50001/([a-z_]+)"`).FindAllStringSubmatch(page, -1) {
			may = append(may, m[1])
		}
		if got := strings.Join(may, " "); got != c.want {
			t.Errorf("after %v: %s, want %s", c.way, got, c.want)
		}
		for _, e := range []string{"update", "submit", "request_changes", "approve", "refuse", "reopen", "cancel_reopening", "transfer", "revoke", "archive", "delete", "nonsense"} {
			if err := w.site.Do(n, e); !slices.Contains(may, e) && err == nil {
				t.Errorf("after %v: %s was possible", c.way, e)
			} else if err == nil {
				break // the state moved on
			}
		}
	}
}

func (w *world) get(path string) string {
	w.t.Helper()
	r, err := http.Get(w.web.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func (w *world) post(path string, form url.Values) (int, string) {
	w.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.PostForm(w.web.URL+path, form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

// The buttons are forms: what one does is sent when its answer comes, and what
// people write is shown as text.
func TestPageOfButtons(t *testing.T) {
	w := newWorld(t, "v2")
	for _, c := range []struct {
		path string
		form url.Values
		want int
		sent int
	}{
		{"/demandes", url.Values{"provider": {"api_entreprise"}, "title": {"<script>alert(1)</script>"}, "scopes": {"a, b"}}, 303, 1},
		{"/demandes", url.Values{"provider": {"nobody"}, "title": {"x"}}, 409, 1},
		{"/demandes/50001/submit", nil, 303, 2},
		{"/demandes/50001/submit", nil, 409, 2},
		{"/demandes/50001/approve", url.Values{"back": {"/demandes/50001"}}, 303, 3},
		{"/demandes/50001/archive", nil, 409, 3},
		{"/demandes/99/archive", nil, 409, 3},
		{"/pannes", url.Values{"kind": {"drop"}}, 303, 3},
		{"/pannes", url.Values{"kind": {"nothing"}}, 409, 3},
		{"/demandes/50001/revoke", nil, 303, 3}, // lost
		{"/envois/4/rejouer", nil, 303, 4},
		{"/webhooks/api_entreprise/ping", nil, 303, 5},
		{"/webhooks/api_entreprise/secret", nil, 303, 5},
		{"/envois/retenir", url.Values{"on": {"1"}}, 303, 5},
		{"/webhooks/api_entreprise/ping", nil, 303, 5},
		{"/envois/retenir", nil, 303, 6},
	} {
		if status, text := w.post(c.path, c.form); status != c.want || len(w.received()) != c.sent {
			t.Errorf("%s %v: %d with %d sent, want %d with %d\n%s", c.path, c.form, status, len(w.received()), c.want, c.sent, text)
		}
	}
	for _, path := range []string{"/", "/demandes/50001", "/demandes/7"} {
		page := w.get(path)
		if strings.Contains(page, "<script>alert") || !strings.Contains(page, "</html>") {
			t.Errorf("%s: %s", path, page)
		}
	}
	if page := w.get("/"); !strings.Contains(page, "Révoquée") || !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the page does not tell what happened")
	}
}
