package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"guichet/canary"
	"guichet/store"
	"guichet/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(canary.Suite{Tests: builders{m}, Prefix: "GUICHET_", Inputs: inputs, Shown: shown}, map[string]func(){
		"guichet": func() {
			os.Exit(run(os.Args[1:], terminal{in: os.Stdin, out: canary.Output(os.Stdout), err: canary.Output(os.Stderr)}))
		},
		// rotate-and-die STEP begins or goes on with a rotation and is killed after
		// the step, before it can say so to anybody.
		"rotate-and-die": func() { os.Exit(rotateAndDie(os.Args[1])) },
		// serve-and-die serves until it reaches a point, and is then gone.
		"serve-and-die": func() { os.Exit(serveAndDie()) },
		// canary-worker reads a bank that asks for everything one can be asked.
		"canary-worker": func() { os.Exit(canaryWorker()) },
	})
}

// TestScripts runs the manual: each file of testdata is a session at the command
// line with the real program, on each engine.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts(t, "testdata", nil)
}

// TestWoobScripts are those that need a Python with woob.
func TestWoobScripts(t *testing.T) {
	t.Parallel()
	python := os.Getenv("GUICHET_TEST_WOOB")
	if python == "" {
		python = filepath.Join("..", "..", ".cache", "woob", "bin", "python")
	}
	python, err := filepath.Abs(python)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs(filepath.Join("..", "..", "worker", "woob", "testdata", "modules"))
	if err != nil {
		t.Fatal(err)
	}
	scripts(t, filepath.Join("testdata", "woob"), map[string]string{
		"GUICHET_WOOB_PYTHON": python, "GUICHET_WOOB_MODULES": modules, "MODULES": modules,
	})
}

func scripts(t *testing.T, folder string, env map[string]string) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Dir: folder, RequireExplicitExec: true, RequireUniqueNames: true, TestWork: false,
				Setup: func(e *testscript.Env) error {
					for name, value := range env {
						e.Setenv(name, value)
					}
					return setUp(t, e, engine)
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"serve": serve, "crash": crash, "capture": capture, "mails": mails, "simbank": startBank, "simdatapass": startDataPass,
					"edge": startEdge, "stopedge": stopEdge, "comes": comes, "shows": shows, "kept": kept,
				},
			})
		})
	}
}

// session is what a script has beside its folder.
type session struct {
	t      testing.TB // whose log may be written from any goroutine
	db     *storetest.DB
	sink   *sink
	server *exec.Cmd
	ended  chan struct{}
	edges  map[string]*edgeProcess
}

type sessionKey struct{}

func of(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

func setUp(t *testing.T, env *testscript.Env, engine store.Engine) error {
	inner, ok := env.T().(testing.TB)
	if !ok {
		inner = t
	}
	s := &session{t: inner, db: storetest.New(inner, engine), sink: newSink(inner)}
	env.Values[sessionKey{}] = s
	came := map[string]bool{} // files of the script itself, by which it gives secrets
	err := filepath.WalkDir(env.WorkDir, func(path string, e fs.DirEntry, err error) error {
		came[path] = err == nil && e.Type().IsRegular()
		return err
	})
	if err != nil {
		return err
	}
	address, admin, bank := freeAddress(inner), freeAddress(inner), freeAddress(inner)
	for name, value := range map[string]string{
		"GUICHET_DATABASE": s.db.Source, "GUICHET_KEY_FILE": filepath.Join(env.WorkDir, "guichet.key"), "GUICHET_ADDR": address,
		"GUICHET_ADMIN_ADDR": admin, "URL": "http://" + address, "ADMIN": "http://" + admin, "BANK": "http://" + bank,
		"BANK_ADDR": bank, "GUICHET_SMTP": "smtp://" + s.sink.address + "?tls=none", "GUICHET_OPERATORS": "ops@guichet.test",
		"GUICHET_MAIL_FROM":        "Guichet <guichet@guichet.test>",
		"GUICHET_DATAPASS_SECRETS": "api_entreprise=dev-verify-token|older-token,api_particulier=other-token",
		"GORACE":                   os.Getenv("GORACE"), // how the detector of races ends: see scripts/test
	} {
		env.Setenv(name, value)
	}
	env.Setenv("DATAPASS", "http://"+freeAddress(inner))
	env.Setenv("EDGE", "http://"+freeAddress(inner))
	env.Defer(func() {
		s.stop(syscall.SIGKILL)
		for _, e := range s.edges {
			e.stop(syscall.SIGKILL)
		}
		s.db.NoSecretIn(env.WorkDir, func(path string) bool { return came[path] || filepath.Base(path) == "providers.toml" }) // which an operator writes
	})
	return nil
}

// shows asks for a page, as who is signed in by the jar, until it holds the
// pattern: what a bank is doing meanwhile takes the time it takes.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: shows pattern url")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for began := time.Now(); ; <-time.After(20 * time.Millisecond) {
		ts.Check(ts.Exec("curl", "-s", "-b", "jar", args[1]))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(began) > 30*time.Second {
			ts.Fatalf("no %s at %s", args[0], args[1])
		}
	}
}

