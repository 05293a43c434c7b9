package process

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/keyring"
	"guichet/store/storetest"
)

const canary = "canari-9hX/mot de passe"

var somebody = guichet.Actor{Kind: guichet.ByPerson, ID: "0190b6e4-0000-7000-8000-000000000001"}

// TestChaos: whatever a worker does, the attempt ends with the outcome that the
// table says, the database holds all of it or nothing, and no process is left.
func TestChaos(t *testing.T) {
	if len(misbehaviours) < 40 {
		t.Fatalf("only %d misbehaviours", len(misbehaviours))
	}
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newChaos(t, db)
		for _, name := range slices.Sorted(maps.Keys(misbehaviours)) {
			t.Run(name, func(t *testing.T) { h.play(t, name, misbehaviours[name]) })
		}
		if strings.Contains(h.logs.String(), canary) {
			t.Errorf("the log holds the password: %s", h.logs)
		}
		for _, place := range []string{"attempts", "challenges", "audit_entries", "jobs", "alerts"} {
			if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + place + " AS r WHERE CAST(" + textOf[place] + " AS TEXT) LIKE '%" + canary + "%'"); n != "0" {
				t.Errorf("%s holds the password", place)
			}
		}
	})
}

var textOf = map[string]string{
	"attempts": "label || detail", "challenges": "question || last_text", "audit_entries": "deed || detail", "jobs": "args || last_error", "alerts": "detail",
}

type chaosHouse struct {
	*bank.Desk
	db      *storetest.DB
	logs    *lockedBuffer
	workers map[Limits]*Connector
}

