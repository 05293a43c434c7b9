package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"guichet"
)

// patience is how long a page may take until its first byte. A database that hangs
// must hold neither the page nor the connection for ever: what the page waits for
// is given up then, and the page says so. What has begun (an export, a stream) has
// all the time it takes.
const patience = 30 * time.Second

var errTooSlow = &guichet.Error{Kind: guichet.Unavailable, Code: "page_too_slow", Reason: "The page was not ready in time: the database does not answer. Try again in a moment."}

// patient gives pages up. Programs say themselves how long they wait.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		ctx, giveUp := context.WithCancelCause(r.Context())
		defer giveUp(nil)
		timer := time.AfterFunc(patience, func() { giveUp(errTooSlow) })
		defer timer.Stop()
		next.ServeHTTP(&begun{w, timer}, r.WithContext(ctx))
	})
}

// begun is an answer that stops the clock when it begins.
type begun struct {
	http.ResponseWriter
	timer *time.Timer
}

// WriteHeader implements http.ResponseWriter.
func (b *begun) WriteHeader(status int) {
	b.timer.Stop()
	b.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (b *begun) Write(p []byte) (int, error) {
	b.timer.Stop()
	return b.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// givenUp is the error of a page: that it was given up, if it was; and the context in
// which that can be said.
func givenUp(ctx context.Context, err error) (context.Context, error) {
	if errors.Is(context.Cause(ctx), errTooSlow) {
		err = errTooSlow.Because(err)
	}
	return context.WithoutCancel(ctx), err
}
