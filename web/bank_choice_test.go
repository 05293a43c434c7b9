package web_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	simbank "guichet/sim/bank"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

const (
	ways   = "[name='fields.way']"
	chosen = `document.querySelector("` + ways + `:checked")?.value`
)

// A bank that offers several ways to confirm, with the keyboard alone: nothing is
// ticked and nothing is sent before the person does, and then what they chose is
// sent once, through a reload of each question and a server that dies between
// the two.
func TestChoiceInABrowser(t *testing.T) {
	b := webtest.Start(t)
	for width, theme := range map[int64]string{360: "dark", 1440: "light"} {
		t.Run(size(width)[1:], func(t *testing.T) {
			h := newHouse(t, storetest.New(t, "sqlite"))
			v := h.visitor("a@example.org")
			p := v.look(b, "/init/new-bank?institution=sim", width, theme)
			typeInto(t, p, "[name='fields.login']", "choice")
			typeInto(t, p, "[name='fields.password']", bankPassword)
			p.Do(key(kb.Enter))
			for range 2 { // as it is asked, and after a reload
				until(t, p, `location.pathname === "/init/new-bank/enter-new-fields" && document.activeElement?.name === "fields.way"`)
				expect(t, p, `document.querySelectorAll("`+ways+`").length === 3 && `+chosen+` === undefined`)
				p.Do(chromedp.Reload())
			}
			until(t, p, `document.activeElement?.name === "fields.way"`)
			expect(t, p, `[...document.querySelectorAll("fieldset.pick label")].every((l) => l.offsetHeight >= 44)`)
			fine(t, p, "choice"+size(width))
			p.Do(key(kb.Enter)) // with nothing ticked, the browser asks to tick one
			expect(t, p, `document.querySelector(".question form:invalid") !== null`)
			if n := h.site.Counters("choice"); n.CodesSent != 0 || n.AppAsked != 0 || n.Choices != 0 {
				t.Errorf("before the choice the bank saw %+v", n)
			}

			p.Do(key(" "))
			expect(t, p, chosen+` === "sms"`)
			p.Do(key(kb.ArrowDown))
			expect(t, p, chosen+` === "app"`)
			p.Do(key(kb.ArrowDown))
			expect(t, p, chosen+` === "mail" && document.activeElement.value === "mail"`)
			fine(t, p, "choice-ticked"+size(width))
			p.Do(key(kb.Enter))
			until(t, p, `document.activeElement?.name === "fields.code"`)
			expect(t, p, `document.querySelector(".question").textContent.includes("envoyé par courriel à") && document.querySelector("`+ways+`") === null`)
			fine(t, p, "choice-code"+size(width))
			p.Do(chromedp.Reload())
			until(t, p, `document.activeElement?.name === "fields.code"`)
			h.crash()
			p.Do(chromedp.Navigate(v.web.URL + "/init/new-bank/enter-new-fields"))
			codeIn(t, p)
			if n := h.site.Counters("choice"); n.Logins != 1 || n.Choices != 1 || n.CodesSent != 1 || n.CodesMailed != 1 || n.CodesTried != 1 || n.AppAsked != 0 {
				t.Errorf("the bank saw %+v", n)
			}
		})
	}
}

// The choice of a refresh comes over the page; what one tab chooses, the other
// shows by itself, and goes on from there.
func choiceInTwoTabs(t *testing.T, s *browsing) {
	v := s.visitor
	v.open("choice").submit("/answer", "fields.way", "sms")
	v.moved(v.cases()[0].Attempt.ID)
	v.eventually(v.get("/init/new-bank/enter-new-fields").submit("/answer", "fields.code", rightCode), "/accounts")
	s.forget()
	s.site.Reset()
	v.post("/accesses/" + v.cases()[0].Access.ID.String() + "/refresh")
	over := "/transactions?question=" + v.moved(v.cases()[0].Attempt.ID).Attempt.ID.String()
	one, two := v.look(s.browser, over, 1440, "dark"), v.look(s.browser, over, 360, "light")
	for _, p := range []*webtest.Page{one, two} {
		until(t, p, `document.querySelector("#question-dialog")?.matches(":modal") === true && document.activeElement?.name === "fields.way"`)
		for range 8 { // the focus may leave for the browser, never for the page below
			p.Do(key(kb.Tab))
			expect(t, p, `document.activeElement === document.body || document.activeElement.closest("dialog") !== null`)
		}
	}
	fine(t, one, "choice-dialog-wide")
	fine(t, two, "choice-dialog-phone")
	click(t, one, ways+"[value='sms']")
	click(t, one, ".question button.primary")
	for _, p := range []*webtest.Page{one, two} {
		until(t, p, `document.querySelector("`+codeField+`") !== null && document.querySelector("`+ways+`") === null`)
	}
	typeInto(t, two, codeField, rightCode)
	two.Do(key(kb.Enter))
	for _, p := range []*webtest.Page{one, two} {
		until(t, p, `document.querySelector("#question-dialog") === null && location.pathname === "/transactions"`)
	}
	if n := s.site.Counters("choice"); n.Choices != 1 || n.CodesSent != 1 || n.AppAsked != 0 || n.CodesTried != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// choiceOfApp: nothing more to do here; the page goes on by itself.
func choiceOfApp(t *testing.T, s *browsing) {
	p := s.opening(t, "choice")
	click(t, p, ways+"[value='app']")
	p.Do(chromedp.DoubleClick(chromedp.CSS(".question button.primary")))
	until(t, p, `document.querySelector(".question")?.textContent.includes("Ouvrez l’application") === true`)
	p.Do(chromedp.Reload())
	until(t, p, `document.querySelector(".question")?.textContent.includes("Ouvrez l’application") === true`)
	s.db.Clock.Advance(4 * time.Second)
	until(t, p, `location.pathname === "/accounts"`)
	if n := s.site.Counters("choice"); n.Choices != 1 || n.AppAsked != 1 || n.CodesSent != 0 {
		t.Errorf("the bank saw %+v", n)
	}
}

// choiceAtAnOutage: the choice stands again, in words of a choice, and the bank
// had taken it: what it sent is what is asked about.
func choiceAtAnOutage(t *testing.T, s *browsing) {
	p := s.opening(t, "choice")
	if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/otp", Kind: simbank.FaultUnavailable}); err != nil {
		t.Fatal(err)
	}
	click(t, p, ways+"[value='sms']")
	click(t, p, ".question button.primary")
	until(t, p, `document.querySelector(".question .error")?.textContent.includes("choisissez à nouveau") === true`)
	until(t, p, `document.activeElement?.name === "fields.way" && `+chosen+` === undefined`) // the focus comes after the page has settled
	expect(t, p, `document.querySelector("fieldset.pick").getAttribute("aria-describedby") === document.querySelector(".question .error").id`)
	fine(t, p, "choice-outage")
	s.site.ClearFaults()
	click(t, p, ways+"[value='app']")
	click(t, p, ".question button.primary")
	until(t, p, `document.querySelector(".question").textContent.includes("envoyé par SMS au")`)
	codeIn(t, p)
	if n := s.site.Counters("choice"); n.Choices != 1 || n.CodesSent != 1 || n.AppAsked != 0 {
		t.Errorf("the bank saw %+v", n)
	}
}
