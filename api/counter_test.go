package api_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/bank"
	"guichet/canary"
	simconnector "guichet/connector/sim"
	"guichet/job"
	"guichet/keyring"
	simbank "guichet/sim/bank"
	"guichet/store"
	"guichet/store/storetest"
)

const bankPassword = "canary-password-8h2"

// A counter is the API before a desk, a database and banks of the outside world.
type counter struct {
	*process
	t      *testing.T
	db     *storetest.DB
	site   *simbank.Site
	odd    *oddBank
	banks  map[string]bank.Connector
	sealer bank.Sealer
	seen   *bytes.Buffer // every answer, to look for secrets in
	mu     sync.Mutex
}

// A process is what dies when a server dies.
type process struct {
	desk     *bank.Desk
	url      string
	server   *httptest.Server
	stopping chan struct{}
	stopWork context.CancelFunc
	working  *sync.WaitGroup
	gone     bool
}

func newCounter(t *testing.T, db *storetest.DB) *counter {
	t.Helper()
	c := &counter{t: t, db: db, site: simbank.New(db.Clock.Clock()), odd: newOddBank(), seen: &bytes.Buffer{}}
	bankSite := httptest.NewServer(c.site)
	t.Cleanup(bankSite.Close)
	connector, err := simconnector.New(bankSite.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.banks = map[string]bank.Connector{"sim": connector, "odd": c.odd}
	file, _, err := keyring.OpenKeyFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	_, keys, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	c.sealer = sealer{keys}
	c.process = c.start(db.Store, false)
	t.Cleanup(func() {
		for _, secret := range []string{bankPassword, "123456", `"000000"`} {
			if bytes.Contains(c.seen.Bytes(), []byte(secret)) {
				t.Errorf("an answer holds %q", secret)
			}
		}
	})
	return c
}

// start is a process on the database, before the banks. discard is the seed's
// literal rule for unfinished creations.
func (c *counter) start(s *store.Store, discard bool) *process {
	c.t.Helper()
	p := &process{stopping: make(chan struct{}), working: &sync.WaitGroup{}}
	door := canary.NewDoor(c.t)
	p.desk = &bank.Desk{
		Store: s.Bank(), Clock: c.db.Clock.Clock(), Sealer: c.sealer, Log: door.Log(nil), DiscardUnfinished: discard,
		Connectors: c.banks, Limits: bank.Limits{Beat: 50 * time.Millisecond, Grace: 300 * time.Millisecond},
	}
	face := &api.Bank{
		Desk: p.desk, Log: door.Log(nil), Stopping: p.stopping, Cookie: "guichet", Machines: true,
		// The token is the id: who is who is another part's business.
		Identify: func(r *http.Request) (guichet.Actor, string, error) {
			id, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok {
				return guichet.Actor{}, "", &guichet.Error{Kind: guichet.Unauthorized, Code: "unauthorized", Reason: "Who are you?"}
			}
			return guichet.Actor{Kind: guichet.ByPerson, ID: guichet.ID(id), Name: "camille@example.org"}, "member", nil
		},
		Alerts: func(ctx context.Context, subjects []string) (all []guichet.Alert, err error) {
			for _, subject := range subjects {
				list, err := s.Alerts().List(ctx, guichet.AlertFilter{Open: true, Subject: subject})
				if err != nil {
					return nil, err
				}
				all = append(all, list...)
			}
			return all, nil
		},
	}
	p.server = httptest.NewServer(door.Handler(face.Handler()))
	p.url = p.server.URL
	ctx, stopWork := context.WithCancel(context.Background())
	p.stopWork = stopWork
	runner := &job.Runner{
		Store: s.Jobs(), Clock: c.db.Clock.Clock(), Log: door.Log(nil), Poll: 20 * time.Millisecond,
		Handlers: map[string]job.Handler{bank.JobRun: func(ctx context.Context, j job.Claimed) error {
			var args bank.RunArgs
			if err := json.Unmarshal(j.Args, &args); err != nil {
				return job.Permanent(err)
			}
			return p.desk.Perform(ctx, args.Attempt)
		}},
	}
	p.working.Go(func() { runner.Run(ctx) })
	c.t.Cleanup(func() {
		p.end()
		if err := p.desk.Stop(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
	return p
}

// end cuts a process off: no request, no stream, no job goes on.
func (p *process) end() {
	if p.gone {
		return
	}
	p.gone = true
	close(p.stopping)
	p.server.CloseClientConnections()
	p.server.Close()
	p.stopWork()
	p.working.Wait()
}

// crash is the death of the server without a word; the next one has the rows and
// nothing else.
func (c *counter) crash() {
	c.t.Helper()
	c.end()
	c.process = c.start(c.db.Open(), false)
}

type sealer struct{ *keyring.Sealer }

func (s sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	return s.Sealer.Seal(keyring.Place{Table: table, Row: row, Column: column}, plain)
}

func (s sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	return s.Sealer.Open(keyring.Place{Table: table, Row: row, Column: column}, sealed)
}

func (s sealer) Fingerprint(parts ...string) (string, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	for _, p := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

const (
	camille = "0190b6e4-0000-7000-8000-000000000001"
	dominic = "0190b6e4-0000-7000-8000-000000000002"
)

// said is an answer of the API, read loosely, as a script would.
type said struct {
	t      *testing.T
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// at reads a path such as "attempt.challenge.id"; a missing step is nil.
func (s said) at(path string) any {
	var v any = s.body
	for step := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[step]
	}
	return v
}

func (s said) text(path string) string {
	s.t.Helper()
	v, ok := s.at(path).(string)
	if !ok {
		s.t.Fatalf("no text at %s: %s", path, s.raw)
	}
	return v
}

func (s said) is(status int, code string) said {
	s.t.Helper()
	if s.status != status || code != "" && s.at("code") != code {
		s.t.Fatalf("%d %v, want %d %s: %s", s.status, s.at("code"), status, code, s.raw)
	}
	if status >= 400 {
		if ct := s.header.Get("Content-Type"); ct != "application/problem+json" {
			s.t.Errorf("a problem of type %q", ct)
		}
		for _, member := range []string{"type", "title", "status", "code"} {
			if s.at(member) == nil {
				s.t.Errorf("a problem without %s: %s", member, s.raw)
			}
		}
	}
	return s
}

type header map[string]string

func (c *counter) call(method, path, body string, headers ...header) said {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+camille)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		for name, value := range h {
			r.Header.Set(name, value)
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.seen.Write(raw)
	c.mu.Unlock()
	s := said{t: c.t, status: answer.StatusCode, header: answer.Header, raw: string(raw)}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &s.body); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return s
}

func opening(login string) string {
	return fmt.Sprintf(`{"institution":"sim","label":"Chez moi","store_credentials":true,"fields":{"login":%q,"password":%q}}`, login, bankPassword)
}

func (c *counter) create(login string) said {
	c.t.Helper()
	return c.call("POST", "/api/accesses?wait=30", opening(login)).is(201, "")
}

func answering(code string) string { return fmt.Sprintf(`{"fields":{"code":%q}}`, code) }
