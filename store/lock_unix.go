//go:build unix

package store

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes an exclusive lock on a file of its own until unlock. The lock
// dies with the process, so nothing is left locked after a crash.
func lockFile(_ context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
