package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	simbank "guichet/sim/bank"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

// look opens a page of the house in a real browser, as the visitor.
func (v *visitor) look(b *webtest.Browser, address string, width int64, theme string) *webtest.Page {
	v.t.Helper()
	cookies := map[string]string{}
	for _, c := range v.client.Jar.Cookies(v.get("/").url) {
		cookies[c.Name] = c.Value
	}
	height := int64(900)
	if width == 360 {
		height = 740
	}
	return b.Open(v.t, webtest.Look{URL: v.web.URL + address, Width: width, Height: height, Theme: theme, Lang: "fr", Cookies: cookies})
}

// until waits for something of a page, through as many other pages as come.
func until(t *testing.T, p *webtest.Page, expression string) {
	t.Helper()
	var err error
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		if _, err = chromedp.Run(p.Ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(10*time.Second))); err == nil {
			return
		}
		if p.Ctx.Err() != nil || strings.Contains(err.Error(), "waiting function failed") {
			break
		}
	}
	here, _ := chromedp.Run(p.Ctx, chromedp.Evaluate[string](`location.href + " " + document.body.innerText.slice(0, 600)`))
	t.Fatalf("never true: %s (%v) at %s", expression, err, here)
}

// click waits for an element and clicks on it.
func click(t *testing.T, p *webtest.Page, css string) {
	t.Helper()
	until(t, p, `document.querySelector("`+css+`")?.checkVisibility() === true`)
	p.Do(chromedp.Click(chromedp.CSS(css)))
}

func typeInto(t *testing.T, p *webtest.Page, css, text string) {
	t.Helper()
	until(t, p, `document.querySelector("`+css+`")?.checkVisibility() === true`)
	p.Do(chromedp.SendKeys(chromedp.CSS(css), text))
}

// fine looks hard at a page as it is now.
func fine(t *testing.T, p *webtest.Page, name string) {
	t.Helper()
	p.Settle()
	shoot(t, p, "bank-"+name)
	accessible(t, p)
	for _, e := range p.Overflow() {
		t.Error(name, " sticks out: ", e)
	}
}

func size(width int64) string {
	if width == 360 {
		return "-phone"
	}
	return "-wide"
}

const codeField = "[name='fields.code']"

// A first access with a code, from the first page to the operations, through the
// pages of the real house before the real simulated bank.
func TestFirstAccessInABrowser(t *testing.T) {
	b := webtest.Start(t)
	for width, theme := range map[int64]string{360: "dark", 1440: "light"} {
		h := newHouse(t, storetest.New(t, "sqlite"))
		v := h.visitor("a@example.org")
		p := v.look(b, "/", width, theme)
		fine(t, p, "home-empty"+size(width))
		click(t, p, ".empty a.primary")
		until(t, p, `location.pathname === "/init/new-bank"`)
		fine(t, p, "choose"+size(width))
		click(t, p, ".choices a")
		typeInto(t, p, "[name='fields.login']", "otp")
		typeInto(t, p, "[name='fields.password']", bankPassword)
		fine(t, p, "form"+size(width))
		click(t, p, ".decide button.primary")

		until(t, p, `location.pathname === "/init/new-bank/enter-new-fields" && document.querySelector("`+codeField+`") !== null`)
		expect(t, p, `document.activeElement.name === "fields.code" && document.activeElement.autocomplete === "one-time-code" && document.activeElement.inputMode === "numeric"`)
		expect(t, p, `document.querySelector(".countdown").textContent.includes("min")`)
		fine(t, p, "question"+size(width))
		p.Do(chromedp.Reload())
		until(t, p, `location.pathname === "/init/new-bank/enter-new-fields" && document.activeElement?.name === "fields.code"`)

		typeInto(t, p, codeField, wrongCode)
		p.Do(key(kb.Enter))
		until(t, p, `document.querySelector(".question .error")?.textContent.includes("Code refusé") === true`)
		expect(t, p, `document.activeElement.name === "fields.code" && document.activeElement.value === "" && document.activeElement.getAttribute("aria-invalid") === "true"`)
		fine(t, p, "question-wrong"+size(width))
		typeInto(t, p, codeField, rightCode)
		p.Do(key(kb.Enter))
		until(t, p, `location.pathname === "/accounts" && document.querySelector(".accounts") !== null`)
		expect(t, p, `document.querySelector("#toasts").textContent.includes("ouvert")`)
		fine(t, p, "accounts"+size(width))
		for path, name := range map[string]string{"/transactions": "operations", "/accesses": "accesses", "/": "home"} {
			p.Do(chromedp.Navigate(v.web.URL + path))
			fine(t, p, name+size(width))
		}
		p.Do(chromedp.Navigate(v.web.URL + "/accesses/" + v.cases()[0].Access.ID.String()))
		fine(t, p, "access"+size(width))
		p.Do(chromedp.Navigate(v.web.URL + v.get("/transactions").link("Compte courant")))
		fine(t, p, "operations-account"+size(width))
		if n := h.site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesTried != 2 {
			t.Errorf("the bank saw %+v", n)
		}
	}
}

