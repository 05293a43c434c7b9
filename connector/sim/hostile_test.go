package simconnector

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	simbank "guichet/sim/bank"
)

// lie starts the simulated bank behind someone who may change every answer; lie
// returns true when it has answered by itself.
func lie(t *testing.T, change func(w http.ResponseWriter, r *http.Request, page string) bool) string {
	t.Helper()
	site := simbank.New(guichet.Clock{Now: func() time.Time { return noon }, Rand: rand.Reader})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		honest := httptest.NewRecorder()
		site.ServeHTTP(honest, r)
		for _, c := range honest.Result().Cookies() {
			http.SetCookie(w, c)
		}
		if change(w, r, honest.Body.String()) {
			return
		}
		if to := honest.Header().Get("Location"); to != "" {
			http.Redirect(w, r, to, honest.Code)
			return
		}
		w.Header().Set("Content-Type", honest.Header().Get("Content-Type"))
		w.WriteHeader(honest.Code)
		_, _ = honest.Body.WriteTo(w)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// replace answers pages below a path with some words changed.
func replace(path, old, now string) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, r *http.Request, page string) bool {
		if !strings.HasPrefix(r.URL.Path, path) || !strings.Contains(page, old) {
			return false
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, strings.ReplaceAll(page, old, now))
		return true
	}
}

func TestHostileBanks(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	status := func(code int) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if r.URL.Path == "/accounts" {
				w.WriteHeader(code)
			}
			return r.URL.Path == "/accounts"
		}
	}
	row := `<tr class="compte"><td class="nom"><a href="/accounts/%d/history">Compte</a></td><td class="numero">1</td><td class="montant">0,00 €</td></tr>`
	var crowd strings.Builder
	for i := range maxAccounts + 1 {
		fmt.Fprintf(&crowd, row, i)
	}
	for name, c := range map[string]struct {
		lie    func(http.ResponseWriter, *http.Request, string) bool
		kind   bank.OutcomeKind
		reason string
	}{
		"leads elsewhere": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if r.Method == http.MethodPost {
				http.Redirect(w, r, elsewhere.URL+"/login", http.StatusTemporaryRedirect) // would send the password again
			}
			return r.Method == http.MethodPost
		}, bank.ConnectorError, "protocol"},
		"leads in circles": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			http.Redirect(w, r, "/login", http.StatusFound)
			return true
		}, bank.ConnectorError, "protocol"},
		"page without end": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "text/html")
			for block := strings.Repeat("<p>", 1<<18); ; {
				if _, err := fmt.Fprint(w, block); err != nil {
					return true
				}
			}
		}, bank.ConnectorError, "protocol"},
		"deep page": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, strings.Repeat("<div>", 200_000)+"</html>")
			return true
		}, bank.ConnectorError, "bug"},
		"no page": {func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "application/pdf")
			_, _ = fmt.Fprint(w, "%PDF")
			return true
		}, bank.ConnectorError, "bug"},
		"too many accounts":  {replace("/accounts", "<tbody>", "<tbody>"+crowd.String()), bank.ConnectorError, "protocol"},
		"too many pages":     {replace("/accounts/", "Page 1 sur ", "Page 1 sur 9"+"99"), bank.ConnectorError, "protocol"},
		"another page":       {replace("/accounts/", "Page 2 sur ", "Page 1 sur "), bank.ConnectorError, "bug"},
		"page of none":       {replace("/accounts/", "Page 1 sur ", "Page 9 sur 0"), bank.ConnectorError, "bug"},
		"no page number":     {replace("/accounts/", "<span>Page", "<span>Feuille"), bank.ConnectorError, "bug"},
		"amounts in dollars": {replace("/accounts/", "€", "USD"), bank.ConnectorError, "bug"},
		"amounts by half":    {replace("/accounts/", ",90", ",9"), bank.ConnectorError, "bug"},
		"days that are none": {replace("/accounts/", "/11/2026", "/31/2026"), bank.ConnectorError, "bug"},
		"bad IBAN":           {replace("/accounts/", "FR76", "FR77"), bank.ConnectorError, "bug"},
		"empty labels":       {replace("/accounts/", "COTISATION MENSUELLE CARTE VISA PREMIER", ""), bank.ConnectorError, "bug"},
		"endless labels":     {replace("/accounts/", "FREE MOBILE", strings.Repeat("FREE", 200)), bank.ConnectorError, "bug"},
		"odd references":     {replace("/accounts/", `class="reference">26`, `class="reference">&lt;`), bank.ConnectorError, "bug"},
		"no summary":         {replace("/accounts/", `<dl class="resume">`, `<dl>`), bank.ConnectorError, "bug"},
		"same account twice": {replace("/accounts", `<a href="/accounts/carte-`, `<a href="/accounts/../accounts/carte-`), bank.ConnectorError, "bug"},
		"forbidden":          {status(http.StatusForbidden), bank.Blocked, ""},
		"not found":          {status(http.StatusNotFound), bank.ConnectorError, "bug"},
		"too fast":           {status(http.StatusTooManyRequests), bank.RateLimited, ""},
		"down":               {status(http.StatusBadGateway), bank.BankUnavailable, ""},
		"no accounts":        {replace("/accounts", `<tbody>`, `<tbody></tbody></table><table><tbody>`), bank.NoAccounts, ""},
		"unknown notice":     {replace("/login", `<form method="post"`, `<form method="get"`), bank.ConnectorError, "bug"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, lie(t, c.lie), "simple")
			got := d.logIn()
			if got.Kind != c.kind || got.Reason != c.reason || len(got.Text) > 1200 {
				t.Errorf("%+v, want %s %s", got, c.kind, c.reason)
			}
		})
	}
	if visits.Load() != 0 {
		t.Errorf("another site was asked %d times", visits.Load())
	}
}

