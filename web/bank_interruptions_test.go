package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"guichet/store/storetest"
	"guichet/web/webtest"
)

// What interrupts people, seen in a real browser: each that shows, by its name. The
// cells that show nothing more are in api.TestMatrix and api.TestInterruptions.
func TestInterruptionsInABrowser(t *testing.T) {
	b := webtest.Start(t)
	for name, play := range map[string]func(t *testing.T, s *browsing){
		"U1 I1 code too late":       tooLateInABrowser,
		"U1 I3c browser died":       browserDiedInABrowser,
		"U1 I3s server died":        serverDiedInABrowser,
		"U5 balance of one account": balanceInABrowser,
		"two tabs":                  twoTabsInABrowser,
		"double click":              doubleClickInABrowser,
		"captcha image":             captchaInABrowser,
		"redirect":                  redirectInABrowser,
		"app then code":             appThenCodeInABrowser,
		"choice, two tabs":          choiceInTwoTabs,
		"choice of the app":         choiceOfApp,
		"choice at an outage":       choiceAtAnOutage,
		"cancel a refresh":          cancelRefreshInABrowser,
		"outage while waiting":      outageInABrowser,
		"resend":                    resendInABrowser,
		"concurrent on one access":  oneAccessInABrowser,
		"concurrent on one login":   oneLoginInABrowser,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, storetest.New(t, "sqlite"))
			h.t = t
			play(t, &browsing{house: h, visitor: h.visitor("a@example.org"), browser: b})
		})
	}
}

// browsing is a person at a browser, before a house of their own.
type browsing struct {
	*house
	visitor *visitor
	browser *webtest.Browser
}

// opening types the form of a first access and waits for what the bank asks.
func (s *browsing) opening(t *testing.T, login string) *webtest.Page {
	t.Helper()
	p := s.visitor.look(s.browser, "/init/new-bank?institution=sim", 1440, "light")
	typeInto(t, p, "[name='fields.login']", login)
	typeInto(t, p, "[name='fields.password']", bankPassword)
	p.Do(key(kb.Enter))
	until(t, p, `location.pathname === "/init/new-bank/enter-new-fields" && document.querySelector(".question") !== null`)
	return p
}

// codeIn types the right code and waits for the accounts.
func codeIn(t *testing.T, p *webtest.Page) {
	t.Helper()
	typeInto(t, p, codeField, rightCode)
	p.Do(key(kb.Enter))
	until(t, p, `location.pathname === "/accounts" && document.querySelector(".accounts") !== null`)
}

func tooLateInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "otp")
	s.db.Clock.Advance(6 * time.Minute)
	typeInto(t, p, codeField, rightCode)
	p.Do(key(kb.Enter))
	until(t, p, `document.querySelector(".question").textContent.includes("Le délai de la banque est passé")`)
	// The browser itself notes in its console that the answer was 410.
	for _, v := range p.Axe() {
		t.Errorf("%+v", v)
	}
	click(t, p, "form[action$='/restart'] button")
	until(t, p, `location.pathname === "/init/new-bank" && document.querySelector("[name='fields.login']") !== null`)
	expect(t, p, `document.querySelector("[name='fields.login']").value === "otp" && document.querySelector("[name='fields.password']").value === ""`)
	s.nothingLeft()
	if n := s.site.Counters("otp"); n.CodesTried != 0 {
		t.Errorf("the bank saw %+v", n)
	}
}

func browserDiedInABrowser(t *testing.T, s *browsing) {
	s.opening(t, "otp").Close()
	p := s.visitor.look(s.browser, "/", 360, "dark")
	until(t, p, `document.body.textContent.includes("attend votre code")`)
	p.Do(chromedp.Navigate(s.web.URL + "/init/new-bank/enter-new-fields"))
	codeIn(t, p)
}

func serverDiedInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "otp")
	s.crash()
	p.Do(chromedp.Navigate(s.web.URL + "/init/new-bank/enter-new-fields"))
	codeIn(t, p)
	if n := s.site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func balanceInABrowser(t *testing.T, s *browsing) {
	s.visitor.opened("otp")
	s.forget()
	before := s.count("transactions")
	account := s.visitor.get("/transactions").link("Compte courant")
	p := s.visitor.look(s.browser, account, 1440, "light")
	click(t, p, "form[action^='/accounts/'] button")
	until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
	typeInto(t, p, codeField, rightCode)
	p.Do(key(kb.Enter))
	until(t, p, `document.querySelector("#question-dialog") === null && location.pathname === "/transactions" && document.querySelector("#toasts").textContent !== ""`)
	if after := s.count("transactions"); after != before {
		t.Errorf("%s operations, %s before", after, before)
	}
}

// twoTabsInABrowser: what one tab does, the other shows by itself.
func twoTabsInABrowser(t *testing.T, s *browsing) {
	one := s.opening(t, "otp")
	two := s.visitor.look(s.browser, "/init/new-bank/enter-new-fields", 360, "light")
	until(t, two, `document.querySelector("`+codeField+`") !== null`)
	codeIn(t, one)
	until(t, two, `location.pathname === "/accounts"`)
	if n := s.site.Counters("otp"); n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func doubleClickInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "otp")
	typeInto(t, p, codeField, rightCode)
	p.Do(chromedp.DoubleClick(chromedp.CSS(".question button.primary")))
	until(t, p, `location.pathname === "/accounts" && document.querySelector(".accounts") !== null`)
	if n := s.site.Counters("otp"); n.CodesTried != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func captchaInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "captcha")
	until(t, p, `document.querySelector("img.picture")?.naturalWidth === 200`)
	fine(t, p, "captcha")
	typeInto(t, p, "[name='fields.digits']", s.site.CaptchaAnswer("captcha"))
	p.Do(key(kb.Enter))
	until(t, p, `location.pathname === "/accounts"`)
}

func redirectInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "redirect")
	bank, err := url.Parse(s.sim)
	if err != nil {
		t.Fatal(err)
	}
	click(t, p, ".question a.primary")
	until(t, p, `location.host === "`+bank.Host+`"`)
	click(t, p, "button[value='autoriser']")
	until(t, p, `location.pathname === "/accounts" && location.host === "`+strings.TrimPrefix(s.web.URL, "http://")+`"`)
	if n := s.site.Counters("redirect"); n.RedirectsDone != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func appThenCodeInABrowser(t *testing.T, s *browsing) {
	p := s.opening(t, "app-otp")
	until(t, p, `document.querySelector(".question").textContent.includes("Ouvrez l’application")`)
	s.db.Clock.Advance(4 * time.Second)
	codeIn(t, p)
}
