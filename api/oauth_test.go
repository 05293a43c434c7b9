package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store/storetest"
)

// legacy is the secret that api_local shares with the service it had before.
const legacy = "the secret of the service before, 32 bytes and more"

func sharedKey(t *testing.T) keyring.Key {
	t.Helper()
	k, err := keyring.SharedKey("hs256-api_local", legacy)
	if err != nil {
		t.Fatal(err)
	}
	k.Only, k.WithoutKID = []string{"api_local"}, true
	return k
}

// oldToken is a token as the service before made them: HMAC over two texts.
func oldToken(header, id string) string {
	part := base64.RawURLEncoding.EncodeToString
	payload := fmt.Sprintf(`{"uid":%q,"jti":%q,"scopes":["a"],"sub":"Marchés","extra_info":null,"iat":1700000000,"version":"1.0","exp":4102444800}`, id, id)
	signed := part([]byte(header)) + "." + part([]byte(payload))
	mac := hmac.New(sha256.New, []byte(legacy))
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil))
}

// client adds a client and gives what it authenticates with.
func (c *window) client(k grant.Client) (id, secret string) {
	c.t.Helper()
	k.Name = "a program"
	added, text, err := c.desk.AddClient(c.t.Context(), guichet.System("test"), k)
	if err != nil {
		c.t.Fatal(err)
	}
	return added.ID.String(), text.Reveal()
}

// form posts a form, authenticated by HTTP Basic unless the id is empty.
func (c *window) form(path, id, secret string, form url.Values) answer {
	c.t.Helper()
	headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if id != "" {
		headers = append(headers, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))))
	}
	return c.fetch("POST", path, strings.NewReader(form.Encode()), headers...)
}

func token(jwt string) url.Values { return url.Values{"token": {jwt}} }

func (c *window) jwt(id string) string {
	c.t.Helper()
	_, jwt, err := c.desk.Reveal(c.t.Context(), guichet.System("test"), guichet.ID(id))
	if err != nil {
		c.t.Fatal(err)
	}
	return jwt.Reveal()
}

const inactive = `{"active":false}`

// An active token is described from its row; whatever else is asked about has one
// answer, byte for byte.
func TestIntrospect(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		id, secret := c.client(grant.Client{Provider: "api_entreprise", MayIntrospect: true})
		live := c.send("approve", noon, 1)
		jwt := c.jwt(live)
		got := c.form("/oauth/introspect", id, secret, token(jwt))
		standing := c.standing(live)
		want := fmt.Sprintf(`{"active":true,"scope":"a open_data","token_type":"Bearer","iss":"http://guichet.test","sub":"Marchés","jti":%q,"iat":%d,"exp":%d,"request":"api_entreprise/1","scopes":["a","open_data"]}`,
			live, standing.IssuedAt.Unix(), standing.ExpiresAt.Unix())
		if got.status != 200 || string(got.body) != want || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %v\n%s\n%s", got.status, got.header, got.body, want)
		}
		revoked := c.send("approve", noon, 2)
		revokedJWT := c.jwt(revoked)
		c.send("revoke", noon+1, 2)
		claims := func(change func(*keyring.Claims)) string {
			k := keyring.Claims{ID: live, UID: live, ExpiresAt: standing.ExpiresAt}
			change(&k)
			signed, err := c.key.Sign(k)
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		stranger, err := keyring.NewSigningKey(keyring.EdDSA, c.db.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := stranger.Sign(keyring.Claims{ID: live})
		if err != nil {
			t.Fatal(err)
		}
		mine, mineSecret := c.client(grant.Client{TokenID: guichet.ID(revoked), MayIntrospect: true})
		elsewhere, elsewhereSecret := c.client(grant.Client{Provider: "api_particulier", MayIntrospect: true})
		for name, ask := range map[string]struct{ id, secret, token string }{
			"garbage":              {id, secret, "garbage"},
			"revoked":              {id, secret, revokedJWT},
			"no row":               {id, secret, claims(func(k *keyring.Claims) { k.ID = c.db.Clock.Clock().NewID().String() })},
			"no id":                {id, secret, claims(func(k *keyring.Claims) { k.ID = "" })},
			"a NUL":                {id, secret, claims(func(k *keyring.Claims) { k.ID = "\x00" })},
			"SQL":                  {id, secret, claims(func(k *keyring.Claims) { k.ID = "' OR 1=1 --" })},
			"another's key":        {id, secret, foreign},
			"an id alone":          {id, secret, live},
			"another provider's":   {elsewhere, elsewhereSecret, jwt},
			"another's token":      {mine, mineSecret, jwt},
			"a shared secret's":    {id, secret, oldToken(`{"alg":"HS256"}`, live)},
			"a token of 100 kB":    {id, secret, strings.Repeat("x", 10_000)},
			"its own, but revoked": {mine, mineSecret, revokedJWT},
		} {
			got := c.form("/oauth/introspect", ask.id, ask.secret, token(ask.token))
			if got.status != 200 || string(got.body) != inactive || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		c.db.Clock.Advance(19 * 31 * 24 * time.Hour)
		if got := c.form("/oauth/introspect", id, secret, token(jwt)); string(got.body) != inactive {
			t.Errorf("ended: %s", got.body)
		}
	})
}

