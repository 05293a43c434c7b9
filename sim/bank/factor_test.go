package simbank

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCodeIsSentOnlyWhenAskedFor(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").wantAt("/otp").wantText("Recevoir un code").get("/otp").get("/accounts").wantAt("/otp")
	if got := site.Counters("otp"); got.CodesSent != 0 {
		t.Fatalf("a code was sent though nobody pressed the button: %+v", got)
	}
	b.post("/otp", "code", rightCode).wantText("Demandez d’abord un code")
	b.post("/otp/send").wantAt("/otp").wantText("Il expire dans 5 min 00 s").wantText("06 •• •• ••")
	b.post("/otp", "code", rightCode).wantAt("/accounts")
	want := Counters{CodesSent: 1, CodesTried: 1}
	if got := site.Counters("otp"); got.CodesSent != want.CodesSent || got.CodesTried != want.CodesTried || got.CodesWrong != 0 {
		t.Errorf("counters: %+v", got)
	}
}

func TestThirdWrongCodeLocks(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send")
	b.post("/otp", "code", "000000").wantText("Il vous reste 2 essais")
	b.post("/otp", "code", "123457").wantText("Il vous reste 1 essai avant")
	b.post("/otp", "code", "").wantText("Accès bloqué")
	b.get("/accounts").wantAt("/login")
	b.logIn("otp").wantText("Accès bloqué")
	b.logIn("otp-claire").wantAt("/otp")
	if got := site.Counters("otp"); got.CodesWrong != 3 || got.Lockouts != 1 || got.LoginsRefused != 1 {
		t.Errorf("counters: %+v", got)
	}
	site.Advance(24 * time.Hour)
	b.logIn("otp").wantAt("/otp")
}

func TestWrongCodesCountOverSessions(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send").post("/otp", "code", "1").post("/otp", "code", "2").wantText("1 essai")
	b.logIn("otp").post("/otp/send").post("/otp", "code", "3").wantText("Accès bloqué")
}

func TestRightCodeForgivesWrongOnes(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send").post("/otp", "code", "1").post("/otp", "code", "2")
	b.post("/otp", "code", rightCode).wantAt("/accounts")
	stranger := newBrowser(t, server)
	stranger.logIn("otp").post("/otp/send").post("/otp", "code", "1").wantText("2 essais")
}

func TestOtherSessionsOfALockedCustomerEnd(t *testing.T) {
	_, server := open(t)
	in, wrong := newBrowser(t, server), newBrowser(t, server)
	in.logIn("otp").post("/otp/send").post("/otp", "code", rightCode).wantAt("/accounts")
	wrong.logIn("otp").post("/otp/send").post("/otp", "code", "1").post("/otp", "code", "2").post("/otp", "code", "3")
	in.get("/accounts").wantText("Accès bloqué")
}

func TestCodeExpiresByTheBanksClock(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send")
	site.Advance(5*time.Minute - time.Second)
	b.get("/otp").wantText("Il expire dans 0 min 01 s")
	site.Advance(time.Second)
	b.post("/otp", "code", rightCode).wantAt("/otp").wantText("Ce code a expiré")
	b.post("/otp/resend").wantText("Un nouveau code").post("/otp", "code", rightCode).wantAt("/accounts")
	got := site.Counters("otp")
	if got.CodesSent != 2 || got.Resends != 1 || got.CodesTried != 2 || got.CodesExpired != 1 || got.CodesWrong != 0 {
		t.Errorf("counters: %+v", got)
	}
}

func TestSpentOrStolenFormCostsNoTry(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send")
	spent := b.hidden("jeton")
	b.post("/otp", "code", "000000").wantText("2 essais")
	b.post("/otp", "jeton", spent, "code", rightCode).wantAt("/otp").wantText("plus valable")
	other := newBrowser(t, server)
	other.logIn("otp").post("/otp/send")
	b.post("/otp", "jeton", other.hidden("jeton"), "code", rightCode).wantText("plus valable")
	b.post("/otp/resend", "jeton", "x").wantText("plus valable")
	b.post("/otp/send", "jeton", "x").wantText("plus valable")
	if got := site.Counters("otp"); got.CodesTried != 1 || got.CodesSent != 2 {
		t.Errorf("counters: %+v", got)
	}
	b.post("/otp", "code", rightCode).wantAt("/accounts")
}

