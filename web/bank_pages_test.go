package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"guichet"
	"guichet/bank"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// patterns are the routes of the bank window, as the program mounts them.
func patterns(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("bank.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`mux\.Handle\("(GET|POST) (/[^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1]+" "+m[2])
	}
	if len(all) < 15 {
		t.Fatalf("only %v", all)
	}
	return all
}

// Every route that names something answers somebody else as if it were not
// there, and changes nothing.
func TestOthersSeeNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		victim, other := h.visitor("victim@example.org"), h.visitor("other@example.org")
		victim.opened("simple")
		victim.open("captcha")
		other.opened("simple-other") // with accounts of their own, so that no page is an empty one
		account := db.Value("SELECT MIN(accounts.id) FROM accounts JOIN accesses ON accesses.id = access_id WHERE owner = $1", victim.me.ID.String())
		snapshot := func() string {
			return db.Value("SELECT CAST(COUNT(*) AS TEXT) || '/' || CAST(SUM(version) AS TEXT) FROM accesses") + " " +
				db.Value("SELECT CAST(COUNT(*) AS TEXT) || '/' || CAST(SUM(version) AS TEXT) FROM attempts") + " " +
				db.Value("SELECT CAST(COUNT(*) AS TEXT) || '/' || CAST(SUM(version) AS TEXT) FROM challenges")
		}
		before := snapshot()
		tried := 0
		for _, c := range victim.cases() {
			ids := map[string]string{"accesses": c.Access.ID.String(), "attempts": c.Attempt.ID.String(), "challenges": c.Challenge.ID.String(), "accounts": account}
			for _, pattern := range patterns(t) {
				method, path, _ := strings.Cut(pattern, " ")
				noun := strings.Split(path, "/")[1]
				if !strings.Contains(path, "{id}") || ids[noun] == "" {
					continue
				}
				tried++
				path = strings.Replace(path, "{id}", ids[noun], 1)
				form := map[string][]string{"fields.digits": {"12345"}, "version": {"1"}, "label": {"mine"}, "disabled": {"yes"}}
				for _, v := range []*visitor{other, other.in("/accesses")} {
					if p := v.send(method, path, form); p.status != http.StatusNotFound {
						t.Errorf("%s %s: %d for somebody else", method, path, p.status)
					}
				}
				strange := strings.Replace(strings.Split(pattern, " ")[1], "{id}", "not-an-id", 1)
				if p := other.send(method, strange, form); p.status != http.StatusNotFound {
					t.Errorf("%s %s: %d", method, strange, p.status)
				}
			}
			question := c.Attempt.ID.String()
			for _, p := range []*seen{other.get("/accesses?question=" + question), other.get("/?question=" + question)} {
				if p.status != 200 || p.has("/challenges/") {
					t.Errorf("%s shows somebody else's question", p.url)
				}
			}
			for path, want := range map[string]int{
				"/init/new-bank?attempt=" + question: http.StatusNotFound, "/transactions?account=" + account: http.StatusNotFound,
				// A way back with a state that is not ours is refused, whose ever it names.
				"/init/new-bank/return?code=1&state=" + c.Challenge.ID.String(): http.StatusForbidden,
			} {
				if p := other.get(path); p.status != want {
					t.Errorf("%s: %d for somebody else", path, p.status)
				}
			}
		}
		if tried < 20 {
			t.Errorf("only %d routes were tried", tried)
		}
		if after := snapshot(); after != before {
			t.Errorf("something changed: %s, then %s", before, after)
		}
		for _, path := range []string{"/", "/accesses", "/accounts", "/transactions"} {
			if strings.Contains(other.get(path).body, account) {
				t.Errorf("%s shows somebody else's account", path)
			}
		}
		// And nobody at all is asked who they are.
		stranger := &visitor{house: h, t: t, client: &http.Client{}}
		for _, pattern := range patterns(t) {
			method, path, _ := strings.Cut(pattern, " ")
			if p := stranger.send(method, strings.Replace(path, "{id}", victim.cases()[0].Access.ID.String(), 1), nil); p.url.Path != "/sign-in" {
				t.Errorf("%s: a stranger gets %d at %s", pattern, p.status, p.url)
			}
		}
	})
}

