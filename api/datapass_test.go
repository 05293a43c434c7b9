package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/canary"
	"guichet/grant"
	"guichet/keyring"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
	"guichet/usage"
)

// window is a server of the grant window on a real database.
type window struct {
	*httptest.Server
	db   *storetest.DB
	desk *grant.Desk
	key  *keyring.SigningKey
	uses *usage.Counter
	t    *testing.T
}

const (
	secret   = "dev-verify-token"
	older    = "older-token"
	particul = "other-token"
)

func open(t *testing.T, db *storetest.DB) *window {
	key, err := keyring.NewSigningKey(keyring.EdDSA, db.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := keyring.NewVerifier(key.Key(), sharedKey(t))
	if err != nil {
		t.Fatal(err)
	}
	desk := &grant.Desk{
		Store: db.Grant(), Clock: db.Clock.Clock(), URL: "http://guichet.test", PurgeAfter: 720 * time.Hour, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{
			"api_entreprise":  {Name: "api_entreprise", Title: "API Entreprise", Mails: true},
			"api_particulier": {Name: "api_particulier", Title: "API Particulier", Mails: true},
			"api_local":       {Name: "api_local", Title: "API locale"},
		},
		Clients: db.Clients(),
		Mint: func(s grant.Standing) (guichet.Secret, error) {
			jwt, err := key.Sign(keyring.Claims{ID: s.ID.String(), UID: s.ID.String(), Scopes: s.Scopes, IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt})
			return guichet.Secret(jwt), err
		},
	}
	end := db.Clock.Now().Add(time.Hour)
	uses := usage.NewCounter(db.Clock.Clock())
	door := canary.NewDoor(t, canary.Showing{
		Place: regexp.MustCompile(`^answer 200 to GET /status/`), Kind: regexp.MustCompile(`^a JWT`), Reason: "a status list is public; a test tries one as a secret",
	})
	server := &api.Server{
		Clock: db.Clock.Clock(), Log: door.Log(nil), Grant: desk, Uses: uses,
		Secrets: func(provider string, now time.Time) []keyring.Secret {
			switch {
			case provider == "api_particulier":
				return []keyring.Secret{particul}
			case provider == "api_entreprise" && now.Before(end):
				return []keyring.Secret{secret, older}
			case provider == "api_entreprise":
				return []keyring.Secret{secret}
			}
			return nil
		},
		URL: "http://guichet.test", Statuses: api.NewStatuses("http://guichet.test", db.Clock.Clock(), db.Grant(), func() *keyring.SigningKey { return key }),
		Verifier: keyring.NewCachedVerifier(verifier, 100), JWKS: func() ([]byte, error) { return keyring.JWKS(key.Key()) },
	}
	mux := http.NewServeMux()
	server.Routes(mux)
	c := &window{Server: httptest.NewServer(door.Handler(mux)), db: db, desk: desk, key: key, uses: uses, t: t}
	t.Cleanup(c.Close)
	return c
}

func each(t *testing.T, test func(t *testing.T, c *window)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) { test(t, open(t, db)) })
}

// post delivers a body, signed with a secret, and gives the status and the answer.
func (c *window) post(path, with, body string, headers ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("X-Hub-Signature-256", simdatapass.Sign(guichet.Secret(with), []byte(body)))
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = strings.Split(headers[i+1], "|")
	}
	response, err := c.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

const (
	v1Path = "/api/datapass/api_entreprise/webhook"
	v2Path = "/api/datapass/v2/api_entreprise/webhook"
)

