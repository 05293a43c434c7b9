package simbank

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStoryOfTakesTheLongestName(t *testing.T) {
	for login, want := range map[string]string{
		"simple": "simple", "otp": "otp", "otp2": "otp", "otp-claire": "otp", "app": "app", "app2": "app",
		"app-otp": "app-otp", "app-otp-3": "app-otp", "choice-2": "choice", "marie": "simple", "": "simple", "notp": "simple",
		"wrongpass": "wrongpass", "many-9": "many",
	} {
		if got := StoryOf(login).Name; got != want {
			t.Errorf("%q plays %q, want %q", login, got, want)
		}
	}
}

func TestSimpleReachesItsAccounts(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("  Simple ").wantAt("/accounts").wantText("Compte courant").wantText("Livret A")
	if got := site.Counters("simple"); got.Logins != 1 || got.LoginsRefused != 0 || got.AccountsPages != 1 {
		t.Errorf("counters of one login: %+v", got)
	}
	b.get("/logout").wantText("déconnecté")
	b.get("/accounts").wantAt("/login").wantText("session a expiré")
}

func TestWrongPasswords(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	for _, password := range []string{"faux", "wrong"} {
		b.get("/login").post("/login", "identifiant", "simple", "secret", password)
		b.wantAt("/login").wantText("Identifiant ou mot de passe incorrect")
	}
	b.logIn("wrongpass").wantText("Identifiant ou mot de passe incorrect")
	b.get("/login").post("/login", "identifiant", "", "secret", "x").wantText("Saisissez")
	b.get("/login").post("/login", "identifiant", strings.Repeat("a", 65), "secret", "x").wantText("incorrect")
	b.get("/accounts").wantAt("/login")
	if got := site.Counters(""); got.Logins != 5 || got.LoginsRefused != 3 {
		t.Errorf("counters of refused logins: %+v", got)
	}
}

func TestLoginFormIsGoodOnce(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	token := b.get("/login").hidden("jeton")
	b.get("/login") // another tab: its token replaces the first
	b.post("/login", "jeton", token, "identifiant", "simple", "secret", "x").wantAt("/login").wantText("expiré")
	thief := newBrowser(t, server)
	token = b.get("/login").hidden("jeton")
	thief.get("/login").post("/login", "jeton", token, "identifiant", "simple", "secret", "x").wantText("expiré")
}

func TestSessionIdChangesWithThePassword(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	before := b.get("/login").cookie("sid")
	b.post("/login", "identifiant", "simple", "secret", "x").wantAt("/accounts")
	if after := b.cookie("sid"); after == before || before == "" || after == "" {
		t.Errorf("sid was %q before the password and %q after", before, after)
	}
}

func TestIdleSessionEnds(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("simple").wantAt("/accounts")
	site.Advance(19 * time.Minute)
	b.get("/accounts").wantAt("/accounts")
	site.Advance(21 * time.Minute)
	b.get("/accounts").wantAt("/login").wantText("expiré")
}

func TestBannedExpiredTerms(t *testing.T) {
	_, server := open(t)
	newBrowser(t, server).logIn("banned").wantText("Accès bloqué").get("/accounts").wantAt("/login")

	b := newBrowser(t, server)
	b.logIn("expiredpass").wantAt("/password").wantText("Votre mot de passe a expiré")
	b.get("/accounts").wantAt("/password")
	b.post("/password", "nouveau", "a", "confirmation", "b").wantText("diffèrent")
	b.post("/password", "jeton", "autre", "nouveau", "a", "confirmation", "a").wantText("plus valable")
	b.post("/password", "nouveau", "a", "confirmation", "a").wantAt("/accounts")
	newBrowser(t, server).logIn("expiredpass").wantAt("/accounts")

	b = newBrowser(t, server)
	b.logIn("terms").wantAt("/terms").wantText("Nouvelles conditions")
	b.post("/terms").wantAt("/terms")
	b.post("/terms", "accord", "oui").wantAt("/accounts")
	newBrowser(t, server).logIn("terms").wantAt("/accounts")
	newBrowser(t, server).logIn("terms-2").wantAt("/terms")
}

func TestOutage(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("outage")
	if b.status != http.StatusServiceUnavailable || b.header.Get("Retry-After") == "" {
		t.Errorf("outage answers %d, Retry-After %q", b.status, b.header.Get("Retry-After"))
	}
	b.logIn("simple").wantAt("/accounts") // the others are well
}

func TestGarbageBreaksAccountsOnly(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("garbage").wantAt("/accounts")
	if strings.Contains(b.page, "</html>") || !strings.Contains(b.page, "\xff") {
		t.Errorf("garbage looks whole:\n%s", b.page)
	}
}

// signIn makes the two requests of a login by hand, so that the answer of the
// second can be watched without a socket, on the clock of a synctest bubble.
func signIn(ctx context.Context, t *testing.T, site *Site, login string) *httptest.ResponseRecorder {
	t.Helper()
	shown := httptest.NewRecorder()
	site.ServeHTTP(shown, httptest.NewRequest(http.MethodGet, "/login", nil))
	b := browser{page: shown.Body.String()}
	form := url.Values{"jeton": {b.hidden("jeton")}, "identifiant": {login}, "secret": {"x"}}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range shown.Result().Cookies() {
		r.AddCookie(c)
	}
	answer := httptest.NewRecorder()
	site.ServeHTTP(answer, r)
	return answer
}

func TestSlowTakesTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := New(clockAt(noon))
		start := time.Now()
		answer := signIn(t.Context(), t, site, "slow")
		if answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != "/accounts" {
			t.Errorf("slow answers %d to %q", answer.Code, answer.Header().Get("Location"))
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("slow took %v", took)
		}
	})
}

func TestSlowAndHangEndWithTheClient(t *testing.T) {
	for _, login := range []string{"slow", "hang"} {
		synctest.Test(t, func(t *testing.T) {
			site := New(clockAt(noon))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			signIn(ctx, t, site, login)
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s went on for %v after the client left", login, took)
			}
			if got := site.Counters(login); got.Logins != 1 {
				t.Errorf("%s: the bank did not see the login: %+v", login, got)
			}
		})
	}
}

func TestHomeAndUnknownPages(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.get("/").wantText("Banque des Tests")
	for _, path := range []string{"/nulle-part", "/accounts/x", "/asset/absent"} {
		if b.get(path); b.status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, b.status)
		}
	}
	for _, asset := range []string{"/asset/bank.css", "/asset/logo.svg", "/asset/app.js"} {
		if b.get(asset); b.status != http.StatusOK || b.page == "" {
			t.Errorf("%s answers %d", asset, b.status)
		}
	}
}
