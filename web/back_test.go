package web_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"guichet/store/storetest"
)

// Where a form was refused, the page leads back to the one with the form, and so do
// the switch of language and the door.
func TestErrorLeadsBack(t *testing.T) {
	t.Parallel()
	o := newOffice(t, storetest.New(t, "sqlite"))
	v := o.operator("nora@guichet.example")
	page := "/tokens/" + o.send("approve", 1, "Marchés publics").String()
	post := func(client *http.Client, from string, values url.Values) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.web.URL+page+"/block", strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Referer", from)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	for from, want := range map[string]string{o.web.URL + page: page, "https://evil.test" + page: "", "": "", "::": ""} {
		read, err := io.ReadAll(post(v.client, from, url.Values{"reason": {"publié"}, "at": {"32/13/2026"}}).Body)
		if err != nil {
			t.Fatal(err)
		}
		body := string(read)
		if got := strings.Contains(body, `href="`+page+`">Revenir à la page`); got != (want != "") {
			t.Errorf("from %q: leads back is %t", from, got)
		}
		back := want
		if back == "" {
			back = "/"
		}
		if !strings.Contains(body, `name="back" value="`+back+`"`) || !strings.Contains(body, "Ce n’est pas une date.") {
			t.Errorf("from %q: the switch of language leads elsewhere than %s", from, back)
		}
	}
	if to := post(&http.Client{}, o.web.URL+page, nil).Header.Get("Location"); to != "/sign-in?next="+url.QueryEscape(page) {
		t.Errorf("who is signed out is sent to %s", to)
	}
}
