package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/notify"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
)

const (
	hookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
	hookFormer = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func hooked(url string) string {
	return fmt.Sprintf(`
[api_entreprise]
secrets = [{ value = "sender" }]
[api_entreprise.notify]
url = %q
private_network = true
secrets = [{ value = %q }, { value = %q }]
`, url, hookSecret, hookFormer)
}

// signedBy tells whether a notification was signed with the secret, as
// docs/notifications.md tells receivers to look.
func signedBy(t *testing.T, n told, secret string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(n.header.Get("webhook-id") + "." + n.header.Get("webhook-timestamp") + "." + n.body))
	return slices.Contains(strings.Fields(n.header.Get("webhook-signature")), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// next waits for the next notification and reads it.
func (r *receiver) next(t *testing.T) (kind string, data map[string]any, n told) {
	t.Helper()
	select {
	case n = <-r.sent:
	case <-time.After(time.Minute):
		t.Fatal("no notification in a minute")
	}
	var body struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(n.body), &body); err != nil || body.Timestamp.IsZero() {
		t.Fatalf("%v: %s", err, n.body)
	}
	for _, secret := range []string{hookSecret, hookFormer} {
		if !signedBy(t, n, secret) {
			t.Errorf("not signed: %v %s", n.header, n.body)
		}
	}
	for _, personal := range []string{"claire", "morel", "valmont", "marchés", "@"} {
		if strings.Contains(strings.ToLower(n.body), personal) {
			t.Errorf("a notification has personal data: %s", n.body)
		}
	}
	return body.Type, body.Data, n
}

// A provider's systems are told of a token issued, a token blocked, a request
// revoked, each once, signed.
func TestNotifications(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newReceiver()
		server := httptest.NewServer(hook)
		defer server.Close()
		r := serving(t, configured(t, db, hooked(server.URL)))
		_, token := r.deliver("sender", "approve", 1_777_880_000, 1)
		kind, data, _ := hook.next(t)
		if kind != "token.issued" || data["token"] != token || data["request"] != "1" || data["provider"] != "api_entreprise" || data["expires_at"] == nil {
			t.Errorf("%s %v", kind, data)
		}
		r.deliver("sender", "approve", 1_777_880_000, 1) // the same event: nothing
		r.deliver("sender", "update", 1_777_880_001, 1)  // nothing that is told
		second, err := r.grant.Issue(t.Context(), guichet.System("test"), "api_entreprise", "1")
		if err != nil {
			t.Fatal(err)
		}
		if kind, data, _ = hook.next(t); kind != "token.issued" || data["token"] != second.String() {
			t.Errorf("%s %v", kind, data)
		}
		if _, err := r.grant.Block(t.Context(), guichet.System("test"), second, grant.Blocking{Reason: "fuite chez Claire"}); err != nil {
			t.Fatal(err)
		}
		if kind, data, _ = hook.next(t); kind != "token.blocked" || data["token"] != second.String() || data["blocked_at"] == nil {
			t.Errorf("%s %v", kind, data)
		}
		r.deliver("sender", "revoke", 1_777_880_002, 1)
		got := map[string]map[string]any{}
		for range 2 {
			kind, data, _ := hook.next(t)
			got[kind] = data
		}
		if got["token.blocked"]["token"] != token || got["request.revoked"]["revoked_at"] == nil || fmt.Sprint(got["request.revoked"]["tokens"]) != "["+token+"]" {
			t.Errorf("%v", got)
		}
		settle(t, db, 5)
		if n := len(hook.sent); n != 0 {
			t.Errorf("%d more notifications", n)
		}
	})
}

