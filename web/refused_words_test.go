package web_test

import (
	"net/http"
	"strings"
	"testing"

	"guichet/store/storetest"
)

// Who is refused at the door is told so in the language of the page.
func TestRefusedSignInSpeaksFrench(t *testing.T) {
	t.Parallel()
	v := newHouse(t, storetest.New(t, "sqlite")).visitor("a@example.org")
	v.client = &http.Client{} // a browser that nobody is signed in with
	p := v.post("/sign-in", "email", v.me.Email, "password", "some other long words")
	if p.status != http.StatusUnauthorized || !strings.Contains(p.body, "Cette adresse et ce mot de passe ne vont pas ensemble.") {
		t.Errorf("%d: %s", p.status, p.body)
	}
}
