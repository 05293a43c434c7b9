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
	"guichet/keyring"
)

// Limits are those of tokens by their id; "*" is for those that have none here. What
// a token itself says of its limit holds beside them.
type Limits map[string]guichet.Limit

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

// ErrRate is what a limit refuses, beside [keyring.ErrAddress].
var ErrRate = &guichet.Error{Kind: guichet.TooMany, Code: "rate_exceeded", Reason: "The token is used too often. Try again in a moment."}

func isUnknownIndex(err error) bool { return errors.Is(err, errUnknownIndex.Cause) }

// limited tells whether a limit forbids this use: the token's own, which its signer
// wrote, or ours. Both hold.
func (g *Gateway) limited(c keyring.Claims, from netip.Addr) error {
	here, ok := g.config.Limits[c.ID]
	if !ok {
		here = g.config.Limits["*"]
	}
	if !c.Limit.Admits(from) || !here.Admits(from) {
		return keyring.ErrAddress
	}
	perMinute := c.Limit.PerMinute
	if perMinute == 0 || here.PerMinute > 0 && here.PerMinute < perMinute {
		perMinute = here.PerMinute
	}
	if perMinute > 0 && !g.rates.take(c.ID, perMinute, g.clocks().Boot) {
		return ErrRate
	}
	return nil
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
