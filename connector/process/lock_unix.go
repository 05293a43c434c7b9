//go:build unix

package process

import (
	"os"
	"syscall"
)

const canLock = true

// tryLock takes a lock that ends with the process that holds it.
func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
