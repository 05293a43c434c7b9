package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet/store"
	"guichet/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestBankOverHTTP(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := newCounter(t, db)
		list := c.call("GET", "/api/institutions", "").is(200, "")
		if inst := list.at("institutions").([]any)[0].(map[string]any); inst["id"] != "sim" || len(inst["fields"].([]any)) != 2 {
			t.Errorf("%v", inst)
		}

		made := c.create("otp")
		access, attempt, question := made.text("access.id"), made.text("attempt.id"), made.text("attempt.challenge.id")
		if made.text("attempt.state") != "waiting" || made.text("attempt.challenge.method") != "otp_sent" || made.header.Get("Location") != "/api/attempts/"+attempt {
			t.Errorf("%s", made.raw)
		}
		if etag := made.header.Get("ETag"); etag != fmt.Sprintf(`"%v"`, made.at("attempt.challenge.version")) {
			t.Errorf("ETag %s", etag)
		}
		// A reload finds the same question.
		all := c.call("GET", "/api/all", "").is(200, "")
		var again said
		again.t, again.body = t, all.at("accesses").([]any)[0].(map[string]any)
		if again.text("attempt.challenge.id") != question || again.text("state") != "waiting" || again.at("last_success") != nil {
			t.Errorf("%s", all.raw)
		}

		// Misspelt, wrong, then right.
		version := header{"If-Match": made.header.Get("ETag"), "Idempotency-Key": "k1"}
		bad := c.call("POST", "/api/challenges/"+question+"/answer?wait=30", answering("12345"), version).is(422, "field_invalid")
		if bad.text("field") != "fields.code" || bad.text("attempt.state") != "waiting" {
			t.Errorf("%s", bad.raw)
		}
		wrong := c.call("POST", "/api/challenges/"+question+"/answer?wait=30", answering("000000"), version).is(422, "answer_rejected")
		if wrong.at("attempt.challenge.tries_left") != float64(1) || wrong.text("attempt.challenge.last_outcome") != "answer_rejected" {
			t.Errorf("%s", wrong.raw)
		}
		// The other tab, and the same request again.
		c.call("POST", "/api/challenges/"+question+"/answer", answering("123456"), header{"If-Match": made.header.Get("ETag")}).is(409, "changed_meanwhile")
		c.call("POST", "/api/challenges/"+question+"/answer", answering("000000"), version).is(422, "answer_rejected")
		// The seed's address takes the code of a creation.
		done := c.call("PUT", "/api/accesses/"+access+"/fetch/accounts?wait=30", answering("123456")).is(200, "")
		if done.text("attempt.state") != "succeeded" || done.at("attempt.challenge") != nil || done.text("access.state") != "ready" {
			t.Errorf("%s", done.raw)
		}
		if n := c.site.Counters("otp"); n.Logins != 1 || n.CodesTried != 2 || n.CodesSent != 1 {
			t.Errorf("the bank saw %+v", n)
		}
		c.call("POST", "/api/challenges/"+question+"/answer", answering("123456")).is(409, "question_over")

		all = c.call("GET", "/api/all", "").is(200, "")
		if len(all.at("accounts").([]any)) == 0 || len(all.at("transactions").([]any)) == 0 || all.text("user.role") != "member" {
			t.Errorf("%s", all.raw)
		}
		account := all.at("accounts").([]any)[0].(map[string]any)["id"].(string)
		// Fetching again: started and not waited for, then waited for.
		running := c.call("PUT", "/api/accesses/"+access+"/fetch/operations", "").is(202, "")
		c.call("GET", running.header.Get("Location")+"?wait=30", "").is(200, "")
		c.call("POST", "/api/accesses/"+access+"/fetch/accounts?wait=30", "").is(200, "")
		c.call("PUT", "/api/accounts/"+account+"/resync-balance?wait=30", "").is(200, "")

		// Every transaction once.
		seen := map[string]bool{}
		for next := ""; ; {
			page := c.call("GET", "/api/transactions?limit=7&account="+account+"&before="+next, "").is(200, "")
			for _, one := range page.at("transactions").([]any) {
				id := one.(map[string]any)["id"].(string)
				if seen[id] {
					t.Fatalf("%s comes twice", id)
				}
				seen[id] = true
			}
			if next = page.text("next"); next == "" {
				break
			}
		}
		if want := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions WHERE account_id = $1", account); want != fmt.Sprint(len(seen)) {
			t.Errorf("%d of %s", len(seen), want)
		}

		amended := c.call("PATCH", "/api/accesses/"+access, `{"label":"Ailleurs","night_off":true}`).is(200, "")
		if amended.text("label") != "Ailleurs" || amended.text("paused") != "night_off" || amended.at("next_poll") != nil {
			t.Errorf("%s", amended.raw)
		}
		c.call("DELETE", "/api/accesses/"+access, "").is(204, "")
		c.call("GET", "/api/accesses/"+access, "").is(404, "unknown_access")
		c.call("GET", "/api/attempts/"+attempt, "").is(404, "unknown_attempt")
	})
}

