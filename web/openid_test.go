package web_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"guichet"
	"guichet/openid"
	"guichet/people"
	"guichet/store/storetest"
	"guichet/web"
)

const operatorEmail = "nora@guichet.example"

// operator is what the provider says of somebody who is known here.
func operator() bent {
	return bent{person: map[string]any{"email": "Nora@Guichet.example", "email_verified": true}}
}

// A door is the pages with a provider beside them, and one operator.
type door struct {
	*office
	idp  *provider
	back string // where the provider sends browsers back to
	nora people.Person
}

func newDoor(t *testing.T, db *storetest.DB, idp *provider, changes ...func(*openid.Settings)) *door {
	t.Helper()
	d := &door{idp: idp}
	d.office = newOffice(t, db, func(s *web.Server, at string) {
		settings := openid.Settings{
			Issuer: idp.URL, ClientID: clientID, ClientSecret: clientSecret, Name: "ProConnect", Scopes: []string{"openid", "email"}, Back: at + "/sign-in/openid/callback",
		}
		for _, change := range changes {
			change(&settings)
		}
		d.back = settings.Back
		var err error
		if s.OpenID, err = openid.New(settings, s.Clock); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		if strings.Contains(d.logs.String(), "canary") {
			t.Errorf("the log holds a secret:\n%s", d.logs)
		}
	})
	var err error
	if d.nora, err = db.Store.People().PersonByEmail(t.Context(), operatorEmail); err == nil {
		return d // of a process before
	}
	d.nora, err = d.people.AddPerson(t.Context(), guichet.System("test"), people.NewPerson{Email: operatorEmail, Role: people.Operator, Password: signInPassword})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// openDoor is a door whose provider keeps the time of the database.
func openDoor(t *testing.T, db *storetest.DB, changes ...func(*openid.Settings)) *door {
	t.Helper()
	return newDoor(t, db, newProvider(t, db.Clock.Clock()), changes...)
}

// stranger is a browser of nobody.
func (d *door) stranger() *visitor {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return &visitor{house: d.house, t: d.t, client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// hop asks for an address and follows no redirection.
func (v *visitor) hop(address string) (to string) {
	v.t.Helper()
	still := *v.client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	one := *v
	one.client = &still
	p := one.get(address)
	if p.status < 300 || p.status > 399 {
		v.t.Fatalf("%s answers %d, and sends nowhere:\n%s", address, p.status, p.words())
	}
	return p.header.Get("Location")
}

// cookie is the session that the browser holds.
func (v *visitor) cookie() string {
	v.t.Helper()
	at, err := url.Parse(v.web.URL)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(at) {
		if c.Name == "guichet" {
			return c.Value
		}
	}
	return ""
}

// out fails the test unless the browser is nobody's.
func (v *visitor) out() {
	v.t.Helper()
	v.get("/requests").is(200, "/sign-in", "Mot de passe")
}

func (d *door) audited(deed string) string {
	return d.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = '" + deed + "'")
}

// From a page that asks who one is, to the issuer, and back to that page. The
// session after is another one than before.
func TestOpenIDSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := openDoor(t, db)
		d.idp.says(operator())
		v := d.stranger()
		link := v.get("/requests?q=lot+7").is(200, "/sign-in").link("Continuer avec ProConnect")
		there := v.hop(link)
		planted := v.cookie()
		home := v.hop(there)
		if !strings.HasPrefix(home, d.back+"?") {
			t.Fatalf("sent back to %s", home)
		}
		if to := v.hop(home); to != "/requests?q=lot+7" {
			t.Errorf("sent on to %s", to)
		}
		if planted == "" || v.cookie() == planted {
			t.Error("the session is the one from before")
		}
		v.get("/requests").is(200, "/requests")
		old := d.stranger()
		at, err := url.Parse(d.web.URL)
		if err != nil {
			t.Fatal(err)
		}
		old.client.Jar.SetCookies(at, []*http.Cookie{{Name: "guichet", Value: planted}})
		old.out()
		if n := d.audited("person.signed_in"); n != "1" {
			t.Errorf("%s sign-ins in the audit", n)
		}
		asked := d.idp.lastAsked()
		for name, shortest := range map[string]int{"state": 43, "nonce": 43, "code_challenge": 43} {
			if len(asked.Get(name)) < shortest {
				t.Errorf("%s is %q", name, asked.Get(name))
			}
		}
		if asked.Get("state") == asked.Get("nonce") || strings.Contains(there, "canary") {
			t.Errorf("sent away with %s", there)
		}
		v.post("/sign-out").is(200, "/sign-in")
		v.out()
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM people"); n != "1" {
			t.Errorf("%s people", n)
		}
	})
}

