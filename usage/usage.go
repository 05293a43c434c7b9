// Package usage counts how often each token is used, where it is verified, and is
// what carries the counts to where they are kept. It knows no person and no
// address, and an instant only as that of the report.
package usage

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"guichet"
)

const (
	shards    = 32
	mostShard = 4096 // tokens in each: who shares a signing secret can make up any number
	// MostUses is how many tokens a report names at the most.
	MostUses = 2000
)

// A Report is what was counted in a while. The same report may come any number of
// times, and counts once: by its ID.
type Report struct {
	ID   string           `json:"id"`
	From time.Time        `json:"from"`
	To   time.Time        `json:"to"`
	Uses map[string]int64 `json:"uses"` // by token
}

// A Counter counts. Using it costs one addition and a lock that nobody else has, as
// a rule; it is safe for any number of goroutines.
type Counter struct {
	clock guichet.Clock
	seed  maphash.Seed
	parts [shards]part
	lost  atomic.Int64

	mu    sync.Mutex
	begun time.Time
}

type part struct {
	mu   sync.RWMutex
	uses map[string]*atomic.Int64
	_    [64]byte // parts do not share what processors hand around
}

// NewCounter begins to count.
func NewCounter(clock guichet.Clock) *Counter {
	c := &Counter{clock: clock, seed: maphash.MakeSeed(), begun: clock.Now()}
	for i := range c.parts {
		c.parts[i].uses = map[string]*atomic.Int64{}
	}
	return c
}

// Use counts one use of a token. Nobody is counted on a nil Counter.
func (c *Counter) Use(token string) {
	if c == nil {
		return
	}
	p := &c.parts[maphash.String(c.seed, token)%shards]
	p.mu.RLock()
	n := p.uses[token]
	if n != nil {
		n.Add(1) // under the lock: who takes the counts away has it alone
	}
	p.mu.RUnlock()
	if n != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n = p.uses[token]
	if n == nil {
		if len(p.uses) >= mostShard {
			c.lost.Add(1)
			return
		}
		n = &atomic.Int64{}
		p.uses[token] = n
	}
	n.Add(1)
}

// Lost is how many uses were not counted, because of too many tokens.
func (c *Counter) Lost() int64 { return c.lost.Load() }

// Take gives what was counted since the last time, and begins again.
func (c *Counter) Take() (reports []Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := c.begun, c.clock.Now()
	c.begun = to
	var last *Report
	for i := range c.parts {
		p := &c.parts[i]
		p.mu.Lock()
		uses := p.uses
		p.uses = map[string]*atomic.Int64{}
		p.mu.Unlock()
		for token, n := range uses {
			if last == nil || len(last.Uses) >= MostUses {
				reports = append(reports, Report{ID: c.clock.NewID().String(), From: from, To: to, Uses: map[string]int64{}})
				last = &reports[len(reports)-1]
			}
			last.Uses[token] = n.Load()
		}
	}
	return reports
}
