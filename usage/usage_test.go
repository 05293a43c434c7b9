package usage

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
)

// Whatever is counted while somebody takes the counts away is in one report, and in
// one only.
func TestNothingIsLostOrCountedTwice(t *testing.T) {
	now := atomic.Int64{}
	c := NewCounter(guichet.Clock{Now: func() time.Time { return time.Unix(now.Add(1), 0) }, Rand: rand.Reader})
	const goroutines, each, tokens = 8, 20_000, 37
	var counting sync.WaitGroup
	for range goroutines {
		counting.Go(func() {
			for i := range each {
				c.Use(fmt.Sprint("token ", i%tokens))
			}
		})
	}
	done := make(chan struct{})
	go func() { counting.Wait(); close(done) }()
	total, names := map[string]int64{}, map[string]bool{}
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		for _, r := range c.Take() {
			if names[r.ID] || !r.From.Before(r.To) || len(r.Uses) == 0 {
				t.Fatalf("%+v", r)
			}
			names[r.ID] = true
			for token, n := range r.Uses {
				total[token] += n
			}
		}
	}
	sum := int64(0)
	for _, n := range total {
		sum += n
	}
	if sum != goroutines*each || len(total) != tokens || c.Lost() != 0 {
		t.Errorf("%d of %d uses, of %d tokens; %d lost", sum, goroutines*each, len(total), c.Lost())
	}
}

// However many tokens somebody makes up, memory and reports have an end, and what is
// not counted is known.
func TestTooManyTokens(t *testing.T) {
	c := NewCounter(guichet.SystemClock())
	const many = 400_000
	for i := range many {
		c.Use(fmt.Sprint(i))
	}
	kept := 0
	for _, r := range c.Take() {
		if len(r.Uses) > MostUses {
			t.Errorf("a report of %d tokens", len(r.Uses))
		}
		kept += len(r.Uses)
	}
	if kept > shards*mostShard || kept+int(c.Lost()) != many {
		t.Errorf("%d kept, %d lost", kept, c.Lost())
	}
	var nobody *Counter
	nobody.Use("x")
}

func BenchmarkUse(b *testing.B) {
	c := NewCounter(guichet.SystemClock())
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = guichet.SystemClock().NewID().String()
	}
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			c.Use(ids[i%len(ids)])
		}
	})
}
