package gateway

import (
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"os"
	"sync"
	"time"

	"guichet"
)

// A Limit narrows the use of a token at this gateway.
type Limit struct {
	From      []netip.Prefix `json:"from"`       // only from these networks; none: from anywhere
	PerMinute int            `json:"per_minute"` // at this gateway; zero: as often as it likes
}

// Limits are those of tokens by their id; "*" is for those that have none.
type Limits map[string]Limit

// ReadLimits reads a JSON file of limits by token id.
func ReadLimits(path string) (Limits, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, limitsError(err)
	}
	var l Limits
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, limitsError(err)
	}
	return l, nil
}

func limitsError(err error) error {
	return &guichet.Error{Kind: guichet.Invalid, Code: "invalid_limits", Field: "limits", Reason: "The file of limits cannot be read.", Cause: err}
}

// What a limit refuses.
var (
	ErrAddress = &guichet.Error{Kind: guichet.Forbidden, Code: "address_not_allowed", Reason: "The token may not be used from this address."}
	ErrRate    = &guichet.Error{Kind: guichet.TooMany, Code: "rate_exceeded", Reason: "The token is used too often. Try again in a moment."}
)

func isUnknownIndex(err error) bool { return errors.Is(err, errUnknownIndex.Cause) }

func (g *Gateway) limited(token string, from netip.Addr) error {
	if len(g.config.Limits) == 0 {
		return nil
	}
	l, ok := g.config.Limits[token]
	if !ok {
		if l, ok = g.config.Limits["*"]; !ok {
			return nil
		}
	}
	if len(l.From) > 0 && !contains(l.From, from.Unmap()) {
		return ErrAddress
	}
	if l.PerMinute > 0 && !g.rates.take(token, l.PerMinute, g.clocks().Boot) {
		return ErrRate
	}
	return nil
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// rates has a bucket for each token that is used, which fills with time and holds
// as much as a minute gives.
type rates struct {
	mu      *sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Duration
}

// mostBuckets bounds the memory. Only tokens that may be used have one.
const mostBuckets = 100_000

func newRates() rates { return rates{&sync.Mutex{}, map[string]bucket{}} }

func (r rates) take(token string, perMinute int, now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.buckets[token]
	if !ok {
		if len(r.buckets) >= mostBuckets {
			clear(r.buckets) // everybody begins again with a full one
		}
		b = bucket{float64(perMinute), now}
	}
	b.left = math.Min(float64(perMinute), b.left+float64(perMinute)*(now-b.at).Minutes())
	b.at = now
	taken := b.left >= 1
	if taken {
		b.left--
	}
	r.buckets[token] = b
	return taken
}
