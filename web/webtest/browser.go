// Package webtest looks at pages as people do: in a real browser, at a width, in
// a theme and a language. It serves tests only.
//
// Nothing here skips. A machine without Chromium or without node_modules cannot
// tell whether the pages are right, and says so by failing.
package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take, all that is done with it included, before
// its test gives up: a busy machine is no failure.
const patience = 2 * time.Minute

// A Browser is one Chromium, headless, with a profile of its own. It ends with
// its test, or with the tests of a package that has it from Main.
type Browser struct {
	ctx context.Context
	axe string
}

// shared is the browser of all tests of a package whose TestMain calls Main.
var shared struct {
	sync.Mutex
	wanted  bool
	browser *Browser
	end     []func()
}

// Main runs the tests of a package with many that look at pages: one browser serves
// them all, from the first that starts one. What they must not share, cookies and all
// else that a site can leave, is each tab's own.
func Main(m *testing.M) (code int) {
	shared.wanted = true
	code = m.Run()
	for _, end := range slices.Backward(shared.end) {
		end()
	}
	return code
}

// Start starts Chromium, when it is not there yet, and reads axe-core.
func Start(t testing.TB) *Browser {
	t.Helper()
	if !shared.wanted {
		return start(t, t.TempDir(), t.Cleanup)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.browser == nil {
		profile, err := os.MkdirTemp("", "guichet-browser-") //nolint:usetesting // it outlives the test that happens to be first
		if err != nil {
			t.Fatal(err)
		}
		atEnd := func(end func()) { shared.end = append(shared.end, end) }
		atEnd(func() { _ = os.RemoveAll(profile) })
		shared.browser = start(t, profile, atEnd)
	}
	return shared.browser
}

func start(t testing.TB, profile string, atEnd func(func())) *Browser {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join(Root(t), "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is missing: run npm ci --prefix web (%v)", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.UserDataDir(profile),
		chromedp.NoSandbox, // the tests may run as root in a container, and visit only their own pages
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("process-per-site", true), // a process for each tab took a tenth more of the processor
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	atEnd(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	atEnd(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &Browser{ctx: ctx, axe: string(axe)}
}

// chromium prefers the build that has no window: what it shows is the same, for half
// of the processor.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{
		"chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is missing: install it, for example with apt-get install chromium")
	return ""
}

// Root is the folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the current folder")
		}
		dir = filepath.Dir(dir)
	}
}

// A Look is how a page is looked at.
type Look struct {
	URL           string
	Width, Height int64  // 1440 by 900 when zero
	Theme         string // light or dark
	Lang          string // fr or en
	Cookies       map[string]string
}

// A Page is one page open in a tab of its own, with cookies of its own.
type Page struct {
	Ctx    context.Context // for chromedp.Do and chromedp.Run
	tab    context.Context
	t      testing.TB
	axe    string
	width  int64
	cancel context.CancelFunc

	mu       sync.Mutex
	problems []string
	seen     map[string]bool // marks that the console has shown
	wake     *sync.Cond
	marks    int
}

// Open opens a page in a tab of its own and waits until it is drawn. Motion is
// reduced, so that two looks at one page are the same.
func (b *Browser) Open(t testing.TB, look Look) *Page {
	t.Helper()
	p := b.Tab(t)
	p.Look(t, look)
	return p
}

// Tab opens a tab with nothing in it yet.
func (b *Browser) Tab(t testing.TB) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Page{Ctx: ctx, tab: ctx, t: t, axe: b.axe, cancel: cancel, seen: map[string]bool{}}
	p.wake = sync.NewCond(&p.mu)
	p.listen()
	return p
}

// Look opens a page in a tab, as if nothing had been there before: no cookies, no
// complaints of the console. What fails from now on fails t, the test of the tab or
// a part of it. To look again costs half of what a new tab costs.
func (p *Page) Look(t testing.TB, look Look) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	t.Cleanup(cancel)
	p.Ctx, p.t = ctx, t
	if look.Width == 0 {
		look.Width, look.Height = 1440, 900
	}
	if look.Height == 0 {
		look.Height = 900
	}
	if p.width != 0 { // something was there, and may have more to say
		p.Do(chromedp.Navigate("about:blank"))
		_ = p.Problems()
		p.mu.Lock()
		p.problems = nil
		p.mu.Unlock()
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		p.must(err, "cookies")
	}
	p.width = look.Width
	size := []chromedp.EmulateViewportOption{}
	if look.Width < 640 {
		size = append(size, chromedp.EmulateTouch, chromedp.EmulateMobile)
	}
	p.Do(chromedp.EmulateViewport(look.Width, look.Height, size...))
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: look.Theme},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	p.must(err, "media")
	cookies := map[string]string{"lang": look.Lang, "theme": look.Theme}
	for name, value := range look.Cookies {
		cookies[name] = value
	}
	for name, value := range cookies {
		if value != "" {
			_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: look.URL})
			p.must(err, "cookie")
		}
	}
	p.Do(chromedp.Navigate(look.URL))
	p.Settle()
}

// Close closes the tab before its test ends.
func (p *Page) Close() { p.cancel() }