// Revocation takes back what the client may take back, in one transaction with its
// audit, and never anything else.
func TestRevokeByOAuth(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		operator, secret := c.client(grant.Client{Provider: "api_entreprise", MayRevoke: true})
		one, two := c.send("approve", noon, 1), c.send("approve", noon, 2)
		holder, holderSecret := c.client(grant.Client{TokenID: guichet.ID(two), MayRevoke: true, MayIntrospect: true})
		oneJWT, twoJWT := c.jwt(one), c.jwt(two)

		if got := c.form("/oauth/revoke", operator, secret, token("garbage")); got.status != 200 || len(got.body) != 0 {
			t.Errorf("garbage: %d %s", got.status, got.body)
		}
		if got := c.form("/oauth/revoke", holder, holderSecret, token(oneJWT)); got.status != 400 || !strings.Contains(string(got.body), `"error":"unauthorized_client"`) {
			t.Errorf("another's token: %d %s", got.status, got.body)
		}
		if word := c.check(one); word != "ok" {
			t.Fatalf("another's client took it back: %s", word)
		}
		for range 2 { // the second time it is taken back already
			if got := c.form("/oauth/revoke", operator, secret, url.Values{"token": {oneJWT}, "token_type_hint": {"access_token"}}); got.status != 200 || len(got.body) != 0 {
				t.Errorf("%d %s", got.status, got.body)
			}
			if word := c.check(one); word != "token_revoked" {
				t.Errorf("after the answer: %q", word)
			}
		}
		if got := c.form("/oauth/revoke", holder, holderSecret, token(twoJWT)); got.status != 200 {
			t.Errorf("its own: %d %s", got.status, got.body)
		}
		if got := c.form("/oauth/introspect", holder, holderSecret, token(twoJWT)); string(got.body) != inactive {
			t.Errorf("its own, then: %s", got.body)
		}
		if n := c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = 'token.blocked' AND actor_kind = 'client' AND actor_id IN ($1, $2)", operator, holder); n != "2" {
			t.Errorf("%s audit entries of two blocks", n)
		}
	})
}

// A revocation that the database did not take is not answered with 200.
func TestRevokeByOAuthFailsLoudly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := open(t, db)
		operator, secret := c.client(grant.Client{Provider: "api_entreprise", MayRevoke: true})
		one := c.send("approve", noon, 1)
		c.form("/oauth/revoke", operator, secret, token("its last use is noted"))
		db.FailCommit(false)
		db.FailCommit(false)
		jwt := keyring.Claims{ID: one, ExpiresAt: db.Clock.Now().Add(time.Hour)}
		signed, err := c.key.Sign(jwt)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := c.form("/oauth/revoke", operator, secret, token(signed)); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(string(got.body), "temporarily_unavailable") {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		if word := c.check(one); word != "ok" {
			t.Errorf("and yet %s", word)
		}
	})
}

