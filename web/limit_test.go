package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"guichet"
	"guichet/grant"
	"guichet/store/storetest"
	"guichet/web/webtest"
)

// An operator narrows the use of a token, and widens it again.
func TestLimitPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		id := o.send("approve", 1, "Marchés publics")
		page := "/tokens/" + id.String()
		limits := func() string { return db.Value("SELECT limits FROM tokens") }
		none := limits()

		v.get(page).says("Limiter l’usage").saysNot("203.0.113.0/24")
		v.post(page+"/limit", "from", " 203.0.113.7/24, 2001:db8::1\n", "per_minute", " 60 ").
			is(200, page, "limité", "203.0.113.0/24", "2001:db8::1/128", "60 appels par minute", "Usage du jeton")
		if p := v.get(page); !strings.Contains(p.body, `value="203.0.113.0/24 2001:db8::1/128"`) || !strings.Contains(p.body, `value="60"`) {
			t.Error("the form does not hold what is set")
		}
		set := limits()
		for _, wrong := range [][2]string{
			{"300.1.1.1", ""},
			{"192.0.2.0/33", ""},
			{"::ffff:192.0.2.1", ""},
			{"<script>", ""},
			{strings.Join(many(17), " "), ""},
			{"", "-1"},
			{"", "1000001"},
			{"", "many"},
			{"", "1e3"},
			{"\x00", ""},
		} {
			if p := v.post(page+"/limit", "from", wrong[0], "per_minute", wrong[1]); p.status != http.StatusUnprocessableEntity ||
				!strings.Contains(p.body, `id="limit-token" class="ask" aria-labelledby="limit-token-title" open data-modal`) || strings.Count(p.body, `aria-invalid="true"`) != 1 {
				t.Errorf("%q: %d", wrong, p.status)
			}
		}
		if p := v.post(page+"/limit", "from", "192.0.2.1 ailleurs", "per_minute", "7"); !strings.Contains(p.body, `value="192.0.2.1 ailleurs"`) ||
			!strings.Contains(p.body, `value="7"`) || !strings.Contains(p.body, "Une adresse ou un réseau s’écrit comme") {
			t.Error("the form does not hold what was refused, with the reason")
		}
		if limits() != set {
			t.Errorf("what was refused changed the limits from %s to %s", set, limits())
		}
		v.post(page+"/limit", "from", "", "per_minute", "").is(200, page, "sans limite").saysNot("60 appels par minute")
		if limits() != none {
			t.Errorf("limits remain: %s", limits())
		}

		// Whose token it is may read the limit, and change nothing.
		claire := o.visitor(applicant)
		if p := claire.post(page+"/limit", "from", "192.0.2.1"); p.status != http.StatusForbidden && p.status != http.StatusNotFound {
			t.Errorf("an applicant limited a token: %d", p.status)
		}
		if limits() != none {
			t.Error("an applicant changed the limits")
		}
		if _, err := o.desk.Block(t.Context(), guichet.System("test"), id, grant.Blocking{Reason: "publié"}); err != nil {
			t.Fatal(err)
		}
		v.get(page).saysNot("Limiter l’usage")
		if p := v.post(page+"/limit", "from", "192.0.2.1"); p.status < 400 || p.status >= 500 {
			t.Errorf("a blocked token was limited: %d", p.status)
		}
	})
}

func many(n int) (all []string) {
	for i := range n {
		all = append(all, "198.51.100."+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	return all
}

// The same in a browser, by the keyboard alone, on a telephone.
func TestLimitInABrowser(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	o := newOffice(t, db)
	v := o.operator("nora@guichet.example")
	id := o.send("approve", 1, "Marchés publics")
	b := webtest.Start(t)
	p := v.look(b, "/tokens/"+id.String(), 360, "dark")
	tab(t, p, opener("/limit"))
	p.Do(key(kb.Enter))
	until(t, p, `document.querySelector("dialog[open]")?.contains(document.activeElement)`)
	accessible(t, p)
	if wide := p.Overflow(); len(wide) > 0 {
		t.Errorf("wider than the page: %q", wide)
	}
	tab(t, p, `e.name === "from" && e.closest("dialog[open]")`)
	p.Do(key("203.0.113.0/24"))
	tab(t, p, `e.name === "per_minute" && e.closest("dialog[open]")`)
	p.Do(key("5"))
	tab(t, p, sureButton)
	p.Do(key(kb.Enter))
	until(t, p, says("203.0.113.0/24")+" && "+says("5 appels par minute"))
	if got := db.Value("SELECT limits FROM tokens"); !strings.Contains(got, "203.0.113.0/24") {
		t.Errorf("limits: %s", got)
	}
}
