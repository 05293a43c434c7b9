package web_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"guichet"
	"guichet/grant"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

// tab goes forward with the keyboard until what has the focus is what is looked
// for: `e` in the expression. What cannot be reached so fails the test, and so does
// what has the focus and does not show it.
func tab(t *testing.T, p *webtest.Page, what string) {
	t.Helper()
	for range 150 {
		p.Do(key(kb.Tab))
		if webtest.Eval[bool](p, `(() => { const e = document.activeElement; return !!(`+what+`) })()`) {
			if !webtest.Eval[bool](p, `[[document.activeElement], [document.activeElement, "::after"], [document.activeElement.closest("tr") ?? document.activeElement]].some(
				([e, part]) => { const s = getComputedStyle(e, part); return s.outlineStyle !== "none" || s.boxShadow !== "none" }) && document.activeElement.matches(":focus-visible")`) {
				t.Errorf("the focus is not seen on %s", what)
			}
			return
		}
	}
	t.Fatalf("Tab does not reach %s at %s", what, webtest.Eval[string](p, `location.href + " " + document.body.innerText.slice(0, 400)`))
}

// opener is a button that opens the question before a deed.
func opener(deed string) string {
	return `e.matches("button[commandfor]") && document.getElementById(e.getAttribute("commandfor"))?.querySelector("form")?.action.endsWith("` + deed + `")`
}

const (
	reasonField = `e.name === "reason" && e.closest("dialog[open]")`
	sureButton  = `e.closest("dialog[open]") && e.matches("button:not([type=button])")`
)

func says(text string) string { return `document.body.innerText.includes("` + text + `")` }

// The main task of each page of the back office, with the keyboard alone.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	o := newOffice(t, db)
	v := o.operator("nora@guichet.example")
	first := o.send("approve", 1, "Marchés publics")
	second := o.send("approve", 2, "Aides sociales")
	o.send("archive", 2, "Aides sociales") // an alert
	o.early(3)
	count := func(query string) string {
		return db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + query)
	}
	b := webtest.Start(t)
	for name, task := range map[string]func(*testing.T){
		"revoke a request": func(t *testing.T) {
			p := v.look(b, "/requests", 1440, "light")
			tab(t, p, `e.matches("a") && e.pathname === "/requests/api_entreprise/1"`)
			p.Do(key(kb.Enter))
			until(t, p, `location.pathname === "/requests/api_entreprise/1" && `+says("Marchés publics"))
			tab(t, p, opener("/revoke"))
			p.Do(key(kb.Enter))
			until(t, p, `document.querySelector("dialog[open]")?.contains(document.activeElement)`)
			p.Do(key(kb.Escape)) // set aside: nothing happened, and the focus is where it was
			until(t, p, `!document.querySelector("dialog[open]") && (e => `+opener("/revoke")+`)(document.activeElement)`)
			p.Do(key(kb.Enter))
			until(t, p, `!!document.querySelector("dialog[open]")`)
			tab(t, p, reasonField)
			p.Do(chromedp.KeyEvent("   "))
			tab(t, p, sureButton)
			p.Do(key(kb.Enter)) // blanks say nothing: the question stays open, at the field
			until(t, p, `(e => `+reasonField+` && e.matches(":invalid") && e.title === "Dites pourquoi\u00a0: d’autres le liront.")(document.activeElement)`)
			if n := count("tokens WHERE blocked_at <> 0"); n != "0" {
				t.Errorf("%s tokens blocked by blanks", n)
			}
			p.Do(chromedp.KeyEvent("fin de la convention"))
			tab(t, p, sureButton)
			p.Do(key(kb.Enter))
			until(t, p, says("Habilitation révoquée"))
			if n := count("tokens WHERE blocked_at <> 0 AND id = '" + first.String() + "'"); n != "1" {
				t.Error("the token lives")
			}
		},
		"block a token": func(t *testing.T) {
			p := v.look(b, "/tokens", 1440, "light")
			tab(t, p, `e.matches("a") && e.pathname === "/tokens/`+second.String()+`"`)
			p.Do(key(kb.Enter))
			until(t, p, `location.pathname === "/tokens/`+second.String()+`" && !!document.querySelector("h1 code")`)
			tab(t, p, opener("/block"))
			p.Do(key(kb.Enter))
			until(t, p, `!!document.querySelector("dialog[open]")`)
			tab(t, p, reasonField)
			p.Do(chromedp.KeyEvent("publié"))
			if !webtest.Eval[bool](p, `(e => { e.value = "2020-01-01"; const past = e.validity.rangeUnderflow; e.value = ""; return past && e.validity.valid })(document.querySelector("dialog[open] [name=at]"))`) {
				t.Error("the question can be answered with a day that is past")
			}
			tab(t, p, sureButton)
			p.Do(key(kb.Enter))
			until(t, p, says("bloqué."))
			if n := count("tokens WHERE blocked_at <> 0 AND id = '" + second.String() + "'"); n != "1" {
				t.Error("the token lives")
			}
		},
		"acknowledge an alert": func(t *testing.T) {
			p := v.look(b, "/alerts", 1440, "light")
			tab(t, p, `e.matches("button") && e.form?.action.endsWith("/acknowledge")`)
			p.Do(key(kb.Enter))
			until(t, p, says("vue"))
			if n := count("alerts WHERE acknowledged_at <> 0"); n == "0" {
				t.Error("no alert was acknowledged")
			}
		},
		"replay what is in quarantine": func(t *testing.T) {
			p := v.look(b, "/journal?open=yes", 1440, "light")
			tab(t, p, `e.matches("a") && /^.journal.[0-9a-f-]{36}$/.test(e.pathname)`)
			p.Do(key(kb.Enter))
			until(t, p, `location.pathname.length > 20`)
			tab(t, p, `e.matches("button") && e.form?.action.endsWith("/replay")`)
			p.Do(key(kb.Enter))
			until(t, p, says("rejoué"))
			if n := count("audit_entries WHERE deed = 'delivery.replayed'"); n != "1" {
				t.Errorf("%s replays", n)
			}
		},
	} {
		t.Run(name, task)
	}
}

