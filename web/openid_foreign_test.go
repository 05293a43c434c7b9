package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"guichet"
	"guichet/openid"
	"guichet/store/storetest"
)

// foreignIssuer starts an OpenID provider that others wrote, and gives its address.
func foreignIssuer(t *testing.T) string {
	t.Helper()
	python := os.Getenv("GUICHET_TEST_OPENID")
	if python == "" {
		t.Fatal("there is no OpenID provider: run make openid, and set GUICHET_TEST_OPENID to its Python")
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, python, "-m", "oidc_provider_mock", "--port", "0", "--require-registration", "--require-nonce")
	out, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		defer close(address)
		for s := bufio.NewScanner(out); s.Scan(); {
			if at := regexp.MustCompile(`running on (http://127\.0\.0\.1:\d+)`).FindStringSubmatch(s.Text()); at != nil {
				address <- at[1]
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = c.Wait() // it was killed
	})
	at, ok := <-address
	if !ok {
		t.Fatal("the OpenID provider does not start")
	}
	return at
}

// tell sends JSON to the provider, and reads its answer when into is not nil.
func tell(t *testing.T, method, address string, what, into any) {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, address, answer.Status)
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// At a provider that others wrote (RSA keys, a client that it registered, a page
// where one chooses who one is), a person signs in, and strangers do not.
func TestForeignOpenID(t *testing.T) {
	t.Parallel()
	at := foreignIssuer(t)
	db := storetest.New(t, "sqlite")
	d := newDoor(t, db, newProvider(t, db.Clock.Clock()), func(s *openid.Settings) {
		var client struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		tell(t, http.MethodPost, at+"/oauth2/clients", map[string]any{"redirect_uris": []string{s.Back}}, &client)
		s.Issuer, s.ClientID, s.ClientSecret = at, client.ID, guichet.Secret(client.Secret)
	})
	tell(t, http.MethodPut, at+"/users/nora", map[string]any{"email": operatorEmail, "email_verified": true}, nil)
	tell(t, http.MethodPut, at+"/users/maybe", map[string]any{"email": operatorEmail}, nil)
	tell(t, http.MethodPut, at+"/users/who", map[string]any{"email": "who@guichet.example", "email_verified": true}, nil)
	as := func(v *visitor, sub string) *seen {
		return v.send(http.MethodPost, v.hop("/sign-in/openid?next=/alerts"), url.Values{"sub": {sub}})
	}
	as(d.stranger(), "nora").is(200, "/alerts")
	as(d.stranger(), "maybe").is(200, "/sign-in", "qu’il ait vérifiée")
	as(d.stranger(), "who").is(200, "/sign-in", "ProConnect vous connaît")
	v := d.stranger() // who says no there is sent back without a state
	v.send(http.MethodPost, v.hop("/sign-in/openid"), url.Values{"action": {"deny"}}).is(200, "/sign-in", "Rien n’a changé")
	v.out()
}