// settle waits until so many notifications are delivered or given up.
func settle(t *testing.T, db *storetest.DB, n int) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		if got := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM notices WHERE state <> 'waiting'"); got == fmt.Sprint(n) {
			return
		}
		select {
		case <-limit:
			t.Fatalf("not settled: %v", db.Column("SELECT type || ' ' || state || ' ' || problem FROM notices"))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// What is not taken is tried again under the same identifier; a redirect is not
// followed; 410 ends it with an alert; a person sends it again.
func TestNotificationsAreTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newReceiver()
		server := httptest.NewServer(hook)
		defer server.Close()
		for _, status := range []int{503, 302, 410} {
			hook.answers <- code(status)
		}
		r := serving(t, configured(t, db, hooked(server.URL+"/hook")))
		r.deliver("sender", "approve", 1_777_880_000, 1)
		_, _, first := hook.next(t)
		id, err := guichet.ParseID(first.header.Get("webhook-id"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // nobody waits for the pauses: a person hurries it
			for tries := ""; tries == "" || tries == "0"; {
				tries = db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'notice' AND state = 'ready'")
			}
			if err := r.notices().SendAgain(t.Context(), guichet.System("test"), id); err != nil {
				t.Fatal(err)
			}
			if _, _, again := hook.next(t); again.header.Get("webhook-id") != id.String() || again.body != first.body {
				t.Errorf("another notification: %v %s", again.header, again.body)
			}
		}
		settle(t, db, 1)
		n, err := r.store.Notices().Notice(t.Context(), id)
		if err != nil || n.State != grant.NoticeFailed || n.Code != 410 || n.Attempts != 3 {
			t.Errorf("%+v %v", n, err)
		}
		var codes []int
		for _, try := range n.Tries {
			codes = append(codes, try.Code)
			if try.EndedAt.IsZero() {
				t.Errorf("attempt %d has no end", try.N)
			}
		}
		if !slices.Equal(codes, []int{410, 302, 503}) {
			t.Errorf("answers %v", codes)
		}
		if kinds := db.Column("SELECT kind || ' ' || subject FROM alerts"); !slices.Equal(kinds, []string{"notification_failed api_entreprise/1"}) {
			t.Errorf("alerts %v", kinds)
		}
		if err := r.notices().SendAgain(t.Context(), guichet.System("test"), id); err != nil {
			t.Fatal(err)
		}
		hook.next(t)
		for state := ""; state != "delivered"; {
			state = db.Value("SELECT state FROM notices")
		}
		if len(db.Column("SELECT id FROM audit_entries WHERE deed = 'notification.sent_again'")) != 3 {
			t.Error("sending again is not in the audit")
		}
	})
}

// The pauses end: after a round of three days an operator is told, and nothing
// more is sent by itself.
func TestNotificationsAreGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		down := guichet.Error{Kind: guichet.Unavailable, Code: "notification_unreachable"}
		n := grant.Notices{Store: db.Notices(), Clock: db.Clock.Clock(), Deliver: nobody(&down)}
		notice := grant.Notice{
			ID: db.Clock.Clock().NewID(), Provider: "api_entreprise", Type: grant.NoticeTokenIssued, ExternalID: "1", MadeAt: db.Clock.Now(), Body: json.RawMessage(`{}`),
		}
		args, err := json.Marshal(notice)
		if err != nil {
			t.Fatal(err)
		}
		attempts := 0
		for begun := db.Clock.Now(); ; attempts++ {
			wait, again, err := n.Attempt(t.Context(), args)
			if err == nil {
				t.Fatal("delivered to nobody")
			}
			if !again {
				if took := db.Clock.Now().Sub(begun); took < 72*time.Hour || took > 96*time.Hour {
					t.Errorf("given up after %s", took)
				}
				break
			}
			db.Clock.Advance(wait)
		}
		// The queue may ask once more, when we died before it knew: nothing happens.
		if _, again, err := n.Attempt(t.Context(), args); again || err != nil || db.Value("SELECT CAST(attempts AS TEXT) FROM notices") != "11" {
			t.Errorf("one more attempt after the end: %v %v", again, err)
		}
		if attempts != 10 || db.Value("SELECT state FROM notices") != "failed" || db.Value("SELECT kind FROM alerts") != "notification_failed" {
			t.Errorf("%d attempts, %v", attempts+1, db.Column("SELECT state FROM notices"))
		}
	})
}

func nobody(err error) func(context.Context, string, guichet.ID, []byte) (int, error) {
	return func(context.Context, string, guichet.ID, []byte) (int, error) { return 0, err }
}

