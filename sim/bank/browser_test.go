package simbank

import (
	"crypto/rand"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"guichet"
)

// noon is when these tests happen, unless they move the bank's clock.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func clockAt(t time.Time) guichet.Clock {
	return guichet.Clock{Now: func() time.Time { return t }, Rand: rand.Reader}
}

// open starts a bank on a real socket.
func open(t *testing.T) (*Site, *httptest.Server) {
	t.Helper()
	site := New(clockAt(noon))
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return site, server
}

// A browser is a customer's: it keeps cookies and follows redirects.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
	page   string // the last body
	status int
	at     string // path of the last page
	header http.Header
}

func newBrowser(t *testing.T, server *httptest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, base: server.URL, client: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

func (b *browser) get(path string) *browser {
	b.t.Helper()
	response, err := b.client.Get(b.base + path)
	b.read(response, err)
	return b
}

// post sends a form the way the page shown has it: with its hidden token.
func (b *browser) post(path string, fields ...string) *browser {
	b.t.Helper()
	form := url.Values{"jeton": {b.hidden("jeton")}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	response, err := b.client.PostForm(b.base+path, form)
	b.read(response, err)
	return b
}

func (b *browser) read(response *http.Response, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("the bank did not answer: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatalf("the bank's answer was cut: %v", err)
	}
	b.page, b.status, b.at, b.header = string(body), response.StatusCode, response.Request.URL.Path, response.Header
	if b.status == http.StatusInternalServerError {
		b.t.Fatalf("%s: a template of the bank does not fit its data", b.at)
	}
	if strings.Contains(b.page, "_sim") || strings.Contains(b.page, " data-") {
		b.t.Fatalf("%s: a customer's page shows the side door or a hook for programs", b.at)
	}
}

// hidden reads a hidden field of the page shown; "" when it has none.
func (b *browser) hidden(name string) string {
	m := regexp.MustCompile(`type="hidden" name="` + name + `" value="([^"]*)"`).FindStringSubmatch(b.page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// logIn leaves, then goes through the login form with a password that is right.
func (b *browser) logIn(login string) *browser {
	b.t.Helper()
	return b.get("/logout").get("/login").post("/login", "identifiant", login, "secret", "sésame")
}

func (b *browser) wantAt(path string) *browser {
	b.t.Helper()
	if b.at != path {
		b.t.Fatalf("the browser is at %s, want %s; the page says:\n%s", b.at, path, b.text())
	}
	return b
}

func (b *browser) wantText(text string) *browser {
	b.t.Helper()
	if !strings.Contains(b.text(), text) {
		b.t.Fatalf("%s does not say %q but:\n%s", b.at, text, b.text())
	}
	return b
}

var tags = regexp.MustCompile(`(?s)<[^>]*>`)

// text is what a person reads.
func (b *browser) text() string {
	s := html.UnescapeString(tags.ReplaceAllString(b.page, " "))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }), " ")
}

func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) json(path string) map[string]any {
	b.t.Helper()
	response, err := b.client.Get(b.base + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var v map[string]any
	if err := json.NewDecoder(response.Body).Decode(&v); err != nil {
		b.t.Fatalf("%s is not JSON: %v", path, err)
	}
	return v
}
