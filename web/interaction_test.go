package web_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"guichet/web/webtest"
)

// shoot keeps what the window shows, for people to look at.
func shoot(t *testing.T, p *webtest.Page, name string) {
	t.Helper()
	if dir := os.Getenv("GUICHET_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "act-"+name+".png"), p.Window(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// accessible fails the test on a rule of accessibility broken or a console that
// complains, in the state the page is in now.
func accessible(t *testing.T, p *webtest.Page) {
	t.Helper()
	for _, problem := range p.Problems() {
		t.Error("console: ", problem)
	}
	for _, v := range p.Axe() {
		t.Error("axe: ", v)
	}
}

func key(k string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(k) }

// press is a key as a keyboard sends it: the letter comes with the key, so a page
// that takes the key takes the letter too. chromedp sends the two apart.
func press(k string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for _, e := range []input.DispatchKeyEventParams{{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k}, {Type: input.DispatchKeyEventTypeKeyUp, Key: k}} {
			if _, err := cdp.Call(ctx, tab, input.DispatchKeyEvent, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func wait(t *testing.T, p *webtest.Page, expression string) {
	t.Helper()
	if _, err := chromedp.Run(p.Ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(10*time.Second))); err != nil {
		t.Fatalf("never true: %s (%v)", expression, err)
	}
}

func expect(t *testing.T, p *webtest.Page, expression string) {
	t.Helper()
	if !webtest.Eval[bool](p, expression) {
		t.Errorf("false: %s", expression)
	}
}

// The question of a bank over a page: it has the focus, Escape sets it aside and
// takes it out of the address, and the page below is usable again.
func TestQuestionDialog(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/question-dialog?question=q1&keep=1", Theme: "light", Lang: "fr"})
	expect(t, p, `document.querySelector("#question-dialog").matches(":modal")`)
	expect(t, p, `document.activeElement.name === "fields.code"`)
	expect(t, p, `document.activeElement.autocomplete === "one-time-code" && document.activeElement.inputMode === "numeric"`)
	for range 12 { // the focus may leave for the browser, never for the page below
		p.Do(key(kb.Tab))
		expect(t, p, `document.activeElement === document.body || document.activeElement.closest("dialog") !== null`)
	}
	p.Do(key(kb.Escape))
	wait(t, p, `!document.querySelector("#question-dialog").open`)
	expect(t, p, `location.search === "?keep=1"`)
	accessible(t, p)
}

// A question whose abandonment deletes an access asks before it lets go.
func TestQuestionDialogOfCreationAsksBeforeItCloses(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/question-creation", Theme: "dark", Lang: "fr"})
	p.Do(key(kb.Escape))
	wait(t, p, `document.querySelector("#give-up-q1").open`)
	expect(t, p, `document.querySelector("#question-dialog").open`)
	expect(t, p, `document.activeElement.hasAttribute("data-closes")`)
	shoot(t, p, "give-up")
	accessible(t, p)
	p.Do(key(kb.Escape))
	wait(t, p, `!document.querySelector("#give-up-q1").open`)
	expect(t, p, `document.querySelector("#question-dialog").open`)
}

// The countdown goes on from the server's clock and ends the question; a button
// that waits is given back at its time.
func TestCountdown(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/question-short", Theme: "light", Lang: "fr"})
	if !webtest.Eval[bool](p, `fetch(location.href).then((r) => r.text()).then((text) => new DOMParser().parseFromString(text, "text/html").querySelector("[data-enabled-at]").disabled)`) {
		t.Error("the button does not wait on a page that is new")
	}
	// Whole seconds are counted, so it may be given back half of one early.
	expect(t, p, `(b => b.disabled || Date.parse(b.dataset.now) + performance.now() > Date.parse(b.dataset.enabledAt) - 500)(document.querySelector("[data-enabled-at]"))`)
	wait(t, p, `!document.querySelector("[data-enabled-at]").disabled`)
	expect(t, p, `!document.querySelector("[data-enabled-at]").textContent.includes("dans")`)
	wait(t, p, `document.querySelector(".question").hasAttribute("data-expired")`)
	expect(t, p, `document.querySelector(".question .expired").checkVisibility() && !document.querySelector(".question form input[name='fields.code']").checkVisibility()`)
	accessible(t, p)
}

// Lists are walked from the keyboard, and letters do what a row offers.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/operations", Theme: "light", Lang: "fr"})
	p.Do(key(kb.ArrowDown))
	expect(t, p, `document.activeElement.textContent === "SNCF Connect"`)
	p.Do(key("j"), key("j"))
	expect(t, p, `document.activeElement.textContent === "Boulangerie des Halles"`)
	p.Do(key("k"), key("x"))
	expect(t, p, `document.querySelector("[name=chosen][value='2']").checked`)
	expect(t, p, `document.querySelector(".bulk").checkVisibility() && document.querySelector("[data-chosen]").textContent === "1"`)
	shoot(t, p, "chosen")
	for range 30 {
		p.Do(key("j"))
	}
	expect(t, p, `document.activeElement.textContent === "Marché"`)
	p.Do(key("?"))
	wait(t, p, `document.querySelector("#keys").open`)
	shoot(t, p, "keys")
	accessible(t, p)
	p.Do(key(kb.Escape))
	wait(t, p, `!document.querySelector("#keys").open`)
	expect(t, p, `document.activeElement.textContent === "Marché"`) // given back
	p.Do(press("/"), chromedp.KeyEvent("j/x"))
	if got := webtest.Eval[string](p, `document.activeElement.name + "=" + document.activeElement.value`); got != "q=j/x" {
		t.Errorf("searched %s", got)
	}
}

// Single letters can be switched off; the arrows stay.
func TestLettersCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/operations", Theme: "light", Lang: "fr"})
	p.Do(key("?"), chromedp.Click(chromedp.CSS("[data-letters]")), key(kb.Escape))
	wait(t, p, `!document.querySelector("#keys").open`)
	p.Do(chromedp.Reload())
	p.Settle()
	p.Do(key("j"))
	expect(t, p, `document.activeElement === document.body`)
	p.Do(key(kb.ArrowDown))
	expect(t, p, `document.activeElement.textContent === "SNCF Connect"`)
}

// The theme turns at once and is remembered.
func TestThemeSwitch(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/overview", Theme: "light", Lang: "fr"})
	paper := `getComputedStyle(document.body.parentElement).backgroundColor`
	light := webtest.Eval[string](p, paper)
	p.Do(chromedp.Click(chromedp.CSS(".bar [data-theme-switch] button")))
	wait(t, p, `document.documentElement.dataset.theme === "dark"`)
	if dark := webtest.Eval[string](p, paper); dark == light {
		t.Errorf("the paper stays %s", dark)
	}
	expect(t, p, `document.querySelector(".bar [data-theme-switch] button").innerText.includes("sombre")`)
	wait(t, p, `fetch(location.href).then(r => r.text()).then(text => text.includes('data-theme="dark"'))`)
	p.Do(chromedp.Reload())
	p.Settle()
	expect(t, p, `document.documentElement.dataset.theme === "dark"`)
	accessible(t, p)
}

// The language changes and comes back to the same page.
func TestLanguageSwitch(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/accesses?a=1", Theme: "light", Lang: "fr"})
	if _, err := chromedp.RunResponse(p.Ctx, chromedp.Click(chromedp.CSS(".bar button[name=lang]"))); err != nil {
		t.Fatal(err)
	}
	expect(t, p, `document.documentElement.lang === "en" && location.search === "?a=1"`)
	if title := webtest.Eval[string](p, `document.title`); title != "Accesses · Guichet" {
		t.Errorf("title is %q", title)
	}
}

// A secret is masked until it is shown, and copies without being shown.
func TestSecret(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/token", Theme: "light", Lang: "fr"})
	expect(t, p, `document.querySelector("#jwt-value").type === "password"`)
	p.Do(chromedp.Click(chromedp.CSS("[data-copies]")))
	wait(t, p, `document.querySelector("[data-copies]").textContent.trim() === "Copié"`)
	expect(t, p, `document.querySelector("#jwt-value").type === "password"`)
	p.Do(chromedp.Click(chromedp.CSS("[data-reveals]")))
	expect(t, p, `document.querySelector("#jwt-value").type === "text" && document.querySelector("[data-reveals]").ariaPressed === "true"`)
	shoot(t, p, "secret")
	p.Do(chromedp.Click(chromedp.CSS(".actions [data-opens]")))
	wait(t, p, `document.querySelector("#block-5").open`)
	expect(t, p, `document.activeElement.hasAttribute("data-closes")`) // nothing is blocked by a habit of Enter
	shoot(t, p, "confirm")
	accessible(t, p)
	p.Do(key(kb.Escape))
	wait(t, p, `!document.querySelector("#block-5").open`)
	expect(t, p, `document.activeElement.dataset.opens === "#block-5"`)
}

// The menu opens, closes on Escape and gives the focus back; a toast goes away
// when told to.
func TestMenuAndToast(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	for _, width := range []int64{360, 1440} {
		p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/operations", Width: width, Theme: "light", Lang: "fr"})
		p.Do(chromedp.Click(chromedp.CSS(".menu summary")))
		wait(t, p, `document.querySelector(".menu").open`)
		if width == 360 {
			shoot(t, p, "menu-phone")
		} else {
			shoot(t, p, "menu")
		}
		accessible(t, p)
		p.Do(key(kb.Escape))
		expect(t, p, `!document.querySelector(".menu").open && document.activeElement.matches(".menu summary")`)
		p.Do(chromedp.Click(chromedp.CSS(".toast.trouble [data-dismisses]"))) // the other one goes by itself
		expect(t, p, `document.querySelector(".toast.trouble") === null`)
		webtest.Eval[bool](p, `(document.querySelector("[data-dismisses]")?.click(), true)`)
		expect(t, p, `document.querySelector(".toast") === null`)
	}
}

// Enough room to hit: 24 px with a mouse, 44 px with a finger.
func TestTargets(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Tab(t)
	for _, name := range []string{"overview", "accesses", "operations", "requests", "token", "settings", "question", "sign-in"} {
		for width, least := range map[int64]string{360: "44", 1440: "24"} {
			p.Look(t, webtest.Look{URL: s.URL + "/gallery/" + name, Width: width, Theme: "light", Lang: "fr"})
			small := webtest.Eval[string](p, `[...document.querySelectorAll("button, summary, input:not([type=hidden], [type=checkbox], [type=radio]), select, .rail a, .tabs a, .chips a, a.button")]
				.filter(e => e.checkVisibility() && e.getBoundingClientRect().height > 0)
				.filter(e => e.getBoundingClientRect().height < `+least+` - .5 || e.getBoundingClientRect().width < 24)
				.map(e => e.outerHTML.slice(0, 100)).join("\n")`)
			if strings.TrimSpace(small) != "" {
				t.Errorf("%s at %d px: under %s px:\n%s", name, width, least, small)
			}
		}
	}
}

// htmx runs under our policy: it swaps what the server answers, an error says so
// without landing in the page, and the stream extension is there.
func TestHtmx(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/question", Theme: "light", Lang: "fr"})
	expect(t, p, `window.htmx.version === "4.0.1"`)
	p.Do(chromedp.SendKeys(chromedp.CSS("[name='fields.code']"), "000000"), key(kb.Enter))
	wait(t, p, `document.querySelector(".question .progress") !== null`)  // the answer replaced the form
	wait(t, p, `document.querySelector("[name='fields.code']") !== null`) // and the page asked again by itself
	for _, problem := range p.Problems() {
		t.Error("console: ", problem)
	}
	webtest.Eval[bool](p, `htmx.ajax("GET", "/broken", {target: "#main"}).then(() => true)`)
	wait(t, p, `document.querySelector("#toasts .trouble") !== null`)
	expect(t, p, `document.querySelector("#main .question") !== null`)
	shoot(t, p, "trouble")
}

// A page whose form was sent is on its way out: it asks for nothing more, until
// one comes back to it.
func TestLeaving(t *testing.T) {
	t.Parallel()
	s := gallery(t)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/accesses-live", Theme: "light", Lang: "fr"})
	webtest.Eval[bool](p, `(() => { window.asked = 0; const fetch = window.fetch; window.fetch = (...a) => { window.asked++; return fetch(...a) }; return true })()`)
	ask := `htmx.ajax("GET", "/gallery/accesses-live", {source: "#accesses", target: "#accesses", swap: "none"}).then(() => window.asked)`
	submit := `document.body.dispatchEvent(new SubmitEvent("submit", {bubbles: true, cancelable: true}))`
	if webtest.Eval[int](p, ask) == 0 {
		t.Fatal("nothing was asked before the form was sent")
	}
	sent := webtest.Eval[int](p, `(() => { `+submit+`; return window.asked })()`) // at once: the page asks by itself too
	if n := webtest.Eval[int](p, ask); n != sent {
		t.Errorf("%d requests left a page that was being left", n-sent)
	}
	webtest.Eval[bool](p, `dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}))`)
	if n := webtest.Eval[int](p, ask); n <= sent {
		t.Error("nothing was asked after one came back")
	}
}

// The stream of the frame hurries what follows work, and the work is drawn again
// in place.
func TestStreamHurries(t *testing.T) {
	t.Parallel()
	changes := make(chan struct{}, 1)
	s := changing(t, changes)
	p := webtest.Start(t).Open(t, webtest.Look{URL: s.URL + "/gallery/accesses-live", Theme: "light", Lang: "fr"})
	webtest.Eval[bool](p, `document.body.addEventListener("changed", () => { window.heard = true }), true`)
	expect(t, p, `window.heard !== true`)
	changes <- struct{}{}
	wait(t, p, `window.heard === true`)
	wait(t, p, `document.querySelector("#progress-4").textContent.includes("Enregistrement")`)
	for _, problem := range p.Problems() {
		t.Error("console: ", problem)
	}
}