// However the issuer, the browser or somebody between them misbehaves, nobody is
// signed in, nobody is created, and the page says why.
func TestOpenIDRefuses(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	d := openDoor(t, db)
	gone, err := d.people.AddPerson(t.Context(), guichet.System("test"), people.NewPerson{Email: "gone@guichet.example", Role: people.Operator})
	if err == nil {
		err = d.people.Disable(t.Context(), d.nora.Actor(), gone.ID)
	}
	if err == nil {
		_, err = d.people.AddPerson(t.Context(), guichet.System("test"), people.NewPerson{Email: "kim@guichet.example", Role: people.Operator})
	}
	if err != nil {
		t.Fatal(err)
	}
	stranger := newKey(t)
	shared := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat(clientSecret, 2))}
	say := func(pairs ...any) bent {
		b := operator()
		for i := 0; i < len(pairs); i += 2 {
			b.person[pairs[i].(string)] = pairs[i+1]
		}
		return b
	}
	with := func(change func(*bent)) bent {
		b := operator()
		change(&b)
		return b
	}
	back := func(change func(url.Values)) bent { return with(func(b *bent) { b.back = change }) }
	info := func(pairs map[string]any, signed *jose.SigningKey) bent {
		return bent{info: pairs, signed: signed}
	}
	now := db.Clock.Now()
	unsigned := func(id string) string {
		return "eyJhbGciOiJub25lIn0." + strings.Split(id, ".")[1] + "."
	}
	for _, c := range []struct {
		name, why string
		says      bent
	}{
		{"unknown person", "no_account", say("email", "who@guichet.example")},
		{"disabled person", "no_account", say("email", "gone@guichet.example")},
		{"a letter that is ours when lowered", "no_account", say("email", "\u212Aim@guichet.example")},
		{"not verified", "openid_unverified_email", say("email_verified", false)},
		{"not verified, as text", "openid_unverified_email", say("email_verified", "false")},
		{"not told whether verified", "openid_unverified_email", say("email_verified", nil)},
		{"no e-mail", "openid_unverified_email", say("email", nil)},
		{"wrong nonce", "openid_refused", say("nonce", "another")},
		{"no nonce", "openid_refused", say("nonce", nil)},
		{"expired", "openid_refused", say("exp", now.Add(-time.Second).Unix())},
		{"not yet", "openid_refused", say("nbf", now.Add(time.Hour*24).Unix())},
		{"wrong audience", "openid_refused", say("aud", "another")},
		{"no audience", "openid_refused", say("aud", nil)},
		{"made for another of two", "openid_refused", say("aud", []string{clientID, "another"}, "azp", "another")},
		{"made for nobody of two", "openid_refused", say("aud", []string{clientID, "another"})},
		{"wrong issuer", "openid_refused", say("iss", "https://evil.example")},
		{"alg none", "openid_refused", with(func(b *bent) { b.token = unsigned })},
		{"signed by a shared secret", "openid_refused", with(func(b *bent) { b.with = &shared })},
		{"signed by somebody else", "openid_refused", with(func(b *bent) { b.with = &stranger })},
		{"no ID token", "openid_refused", with(func(b *bent) { b.token = func(string) string { return "" } })},
		{"somebody else answers", "openid_refused", back(func(q url.Values) { q.Set("iss", "https://evil.example") })},
		{"nobody says who answers", "openid_refused", back(func(q url.Values) { q.Del("iss") })},
		{"no code", "openid_refused", back(func(q url.Values) { q.Del("code") })},
		{"two codes", "openid_refused", back(func(q url.Values) { q.Add("code", "code-1") })},
		{"a code of nobody", "openid_refused", back(func(q url.Values) { q.Set("code", "code-0") })},
		{"the person said no", "openid_refused", back(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") })},
		{"wrong state", "openid_over", back(func(q url.Values) { q.Set("state", "another") })},
		{"no state", "openid_over", back(func(q url.Values) { q.Del("state") })},
		{"out of order", "openid_unavailable", with(func(b *bent) {
			b.answers = func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }
		})},
		{"a redirection", "openid_refused", with(func(b *bent) {
			b.answers = func(w http.ResponseWriter) {
				w.Header().Set("Location", "https://evil.example/canary")
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
		})},
		{"not JSON", "openid_refused", with(func(b *bent) { b.answers = func(w http.ResponseWriter) { _, _ = w.Write([]byte("<canary>")) } })},
		{"userinfo about another", "openid_refused", info(map[string]any{"sub": "43", "email": operatorEmail, "email_verified": true}, nil)},
		{"userinfo about nobody", "openid_refused", info(map[string]any{"email": operatorEmail, "email_verified": true}, nil)},
		{"userinfo unverified", "openid_unverified_email", info(map[string]any{"sub": "42", "email": operatorEmail}, nil)},
		{"userinfo signed by another", "openid_refused", info(map[string]any{"sub": "42", "email": operatorEmail, "email_verified": true}, &stranger)},
		{"userinfo for another", "openid_refused", info(map[string]any{"sub": "42", "email": operatorEmail, "email_verified": true, "aud": "another"}, &d.idp.key)},
	} {
		db.Clock.Advance(20 * time.Minute) // nobody has to wait, and what is published is asked for anew
		if len(c.says.person) > 0 && c.says.person["exp"] == nil {
			c.says.person["exp"] = db.Clock.Now().Add(time.Minute).Unix()
		}
		d.idp.says(c.says)
		v := d.stranger()
		p := v.get("/sign-in/openid?next=/alerts")
		if p.status != http.StatusOK || p.url.Path != "/sign-in" || p.url.Query().Get("why") != c.why {
			t.Errorf("%s: %d at %s, not because of %s\n%s", c.name, p.status, p.url, c.why, d.logs)
			continue
		}
		if !slices.ContainsFunc([]string{"Rien n’a changé", "Rien n’a été créé"}, func(s string) bool { return strings.Contains(p.words(), s) }) {
			t.Errorf("%s: the page does not say that nothing happened:\n%s", c.name, p.words())
		}
		v.out()
	}
	if n := d.audited("person.signed_in"); n != "0" {
		t.Errorf("%s sign-ins", n)
	}
	if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM people"); n != "3" {
		t.Errorf("%s people", n)
	}
}