// Do runs steps and fails the test when one cannot be done.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.must(chromedp.Do(p.Ctx, steps...), "step")
}

// Settle waits until two frames are drawn with nothing left to load.
func (p *Page) Settle() {
	p.t.Helper()
	_, err := chromedp.Run(p.Ctx, chromedp.Evaluate[bool](`(async () => {
		await document.fonts.ready;
		await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
		return document.readyState === "complete";
	})()`, chromedp.EvalAwaitPromise))
	p.must(err, "settle")
}

// Eval gives the value of an expression in a page.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.Ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	p.must(err, "evaluate "+expression)
	return v
}

// Problems lists what the console complained about so far: errors, uncaught
// exceptions, refusals of the content security policy.
func (p *Page) Problems() []string {
	p.t.Helper()
	// The console is read by another goroutine: wait until it has seen a mark
	// that we write now, so that nothing before it is missed.
	p.mu.Lock()
	p.marks++
	mark := fmt.Sprintf("webtest mark %d", p.marks)
	p.mu.Unlock()
	Eval[bool](p, fmt.Sprintf("console.debug(%q), true", mark))
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.seen[mark] {
		p.wake.Wait()
	}
	return append([]string(nil), p.problems...)
}

func (p *Page) listen() {
	messages := chromedp.Console(p.tab)
	go func() {
		for m, err := range messages {
			p.mu.Lock()
			switch {
			case err != nil:
				// The tab ended. Whoever waits for a mark would wait for ever.
				for i := range p.marks + 1 {
					p.seen[fmt.Sprintf("webtest mark %d", i)] = true
				}
			case strings.HasPrefix(m.Text, "webtest mark "):
				p.seen[m.Text] = true
			case m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning:
				p.problems = append(p.problems, fmt.Sprintf("%s: %s (%s:%d)", m.Type, m.Text, m.URL, m.Line+1))
			}
			p.wake.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// A Violation is one rule of accessibility that a page breaks.
type Violation struct {
	Rule, Help string
	Nodes      []string
}

// String is one line for the log of a test.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s\n\t%s", v.Rule, v.Help, strings.Join(v.Nodes, "\n\t"))
}

// Axe runs axe-core: the given rules, or else all of WCAG 2.2 A and AA and its
// best practices.
func (p *Page) Axe(rules ...string) []Violation {
	p.t.Helper()
	only, kind := []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}, "tag"
	if len(rules) > 0 {
		only, kind = rules, "rule"
	}
	values, err := json.Marshal(only)
	p.must(err, "axe")
	if !Eval[bool](p, `"axe" in window`) {
		Eval[bool](p, p.axe+";true")
	}
	text := Eval[string](p, fmt.Sprintf(`axe.run(document, {runOnly: {type: %q, values: %s}, resultTypes: ["violations"]})
		.then(found => JSON.stringify(found.violations.map(v => ({
			Rule: v.id, Help: v.help,
			Nodes: v.nodes.map(n => n.html.slice(0, 160) + "  " + (n.failureSummary ?? "").replace(/\s+/g, " "))
		}))))`, kind, values))
	var found []Violation
	p.must(json.Unmarshal([]byte(text), &found), "axe")
	return found
}

// Turn gives the page the other theme in place, as its own switch does.
func (p *Page) Turn(theme string) {
	p.t.Helper()
	Eval[bool](p, fmt.Sprintf(`document.documentElement.dataset.theme = %q, true`, theme))
	p.Settle()
}

// Overflow lists the elements that stick out of the window sideways; none when
// the page fits.
func (p *Page) Overflow() []string {
	p.t.Helper()
	text := Eval[string](p, fmt.Sprintf(`(() => {
		const room = Math.min(document.documentElement.clientWidth, %d);
		const wide = document.documentElement.scrollWidth;
		if (wide <= room) return "[]";
		const fixed = e => e !== null && (getComputedStyle(e).position === "fixed" || fixed(e.parentElement));
		const out = [...document.body.querySelectorAll("*")].filter(e => {
			const box = e.getBoundingClientRect();
			return box.right > room + 1 && box.width > 0 && !fixed(e);
		});
		// Text that never breaks sticks out of a box that does not.
		if (out.length === 0) return JSON.stringify(["some text: the page is " + wide + " wide"]);
		return JSON.stringify(out.slice(0, 8).map(e => e.outerHTML.slice(0, 120)));
	})()`, p.width))
	var out []string
	p.must(json.Unmarshal([]byte(text), &out), "overflow")
	return out
}

// Screenshot is the whole page as a PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	png, err := chromedp.Run(p.Ctx, chromedp.FullScreenshot(100))
	p.must(err, "screenshot")
	return png
}

// Window is what the window shows, as a PNG.
func (p *Page) Window() []byte {
	p.t.Helper()
	png, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	p.must(err, "screenshot")
	return png
}

func (p *Page) must(err error, what string) {
	if err != nil {
		p.t.Helper()
		if len(what) > 80 {
			what = what[:80] + "…"
		}
		p.t.Fatalf("%s: %v", what, err)
	}
}
