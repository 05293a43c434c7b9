package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
)

// running is a whole program in this process, on a real database, with a
// configuration of its own.
type running struct {
	*program
	t *testing.T
}

// configured writes the files of a configuration and gives the path of the first.
func configured(t *testing.T, db *storetest.DB, providers string, settings ...string) string {
	t.Helper()
	folder := t.TempDir()
	db.Given(folder) // by these files an operator gives secrets
	path := func(name string) string { return filepath.Join(folder, name) }
	lines := append([]string{
		fmt.Sprintf("guichet_database = %q", db.Source), fmt.Sprintf("guichet_key_file = %q", path("key")), fmt.Sprintf("guichet_addr = %q", freeAddress(t)),
		`guichet_admin_addr = "127.0.0.1:0"`, fmt.Sprintf("guichet_providers_file = %q", path("providers.toml")), `guichet_log = "error"`,
	}, settings...)
	for name, text := range map[string]string{"providers.toml": providers, "guichet.toml": strings.Join(lines, "\n")} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path("guichet.toml")
}

// withFile writes one more file beside a configuration.
func withFile(t *testing.T, path, name, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opened is a program that does not serve yet.
func opened(t *testing.T, path string) *running {
	t.Helper()
	return openedAt(t, path, guichet.SystemClock())
}

func openedAt(t *testing.T, path string, clock guichet.Clock) *running {
	t.Helper()
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openProgramAt(t.Context(), c, newLog(c.LogLevel, os.Stderr), clock)
	if err != nil {
		t.Fatal(err)
	}
	return &running{p, t}
}

// serving is a program that serves until the test ends.
func serving(t *testing.T, path string) *running {
	t.Helper()
	return servingAt(t, path, guichet.SystemClock())
}

func servingAt(t *testing.T, path string, clock guichet.Clock) *running {
	t.Helper()
	r := openedAt(t, path, clock)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.waitUntilServed(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// deliver sends a delivery as DataPass would and gives the status and the token.
func (r *running) deliver(secret, event string, firedAt, id int) (status int, token string) {
	r.t.Helper()
	s := simdatapass.Sender{URL: r.config.URL, Provider: "api_entreprise", Format: "v2", Secret: guichet.Secret(secret)}
	a, err := s.Send(r.t.Context(), []byte(delivery(event, firedAt, id)))
	if err != nil {
		r.t.Fatal(err)
	}
	return a.Status, a.TokenID
}

// told is what a receiver of notifications was sent.
type told struct {
	header http.Header
	body   string
}

// receiver is somebody else's system: it answers with what next says, and keeps
// what it was sent.
type receiver struct {
	answers chan func(told) int // the first answers the first notification, and so on; none left: 204
	sent    chan told
}

func newReceiver() *receiver {
	return &receiver{answers: make(chan func(told) int, 10), sent: make(chan told, 1000)}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	n := told{request.Header.Clone(), string(body)}
	status := http.StatusNoContent
	select {
	case answer := <-r.answers:
		status = answer(n)
	default:
	}
	r.sent <- n
	if status/100 == 3 {
		w.Header().Set("Location", "http://"+request.Host+"/elsewhere")
	}
	w.WriteHeader(status)
}

func code(status int) func(told) int { return func(told) int { return status } }
