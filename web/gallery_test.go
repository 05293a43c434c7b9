package web_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/web"
	"guichet/web/locale"
	"guichet/web/view"
	"guichet/web/webtest"
)

// gallery serves every page of the samples under its name, exactly as the
// product serves pages: same headers, same assets, same middleware.
func gallery(t *testing.T) *httptest.Server { return changing(t, nil) }

// changing is the gallery with a stream that says when something changed.
func changing(t *testing.T, changes <-chan struct{}) *httptest.Server {
	t.Helper()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	assets, err := web.Assets(mux)
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("POST "+view.PathPreferences, web.Preferences)
	mux.HandleFunc("GET /gallery/{name}", func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages(r.Context())[r.PathValue("name")]
		if !ok {
			web.NotFound(w, r)
			return
		}
		web.Render(w, r, http.StatusOK, page)
	})
	// An answer that the bank takes its time to refuse.
	mux.HandleFunc("POST /challenges/q1/answer", func(w http.ResponseWriter, r *http.Request) {
		q := withCreation(question(r.Context(), ""))
		q.Checking, q.StatusURL = true, "/challenges/q1"
		web.Render(w, r, http.StatusOK, view.QuestionBox(*q))
	})
	mux.HandleFunc("GET /challenges/q1", func(w http.ResponseWriter, r *http.Request) {
		web.Render(w, r, http.StatusOK, view.QuestionBox(*withCreation(question(r.Context(), "wrong"))))
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		select {
		case <-changes:
			_, _ = io.WriteString(w, "event: "+view.ChangedEvent+"\n\n")
			_ = rc.Flush()
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /accesses/4/progress", func(w http.ResponseWriter, r *http.Request) {
		web.Render(w, r, http.StatusOK, view.ProgressLine("progress-4", "Association", view.Progress{Phase: "finishing", StatusURL: "/accesses/4/progress"}))
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) {
		web.Fail(w, r, errors.New("a cause for the log"))
	})
	clock := guichet.SystemClock()
	clock.Now = func() time.Time { return now }
	s := httptest.NewServer(web.SecurityHeaders(web.Viewers(clock, paris, assets, mux)))
	t.Cleanup(func() {
		s.CloseClientConnections() // a stream would hold the server open
		s.Close()
	})
	return s
}

// names lists the pages; GUICHET_PAGES=a,b looks at these alone.
func names() []string {
	if only := os.Getenv("GUICHET_PAGES"); only != "" {
		return strings.Split(only, ",")
	}
	ctx := view.WithViewer(context.Background(), view.Viewer{Words: locale.In(locale.French, nil)})
	all := pages(ctx)
	for _, moving := range []string{"question-short", "accesses-live"} { // change while one looks
		delete(all, moving)
	}
	return slices.Sorted(maps.Keys(all))
}

// Every page, at two widths, in both themes and both languages, and once on a
// tablet: a quiet console, no rule of accessibility broken, nothing sticking
// out. The pictures go to GUICHET_SHOTS, for people to look at.
func TestGallery(t *testing.T) {
	s := gallery(t)
	b := webtest.Start(t)
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := b.Tab(t)
			for _, lang := range locale.Languages() {
				inspect(t, p, name, webtest.Look{URL: s.URL + "/gallery/" + name, Width: 360, Height: 740, Lang: lang})
				inspect(t, p, name, webtest.Look{URL: s.URL + "/gallery/" + name, Width: 1440, Lang: lang})
			}
			inspect(t, p, name, webtest.Look{URL: s.URL + "/gallery/" + name, Width: 820, Height: 1100, Lang: locale.French})
		})
	}
}

// inspect looks at a page in the light, then turns it to the dark, where only
// the colours can be wrong.
func inspect(t *testing.T, p *webtest.Page, name string, look webtest.Look) {
	t.Helper()
	look.Theme = string(view.Light)
	p.Look(t, look)
	where := shotName(look)
	for _, problem := range p.Problems() {
		t.Errorf("%s: console: %s", where, problem)
	}
	for _, e := range p.Overflow() {
		t.Errorf("%s: sticks out: %s", where, e)
	}
	for _, v := range p.Axe() {
		t.Errorf("%s: axe: %s", where, v)
	}
	keep(t, p, name+"-"+where)
	p.Turn(string(view.Dark))
	look.Theme = string(view.Dark)
	for _, v := range p.Axe("color-contrast") {
		t.Errorf("%s: axe: %s", shotName(look), v)
	}
	keep(t, p, name+"-"+shotName(look))
}

// keep writes the picture of a page to GUICHET_SHOTS, when it is set.
func keep(t *testing.T, p *webtest.Page, name string) {
	t.Helper()
	dir := os.Getenv("GUICHET_SHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), p.Screenshot(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func shotName(l webtest.Look) string {
	size := map[int64]string{360: "phone", 820: "tablet", 1440: "wide"}[l.Width]
	return size + "-" + l.Theme + "-" + l.Lang
}