// Who may not, and what is no request. The words are those of RFC 6749.
func TestOAuthRefusals(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		id, secret := c.client(grant.Client{Provider: "api_entreprise", MayIntrospect: true})
		gone, goneSecret := c.client(grant.Client{Provider: "api_entreprise", MayIntrospect: true})
		if err := c.desk.RevokeClient(t.Context(), guichet.System("test"), guichet.ID(gone)); err != nil {
			t.Fatal(err)
		}
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
		form := []string{"Content-Type", "application/x-www-form-urlencoded"}
		with := func(more ...string) []string { return append(append([]string{}, form...), more...) }
		for name, ask := range map[string]struct {
			method, path, body string
			headers            []string
			status             int
			word               string
		}{
			"nobody":               {"POST", "/oauth/introspect", "token=x", form, 401, "invalid_client"},
			"wrong secret":         {"POST", "/oauth/introspect", "token=x&client_id=" + id + "&client_secret=wrong", form, 401, "invalid_client"},
			"no secret":            {"POST", "/oauth/introspect", "token=x&client_id=" + id, form, 401, "invalid_client"},
			"unknown client":       {"POST", "/oauth/introspect", "token=x&client_id=nobody&client_secret=" + secret, form, 401, "invalid_client"},
			"a NUL for a client":   {"POST", "/oauth/introspect", "token=x&client_id=%00&client_secret=%00", form, 401, "invalid_client"},
			"no text for a client": {"POST", "/oauth/introspect", "token=%ff&client_id=%ff&client_secret=%ff", form, 401, "invalid_client"},
			"revoked client":       {"POST", "/oauth/introspect", "token=x&client_id=" + gone + "&client_secret=" + goneSecret, form, 401, "invalid_client"},
			"a bearer":             {"POST", "/oauth/introspect", "token=x", with("Authorization", "Bearer "+secret), 401, "invalid_client"},
			"Basic of nothing":     {"POST", "/oauth/introspect", "token=x", with("Authorization", "Basic !"), 401, "invalid_client"},
			"two ids":              {"POST", "/oauth/introspect", "token=x&client_id=other", with("Authorization", basic), 401, "invalid_client"},
			"two ways":             {"POST", "/oauth/introspect", "token=x&client_secret=" + secret, with("Authorization", basic), 400, "invalid_request"},
			"no token":             {"POST", "/oauth/introspect", "", with("Authorization", basic), 400, "invalid_request"},
			"two tokens":           {"POST", "/oauth/introspect", "token=x&token=y", with("Authorization", basic), 400, "invalid_request"},
			"not a form":           {"POST", "/oauth/introspect", `{"token":"x"}`, []string{"Content-Type", "application/json", "Authorization", basic}, 415, "invalid_request"},
			"a broken form":        {"POST", "/oauth/introspect", "token=%zz", with("Authorization", basic), 400, "invalid_request"},
			"a long form":          {"POST", "/oauth/introspect", "token=" + strings.Repeat("x", 17<<10), with("Authorization", basic), 413, "invalid_request"},
			"in the address":       {"POST", "/oauth/introspect?token=x", "", with("Authorization", basic), 400, "invalid_request"},
			"by GET":               {"GET", "/oauth/introspect?token=x", "", with("Authorization", basic), 405, "invalid_request"},
			"may not revoke":       {"POST", "/oauth/revoke", "token=x", with("Authorization", basic), 400, "unauthorized_client"},
			"nobody may revoke":    {"POST", "/oauth/revoke", "token=x", form, 401, "invalid_client"},
			"in the form is one":   {"POST", "/oauth/introspect", "token=x&client_id=" + id + "&client_secret=" + secret, form, 200, ""},
			"its id twice is":      {"POST", "/oauth/introspect", "token=x&client_id=" + id, with("Authorization", basic), 200, ""},
		} {
			got := c.fetch(ask.method, ask.path, strings.NewReader(ask.body), ask.headers...)
			var said struct{ Error string }
			if err := json.Unmarshal(got.body, &said); err != nil || got.status != ask.status || said.Error != ask.word || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, ask.status, ask.word)
			}
			if (got.header.Get("WWW-Authenticate") != "") != (got.status == 401) || (got.header.Get("Allow") == "POST") != (got.status == 405) {
				t.Errorf("%s: %v", name, got.header)
			}
			if strings.Contains(string(got.body), secret) {
				t.Errorf("%s: the answer holds the secret", name)
			}
		}
		var last string
		if last = c.db.Value("SELECT CAST(last_used_at AS TEXT) FROM clients WHERE id = $1", id); last == "0" {
			t.Error("its last use is not noted")
		}
		if c.db.Value("SELECT CAST(last_used_at AS TEXT) FROM clients WHERE id = $1", gone) != "0" {
			t.Error("a use of a revoked client is noted")
		}
	})
}

func TestBadClientsAreNotMade(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		live := guichet.ID(c.send("approve", noon, 1))
		for name, k := range map[string]struct {
			client grant.Client
			want   error
		}{
			"of nothing":         {grant.Client{Name: "x", MayRevoke: true}, grant.ErrClientScope},
			"of both":            {grant.Client{Name: "x", MayRevoke: true, Provider: "api_entreprise", TokenID: live}, grant.ErrClientScope},
			"without rights":     {grant.Client{Name: "x", Provider: "api_entreprise"}, grant.ErrClientScope},
			"without a name":     {grant.Client{Name: " ", MayRevoke: true, Provider: "api_entreprise"}, grant.ErrClientName},
			"two lines":          {grant.Client{Name: "a\nb", MayRevoke: true, Provider: "api_entreprise"}, grant.ErrClientName},
			"no such provider":   {grant.Client{Name: "x", MayRevoke: true, Provider: "nobody"}, grant.ErrNoProvider},
			"no such token":      {grant.Client{Name: "x", MayRevoke: true, TokenID: "0196a1b2-0000-7000-8000-000000000001"}, grant.ErrNoToken},
			"a client of no one": {grant.Client{Name: "x", MayRevoke: true, TokenID: live}, nil},
		} {
			if _, _, err := c.desk.AddClient(t.Context(), guichet.System("test"), k.client); !errors.Is(err, k.want) {
				t.Errorf("%s: %v, want %v", name, err, k.want)
			}
		}
		if err := c.desk.RevokeClient(t.Context(), guichet.System("test"), live); !errors.Is(err, grant.ErrNoClient) {
			t.Errorf("revoking nobody: %v", err)
		}
	})
}