func TestTrustedDeviceIsNotAsked(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("otp").post("/otp/send").post("/otp", "code", rightCode).wantAt("/accounts")
	if b.cookie("device") == "" {
		t.Fatal("no device cookie after a second factor")
	}
	b.get("/logout").logIn("otp").wantAt("/accounts")
	b.get("/logout").logIn("otp-claire").wantAt("/otp") // someone else on the same device
	newBrowser(t, server).logIn("otp").wantAt("/otp")   // the same customer elsewhere
	site.Advance(180*24*time.Hour - time.Minute)
	b.logIn("otp").wantAt("/accounts")
	site.Advance(time.Minute)
	b.logIn("otp").wantAt("/otp")
	if got := site.Counters("otp"); got.LoginsTrusted != 2 || got.DevicesTrusted != 1 || got.CodesSent != 1 {
		t.Errorf("counters: %+v", got)
	}
	simple := newBrowser(t, server)
	if simple.logIn("simple"); simple.cookie("device") != "" {
		t.Error("a device is trusted though nothing was asked")
	}
}

func TestAppApprovesAfterThreeSeconds(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("app").wantAt("/app").wantText("Envoyer la demande")
	if got := site.Counters("app"); got.AppAsked != 0 {
		t.Fatal("the phone rang though nobody pressed the button")
	}
	id := b.post("/app").wantAt("/app").wantText("Ouvrez l’application").hidden("id")
	status := func() string { return b.json("/app/status?id=" + id)["status"].(string) }
	if got := status(); got != "pending" {
		t.Errorf("at once: %s", got)
	}
	b.post("/app/finish", "id", id).wantText("attendons encore")
	b.post("/app/finish", "id", "autre").wantText("n’existe plus")
	site.Advance(3 * time.Second)
	if got := status(); got != "ok" {
		t.Errorf("after 3 s: %s", got)
	}
	if got := b.json("/app/status?id=autre")["status"]; got != "expired" {
		t.Errorf("unknown demand: %v", got)
	}
	b.post("/app/finish", "id", id, "jeton", "faux").wantText("plus valable")
	b.post("/app/finish", "id", id).wantAt("/accounts")
	if got := site.Counters("app"); got.AppAsked != 1 || got.AppPolled != 3 {
		t.Errorf("counters: %+v", got)
	}
	b.logIn("app").wantAt("/accounts") // trusted
}

func TestAppDecisions(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("app").post("/app")
	if err := site.Decide("app", DecisionDeny); err != nil {
		t.Fatal(err)
	}
	id := b.hidden("id")
	if got := b.json("/app/status?id=" + id)["status"]; got != "denied" {
		t.Errorf("denied in the application: %v", got)
	}
	b.post("/app/finish", "id", id).wantAt("/app/finish").wantText("refusé la demande").wantText("Envoyer la demande")

	if err := site.Decide("app", DecisionHold); err != nil {
		t.Fatal(err)
	}
	id = b.post("/app").hidden("id")
	site.Advance(5 * time.Minute)
	if got := b.json("/app/status?id=" + id)["status"]; got != "expired" {
		t.Errorf("held for 5 minutes: %v", got)
	}
	b.get("/app").wantText("expiré sans réponse")

	if err := site.Decide("app", DecisionApprove); err != nil {
		t.Fatal(err)
	}
	b.post("/app").post("/app/finish", "id", b.hidden("id")).wantAt("/accounts")
	if err := site.Decide("app", "peut-être"); err == nil {
		t.Error("a decision that does not exist was taken")
	}
	if err := site.Decide("", DecisionDeny); err == nil {
		t.Error("a decision for nobody was taken")
	}
}

func TestAppThenCode(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("app-otp").wantAt("/app").post("/app")
	site.Advance(3 * time.Second)
	b.post("/app/finish", "id", b.hidden("id")).wantAt("/otp")
	if b.cookie("device") != "" {
		t.Error("the device is trusted half way")
	}
	b.get("/app").wantAt("/otp")
	b.post("/otp/send").post("/otp", "code", rightCode).wantAt("/accounts")
	b.logIn("app-otp").wantAt("/accounts")
}

