package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"guichet/bank"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// forget makes the bank ask again, as when a browser lost its cookies.
func (h *house) forget() { h.db.SQL("UPDATE accesses SET session = ''") }

// A refresh from a device that the bank trusts asks nothing.
func TestRefreshAsksNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.opened("otp")
		p := v.get("/accesses").submit("/refresh")
		if !strings.Contains(p.words(), "relevé, ") { // the bank takes longer than the answer waits for it
			v.moved(v.cases()[0].Attempt.ID)
			p = v.get("/attempts/" + v.cases()[0].Attempt.ID.String() + "/question")
		}
		p.is(200, "/accesses", "relevé, 0 nouvelle opération", "à jour")
		if n := h.site.Counters("otp"); n.Logins != 2 || n.CodesSent != 1 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}

// A refresh that asks: the question comes over the page one was on, at an address
// that brings it back, and the answer leads back to that page.
func TestRefreshAsksOverThePage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.opened("otp")
		before := h.count("transactions")
		h.forget()
		account := v.get("/transactions").link("Compte courant")
		p := v.get(account)
		_, values := p.form("/accounts/")
		if values.Get("back") != account {
			t.Fatalf("the form goes back to %q", values.Get("back"))
		}
		id := v.cases()[0].Access.ID.String()
		v.post("/accesses/"+id+"/refresh", "back", account)
		v.moved(v.cases()[0].Attempt.ID)
		over := account + "&question=" + v.cases()[0].Attempt.ID.String()
		p = v.get(over).is(200, "/transactions", "Banque des Tests demande une confirmation", "pour relever votre accès", "Arrêter la relève")
		action, _ := p.form("/answer")
		h.crash()
		again := v.get(over)
		again.form(action)
		// With our script the piece is replaced in place, and then the page is left.
		in := v.in(over)
		_, form := again.form("/answer")
		form.Set("fields.code", wrongCode)
		in.send(http.MethodPost, action, form).says("Code refusé").form("/answer")
		_, form = v.get(over).form("/answer")
		form.Set("fields.code", rightCode)
		if done := in.send(http.MethodPost, action, form); done.header.Get("HX-Redirect") == "" {
			v.moved(v.cases()[0].Attempt.ID)
			done = in.get("/attempts/" + v.cases()[0].Attempt.ID.String() + "/question")
			if got := done.header.Get("HX-Redirect"); got != account {
				t.Errorf("goes to %q, not to %q: %s", got, account, done.words())
			}
		} else if got := done.header.Get("HX-Redirect"); got != account {
			t.Errorf("goes to %q, not to %q", got, account)
		}
		v.get(account).says("relevé, 0 nouvelle opération").saysNot("demande une confirmation")
		if after := h.count("transactions"); after != before {
			t.Errorf("%s operations, %s before", after, before)
		}
		if n := h.site.Counters("otp"); n.CodesSent != 2 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}

// Stopping a refresh changes nothing of what was there; the access then waits for
// its person, and the start page says so.
func TestStopRefresh(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.opened("otp")
		accounts, operations := h.count("accounts"), h.count("transactions")
		h.forget()
		v.get("/accesses").submit("/refresh")
		c := v.moved(v.cases()[0].Attempt.ID)
		v.get("/accesses?question="+c.Attempt.ID.String()).submit("/cancel").is(200, "/accesses", "arrêtée. Rien n’a changé.", "en pause")
		v.get("/").says("1 chose vous attend", "en pause")
		if h.count("accounts") != accounts || h.count("transactions") != operations {
			t.Error("something changed")
		}
	})
}

// Another access is opened over the pages of the first; abandoning it touches
// nothing else.
func TestSecondAccess(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.opened("simple")
		accounts := h.count("accounts")
		p := v.open("otp").is(200, "/accesses", "demande une confirmation", "pour ouvrir votre accès")
		if p.url.Query().Get("question") == "" {
			t.Error("the question is not in the address")
		}
		v.get("/init/new-bank/enter-new-fields").is(200, "/accesses", "demande une confirmation")
		p.submit("/cancel").is(200, "/accesses", "abandonnée. Tout est effacé.")
		if h.count("accounts") != accounts || h.count("accesses") != "1" {
			t.Error("something of the first access changed, or the second is still there")
		}
		v.eventually(v.open("otp2").submit("/answer", "fields.code", rightCode), "/accounts")
	})
}

// A creation that was left: it is offered again, to be resumed or discarded.
func TestUnfinishedIsOfferedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.open("otp")
		h.crash()
		list := v.get("/accesses").says("attend votre code")
		v.get(list.link("Reprendre")).is(200, "/init/new-bank/enter-new-fields", "demande une confirmation")
		id := v.cases()[0].Access.ID.String()
		v.post("/accesses/"+id+"/resume").is(200, "/init/new-bank/enter-new-fields", "demande une confirmation")
		v.post("/accesses/"+id+"/discard").is(200, "/accesses", "Ouverture abandonnée. Tout est effacé.")
		h.nothingLeft()

		v.open("otp")
		id = v.cases()[0].Access.ID.String()
		db.Clock.Advance(6 * time.Minute)
		v.post("/accesses/"+id+"/resume").is(200, "/init/new-bank", "le délai pour répondre est passé")
		h.nothingLeft()
	})
}

