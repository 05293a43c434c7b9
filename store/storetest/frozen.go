package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Apart makes a database on a PostgreSQL server of the test's own, and gives what
// stops every process of that server in the middle of what it does. Its
// connections stay, and the kernel takes new ones: to whoever asks it looks alive.
func Apart(t testing.TB) (db *DB, freeze func() (thaw func())) {
	t.Helper()
	address, err := Postgres(roomInMemory())
	if err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	db = at(t, fmt.Sprintf(address, "postgres"))
	server, err := strconv.Atoi(db.Value(`SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)`))
	if err != nil {
		t.Fatal(err)
	}
	return db, func() func() {
		t.Helper()
		frozen := []int{server}
		thaw := sync.OnceFunc(func() {
			for _, pid := range frozen {
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		})
		t.Cleanup(thaw)
		stop(t, server) // first: it makes no other process meanwhile
		for _, pid := range childrenOf(t, server) {
			frozen = append(frozen, pid)
			stop(t, pid)
		}
		return thaw
	}
}

// stop returns when the process has stopped, which is a moment after it was told.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("process %d of PostgreSQL: %v", pid, err)
	}
	state := ""
	for limit := time.Now().Add(10 * time.Second); state != "T"; {
		if time.Now().After(limit) {
			t.Fatalf("process %d of PostgreSQL does not stop: %s", pid, state)
		}
		state, _ = stateOf(pid)
	}
}

// stateOf gives the state of a process as the kernel names it, and its parent; none
// of a process that is gone.
func stateOf(pid int) (state string, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	_, _ = fmt.Sscan(rest, &state, &parent)
	return state, parent
}

func childrenOf(t testing.TB, pid int) (all []int) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if _, parent := stateOf(child); parent == pid {
			all = append(all, child)
		}
	}
	return all
}
