package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// startBank starts "guichet sim bank" as a process of its own, which outlives the
// crashes of the server as a bank does, and returns when it listens. It ends with
// the script.
func startBank(ts *testscript.TestScript, _ bool, _ []string) {
	path, err := exec.LookPath("guichet")
	ts.Check(err)
	cmd := exec.Command(path, "sim", "bank", "--addr", ts.Getenv("BANK_ADDR"))
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH")}
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
	ts.Setenv("GUICHET_SIM_BANK", ts.Getenv("BANK"))
}
