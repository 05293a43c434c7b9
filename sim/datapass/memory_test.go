package simdatapass_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	simdatapass "guichet/sim/datapass"
)

// A source that is kept in a file goes on after its death as if it had not died,
// whatever was done to it last: pages, numbers, what is still to be sent and when, by
// which secret, to the byte.
func TestKeptInAFile(t *testing.T) {
	for _, format := range []string{"v1", "v2"} {
		t.Run(format, func(t *testing.T) {
			w, file := newWorld(t, format), filepath.Join(t.TempDir(), "datapass.json")
			reborn := func() {
				t.Helper()
				w.site = simdatapass.New(w.options)
				if err := w.site.KeepIn(file); err != nil {
					t.Fatal(err)
				}
			}
			pages := func() string { return w.get("/") + w.get("/demandes/50001") + w.get("/demandes/50002") }
			reborn()
			n := w.create("api_entreprise", false)
			w.create("api_particulier", true)
			w.step(2)
			before := pages()
			for _, deed := range []struct {
				name string
				does func() error
			}{
				{"an event", func() error { return w.site.Do(n, "submit") }},
				{"another event", func() error { return w.site.Do(n, "request_changes") }},
				{"a delivery", func() error { w.step(2); return nil }},
				{"a ping", func() error { return w.site.Ping("api_entreprise") }},
				{"a delivery that is refused", func() error { w.answers(http.StatusInternalServerError); w.step(1); return nil }},
				{"a fault", func() error { return w.site.Fault(simdatapass.FaultDrop, 2) }},
				{"holding back", func() error { w.site.Hold(true); return nil }},
				{"a new one, held back", func() error { w.create("api_entreprise", false); return nil }},
				{"letting go", func() error { w.site.Hold(false); return nil }},
				{"a delivery that is lost", func() error { w.step(1); return nil }},
			} {
				if err := deed.does(); err != nil {
					t.Fatalf("%s: %v", deed.name, err)
				}
				done := pages()
				if reborn(); done == before || pages() != done {
					t.Errorf("%s: before the death: %s\nafter it: %s", deed.name, done, pages())
				}
				before = done
			}
			if err := w.site.Fault(simdatapass.FaultDrop, 0); err != nil {
				t.Fatal(err)
			}
			w.answers(http.StatusOK)
			w.advance(time.Minute)
			sent := w.received()
			refused := sent[len(sent)-1]
			w.site.Step(t.Context())
			if !slices.ContainsFunc(w.received()[len(sent):], func(again got) bool {
				return string(again.body) == string(refused.body) && again.signature == refused.signature
			}) {
				t.Errorf("what was refused before the death is not sent again after it: %s", refused.body)
			}
			if err := w.site.Rotate("api_entreprise"); err != nil {
				t.Fatal(err)
			}
			reborn()
			if n := w.create("api_entreprise", false); n != 50_004 {
				t.Errorf("the next request is %d", n)
			}
			w.step(1)
			if last := w.received()[len(w.received())-1]; last.signature != simdatapass.Sign("second", last.body) {
				t.Errorf("signed with another secret than the last: %s", last.signature)
			}
		})
	}
}

// Who ends in the midst of a sending has lost no connection: it is sent again.
func TestEndedWhileSending(t *testing.T) {
	w := newWorld(t, "v2")
	ctx, end := context.WithCancel(t.Context())
	w.options.Client = &http.Client{Transport: ending{end}}
	w.site = simdatapass.New(w.options)
	file := filepath.Join(t.TempDir(), "datapass.json")
	if err := w.site.KeepIn(file); err != nil {
		t.Fatal(err)
	}
	w.create("api_entreprise", false)
	w.site.Step(ctx)
	if ctx.Err() == nil || len(w.received()) != 0 {
		t.Fatal("it was not ended in the midst of a sending")
	}
	w.options.Client = nil
	w.site = simdatapass.New(w.options)
	if err := w.site.KeepIn(file); err != nil {
		t.Fatal(err)
	}
	w.step(1)
}

// An ending transport ends whoever sends.
type ending struct{ end context.CancelFunc }

func (e ending) RoundTrip(r *http.Request) (*http.Response, error) {
	e.end()
	return nil, r.Context().Err()
}

// What cannot be gone on from is refused, and stays as it was.
func TestKeptIsRefused(t *testing.T) {
	for says, text := range map[string]string{
		"unexpected end":            `{"Requests":[`,
		"no provider \"api_other\"": `{"Deliveries":[{"ID":1,"Provider":"api_other"}]}`,
	} {
		w, file := newWorld(t, "v2"), filepath.Join(t.TempDir(), "datapass.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.site.KeepIn(file); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", text, err)
		}
		w.create("api_entreprise", false)
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("the file is %s, %v", now, err)
		}
	}
	w := newWorld(t, "v2")
	if err := w.site.KeepIn(t.TempDir()); err == nil {
		t.Error("a folder was taken for a file")
	}
	if err := w.site.KeepIn(filepath.Join(t.TempDir(), "nowhere", "datapass.json")); err != nil {
		t.Fatal(err)
	}
	if status, page := w.post("/demandes", url.Values{"provider": {"api_entreprise"}}); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, page)
	}
	if page := w.get("/"); !strings.Contains(page, "n’est plus gardé") {
		t.Errorf("the page does not tell that nothing is kept: %s", page)
	}
}