// early sends a delivery from the future, which is usable by the time it returns.
func (o *office) early(id int) {
	o.t.Helper()
	body := fmt.Sprintf(`{"event":"approve","fired_at":%d,"model_id":%d,"data":{"applicant":{"email":%q}}}`, o.db.Clock.Now().Add(12*time.Minute).Unix(), id, applicant)
	if _, err := o.desk.Receive(o.t.Context(), "api_entreprise", grant.V2, []byte(body)); err != nil {
		o.t.Fatal(err)
	}
	o.db.Clock.Advance(5 * time.Minute)
}

// How a token is used is on its pages and in the file, for those who see the token.
func TestUsageOnPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		id := o.send("approve", 1, "Marchés")
		nora, claire := o.operator("nora@guichet.example"), o.visitor(applicant)
		page, own := "/tokens/"+id.String(), "/compte/jetons/"+id.String()
		nora.get(page).says("jamais utilisé").saysNot("Appels sur 30 jours")
		gateways := &grant.Gateways{Store: db.Gateways(), List: db.Grant(), Clock: db.Clock.Clock()}
		now := db.Clock.Now()
		for i, n := range []int64{1234, 5} {
			end := now.AddDate(0, 0, -i)
			if _, err := gateways.TakeUsage(t.Context(), grant.Gateway{}, grant.UsageReport{ID: string(rune('a' + i)), From: end.Add(-time.Minute), To: end, Uses: map[guichet.ID]int64{id: n}}); err != nil {
				t.Fatal(err)
			}
		}
		for v, path := range map[*visitor]string{nora: page, claire: own} {
			v.get(path).says("Dernier usage", "Appels sur 30 jours", "1 239", "1 234").saysNot("jamais utilisé")
		}
		nora.get("/requests/api_entreprise/1").says("Dernier usage")
		if p := nora.get("/requests.csv"); p.status != http.StatusOK || !strings.Contains(p.body, "last_used_at") || !strings.Contains(p.body, now.UTC().Format("2006-01-02T15:04")) {
			t.Errorf("the file does not tell the last use: %s", p.body)
		}
		o.visitor(business).get("/compte").saysNot("Dernier usage")
	})
}

// pausing lets a test stand still in the middle of a verification.
type pausing struct {
	grant.Store
	begun, goOn chan struct{}
}

func (p pausing) VerifyJournal(ctx context.Context, report func(grant.Break), progress func(done, of int64)) (int64, error) {
	return p.Store.VerifyJournal(ctx, report, func(done, of int64) {
		progress(done, of)
		if done == 3 {
			close(p.begun)
			<-p.goOn
		}
	})
}

// A verification tells how far it is, and stops when somebody says so.
func TestVerificationCanBeStopped(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		for id := range 10 {
			o.send("create", 1+id, "Marchés")
		}
		p := pausing{o.desk.Store, make(chan struct{}), make(chan struct{})}
		o.desk.Store = p
		v := o.operator("nora@guichet.example")
		v.post("/journal/verify").is(200, "/journal")
		<-p.begun
		v.get("/journal").says("3 envois vérifiés", "/ 10", "Arrêter la vérification")
		v.post("/journal/verify/stop").is(200, "/journal")
		close(p.goOn)
		for strings.Contains(v.get("/journal").body, "<progress") {
			<-time.After(5 * time.Millisecond)
		}
		v.get("/journal").says("Vérification arrêtée à 3 envois sur 10").saysNot("Journal intact", "n’a pas pu aller")
		o.desk.Store = p.Store
		v.post("/journal/verify")
		for strings.Contains(v.get("/journal").body, "<progress") {
			<-time.After(5 * time.Millisecond)
		}
		v.get("/journal").says("Journal intact, 10 envois vérifiés")
	})
}