// The seed's literal rule: the page that the form leads to shows the question,
// any page load after it removes the creation.
func TestUnfinishedIsDiscarded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		h.discard = true
		h.crash()
		v := h.visitor("a@example.org")
		p := v.open("otp").is(200, "/init/new-bank/enter-new-fields", "demande une confirmation")
		p.submit("/answer", "fields.code", wrongCode).is(200, "/init/new-bank/enter-new-fields", "Code refusé")
		// Pieces of the page are not a page load.
		v.in("/init/new-bank/enter-new-fields").get("/attempts/" + v.cases()[0].Attempt.ID.String() + "/question").says("demande une confirmation")
		v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank")
		h.nothingLeft()
		v.eventually(v.open("otp").submit("/answer", "fields.code", rightCode), "/accounts")
	})
}

// Credentials that are not to be kept serve once. They are asked for at each
// refresh, and a mistake in them is told at its field.
func TestLentCredentials(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		action, form := v.get("/init/new-bank?institution=sim").form("/init/new-bank")
		form.Del("store_credentials")
		form.Set("fields.login", "wrongpass")
		form.Set("fields.password", bankPassword)
		refused := v.eventually(v.send(http.MethodPost, action, form), "/init/new-bank")
		if _, again := refused.form("/init/new-bank"); again.Has("store_credentials") {
			t.Error("the box ticked itself")
		}
		v.eventually(refused.submit("/init/new-bank", "fields.login", "simple", "fields.password", bankPassword), "/accounts")
		if n := db.Value("SELECT CAST(SUM(LENGTH(credentials)) AS TEXT) FROM accesses"); n != "0" {
			t.Error("the credentials are still there")
		}
		p := v.get(v.get("/accesses").link("Relever")).says("Vos identifiants, pour cette relève", "sont effacés")
		p.submit("/refresh", "fields.login", "simple").says("La banque en a besoin")
		done := p.submit("/refresh", "fields.login", "simple", "fields.password", bankPassword)
		v.moved(v.cases()[0].Attempt.ID)
		v.get(done.url.Path).says("à jour")
		if c := v.cases()[0]; c.Attempt.State != bank.AttemptSucceeded || c.Access.Credentials != nil {
			t.Errorf("%s, credentials kept: %v", c.Attempt.State, c.Access.Credentials != nil)
		}
	})
}

// The bank sends people back to us after they agreed on its own site.
func TestRedirect(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		for decision, path := range map[string]string{"autoriser": "/accounts", "refuser": "/init/new-bank"} {
			v := h.visitor(decision + "@example.org")
			p := v.open("redirect-"+decision).is(200, "/init/new-bank/enter-new-fields", "sur son propre site", "La banque vous ramènera ici")
			at := p.link("Aller sur le site de la banque")
			if !strings.HasPrefix(at, h.sim) {
				t.Fatalf("leads to %s", at)
			}
			// The bank's page, in the same browser: it sends the browser back.
			action, form := v.get(at).form("/authorize")
			form.Set("decision", decision)
			p = v.send(http.MethodPost, h.sim+action, form)
			if p.url.Host != strings.TrimPrefix(v.web.URL, "http://") {
				t.Fatalf("the bank led to %s", p.url)
			}
			end := v.eventually(p, path)
			if decision == "refuser" {
				end.says("l’accord a été refusé")
			}
		}
		if n := h.site.Counters("redirect-autoriser"); n.RedirectsDone != 1 || n.Logins != 1 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}

// A bank that shows only a code: it is pasted.
func TestRedirectPasted(t *testing.T) {
	db := storetest.New(t, "sqlite")
	v := newHouse(t, db).visitor("a@example.org")
	p := v.open("redirect").submit("/answer", "fields.url", "not-the-code")
	p.is(200, "/init/new-bank", "la banque a refusé la réponse") // one try: the code of a bank works once
}

// The picture of a bank is shown to whom it is for; nobody else gets it.
func TestCaptcha(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v, other := h.visitor("a@example.org"), h.visitor("b@example.org")
		p := v.open("captcha").is(200, "/init/new-bank/enter-new-fields", "recopier une image")
		action, _ := p.form("/answer")
		picture := strings.TrimSuffix(action, "/answer") + "/picture"
		got := v.get(picture)
		if got.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(got.body, "\x89PNG") || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%d %v", got.status, got.header)
		}
		if other.get(picture).status != http.StatusNotFound {
			t.Error("somebody else's picture")
		}
		v.eventually(p.submit("/answer", "fields.digits", h.site.CaptchaAnswer("captcha")), "/accounts")
	})
}

