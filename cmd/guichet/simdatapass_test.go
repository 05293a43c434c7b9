package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// startDataPass starts "guichet sim datapass" as a process of its own, which
// outlives the crashes of the server as the source does, and returns when it
// listens. It ends with the script.
func startDataPass(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath("guichet")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"sim", "datapass", "--addr", strings.TrimPrefix(ts.Getenv("DATAPASS"), "http://"), "--url", ts.Getenv("URL")}, args...)...)
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "GUICHET_DATAPASS_SECRETS=" + ts.Getenv("GUICHET_DATAPASS_SECRETS")}
	log, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), `"msg":"ready"`) {
	}
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
}
