package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/job"
)

// The seventeen scenarios that no test of the site Guichet replaces has, each by
// the number it has in docs/compared.md, as DataPass and its operators play them.
func TestScenarios(t *testing.T) {
	scenarios := map[string]func(*window, *testing.T){
		"O1 a revocation takes every token, one that ends later too":         (*window).o1,
		"O2 an approval that failed comes after the revocation":              (*window).o2,
		"O3 the same approval again does not prolong twice":                  (*window).o3,
		"O4 a replay by hand has other bytes":                                (*window).o4,
		"O5 a refused re-opening gives no scope":                             (*window).o5,
		"O6 a partial revocation takes the tokens of its authorization only": (*window).o6,
		"O7 the two revocations of FranceConnect are one":                    (*window).o7,
		"O8 an archive without a revocation alerts and takes nothing":        (*window).o8,
		"O9 a deletion alerts and takes nothing":                             (*window).o9,
		"O10 the test ping":                                                  (*window).o10,
		"O11 what comes back from the archive":                               (*window).o11,
		"O12 a transfer during a re-opening":                                 (*window).o12,
		"O13 a contact who was removed has nothing any more":                 (*window).o13,
		"O14 malformed, unsigned, too large, of another environment":         (*window).o14,
		"O15 a token blocked and replaced":                                   (*window).o15,
		"O16 every reminder of a token":                                      (*window).o16,
		"O17 a mail server that is dead delays nothing":                      (*window).o17,
	}
	played := map[string]bool{}
	for name, play := range scenarios {
		number, _, _ := strings.Cut(name, " ")
		played[number] = true
		t.Run(name, func(t *testing.T) { each(t, func(t *testing.T, c *window) { play(c, t) }) })
	}
	for n := range 17 {
		if name := fmt.Sprint("O", n+1); !played[name] {
			t.Errorf("%s is not played", name)
		}
	}
}

