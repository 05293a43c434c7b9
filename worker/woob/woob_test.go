package woob_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"guichet"
	"guichet/bank"
	"guichet/connector/connectortest"
	"guichet/connector/process"
	"guichet/worker/woob"
)

// python is the one that has woob. Tests that need it are named TestWoob…, and
// where it is missing they are left out by their name.
func python(t testing.TB) string {
	t.Helper()
	p := os.Getenv("GUICHET_WOOB_PYTHON")
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
