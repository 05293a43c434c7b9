package web_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"guichet/bank"
	simbank "guichet/sim/bank"
)

// cancelRefreshInABrowser: stopping a refresh asks nothing, and loses nothing.
func cancelRefreshInABrowser(t *testing.T, s *browsing) {
	s.visitor.opened("otp")
	s.forget()
	before := s.count("transactions")
	p := s.visitor.look(s.browser, "/accesses", 1440, "light")
	click(t, p, "form[action$='/refresh'] button")
	until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
	click(t, p, ".question button[form^='cancel-']")
	until(t, p, `document.querySelector("#question-dialog") === null && document.querySelector("#toasts").textContent.includes("arrêtée")`)
	expect(t, p, `document.querySelectorAll("#accesses .line").length === 1`)
	if c := s.visitor.cases()[0]; c.Attempt.State != bank.AttemptCancelled || s.count("transactions") != before {
		t.Errorf("%s, %s operations, %s before", c.Attempt.State, s.count("transactions"), before)
	}
}

// outageInABrowser: the bank is down while a code is given. The question says so,
// counts no try, and takes the same code when the bank is back.
func outageInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "otp")
	if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/", Kind: simbank.FaultUnavailable}); err != nil {
		t.Fatal(err)
	}
	typeInto(t, p, codeField, rightCode)
	p.Do(key(kb.Enter))
	until(t, p, `document.querySelector(".question .error")?.textContent.includes("Cet essai ne compte pas") === true`)
	expect(t, p, `document.activeElement?.name === "fields.code"`)
	fine(t, p, "question-outage")
	s.site.ClearFaults()
	codeIn(t, p)
	if n := s.site.Counters("otp"); n.CodesTried != 1 || n.CodesSent != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// resendInABrowser: the button waits until a code has had the time to come.
func resendInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "otp")
	until(t, p, `document.querySelector("button[form^='resend-']")?.disabled === true`)
	s.db.Clock.Advance(31 * time.Second)
	p.Do(chromedp.Reload())
	until(t, p, `document.querySelector("button[form^='resend-']")?.disabled === false`)
	before := s.visitor.cases()[0].Challenge.ID
	click(t, p, "button[form^='resend-']")
	until(t, p, `document.querySelector(".question") !== null && document.querySelector(".question").id !== "question-`+before.String()+`" && document.querySelector("`+codeField+`") !== null`)
	expect(t, p, `document.querySelector("button[form^='resend-']").disabled === true`)
	codeIn(t, p)
	if n := s.site.Counters("otp"); n.CodesSent != 2 || n.Resends != 1 || n.CodesTried != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// oneAccessInABrowser: two tabs refresh one access. There is one attempt, one code,
// and both show its question.
func oneAccessInABrowser(t *testing.T, s *browsing) {
	s.visitor.opened("otp")
	s.forget()
	s.site.Reset()
	one, two := s.visitor.look(s.browser, "/accesses", 1440, "light"), s.visitor.look(s.browser, "/transactions", 1440, "light")
	click(t, one, "form[action$='/refresh'] button")
	until(t, one, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
	until(t, two, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
	attempt := s.visitor.cases()[0].Attempt.ID
	// What a tab that has not heard of it yet would still send.
	s.visitor.post("/accesses/" + s.visitor.cases()[0].Access.ID.String() + "/refresh")
	if c := s.visitor.cases()[0]; c.Attempt.ID != attempt {
		t.Error("there are two attempts")
	}
	typeInto(t, two, codeField, rightCode)
	two.Do(key(kb.Enter))
	until(t, two, `document.querySelector("#question-dialog") === null`)
	until(t, one, `document.querySelector("#question-dialog") === null && document.querySelector("#accesses").textContent.includes("à jour")`)
	if n := s.site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// oneLoginInABrowser: two persons with one login at one bank. The second is told
// to wait, with the form as it was, and may come back when the first is done.
func oneLoginInABrowser(t *testing.T, s *browsing) {
	first := s.opening(t, "otp")
	p := s.house.visitor("b@example.org").look(s.browser, "/init/new-bank?institution=sim", 360, "dark")
	typeInto(t, p, "[name='fields.login']", "otp")
	typeInto(t, p, "[name='fields.password']", bankPassword)
	p.Do(key(kb.Enter))
	until(t, p, `document.body.textContent.includes("Une autre relève est en cours avec cet identifiant")`)
	expect(t, p, `document.querySelector("[name='fields.login']").value === "otp" && document.querySelector("[name='fields.password']").value === ""`)
	for _, v := range p.Axe() { // the browser itself notes in its console that the answer was 409
		t.Errorf("%+v", v)
	}
	if n := s.site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 {
		t.Errorf("the bank saw %+v", n)
	}
	codeIn(t, first)
}
