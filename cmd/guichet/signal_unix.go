//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// bearFullFiles makes a file that may not grow any more (ulimit -f) a write that
// fails, which is handled, in place of the end of the program.
func bearFullFiles() { signal.Ignore(syscall.SIGXFSZ) }
