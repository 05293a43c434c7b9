//go:build !unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// Here only the child itself is known: what it starts must watch its input.

func ownGroup() *syscall.SysProcAttr { return nil }

func bound(int, Limits) {}

func awaitExit(cmd *exec.Cmd) (reaped bool) {
	_ = cmd.Wait()
	return true
}

func terminate(*os.Process) {}

func kill(p *os.Process, _ string) { _ = p.Kill() }

func killAll(int, string) {}

func killIn(string) {}