func TestHostileQuestions(t *testing.T) {
	d := newDesk(t, lie(t, func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path == "/captcha.png" {
			w.Header().Set("Content-Type", "image/png")
			_, _ = fmt.Fprint(w, "<svg onload=alert(1)>")
		}
		return r.URL.Path == "/captcha.png"
	}), "captcha")
	if got := want(t, d.logIn(), bank.ConnectorError, ""); got.Reason != "bug" {
		t.Errorf("%+v", got)
	}

	d = newDesk(t, lie(t, replace("/otp", "SMS au ", "SMS au "+strings.Repeat("&lt;b>\x01 ", 300))), "otp")
	q := want(t, d.logIn(), bank.Asks, bank.OTPSent).Question
	if len([]rune(q.Prompt)) > 300 || strings.Contains(q.Prompt, "\x01") || q.Medium != "" {
		t.Errorf("the bank's words are not bounded: %q %q", q.Prompt, q.Medium)
	}

	// A status nobody knows is no reason to wait; the page decides.
	d = newDesk(t, lie(t, func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path == "/app/status" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"status":"peut-être"}`)
		}
		return r.URL.Path == "/app/status"
	}), "app")
	d.logIn()
	want(t, d.poll(t.Context()), bank.BankUnavailable, "")
	d = newDesk(t, lie(t, func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.URL.Path == "/app/status" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `oui`)
		}
		return r.URL.Path == "/app/status"
	}), "app")
	d.logIn()
	want(t, d.poll(t.Context()), bank.ConnectorError, "")
}

// Operations that do not lead from the old balance to the new one are told of;
// what was read stays good.
func TestHistoryThatDoesNotAddUp(t *testing.T) {
	d := newDesk(t, lie(t, replace("/accounts/", "VIR DU COMPTE COURANT</td>", `VIR DU COMPTE COURANT</td><td hidden></td>`)), "simple")
	want(t, d.logIn(), bank.OK, "")
	livret := d.sink.accounts[1].Ref
	count := len(d.sink.transactions[livret])

	d = newDesk(t, lie(t, replace("/accounts/"+livret, "Ancien solde au 01/09/2025 : <span class=\"montant\">", "Ancien solde au 01/09/2025 : <span class=\"montant\">1")), "simple")
	want(t, d.logIn(), bank.Partial, "")
	if !slices.Equal(d.sink.warnings, []string{"history_gap " + livret}) || len(d.sink.transactions[livret]) != count {
		t.Errorf("%v with %d operations", d.sink.warnings, len(d.sink.transactions[livret]))
	}
}

// An operation on two pages, because the list moved while it was read, is one.
func TestOperationSeenTwice(t *testing.T) {
	clean := newDesk(t, lie(t, func(http.ResponseWriter, *http.Request, string) bool { return false }), "simple")
	want(t, clean.logIn(), bank.OK, "")
	var last string // the last line of the first page
	d := newDesk(t, lie(t, func(w http.ResponseWriter, r *http.Request, page string) bool {
		if !strings.HasSuffix(r.URL.Path, "1/history") {
			return false
		}
		lines := strings.SplitAfter(page, `<tr class="operation">`)
		if r.URL.Query().Get("page") == "2" {
			lines[0] += last
		}
		line, _, _ := strings.Cut(lines[len(lines)-1], "</tr>")
		last = line + "</tr>" + `<tr class="operation">`
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, strings.Join(lines, ""))
		return true
	}), "simple")
	want(t, d.logIn(), bank.OK, "")
	current := clean.sink.accounts[0].Ref
	if got := len(d.sink.transactions[current]); last == "" || got != len(clean.sink.transactions[current]) {
		t.Errorf("%d operations, want %d", got, len(clean.sink.transactions[current]))
	}
}

func TestRetryAfterIsBelievedWithinADay(t *testing.T) {
	for told, want := range map[string]time.Time{
		"": {}, "60": noon.Add(time.Minute), "0": {}, "-5": {}, "demain": {}, "99999999999": {},
		"604800":                        noon.Add(24 * time.Hour),
		"Sat, 21 Nov 2026 13:00:00 GMT": noon.Add(time.Hour),
		"Sat, 21 Nov 2020 13:00:00 GMT": {},
		"Sat, 21 Nov 2099 13:00:00 GMT": noon.Add(24 * time.Hour),
	} {
		got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {told}}}, noon)
		if !got.Equal(want) {
			t.Errorf("%q: %v, want %v", told, got, want)
		}
	}
}

func TestJarIsBoundedAndForgets(t *testing.T) {
	jar := &cookies{now: noon, kept: map[string]cookie{}}
	for i := range 100 {
		jar.SetCookies(nil, []*http.Cookie{{Name: fmt.Sprint("c", i), Value: "v"}})
	}
	if len(jar.kept) != maxCookies {
		t.Errorf("%d cookies kept", len(jar.kept))
	}
	jar.SetCookies(nil, []*http.Cookie{
		{Name: "c0", MaxAge: -1},
		{Name: "c1", Expires: noon.Add(-time.Hour)},
		{Name: "c2", Value: "new", MaxAge: 60},
		{Name: "c3", Value: strings.Repeat("x", 1<<20)},
	})
	if _, kept := jar.kept["c0"]; kept {
		t.Error("a cookie taken back is kept")
	}
	if _, kept := jar.kept["c1"]; kept {
		t.Error("a cookie of the past is kept")
	}
	if jar.kept["c2"].Value != "new" || !jar.until("c2").Equal(noon.Add(time.Minute)) || jar.kept["c3"].Value != "v" {
		t.Errorf("%+v %+v", jar.kept["c2"], len(jar.kept["c3"].Value))
	}
}

// panics is a sink with a defect.
type panics struct{ notes }

func (*panics) Account(ledger.Account) error { panic("defect") }

func TestPanicIsAnOutcome(t *testing.T) {
	_, address := open(t)
	c, err := New(address)
	if err != nil {
		t.Fatal(err)
	}
	result := c.Run(context.Background(), bank.Run{
		Institution: Institution, Op: bank.FetchAll, Now: noon,
		Credentials: map[string]guichet.Secret{FieldLogin: "simple", FieldPassword: password},
	}, &panics{notes{t: t}})
	if result.Outcome.Kind != bank.ConnectorError || result.Outcome.Reason != "crash" {
		t.Errorf("%+v", result.Outcome)
	}
}
