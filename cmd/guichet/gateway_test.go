package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// An edgeProcess is a real gateway beside a test.
type edgeProcess struct {
	url   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// runEdge starts "guichet gateway" and returns when it listens.
func runEdge(t testing.TB, address string, env []string, args ...string) *edgeProcess {
	return runEdgeIn(t, spot{}, address, env, args...)
}

// A spot is where the kernel is asked to run a program: a network of its own, or
// through a command that runs it.
type spot struct {
	attr    *syscall.SysProcAttr
	through []string
}

func runEdgeIn(t testing.TB, where spot, address string, env []string, args ...string) *edgeProcess {
	path, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	e := &edgeProcess{url: "http://" + address, ended: make(chan struct{})}
	words := append(slices.Clone(where.through), path, "gateway", "--listen", address)
	words = append(words, args...)
	e.cmd = exec.Command(words[0], words[1:]...)
	e.cmd.Env, e.cmd.SysProcAttr = env, where.attr
	log, err := e.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go func() {
		defer close(e.ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			t.Logf("gateway: %s", lines.Text())
			if strings.Contains(lines.Text(), `"msg":"ready"`) {
				ready <- true
			}
		}
		_ = e.cmd.Wait()
		ready <- false
	}()
	select {
	case ok := <-ready:
		if !ok {
			t.Fatal("the gateway ended before it listened")
		}
	case <-time.After(time.Minute):
		t.Fatal("the gateway does not listen after a minute")
	}
	return e
}

func (e *edgeProcess) stop(s syscall.Signal) {
	_ = e.cmd.Process.Signal(s)
	<-e.ended
}

// startEdge starts a gateway at $EDGE: edge NAME ARGS…
func startEdge(ts *testscript.TestScript, _ bool, args []string) {
	s := of(ts)
	if len(args) == 0 || s.edges[args[0]] != nil {
		ts.Fatalf("usage: edge name args…, once for each name that runs")
	}
	if s.edges == nil {
		s.edges = map[string]*edgeProcess{}
	}
	more := append([]string{"--upstream", ts.Getenv("URL"), "--state", ts.MkAbs("state-" + args[0])}, args[1:]...)
	s.edges[args[0]] = runEdge(s.t, strings.TrimPrefix(ts.Getenv("EDGE"), "http://"),
		[]string{"GUICHET_GATEWAY_TOKEN=" + ts.Getenv("GUICHET_GATEWAY_TOKEN"), "PATH=" + ts.Getenv("PATH")}, more...)
}

// stopEdge ends a gateway as a supervisor does, or as a power cut: stopedge NAME [kill].
func stopEdge(ts *testscript.TestScript, _ bool, args []string) {
	s, signal := of(ts), syscall.SIGTERM
	if len(args) == 2 {
		signal = syscall.SIGKILL
	}
	s.edges[args[0]].stop(signal)
	delete(s.edges, args[0])
}

// kept waits until a gateway has on its disk what it heard: kept NAME TEXT.
func kept(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: kept name text")
	}
	file := filepath.Join(ts.MkAbs("state-"+args[0]), "gateway.json")
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), args[1]) {
			return
		}
		if time.Since(began) > 30*time.Second {
			ts.Fatalf("%s is not kept: %v %s", args[1], err, b)
		}
	}
}

// comes asks again and again until an address answers with a status, and fails when
// that takes longer than the limit: comes LIMIT STATUS URL TOKEN.
func comes(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: comes limit status url token")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	began := time.Now()
	for {
		status, body, err := checkAt(args[2], args[3])
		if status == want {
			ts.Logf("%d after %v", want, time.Since(began))
			return
		}
		if time.Since(began) > limit {
			ts.Fatalf("%d %s %v instead of %d after %v", status, body, err, want, limit)
		}
		<-time.After(5 * time.Millisecond)
	}
}

var quick = &http.Client{Timeout: 5 * time.Second}

func checkAt(url, token string) (status int, body string, err error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := quick.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, readAll(response), nil
}

func readAll(r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
