package api_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/api"
	"guichet/canary"
	"guichet/store/storetest"
)

// Operators' programs read and change the limits of a token; nobody else does, and
// nothing of them is at that address while the grant window is closed.
func TestLimitsOfTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := open(t, db)
		token := c.send("approve", noon, 1)
		roles := map[string]string{"nora": "operator", "camille": "member"}
		face := &api.Bank{
			Tokens: c.desk, Log: slog.New(slog.DiscardHandler), Cookie: "guichet", Machines: true,
			Identify: func(r *http.Request) (guichet.Actor, string, error) {
				name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				if roles[name] == "" {
					return guichet.Actor{}, "", nil
				}
				return guichet.Actor{Kind: guichet.ByPerson, ID: guichet.ID(name), Name: name}, roles[name], nil
			},
		}
		server := httptest.NewServer(canary.NewDoor(t).Handler(face.Handler()))
		t.Cleanup(server.Close)
		call := func(who, method, path, body string) (int, string) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, bytes.NewReader([]byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+who)
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return answer.StatusCode, strings.TrimSpace(string(text))
		}
		path := "/api/tokens/" + token + "/limits"
		none, set := `{"id":"`+token+`","limits":{"from":[],"per_minute":0}}`, `{"id":"`+token+`","limits":{"from":["192.0.2.0/24","2001:db8::1/128"],"per_minute":60}}`
		for _, step := range []struct {
			who, method, path, body string
			status                  int
			want                    string // the whole answer, or the code of a problem
		}{
			{"nora", "GET", path, "", 200, none},
			{"nora", "PUT", path, `{"from":["192.0.2.7/24","2001:db8::1"],"per_minute":60}`, 200, set},
			{"nora", "GET", path, "", 200, set},
			{"camille", "GET", path, "", 403, "not_allowed"},
			{"camille", "PUT", path, `{"from":[],"per_minute":0}`, 403, "not_allowed"},
			{"nobody", "PUT", path, `{"from":[],"per_minute":0}`, 401, "unauthorized"},
			{"nora", "PUT", path, `{"from":["300.0.2.7"],"per_minute":60}`, 422, "invalid_limit"},
			{"nora", "PUT", path, `{"from":["::ffff:192.0.2.1"],"per_minute":60}`, 422, "invalid_limit"},
			{"nora", "PUT", path, `{"from":[],"per_minute":-1}`, 422, "invalid_request"},
			{"nora", "PUT", path, `{"from":null,"per_minute":1}`, 422, "invalid_request"},
			{"nora", "PUT", path, `{}`, 422, "invalid_request"}, // what is left out is not what is taken away
			{"nora", "PUT", path, `{"from":[],"per_minute":1,"per_minute":2}`, 400, "invalid_json"},
			{"nora", "PUT", "/api/tokens/0190b6e4-0000-7000-8000-000000000001/limits", `{"from":[],"per_minute":0}`, 404, "unknown_token"},
			{"nora", "GET", "/api/tokens/x/limits", "", 404, "unknown_token"},
			{"nora", "DELETE", path, "", 405, "method_not_allowed"},
			{"nora", "GET", "/api/all", "", 404, "unknown_route"}, // the bank window is closed here
			{"nora", "GET", path, "", 200, set},
			{"nora", "PUT", path, `{"from":[],"per_minute":0}`, 200, none},
		} {
			status, got := call(step.who, step.method, step.path, step.body)
			if status != step.status || status == 200 && got != step.want || status != 200 && !strings.Contains(got, `"code":"`+step.want+`"`) {
				t.Errorf("%s %s %s %s: %d %s", step.who, step.method, step.path, step.body, status, got)
			}
		}
		deeds := db.Column(`SELECT actor_name FROM audit_entries WHERE deed = 'token.limited'`)
		if diff := cmp.Diff([]string{"nora", "nora"}, deeds); diff != "" {
			t.Errorf("who limited it, by the audit:\n%s", diff)
		}
		if _, spec := call("", "GET", "/api/openapi.json", ""); !strings.Contains(spec, `"/api/tokens/{id}/limits"`) || strings.Contains(spec, `"/api/accesses"`) {
			t.Error("the description does not tell of what is here")
		}
	})
}
