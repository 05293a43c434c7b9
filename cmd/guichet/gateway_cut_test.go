package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// A wire is between a gateway and Guichet: it can make what Guichet says late, or
// hold it for good without closing anything.
type wire struct {
	net.Listener
	to     string
	delay  atomic.Int64
	frozen atomic.Pointer[chan struct{}] // closed when it thaws
}

func newWire(t *testing.T, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to}
	thawed := make(chan struct{})
	close(thawed)
	w.frozen.Store(&thawed)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go w.carry(far, near, false)
			go w.carry(near, far, true)
		}
	}()
	return w
}

func (w *wire) freeze() (thaw func()) {
	c := make(chan struct{})
	w.frozen.Store(&c)
	return func() { close(c) }
}

// carry moves bytes; those from Guichet are as late as they are told to be.
func (w *wire) carry(to, from net.Conn, late bool) {
	type chunk struct {
		bytes []byte
		due   time.Time
	}
	queue := make(chan chunk, 1024)
	go func() {
		defer close(queue)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			due := time.Now()
			if late {
				due = due.Add(time.Duration(w.delay.Load()))
			}
			queue <- chunk{b[:n], due}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		<-time.After(time.Until(c.due))
		<-*w.frozen.Load()
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close()
	for range queue { // until the reader sees that it is over
	}
}

// acceptance is one check that was let through.
type acceptance struct {
	gateway int
	began   time.Time
}

// Four real gateways: one that is well, one that is stopped in the middle (SIGSTOP),
// one that hears everything three seconds late, one whose wire is cut without
// anybody noticing. A token is revoked. Whatever is asked of any of them later than
// the bound after that is refused.
func TestNoAcceptanceAfterTheBound(t *testing.T) {
	const bound = 5 * time.Second
	db, s := startServer(t)
	revoked, jwt := newToken(t, s, 1)
	_, other := newToken(t, s, 2)
	late, cut := newWire(t, s.address), newWire(t, s.address)
	late.delay.Store(int64(3 * time.Second))
	upstreams := []string{s.address, s.address, late.Addr().String(), cut.Addr().String()}
	edges := make([]*edgeProcess, len(upstreams))
	for i, upstream := range upstreams {
		edges[i] = s.edge(t, fmt.Sprint("edge-", i), freeAddress(t), upstream, bound, spot{})
	}
	for i := range edges {
		until(t, 30*time.Second, fmt.Sprint("edge ", i, " lets both through"), func() bool {
			return status(edges[i], jwt) == 204 && status(edges[i], other) == 204
		})
	}

	// From here on everybody is asked all the time.
	var mu sync.Mutex
	var accepted []acceptance
	var checks atomic.Int64
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var asking sync.WaitGroup
	for i, e := range edges {
		for range 2 {
			asking.Go(func() {
				for ctx.Err() == nil {
					began := time.Now()
					got := status(e, jwt)
					checks.Add(1)
					if got == 204 {
						mu.Lock()
						accepted = append(accepted, acceptance{i, began})
						mu.Unlock()
					}
					<-time.After(5 * time.Millisecond)
				}
			})
		}
	}
	<-time.After(300 * time.Millisecond)
	thaw := cut.freeze()
	if err := edges[1].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(200 * time.Millisecond)
	desk := &grant.Desk{Store: db.Grant(), Clock: guichet.SystemClock()}
	if _, err := desk.Block(t.Context(), guichet.System("test"), revoked, grant.Blocking{Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	committed := time.Now()
	<-time.After(bound + 500*time.Millisecond)
	if err := edges[1].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second)
	thaw()
	for i := range edges { // and all come back
		until(t, 20*time.Second, fmt.Sprint("edge ", i, " lets the other one through"), func() bool { return status(edges[i], other) == 204 })
	}
	<-time.After(300 * time.Millisecond)
	enough()
	asking.Wait()
	before := map[int]int{}
	var last [4]time.Duration
	for _, a := range accepted {
		after := a.began.Sub(committed)
		if after > bound {
			t.Errorf("gateway %d accepted what was asked %v after the revocation", a.gateway, after)
		}
		if a.gateway == 0 && after > time.Second {
			t.Errorf("the gateway that is well accepted what was asked %v after the revocation", after)
		}
		if after < 0 {
			before[a.gateway]++
		}
		last[a.gateway] = max(last[a.gateway], after)
	}
	if len(before) != len(edges) || last[2] < time.Second || last[3] < time.Second {
		t.Errorf("nothing was put to the test: accepted before: %v, the last after: %v", before, last)
	}
	t.Logf("%d checks; the last acceptance of each gateway began %v after the revocation", checks.Load(), last)
}

func status(e *edgeProcess, jwt string) int {
	got, _, err := checkAt(e.url+"/check", jwt)
	if err != nil {
		return 0
	}
	return got
}

func until(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); <-time.After(10 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("not in %v: %s", limit, what)
		}
	}
}

