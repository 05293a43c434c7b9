package web_test

import (
	"context"
	"errors"
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
func gallery(t *testing.T) *httptest.Server {
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
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) {
		web.Fail(w, r, errors.New("a cause for the log"))
	})
	clock := guichet.SystemClock()
	clock.Now = func() time.Time { return now }
	s := httptest.NewServer(web.SecurityHeaders(web.Viewers(clock, paris, assets, mux)))
	t.Cleanup(s.Close)
	return s
}

// names lists the pages; GUICHET_PAGES=a,b looks at these alone.
func names() []string {
	if only := os.Getenv("GUICHET_PAGES"); only != "" {
		return strings.Split(only, ",")
	}
	ctx := view.WithViewer(context.Background(), view.Viewer{Words: locale.In(locale.French, nil)})
	all := pages(ctx)
	delete(all, "question-short") // changes while one looks
	return slices.Sorted(maps.Keys(all))
}

// Every page, at two widths, in both themes and both languages: a quiet console,
// no rule of accessibility broken, nothing sticking out. The pictures go to
// GUICHET_SHOTS, for people to look at.
func TestGallery(t *testing.T) {
	s := gallery(t)
	b := webtest.Start(t)
	for _, name := range names() {
		for _, width := range []int64{360, 1440} {
			for _, theme := range []string{"light", "dark"} {
				for _, lang := range locale.Languages() {
					look := webtest.Look{URL: s.URL + "/gallery/" + name, Width: width, Theme: theme, Lang: lang}
					if width == 360 {
						look.Height = 740
					}
					t.Run(name+"/"+shotName(look), func(t *testing.T) { inspect(t, b, name, look) })
				}
			}
		}
		tablet := webtest.Look{URL: s.URL + "/gallery/" + name, Width: 820, Height: 1100, Theme: "light", Lang: locale.French}
		t.Run(name+"/"+shotName(tablet), func(t *testing.T) { inspect(t, b, name, tablet) })
	}
}

func inspect(t *testing.T, b *webtest.Browser, name string, look webtest.Look) {
	p := b.Open(t, look)
	for _, problem := range p.Problems() {
		t.Error("console: ", problem)
	}
	if dir := os.Getenv("GUICHET_SHOTS"); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+shotName(look)+".png"), p.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range p.Overflow() {
		t.Error("sticks out: ", e)
	}
	for _, v := range p.Axe() {
		t.Error("axe: ", v)
	}
}

func shotName(l webtest.Look) string {
	size := map[int64]string{360: "phone", 820: "tablet", 1440: "wide"}[l.Width]
	return size + "-" + l.Theme + "-" + l.Lang
}