// A form of another site does nothing, whoever is signed in.
func TestOtherSites(t *testing.T) {
	db := storetest.New(t, "sqlite")
	v := newHouse(t, db).visitor("a@example.org")
	v.opened("simple")
	for path, says := range map[string]string{
		"/accesses/" + v.cases()[0].Access.ID.String() + "/delete":     "Cette demande est venue d’une page d’un autre site.",
		"/api/accesses/" + v.cases()[0].Access.ID.String() + "/delete": `"code":"cross_origin"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.web.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := v.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusForbidden || !strings.Contains(string(body), says) || len(v.cases()) != 1 {
			t.Errorf("%s: %d, %d accesses: %s", path, response.StatusCode, len(v.cases()), body)
		}
	}
}

// What one may change of an access.
func TestAccessPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.opened("simple")
		path := "/accesses/" + v.cases()[0].Access.ID.String()
		v.get(path).is(200, path, "Identifiants", "Relève de nuit", "Supprimer l’accès", "comptes et toutes leurs opérations seront effacés", "Compte courant")
		v.post(path, "label", "Compte joint").is(200, path, "Enregistré.", "Compte joint")
		v.post(path, "night_off", "yes").says("relève coupée", "Reprendre la relève de nuit")
		v.get("/accesses").says("relève coupée", "Compte joint")
		v.post(path, "night_off", "no").says("Couper la relève de nuit")
		wrong := v.post(path, "fields.login", "", "fields.password", bankPassword)
		if wrong.status != 422 {
			t.Errorf("status %d", wrong.status)
		}
		wrong.says("La banque en a besoin")
		v.post(path, "fields.login", "simple2", "fields.password", bankPassword).is(200, path)
		v.moved(v.cases()[0].Attempt.ID)
		v.post(path, "disabled", "yes").is(200, path, "désactivé", "Réactiver cet accès", "ses identifiants sont effacés", "dernière relève")
		if n := db.Value("SELECT CAST(SUM(LENGTH(credentials) + LENGTH(session)) AS TEXT) FROM accesses"); n != "0" {
			t.Errorf("%s bytes of secrets are still there", n)
		}
		v.get("/accesses").says("désactivé", "Réactiver")
		v.get(path).submit("/refresh", "fields.login", "simple2", "fields.password", bankPassword)
		v.moved(v.cases()[0].Attempt.ID)
		v.get(path).says("à jour", "Désactiver l’accès").saysNot("Réactiver")
		v.get(path).submit("/delete").is(200, "/accesses", "Accès supprimé", "Ouvrir un premier accès")
		h.nothingLeft()
		if p := v.get(path); p.status != 404 {
			t.Errorf("status %d", p.status)
		}
	})
}

// A form waits two seconds for the bank's first word, then goes on without it.
func TestFormWaitsForTheFirstWord(t *testing.T) {
	t.Parallel()
	h := newHurriedHouse(t, storetest.New(t, "sqlite"), 0)
	if err := h.site.AddFaults(simbank.Fault{PathPrefix: "/login", Kind: simbank.FaultSlow, Seconds: 10, Times: 1}); err != nil {
		t.Fatal(err)
	}
	v := h.visitor("a@example.org")
	began := time.Now()
	v.open("simple").is(200, "/init/new-bank/enter-new-fields", "Connexion à Banque des Tests")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it waited for %v only", took)
	}
	v.post("/accesses/" + v.cases()[0].Access.ID.String() + "/discard")
}

// A bank that takes its time: the page follows, and so does the list; what was not
// opened stays a line that says why.
func TestSlowBank(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHurriedHouse(t, db, 100*time.Millisecond)
		if err := h.site.AddFaults(simbank.Fault{PathPrefix: "/login", Kind: simbank.FaultSlow, Seconds: 3, Times: 1}); err != nil {
			t.Fatal(err)
		}
		v := h.visitor("a@example.org")
		v.open("wrongpass").is(200, "/init/new-bank/enter-new-fields", "Connexion à Banque des Tests")
		c, err := h.desk.Wait(t.Context(), v.me.Actor(), v.cases()[0].Attempt.ID, func(c bank.Case) bool { return c.Attempt.Phase == bank.Authenticating })
		if err != nil {
			t.Fatal(err)
		}
		v.get("/init/new-bank/enter-new-fields").says("Connexion à Banque des Tests", "Identification")
		in := v.in("/init/new-bank/enter-new-fields")
		in.get("/attempts/"+c.Attempt.ID.String()+"/question").says("Connexion à Banque des Tests", "Abandonner")
		v.get("/accesses").says("Identification", "Abandonner et effacer")
		line := "/accesses/" + c.Access.ID.String() + "/line"
		v.in("/accesses").get(line).says("Identification")
		v.moved(c.Attempt.ID)
		if to := in.get("/attempts/" + c.Attempt.ID.String() + "/question").header.Get("HX-Redirect"); to != "/init/new-bank?attempt="+c.Attempt.ID.String() {
			t.Errorf("leads to %q", to)
		}
		v.in("/accesses").get(line).says("n’a pas été ouvert", "l’identifiant ou le mot de passe est refusé", "Corriger")
		v.in("/accesses").get("/accesses").says("n’a pas été ouvert").saysNot("Déconnecter")
	})
}

// Every operation is on exactly one page, newest first, and the sums are those of
// whole months.
func TestOperations(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		v := newHouse(t, db).visitor("a@example.org")
		v.opened("simple")
		var days []string
		address, pages := "/transactions", 0
		for address != "" {
			p := v.get(address)
			pages++
			rows := 0
			for n := range p.doc.Descendants() {
				if n.Type == html.ElementNode && n.Data == "time" && n.Parent.Data == "td" {
					days = append(days, attribute(n, "datetime"))
					rows++
				}
			}
			if rows == 0 || rows > 50 {
				t.Fatalf("%d rows at %s", rows, address)
			}
			address = ""
			for n := range p.doc.Descendants() {
				if n.Type == html.ElementNode && attribute(n, "rel") == "next" {
					address = attribute(n, "href")
				}
			}
		}
		if want := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions WHERE status <> 'void'"); want != fmt.Sprint(len(days)) || pages < 3 {
			t.Errorf("%d operations on %d pages, %s in the database", len(days), pages, want)
		}
		if !slices.IsSortedFunc(days, func(a, b string) int { return -strings.Compare(a, b) }) {
			t.Error("not newest first")
		}

		// The sums of the second page's first month are those of the database.
		// So are those of the pages after it, until one on which a card was settled: what a
		// deferred card bought counts once, and not again as the debit that settles it.
		const spent = "SELECT CAST(-COALESCE(SUM(amount), 0) AS TEXT) FROM transactions WHERE status = 'booked' AND amount < 0 AND day LIKE $1"
		page := v.get("/transactions")
		for settled := false; !settled; {
			page = v.get(page.next())
			month := ""
			for n := range page.doc.Descendants() {
				if month == "" && n.Type == html.ElementNode && n.Data == "time" && n.Parent.Data == "td" {
					month = attribute(n, "datetime")[:7]
				}
			}
			in := db.Value("SELECT CAST(COALESCE(SUM(amount), 0) AS TEXT) FROM transactions WHERE status = 'booked' AND amount > 0 AND day LIKE $1", month+"%")
			if !strings.Contains(figures(page.words()), "Entrées+"+in[:len(in)-2]+","+in[len(in)-2:]) {
				t.Errorf("%s brought %s; the page says otherwise: %s", month, in, page.words()[:800])
			}
			out := db.Value(spent+" AND type <> 'card_summary'", month+"%")
			if !strings.Contains(figures(page.words()), out[:len(out)-2]+","+out[len(out)-2:]) {
				t.Errorf("%s cost %s; the page says otherwise: %s", month, out, page.words()[:800])
			}
			settled = out != db.Value(spent, month+"%")
		}

		found := v.get("/transactions?q=SNCF")
		if !strings.Contains(strings.ToUpper(found.words()), "SNCF") || strings.Contains(found.words(), "Entrées +") {
			t.Errorf("searched: %s", found.words())
		}
		v.get("/transactions?q=zzzzz").says("Aucune opération ne correspond")
		if p := v.get("/transactions?before=nonsense"); p.status != 422 {
			t.Errorf("status %d", p.status)
		}
		account := v.get("/transactions").link("Compte courant")
		v.get(account).says("Relever le solde", "Compte courant")
		v.get(account).submit("/accounts/")
		v.moved(v.cases()[0].Attempt.ID)
		if c := v.cases()[0]; c.Attempt.Purpose != bank.RefreshBalance || c.Attempt.State != bank.AttemptSucceeded {
			t.Errorf("%s %s", c.Attempt.Purpose, c.Attempt.State)
		}
	})
}

func (p *seen) next() string {
	p.v.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "rel") == "next" {
			return attribute(n, "href")
		}
	}
	p.v.t.Fatal("no next page")
	return ""
}

// figures is a text without any space.
func figures(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\u202f", "")), "")
}

// The stream says which attempt moved, in time, and nothing of it; it ends when
// the server stops.
func TestEvents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v, other := h.visitor("a@example.org"), h.visitor("b@example.org")
		stream := func(v *visitor, since string) (*bufio.Scanner, *http.Response) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			t.Cleanup(cancel)
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.web.URL+"/events?since="+since, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := (&http.Client{Jar: v.client.Jar}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = response.Body.Close() })
			lines := bufio.NewScanner(response.Body)
			if !lines.Scan() || response.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%d %v", response.StatusCode, response.Header)
			}
			return lines, response
		}
		lines, _ := stream(v, "")
		silent, _ := stream(other, "whenever")
		drawn := fmt.Sprint(db.Clock.Now().UnixMicro())
		v.open("otp")
		attempt := v.cases()[0].Attempt.ID
		heard := map[string]bool{}
		for !heard["data: "+attempt.String()] && lines.Scan() {
			heard[lines.Text()] = true
		}
		if !heard["event: changed"] {
			t.Errorf("heard %v", heard)
		}
		for line := range heard {
			if line != "" && line != "event: changed" && line != "data: "+attempt.String() && !strings.HasPrefix(line, "id: "+attempt.String()+"-") {
				t.Errorf("the stream says %q", line)
			}
		}
		// Whoever listens only now, on a page that was drawn before, hears of it too.
		for late, _ := stream(v, drawn); ; {
			if !late.Scan() {
				t.Fatalf("what moved between a page and its stream is never told: %v", late.Err())
			}
			if late.Text() == "data: "+attempt.String() {
				break
			}
		}
		// Somebody else hears nothing of it: the first thing they hear is their own.
		other.open("otp-other")
		for silent.Scan() {
			if data, ok := strings.CutPrefix(silent.Text(), "data: "); ok {
				if data != other.cases()[0].Attempt.ID.String() {
					t.Errorf("heard of %s", data)
				}
				break
			}
		}
		close(h.stopping)
		h.stopping = nil
		for lines.Scan() {
			h.noSecrets(lines.Text(), "the stream")
		}
		if err := lines.Err(); err != nil {
			t.Errorf("the stream did not end by itself: %v", err)
		}
	})
}

// The question of an attempt, for the script: once there is one, and only then.
func TestAsked(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	v := h.visitor("a@example.org")
	v.open("otp")
	asked := func(id guichet.ID) *seen { return v.in("/transactions").get("/attempts/" + id.String() + "/asked") }
	if p := asked(v.cases()[0].Attempt.ID); p.status != http.StatusNoContent {
		t.Errorf("%d while there is no account: the question has a page of its own", p.status)
	}
	v.post("/accesses/" + v.cases()[0].Access.ID.String() + "/discard")
	v.opened("simple")
	if p := asked(v.cases()[0].Attempt.ID); p.status != http.StatusNoContent {
		t.Errorf("%d for an attempt that asks nothing", p.status)
	}
	v.open("otp")
	p := asked(v.cases()[1].Attempt.ID).says("demande une confirmation")
	if _, values := p.form("/answer"); values.Get("back") != "/transactions" {
		t.Errorf("leads back to %q", values.Get("back"))
	}
	if !strings.Contains(p.body, "<dialog") {
		t.Error("not a dialog")
	}
}
