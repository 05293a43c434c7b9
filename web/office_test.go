package web_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/canary"
	"guichet/grant"
	"guichet/people"
	"guichet/store/storetest"
	"guichet/web"
	"guichet/web/view"
)

// An office is the pages of the grant window with a real database behind them.
type office struct {
	*house
	desk   *grant.Desk
	drifts *grant.Reconciler
	began  int64 // an hour before, in seconds
	n      int
}

func newOffice(t *testing.T, db *storetest.DB, changes ...func(*web.Server, string)) *office {
	t.Helper()
	db.Clock.Advance(time.Until(db.Clock.Now()) * -1) // sessions live by the machine's clock
	clock := db.Clock.Clock()
	o := &office{began: db.Clock.Now().Add(-time.Hour).Unix(), house: &house{t: t, db: db, process: &process{logs: &logBook{}, dead: &sync.WaitGroup{}, web: httptest.NewUnstartedServer(nil)}}}
	o.desk = &grant.Desk{
		Store: db.Grant(), Clock: clock, URL: "http://guichet.test", PurgeAfter: 240 * time.Hour, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise", Title: "API Entreprise", Mails: true, Source: "https://datapass.example"}},
		Mint:      func(s grant.Standing) (guichet.Secret, error) { return guichet.Secret("jwt-of-" + s.ID), nil },
	}
	o.people = &people.Desk{Store: db.Store.People(), Clock: clock, Hasher: people.NewHasher(people.Params{Time: 1, MemoryKiB: 64, Threads: 1})}
	o.drifts = &grant.Reconciler{Desk: o.desk, Store: db.Drifts(), Sources: map[string]grant.Source{}}
	door := canary.NewDoor(t, shown...)
	pages := &web.Server{
		Clock: clock, Log: door.Log(o.logs), URL: "http://guichet.test", Zone: time.UTC, Windows: view.Windows{Grant: true},
		People: o.people, Grant: o.desk, Office: db.Grant(), Drifts: o.drifts, Alerts: db.Store.Alerts(), Sessions: db.Store.Sessions(),
	}
	for _, change := range changes {
		change(pages, "http://"+o.web.Listener.Addr().String())
	}
	handler, err := pages.Handler(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.web.Config.Handler = door.Handler(handler)
	o.web.Start()
	t.Cleanup(func() {
		o.web.Close()
		if strings.Contains(o.logs.String(), "level=ERROR") {
			t.Errorf("errors were logged:\n%s", o.logs)
		}
	})
	return o
}

func (o *office) operator(email string) *visitor {
	o.t.Helper()
	me, err := o.people.AddPerson(o.t.Context(), guichet.System("test"), people.NewPerson{Email: email, Role: people.Operator, Password: signInPassword})
	if err != nil {
		o.t.Fatal(err)
	}
	return o.browser(me)
}

const (
	applicant = "claire@valmont.example"
	technical = "idir@valmont.example"
	business  = "lou@valmont.example"
)

// send receives one event; each is a second later than the one before.
func (o *office) send(event string, id int, title string) guichet.ID {
	o.t.Helper()
	o.n++
	body := fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"draft","data":{"intitule":%q,
"scopes":["entreprises"],"contact_technique_email":%q,"contact_technique_family_name":"Benali","contact_metier_email":%q},
"organization":{"name":"COMMUNE DE VALMONT","siret":"21730065600011"},"applicant":{"email":%q,"family_name":"Morel"}}}`,
		event, o.began+int64(o.n), id, title, technical, business, applicant)
	answer, err := o.desk.Receive(o.t.Context(), "api_entreprise", grant.V2, []byte(body))
	if err != nil {
		o.t.Fatal(err)
	}
	return answer.TokenID
}

// Filters, order and pages are in the address, so that it can be kept.
func TestRequestsPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		v.get("/requests").is(200, "/requests", "Aucune demande reçue pour l’instant")
		for i := range 60 {
			o.send(map[bool]string{true: "approve", false: "create"}[i%2 == 0], 1000+i, fmt.Sprintf("Marchés lot%d", i))
		}
		first := v.get("/requests").is(200, "/requests", "1059", "1010").saysNot("1009")
		second := v.get(first.link("Plus anciens")).is(200, "/requests", "1009", "1000").saysNot("1010", "Plus anciens")
		if strings.Contains(second.url.RawQuery, "offset") || !strings.Contains(second.url.RawQuery, "before=") {
			t.Errorf("the second page is at %s", second.url)
		}
		v.get("/requests?status=validated&q=lot58").is(200, "/requests", "1058", "Mots").saysNot("1057")
		v.get("/requests?siret=217+300+656+00011&order=oldest").is(200, "/requests", "1000").saysNot("1059")
		v.get("/requests?scope=none").is(200, "/requests", "Aucune demande ne correspond", "Retirer tous les filtres")
		v.get("/requests?from=2999-01-01").saysNot("1059")
		v.get("/requests?from=not-a-date&order=sideways&status=nonsense&before=").is(200, "/requests")
		if p := v.get("/requests?before=%2e%2e"); p.status != http.StatusUnprocessableEntity {
			t.Errorf("a page that begins nowhere: %d", p.status)
		}
		for _, hostile := range []string{"'; DROP TABLE requests; --", "<script>alert(1)</script>", "%00", strings.Repeat("a", 5000), "\\%_"} {
			v.send(http.MethodGet, "/requests?q="+escape(hostile), nil).is(200, "/requests")
		}
	})
}

// A validated request is said to be re-opened while it is: until that is approved,
// refused or cancelled, in whatever order the deliveries come.
func TestReopenedIsSaidWhileItLasts(t *testing.T) {
	t.Parallel()
	type told struct {
		at    int
		event string
	}
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v, words, open := o.operator("nora@guichet.example"), "Validée, en réouverture", 0
		for i, c := range []struct {
			reopened bool
			told     []told
		}{
			{false, []told{{1, "approve"}}},
			{true, []told{{1, "approve"}, {2, "reopen"}}},
			{true, []told{{1, "approve"}, {2, "reopen"}, {3, "submit"}}},
			{false, []told{{1, "approve"}, {2, "reopen"}, {3, "cancel_reopening"}}},
			{false, []told{{1, "approve"}, {2, "reopen"}, {3, "submit"}, {4, "refuse"}}},
			{false, []told{{1, "approve"}, {2, "reopen"}, {3, "submit"}, {4, "approve"}}},
			{false, []told{{1, "approve"}, {2, "transfer"}}},
			{true, []told{{1, "approve"}, {2, "reopen"}, {3, "transfer"}}},
			{true, []told{{1, "approve"}, {2, "reopen"}, {3, "cancel_reopening"}, {4, "reopen"}}},
			// The same, as the network brings it.
			{false, []told{{3, "cancel_reopening"}, {1, "approve"}, {2, "reopen"}}},
			{true, []told{{2, "reopen"}, {1, "approve"}}},
			{true, []told{{1, "approve"}, {3, "transfer"}, {2, "reopen"}}},
			// An archive that was noted ends it, and does not hide the next one.
			{false, []told{{1, "approve"}, {2, "reopen"}, {3, "archive"}}},
			{true, []told{{1, "approve"}, {2, "archive"}, {3, "approve"}, {4, "reopen"}}},
			{false, []told{{1, "approve"}, {2, "reopen"}, {3, "delete"}}},
			// Nobody knows what it means, so it does not count.
			{false, []told{{1, "approve"}, {2, "transfer"}, {3, "reopen_by_magic"}}},
		} {
			number := 2000 + i
			for _, e := range c.told {
				o.n = e.at - 1
				o.send(e.event, number, "Marchés publics")
			}
			if c.reopened {
				open++
			}
			for _, at := range []string{fmt.Sprintf("/requests?q=%d", number), fmt.Sprintf("/requests/api_entreprise/%d", number)} {
				if p := v.get(at).is(200, strings.Split(at, "?")[0], "Marchés publics"); strings.Contains(p.words(), words) != c.reopened {
					t.Errorf("%v: %s says re-opened: %t", c.told, at, !c.reopened)
				}
			}
		}
		// What takes one of several authorizations away says nothing of the instruction.
		partly := fmt.Sprintf(`{"event":"revoke","fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":2001,"data":{"state":"validated","applicant":{"email":%q},
"authorizations":[{"id":1,"state":"revoked","revoked":true,"definition_id":"api_entreprise","created_at":"2026-01-01T00:00:00Z"},{"id":2,"state":"active","revoked":false,"definition_id":"api_entreprise","created_at":"2026-02-01T00:00:00Z"}]}}`,
			o.began+9, applicant)
		if _, err := o.desk.Receive(t.Context(), "api_entreprise", grant.V2, []byte(partly)); err != nil {
			t.Fatal(err)
		}
		v.get("/requests/api_entreprise/2001").says(words, "Révocation partielle")
		mine := o.visitor(applicant).get(view.PathMine)
		if n := strings.Count(mine.words(), words); n != open {
			t.Errorf("who applies sees %d re-opened, of %d", n, open)
		}
	})
}

// delivery is the address of the first delivery that a page lists.
func (p *seen) delivery() string {
	p.v.t.Helper()
	at := regexp.MustCompile(`/journal/[0-9a-f-]{36}`).FindString(p.body)
	if at == "" {
		p.v.t.Fatalf("%s lists no delivery", p.url)
	}
	return at
}

func escape(s string) string {
	return strings.NewReplacer(" ", "+", ";", "%3B", "<", "%3C", ">", "%3E", "\\", "%5C", "#", "%23").Replace(s)
}

// The file has every request that the page would show, and nothing in it is a
// formula. The export is in the audit.
func TestRequestsCSV(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		titles := []string{`=HYPERLINK("http://evil.example";"x")`, "+1", "-2+3", "@SUM(A1)", "\t=1+1", " =1", "＝1", "été, \"quoted\"\r\nline"}
		for i, title := range titles {
			o.send("create", 1+i, title)
		}
		o.send("approve", 99, "other")
		p := v.get("/requests.csv?status=draft")
		if p.status != 200 || !strings.HasPrefix(p.header.Get("Content-Type"), "text/csv") || !strings.Contains(p.header.Get("Content-Disposition"), "requests.csv") {
			t.Fatalf("%d %v", p.status, p.header)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(p.body, "\ufeff"))).ReadAll()
		if err != nil || len(rows) != len(titles)+1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, row := range rows[1:] {
			for _, cell := range row {
				if bare := strings.TrimLeft(cell, " \t\r\n"); bare != "" && strings.ContainsAny(bare[:1], "=+-@") {
					t.Errorf("the cell %q is a formula", cell)
				}
			}
		}
		if !strings.Contains(p.body, "été") || strings.Contains(p.body, "other") {
			t.Error("the file does not have what the page has")
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = 'requests.exported' AND actor_name = 'nora@guichet.example'"); n != "1" {
			t.Errorf("%s entries in the audit", n)
		}
	})
}

// A held approval: seen from the alert, told what it would do, accepted with a
// reason, and settled.
func TestHeldIsDecided(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		o.send("approve", 1, "Marchés")
		o.send("revoke", 1, "Marchés")
		o.send("approve", 1, "Marchés")
		p := v.get(v.get("/alerts").says("validée à nouveau").link("Examiner"))
		p.says("Si on l’accepte maintenant", "Jeton créé", "Habilitation révoquée → Habilitation validée", `"intitule": "Marchés"`, "reçoivent un courriel")
		if p = p.submit("/accept", "reason", " "); p.status != http.StatusUnprocessableEntity {
			t.Errorf("accepted without a reason: %d", p.status)
		}
		at := v.get("/journal?open=yes").says("retenu", "à décider").delivery()
		v.get(at).submit("/accept", "reason", "convention renouvelée").is(200, "/requests/api_entreprise/1", "Habilitation validée", "Validation acceptée", "convention renouvelée", "nora@guichet.example")
		v.get("/journal?open=yes").says("Rien n’attend de décision")
		if p := v.post(at+"/dismiss", "reason", "too late"); p.status != http.StatusConflict {
			t.Errorf("settled twice: %d", p.status)
		}
		v.get(at).saysNot("Accepter la validation", "Écarter")
	})
}

// What is in quarantine is replayed or dismissed; the page says beforehand what
// replaying would do.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		for i := range 2 {
			if _, err := o.desk.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, `{"event":"submit","fired_at":177788000%d,"model_id":7,"data":{"applicant":{"email":"nobody"}}}`, i)); err != nil {
				t.Fatal(err)
			}
		}
		p := v.get("/journal?effect=quarantined").says("mis en quarantaine", "à décider")
		p = v.get(p.delivery()).says("Il est toujours inutilisable")
		if p.has("/replay") {
			t.Error("replaying is offered although it cannot help")
		}
		p.submit("/dismiss", "reason", "une erreur de saisie").is(200, "/journal", "Envoi écarté")
		v.get("/requests/api_entreprise/7").is(404, "/requests/api_entreprise/7")
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE resolved_at = 0 AND effect = 'quarantined'"); n != "1" {
			t.Errorf("%s still wait", n)
		}
	})
}

// The journal is searched, exported whole, and proved.
func TestJournalPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		for i := range 230 {
			o.send("create", 1+i%115, "Marchés")
		}
		p := v.get("/journal").is(200, "/journal", "create")
		v.get(p.link("Plus anciens")).is(200, "/journal", "create")
		v.get("/journal?number=115&provider=api_entreprise").says("115").saysNot(" 114 ")
		v.get("/journal?number=nothing").says("Aucun envoi ne correspond")
		lines := strings.Split(strings.TrimSpace(v.get("/journal.jsonl").body), "\n")
		if len(lines) != 230 {
			t.Errorf("%d lines", len(lines))
		}
		var line struct {
			Chain, Event, Hash string
			Body               struct {
				Event string
			}
		}
		if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || line.Event != "create" || line.Body.Event != "create" || len(line.Hash) != 64 {
			t.Errorf("%+v %v", line, err)
		}
		proved := func(want string) {
			t.Helper()
			v.post("/journal/verify").is(200, "/journal")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for ctx.Err() == nil {
				if p := v.in("/journal").get("/journal/verify"); !strings.Contains(p.body, "<progress") {
					p.says(want)
					return
				}
			}
			t.Error("the verification never ended")
		}
		proved("Journal intact, 230 envois vérifiés")
		if db.Engine() == "sqlite" {
			db.SQL("DROP TRIGGER deliveries_fixed")
		} else {
			db.SQL("DROP TRIGGER deliveries_fixed ON deliveries")
		}
		id := db.Value("SELECT MIN(id) FROM deliveries")
		db.SQL("UPDATE deliveries SET event = 'approve' WHERE id = $1", id)
		proved("altéré")
		db.SQL("UPDATE deliveries SET event = 'create' WHERE id = $1", id)
	})
}

// Alerts are grouped, assigned, and seen to together.
func TestAlertsPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v, other := o.operator("nora@guichet.example"), o.operator("sam@guichet.example")
		for i := range 3 {
			o.send("revoke", 1+i, "x")
		}
		p := v.get("/alerts").says("3 alertes de même nature", "Confier")
		p.submit("/assign", "back", "/alerts").is(200, "/alerts")
		id := db.Value("SELECT MIN(id) FROM alerts")
		v.post("/alerts/"+id+"/assign", "to", "sam@guichet.example", "back", "/alerts").says("Confiée à sam@guichet.example")
		if p := v.post("/alerts/"+id+"/assign", "to", "stranger@else.example"); p.status != 404 {
			t.Errorf("assigned to a stranger: %d", p.status)
		}
		other.get("/alerts?show=mine").says("Confiée à sam").saysNot("de même nature")
		v.get("/alerts?show=mine").says("Aucune alerte")
		v.post("/alerts/acknowledge", "id", id, "back", "/alerts").says("2 alertes de même nature")
		v.get("/alerts").submit("/alerts/acknowledge")
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM alerts WHERE acknowledged_at = 0"); n == "3" {
			t.Errorf("%s alerts are open", n)
		}
	})
}

// Operators block at a date with a replacement, and prolong.
func TestTokenActions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		id := o.send("approve", 1, "Marchés")
		p := v.get("/tokens/"+id.String()).says("Dernier usage", "jamais utilisé").saysNot("jwt-of-")
		p.submit("/prolong").says("prolongé de 18 mois")
		if p := v.post("/tokens/"+id.String()+"/block", "reason", ""); p.status != 422 {
			t.Errorf("blocked without a reason: %d", p.status)
		}
		day := db.Clock.Now().AddDate(0, 0, 10).Format(time.DateOnly)
		v.post("/tokens/"+id.String()+"/block", "reason", "publié par erreur", "at", day, "replace", "yes").says("remplacé par", "Blocage prévu")
		v.get("/requests/api_entreprise/1").says("Blocage prévu", "Actif", "Reçue le", "datapass.example/demandes/1")
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM tokens WHERE blocked_at = 0 AND block_at = 0"); n != "1" {
			t.Errorf("%s tokens to go on with", n)
		}
		v.get("/tokens").saysNot("jamais utilisé")
	})
}

// The pages of figures and of the purge say what there is.
func TestFiguresAndPurge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		v.get("/statistics").is(200, "/statistics", "Demandes par semaine", "Rien à compter")
		o.send("approve", 1, "Marchés")
		o.send("create", 2, "Brouillon abandonné")
		o.send("archive", 2, "Brouillon abandonné")
		v.get("/requests") // reads what changed
		v.get("/statistics").says("API Entreprise", "entreprises", "50 % validées")
		v.get("/statistics?provider=none").says("Rien à compter")
		v.get("/purge").says("Brouillon abandonné", "1 demande sans jeton").saysNot("Marchés")
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM requests WHERE purged_at <> 0"); n != "0" {
			t.Error("looking at the purge purged")
		}
	})
}

// No address is a fault of ours, on either database. What is no text never comes
// so far: see cmd/guichet/testdata/hostile.txtar.
func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		token := o.send("approve", 1, "Marchés")
		v := o.operator("nora@guichet.example")
		for _, value := range []string{"zzzzzzzzzzzzzzzzz", "-1y2p0ij32e8e8", "%27%3B--", "1.2.3", strings.Repeat("z", 9000)} {
			for _, name := range []string{"q", "provider", "status", "scope", "siret", "email", "from", "to", "archived", "order", "before", "number", "effect", "open", "show", "subject", "state"} {
				for _, path := range []string{"/requests?order=changed&", "/requests?", "/requests.csv?", "/journal?", "/journal.jsonl?", "/tokens?", "/alerts?", "/statistics?"} {
					if p := v.get(path + name + "=" + value); p.status >= 500 {
						t.Errorf("%s%s=%.20s: %d", path, name, value, p.status)
					}
				}
			}
			if p := v.post("/tokens/"+token.String()+"/block", "reason", "\x00\xff", "at", value); p.status >= 500 {
				t.Errorf("a reason that is no text: %d", p.status)
			}
			for _, path := range []string{"/journal/", "/requests/api_entreprise/", "/requests/x/", "/transmission/", "/compte/jetons/"} {
				if p := v.get(path + value); p.status >= 500 {
					t.Errorf("%s%.20s: %d", path, value, p.status)
				}
			}
		}
	})
}

// What people wrote at the source is text on every page, whatever it looks like.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	o := newOffice(t, db)
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>' \u202e {{.}} ${x} javascript:alert(1)`
	id := o.send("approve", 1, hostile)
	o.send("revoke", 1, hostile)
	o.send("approve", 1, hostile)
	o.send("<script>alert(1)</script>", 2, hostile)
	v, owner := o.operator("nora@guichet.example"), o.visitor(applicant)
	held := v.get("/journal?open=yes").delivery()
	for _, p := range []*seen{
		v.get("/requests"), v.get("/requests?q=%3Cscript%3Ealert(1)%3C/script%3E"), v.get("/requests/api_entreprise/1"), v.get("/journal"), v.get(held), v.get("/alerts?show=all"),
		v.get("/tokens"), v.get("/tokens/" + id.String()), v.get("/statistics"), v.get("/"), owner.get("/compte"), owner.get("/compte/jetons/" + id.String()),
	} {
		if p.status != 200 || strings.Contains(p.body, "<script>alert") || strings.Contains(p.body, "<img src=x") {
			t.Errorf("%s: %d, or markup of somebody else", p.url, p.status)
		}
	}
	v.get("/requests/api_entreprise/1").says(`<script>alert(1)</script>`)
}
