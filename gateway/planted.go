//go:build planted

package gateway

import (
	"sync"
	"time"
)

// planted names the bug to have; the linker sets it, in this package, in
// blocklist and in store. TestPlantedBugsAreCaught builds each and wants the suite to fail:
//
//	lease-from-receipt     the lease counts from when the answer came
//	wall-clock             the lease is measured by the clock people set
//	fail-open              whoever is cut off lets everyone through
//	verdict-cache          a verdict is remembered for an hour
//	out-of-range-is-valid  an index beyond the status list is a good one (blocklist)
//	msb-first              the first index is the most significant bit (blocklist)
//	sequence-gap           the number of a block is drawn before the list is locked,
//	                       so that a later number can be committed first (store)
var planted string

func leaseFrom(sent, received time.Duration) time.Duration {
	if planted == "lease-from-receipt" {
		return received
	}
	return sent
}

func leaseClock(now Reading) time.Duration {
	if planted == "wall-clock" {
		return time.Duration(now.Wall.UnixNano())
	}
	return now.Boot
}

func inDoubt(why error) error {
	if planted == "fail-open" {
		return nil
	}
	return why
}

type remembered struct {
	until time.Time
	who   Identity
	err   error
}

var (
	rememberedMu sync.Mutex
	rememberedBy = map[string]remembered{}
)

func (g *Gateway) decide(token string, judge func() (Identity, error)) (Identity, error) {
	if planted != "verdict-cache" {
		return judge()
	}
	rememberedMu.Lock()
	defer rememberedMu.Unlock()
	now := g.clocks().Wall
	if r, ok := rememberedBy[token]; ok && now.Before(r.until) {
		return r.who, r.err
	}
	who, err := judge()
	rememberedBy[token] = remembered{now.Add(time.Hour), who, err}
	return who, err
}
