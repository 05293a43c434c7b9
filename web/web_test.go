package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"guichet"
	"guichet/web"
	"guichet/web/asset"
	"guichet/web/view"
	"guichet/web/webtest"
)

func TestMain(m *testing.M) { os.Exit(webtest.Main(m)) }

// serve answers one request behind everything a page has in front of it.
func serve(t *testing.T, r *http.Request, h http.HandlerFunc) *http.Response {
	t.Helper()
	clock := guichet.SystemClock()
	clock.Now = func() time.Time { return now }
	w := httptest.NewRecorder()
	web.SecurityHeaders(web.Viewers(clock, time.UTC, &asset.Set{}, h)).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHeaders(t *testing.T) {
	res := serve(t, httptest.NewRequest(http.MethodGet, "/nowhere", nil), web.NotFound)
	h := res.Header
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy lacks %s", want)
		}
	}
	for _, bad := range []string{"unsafe", "*", "http:"} {
		if strings.Contains(policy, bad) {
			t.Errorf("policy allows %s", bad)
		}
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin",
		"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
	} {
		if h.Get(name) != want {
			t.Errorf("%s is %q", name, h.Get(name))
		}
	}
	if res.StatusCode != http.StatusNotFound || !strings.Contains(body(t, res), "Il n’y a rien à cette adresse") {
		t.Errorf("status %d", res.StatusCode)
	}
}

// A page never has half an answer: what fails while it is drawn gives the error
// page, and its cause stays out of it.
func TestRenderIsWholeOrNothing(t *testing.T) {
	broken := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, "half a page"); err != nil {
			return err
		}
		return errors.New("password=hunter2")
	})
	res := serve(t, httptest.NewRequest(http.MethodGet, "/", nil), func(w http.ResponseWriter, r *http.Request) { web.Render(w, r, http.StatusOK, broken) })
	text := body(t, res)
	if res.StatusCode != http.StatusInternalServerError || strings.Contains(text, "half a page") || strings.Contains(text, "hunter2") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if !strings.Contains(text, "Rien n’a été perdu") || !strings.Contains(text, "</html>") {
		t.Error("the page does not say whether anything was lost")
	}
}

func TestFailTellsEachKind(t *testing.T) {
	for kind, status := range map[guichet.Kind]int{
		guichet.Invalid: 422, guichet.Unauthorized: 401, guichet.Forbidden: 403, guichet.NotFound: 404, guichet.Conflict: 409,
		guichet.Gone: 410, guichet.TooMany: 429, guichet.Unavailable: 503, guichet.Internal: 500,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", "en")
		res := serve(t, r, func(w http.ResponseWriter, r *http.Request) {
			web.Fail(w, r, &guichet.Error{Kind: kind, Code: "some_code", Reason: "r", Cause: errors.New("hunter2")})
		})
		text := body(t, res)
		if res.StatusCode != status || strings.Contains(text, "hunter2") || strings.Contains(text, "[fault.") || !strings.Contains(text, "<h1>") {
			t.Errorf("%s: %d %s", kind, res.StatusCode, text)
		}
	}
}

// What broke on our side can be tried again from where it broke, and what the page
// gives to quote stands in the log.
func TestFailIsFoundInTheLog(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	page := view.PathTokens
	fail := func(method string, err error) string {
		r := httptest.NewRequest(method, page, nil)
		r.Header.Set("Accept-Language", "en")
		return body(t, serve(t, r, func(w http.ResponseWriter, r *http.Request) { web.Fail(w, r, err) }))
	}
	page = view.PathTakeOver + "/a-link-that-opens"
	if fail(http.MethodGet, errors.New("x")); !strings.Contains(logged.String(), view.PathTakeOver) || strings.Contains(logged.String(), "opens") {
		t.Errorf("the log holds a link of hand-over: %s", logged.String())
	}
	page = view.PathTokens
	text := fail(http.MethodGet, errors.New("x"))
	quoted := regexp.MustCompile(`<code>(\w{8})</code>`).FindStringSubmatch(text)
	if quoted == nil || !strings.Contains(logged.String(), "reference="+quoted[1]) {
		t.Errorf("%q is not in the log: %s", quoted, logged.String())
	}
	if again := fail(http.MethodGet, errors.New("x")); quoted != nil && strings.Contains(again, quoted[1]) {
		t.Error("two errors have one reference")
	}
	if !strings.Contains(text, "Try again</a>") || strings.Contains(fail(http.MethodPost, errors.New("x")), "Try again</a>") {
		t.Error("a page can be asked for again, what was sent cannot")
	}
	if text := fail(http.MethodGet, guichet.ErrNoAlert); strings.Contains(text, "Try again</a>") || strings.Contains(text, "<code>") {
		t.Error("what is not there is no trouble of ours")
	}
}