// K2: what proves one thing proves no other. Every kind of document and secret
// that we give out is tried wherever one is taken, each way it can be sent.
func TestKindsAreNotInterchangeable(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		id, secret := c.client(grant.Client{Provider: "api_entreprise", MayIntrospect: true, MayRevoke: true})
		live := c.send("approve", noon, 1)
		jwt, standing := c.jwt(live), c.standing(live)
		list := string(c.fetch("GET", "/status/0", nil).body)
		as := func(typ string) string {
			s, err := c.key.SignAs(typ, keyring.Claims{ID: live, UID: live, ExpiresAt: standing.ExpiresAt})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		basic := func(id, secret string) string {
			return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
		}
		kinds := map[string]string{
			"token": jwt, "status list": list, "list of the token's claims": as("statuslist+jwt"), "event": as("secevent+jwt"), "logout": as("logout+jwt"),
			"access token of another kind": as("at+jwt"), "client secret": secret, "client id": id, "token id": live, "personal token": "gch_23456789bcdfghjkmnpqrstvwxzBCDFG",
			"token of the service before": oldToken(`{"alg":"HS256"}`, live), "webhook secret": "dev-verify-token",
		}
		places := map[string]func(what string) bool{
			"/check bearer":     func(what string) bool { s, _, _ := c.ask("/check", "Authorization", "Bearer "+what); return s == 204 },
			"/check key":        func(what string) bool { s, _, _ := c.ask("/check", "X-Api-Key", what); return s == 204 },
			"/check in address": func(what string) bool { s, _, _ := c.ask("/check?token=" + url.QueryEscape(what)); return s == 204 },
			"introspect": func(what string) bool {
				return string(c.form("/oauth/introspect", id, secret, token(what)).body) != inactive
			},
			"client by bearer": func(what string) bool {
				return c.fetch("POST", "/oauth/introspect", strings.NewReader("token=x"), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Bearer "+what).status == 200
			},
			"client secret": func(what string) bool {
				return c.fetch("POST", "/oauth/introspect", strings.NewReader("token=x"), "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic(id, what)).status == 200
			},
			"client id": func(what string) bool {
				return c.fetch("POST", "/oauth/introspect", strings.NewReader("token=x"), "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic(what, secret)).status == 200
			},
			"status list": func(what string) bool { return keyring.VerifyStatusList(what, c.key.Key()) == nil },
		}
		fits := map[string]string{"/check bearer": "token", "/check key": "token", "introspect": "token", "client secret": "client secret", "client id": "client id"}
		for place, takes := range places {
			for kind, what := range kinds {
				want := fits[place] == kind
				if place == "status list" { // whoever has the key's signature on this typ: two of ours have
					want = kind == "status list" || kind == "list of the token's claims"
				}
				if got := takes(what); got != want {
					t.Errorf("%s took %s: %v", place, kind, got)
				}
			}
		}
	})
}

// What a client of OAuth finds first, and that each address in it answers.
func TestMetadata(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		got := c.fetch("GET", "/.well-known/oauth-authorization-server", nil)
		want := `{"grant_types_supported":[],"introspection_endpoint":"http://guichet.test/oauth/introspect","introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],` +
			`"issuer":"http://guichet.test","jwks_uri":"http://guichet.test/.well-known/jwks.json","response_types_supported":[],"revocation_endpoint":"http://guichet.test/oauth/revoke",` +
			`"revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],"status_list_aggregation_endpoint":"http://guichet.test/status"}`
		if got.status != 200 || string(got.body) != want || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %s", got.status, got.body)
		}
		for _, path := range []string{"/.well-known/jwks.json", "/status"} {
			if got := c.fetch("GET", path, nil); got.status != 200 || got.header.Get("ETag") == "" {
				t.Errorf("%s: %d", path, got.status)
			}
		}
		jwks := c.fetch("GET", "/.well-known/jwks.json", nil)
		if jwks.header.Get("Cache-Control") != "public, max-age=60" || c.fetch("GET", "/.well-known/jwks.json", nil, "If-None-Match", jwks.header.Get("ETag")).status != 304 {
			t.Errorf("%v", jwks.header)
		}
	})
}
