package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"guichet/bank"
)

const (
	streamLife  = 10 * time.Minute // then the client comes back, and proves again who it is
	streamPulse = 15 * time.Second // so that nothing on the way believes it dead
)

// events tells that something moved: the kind and the id, and nothing of it.
// Whoever hears it reads again.
func (b *Bank) events(w http.ResponseWriter, r *http.Request) {
	actor, _, err := b.Identify(r)
	if err == nil && actor.ID == "" {
		err = errNobody
	}
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	go func() {
		select {
		case <-b.Stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	lines := make(chan string)
	go func() {
		defer close(lines)
		err := b.Desk.Watch(ctx, actor, time.Time{}, func(e bank.Event) error {
			line := fmt.Sprintf("id: %s-%d\nevent: attempt\ndata: {\"kind\":\"attempt\",\"id\":%q}\n\n", e.Attempt, e.Version, e.Attempt)
			select {
			case lines <- line:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			b.Log.Error("a stream ended", "error", err)
		}
	}()
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	line, open := "retry: 2000\n\n", true
	for open {
		if _, err := w.Write([]byte(line)); err != nil {
			return
		}
		if err := out.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		select {
		case line, open = <-lines:
		case <-pulse.C:
			line = ": still here\n\n"
		}
	}
}