// A part of a page gets a toast: a whole error page would land inside the page.
func TestFailAnswersAPartWithAPart(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("HX-Request", "true")
	frame := &view.Frame{Windows: view.Windows{Bank: true}}
	res := serve(t, r, func(w http.ResponseWriter, r *http.Request) { web.FailIn(w, r, frame, errors.New("x")) })
	text := body(t, res)
	if res.StatusCode != http.StatusInternalServerError || res.Header.Get("HX-Reswap") != "none" || strings.Contains(text, "<html") || !strings.Contains(text, `hx-target="#toasts"`) {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, text)
	}
	if !regexp.MustCompile(`<code>\w{8}</code>`).MatchString(text) {
		t.Errorf("trouble of ours has no reference to quote: %s", text)
	}
}

func TestViewers(t *testing.T) {
	for _, c := range []struct {
		cookies, accept string
		lang            string
		theme           view.Theme
	}{
		{"", "", "fr", view.Auto},
		{"", "en-GB", "en", view.Auto},
		{"lang=fr; theme=dark", "en", "fr", view.Dark},
		{"lang=xx; theme=\"><script>", "en", "en", view.Auto},
	} {
		r := httptest.NewRequest(http.MethodGet, "/a?b=c", nil)
		r.Header.Set("Cookie", c.cookies)
		r.Header.Set("Accept-Language", c.accept)
		serve(t, r, func(_ http.ResponseWriter, r *http.Request) {
			v := view.ViewerFrom(r.Context())
			if v.Words.Lang() != c.lang || v.Theme != c.theme || v.Path != "/a?b=c" || !v.Now.Equal(now) {
				t.Errorf("%+v gives %s, %s, %s", c, v.Words.Lang(), v.Theme, v.Path)
			}
		})
	}
}

func TestPreferences(t *testing.T) {
	post := func(cookies string, form url.Values) *http.Response {
		r := httptest.NewRequest(http.MethodPost, view.PathPreferences, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookies)
		return serve(t, r, web.Preferences)
	}
	set := func(res *http.Response) map[string]string {
		all := map[string]string{}
		for _, c := range res.Cookies() {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
				t.Errorf("cookie %+v", c)
			}
			all[c.Name] = c.Value
		}
		return all
	}
	res := post("", url.Values{"lang": {"en"}, "back": {"/accesses?x=1"}})
	if got := set(res); got["lang"] != "en" || len(got) != 1 || res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/accesses?x=1" {
		t.Errorf("%v %v", got, res.Header)
	}
	for before, after := range map[string]string{"": "light", "theme=light": "dark", "theme=dark": "auto"} {
		if got := set(post(before, url.Values{"theme": {"next"}})); got["theme"] != after {
			t.Errorf("after %q: %v", before, got)
		}
	}
	if got := set(post("", url.Values{"lang": {"de"}, "theme": {"purple"}})); got["lang"] != "" || got["theme"] != "auto" {
		t.Errorf("strange choices give %v", got)
	}
	if res := post("", url.Values{"lang": {strings.Repeat("x", 10<<10)}}); res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a long form gives %d", res.StatusCode)
	}
}

// A form cannot send somebody away from this server.
func TestLocal(t *testing.T) {
	for address, want := range map[string]string{
		"/accesses": "/accesses", "/a?b=/c": "/a?b=/c", "": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/",
		"javascript:x": "/", "accesses": "/", "/\t/evil.example": "/", "/a\r\nSet-Cookie: x": "/",
	} {
		if got := web.Local(address); got != want {
			t.Errorf("Local(%q) = %q, want %q", address, got, want)
		}
	}
}
