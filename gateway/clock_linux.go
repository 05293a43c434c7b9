package gateway

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootClock is the time since the machine started, its sleep included: no person
// and no time server can set it.
func bootClock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
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
