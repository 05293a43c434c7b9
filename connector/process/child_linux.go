package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup makes the child the leader of a group, and has the kernel kill it
// when we die, however we die.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// bound limits what a process may take of the machine. It has not been told
// anything yet; that it may already run does not matter.
func bound(pid int, l Limits) {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_CORE: 0, // secrets are in its memory
		unix.RLIMIT_AS:   l.Memory, unix.RLIMIT_FSIZE: l.File, unix.RLIMIT_NOFILE: 1024,
	} {
		var now unix.Rlimit
		if unix.Prlimit(pid, resource, nil, &now) == nil && now.Max > most {
			_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		}
	}
}

// awaitExit waits until the process has ended, without taking its number away:
// as long as it is there, nobody else's process can have it.
func awaitExit(cmd *exec.Cmd) (reaped bool) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return false
		}
	}
}

func terminate(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }

// kill ends the leader, its group and what is below it. Once the leader is gone,
// nothing says any more what was below.
func kill(p *os.Process, folder string) {
	below := relatives(p.Pid, folder)
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	for _, r := range below {
		r.kill()
	}
}

// killAll kills the group of a process and whatever else comes from it: what left
// the group but is below it, and what went further still but has its folder in
// the environment or is in it. The leader has ended, or is about to.
func killAll(leader int, folder string) {
	for range 20 { // one that multiplies is met again
		left := relatives(leader, folder)
		_ = syscall.Kill(-leader, syscall.SIGKILL)
		for _, p := range left {
			p.kill()
		}
		if len(left) == 0 {
			return
		}
	}
}

// A relative is a process that comes from a run.
type relative struct {
	pid   int
	start string // with the number, who it is: numbers are used again
}

func (p relative) kill() {
	if now, err := readStat(p.pid); err == nil && now.start == p.start {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// relatives lists what comes from a run and still lives.
func relatives(leader int, folder string) (found []relative) {
	all := processes()
	belongs := map[int]bool{leader: true}
	since := all[leader].ticks
	for again := true; again; {
		again = false
		for pid, s := range all {
			if !belongs[pid] && (belongs[s.parent] || s.group == leader && leader > 0) {
				belongs[pid], again = true, true
			}
		}
	}
	for pid, s := range all {
		if pid == leader || s.dead || pid == os.Getpid() {
			continue
		}
		if belongs[pid] || s.ticks >= since && isIn(pid, folder) {
			found = append(found, relative{pid, s.start})
		}
	}
	return found
}

// isIn tells whether a process has a folder in its environment, or is in it. Of
// processes of others we are told nothing, and they are not ours.
func isIn(pid int, folder string) bool {
	at := filepath.Join("/proc", strconv.Itoa(pid))
	if cwd, err := os.Readlink(filepath.Join(at, "cwd")); err == nil && strings.HasPrefix(cwd, folder) {
		return true
	}
	environ, err := os.ReadFile(filepath.Join(at, "environ"))
	return err == nil && bytes.Contains(environ, []byte("="+folder))
}

// A stat is the part of /proc/PID/stat that says who comes from whom.
type stat struct {
	parent, group int
	ticks         uint64 // when it began
	start         string
	dead          bool // ended, and not yet reaped
}

func processes() map[int]stat {
	all := map[int]stat{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			all[pid] = s
		}
	}
	return all
}

// readStat reads /proc/PID/stat. The name in it may hold anything, so what counts
// is what follows its last parenthesis.
func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("stat of %d: %d fields", pid, len(fields))
	}
	var s stat
	s.parent, _ = strconv.Atoi(string(fields[1]))
	s.group, _ = strconv.Atoi(string(fields[2]))
	s.start = string(fields[19])
	s.ticks, _ = strconv.ParseUint(s.start, 10, 64)
	s.dead = fields[0][0] == 'Z' || fields[0][0] == 'X'
	return s, nil
}

// killIn kills what has a folder in its environment or is in it: the runs of a
// guichet that was killed.
func killIn(folder string) {
	for range 20 {
		left := 0
		for pid, s := range processes() {
			if !s.dead && pid != os.Getpid() && isIn(pid, folder) {
				relative{pid, s.start}.kill()
				left++
			}
		}
		if left == 0 {
			return
		}
	}
}