func TestCaptcha(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("captcha").wantAt("/captcha")
	first := site.CaptchaAnswer("captcha")
	b.get("/captcha.png")
	if b.header.Get("Content-Type") != "image/png" {
		t.Fatalf("the image is %s", b.header.Get("Content-Type"))
	}
	if _, err := png.Decode(bytes.NewReader([]byte(b.page))); err != nil || len(first) != 5 {
		t.Fatalf("image of %q: %v", first, err)
	}
	b.get("/captcha").post("/captcha", "reponse", "x").wantText("ne correspondent pas")
	b.post("/captcha", "reponse", first+"x").wantText("ne correspondent pas")
	b.post("/captcha", "jeton", "faux", "reponse", site.CaptchaAnswer("captcha")).wantText("plus valable")
	b.post("/captcha", "reponse", site.CaptchaAnswer("captcha")).wantAt("/accounts")
	b.logIn("captcha").wantAt("/accounts")

	robot := newBrowser(t, server)
	robot.logIn("captcha")
	for range maxWrongCaptchas {
		robot.post("/captcha", "reponse", "x")
	}
	robot.wantText("Trop de réponses inexactes").get("/captcha").wantAt("/login")
	if got := site.CaptchaAnswer("inconnu"); got != "" {
		t.Errorf("a captcha of nobody: %q", got)
	}
}

func TestRedirect(t *testing.T) {
	site, server := open(t)
	var came url.Values
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { came = r.URL.Query() }))
	defer client.Close()

	b := newBrowser(t, server)
	address := link(t, b.logIn("redirect").wantAt("/redirect"), "/authorize")
	if again := link(t, b.get("/redirect"), "/authorize"); again != address {
		t.Error("showing the page again voids the demand")
	}
	phone := newBrowser(t, server) // the person authorises on another device
	phone.get(address + "&state=etat&redirect_uri=" + url.QueryEscape(client.URL+"/retour?x=1"))
	phone.wantText("redirect").post("/authorize", "request", phone.hidden("request"), "redirect_uri", phone.hidden("redirect_uri"),
		"state", phone.hidden("state"), "decision", "autoriser").wantAt("/retour")
	if came.Get("state") != "etat" || came.Get("x") != "1" || came.Get("code") == "" {
		t.Fatalf("the client's address was given %v", came)
	}
	phone.get("/redirect/callback?code=" + came.Get("code")).wantAt("/login") // not the session that asked
	b.get("/redirect/callback?code=faux").wantText("n’est pas valable")
	b.get("/redirect/callback?code=" + came.Get("code")).wantAt("/accounts")
	b.get("/logout").logIn("redirect").wantAt("/accounts") // trusted

	other := newBrowser(t, server)
	other.logIn("redirect").get("/redirect/callback?code=" + came.Get("code")).wantText("a déjà servi")
	if got := site.Counters("redirect"); got.RedirectsDone != 1 || got.RedirectsAsked < 2 {
		t.Errorf("counters: %+v", got)
	}
}

// link finds the address of a link of the page shown.
func link(t *testing.T, b *browser, prefix string) string {
	t.Helper()
	_, rest, ok := strings.Cut(b.page, `href="`+prefix)
	if !ok {
		t.Fatalf("%s has no link to %s", b.at, prefix)
	}
	address, _, _ := strings.Cut(rest, `"`)
	return prefix + strings.ReplaceAll(address, "&amp;", "&")
}

func TestRedirectInOneBrowserAndRefusals(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	address := link(t, b.logIn("redirect"), "/authorize")
	b.get(address).post("/authorize", "request", b.hidden("request"), "decision", "autoriser").wantAt("/accounts")

	b = newBrowser(t, server)
	address = link(t, b.logIn("redirect"), "/authorize")
	b.get(address).post("/authorize", "request", b.hidden("request"), "decision", "refuser").wantText("Autorisation refusée")
	b.get("/redirect").wantAt("/login")

	// Without an address to go back to, another device shows the code to type.
	b = newBrowser(t, server)
	address = link(t, b.logIn("redirect"), "/authorize")
	phone := newBrowser(t, server)
	phone.get(address).post("/authorize", "request", phone.hidden("request"), "decision", "autoriser").wantText("code d’autorisation")
	phone.get(address)
	if phone.status != http.StatusBadRequest {
		t.Errorf("a demand answered can be answered again: %d", phone.status)
	}

	b = newBrowser(t, server)
	address = link(t, b.logIn("redirect"), "/authorize")
	for _, back := range []string{"javascript:alert(1)", "//ailleurs", "retour", "http://"} {
		if phone.get(address + "&redirect_uri=" + url.QueryEscape(back)); phone.status != http.StatusBadRequest {
			t.Errorf("the bank would send back to %q", back)
		}
	}
	site.Advance(16 * time.Minute)
	if phone.get(address); phone.status != http.StatusBadRequest {
		t.Error("a demand of authorisation does not expire")
	}
}