func TestBankFailuresOverHTTP(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := newCounter(t, db)
		// Waited for, a creation that fails is a typed error; what was typed comes
		// back, the password aside.
		failed := c.call("POST", "/api/accesses?wait=30", opening("wrongpass")).is(422, "bad_credentials")
		if failed.text("attempt.state") != "failed" || failed.text("attempt.form.login") != "wrongpass" || failed.at("attempt.form.password") != nil {
			t.Errorf("%s", failed.raw)
		}
		// Not waited for, the attempt tells.
		made := c.call("POST", "/api/accesses", opening("wrongpass")).is(201, "")
		told := c.call("GET", "/api/attempts/"+made.text("attempt.id")+"?wait=30", "").is(200, "")
		if told.text("state") != "failed" || told.text("outcome") != "bad_credentials" {
			t.Errorf("%s", told.raw)
		}
		// Too late.
		late := c.create("otp")
		db.Clock.Advance(time.Hour)
		c.call("PUT", "/api/accesses/"+late.text("access.id")+"/fetch/accounts?wait=30", answering("123456")).is(410, "question_expired")
		c.call("POST", "/api/challenges/"+late.text("attempt.challenge.id")+"/answer", answering("123456")).is(410, "question_expired")
		// Cancelled.
		given := c.create("otp-2")
		cancelled := c.call("POST", "/api/attempts/"+given.text("attempt.id")+"/cancel", "").is(200, "")
		if cancelled.text("state") != "cancelled" {
			t.Errorf("%s", cancelled.raw)
		}
		// Sent again.
		resent := c.create("otp-3")
		c.call("POST", "/api/challenges/"+resent.text("attempt.challenge.id")+"/resend?wait=30", "").is(202, "")
		if n := c.site.Counters("otp-3"); n.CodesSent != 2 {
			t.Errorf("%d codes sent", n.CodesSent)
		}
		// The same form twice is one creation.
		twice := c.call("POST", "/api/accesses?wait=30", opening("otp-3")).is(200, "")
		if twice.text("access.id") != resent.text("access.id") {
			t.Errorf("%s", twice.raw)
		}
		resumed := c.call("POST", "/api/accesses/"+resent.text("access.id")+"/resume", "").is(200, "")
		if resumed.text("attempt.challenge.status") != "open" {
			t.Errorf("%s", resumed.raw)
		}
		c.call("POST", "/api/accesses/"+resent.text("access.id")+"/discard", "").is(204, "")
		if all := c.call("GET", "/api/all", "").is(200, ""); len(all.at("accesses").([]any)) != 0 {
			t.Errorf("%s", all.raw)
		}
		// Nonsense.
		c.call("POST", "/api/accesses", `{"institution":"no","fields":{}}`).is(422, "unknown_institution")
		c.call("POST", "/api/accesses", `{"institution":"sim","fields":{"login":"x"}}`).is(422, "field_required")
		c.call("GET", "/api/accesses/x", "").is(404, "unknown_access")
		c.call("GET", "/api/transactions?account="+camille+"&before=x", "").is(422, "invalid_cursor")
		c.call("GET", "/api/nothing", "").is(404, "unknown_route")
		if refused := c.call("DELETE", "/api/all", "").is(405, "method_not_allowed"); refused.header.Get("Allow") == "" {
			t.Error("which methods are allowed?")
		}
		c.call("POST", "/api/challenges/"+camille+"/answer", answering("123456"), header{"If-Match": "x"}).is(422, "invalid_if_match")
	})
}

// TestBankIsPersonal: each address, without a name, with another's, from another
// site's page.
func TestBankIsPersonal(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, store.SQLite))
	made := c.create("otp")
	access, attempt, question := made.text("access.id"), made.text("attempt.id"), made.text("attempt.challenge.id")
	for _, route := range []struct{ method, path, body string }{
		{"GET", "/api/accesses/" + access, ""},
		{"PATCH", "/api/accesses/" + access, `{"label":"x"}`},
		{"DELETE", "/api/accesses/" + access, ""},
		{"POST", "/api/accesses/" + access + "/resume", ""},
		{"POST", "/api/accesses/" + access + "/discard", ""},
		{"PUT", "/api/accesses/" + access + "/fetch/accounts", ""},
		{"PUT", "/api/accesses/" + access + "/fetch/accounts", answering("123456")},
		{"POST", "/api/accesses/" + access + "/fetch/operations", ""},
		{"GET", "/api/attempts/" + attempt, ""},
		{"POST", "/api/attempts/" + attempt + "/cancel", ""},
		{"POST", "/api/challenges/" + question + "/answer", answering("123456")},
		{"POST", "/api/challenges/" + question + "/resend", ""},
	} {
		if s := c.call(route.method, route.path, route.body, header{"Authorization": "Bearer " + dominic}).is(404, ""); strings.Contains(s.raw, access) {
			t.Errorf("%s %s tells of another's: %s", route.method, route.path, s.raw)
		}
		if s := c.call(route.method, route.path, route.body, header{"Authorization": ""}).is(401, "unauthorized"); s.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s does not say how to authenticate", route.method, route.path)
		}
		if route.method != "GET" {
			c.call(route.method, route.path, route.body, header{"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}).is(403, "cross_origin")
		}
	}
	for _, path := range []string{"/api/all", "/api/institutions", "/api/transactions?account=" + access, "/api/events"} {
		c.call("GET", path, "", header{"Authorization": ""}).is(401, "unauthorized")
	}
	if s := c.call("GET", "/api/all", "", header{"Authorization": "Bearer " + dominic}).is(200, ""); len(s.at("accesses").([]any)) != 0 || s.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s", s.raw)
	}
	if n := c.site.Counters("otp"); n.CodesTried != 0 {
		t.Errorf("%d codes tried", n.CodesTried)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, store.SQLite))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+camille)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	if ct := stream.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("%d %s", stream.StatusCode, ct)
	}
	made := c.create("otp")
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if diff := cmp.Diff(fmt.Sprintf(`{"kind":"attempt","id":%q}`, made.text("attempt.id")), data); diff != "" {
			t.Error(diff)
		}
		return
	}
	t.Fatalf("nothing was told: %v", lines.Err())
}

