package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/job"
	"guichet/people"
	"guichet/store"
	"guichet/store/storetest"
)

// openedProgram is the program of this process on a test's database.
func openedProgram(t *testing.T, db *storetest.DB, settings map[string]string) *program {
	t.Helper()
	var lines []string
	for name, value := range settings {
		lines = append(lines, fmt.Sprintf("%s = %q", strings.ToLower(name), value))
	}
	c, err := loadConfig(configured(t, db, "", lines...))
	if err != nil {
		t.Fatal(err)
	}
	p, err := openProgram(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.store.Close() })
	return p
}

// The letters about an access go to its owner alone, in their language, with a
// link to a page and nothing else: it holds no token, and asks to sign in.
func TestTellOwner(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			sink := newSink(t)
			p := openedProgram(t, storetest.New(t, engine), map[string]string{
				"GUICHET_SMTP": "smtp://" + sink.address + "?tls=none", "GUICHET_MAIL_FROM": "Guichet <guichet@guichet.test>", "GUICHET_URL": "https://guichet.test",
				"GUICHET_SIM_BANK": "http://127.0.0.1:1",
			})
			at := time.Date(2027, 3, 5, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
			access := p.clock.NewID()
			for language, subjects := range map[string][2]string{
				"fr": {"Banque des Tests attend votre confirmation", "Dans 7 jours, Banque des Tests vous redemandera une confirmation"},
				"en": {"Banque des Tests is waiting for your confirmation", "In 7 days, Banque des Tests will ask you for a confirmation again"},
			} {
				owner, err := p.people.AddPerson(t.Context(), atCommandLine(), people.NewPerson{Email: language + "@guichet.test", Role: people.Member, Language: language})
				if err != nil {
					t.Fatal(err)
				}
				for i, template := range []string{"access_waiting", "access_trust"} {
					args, err := json.Marshal(bank.TellArgs{
						Owner: owner.ID, Access: access, Institution: "sim", Label: "Compte joint", Template: template,
						Data: map[string]string{"at": at, "days": "7", "expires_at": at},
					})
					if err != nil {
						t.Fatal(err)
					}
					if err := p.tellOwner(t.Context(), job.Claimed{ID: p.clock.NewID(), Kind: bank.JobTell, Args: args}); err != nil {
						t.Fatal(err)
					}
					if want := regexp.MustCompile(regexp.QuoteMeta(subjects[i])); !sink.has(owner.Email, want) {
						// A subject may be folded or encoded in the raw text: look at what was decoded.
						if err := sink.wait(owner.Email, regexp.MustCompile(`https://guichet\.test/accesses/`+access.String())); err != nil {
							t.Errorf("%s in %s: %v", template, language, err)
						}
					}
				}
			}
			links := regexp.MustCompile(`https?://[^\s"<>]+`)
			for _, m := range sink.all {
				for _, link := range links.FindAllString(m.text[strings.LastIndex(m.text, "Content-Type"):], -1) {
					if link != "https://guichet.test/accesses/"+access.String() {
						t.Errorf("a letter to %s leads to %s", m.to, link)
					}
				}
			}
			if len(sink.all) != 4 {
				t.Errorf("%d letters", len(sink.all))
			}
			// Somebody who left is not written to.
			args, _ := json.Marshal(bank.TellArgs{Owner: guichet.ID("0190b6e4-1111-7111-8111-111111111111"), Access: access, Template: "access_waiting"})
			if err := p.tellOwner(t.Context(), job.Claimed{ID: p.clock.NewID(), Args: args}); err != nil || len(sink.all) != 4 {
				t.Errorf("%d letters, %v", len(sink.all), err)
			}
		})
	}
}
