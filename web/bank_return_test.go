package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"guichet/store/storetest"
	"guichet/web/view"
	"guichet/web/webtest"
)

// agree answers on the bank's own page, and gives the address to which the bank
// sends the browser: nobody follows it yet.
func (v *visitor) agree(p *seen) *url.URL {
	v.t.Helper()
	action, form := v.get(p.link("Aller sur le site de la banque")).form("/authorize")
	form.Set("decision", "autoriser")
	follow := v.client.CheckRedirect
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { v.client.CheckRedirect = follow }()
	back, err := url.Parse(v.send(http.MethodPost, v.sim+action, form).header.Get("Location"))
	if err != nil || back.Query().Get("state") == "" || back.Query().Get("code") == "" {
		v.t.Fatalf("the bank leads to %v, %v", back, err)
	}
	return back
}

// The way back from a bank: only the one that began here, for whom it began, once.
// All others change nothing, here and at the bank.
func TestReturnIsOfOneQuestion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		v, other := h.visitor("a@example.org"), h.visitor("b@example.org")
		p := v.open("redirect").is(200, "/init/new-bank/enter-new-fields")
		back := v.agree(p)
		// Another person's question waits too, so that each could be taken for the other.
		theirs := other.agree(other.open("redirect-2")).Query().Get("state")

		rows := func() string {
			return db.Value(`SELECT (SELECT CAST(SUM(version) AS TEXT) FROM accesses) || '/' || (SELECT CAST(SUM(version) AS TEXT) FROM attempts) || '/' ||
				(SELECT CAST(SUM(version) AS TEXT) FROM challenges) || '/' || (SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries)`)
		}
		before := rows()
		with := func(change func(url.Values)) string {
			q := back.Query()
			change(q)
			return back.Path + "?" + q.Encode()
		}
		state := back.Query().Get("state")
		question, _, _ := strings.Cut(state, ".")
		for name, hostile := range map[string]struct {
			who *visitor
			at  string
		}{
			"no state":                 {v, with(func(q url.Values) { q.Del("state") })},
			"an empty one":             {v, with(func(q url.Values) { q.Set("state", "") })},
			"a made up one":            {v, with(func(q url.Values) { q.Set("state", "x") })},
			"the question alone":       {v, with(func(q url.Values) { q.Set("state", question) })},
			"another seal":             {v, with(func(q url.Values) { q.Set("state", question+"."+strings.Repeat("f", 40)) })},
			"cut short":                {v, with(func(q url.Values) { q.Set("state", state[:len(state)-1]) })},
			"of another's question":    {v, with(func(q url.Values) { q.Set("state", theirs) })},
			"their code, my browser":   {other, with(func(url.Values) {})},
			"their refusal, for me":    {other, with(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") })},
			"no question of anybody's": {v, with(func(q url.Values) { q.Set("state", "0190b6e4-1111-7111-8111-111111111111."+strings.Repeat("a", 40)) })},
		} {
			if got := hostile.who.get(hostile.at); got.status != http.StatusForbidden {
				t.Errorf("%s: %d", name, got.status)
			}
			if now := rows(); now != before {
				t.Errorf("%s: the rows went from %s to %s", name, before, now)
			}
		}
		// The same in a form: an address that was pasted.
		p = v.get("/init/new-bank/enter-new-fields")
		pasted := p.submit("/answer", "fields.url", h.web.URL+with(func(q url.Values) { q.Set("state", theirs) }))
		if pasted.status != http.StatusUnprocessableEntity || rows() != before {
			t.Errorf("pasted: %d", pasted.status)
		}
		if n := h.site.Counters("redirect"); n.RedirectsDone != 0 || n.RedirectsDenied != 0 || n.Logins != 1 {
			t.Errorf("the bank saw %+v", n)
		}

		// Nobody is signed in there: the way back waits behind the sign-in, whole.
		jar := v.client.Jar
		v.client.Jar = nil
		if got := v.get(back.RequestURI()); got.url.Path != "/sign-in" || got.url.Query().Get("next") != back.RequestURI() {
			t.Errorf("led to %s", got.url)
		}
		v.client.Jar = jar

		// The server dies meanwhile, and the bank's answer comes into another browser.
		h.crash()
		tab := h.browser(v.me)
		tab.eventually(tab.get(back.RequestURI()), "/accounts")
		if n := h.site.Counters("redirect"); n.RedirectsDone != 1 || n.Logins != 1 {
			t.Errorf("the bank saw %+v", n)
		}
		// Again: the same one, and one with another code.
		before = rows()
		for _, again := range []string{back.RequestURI(), with(func(q url.Values) { q.Set("code", "another") })} {
			if got := v.get(again); got.status >= 500 {
				t.Errorf("%d for %s", got.status, again)
			}
			if now := rows(); now != before {
				t.Errorf("a replay made %s of %s", now, before)
			}
		}
		if n := h.site.Counters("redirect"); n.RedirectsDone != 1 || n.Logins != 1 {
			t.Errorf("after the replays, the bank saw %+v", n)
		}
		if strings.Contains(h.logs.String(), back.Query().Get("code")) {
			t.Error("the log holds the bank's code")
		}
		// Cancelled: the answer that comes later finds nothing.
		given := other.get("/init/new-bank/enter-new-fields")
		given.submit("/cancel").is(200, "/init/new-bank")
		before = rows()
		late := other.get(view.PathReturn + "?code=x&state=" + url.QueryEscape(theirs))
		if late.status >= 500 || rows() != before {
			t.Errorf("after a cancellation: %d", late.status)
		}
	})
}

// In a browser: to the site of the bank, which is another site, and back. A page
// that somebody else made it come back to says so, and nothing changes.
func TestReturnInABrowser(t *testing.T) {
	b := webtest.Start(t)
	db := storetest.New(t, "sqlite")
	h := newHouse(t, db)
	h.sim = strings.Replace(h.sim, "127.0.0.1", "localhost", 1) // so that no cookie is the bank's and ours
	h.crash()
	v := h.visitor("a@example.org")
	v.open("redirect")
	p := v.look(b, view.PathReturn+"?code=theirs&state=theirs", 360, "dark")
	until(t, p, `document.body.innerText.includes("Rien n’a changé")`)
	if n := h.site.Counters("redirect"); n.RedirectsDone != 0 || n.RedirectsDenied != 0 {
		t.Errorf("the bank saw %+v", n)
	}
	p.Do(chromedp.Navigate(v.web.URL + "/init/new-bank/enter-new-fields"))
	click(t, p, "a.button.primary")
	until(t, p, `location.hostname === "localhost" && document.querySelector("[value='autoriser']") !== null`)
	click(t, p, "[value='autoriser']")
	until(t, p, `location.hostname === "127.0.0.1" && location.pathname === "/accounts"`)
	if n := h.site.Counters("redirect"); n.RedirectsDone != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}
