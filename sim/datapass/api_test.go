package simdatapass_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// ask calls the API with a token, and reads a list.
func (w *world) ask(token, path string) (status int, list []map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.web.URL+"/api/v1"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(text, &list) // an error is an object
	return response.StatusCode, list
}

// The API as it is documented: credentials, filters, pages of ten unless more is
// asked for, and what it does not tell.
func TestAPI(t *testing.T) {
	w := newWorld(t, "v2")
	for range 12 {
		n := w.create("api_entreprise", false)
		w.do(n, "submit", "approve")
	}
	w.do(50012, "revoke")
	w.create("api_particulier", false)
	w.site.Step(t.Context())
	for _, c := range []struct {
		form url.Values
		want int
	}{
		{url.Values{"grant_type": {"password"}}, 400},
		{url.Values{"grant_type": {"client_credentials"}, "client_id": {"guichet"}, "client_secret": {"no"}}, 401},
		{url.Values{"grant_type": {"client_credentials"}}, 401},
	} {
		if status, text := w.post("/api/v1/oauth/token", c.form); status != c.want {
			t.Errorf("%v: %d %s", c.form, status, text)
		}
	}
	_, text := w.post("/api/v1/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"guichet"}, "client_secret": {"s3cret"}})
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Type != "Bearer" || answer.Expires != 7200 {
		t.Fatalf("%s %v", text, err)
	}
	for path, want := range map[string]int{
		"/demandes": 10, "/demandes?limit=1000": 13, "/demandes?limit=5&offset=12": 1, "/demandes?limit=5&offset=99": 0, "/demandes?state[]=revoked": 1,
		"/demandes?limit=100&state[]=validated&state[]=draft": 12, "/demandes?siret=00000000000000": 0, "/demandes/50001/events": 3,
		"/habilitations?limit=100": 12, "/habilitations?state[]=revoked": 1, "/webhooks/api_entreprise/attempts?limit=100": 37,
		"/webhooks/api_entreprise/attempts": 10, "/webhooks/api_entreprise/attempts?limit=100&end_time=2000-01-01T00:00:00Z": 0,
	} {
		if status, list := w.ask(answer.Token, path); status != 200 || len(list) != want {
			t.Errorf("%s: %d with %d, want %d", path, status, len(list), want)
		}
	}
	for path, want := range map[string]int{"/demandes/99": 404, "/demandes/x/events": 404, "/webhooks/nobody/attempts": 404, "/webhooks/api_entreprise/attempts?start_time=yesterday": 400} {
		if status, _ := w.ask(answer.Token, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	_, list := w.ask(answer.Token, "/demandes?limit=1")
	if _, told := list[0]["applicant"]; told || list[0]["habilitations"].([]any)[0].(map[string]any)["definition_id"] != nil {
		t.Error("the real API tells neither applicants nor definitions")
	}
	if status, _ := w.ask("", "/demandes"); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	w.advance(3 * time.Hour)
	if status, _ := w.ask(answer.Token, "/demandes"); status != 401 {
		t.Errorf("with one that is over: %d", status)
	}
}
