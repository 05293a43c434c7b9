package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/grant"
	"guichet/mail"
	"guichet/store/storetest"
)

// Every letter that a rule may name can be written, and previewed, in both
// languages: a rule is checked when the program starts, not when somebody waits.
func TestEveryMailCanBeWritten(t *testing.T) {
	var known []string
	for _, template := range mail.Templates() {
		known = append(known, template.Name)
	}
	for _, k := range grant.LetterKinds() {
		if !slices.Contains(known, string(k)) {
			t.Errorf("nobody can write %s", k)
		}
	}
	p := &program{config: config{Providers: map[string]provider{"api_entreprise": {Provider: grant.Provider{Title: "API Entreprise"}}}}}
	for _, name := range []string{"api_entreprise", "api_particulier"} {
		for _, rule := range grant.DefaultMails(name) {
			for _, language := range []string{"fr", "en"} {
				subject, text, html, err := p.preview("api_entreprise", rule, language)
				if err != nil || subject == "" || text == "" || !strings.Contains(html, `<html lang="`+language+`">`) {
					t.Errorf("%s in %s: %v", rule.Name, language, err)
				}
			}
		}
	}
}

// A gate is a mail server that may be dead: it takes connections and says
// nothing, which is worse than refusing them.
type gate struct {
	net.Listener
	mu   sync.Mutex
	dead bool
	held []net.Conn
	most int // held at once
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		dead := g.dead
		if dead {
			g.held = append(g.held, c)
			g.most = max(g.most, len(g.held))
		}
		g.mu.Unlock()
		if !dead {
			return c, nil
		}
	}
}

func (g *gate) revive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = false
	for _, c := range g.held {
		_ = c.Close()
	}
}

// A mail server that takes connections and never answers delays nothing but
// mails: many letters wait for it, notifications go out all the while. Once it is
// back each person gets each letter, once.
func TestDeadMailServerDelaysNothingElse(t *testing.T) {
	t.Parallel()
	const requests = 25
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{Listener: l, dead: true}
		kept := sinkOn(t, g)
		hook := newReceiver()
		listening := httptest.NewServer(hook)
		defer listening.Close()
		r := serving(t, configured(t, db, hooked(listening.URL), fmt.Sprintf("guichet_smtp = %q", "smtp://"+l.Addr().String()+"?tls=none"),
			`guichet_operators = "ops@guichet.test"`))

		for i := range requests {
			if status, _ := r.deliver("sender", "approve", 1_777_880_000, i); status != 200 {
				t.Fatalf("delivery %d: %d", i, status)
			}
			r.deliver("sender", "update", 1_777_880_001, i)
		}
		r.deliver("sender", "archive", 1_777_880_002, 0) // an alert, which is a mail too
		seen := map[string]bool{}
		for range requests {
			_, data, _ := hook.next(t) // none waits for the mail server
			seen[fmt.Sprint(data["request"])] = true
		}
		if len(seen) != requests {
			t.Errorf("%d requests told of", len(seen))
		}
		for ready := ""; ready == ""; { // nor does anything else that is due
			ready = db.Value("SELECT COALESCE(MIN(slot), '') FROM job_slots WHERE kind = 'sweep'")
		}
		if n := len(db.Column("SELECT id FROM jobs WHERE kind = 'sweep' AND state = 'ready' AND run_at < 1")); n != 0 {
			t.Errorf("%d sweeps wait", n)
		}
		g.mu.Lock()
		most := g.most
		g.mu.Unlock()
		if most == 0 || most > 6 {
			t.Errorf("%d workers at once wait for the mail server", most)
		}
		if n := len(db.Column("SELECT message_id FROM letters_sent")); n != 0 {
			t.Errorf("%d letters were sent by a dead server", n)
		}

		g.revive()
		for limit := time.After(2 * time.Minute); ; {
			kept.mu.Lock()
			n, next := len(kept.all), kept.arrived
			kept.mu.Unlock()
			if n >= requests+1 {
				break
			}
			select {
			case <-next:
			case <-limit:
				t.Fatalf("%d letters of %d; %v", n, requests+1, db.Column("SELECT kind || ' ' || state || ' ' || last_error FROM jobs"))
			}
		}
		for left := "x"; left != "0"; {
			left = db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind IN ('mail', 'alert')")
		}
		ids := map[string]int{}
		for _, m := range kept.all {
			_, after, _ := strings.Cut(m.text, "Message-ID: <")
			id, _, _ := strings.Cut(after, ">")
			ids[m.to+" "+id]++
		}
		if len(ids) != requests+1 || len(kept.all) != requests+1 {
			t.Errorf("%d letters, %d different: somebody got one twice", len(kept.all), len(ids))
		}
	})
}

