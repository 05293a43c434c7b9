package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/web/view"
)

const (
	streamLife  = 10 * time.Minute // then the browser comes back, and is asked again who it is
	streamPulse = 15 * time.Second // so that nothing on the way believes it dead
)

// events hurries the reads of pages: one event for each move of an attempt, with
// its id and nothing of it. Pages that hear nothing ask by themselves, later.
func (s *Server) events(v visit) error {
	ctx, cancel := context.WithTimeout(v.r.Context(), streamLife)
	defer cancel()
	out := http.NewResponseController(v.w)
	// The server bounds requests; this one is meant to last.
	for _, unbound := range []func(time.Time) error{out.SetReadDeadline, out.SetWriteDeadline} {
		if err := unbound(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	lines := make(chan string)
	go func() {
		defer close(lines)
		err := s.Bank.Watch(ctx, v.by(), v.drawn(), func(e bank.Event) error {
			select {
			case lines <- fmt.Sprintf("id: %s-%d\nevent: %s\ndata: %s\n\n", e.Attempt, e.Version, view.ChangedEvent, e.Attempt):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil && guichet.KindOf(err) != guichet.Unavailable {
			s.Log.ErrorContext(ctx, "a stream of events ended", "error", err)
		}
	}()
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	line, open := "retry: 2000\n\n", true
	for open {
		if _, err := v.w.Write([]byte(line)); err != nil {
			return nil // the browser went away
		}
		if err := out.Flush(); err != nil {
			return nil
		}
		select {
		case line, open = <-lines:
		case <-pulse.C:
			line = ": still here\n\n"
		case <-s.Stopping:
			return nil
		}
	}
	return nil
}

// drawn is the instant of the page that asks for a stream: what moved between the two
// is not on it, and nothing else would tell.
func (v visit) drawn() time.Time {
	at, err := strconv.ParseInt(v.r.URL.Query().Get("since"), 10, 64)
	if err != nil || at <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(at)
}