// The process is killed after the other side took a notification and before that
// is noted. It is delivered again under the same identifier: at least once, and
// told apart by it.
func TestNoticeKilledBetweenSendAndNote(t *testing.T) {
	t.Parallel()
	program := built(t)
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		hook := newReceiver()
		server := httptest.NewServer(hook)
		defer server.Close()
		folder := t.TempDir()
		providers := filepath.Join(folder, "providers.toml")
		db.Given(providers)
		if err := os.WriteFile(providers, []byte(hooked(server.URL)), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: folder, env: []string{"GUICHET_PROVIDERS_FILE=" + providers}}
		s.start()
		hook.answers <- func(told) int { s.kill(); return 204 } // taken, and nobody is left to note it
		body := delivery("approve", 1_777_880_000, 1)
		sender := simdatapass.Sender{URL: "http://" + s.address, Provider: "api_entreprise", Format: "v2", Secret: "sender"}
		if _, err := sender.Send(t.Context(), []byte(body)); err != nil && !strings.Contains(err.Error(), "EOF") {
			t.Logf("the sender: %v", err) // it may have been killed before it answered
		}
		_, _, first := hook.next(t)
		if got := db.Value("SELECT state || ' ' || CAST(attempts AS TEXT) FROM notices"); got != "waiting 1" {
			t.Errorf("after the kill: %s", got)
		}
		db.SQL("UPDATE jobs SET lease_until = 1 WHERE kind = 'notice'") // half a minute passes
		s.start()
		defer s.kill()
		_, _, again := hook.next(t)
		if first.header.Get("webhook-id") != again.header.Get("webhook-id") || first.body != again.body {
			t.Errorf("not the same notification:\n%v %s\n%v %s", first.header, first.body, again.header, again.body)
		}
		settle(t, db, 1)
		if got := db.Value("SELECT state || ' ' || CAST(attempts AS TEXT) FROM notices"); got != "delivered 2" {
			t.Errorf("in the end: %s", got)
		}
		if open := db.Column("SELECT CAST(n AS TEXT) FROM notice_attempts WHERE ended_at = 0"); !slices.Equal(open, []string{"1"}) {
			t.Errorf("attempts without an end: %v", open)
		}
	})
}

// The verification that docs/notifications.md shows accepts what we send, and
// nothing else.
func TestVerificationOfTheDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "notifications.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```python\n")
	example, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	hook := newReceiver()
	server := httptest.NewServer(hook)
	defer server.Close()
	sender := notify.NewSender(guichet.SystemClock(), "Guichet/test")
	e := notify.Endpoint{URL: server.URL, Private: true, Secrets: []keyring.Secret{hookFormer, hookSecret}}
	if _, err := sender.Send(t.Context(), e, guichet.SystemClock().NewID(), []byte(`{"type":"token.issued","é":1}`)); err != nil {
		t.Fatal(err)
	}
	n := <-hook.sent
	verdict := func(secret, body string, later int) string {
		headers, err := json.Marshal(map[string]string{
			"webhook-id": n.header.Get("webhook-id"), "webhook-timestamp": n.header.Get("webhook-timestamp"), "webhook-signature": n.header.Get("webhook-signature"),
		})
		if err != nil {
			t.Fatal(err)
		}
		ask := exec.Command("python3", "-c", example+"\nimport json, sys\nprint(verified(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode(), lambda: time.time() + int(sys.argv[4])))",
			secret, string(headers), body, fmt.Sprint(later))
		out, err := ask.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, row := range []struct {
		secret, body string
		later        int
		want         string
	}{
		{hookSecret, n.body, 0, "True"},
		{hookFormer, n.body, 0, "True"},
		{hookSecret, n.body + " ", 0, "False"},
		{"whsec_" + strings.Repeat("A", 32), n.body, 0, "False"},
		{hookSecret, n.body, 400, "False"},
	} {
		if got := verdict(row.secret, row.body, row.later); got != row.want {
			t.Errorf("%d characters, %d s later: %s", len(row.body), row.later, got)
		}
	}
}