// What the browser carries is good once, for ten minutes, in that browser, and
// also when the server was replaced meanwhile.
func TestOpenIDDetour(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := openDoor(t, db)
		d.idp.says(operator())
		away := func() (v *visitor, home string) {
			v = d.stranger()
			return v, v.hop(v.hop("/sign-in/openid?next=/alerts"))
		}
		over := func(v *visitor, home string) {
			t.Helper()
			v.get(home).is(200, "/sign-in", "a déjà servi, a duré plus de dix minutes ou a commencé dans un autre navigateur")
			v.out()
		}

		_, home := away()
		over(d.stranger(), home) // another browser: who sends a link signs nobody in as themselves

		v, home := away()
		thief, theirs := away()
		_ = theirs
		stolen, err := url.Parse(home)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := url.Parse(theirs)
		if err != nil {
			t.Fatal(err)
		}
		q := mine.Query()
		q.Set("code", stolen.Query().Get("code"))
		mine.RawQuery = q.Encode()
		if p := thief.get(mine.String()); p.url.Query().Get("why") != "openid_refused" {
			t.Errorf("a code of another browser: at %s", p.url)
		}
		thief.out()
		_ = v

		v, home = away()
		v.get(home).is(200, "/alerts")
		v.get(home).is(200, "/") // loaded again: who is signed in stays so
		v.post("/sign-out")
		over(v, home)

		v, home = away()
		old := d.back
		d = newDoor(t, db, d.idp, func(s *openid.Settings) { s.Back = old })
		v.house = d.house
		v.get(strings.Replace(home, old, d.web.URL+"/sign-in/openid/callback", 1)).is(200, "/alerts")

		v, home = away()
		db.Clock.Advance(10*time.Minute + time.Second)
		over(v, home)
	})
}