// say is a delivery of the second format; change may do anything to its data.
func say(name string, at, id int, change func(data map[string]any)) string {
	var whole map[string]any
	if err := json.Unmarshal([]byte(event(name, at, id)), &whole); err != nil {
		panic(err)
	}
	if change != nil {
		change(whole["data"].(map[string]any))
	}
	body, err := json.Marshal(whole)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// is wants the verdict on each token: ok, or the word of the refusal.
func (c *window) is(verdict string, tokens ...string) {
	c.t.Helper()
	for _, token := range tokens {
		if got := c.check(token); got != verdict {
			c.t.Errorf("token %s: %s, want %s", token, got, verdict)
		}
	}
}

// alerted lists the kinds of the alerts, the oldest first.
func (c *window) alerted(kinds ...grant.AlertKind) {
	c.t.Helper()
	var want []string
	for _, k := range kinds {
		want = append(want, string(k))
	}
	if got := c.db.Column("SELECT kind FROM alerts ORDER BY opened_at"); !slices.Equal(got, want) {
		c.t.Errorf("alerts %q, want %q", got, want)
	}
}

func (c *window) request(provider string, id int) grant.Request {
	c.t.Helper()
	r, err := c.desk.Store.Request(c.t.Context(), provider, fmt.Sprint(id))
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// letters counts the mails of a kind that were written.
func (c *window) letters(template string) string {
	return c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail' AND args LIKE '%\"" + template + "\"%'")
}

var nora = guichet.Actor{Kind: guichet.ByPerson, ID: "p", Name: "nora@guichet.test"}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (c *window) o1(t *testing.T) {
	first := c.send("approve", noon, 1)
	second := must[guichet.ID](t)(c.desk.Issue(t.Context(), nora, "api_entreprise", "1"))
	third := must[guichet.ID](t)(c.desk.Issue(t.Context(), nora, "api_entreprise", "1"))
	must[guichet.ID](t)(c.desk.Block(t.Context(), nora, second, grant.Blocking{At: c.desk.Clock.Now().Add(30 * 24 * time.Hour)}))
	c.is("ok", first, second.String(), third.String())
	c.send("revoke", noon+1, 1)
	c.is("token_revoked", first, second.String(), third.String())
	if c.rows("blocklist") != "3" {
		t.Errorf("%s in the blocklist", c.rows("blocklist"))
	}
}

func (c *window) o2(t *testing.T) {
	approval := event("approve", noon, 1)
	heal := c.db.FailStatement("tokens", "INSERT")
	status, _ := c.post(v2Path, secret, approval)
	heal()
	if status != http.StatusServiceUnavailable {
		t.Fatalf("a failure of ours: %d", status)
	}
	c.send("revoke", noon+60, 1)
	if token := c.deliver(v2Path, secret, approval); token != "" || c.rows("tokens") != "0" {
		t.Errorf("the late approval gave a token: %q", token)
	}
	if r := c.request("api_entreprise", 1); r.Status != grant.Revoked || c.last("effect") != "late" {
		t.Errorf("%s, %s", r.Status, c.last("effect"))
	}
	c.alerted(grant.AlertRevokeUnknown, grant.AlertLateApproval)
}

func (c *window) o3(t *testing.T) {
	token := c.send("approve", noon, 1)
	end := c.request("api_entreprise", 1).Tokens[0].ExpiresAt
	for range 3 {
		c.db.Clock.Advance(24 * time.Hour)
		if again := c.send("approve", noon, 1); again != token {
			t.Errorf("answered %q, then %q", token, again)
		}
	}
	if r := c.request("api_entreprise", 1); len(r.Tokens) != 1 || !r.Tokens[0].ExpiresAt.Equal(end) {
		t.Errorf("prolonged from %s to %+v", end, r.Tokens)
	}
}

func (c *window) o4(t *testing.T) {
	body := event("approve", noon, 1)
	token := c.deliver(v2Path, secret, body)
	replay := say("approve", noon, 1, nil) // its keys are sorted
	if replay == body {
		t.Fatal("the bytes are the same")
	}
	if again := c.deliver(v2Path, secret, replay); again != token || c.last("effect") != "duplicate" {
		t.Errorf("%q then %q, %s", token, again, c.last("effect"))
	}
	c.send("revoke", noon+1, 1)
	if again := c.deliver(v2Path, secret, replay); again != token { // the answer it had; nothing comes back to life
		t.Errorf("after the revocation: %q", again)
	}
	c.is("token_revoked", token)
}

func (c *window) o5(t *testing.T) {
	token := c.send("approve", noon, 1)
	c.send("reopen", noon+1, 1)
	more := func(data map[string]any) {
		data["state"] = "validated"
		data["data"] = map[string]any{"intitule": "Plus", "scopes": []string{"a", "everything"}, "contact_technique_email": "new@tech.fr"}
	}
	c.deliver(v2Path, secret, say("submit", noon+2, 1, more))
	c.deliver(v2Path, secret, say("refuse", noon+3, 1, more))
	c.is("ok", token)
	_, jwt, err := c.desk.Reveal(t.Context(), nora, guichet.ID(token))
	if err != nil {
		t.Fatal(err)
	}
	if status, word, _ := c.ask("/check?scope=everything", "X-Api-Key", jwt.Reveal()); status != http.StatusForbidden {
		t.Errorf("the refused scope: %d %s", status, word)
	}
	r := c.request("api_entreprise", 1)
	if r.Status != grant.Validated || r.Title != "Marchés" || r.MaySee("new@tech.fr") || c.last("note") != "reopening_refused" {
		t.Errorf("%+v, %s", r, c.last("note"))
	}
	c.alerted()
}

// own is an authorization of the provider, as the payload lists it.
func own(id int, state string, scopes ...string) map[string]any {
	return map[string]any{
		"id": id, "state": state, "revoked": state == "revoked", "definition_id": "api_entreprise",
		"created_at": "2026-05-04T09:33:19.870+02:00", "data": map[string]any{"scopes": scopes},
	}
}

func (c *window) o6(t *testing.T) {
	listing := func(state string, all ...map[string]any) func(map[string]any) {
		return func(data map[string]any) { data["state"], data["authorizations"] = state, all }
	}
	c.deliver(v2Path, secret, say("approve", noon, 1, listing("validated", own(70, "active", "a"))))
	old := must[guichet.ID](t)(c.desk.Issue(t.Context(), nora, "api_entreprise", "1")).String()
	current := c.deliver(v2Path, secret, say("approve", noon+1, 1, listing("validated", own(70, "active", "a"), own(71, "active", "a"))))
	if current == old {
		old = c.request("api_entreprise", 1).Tokens[0].ID.String()
	}
	c.is("ok", old, current)
	c.deliver(v2Path, secret, say("revoke", noon+2, 1, listing("validated", own(70, "revoked", "a"), own(71, "active", "a"))))
	c.is("token_revoked", old)
	c.is("ok", current)
	c.alerted(grant.AlertPartialRevoke)
	if r := c.request("api_entreprise", 1); r.Status != grant.Validated {
		t.Errorf("the request is %s", r.Status)
	}
	c.deliver(v2Path, secret, say("revoke", noon+3, 1, listing("revoked", own(70, "revoked", "a"), own(71, "revoked", "a"))))
	c.is("token_revoked", old, current)
}

func (c *window) o7(t *testing.T) {
	const path = "/api/datapass/v2/api_particulier/webhook"
	listing := func(state, ours, child string) func(map[string]any) {
		return func(data map[string]any) {
			particulier := own(80, ours, "a")
			particulier["definition_id"] = "api_particulier"
			connect := own(81, child)
			connect["definition_id"] = "france_connect"
			data["state"], data["authorizations"] = state, []map[string]any{particulier, connect}
		}
	}
	token := c.deliver(path, particul, say("approve", noon, 1, listing("validated", "active", "active")))
	c.is("ok", token)
	c.deliver(path, particul, say("revoke", noon+1, 1, listing("validated", "revoked", "active")))
	c.is("token_revoked", token)
	c.deliver(path, particul, say("revoke", noon+2, 1, listing("revoked", "revoked", "revoked")))
	if r := c.request("api_particulier", 1); r.Status != grant.Revoked || c.rows("blocklist") != "1" || c.letters("request_revoked") != "1" {
		t.Errorf("%s, %s blocks, %s letters", r.Status, c.rows("blocklist"), c.letters("request_revoked"))
	}
	c.alerted()
}

func (c *window) o8(t *testing.T) {
	token := c.send("approve", noon, 1)
	c.send("archive", noon+1, 1)
	c.is("ok", token)
	c.alerted(grant.AlertArchiveValidated)
	if r := c.request("api_entreprise", 1); r.Status != grant.Validated || r.ArchivedAt.IsZero() {
		t.Errorf("%s, archived %s", r.Status, r.ArchivedAt)
	}
	// one click of an operator
	if n := must[int](t)(c.desk.Revoke(t.Context(), nora, "api_entreprise", "1", "the revocation was lost")); n != 1 {
		t.Errorf("%d blocked", n)
	}
	c.is("token_revoked", token)
}

func (c *window) o9(t *testing.T) {
	c.send("delete", noon, 1) // nobody knows it
	token := c.send("approve", noon, 2)
	c.send("delete", noon+1, 2)
	c.send("create", noon, 3)
	c.send("delete", noon+1, 3)
	c.send("approve", noon, 4)
	c.send("revoke", noon+1, 4)
	c.send("delete", noon+2, 4)
	c.is("ok", token)
	c.alerted(grant.AlertDelete, grant.AlertDelete, grant.AlertDelete, grant.AlertDelete)
	if c.rows("requests") != "3" || c.request("api_entreprise", 2).DeletedAtSource.IsZero() || len(c.request("api_entreprise", 3).Contacts) == 0 {
		t.Error("a deletion removed something, or was not noted")
	}
}

func (c *window) o10(t *testing.T) {
	for range 2 { // at each change of the address, and each time it is switched on again
		status, answer := c.post(v2Path, secret, `{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`)
		if status != http.StatusOK || strings.TrimSpace(answer) != "{}" {
			t.Errorf("%d %s", status, answer)
		}
	}
	// the vector that the specification gives
	status, _ := c.post(v2Path, "x", `{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`, "X-Hub-Signature-256",
		"sha256=0c7560b45398192046284fb1e7946d55c77e1dd0c6e2d8bf52ebd87a8fd54a8c")
	if status != http.StatusOK || c.rows("requests")+c.rows("alerts")+c.rows("tokens") != "000" {
		t.Errorf("%d, or an effect", status)
	}
}

func (c *window) o11(t *testing.T) {
	c.send("create", noon, 1)
	c.send("archive", noon+1, 1)
	if r := c.request("api_entreprise", 1); r.Status != grant.Archived || r.PurgeAt.IsZero() {
		t.Errorf("%+v", r)
	}
	c.send("submit", noon+2, 1) // repaired by hand at the source
	if r := c.request("api_entreprise", 1); r.Status != grant.Submitted || !r.PurgeAt.IsZero() || !r.ArchivedAt.IsZero() {
		t.Errorf("%+v", r)
	}
	c.alerted(grant.AlertAfterArchive)
	c.send("archive", noon+3, 1)
	if token := c.send("approve", noon+4, 1); token != "" || c.last("effect") != "held" {
		t.Errorf("approved from the archive: %q %s", token, c.last("effect"))
	}
	c.alerted(grant.AlertAfterArchive, grant.AlertHeldApproval)
}

func (c *window) o12(t *testing.T) {
	token := c.send("approve", noon, 1)
	c.send("reopen", noon+1, 1)
	c.deliver(v2Path, secret, say("transfer", noon+2, 1, func(data map[string]any) {
		data["state"] = "draft"
		data["data"] = map[string]any{"intitule": "Brouillon", "scopes": []string{"everything"}}
		data["organization"] = map[string]any{"name": "AUTRE", "siret": "13002526500013"}
		data["applicant"] = map[string]any{"email": "paul@autre.fr", "family_name": "Roche"}
	}))
	c.is("ok", token)
	r := c.request("api_entreprise", 1)
	if r.Status != grant.Validated || r.Title != "Marchés" || slices.Contains(r.Scopes, "everything") {
		t.Errorf("the draft was taken: %+v", r)
	}
	if r.SIRET != "13002526500013" || !r.MayHold("paul@autre.fr") || r.MaySee("claire@valmont.fr") {
		t.Errorf("the transfer was not taken: %+v", r)
	}
}

func (c *window) o13(t *testing.T) {
	with := func(email string) func(map[string]any) {
		return func(data map[string]any) {
			data["data"].(map[string]any)["contact_technique_email"] = email
		}
	}
	token := guichet.ID(c.deliver(v2Path, secret, say("approve", noon, 1, with("dsi@valmont.fr"))))
	idir := guichet.Actor{Kind: guichet.ByPerson, ID: "i", Name: "dsi@valmont.fr"}
	link := must[guichet.Secret](t)(c.desk.HandOver(t.Context(), idir, token, ""))
	c.deliver(v2Path, secret, say("approve", noon+1, 1, with("new@valmont.fr")))
	r := c.request("api_entreprise", 1)
	if r.MaySee("dsi@valmont.fr") || !r.MayHold("new@valmont.fr") {
		t.Errorf("%+v", r.Contacts)
	}
	if _, err := c.desk.HandOver(t.Context(), idir, token, ""); !errors.Is(err, grant.ErrNoToken) {
		t.Errorf("hands over still: %v", err)
	}
	if _, _, err := c.desk.TakeOver(t.Context(), link); !errors.Is(err, grant.ErrHandover) {
		t.Errorf("the link of who was removed gives the token still: %v", err)
	}
}

func (c *window) o14(t *testing.T) {
	good := event("approve", noon, 1)
	for name, try := range map[string]struct {
		secret, body string
		status       int
		headers      []string
	}{
		"malformed":                     {secret, good[:200], 400, nil},
		"unsigned":                      {secret, good, 401, []string{"X-Hub-Signature-256", ""}},
		"malformed and unsigned":        {"x", good[:200], 401, nil},
		"oversized":                     {secret, good + strings.Repeat(" ", 1<<20), 413, nil},
		"another environment, unsigned": {"x", good, 401, []string{"X-App-Environment", "sandbox"}},
	} {
		if status, answer := c.post(v2Path, try.secret, try.body, try.headers...); status != try.status {
			t.Errorf("%s: %d %s, want %d", name, status, answer, try.status)
		}
	}
	if c.rows("requests")+c.rows("tokens") != "00" || c.rows("deliveries") != "1" { // what is signed and not JSON is kept
		t.Errorf("%s requests, %s deliveries", c.rows("requests"), c.rows("deliveries"))
	}
}

func (c *window) o15(t *testing.T) {
	token := c.send("approve", noon, 1)
	replacement := must[guichet.ID](t)(c.desk.Block(t.Context(), nora, guichet.ID(token), grant.Blocking{Reason: "published", Replace: true}))
	c.is("token_revoked", token)
	c.is("ok", replacement.String())
	if _, err := c.desk.Block(t.Context(), nora, guichet.ID(token), grant.Blocking{Replace: true}); !errors.Is(err, grant.ErrBlocked) {
		t.Errorf("blocked twice: %v", err)
	}
	later := must[guichet.ID](t)(c.desk.Block(t.Context(), nora, replacement, grant.Blocking{At: c.desk.Clock.Now().Add(time.Hour), Replace: true}))
	c.db.Clock.Advance(2 * time.Hour)
	if _, _, err := c.desk.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.is("token_revoked", token, replacement.String())
	c.is("ok", later.String())
	// an approval prolongs the one that lives, not one that was taken back
	if got := c.send("approve", noon+9, 1); got != later.String() {
		t.Errorf("prolonged %s, not %s", got, later)
	}
}

func (c *window) o16(t *testing.T) {
	c.send("approve", noon, 1)
	end := c.request("api_entreprise", 1).Tokens[0].ExpiresAt
	told := 0
	for _, days := range []int{91, 90, 89, 60, 30, 14, 7, 1, 0} {
		at := end.AddDate(0, 0, -days).Add(-time.Minute)
		c.db.Clock.Advance(at.Sub(c.desk.Clock.Now()))
		for range 2 { // whoever asks twice is told once
			told += must[int](t)(c.desk.Remind(t.Context(), c.db.Grant()))
		}
	}
	if told != 7 || c.letters("token_expires") != "7" {
		t.Errorf("%d reminders, %s letters", told, c.letters("token_expires"))
	}
	for _, days := range []int{90, 60, 30, 14, 7, 1, 0} {
		if n := c.db.Value(fmt.Sprintf(`SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE args LIKE '%%"days":"%d"%%'`, days)); n != "1" {
			t.Errorf("%s letters of %d days before", n, days)
		}
	}
}

func (c *window) o17(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	var refused, sent atomic.Int64
	runner := &job.Runner{
		Store: c.db.Jobs(), Clock: c.db.Clock.Clock(), Log: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond,
		Handlers: map[string]job.Handler{"mail": func(context.Context, job.Claimed) error {
			if dead.Load() {
				refused.Add(1)
				return errors.New("connection refused")
			}
			sent.Add(1)
			return nil
		}},
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { runner.Run(ctx) })
	defer running.Wait()
	defer stop()
	const many = 5
	for i := range many {
		token := c.send("approve", noon, i)
		c.is("ok", token)
		c.send("revoke", noon+1, i)
		c.is("token_revoked", token)
	}
	for refused.Load() < 2*many { // each letter was tried, and failed
		<-time.After(time.Millisecond)
	}
	dead.Store(false)
	for sent.Load() < 2*many {
		c.db.Clock.Advance(time.Minute)
		<-time.After(5 * time.Millisecond)
	}
}
