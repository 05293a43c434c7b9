package webtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"guichet/web/webtest"
)

func page(t *testing.T, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src data:")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>t</title><link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"></head><body><main><h1>Title</h1>%s</main></body></html>`, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The harness sees what it is there to see: a judge that never convicts is none.
func TestHarnessSeesWhatIsWrong(t *testing.T) {
	b := webtest.Start(t)
	t.Run("a clean page", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, "<p>Text</p>"), Width: 360})
		if bad := p.Problems(); len(bad) > 0 {
			t.Error(bad)
		}
		if bad := p.Axe(); len(bad) > 0 {
			t.Error(bad)
		}
		if bad := p.Overflow(); len(bad) > 0 {
			t.Error(bad)
		}
		if png := p.Screenshot(); !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("a screenshot begins with %q", png[:8])
		}
	})
	t.Run("an inline script", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, "<script>1</script>")})
		if bad := strings.Join(p.Problems(), "\n"); !strings.Contains(bad, "Content Security Policy") {
			t.Errorf("problems: %q", bad)
		}
	})
	t.Run("an inline style", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, `<p style="color:red">x</p>`)})
		if bad := strings.Join(p.Problems(), "\n"); !strings.Contains(bad, "Content Security Policy") {
			t.Errorf("problems: %q", bad)
		}
	})
	t.Run("an exception", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, "")})
		webtest.Eval[bool](p, `setTimeout(() => { throw new Error("on purpose") }), new Promise(done => setTimeout(done, 50, true))`)
		if bad := strings.Join(p.Problems(), "\n"); !strings.Contains(bad, "on purpose") {
			t.Errorf("problems: %q", bad)
		}
	})
	t.Run("a picture without words", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" width="9" height="9">`)})
		if bad := p.Axe(); len(bad) != 1 || bad[0].Rule != "image-alt" {
			t.Errorf("violations: %v", bad)
		}
	})
	t.Run("a line that never breaks", func(t *testing.T) {
		p := b.Open(t, webtest.Look{URL: page(t, "<p>"+strings.Repeat("x", 200)+"</p>"), Width: 360})
		if bad := p.Overflow(); len(bad) == 0 {
			t.Error("it fits")
		}
	})
	t.Run("a tab that saw another page before", func(t *testing.T) {
		clean, bad := page(t, "<p>Text</p>"), page(t, "<script>1</script>")
		p := b.Tab(t)
		for n, look := range []webtest.Look{{URL: bad, Lang: "fr"}, {URL: clean, Width: 360}, {URL: bad}} {
			p.Look(t, look)
			if found := p.Problems(); (len(found) > 0) != (look.URL == bad) {
				t.Errorf("look %d: problems: %q", n, found)
			}
			if width := webtest.Eval[int64](p, "innerWidth"); look.Width != 0 && width != look.Width {
				t.Errorf("look %d: %d wide", n, width)
			}
			if found := webtest.Eval[string](p, "document.cookie"); (found != "") != (look.Lang != "") {
				t.Errorf("look %d: cookies: %q", n, found)
			}
		}
	})
}