// Two tabs leave, two come back: each where it was, in one session.
func TestOpenIDTwoTabs(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	d := openDoor(t, db)
	d.idp.says(operator())
	v := d.stranger()
	one := v.hop(v.hop("/sign-in/openid?next=/alerts"))
	two := v.hop(v.hop("/sign-in/openid?next=/journal"))
	v.get(one).is(200, "/alerts")
	v.get(two).is(200, "/journal")
	v.get("/sign-in/openid?next=/purge").is(200, "/purge")
	if n := d.audited("person.signed_in"); n != "1" {
		t.Errorf("%s sign-ins", n)
	}
	for _, evil := range []string{"//evil.example", "https://evil.example", `/\evil.example`, ""} {
		w := d.stranger()
		if to := w.hop(w.hop(w.hop("/sign-in/openid?next=" + url.QueryEscape(evil)))); to != "/" {
			t.Errorf("%q sends to %s", evil, to)
		}
	}
	// A later tab makes the time of an earlier one no longer.
	u := d.stranger()
	early := u.hop(u.hop("/sign-in/openid"))
	db.Clock.Advance(9 * time.Minute)
	late := u.hop(u.hop("/sign-in/openid?next=/alerts"))
	db.Clock.Advance(2 * time.Minute)
	u.get(early).is(200, "/sign-in", "plus de dix minutes")
	u.get(late).is(200, "/alerts")
	// Of many tabs the oldest give way.
	w := d.stranger()
	var homes []string
	for range 6 {
		homes = append(homes, w.hop(w.hop("/sign-in/openid")))
	}
	if p := w.get(homes[0]); p.url.Query().Get("why") != "openid_over" {
		t.Errorf("the oldest of six is at %s", p.url)
	}
	w.get(homes[1]).is(200, "/")
}

// An issuer that is down stops neither the program nor passwords; once it is up
// again, the way to it is there.
func TestOpenIDIssuerDown(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	idp := newProvider(t, db.Clock.Clock())
	idp.goDown(true)
	d := newDoor(t, db, idp)
	d.idp.says(operator())
	v := d.stranger()
	v.get("/sign-in").is(200, "/sign-in", "ProConnect ne répond pas pour l’instant", "Mot de passe").saysNot("Continuer avec")
	v.get("/sign-in/openid?next=/alerts").is(200, "/sign-in", "ProConnect n’a pas répondu")
	if to := v.hop("/sign-in/openid?next=/alerts"); to != "/sign-in?next=%2Falerts&why=openid_unavailable" {
		t.Errorf("sent to %s", to)
	}
	d.browser(d.nora).get("/alerts").is(200, "/alerts")
	idp.goDown(false)
	db.Clock.Advance(6 * time.Second)
	v.get("/sign-in").saysNot("ne répond pas").link("Continuer avec ProConnect")
	home := v.hop(v.hop("/sign-in/openid?next=/alerts"))
	v.get(home).is(200, "/alerts")

	w := d.stranger()
	home = w.hop(w.hop("/sign-in/openid?next=/alerts"))
	idp.goDown(true)
	w.get(home).is(200, "/sign-in", "ProConnect n’a pas répondu")
	db.Clock.Advance(61 * time.Second)
	w.get("/sign-in").says("ne répond pas")
	w.get("/sign-in?why=<script>").saysNot("script")
	if n := db.Value("SELECT CAST(COALESCE(SUM(number), 0) AS TEXT) FROM sign_in_failures"); n != "0" {
		t.Errorf("%s failures are counted of an issuer that was down", n)
	}
}

