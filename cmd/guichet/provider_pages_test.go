package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet"
	"guichet/people"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

// signedIn is a browser with somebody's session.
func (r *running) signedIn(email string, role people.Role) *http.Client {
	r.t.Helper()
	const password = "une longue phrase de passe"
	if _, err := r.people.AddPerson(r.t.Context(), guichet.System("test"), people.NewPerson{Email: email, Name: "Nora", Role: role, Password: password}); err != nil {
		r.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	response, err := browser.PostForm(r.config.URL+"/sign-in", url.Values{"email": {email}, "password": {password}})
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("sign in: %v %v", response, err)
	}
	_ = response.Body.Close()
	return browser
}

// visit gets a page, or posts an empty form, and gives what came.
func (r *running) visit(b *http.Client, method, path string) (status int, body string, header http.Header) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.config.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := b.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// What operators see of providers, and do: secrets, mails, notifications. Nobody
// else sees any of it.
func TestProviderPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newReceiver()
		server := httptest.NewServer(hook)
		defer server.Close()
		hook.answers <- code(500)
		r := serving(t, configured(t, db, hooked(server.URL)+"\n[api_locale]\nsecrets = [{ value = \"<b>&other\" }]\nmails = false\n"))
		r.deliver("sender", "approve", 1_777_880_000, 1)
		_, _, first := hook.next(t)
		id := first.header.Get("webhook-id")
		mark := r.secrets.standings("api_entreprise")[0].Mark

		operator, member := r.signedIn("nora@guichet.test", people.Operator), r.signedIn("claire@valmont.fr", people.Member)
		mail := "/providers/api_entreprise/mails/approved_technical"
		for path, want := range map[string]string{
			"/providers":                      mark,
			"/providers/api_entreprise/mails": "Demande acceptée",
			"/providers/api_locale/mails":     "Aucun courriel ne part",
			mail:                              "Un jeton vous attend",
			mail + "?language=en":             "A token is waiting for you",
			mail + "/fr.html":                 `<html lang="fr">`,
			mail + "/en.html":                 "technical contact",
			"/providers/api_entreprise/notifications":         "Jeton émis",
			"/providers/api_entreprise/notifications?state=x": "Aucune notification",
			"/providers/api_locale/notifications":             "Aucune notification",
			"/providers/api_entreprise/notifications/" + id:   "token.issued",
		} {
			status, body, header := r.visit(operator, "GET", path)
			if status != 200 || !strings.Contains(body, want) {
				t.Errorf("%s: %d without %q", path, status, want)
			}
			for _, secret := range []string{"sender", "other", hookSecret, "whsec_"} {
				if strings.Contains(body, secret) {
					t.Errorf("%s shows the secret %s", path, secret)
				}
			}
			policy := header.Get("Content-Security-Policy")
			if inside := strings.HasSuffix(path, ".html"); inside != strings.Contains(policy, "sandbox") || strings.Contains(policy, "script-src") == inside {
				t.Errorf("%s has the policy %s", path, policy)
			}
			if status, _, _ := r.visit(member, "GET", path); status != 404 {
				t.Errorf("%s for a member: %d", path, status)
			}
		}
		for _, path := range []string{"/providers/nobody/mails", mail + "/de.html", "/providers/api_entreprise/mails/nothing", "/providers/api_locale/notifications/" + id, "/providers/api_entreprise/notifications/x"} {
			if status, _, _ := r.visit(operator, "GET", path); status != 404 {
				t.Errorf("%s: %d", path, status)
			}
		}

		// In a browser: quiet, accessible, nothing sticks out, and the mail is there to be read.
		p := webtest.Start(t).Tab(t)
		session := ""
		for _, c := range operator.Jar.Cookies(mustURL(t, r.config.URL)) {
			if c.Name == "guichet" {
				session = c.Value
			}
		}
		for _, path := range []string{"/providers", "/providers/api_entreprise/mails", mail, "/providers/api_entreprise/notifications", "/providers/api_entreprise/notifications/" + id} {
			for _, look := range []webtest.Look{{Width: 1440, Theme: "light", Lang: "fr"}, {Width: 360, Height: 740, Theme: "dark", Lang: "en"}} {
				look.URL, look.Cookies = r.config.URL+path, map[string]string{"guichet": session}
				p.Look(t, look)
				for _, problem := range append(p.Problems(), p.Overflow()...) {
					t.Errorf("%s: %s", path, problem)
				}
				for _, v := range p.Axe() {
					t.Errorf("%s: axe: %s", path, v)
				}
				if dir := os.Getenv("GUICHET_TEST_SHOTS"); dir != "" {
					name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-") + "-" + look.Theme + ".png"
					if err := os.WriteFile(filepath.Join(dir, name), p.Screenshot(), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
		}

		// One click each: send again, end a secret.
		if status, _, _ := r.visit(member, "POST", "/providers/api_entreprise/notifications/"+id+"/resend"); status != 404 {
			t.Errorf("a member sends again: %d", status)
		}
		if status, body, _ := r.visit(operator, "POST", "/providers/api_entreprise/notifications/"+id+"/resend"); status != 200 || !strings.Contains(body, "sous le même identifiant") {
			t.Errorf("sent again: %d", status)
		}
		if _, _, again := hook.next(t); again.header.Get("webhook-id") != id {
			t.Errorf("sent again as %s", again.header.Get("webhook-id"))
		}
		if status, _, _ := r.visit(member, "POST", "/providers/api_entreprise/secrets/"+mark+"/end"); status != 404 {
			t.Errorf("a member ends a secret: %d", status)
		}
		if status, body, _ := r.visit(operator, "POST", "/providers/api_entreprise/secrets/"+mark+"/end"); status != 200 || !strings.Contains(body, "ne vaut plus rien") {
			t.Errorf("ended: %d", status)
		}
		if status, _ := r.deliver("sender", "update", 1_777_880_001, 1); status != 401 {
			t.Errorf("a delivery signed with an ended secret: %d", status)
		}
		settle(t, db, 1)
	})
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
