package web

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"guichet"
	"guichet/web/view"
)

// Render writes a page whole or not at all: it is drawn in memory first, so that
// a component that fails gives a clean error page and not half of its own.
// Pages speak of people's money, so no cache keeps them.
func Render(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		Fail(w, r, err)
		return
	}
	send(w, status, b.Bytes())
}

// Fail answers an error: the right status, what happened, whether anything was
// lost, the next step. The cause goes to the log and never to the page.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	FailIn(w, r, nil, err)
}

// FailIn is [Fail] inside the frame of somebody who is signed in, so that they
// find their way on.
func FailIn(w http.ResponseWriter, r *http.Request, frame *view.Frame, err error) {
	ctx, err := givenUp(r.Context(), err)
	r = r.WithContext(ctx)
	kind := guichet.KindOf(err)
	status := Status(kind)
	fault := view.Fault{Status: status, Code: guichet.CodeOf(err), Kind: string(kind), Bare: frame == nil}
	if frame == nil {
		frame = &view.Frame{}
	}
	page := view.ViewerFrom(r.Context()).Path
	switch {
	case r.Method == http.MethodPost && page != view.PathHome:
		fault.Next = &view.Action{Label: view.Say(r.Context(), "fault.back"), URL: page, Tone: view.Primary}
	case r.Method == http.MethodGet && status >= http.StatusInternalServerError:
		fault.Next = &view.Action{Label: view.Say(r.Context(), "fault.retry"), URL: "", Tone: view.Primary} // this very page
	}
	if status >= http.StatusInternalServerError {
		fault.Reference = rand.Text()[:8]
		slog.ErrorContext(r.Context(), "page failed", "path", loggable(r.URL.Path), "reference", fault.Reference, "error", err)
	}
	drawn := view.FaultPage(*frame, fault)
	if r.Header.Get("HX-Request") == "true" {
		// Part of a page was asked for: a whole page would land inside it.
		w.Header().Set("HX-Reswap", "none")
		drawn = view.FaultToast(fault)
	}
	var b bytes.Buffer
	if err := drawn.Render(r.Context(), &b); err != nil {
		// Nothing of ours can be drawn any more; the status still tells.
		slog.ErrorContext(r.Context(), "error page failed", "error", err)
		http.Error(w, http.StatusText(status), status)
		return
	}
	send(w, status, b.Bytes())
}

// loggable is a path without what opens something to whoever reads the log: the end
// of a link of hand-over.
func loggable(path string) string {
	if strings.HasPrefix(path, view.PathTakeOver+"/") {
		return view.PathTakeOver + "/…"
	}
	return path
}

func send(w http.ResponseWriter, status int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(page) // the browser went away: nobody is left to tell
}

// Status is the HTTP status of a family of errors.
func Status(kind guichet.Kind) int {
	switch kind {
	case guichet.Invalid:
		return http.StatusUnprocessableEntity
	case guichet.Unauthorized:
		return http.StatusUnauthorized
	case guichet.Forbidden:
		return http.StatusForbidden
	case guichet.NotFound:
		return http.StatusNotFound
	case guichet.Conflict:
		return http.StatusConflict
	case guichet.Gone:
		return http.StatusGone
	case guichet.TooMany:
		return http.StatusTooManyRequests
	case guichet.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// NotFound answers any address that nothing else answers.
func NotFound(w http.ResponseWriter, r *http.Request) {
	Fail(w, r, &guichet.Error{Kind: guichet.NotFound, Code: "not_found", Reason: "There is nothing here."})
}