// Issuers differ: where they tell the e-mail, how they know their clients, what
// they say of the e-mail.
func TestOpenIDIssuersDiffer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, "sqlite")
	d := openDoor(t, db)
	told := map[string]any{"sub": "42", "email": operatorEmail, "email_verified": true}
	for name, b := range map[string]bent{
		"told by userinfo":           {info: told},
		"told by userinfo, signed":   {info: map[string]any{"sub": "42", "email": operatorEmail, "email_verified": true, "iss": d.idp.URL, "aud": clientID}, signed: &d.idp.key},
		"verified, as text":          {person: map[string]any{"email": operatorEmail, "email_verified": "true"}},
		"several audiences":          {person: map[string]any{"email": operatorEmail, "email_verified": true, "aud": []string{"a", clientID}, "azp": clientID}},
		"a client known by the form": {person: told, publishes: map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}},
	} {
		db.Clock.Advance(2 * time.Minute) // what is published is asked for anew
		d.idp.says(b)
		if p := d.stranger().get("/sign-in/openid?next=/alerts"); p.url.Path != "/alerts" {
			t.Errorf("%s: at %s\n%s", name, p.url, d.logs)
		}
	}
	for name, endpoint := range map[string]string{"in clear": "http://idp.example/token", "no address": "token"} {
		db.Clock.Advance(2 * time.Minute)
		d.idp.says(bent{person: told, publishes: map[string]any{"token_endpoint": endpoint}})
		if p := d.stranger().get("/sign-in/openid"); p.url.Query().Get("why") != "openid_unavailable" {
			t.Errorf("a token endpoint that is %s: at %s", name, p.url)
		}
	}

	trusting := newDoor(t, db, d.idp, func(s *openid.Settings) { s.TrustEmail = true })
	trusting.idp.says(bent{info: map[string]any{"sub": "42", "email": operatorEmail}})
	trusting.stranger().get("/sign-in/openid?next=/alerts").is(200, "/alerts")
	trusting.idp.says(bent{info: map[string]any{"sub": "42", "email": operatorEmail, "email_verified": false}})
	db.Clock.Advance(2 * time.Minute)
	trusting.stranger().get("/sign-in/openid").is(200, "/sign-in", "qu’il ait vérifiée")
}

// Who keeps being refused waits, as with passwords; the issuer is not asked then.
func TestOpenIDFailuresAreCounted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := openDoor(t, db)
		d.idp.says(bent{person: map[string]any{"email": "who@guichet.example", "email_verified": true}})
		for range 5 {
			d.stranger().get("/sign-in/openid").is(200, "/sign-in", "ProConnect vous connaît")
		}
		d.idp.says(operator())
		d.stranger().get("/sign-in/openid").is(200, "/sign-in", "Trop d’essais")
		db.Clock.Advance(31 * time.Second)
		d.stranger().get("/sign-in/openid?next=/alerts").is(200, "/alerts")
		if n := d.audited("person.sign_in_refused"); n != "5" {
			t.Errorf("%s refusals in the audit", n)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = 'person.signed_in' AND actor_name = '" + operatorEmail + "'"); n != "1" {
			t.Errorf("%s sign-ins of the operator", n)
		}
	})
}
