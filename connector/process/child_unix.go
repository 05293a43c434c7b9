//go:build unix && !linux

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// Here a group is all there is: a child that leaves it is not found, and one that
// does not watch its input outlives a killed guichet.

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func bound(int, Limits) {}

func awaitExit(cmd *exec.Cmd) (reaped bool) {
	_ = cmd.Wait()
	return true
}

func terminate(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }

func kill(p *os.Process, _ string) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func killAll(leader int, _ string) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

func killIn(string) {}