// A question that the bank asks while one is on another page comes over it, keeps
// the focus, survives a reload and can be set aside.
func TestQuestionComesOverThePage(t *testing.T) {
	b := webtest.Start(t)
	for width, theme := range map[int64]string{360: "light", 1440: "dark"} {
		h := newHouse(t, storetest.New(t, "sqlite"))
		v := h.visitor("a@example.org")
		v.opened("otp")
		h.forget()
		p := v.look(b, "/transactions", width, theme)
		// Begun elsewhere: on a phone, in another tab.
		v.post("/accesses/" + v.cases()[0].Access.ID.String() + "/refresh")
		until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
		expect(t, p, `document.activeElement.name === "fields.code" && location.pathname === "/transactions" && location.search.startsWith("?question=")`)
		for range 12 { // the focus may leave for the browser, never for the page below
			p.Do(key(kb.Tab))
			expect(t, p, `document.activeElement === document.body || document.activeElement.closest("dialog") !== null`)
		}
		fine(t, p, "dialog"+size(width))
		p.Do(chromedp.Reload())
		until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true && document.activeElement?.name === "fields.code"`)
		p.Do(key(kb.Escape))
		until(t, p, `!document.querySelector("#question-dialog").open && location.search === ""`)
		p.Do(chromedp.Reload())
		p.Settle()
		expect(t, p, `document.querySelector("#question-dialog") === null`)
		expect(t, p, `document.querySelector(".rail .waits")?.textContent.includes("1")`)

		p.Do(chromedp.Navigate(v.web.URL + "/accesses"))
		fine(t, p, "accesses-waiting"+size(width))
		click(t, p, ".line a.primary")
		until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true`)
		typeInto(t, p, codeField, rightCode)
		p.Do(key(kb.Enter))
		until(t, p, `location.pathname === "/accesses" && location.search === "" && document.querySelector("#toasts").textContent.includes("nouvelle")`)
		expect(t, p, `document.querySelector("#accesses").textContent.includes("à jour")`)
		fine(t, p, "accesses-done"+size(width))
	}
}

// A second access: abandoning it asks first, Escape included, and then all of it
// goes; the first is as it was.
func TestAbandonInABrowser(t *testing.T) {
	h := newHouse(t, storetest.New(t, "sqlite"))
	v := h.visitor("a@example.org")
	v.opened("simple")
	p := v.look(webtest.Start(t), "/init/new-bank?institution=sim", 1440, "light")
	typeInto(t, p, "[name='fields.login']", "otp")
	typeInto(t, p, "[name='fields.password']", bankPassword)
	p.Do(key(kb.Enter))
	until(t, p, `location.pathname === "/accesses" && document.querySelector("#question-dialog")?.matches(":modal") === true`)
	p.Do(key(kb.Escape))
	until(t, p, `document.querySelector(".question [id^='give-up-']")?.open === true`)
	expect(t, p, `document.activeElement.hasAttribute("data-closes")`)
	fine(t, p, "abandon")
	p.Do(key(kb.Escape))
	until(t, p, `!document.querySelector(".question [id^='give-up-']").open && document.querySelector("#question-dialog").open`)
	click(t, p, ".question [data-opens]")
	click(t, p, ".question [id^='give-up-'] .danger")
	until(t, p, `location.pathname === "/accesses" && document.querySelector("#toasts").textContent.includes("Tout est effacé")`)
	expect(t, p, `document.querySelectorAll(".line").length === 1`)
	fine(t, p, "abandoned")
	if h.count("accesses") != "1" {
		t.Errorf("%s accesses", h.count("accesses"))
	}
}

