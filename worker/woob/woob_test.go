package woob_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"guichet"
	"guichet/bank"
	"guichet/connector/connectortest"
	"guichet/connector/process"
	simconnector "guichet/connector/sim"
	"guichet/ledger"
	"guichet/worker/woob"
)

// python is the one that has woob. Tests that need it are named TestWoob…, and
// where it is missing they are left out by their name.
func python(t testing.TB) string {
	t.Helper()
	p := os.Getenv("GUICHET_TEST_WOOB")
	if p == "" {
		p = filepath.Join("..", "..", ".cache", "woob", "bin", "python")
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("no Python with woob (make woob): %v", err)
	}
	return p
}

func connector(t testing.TB, modules string, limits process.Limits) *process.Connector {
	t.Helper()
	c, err := woob.New(woob.Config{
		Python: python(t), Modules: modules, Clock: guichet.SystemClock(), Limits: limits,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

const ours = "guichetsim"

func form(address, login, password string) map[string]guichet.Secret {
	return map[string]guichet.Secret{"login": guichet.Secret(login), "password": guichet.Secret(password), "website": guichet.Secret(address)}
}

var subject = connectortest.Subject{
	Institution: ours,
	New:         func(t testing.TB, _ string) bank.Connector { return connector(t, "testdata/modules", process.Limits{}) },
	Form:        form,
}

// TestWoobConformance: real woob, in processes of its own, keeps every promise
// that a connector in our own process keeps.
func TestWoobConformance(t *testing.T) { connectortest.Run(t, subject) }

// TestWoobPython runs the worker's own tests, with the worker as it is embedded.
func TestWoobPython(t *testing.T) {
	files, err := filepath.Glob("test/*_test.py")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "_test.py"), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			here, err := filepath.Abs("worker")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(here, filepath.Join(folder, "guichet_worker")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python(t), "-I", "-B", "-c",
				"import runpy,sys;sys.path.insert(0,sys.argv[1]);f=sys.argv[2];sys.argv=[f,'-v'];runpy.run_path(f,run_name='__main__')", folder, file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestWoobSameDataAsOurs: what comes through woob is what our own reader of the
// same pages finds, to the cent and to the day.
func TestWoobSameDataAsOurs(t *testing.T) {
	h := connectortest.Open(t, subject, "simple")
	through, accounts := h.Run(t.Context(), nil)
	own := subject
	own.Institution = simconnector.Institution
	own.New = func(t testing.TB, address string) bank.Connector {
		c, err := simconnector.New(address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	own.Form = func(_, login, password string) map[string]guichet.Secret {
		return map[string]guichet.Secret{"login": guichet.Secret(login), "password": guichet.Secret(password)}
	}
	direct, wanted := h.As(own).Run(t.Context(), nil)
	if through.Outcome.Kind != bank.OK || direct.Outcome.Kind != bank.OK {
		t.Fatalf("%+v %+v", through.Outcome, direct.Outcome)
	}
	if diff := cmp.Diff(alike(wanted), alike(accounts)); diff != "" {
		t.Errorf("(-ours +woob)\n%s", diff)
	}
}

// alike leaves out what each reader words in its own way, and spaces, which
// woob makes all alike.
func alike(accounts []connectortest.Account) []connectortest.Account {
	for i := range accounts {
		a := &accounts[i]
		a.AsOf, a.Label, a.Subtype = time.Time{}, strings.Join(strings.Fields(a.Label), " "), ""
		for j := range a.Transactions {
			t := &a.Transactions[j]
			t.RawLabel, t.Label, t.Type = strings.Join(strings.Fields(t.RawLabel), " "), "", ""
			if a.Kind != ledger.Card {
				t.DoneOn = "" // ours reads it out of the label
			}
		}
	}
	return accounts
}

func TestWoobDescribesWhatIsThere(t *testing.T) {
	c := connector(t, "testdata/odd", process.Limits{})
	modules, err := c.Modules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]string{}
	for _, m := range modules {
		problems[m.ID] = m.Problem
		if m.ID != "choosy" {
			continue
		}
		want := []bank.Field{
			{ID: "website", Label: "Site", Choices: []bank.Choice{{Value: "par", Label: "Particuliers"}, {Value: "pro", Label: "Professionnels"}}},
			{ID: "login", Label: "Identifiant", Pattern: `^\d{8}$`, Required: true},
			{ID: "password", Label: "Code secret", Masked: true, Required: true},
			{ID: "joint", Label: "Compte joint", Choices: []bank.Choice{{Value: "1", Label: "oui"}, {Value: "0", Label: "non"}}},
			{ID: "birthday", Label: "Date de naissance"},
		}
		if diff := cmp.Diff(want, m.Fields, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("fields: %s", diff)
		}
	}
	if len(problems) != 4 || problems["choosy"] != "" || !strings.Contains(problems["quitter"], "SystemExit") || !strings.Contains(problems["broken"], "does not load") || !strings.Contains(problems["needy"], "no-such-package") {
		t.Errorf("%q", problems)
	}
	list, err := c.Institutions(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "choosy" {
		t.Errorf("%+v, %v", list, err)
	}
	run := bank.Run{Institution: "broken", Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now()}
	if o := c.Run(t.Context(), run, nothing{}).Outcome; o.Kind != bank.ConnectorError || o.Reason != "load" {
		t.Errorf("%+v", o)
	}
	run.Institution, run.Credentials = "choosy", map[string]guichet.Secret{"login": "12", "password": "x"}
	if o := c.Run(t.Context(), run, nothing{}).Outcome; o.Kind != bank.ConfigInvalid || !slices.Equal(o.BadFields, []string{"login"}) {
		t.Errorf("%+v", o)
	}
}

type nothing struct{}

func (nothing) Progress(bank.Phase, int, int)                   {}
func (nothing) Account(ledger.Account) error                    { return nil }
func (nothing) Transactions(string, []ledger.Transaction) error { return nil }
func (nothing) Warn(string, string)                             {}

// TestWoobThatIsNotThere: a Python without woob, and none at all.
func TestWoobThatIsNotThere(t *testing.T) {
	for name, want := range map[string]string{"/nonexistent/python": "missing", "python3": "load"} {
		c, err := woob.New(woob.Config{Python: name, Modules: "testdata/modules", Clock: guichet.SystemClock()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Institutions(t.Context()); err == nil {
			t.Errorf("%s lists institutions", name)
		}
		run := bank.Run{Institution: ours, Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now()}
		if o := c.Run(t.Context(), run, nothing{}).Outcome; o.Kind != bank.ConnectorError || o.Reason != want {
			t.Errorf("%s: %+v", name, o)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWoobTimes: how long a person waits for us after a code, and how soon a
// worker is gone after a cancel. The bounds are for a busy machine.
func TestWoobTimes(t *testing.T) {
	h := connectortest.Open(t, subject, "otp")
	h.LogIn()
	began := time.Now()
	if o := h.Answer("000000"); o.Kind != bank.AnswerRejected {
		t.Fatalf("%+v", o)
	}
	whole := time.Since(began)
	t.Logf("an answer, with Python, woob and the bank: %v", whole)
	if whole > 30*time.Second {
		t.Errorf("an answer takes %v", whole)
	}

	hang := connectortest.Open(t, subject, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan bank.Result, 1)
	go func() {
		r, _ := hang.Run(ctx, nil)
		ended <- r
	}()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for hang.Site.Counters("hang").Faults == 0 {
		<-look.C
	}
	cancel()
	began = time.Now()
	<-ended
	gone := time.Since(began)
	t.Logf("from a cancel until nothing is left: %v", gone)
	if gone > 3*time.Second {
		t.Errorf("a cancelled worker is gone after %v", gone)
	}
}
