package store

import (
	"context"
	"sync"
)

// gates let one at a time through, by name. Who waits at one holds nothing.
type gates struct {
	mu    sync.Mutex
	named map[string]*gate
}

type gate struct {
	using int // inside or waiting
	turn  chan struct{}
}

// enter waits for its turn, as long as ctx lets it.
func (g *gates) enter(ctx context.Context, name string) (leave func(), err error) {
	g.mu.Lock()
	if g.named == nil {
		g.named = map[string]*gate{}
	}
	at := g.named[name]
	if at == nil {
		at = &gate{turn: make(chan struct{}, 1)}
		g.named[name] = at
	}
	at.using++
	g.mu.Unlock()
	forget := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if at.using--; at.using == 0 {
			delete(g.named, name)
		}
	}
	select {
	case at.turn <- struct{}{}:
		return func() { <-at.turn; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
