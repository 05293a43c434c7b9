package api_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// What the description says of the addresses of machines is what they do: each is
// called in each way that it answers, and no answer is one it does not tell of.
func TestMachinesAreAsDescribed(t *testing.T) {
	t.Parallel()
	var spec struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct{ Properties map[string]any }
				}
			}
		}
		Components struct {
			SecuritySchemes map[string]struct{ Name string }
		}
	}
	described := newCounter(t, storetest.New(t, store.SQLite)).call("GET", "/api/openapi.json", "")
	if err := json.Unmarshal([]byte(described.raw), &spec); err != nil {
		t.Fatal(err)
	}
	if got := spec.Components.SecuritySchemes["session"].Name; got != "guichet" {
		t.Errorf("the cookie of a session is named %q", got)
	}
	c := open(t, storetest.New(t, store.SQLite))
	id, secret := c.client(grant.Client{Provider: "api_entreprise", MayIntrospect: true, MayRevoke: true})
	other, otherSecret := c.client(grant.Client{Provider: "api_particulier", MayRevoke: true})
	live := c.send("approve", noon, 1)
	jwt := c.jwt(live)
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	form := url.Values{"token": {jwt}}.Encode()
	formType := "application/x-www-form-urlencoded"
	seen := map[string]bool{}
	for _, call := range []struct {
		method, path, body string
		headers            []string
		at                 string
		want               int
	}{
		{"GET", "/check?scope=a", "", []string{"Authorization", "Bearer " + jwt}, "/check", 204},
		{"GET", "/check", "", []string{"X-Api-Key", jwt}, "/check", 204},
		{"GET", "/check", "", nil, "/check", 401},
		{"GET", "/check?scope=b", "", []string{"Authorization", "Bearer " + jwt}, "/check", 403},
		{"GET", "/status", "", nil, "/status", 200},
		{"GET", "/status/0", "", nil, "/status/{n}", 200},
		{"GET", "/status/0", "", []string{"If-None-Match", "*"}, "/status/{n}", 304},
		{"GET", "/status/900", "", nil, "/status/{n}", 404},
		{"GET", "/status/0", "", []string{"Accept", "text/html"}, "/status/{n}", 406},
		{"GET", "/status/0?time=1", "", nil, "/status/{n}", 501},
		{"GET", "/.well-known/jwks.json", "", nil, "/.well-known/jwks.json", 200},
		{"GET", "/.well-known/oauth-authorization-server", "", nil, "/.well-known/oauth-authorization-server", 200},
		{"POST", "/oauth/introspect", form, []string{"Content-Type", formType, "Authorization", basic(id, secret)}, "/oauth/introspect", 200},
		{"POST", "/oauth/introspect", form, []string{"Content-Type", formType}, "/oauth/introspect", 401},
		{"POST", "/oauth/introspect", form, []string{"Content-Type", formType, "Authorization", basic(other, otherSecret)}, "/oauth/introspect", 400},
		{"POST", "/oauth/introspect", form, []string{"Content-Type", "text/plain"}, "/oauth/introspect", 415},
		{"POST", "/oauth/introspect", "token=" + strings.Repeat("x", 17<<10), []string{"Content-Type", formType}, "/oauth/introspect", 413},
		{"POST", "/oauth/revoke", form, []string{"Content-Type", formType, "Authorization", basic(other, otherSecret)}, "/oauth/revoke", 400},
		{"POST", "/oauth/revoke", form, []string{"Content-Type", formType, "Authorization", basic(id, secret)}, "/oauth/revoke", 200},
	} {
		got := c.fetch(call.method, call.path, io.Reader(strings.NewReader(call.body)), call.headers...)
		seen[call.at] = true
		if got.status != call.want {
			t.Errorf("%s %s: %d, want %d", call.method, call.path, got.status, call.want)
		}
		operation, ok := spec.Paths[call.at][strings.ToLower(call.method)]
		if !ok {
			t.Errorf("%s %s is not described", call.method, call.at)
			continue
		}
		answer, ok := operation.Responses[strconv.Itoa(got.status)]
		if !ok {
			t.Errorf("%s %s: %d is not described", call.method, call.at, got.status)
		}
		kind, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
		if _, ok := answer.Content[kind]; !ok && len(got.body) > 0 || len(got.body) == 0 && len(answer.Content) > 0 {
			t.Errorf("%s %s: %d is %q, which is not described", call.method, call.at, got.status, kind)
		}
		var members map[string]any
		if len(got.body) > 0 && strings.Contains(kind, "json") {
			if err := json.Unmarshal(got.body, &members); err != nil {
				t.Errorf("%s %s: %v", call.method, call.at, err)
			}
		}
		for name := range members {
			if _, ok := answer.Content[kind].Schema.Properties[name]; !ok {
				t.Errorf("%s %s: %d has %q, which is not described", call.method, call.at, got.status, name)
			}
		}
	}
	for path := range spec.Paths {
		if !strings.HasPrefix(path, "/api/") && !seen[path] && path != "/blocklist" { // gateways have tests of their own
			t.Errorf("%s is described and not tried", path)
		}
	}
	if c.check(live) != "token_revoked" {
		t.Errorf("the last call took nothing back: %s", c.check(live))
	}
}
