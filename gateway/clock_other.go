//go:build !linux

package gateway

import "time"

var started = time.Now() //nolint:forbidigo // the clock of a running gateway begins here

// bootClock is the time since this process started: by the clock that nobody sets
// or by the one on the wall, whichever went further, for the first may stand still
// while the machine sleeps. A wall clock that is set forward ends leases early.
func bootClock() time.Duration {
	now := time.Now() //nolint:forbidigo // as above
	return max(now.Sub(started), now.Round(0).Sub(started.Round(0)))
}

// bootID is not known: a lease does not outlive its process here.
func bootID() string { return "" }