// event is a v2 delivery about a request.
func event(name string, firedAt, id int) string {
	return fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"draft",
"data":{"intitule":"Marchés","scopes":["a","open_data_x"]},"organization":{"name":"VALMONT","siret":"21730065600011"},
"applicant":{"email":"claire@valmont.fr","given_name":"Claire","family_name":"Morel"}}}`, name, firedAt, id)
}

func (c *window) send(name string, firedAt, id int) (token string) {
	c.t.Helper()
	status, body := c.post(v2Path, secret, event(name, firedAt, id))
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %s", name, status, body)
	}
	var answer map[string]string
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		c.t.Fatalf("%s answered %q", name, body)
	}
	return answer["token_id"]
}

func (c *window) rows(table string) string {
	return c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + table)
}

func (c *window) last(column string) string {
	return c.db.Value("SELECT " + column + " FROM deliveries ORDER BY received_at DESC, id DESC LIMIT 1")
}

const noon = 1777880000 // May 2026

func TestG1EachProviderHasItsPathAndSecrets(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		body := event("create", noon, 1)
		for path, want := range map[string]int{
			v2Path: 200, "/api/datapass/v2/api_particulier/webhook": 401, "/api/datapass/v2/nobody/webhook": 401, "/api/datapass/v3/api_entreprise/webhook": 404,
		} {
			if status, _ := c.post(path, secret, body); status != want {
				t.Errorf("%s: %d instead of %d", path, status, want)
			}
		}
		if status, _ := c.post("/api/datapass/v2/api_particulier/webhook", particul, body); status != 200 {
			t.Errorf("its own secret: %d", status)
		}
		if n := c.rows("requests"); n != "2" {
			t.Errorf("%s requests: the provider comes from the path", n)
		}
	})
}

func TestG2Signatures(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		body := event("approve", noon, 1)
		good := simdatapass.Sign(secret, []byte(body))
		for name, header := range map[string]string{
			"no value": "", "empty": "sha256=", "other": simdatapass.Sign("x", []byte(body)), "upper": strings.ToUpper(good), "short": good[:60],
			"twice": good + "|" + good, "joined": good + "," + good, "sha1": "sha1=" + good[7:], "long": good + "0",
		} {
			status, answer := c.post(v2Path, secret, body, "X-Hub-Signature-256", header)
			if status != 401 || strings.TrimSpace(answer) != `{"error":"Unauthorized"}` {
				t.Errorf("%s: %d %s", name, status, answer)
			}
		}
		if n := c.rows("deliveries"); n != "0" {
			t.Errorf("%s unsigned deliveries were kept", n)
		}
		// every active secret is accepted, until its end
		if status, _ := c.post(v2Path, older, body); status != 200 {
			t.Errorf("the older secret: %d", status)
		}
		c.db.Clock.Advance(2 * time.Hour)
		if status, _ := c.post(v2Path, older, body); status != 401 {
			t.Errorf("the older secret after its end: %d", status)
		}
	})
}

func TestG3LimitsAndStrictness(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		if status, _ := c.post(v2Path, secret, strings.Repeat("x", 1<<20+1)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("a body over the limit: %d", status)
		}
		if status, _ := c.post(v2Path, secret, `{"event":"approve"`); status != 400 {
			t.Errorf("signed, not JSON: %d", status)
		}
		if c.rows("deliveries") != "1" || c.last("effect") != "quarantined" {
			t.Error("what is signed and not JSON is journalled")
		}
		padded := strings.Replace(event("create", noon, 1), `"data":{`, `"padding":"`+strings.Repeat("x", 1<<20-2000)+`","data":{`, 1)
		if status, _ := c.post(v2Path, secret, padded); status != 200 {
			t.Errorf("just under the limit: %d", status)
		}
	})
}

func TestG5TheSameEventGivesTheSameAnswer(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		token := c.send("approve", noon, 1)
		// a replay by hand: other bytes, another signature
		var v map[string]any
		if err := json.Unmarshal([]byte(event("approve", noon, 1)), &v); err != nil {
			t.Fatal(err)
		}
		reordered, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		expiry := c.db.Value("SELECT CAST(expires_at AS TEXT) FROM tokens")
		c.db.Clock.Advance(24 * time.Hour)
		status, answer := c.post(v2Path, secret, string(reordered))
		if status != 200 || !strings.Contains(answer, token) || token == "" {
			t.Errorf("%d %s, not %s", status, answer, token)
		}
		if c.last("effect") != "duplicate" || c.rows("tokens") != "1" || c.db.Value("SELECT CAST(expires_at AS TEXT) FROM tokens") != expiry {
			t.Error("a duplicate had an effect")
		}
	})
}

func TestG6AnOlderEventNeverUndoesANewerOne(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		token := c.send("approve", noon, 1)
		c.send("revoke", noon+10, 1)
		// the approval that was lost on the way comes now
		if got := c.send("approve", noon+5, 1); got != "" {
			t.Errorf("a late approval was answered %s", got)
		}
		if c.last("effect") != "late" || c.check(token) != "token_revoked" || c.rows("tokens") != "1" {
			t.Error("a late approval had an effect")
		}
		// the same second: revoke > archive > approve > others
		c.send("revoke", noon, 2)
		if got := c.send("approve", noon, 2); got != "" || c.last("effect") != "late" {
			t.Errorf("an approval of the second of the revocation: %s, %q", c.last("effect"), got)
		}
		// the future is quarantined
		ahead := int(c.db.Clock.Now().Add(11 * time.Minute).Unix())
		if got := c.send("approve", ahead, 3); got != "" || c.last("effect") != "quarantined" || c.rows("requests") != "2" {
			t.Errorf("from the future: %s", c.last("effect"))
		}
		if got := c.send("approve", ahead-120, 3); got == "" {
			t.Error("a clock nine minutes ahead is accepted")
		}
	})
}

func TestG7Answers(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		for _, name := range []string{"create", "submit", "reopen", "delete", "nothing_anybody_knows"} {
			if status, answer := c.post(v2Path, secret, event(name, noon, 1)); status != 200 || strings.TrimSpace(answer) != "{}" {
				t.Errorf("%s: %d %s", name, status, answer)
			}
		}
		v1 := `{"event":"validate","fired_at":1777880000,"model_type":"Pass","data":{"pass":{"id":"7","status":"validated","scopes":{"a":true,"b":false},
"team_members":[{"type":"demandeur","email":"claire@valmont.fr"}]}}}`
		if status, answer := c.post(v1Path, secret, v1); status != 200 || !strings.Contains(answer, "token_id") {
			t.Errorf("validate in v1: %d %s", status, answer)
		}
		// an internal failure asks to try again, and has done nothing
		heal := c.db.FailStatement("tokens", "INSERT")
		status, _ := c.post(v2Path, secret, event("approve", noon, 9))
		heal()
		if status != http.StatusServiceUnavailable || c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM requests WHERE external_id = '9'") != "0" {
			t.Errorf("an internal failure: %d", status)
		}
		if c.send("approve", noon, 9) == "" {
			t.Error("the second try gave no token")
		}
	})
}

func TestG8UnusableIsQuarantined(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		bad := strings.Replace(event("approve", noon, 1), "claire@valmont.fr", "claire", 1)
		for range 3 { // the sender would repeat it for ever
			if status, answer := c.post(v2Path, secret, bad); status != 200 || strings.TrimSpace(answer) != "{}" {
				t.Errorf("%d %s", status, answer)
			}
		}
		if c.rows("alerts") != "1" || c.rows("requests") != "0" {
			t.Errorf("%s alerts, %s requests", c.rows("alerts"), c.rows("requests"))
		}
		waiting, err := c.desk.Store.Deliveries(t.Context(), grant.DeliveryFilter{Open: true})
		if err != nil || len(waiting) != 1 || waiting[0].Effect != grant.Quarantined {
			t.Fatalf("%v, %v", waiting, err)
		}
		again, err := c.desk.Replay(t.Context(), guichet.System("test"), waiting[0].ID)
		if err != nil || again.Effect != grant.Quarantined {
			t.Errorf("replayed as it was: %s, %v", again.Effect, err)
		}
	})
}

func TestG9PingAndG10UnknownAndG11OldNames(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		if status, answer := c.post(v2Path, secret, `{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`); status != 200 || strings.TrimSpace(answer) != "{}" {
			t.Errorf("ping: %d %s", status, answer)
		}
		if c.last("effect") != "ping" || c.rows("requests")+c.rows("alerts") != "00" {
			t.Error("a ping had an effect")
		}
		c.send("brand_new", noon, 1)
		c.send("brand_new", noon+1, 2)
		if c.last("effect") != "unknown" || c.rows("alerts") != "1" || c.rows("requests") != "0" {
			t.Errorf("unknown: %s, %s alerts, %s requests", c.last("effect"), c.rows("alerts"), c.rows("requests"))
		}
		old := `{"event":"send_application","fired_at":1577880000,"data":{"pass":{"id":8,"status":"sent","team_members":[{"type":"demandeur","email":"a@b.fr"}]}}}`
		if status, _ := c.post(v1Path, secret, old); status != 200 || c.db.Value("SELECT status FROM requests WHERE external_id = '8'") != "submitted" {
			t.Error("an old name was not understood")
		}
	})
}

// G12: two requests never wait for each other, and one of them is served in
// order, whoever receives it.
func TestG12ManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		var all sync.WaitGroup
		for id := range 12 {
			for _, name := range []string{"approve", "approve", "revoke", "submit"} {
				all.Go(func() {
					at := noon + map[string]int{"approve": 10, "revoke": 20, "submit": 5}[name]
					if status, body := c.post(v2Path, secret, event(name, at, 100+id)); status != 200 {
						t.Errorf("%s of %d: %d %s", name, id, status, body)
					}
				})
			}
		}
		all.Wait()
		if n := c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM requests WHERE status <> 'revoked'"); n != "0" {
			t.Errorf("%s requests are not revoked, whatever the order", n)
		}
	})
}

// check asks whether the token may be used, and gives the word of the refusal.
func (c *window) check(token string) string {
	c.t.Helper()
	_, jwt, err := c.desk.Reveal(c.t.Context(), guichet.System("test"), guichet.ID(token))
	if err != nil {
		c.t.Fatal(err)
	}
	status, word, _ := c.ask("/check", "Authorization", "Bearer "+jwt.Reveal())
	if status == http.StatusNoContent {
		return "ok"
	}
	return word
}

func (c *window) ask(path string, headers ...string) (int, string, http.Header) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.URL+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := c.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var said struct{ Error string }
	body, _ := io.ReadAll(response.Body)
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &said); err != nil {
			c.t.Fatalf("%s answered %q", path, body)
		}
	}
	return response.StatusCode, said.Error, response.Header
}

func TestCheck(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		token := c.send("approve", noon, 1)
		_, jwt, err := c.desk.Reveal(t.Context(), guichet.System("test"), guichet.ID(token))
		if err != nil {
			t.Fatal(err)
		}
		bearer := "Bearer " + jwt.Reveal()
		status, _, h := c.ask("/check?scope=a&scope=open_data", "Authorization", bearer)
		if status != 204 || h.Get("X-Guichet-Token") != token || h.Get("X-Guichet-Request") != "api_entreprise/1" || h.Get("X-Guichet-Scopes") != "a open_data" {
			t.Errorf("%d %v", status, h)
		}
		for name, headers := range map[string][]string{
			"nothing": {}, "basic": {"Authorization", "Basic eDp5"}, "garbage": {"X-Api-Key", "garbage"}, "cut": {"X-Api-Key", jwt.Reveal()[:80]},
			"two": {"Authorization", bearer, "X-Api-Key", jwt.Reveal()}, "twice": {"X-Api-Key", jwt.Reveal(), "X-Api-Key", jwt.Reveal()},
		} {
			if status, word, h := c.ask("/check", headers...); status != 401 || word != "invalid_token" || h.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: %d %s", name, status, word)
			}
		}
		if status, word, _ := c.ask("/check?scope=b", "Authorization", bearer); status != 403 || word != "insufficient_scope" {
			t.Errorf("%d %s", status, word)
		}
		c.db.Clock.Advance(19 * 31 * 24 * time.Hour)
		if word := c.check(token); word != "token_expired" {
			t.Errorf("after its end: %s", word)
		}
		c.send("approve", noon+5, 1) // prolonged: the same string works again
		if status, _, _ := c.ask("/check", "Authorization", bearer); status != 204 {
			t.Errorf("prolonged: %d", status)
		}
		c.send("revoke", noon+6, 1)
		if status, word, _ := c.ask("/check", "Authorization", bearer); status != 401 || word != "token_revoked" {
			t.Errorf("revoked: %d %s", status, word)
		}
	})
}

// A database that does not answer never lets anyone through.
func TestCheckFailsClosed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := open(t, db)
		token := c.send("approve", noon, 1)
		_, jwt, err := c.desk.Reveal(t.Context(), guichet.System("test"), guichet.ID(token))
		if err != nil {
			t.Fatal(err)
		}
		db.SQL("ALTER TABLE tokens RENAME TO tokens_gone")
		defer db.SQL("ALTER TABLE tokens_gone RENAME TO tokens")
		if status, _, _ := c.ask("/check", "Authorization", "Bearer "+jwt.Reveal()); status != http.StatusServiceUnavailable {
			t.Errorf("without its table: %d", status)
		}
	})
}

func TestExamplesOfBothFormatsAsTheyStand(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		for path, file := range map[string]string{v1Path: "../grant/testdata/v1_revoke.json", v2Path: "../grant/testdata/v2_approve.json"} {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := c.post(path, secret, string(body)); status != 200 {
				t.Errorf("%s: %d %s", file, status, answer)
			}
		}
		if c.db.Value("SELECT status FROM requests WHERE external_id = '51234'") != "validated" || c.db.Value("SELECT CAST(tombstone AS TEXT) FROM requests WHERE external_id = '30412'") == "false" {
			t.Error("the examples did not do what they say")
		}
	})
}
