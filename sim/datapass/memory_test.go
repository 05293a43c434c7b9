package simdatapass_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	simdatapass "guichet/sim/datapass"
)

// A source that is kept in a file goes on after its death as if it had not died:
// pages, numbers, what is still to be sent and when, to the byte.
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
			reborn()
			n := w.create("api_entreprise", false)
			w.do(n, "submit")
			w.step(2)
			w.answers(http.StatusInternalServerError)
			w.do(n, "approve")
			w.step(1)
			if err := w.site.Ping("api_particulier"); err != nil {
				t.Fatal(err)
			}
			w.site.Hold(true)
			w.create("api_particulier", true)
			before := w.get("/") + w.get("/demandes/50001") + w.get("/demandes/50002")

			reborn()
			if after := w.get("/") + w.get("/demandes/50001") + w.get("/demandes/50002"); after != before {
				t.Errorf("before: %s\nafter: %s", before, after)
			}
			w.answers(http.StatusOK)
			w.step(1) // the ping
			w.advance(time.Minute)
			w.step(1) // the approval again; what is held back stays
			sent := w.received()
			if first, again := sent[2], sent[len(sent)-1]; string(first.body) != string(again.body) || first.signature != again.signature {
				t.Errorf("the same event: %s\nand after the death: %s", first.body, again.body)
			}
			w.site.Hold(false)
			w.step(1)
			if n := w.create("api_entreprise", false); n != 50_003 {
				t.Errorf("the third request is %d", n)
			}
		})
	}
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
	if page := w.get("/"); !strings.Contains(page, "Rien n’a pu être gardé") {
		t.Errorf("the page does not tell that nothing is kept: %s", page)
	}
}
