package datapass_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/connector/datapass"
	"guichet/grant"
	simdatapass "guichet/sim/datapass"
)

// A clock that a test moves.
type hands struct{ now time.Time }

func (h *hands) clock() guichet.Clock {
	c := guichet.SystemClock()
	c.Now = func() time.Time { return h.now }
	return c
}

// source is a simulated DataPass whose deliveries go nowhere, and a client of it.
func source(t *testing.T) (*simdatapass.Site, *datapass.Client, *hands) {
	t.Helper()
	h := &hands{now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(receiver.Close)
	site := simdatapass.New(simdatapass.Options{
		Clock: h.clock(), Receiver: receiver.URL, ClientID: "guichet", ClientSecret: "s3cret",
		Providers: []simdatapass.Provider{{Name: "api_entreprise", Secrets: []guichet.Secret{"k"}}, {Name: "api_particulier", Secrets: []guichet.Secret{"k"}}},
	})
	web := httptest.NewServer(site)
	t.Cleanup(web.Close)
	return site, &datapass.Client{
		URL: web.URL + "/api/v1", ClientID: "guichet", Secret: "s3cret", Definition: "api_entreprise", Webhook: "api_entreprise", Clock: h.clock(), PageSize: 3,
		Wait: func(context.Context, time.Duration) error { return nil },
	}, h
}

func create(t testing.TB, s *simdatapass.Site, provider string, events ...string) int {
	t.Helper()
	n, err := s.Create(simdatapass.Draft{Provider: provider, Title: "Aides"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := s.Do(n, e); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func list(t *testing.T, c *datapass.Client) (numbers []string) {
	t.Helper()
	for offset := 0; ; {
		page, next, err := c.List(t.Context(), offset)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			numbers = append(numbers, r.ExternalID)
		}
		if next == 0 {
			return numbers
		}
		offset = next
	}
}

func TestPages(t *testing.T) {
	site, client, _ := source(t)
	if got := list(t, client); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	for i := range 8 {
		create(t, site, []string{"api_entreprise", "api_particulier"}[i%2], "submit", "approve")
	}
	if got := list(t, client); !slices.Equal(got, []string{"50001", "50003", "50005", "50007"}) {
		t.Errorf("every request of the provider once, and no other: %v", got)
	}
	r, err := client.Get(t.Context(), "50003")
	if err != nil || r.Status != grant.Validated || r.Word("api_entreprise") != grant.Validated || len(r.Authorizations) != 1 || r.SIRET == "" || r.ValidatedAt.IsZero() {
		t.Errorf("%+v %v", r, err)
	}
	for _, number := range []string{"50002", "99999"} { // another provider's; nobody's
		if _, err := client.Get(t.Context(), number); guichet.CodeOf(err) != "not_at_source" {
			t.Errorf("%s: %v", number, err)
		}
	}
	events, err := client.Events(t.Context(), "50001")
	if err != nil || len(events) != 3 || events[2].Name() != grant.Approve || events[0].By.Email == "" {
		t.Errorf("%+v %v", events, err)
	}
}

// The attempts API has the newest hundred only: the client goes back in time.
func TestAttempts(t *testing.T) {
	site, client, h := source(t)
	start := h.now
	for range 130 {
		h.now = h.now.Add(time.Minute)
		create(t, site, "api_entreprise")
		site.Step(t.Context())
	}
	got, err := client.Attempts(t.Context(), start)
	if err != nil || len(got) != 130 {
		t.Errorf("%d %v", len(got), err)
	}
	if got, err = client.Attempts(t.Context(), h.now.Add(-time.Minute)); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
}

// Each way a source fails is an error of its own, and never a shorter list.
func TestFailuresAreTyped(t *testing.T) {
	site, client, h := source(t)
	create(t, site, "api_entreprise")
	for _, c := range []struct {
		fault string
		times int
		want  string
	}{
		{simdatapass.FaultAPIDown, 1, "source_unreachable"},
		{simdatapass.FaultAPIGarbage, 1, "source_unreadable"},
		{simdatapass.FaultAPILimit, 1, ""},
		{simdatapass.FaultAPILimit, 9, "source_rate_limited"},
		{simdatapass.FaultAPIExpired, 1, ""},
		{simdatapass.FaultAPIExpired, 9, "source_refuses"},
	} {
		if err := site.Fault(c.fault, c.times); err != nil {
			t.Fatal(err)
		}
		_, err := client.Get(t.Context(), "50001")
		if got := guichet.CodeOf(err); err != nil && got != c.want || err == nil && c.want != "" {
			t.Errorf("%s × %d: %v, want %q", c.fault, c.times, err, c.want)
		}
		_ = site.Fault(c.fault, 0)
	}
	h.now = h.now.Add(3 * time.Hour) // the token is over by its own time
	if _, err := client.Get(t.Context(), "50001"); err != nil {
		t.Error(err)
	}
	wrong := &datapass.Client{URL: client.URL, ClientID: "guichet", Secret: "wrong-secret", Definition: "api_entreprise", Clock: h.clock()}
	_, err := wrong.Get(t.Context(), "50001")
	if guichet.CodeOf(err) != "source_refuses" || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("%v", err)
	}
	nobody := &datapass.Client{URL: "http://127.0.0.1:1", ClientID: "a", Secret: "b", Clock: h.clock()}
	if _, _, err := nobody.List(t.Context(), 0); guichet.CodeOf(err) != "source_unreachable" {
		t.Errorf("%v", err)
	}
}

// What is not as documented is never half read.
func TestHostileAnswers(t *testing.T) {
	h := &hands{now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	for body, want := range map[string]string{
		`[]`: "", `[{"id":"50001","type":"AuthorizationRequest::APIEntreprise","state":"validated"}]`: "",
		`[{"id":50001,"type":"AuthorizationRequest::APIEntreprise","state":"tomorrow"}]`: "",
		`{}`: "source_unreadable", `null`: "", `[{"id":{},"type":"x"}]`: "source_unreadable", `[{"type":"x"}]`: "source_unreadable", `[1]`: "source_unreadable",
		`<html>`: "source_unreadable", `[{"id":1,"type":"x","habilitations":{}}]`: "source_unreadable", ``: "source_unreadable",
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/token") {
				_, _ = w.Write([]byte(`{"access_token":"t","token_type":"Bearer","expires_in":7200}`))
				return
			}
			_, _ = w.Write([]byte(body))
		}))
		client := &datapass.Client{URL: web.URL, ClientID: "a", Secret: "b", Definition: "api_entreprise", Clock: h.clock()}
		if _, _, err := client.List(t.Context(), 0); err != nil && guichet.CodeOf(err) != want || err == nil && want != "" {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
		web.Close()
	}
	to := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer to.Close()
	client := &datapass.Client{URL: to.URL, ClientID: "a", Secret: "b", Clock: h.clock()}
	if _, _, err := client.List(t.Context(), 0); guichet.CodeOf(err) != "source_unreadable" {
		t.Errorf("a redirection is not followed with our secret: %v", err)
	}
}
