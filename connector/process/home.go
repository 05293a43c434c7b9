package process

import (
	"os"
	"path/filepath"
	"sync"
)

// A home is where the children of one guichet have their folders. It is locked
// as long as that guichet lives: another one that finds it without a lock knows
// that its owner was killed, and clears up after it.
type home struct {
	mu   sync.Mutex
	at   string
	lock *os.File
}

const (
	homes    = "guichet-workers-"
	lockName = "lock"
)

// run makes the private folder of one run.
func (h *home) run() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == "" {
		if err := h.open(); err != nil {
			return "", err
		}
	}
	// Whoever clears /tmp may have taken it away; the name is still ours.
	if err := os.MkdirAll(h.at, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(h.at, "run-") // 0700
}

func (h *home) open() error {
	clearUp(os.TempDir())
	at, err := os.MkdirTemp("", homes)
	if err != nil {
		return err
	}
	if at, err = filepath.EvalSymlinks(at); err != nil { // as /proc names it
		return err
	}
	lock, err := os.OpenFile(filepath.Join(at, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = tryLock(lock)
	}
	if err != nil {
		return err
	}
	h.at, h.lock = at, lock
	return nil
}

// remove takes the folder of a run away, whatever the child made of it.
func (h *home) remove(folder string) {
	if os.RemoveAll(folder) == nil {
		return
	}
	// A folder that it forbade itself to enter is opened again first.
	_ = filepath.WalkDir(folder, func(at string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(at, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(folder)
}

func (h *home) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == "" {
		return nil
	}
	err := os.RemoveAll(h.at)
	_ = h.lock.Close()
	h.at, h.lock = "", nil
	return err
}

// clearUp ends and removes what guichets that were killed have left.
func clearUp(folder string) {
	if !canLock {
		return // nobody can tell whose they are
	}
	found, _ := filepath.Glob(filepath.Join(folder, homes+"*"))
	for _, at := range found {
		at, err := filepath.EvalSymlinks(at)
		if err != nil {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(at, lockName), os.O_RDWR, 0o600)
		if err != nil {
			continue // someone else's, or one that is being made
		}
		if tryLock(lock) == nil {
			killIn(at)
			_ = os.RemoveAll(at)
		}
		_ = lock.Close()
	}
}