// A validation in the application, and a bank that takes its time: nothing to
// press, the page goes on by itself.
func TestPageGoesOnByItself(t *testing.T) {
	db := storetest.New(t, "sqlite")
	h := newHurriedHouse(t, db, 100*time.Millisecond)
	if err := h.site.AddFaults(simbank.Fault{PathPrefix: "/login", Kind: simbank.FaultSlow, Seconds: 3, Times: 1}); err != nil {
		t.Fatal(err)
	}
	v := h.visitor("a@example.org")
	p := v.look(webtest.Start(t), "/init/new-bank?institution=sim", 360, "light")
	typeInto(t, p, "[name='fields.login']", "app")
	typeInto(t, p, "[name='fields.password']", bankPassword)
	p.Do(key(kb.Enter))
	until(t, p, `document.querySelector(".question")?.textContent.includes("Connexion à") === true`)
	fine(t, p, "connecting")
	until(t, p, `document.querySelector(".question").textContent.includes("Ouvrez l’application")`)
	fine(t, p, "app")
	db.Clock.Advance(4 * time.Second)
	until(t, p, `location.pathname === "/accounts"`)
	fine(t, p, "app-done")
}

// Somebody answers on a phone while the list is open on a desk: the list moves.
func TestListMoves(t *testing.T) {
	h := newHouse(t, storetest.New(t, "sqlite"))
	v := h.visitor("a@example.org")
	v.opened("simple")
	v.open("otp")
	p := v.look(webtest.Start(t), "/accesses", 1440, "light")
	expect(t, p, `document.querySelector("#accesses").textContent.includes("attend votre code")`)
	v.get("/accesses?question="+v.cases()[1].Attempt.ID.String()).submit("/answer", "fields.code", rightCode)
	until(t, p, `!document.querySelector("#accesses").textContent.includes("attend votre code") && document.querySelectorAll("#accesses .good.shape, #accesses .shape.good, #accesses .word.good").length >= 2`)
	if problems := p.Problems(); len(problems) > 0 {
		t.Error(problems)
	}
}

// Without our script every step is there: the question over the page, the answer,
// and the way out that asks first.
func TestWithoutScript(t *testing.T) {
	h := newHouse(t, storetest.New(t, "sqlite"))
	v := h.visitor("a@example.org")
	v.opened("simple")
	v.open("otp")
	p := v.look(webtest.Start(t), "/settings", 1440, "light")
	if _, err := chromedp.Call(p.Ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: []*network.BlockPattern{{URLPattern: v.web.URL + "/assets/*.js", Block: true}}}); err != nil {
		t.Fatal(err)
	}
	p.Do(chromedp.Navigate(v.web.URL + "/accesses?question=" + v.cases()[1].Attempt.ID.String()))
	shoot(t, p, "bank-without-script")
	p.Do(chromedp.Click(chromedp.CSS(".question [data-opens]")))
	shoot(t, p, "bank-without-script-abandon")
	p.Do(chromedp.Click(chromedp.CSS(".question [id^='give-up-'] [data-closes]")))
	p.Do(chromedp.SendKeys(chromedp.CSS(codeField), rightCode))
	if _, err := chromedp.RunResponse(p.Ctx, chromedp.Click(chromedp.CSS(".question button.primary"))); err != nil {
		t.Fatal(err)
	}
	v.moved(v.cases()[1].Attempt.ID)
	if n := h.site.Counters("otp"); n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
	if got := v.get("/accesses"); got.status != http.StatusOK || strings.Contains(got.words(), "attend votre code") {
		t.Error(got.words())
	}
}
