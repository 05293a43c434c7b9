package simbank

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// order sends JSON to the side door.
func order(t *testing.T, server *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestCountersOfOneAndOfAll(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp-a").post("/otp/send").post("/otp", "code", "000000")
	b.logIn("otp-b").post("/otp/send")
	one, all := b.json("/_sim/counters?login=otp-a"), b.json("/_sim/counters")
	for name, want := range map[string][2]float64{
		"logins": {1, 2}, "codes_sent": {1, 2}, "codes_tried": {1, 1}, "codes_wrong": {1, 1}, "resends": {0, 0},
		"logins_refused": {0, 0}, "app_asked": {0, 0}, "accounts_pages": {0, 0}, "history_pages": {0, 0},
	} {
		if one[name] != want[0] || all[name] != want[1] {
			t.Errorf("%s: %v of one, %v of all, want %v", name, one[name], all[name], want)
		}
	}
	if b.json("/_sim/counters?login=personne")["logins"] != 0.0 {
		t.Error("counters of nobody")
	}
	if status, _ := order(t, server, "POST", "/_sim/reset", ""); status != 200 {
		t.Errorf("reset answers %d", status)
	}
	if got := b.json("/_sim/counters")["logins"]; got != 0.0 {
		t.Errorf("%v logins after reset", got)
	}
	b.get("/otp").wantAt("/login")
}

func TestClockAndAppThroughTheSideDoor(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("app").post("/app")
	id := b.hidden("id")
	order(t, server, "POST", "/_sim/app", `{"login":"app","decision":"hold"}`)
	status, body := order(t, server, "POST", "/_sim/clock", `{"advance_seconds":10}`)
	if status != 200 || !strings.Contains(body, "2026-11-21T12:00:10Z") {
		t.Errorf("clock answers %d %s", status, body)
	}
	if got := b.json("/app/status?id=" + id)["status"]; got != "pending" {
		t.Errorf("held: %v", got)
	}
	order(t, server, "POST", "/_sim/app", `{"login":"app","decision":"auto"}`)
	if got := b.json("/app/status?id=" + id)["status"]; got != "ok" {
		t.Errorf("released: %v", got)
	}
	if got := b.json("/_sim/clock")["advanced_seconds"]; got != 10.0 {
		t.Errorf("advanced by %v", got)
	}
	b.logIn("captcha-z")
	if got := b.json("/_sim/captcha?login=captcha-z")["answer"].(string); len(got) != 5 {
		t.Errorf("captcha %q", got)
	}
	for path, body := range map[string]string{
		"/_sim/app": `{"login":"app","decision":"x"}`, "/_sim/clock": `{`, "/_sim/faults": `{"kind":"x"}`,
	} {
		if status, _ := order(t, server, "POST", path, body); status != http.StatusBadRequest {
			t.Errorf("%s takes %s: %d", path, body, status)
		}
	}
}

func TestFaultsStrikeWhereToldTo(t *testing.T) {
	site, server := open(t)
	status, body := order(t, server, "POST", "/_sim/faults",
		`[{"path_prefix":"/accounts","login":"Simple","kind":"503","after":1,"times":2},{"path_prefix":"/app","kind":"429"}]`)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	b := newBrowser(t, server)
	b.logIn("simple2").wantAt("/accounts").get("/accounts")
	b.logIn("simple").wantAt("/accounts")
	var got []int
	for range 4 {
		got = append(got, b.get("/accounts").status)
	}
	if diff := cmp.Diff([]int{503, 503, 200, 200}, got); diff != "" {
		t.Error(diff)
	}
	if b.get("/app"); b.status != http.StatusTooManyRequests || b.header.Get("Retry-After") == "" {
		t.Errorf("429 answers %d", b.status)
	}
	if got := site.Counters("simple").Faults; got != 3 {
		t.Errorf("%d faults counted", got)
	}
	if got := site.Faults(); len(got) != 2 || got[0].Seen != 5 {
		t.Errorf("faults: %+v", got)
	}
	if status, _ := order(t, server, "POST", "/_sim/faults", `{"faults":[{"kind":"x"}]}`); status != 400 || len(site.Faults()) != 2 {
		t.Errorf("a list that makes no sense replaced the faults: %d", status)
	}
	order(t, server, "POST", "/_sim/faults", `{"kind":"slow","seconds":0.01,"path_prefix":"/accounts"}`)
	if got := site.Faults(); len(got) != 3 || got[2].delay() != 10*time.Millisecond {
		t.Errorf("one more: %+v", got)
	}
	order(t, server, "POST", "/_sim/faults", `{"faults":[]}`)
	if got := site.Faults(); len(got) != 0 {
		t.Errorf("an empty list leaves %+v", got)
	}
	order(t, server, "POST", "/_sim/faults", `{"kind":"503"}`)
	order(t, server, "DELETE", "/_sim/faults", "")
	b.get("/accounts").wantAt("/accounts")
}

func TestUnavailableChangesNothingResetLosesTheAnswer(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send")
	token := b.hidden("jeton")
	if err := site.AddFaults(Fault{PathPrefix: "/otp", Method: "POST", Kind: FaultUnavailable, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if b.post("/otp", "code", "000000"); b.status != 503 || site.Counters("otp").CodesTried != 0 {
		t.Errorf("503 counted a try: %d %+v", b.status, site.Counters("otp"))
	}
	if err := site.AddFaults(Fault{PathPrefix: "/otp", Method: "POST", Kind: FaultReset, Times: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := b.client.PostForm(server.URL+"/otp", url.Values{"jeton": {token}, "code": {rightCode}})
	if err == nil {
		t.Fatal("the connection was not cut")
	}
	if got := site.Counters("otp"); got.CodesTried != 1 {
		t.Errorf("the code was lost with the answer: %+v", got)
	}
	b.get("/accounts").wantAt("/accounts") // the bank took it
}

func TestDamagedPages(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	whole := b.logIn("simple").wantAt("/accounts").page
	damaged := func(kind string) string {
		site.ClearFaults()
		if err := site.AddFaults(Fault{PathPrefix: "/accounts", Kind: kind, Times: 1}); err != nil {
			t.Fatal(err)
		}
		return b.get("/accounts").page
	}
	if got := damaged(FaultTruncate); len(got) != len(whole)/2 || !strings.HasPrefix(whole, got) {
		t.Errorf("truncate left %d of %d bytes", len(got), len(whole))
	}
	if got := damaged(FaultLayout); strings.Contains(got, "<table") || strings.Contains(got, `class="comptes"`) || !strings.Contains(got, "Livret A") {
		t.Errorf("layout:\n%s", got)
	}
	if got := damaged(FaultGarbage); !strings.Contains(got, "\xff") {
		t.Error("garbage is clean")
	}
	damaged(FaultExpire)
	b.wantAt("/login").wantText("session a expiré")
}

func TestPageOfButtons(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send").post("/otp", "code", "1").post("/otp", "code", "2").post("/otp", "code", "3")
	form := func(path string, fields ...string) string {
		t.Helper()
		values := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			values.Set(fields[i], fields[i+1])
		}
		response, err := http.PostForm(server.URL+path, values)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || response.Request.URL.Path != "/_sim" {
			t.Fatalf("%s leads to %s, %d, %v", path, response.Request.URL, response.StatusCode, err)
		}
		return string(page)
	}
	if page := form("/_sim/clock", "advance_seconds", "300"); !strings.Contains(page, "5m0s") || !strings.Contains(page, "bloqué") ||
		!strings.Contains(page, "100 000 opérations") {
		t.Errorf("the page of buttons:\n%s", page)
	}
	if page := form("/_sim/faults", "kind", "503", "path_prefix", "/otp", "after", "", "times", "1"); !strings.Contains(page, "/otp…") {
		t.Error("the fault does not show")
	}
	form("/_sim/faults", "kind", "503", "clear", "1")
	if len(site.Faults()) != 0 {
		t.Error("the button repairs nothing")
	}
	form("/_sim/app", "login", "otp", "decision", "deny")
	if page := form("/_sim/reset"); strings.Contains(page, "bloqué") {
		t.Error("the button forgets nothing")
	}
}

func TestStoriesAreListed(t *testing.T) {
	var names []string
	for _, s := range Stories() {
		names = append(names, s.Name)
		if s.Tale == "" {
			t.Errorf("%s says nothing", s.Name)
		}
	}
	want := "simple otp app-otp app choice redirect captcha wrongpass expiredpass banned terms outage slow garbage hang many"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("stories %s, want %s", got, want)
	}
}

// Many customers at once, faults and resets among them: nothing races, and what
// is counted adds up.
func TestCrowd(t *testing.T) {
	site, server := open(t)
	var wg sync.WaitGroup
	for _, login := range []string{"simple", "otp", "app", "captcha", "redirect", "otp-2", "simple-2", "terms"} {
		wg.Go(func() {
			b := newBrowser(t, server)
			for range 5 {
				response, err := b.client.Get(server.URL + "/login")
				b.read(response, err)
				response, err = b.client.PostForm(server.URL+"/login", url.Values{"jeton": {b.hidden("jeton")}, "identifiant": {login}, "secret": {"x"}})
				b.read(response, err)
				response, err = b.client.Get(server.URL + "/logout")
				b.read(response, err)
			}
		})
	}
	for range 20 {
		site.Advance(time.Second)
		site.Counters("")
		if err := site.Decide("app", DecisionHold); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if got := site.Counters("").Logins; got != 40 {
		t.Errorf("%d logins counted, want 40", got)
	}
}

func TestIdleSessionsAreForgotten(t *testing.T) {
	site, server := open(t)
	for range 300 {
		response, err := http.Get(server.URL + "/login")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		site.Advance(time.Minute)
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	if n := len(site.world.sessions); n > 256 {
		t.Errorf("%d sessions are kept", n)
	}
}

func TestFewBooksAreKept(t *testing.T) {
	var shelf bookshelf
	for i := range 3 * booksKept {
		c := &customer{login: "simple" + string(rune('a'+i)), story: StoryOf("simple")}
		first, second := shelf.book(c, noon), shelf.book(c, noon.Add(time.Hour))
		if first != second {
			t.Error("the book of the day was written twice")
		}
		if next := shelf.book(c, noon.Add(24*time.Hour)); next == first {
			t.Error("the book of another day is the same")
		}
	}
	if len(shelf.books) != booksKept || len(shelf.order) != booksKept {
		t.Errorf("%d books kept", len(shelf.books))
	}
}