// freeAddress finds a port where nobody listens. It is given once, and is none of
// those that the system gives to whoever asks for any: a server that was killed
// finds it free again, whatever other tests do meanwhile.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(17_000))
		if _, given := addresses.LoadOrStore(address, true); given {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

var addresses sync.Map // that were given

// serve starts "guichet serve" as a process of its own and returns when it says
// that it is ready.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	if s.server != nil {
		ts.Fatalf("the server runs already")
	}
	path, err := exec.LookPath("guichet")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"serve"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{
		"PATH", "HOME", "GUICHET_DATABASE", "GUICHET_KEY_FILE", "GUICHET_ADDR", "GUICHET_ADMIN_ADDR", "GUICHET_SMTP", "GUICHET_OPERATORS",
		"GUICHET_MAIL_FROM", "GUICHET_DATAPASS_SECRETS", "GUICHET_SIM_BANK", "GUICHET_PURGE_AFTER", "GUICHET_UNFINISHED", "GUICHET_WINDOWS", "GUICHET_PROVIDERS_FILE",
		"GUICHET_WOOB_PYTHON", "GUICHET_WOOB_MODULES", "GORACE",
	} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	log, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s.server, s.ended = cmd, make(chan struct{})
	ready := make(chan bool, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			s.t.Logf("serve: %s", lines.Text())
			if strings.Contains(lines.Text(), `"msg":"ready"`) {
				ready <- true
			}
		}
		_ = cmd.Wait()
		ready <- false
	}()
	select {
	case ok := <-ready:
		if ok == neg {
			ts.Fatalf("ready: %v", ok)
		}
		if neg {
			s.server = nil
		}
	case <-time.After(time.Minute):
		ts.Fatalf("the server is not ready after a minute")
	}
}

// crash ends the server with SIGKILL.
func crash(ts *testscript.TestScript, _ bool, _ []string) {
	if of(ts).server == nil {
		ts.Fatalf("no server runs")
	}
	of(ts).stop(syscall.SIGKILL)
}

func (s *session) stop(signal syscall.Signal) {
	if s.server == nil {
		return
	}
	_ = s.server.Process.Signal(signal)
	<-s.ended
	s.server = nil
}

// capture sets a variable from the first group of an expression in the last
// standard output: capture NAME 'expression'.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: capture NAME expression")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("%s is not in %q", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}

// mails waits for a mail that matches: mails ADDRESS 'expression'.
func mails(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mails address expression")
	}
	if neg {
		if of(ts).sink.has(args[0], regexp.MustCompile(args[1])) {
			ts.Fatalf("there is such a mail")
		}
		return
	}
	ts.Check(of(ts).sink.wait(args[0], regexp.MustCompile(args[1])))
}

// A stopped server is a process that is gone: nothing of it answers.
func TestServeStopsCleanly(t *testing.T) {
	db, address := storetest.New(t, store.SQLite), freeAddress(t)
	t.Setenv("GUICHET_DATABASE", db.Source)
	t.Setenv("GUICHET_KEY_FILE", filepath.Join(t.TempDir(), "key"))
	t.Setenv("GUICHET_ADDR", address)
	t.Setenv("GUICHET_ADMIN_ADDR", freeAddress(t))
	path, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), `"msg":"ready"`) {
	}
	response, err := http.Get("http://" + address + "/readyz")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", response, err)
	}
	_ = response.Body.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error(fmt.Sprint("something still listens on ", address))
	}
}
