package job

import (
	"maps"
	"sync"
)

// busy counts what runs of the kinds that have a limit.
type busy struct {
	limits  map[string]int
	mu      sync.Mutex
	running map[string]int
	free    chan struct{} // closed and replaced when a full kind has room again
}

func newBusy(limits map[string]int) *busy {
	return &busy{limits: limits, running: map[string]int{}, free: make(chan struct{})}
}

// room tells how many more of each limited kind may begin; nil: no kind is limited.
func (b *busy) room() map[string]int {
	if len(b.limits) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	left := maps.Clone(b.limits)
	for kind := range left {
		left[kind] -= b.running[kind]
	}
	return left
}

// freed is closed when a kind that was full has room again. It must be asked for
// before room, so that nothing ends unseen between the two.
func (b *busy) freed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// full tells whether a kind has no room left.
func (b *busy) full() bool {
	for _, left := range b.room() {
		if left <= 0 {
			return true
		}
	}
	return false
}

func (b *busy) begin(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[kind]++
}

func (b *busy) end(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[kind]--
	if limit, limited := b.limits[kind]; limited && b.running[kind] == limit-1 {
		close(b.free)
		b.free = make(chan struct{})
	}
}