// A validation in the application needs no button: the page follows it, and the
// code that comes after it.
func TestApplicationThenCode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		p := v.open("app-otp").is(200, "/init/new-bank/enter-new-fields", "Ouvrez l’application", "En attente de votre accord")
		if p.has("/answer") {
			t.Error("there is something to answer")
		}
		v.get("/accesses").says("attend votre accord dans l’application")
		db.Clock.Advance(4 * time.Second)
		v.moved(v.cases()[0].Attempt.ID)
		in := v.in("/init/new-bank/enter-new-fields")
		in.get("/attempts/" + v.cases()[0].Attempt.ID.String() + "/question").says("Un code a été envoyé par SMS")
		p = v.get("/init/new-bank/enter-new-fields").says("Un code a été envoyé par SMS")
		v.eventually(p.submit("/answer", "fields.code", rightCode), "/accounts")
	})
}

// A question that was answered on a phone leaves the desk by itself; one that is
// as it was is left alone, because somebody may be typing.
func TestQuestionAnsweredElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		desk := h.visitor("a@example.org")
		p := desk.open("otp")
		in := desk.in("/init/new-bank/enter-new-fields")
		status := p.statusURL()
		if got := in.get(status); got.status != http.StatusNoContent {
			t.Errorf("%d while nothing moved", got.status)
		}
		phone := h.browser(desk.me)
		asked := phone.get("/init/new-bank/enter-new-fields").submit("/answer", "fields.code", wrongCode)
		in.get(status).is(200, "/attempts/"+desk.cases()[0].Attempt.ID.String()+"/question", "Code refusé")
		phone.eventually(asked.submit("/answer", "fields.code", rightCode), "/accounts")
		if to := in.get(status).header.Get("HX-Redirect"); to != "/accounts" {
			t.Errorf("the desk is led to %q", to)
		}
		desk.post("/accesses/" + desk.cases()[0].Access.ID.String() + "/delete")
		if got := in.get(status); got.status != http.StatusNotFound || got.header.Get("HX-Refresh") != "true" {
			t.Errorf("%d %v when it is gone", got.status, got.header)
		}
	})
}

// statusURL is where the question of a page asks how it stands.
func (p *seen) statusURL() string {
	p.v.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "class") == "question" {
			return attribute(n, "hx-get")
		}
	}
	p.v.t.Fatal("no question")
	return ""
}

// Starting again after the deadline: a creation is typed again but for what is no
// secret, a refresh just begins anew.
func TestRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		p := v.open("otp")
		db.Clock.Advance(6 * time.Minute)
		p.submit("/restart").is(200, "/init/new-bank", "le délai pour répondre est passé")
		v.opened("otp")
		h.forget()
		v.get("/accesses").submit("/refresh")
		first := v.moved(v.cases()[0].Attempt.ID)
		p = v.get("/accesses?question=" + first.Attempt.ID.String())
		db.Clock.Advance(6 * time.Minute)
		p.submit("/restart")
		second := v.moved(v.cases()[0].Attempt.ID)
		if second.Attempt.ID == first.Attempt.ID || second.Attempt.State != bank.AttemptWaiting {
			t.Errorf("%s after %s", second.Attempt.State, first.Attempt.State)
		}
		v.get("/accesses?question="+second.Attempt.ID.String()).is(200, "/accesses", "demande une confirmation")
	})
}

// Two persons with one login at one bank: the second is told to wait, with the
// form as it was.
func TestLoginBusy(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	h.visitor("a@example.org").open("otp")
	p := h.visitor("b@example.org").open("otp")
	if p.status != http.StatusConflict {
		t.Errorf("status %d", p.status)
	}
	p.says("Une autre relève est en cours avec cet identifiant")
	if _, values := p.form("/init/new-bank"); values.Get("fields.login") != "otp" {
		t.Errorf("the form keeps %v", values)
	}
}

// Another code is sent when it is asked for, and the old question with it.
func TestResend(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	v := h.visitor("a@example.org")
	p := v.open("otp")
	old, _ := p.form("/answer")
	p.submit("/resend")
	v.moved(v.cases()[0].Attempt.ID)
	p = v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank/enter-new-fields", "demande une confirmation")
	if fresh, _ := p.form("/answer"); fresh == old {
		t.Error("it is the same question")
	}
	if n := h.site.Counters("otp"); n.CodesSent != 2 || n.Resends != 1 {
		t.Errorf("the bank saw %+v", n)
	}
	v.eventually(p.submit("/answer", "fields.code", rightCode), "/accounts")
}

// A bank that fails during a refresh: nothing is lost, the line says why and
// when it will be tried again.
func TestOutage(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	v := h.visitor("a@example.org")
	v.opened("simple")
	if err := h.site.AddFaults(simbank.Fault{PathPrefix: "/", Kind: simbank.FaultUnavailable}); err != nil {
		t.Fatal(err)
	}
	v.get("/accesses").submit("/refresh")
	v.moved(v.cases()[0].Attempt.ID)
	v.get("/accesses").says("en attente de la banque", "la banque ne répond pas", "nouvel essai dans")
	v.get("/accounts").says("Compte courant")
}