// TestOpenAPI: the description is reviewed like a contract.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, store.SQLite))
	s := c.call("GET", "/api/openapi.json", "").is(200, "")
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(s.raw), "", "  "); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("%s differs; when the change is meant, run go test ./api -update and review it:\n%s", path, diff)
	}
}

// TestHumaIsHardened: what this library lets through or out unless told not to.
func TestHumaIsHardened(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, store.SQLite))
	secret := bankPassword // newCounter looks for it in every answer when the test ends
	for name, one := range map[string]struct {
		body, contentType string
		status            int
		code              string
	}{
		"a refused value does not come back":       {body: `{"institution":"sim","fields":{"login":["` + secret + `"]}}`, status: 422, code: "invalid_request"},
		"nor the body around an unknown name":      {body: `{"institution":"sim","fields":{"password":"` + secret + `"},"x":1}`, status: 422, code: "invalid_request"},
		"null is no map":                           {body: `{"institution":"sim","fields":null}`, status: 422, code: "invalid_request"},
		"names have one case":                      {body: `{"institution":"sim","FIELDS":{"login":"simple","password":"` + secret + `"}}`, status: 422, code: "invalid_request"},
		"a name is given once":                     {body: `{"institution":"sim","institution":"sim","fields":{"login":"simple","password":"` + secret + `"}}`, status: 400, code: "invalid_json"},
		"a field is given once":                    {body: `{"institution":"sim","fields":{"login":"a","login":"simple","password":"` + secret + `"}}`, status: 400, code: "invalid_json"},
		"text is UTF-8":                            {body: "{\"institution\":\"sim\",\"fields\":{\"login\":\"\xff\",\"password\":\"" + secret + "\"}}", status: 400, code: "invalid_json"},
		"what is not JSON does not come back":      {body: secret, status: 400, code: "invalid_json"},
		"nothing follows the object":               {body: `{"institution":"sim","fields":{}} "` + secret + `"`, status: 400, code: "invalid_json"},
		"a request is small":                       {body: `{"institution":"sim","fields":{"login":"` + strings.Repeat(secret, 5000) + `"}}`, status: 413, code: "too_large"},
		"only JSON is understood":                  {body: "institution=sim&password=" + secret, contentType: "application/x-www-form-urlencoded", status: 415, code: "not_json"},
		"a long name may be a value out of place":  {body: `{"institution":"sim","fields":{},"` + strings.Repeat("x", 200) + secret + `":1}`, status: 422, code: "invalid_request"},
		"an unknown field of a form is named only": {body: `{"institution":"sim","fields":{"login":"simple","password":"x","pin":"` + secret + `"}}`, status: 422, code: "field_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := header{}
			if one.contentType != "" {
				headers["Content-Type"] = one.contentType
			}
			s := c.call("POST", "/api/accesses", one.body, headers)
			s.t = t
			s.is(one.status, one.code)
			if strings.Contains(s.raw, secret) {
				t.Errorf("the answer holds the secret: %s", s.raw)
			}
		})
	}
	spec := c.call("GET", "/api/openapi.json", "")
	if strings.Contains(spec.raw, "$schema") || strings.Contains(spec.raw, "example.com") {
		t.Error("the description links elsewhere")
	}
	if made := c.create("simple"); strings.Contains(made.raw, "$schema") || made.header.Get("Link") != "" {
		t.Errorf("an answer links elsewhere: %s %v", made.raw, made.header)
	}
	c.call("GET", "/docs", "").is(404, "unknown_route")
	if db := c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM accesses"); db != "1" {
		t.Errorf("%s accesses", db)
	}
}
