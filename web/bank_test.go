package web_test

import (
	"testing"
	"time"

	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// A login that the bank lets in at once: from the form to the accounts.
func TestOpenWithoutQuestion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		v := newHouse(t, db).visitor("a@example.org")
		v.get("/").says("Aucun accès pour l’instant", "Ouvrir un premier accès")
		v.get("/init/new-bank").is(200, "/init/new-bank", "Bienvenue", "Banque des Tests", "simulée")
		p := v.eventually(v.open("simple"), "/accounts")
		p.is(200, "/accounts", "ouvert", "Banque des Tests", "à jour")
		v.get("/transactions").says("Tous les comptes", "Entrées", "Sorties")
		v.get("/").says("Rien ne vous attend", "Accès à jour", "1 sur 1")
		v.get("/accesses").says("à jour", "prochaine relève").saysNot("Répondre")
	})
}

// U1 with a question: the page has an address of its own that says nothing, and
// the question is the same after a reload, in another browser, and after the
// server died. The bank sent one code.
func TestOpenWithCode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		first := v.open("otp").is(200, "/init/new-bank/enter-new-fields", "Banque des Tests demande une confirmation", "SMS", "reste")
		action, _ := first.form("/answer")
		v.get(first.url.RequestURI()).is(200, "/init/new-bank/enter-new-fields").form(action)
		h.browser(v.me).get(first.url.RequestURI()).is(200, "/init/new-bank/enter-new-fields").form(action)
		v.get("/accesses").says("attend votre code", "Reprendre", "Abandonner et effacer")
		v.get("/").says("1 chose vous attend")

		h.crash()
		again := v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank/enter-new-fields")
		again.form(action)
		p := v.eventually(again.submit("/answer", "fields.code", rightCode), "/accounts")
		p.says("ouvert", "à jour")
		if n := h.site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesTried != 1 {
			t.Errorf("the bank saw %+v", n)
		}
		v.get("/accesses").says("reconnu par la banque jusqu’au")
	})
}

// A wrong code is not a wrong password: the question stays, with a try left.
func TestWrongCodeThenRight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		v := newHouse(t, db).visitor("a@example.org")
		p := v.open("otp").submit("/answer", "fields.code", wrongCode)
		p.is(200, "/init/new-bank/enter-new-fields", "Code refusé", "il reste 1 essai")
		v.eventually(p.submit("/answer", "fields.code", rightCode), "/accounts")
	})
}

// What does not even look like a code costs no try, and says so at its field.
func TestMisspeltCodeCostsNothing(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	v := h.visitor("a@example.org")
	p := v.open("otp").submit("/answer", "fields.code", "12")
	if p.status != 422 {
		t.Errorf("status %d", p.status)
	}
	p.says("Ce n’est pas la forme attendue")
	v.eventually(p.submit("/answer", "fields.code", rightCode), "/accounts")
	if n := h.site.Counters("otp"); n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// Cancelling a creation erases it, here and for the connector.
func TestCancelCreation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		v.open("otp").submit("/cancel").is(200, "/init/new-bank", "abandonnée. Tout est effacé.", "Bienvenue")
		h.nothingLeft()
		v.get("/accesses").says("Ouvrir un premier accès").saysNot("n’a pas été ouvert")
		v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank", "Bienvenue")
	})
}

// Too late: the question says so and leads to the form, with bank and login kept.
func TestQuestionExpires(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		p := v.open("otp")
		db.Clock.Advance(6 * time.Minute)
		late := p.submit("/answer", "fields.code", rightCode)
		late.is(200, "/init/new-bank", "le délai pour répondre est passé", "L’accès n’a pas été ouvert")
		if _, values := late.form("/init/new-bank"); values.Get("fields.login") != "otp" || values.Get("fields.password") != "" {
			t.Errorf("the form keeps %v", values)
		}
		h.nothingLeft()
		// A reload of the question's own address leads there too.
		v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank", "le délai pour répondre est passé")
		v.get("/accesses").says("n’a pas été ouvert", "Corriger")
	})
}

// Whoever reloads the question too late is told the same.
func TestReloadAfterExpiry(t *testing.T) {
	db := storetest.New(t, "sqlite")
	v := newHouse(t, db).visitor("a@example.org")
	v.open("otp")
	db.Clock.Advance(6 * time.Minute)
	v.get("/init/new-bank/enter-new-fields").is(200, "/init/new-bank", "le délai pour répondre est passé")
	v.nothingLeft()
}

// A refused login goes back to the form with what is not secret, and why.
func TestRefusedLogin(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v := h.visitor("a@example.org")
		p := v.get("/init/new-bank?institution=sim").submit("/init/new-bank", "fields.login", "wrongpass", "fields.password", bankPassword, "label", "Compte joint")
		p = v.eventually(p, "/init/new-bank")
		p.says("l’identifiant ou le mot de passe est refusé", "Rien n’a été gardé", "Refusé par la banque")
		_, values := p.form("/init/new-bank")
		if values.Get("fields.login") != "wrongpass" || values.Get("label") != "Compte joint" || values.Get("institution") != "sim" || values.Get("fields.password") != "" {
			t.Errorf("the form keeps %v", values)
		}
		h.nothingLeft()
	})
}

// Two tabs: one answer goes to the bank, the other tab is told.
func TestSecondTab(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHurriedHouse(t, db, 100*time.Millisecond)
		v := h.visitor("a@example.org")
		v.open("otp")
		v.moved(v.cases()[0].Attempt.ID)
		one := v.get("/init/new-bank/enter-new-fields")
		two := v.get(one.url.RequestURI())
		if err := h.site.AddFaults(simbank.Fault{PathPrefix: "/otp", Method: "POST", Kind: simbank.FaultSlow, Seconds: 3, Times: 1}); err != nil {
			t.Fatal(err)
		}
		one.submit("/answer", "fields.code", rightCode).says("La banque vérifie votre réponse")
		lost := two.submit("/answer", "fields.code", wrongCode)
		if lost.status != 409 {
			t.Errorf("the second tab got %d", lost.status)
		}
		lost.says("Une réponse est déjà partie d’une autre page")
		v.eventually(one, "/accounts")
		if n := h.site.Counters("otp"); n.CodesTried != 1 || n.CodesWrong != 0 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}

// The same form sent twice is one answer.
func TestDoubleClick(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	v := h.visitor("a@example.org")
	one := v.open("otp")
	one.submit("/answer", "fields.code", wrongCode)
	one.submit("/answer", "fields.code", wrongCode)
	if n := h.site.Counters("otp"); n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}
