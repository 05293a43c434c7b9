package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet/people"
	"guichet/store"
	"guichet/store/storetest"
)

// What a person has is given to nobody before it is written down who took it: where
// that cannot be written, nothing comes out, and no file stays behind.
func TestExportIsAudited(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			db := storetest.New(t, engine)
			p := openedProgram(t, db, nil)
			t.Setenv("GUICHET_DATABASE", db.Source) // for the command, which opens a program of its own
			t.Setenv("GUICHET_KEY_FILE", p.config.KeyFile)
			person, err := p.people.AddPerson(t.Context(), atCommandLine(), people.NewPerson{Email: "paul@guichet.test", Role: people.Member})
			if err != nil {
				t.Fatal(err)
			}
			deeds := func() string {
				return db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = 'person.exported' AND actor_kind = $1 AND actor_name = $2 AND subject = $3",
					string(atCommandLine().Kind), atCommandLine().Name, "person/"+person.ID.String())
			}
			whole := filepath.Join(t.TempDir(), "whole.json")
			export := func(file string) (string, error) {
				var out bytes.Buffer
				err := exportCmd{User: person.Email, File: file}.Run(t.Context(), terminal{out: &out}, &cli{})
				return out.String(), err
			}
			heal := db.FailStatement("audit_entries", "INSERT")
			for _, file := range []string{"", whole} {
				if out, err := export(file); err == nil || out != "" {
					t.Errorf("with an audit that is broken: %q, %v", out, err)
				}
			}
			if _, err := os.Stat(whole); !os.IsNotExist(err) {
				t.Errorf("a file stayed: %v", err)
			}
			heal()
			if out, err := export(""); err != nil || !strings.Contains(out, person.Email) || deeds() != "1" {
				t.Errorf("%q, %v; %s deeds", out, err, deeds())
			}
			if _, err := export(whole); err != nil || deeds() != "2" {
				t.Errorf("%v; %s deeds", err, deeds())
			}
			if text, err := os.ReadFile(whole); err != nil || !strings.Contains(string(text), person.Email) {
				t.Errorf("%q, %v", text, err)
			}
			if _, err := export(whole); err == nil {
				t.Error("a file was written over")
			}
			if text, err := os.ReadFile(whole); err != nil || !strings.Contains(string(text), person.Email) || deeds() != "2" {
				t.Errorf("%q, %v; %s deeds", text, err, deeds())
			}
		})
	}
}