// A runningServer is "guichet serve" beside a test.
type runningServer struct {
	address       string
	settings, env []string // what the server is told, alone and with all else
}

func startServer(t *testing.T) (*storetest.DB, runningServer) {
	t.Helper()
	address := freeAddress(t)
	return startServerAt(t, address, address)
}

// startServerAt has the server listen somewhere, and the test find it elsewhere.
func startServerAt(t *testing.T, listen, address string) (*storetest.DB, runningServer) {
	t.Helper()
	db := storetest.New(t, store.SQLite)
	return db, startServerOn(t, db, listen, address)
}

// startServerOn starts a server on a database.
func startServerOn(t *testing.T, db *storetest.DB, listen, address string) runningServer {
	t.Helper()
	s := runningServer{address: address}
	s.settings = []string{
		"GUICHET_DATABASE=" + db.Source, "GUICHET_KEY_FILE=" + filepath.Join(t.TempDir(), "key"), "GUICHET_ADDR=" + listen,
		"GUICHET_ADMIN_ADDR=" + freeAddress(t), "GUICHET_DATAPASS_SECRETS=api_entreprise=dev-verify-token",
	}
	s.env = append(os.Environ(), s.settings...)
	path, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve")
	cmd.Env = s.env
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	ready, said := false, ""
	for !ready && lines.Scan() {
		said = lines.Text()
		ready = strings.Contains(said, `"msg":"ready"`)
	}
	if !ready {
		t.Fatalf("the server ended before it was ready: %s", said)
	}
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(io.Discard, log) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		if err := cmd.Wait(); err == nil {
			t.Error("the server ended by itself")
		}
	})
	return s
}

// credential lets a gateway read the blocklist.
func (s runningServer) credential(t *testing.T, name string) string {
	t.Helper()
	_, credential, _ := strings.Cut(s.guichet(t, "gateway", "add", "--name", name, "--json"), `"token": "`)
	credential, _, _ = strings.Cut(credential, `"`)
	return credential
}

// edge starts a gateway of this server, with a name and a credential of its own.
func (s runningServer) edge(t *testing.T, name, listen, upstream string, bound time.Duration, where spot) *edgeProcess {
	t.Helper()
	e := runEdgeIn(t, where, listen, []string{"GUICHET_GATEWAY_TOKEN=" + s.credential(t, name)},
		"--upstream", "http://"+upstream, "--stale-after", bound.String(), "--state", t.TempDir())
	t.Cleanup(func() {
		_ = e.cmd.Process.Signal(syscall.SIGCONT)
		e.stop(syscall.SIGKILL)
	})
	return e
}

// guichet runs a command on the server's database and gives what it printed.
func (s runningServer) guichet(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "guichet", args...)
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("guichet %v: %v: %s", args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}

// newToken has a request approved and gives its token.
func newToken(t *testing.T, s runningServer, number int) (id guichet.ID, jwt string) {
	t.Helper()
	body := filepath.Join(t.TempDir(), "approve.json")
	text := fmt.Sprintf(`{"event":"approve","fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"validated",
		"data":{"intitule":"Marchés","scopes":["open_data"]},"organization":{"name":"VALMONT","siret":"21730065600011"},
		"applicant":{"email":"claire@valmont.fr","given_name":"Claire","family_name":"Morel"}}}`, 1_777_880_000, number)
	if err := os.WriteFile(body, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := s.guichet(t, "webhook", "send", "--provider", "api_entreprise", "--file", body, "--url", "http://"+s.address)
	_, rest, ok := strings.Cut(answer, `"token_id":"`)
	if !ok || !strings.HasPrefix(answer, fmt.Sprint(http.StatusOK)) {
		t.Fatalf("approve: %s", answer)
	}
	id = guichet.ID(rest[:36])
	return id, strings.TrimSpace(s.guichet(t, "token", "show", id.String()))
}
