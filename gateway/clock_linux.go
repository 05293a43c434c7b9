package gateway

import (
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bootClock is the time since the machine started, its sleep included: no person
// and no time server can set it. It is read at every check, and never waits, so the
// scheduler need not be told.
func bootClock() time.Duration {
	var t unix.Timespec
	if _, _, err := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		panic("gateway: no CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2011 has it
	}
	return time.Duration(t.Nano())
}

// bootID names this start of the machine; empty when it is not known.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