// A file of mails that is wrong stops the program before it takes anything, and
// says where.
func TestMailsFileOfAProvider(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		write := func(mails string) string {
			path := configured(t, db, "[api_entreprise]\nsecrets = [{ value = \"sender\" }]\nmails_file = \"mails.toml\"\n")
			return withFile(t, path, "mails.toml", mails)
		}
		r := opened(t, write("[[mail]]\nname = \"only\"\non = \"revoke\"\ntemplate = \"request_revoked\"\nto = [\"applicant\"]\n"))
		if rules := r.config.Providers["api_entreprise"].Mail; len(rules) != 1 || rules[0].Name != "only" {
			t.Errorf("%+v", rules)
		}
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
		_, err := loadConfig(write("[[mail]]\nname = \"only\"\non = \"revokes\"\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), `key "on"`) || !strings.Contains(err.Error(), "mails.toml") {
			t.Errorf("%v", err)
		}
		_, err = loadConfig(configured(t, db, "[api_entreprise]\nsecrets = [{ value = \"very-secret\", untill = 2026-12-31T00:00:00Z }]\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "untill") || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%v", err)
		}
	})
}

// A secret is seen in use, ended by one click here and in other processes, and
// stays ended; its last use is written once a minute at most.
func TestSecretsOfAProvider(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		path := configured(t, db, "[api_entreprise]\nsecrets = [{ value = \"new-one\" }, { value = \"old-one\" }]\n[api_particulier]\nsecrets = [{ value = \"old-one\" }]\n")
		r := serving(t, path)
		marks := r.secrets.standings("api_entreprise")
		if len(marks) != 2 || marks[0].Mark == marks[1].Mark || marks[1].Mark == r.secrets.standings("api_particulier")[0].Mark || !marks[1].LastUsedAt.IsZero() {
			t.Fatalf("%+v", marks)
		}
		for i := range 10 {
			if status, _ := r.deliver("old-one", "create", 1_777_880_000, i); status != 200 {
				t.Fatalf("%d", status)
			}
		}
		if s := r.secrets.standings("api_entreprise"); s[1].LastUsedAt.IsZero() || !s[0].LastUsedAt.IsZero() {
			t.Errorf("%+v", s)
		}
		if err := r.secrets.end(t.Context(), atCommandLine(), "api_entreprise", "nothing"); !errors.Is(err, grant.ErrNoSecret) {
			t.Errorf("%v", err)
		}
		// Another process ends it, and this one follows.
		other := opened(t, path)
		if err := other.secrets.end(t.Context(), atCommandLine(), "api_entreprise", marks[1].Mark); err != nil {
			t.Fatal(err)
		}
		if got := other.secrets.active("api_entreprise", other.clock.Now()); len(got) != 1 {
			t.Errorf("%d secrets in the process that ended one", len(got))
		}
		if err := other.store.Close(); err != nil {
			t.Error(err)
		}
		for status := 200; status != 401; {
			status, _ = r.deliver("old-one", "update", 1_777_880_100, 1)
		}
		if status, _ := r.deliver("new-one", "update", 1_777_880_101, 1); status != 200 {
			t.Errorf("the other secret: %d", status)
		}
		again := opened(t, path)
		if s := again.secrets.standings("api_entreprise"); s[1].InForce || s[1].EndedAt.IsZero() || s[1].LastUsedAt.IsZero() || !s[0].InForce {
			t.Errorf("after a restart: %+v", s)
		}
		if s := again.secrets.standings("api_particulier"); !s[0].InForce {
			t.Error("the secret of another provider was ended with it")
		}
		if err := again.store.Close(); err != nil {
			t.Error(err)
		}
		if n := len(db.Column("SELECT id FROM audit_entries WHERE deed = 'provider.secret_ended'")); n != 1 {
			t.Errorf("%d deeds", n)
		}
	})
}

// Uses are written down once a minute, whatever their number.
func TestSecretUsesAreCoarse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		clock := db.Clock.Clock()
		b := &secretBook{store: db.Secrets(), clock: clock, of: map[string][]*knownSecret{"api_entreprise": {{value: "one", mark: "m"}}}}
		noted := func() string {
			if err := b.flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			return strings.Join(db.Column("SELECT CAST(last_used_at AS TEXT) FROM provider_secrets"), " ")
		}
		if got := noted(); got != "" {
			t.Errorf("before any use: %s", got)
		}
		b.use("api_entreprise", "one")
		first := noted()
		for range 50 {
			db.Clock.Advance(time.Second)
			b.use("api_entreprise", "one")
			b.use("api_entreprise", "another")
			b.use("nobody", "one")
			if got := noted(); got != first {
				t.Fatalf("written again within the minute: %s, then %s", first, got)
			}
		}
		db.Clock.Advance(20 * time.Second)
		b.use("api_entreprise", "one")
		if got := noted(); got == first || got == "" {
			t.Errorf("not written after a minute: %s", got)
		}
	})
}
