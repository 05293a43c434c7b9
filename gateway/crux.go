//go:build !planted

package gateway

import "time"

// Where a slip of the hand would break the promise of this package, the code is
// here and in blocklist/crux.go, one function for each place. planted.go has the
// slips themselves; the tests must catch every one of them.

// leaseFrom is the instant a lease counts from: that at which the gateway sent its
// question. What was committed before is in the answer, however long that took.
func leaseFrom(sent, _ time.Duration) time.Duration { return sent }

// leaseClock is the clock of leases: it only goes forward, at its own pace, and
// goes on while the machine sleeps. Nobody can set it.
func leaseClock(now Reading) time.Duration { return now.Boot }

// inDoubt is what becomes of a token when we cannot know whether it was blocked.
func inDoubt(why error) error { return why }

// decide is the verdict on a token. It is taken anew each time.
func (g *Gateway) decide(_ string, judge func() (Identity, error)) (Identity, error) { return judge() }