func newChaos(t *testing.T, db *storetest.DB) *chaosHouse {
	t.Helper()
	h := &chaosHouse{db: db, logs: &lockedBuffer{}, workers: map[Limits]*Connector{}}
	file, _, err := keyring.OpenKeyFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	_, keys, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	h.Desk = &bank.Desk{
		Store: db.Store.Bank(), Clock: db.Clock.Clock(), Sealer: chaosSealer{keys}, Log: slog.New(slog.NewTextHandler(h.logs, nil)),
		Limits: bank.Limits{Beat: 20 * time.Millisecond, Grace: 20 * time.Second},
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Errorf("a run did not end: %v", err)
		}
		for _, c := range h.workers {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

// worker starts this program again, as a worker. Its limits are wide but for the
// one that is tried: a busy machine is no misbehaviour.
func (h *chaosHouse) worker(t *testing.T, m misbehaviour) *Connector {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{Hello: 30 * time.Second, Quiet: 30 * time.Second, Grace: 300 * time.Millisecond, Memory: math.MaxInt64} // the race detector reserves much
	switch m.reason {
	case "load":
		limits.Hello = time.Second
	case bank.ReasonDeadline:
		limits.Quiet = time.Second
	}
	if c := h.workers[limits]; c != nil {
		return c
	}
	c := New(Config{
		Name: "chaos", Command: []string{self, chaosArgument}, Clock: guichet.SystemClock(), Limits: limits, Env: []string{"GORACE=" + os.Getenv("GORACE")},
		Log: slog.New(slog.NewTextHandler(h.logs, nil)),
	})
	h.workers[limits] = c
	return c
}

func (h *chaosHouse) play(t *testing.T, name string, m misbehaviour) {
	worker := h.worker(t, m)
	h.Connectors = map[string]bank.Connector{"chaos": worker}
	c, _, err := h.Open(t.Context(), somebody, bank.Opening{
		Institution: "chaos", Fields: map[string]guichet.Secret{"login": guichet.Secret(name), "password": canary},
	})
	if err != nil {
		t.Fatal(err)
	}
	access := c.Access.ID
	t.Cleanup(func() {
		if err := h.Delete(context.Background(), somebody, access); err != nil && !errors.Is(err, bank.ErrNoAccess) {
			t.Error(err)
		}
	})
	if err := h.Perform(t.Context(), c.Attempt.ID); err != nil {
		t.Fatal(err)
	}
	switch {
	case m.cancel:
		h.cancel(t, worker, c)
		c = h.until(t, c.Attempt.ID, itEnded)
	case m.answer:
		c = h.until(t, c.Attempt.ID, func(c bank.Case) bool { return c.Challenge.Status == bank.StatusOpen })
		if _, err := h.Answer(t.Context(), somebody, bank.Reply{Challenge: c.Challenge.ID, Version: c.Challenge.Version, Fields: map[string]guichet.Secret{"code": "424242"}}); err != nil {
			t.Fatal(err)
		}
		// Nobody knows what the bank saw: the question stands again, one try counted.
		c = h.until(t, c.Attempt.ID, func(c bank.Case) bool { return c.Challenge.Status == bank.StatusOpen && c.Challenge.Used == 1 })
		if string(c.Challenge.LastOutcome) != m.kind {
			t.Errorf("the answer ended %s, not %s", c.Challenge.LastOutcome, m.kind)
		}
		if _, err := h.Cancel(t.Context(), somebody, c.Attempt.ID); err != nil {
			t.Fatal(err)
		}
	case m.poll:
		h.until(t, c.Attempt.ID, itEnded)
		c = h.night(t, access)
	default:
		c = h.until(t, c.Attempt.ID, itEnded)
	}
	if got := c.Attempt; !m.answer && (string(got.Outcome) != m.kind || got.Reason != m.reason) {
		t.Errorf("it ended %s %s (%s), not %s %s\n%s", got.Outcome, got.Reason, got.Text, m.kind, m.reason, h.logs)
	}
	if strings.Contains(c.Attempt.Text+c.Attempt.Reason, canary) {
		t.Errorf("a person reads the password: %q", c.Attempt.Text)
	}
	nothingRuns(t, worker)

	kept := m.kind == string(bank.OK) || m.poll
	rows := h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM accesses") + h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM accounts") + h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions")
	if want := map[bool]string{true: "111", false: "000"}[kept]; rows != want {
		t.Errorf("accesses, accounts, transactions: %s, want %s", rows, want)
	}
}

func itEnded(c bank.Case) bool { return !c.Attempt.State.Live() }

func (h *chaosHouse) until(t *testing.T, attempt guichet.ID, done func(bank.Case) bool) bank.Case {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := h.Wait(ctx, somebody, attempt, done)
	if err != nil || !done(c) {
		t.Fatalf("the attempt is %s (%s %s), %v\n%s", c.Attempt.State, c.Attempt.Outcome, c.Attempt.Reason, err, h.logs)
	}
	return c
}

// cancel gives up once the worker has brought data, and holds the promise that it
// is gone within a second.
func (h *chaosHouse) cancel(t *testing.T, worker *Connector, c bank.Case) {
	t.Helper()
	eventually(t, "the worker runs", func() bool { return len(running(worker)) > 0 })
	began := guichet.SystemClock().Now()
	if _, err := h.Cancel(t.Context(), somebody, c.Attempt.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker is gone", func() bool { return len(running(worker)) == 0 })
	took := guichet.SystemClock().Now().Sub(began)
	t.Logf("from the cancel until the worker was gone: %v", took)
	if took > 5*time.Second { // a second, on a machine that does nothing else
		t.Errorf("%v until the worker was gone", took)
	}
}

// night fetches as the poll does.
func (h *chaosHouse) night(t *testing.T, access guichet.ID) bank.Case {
	t.Helper()
	h.db.Clock.Advance(36 * time.Hour)
	if n, err := h.Poll(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d polled, %v", n, err)
	}
	c, err := h.Store.Case(t.Context(), bank.Ref{Access: access})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Perform(t.Context(), c.Attempt.ID); err != nil {
		t.Fatal(err)
	}
	c = h.until(t, c.Attempt.ID, itEnded)
	if c.Access.Pause != bank.PausedForAnswer {
		t.Errorf("paused: %q", c.Access.Pause)
	}
	return c
}

// running lists the processes of a connector's runs.
func running(c *Connector) (pids []int) {
	c.home.mu.Lock()
	at := c.home.at
	c.home.mu.Unlock()
	for pid, s := range processes() {
		if at != "" && !s.dead && isIn(pid, at) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// nothingRuns holds what is true after every run: no process, no folder.
func nothingRuns(t *testing.T, c *Connector) {
	t.Helper()
	eventually(t, "nothing runs", func() bool { return len(running(c)) == 0 })
	eventually(t, "no folder is left", func() bool {
		left, err := filepath.Glob(filepath.Join(c.home.at, "run-*"))
		return err == nil && len(left) == 0
	})
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	limit := time.After(30 * time.Second)
	for !done() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type chaosSealer struct{ *keyring.Sealer }

func (s chaosSealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	return s.Sealer.Seal(keyring.Place{Table: table, Row: row, Column: column}, plain)
}

func (s chaosSealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	return s.Sealer.Open(keyring.Place{Table: table, Row: row, Column: column}, sealed)
}

func (s chaosSealer) Fingerprint(parts ...string) (string, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	for _, p := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}
