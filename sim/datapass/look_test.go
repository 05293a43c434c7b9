package simdatapass_test

import (
	"os"
	"path/filepath"
	"testing"

	simdatapass "guichet/sim/datapass"
	"guichet/web/webtest"
)

// The pages with buttons, in a browser: a quiet console, no rule of accessibility
// broken, nothing sticking out, at two widths and in both themes. The pictures go
// to GUICHET_SHOTS.
func TestPagesInABrowser(t *testing.T) {
	w := newWorld(t, "v2")
	n := w.create("api_entreprise", false)
	w.do(n, "submit", "approve", "reopen", "submit")
	w.site.Step(t.Context())
	if err := w.site.Fault(simdatapass.FaultDrop, 1); err != nil {
		t.Fatal(err)
	}
	w.do(n, "revoke")
	m := w.create("api_particulier", true)
	w.do(m, "submit", "approve")
	w.site.Step(t.Context())
	w.answers(503)
	w.create("api_entreprise", false)
	w.site.Step(t.Context())
	w.site.Hold(true)
	w.do(m, "transfer")
	if err := w.site.Fault(simdatapass.FaultAPIDown, 3); err != nil {
		t.Fatal(err)
	}
	p := webtest.Start(t).Tab(t)
	for name, path := range map[string]string{"home": "/", "one": "/demandes/50001", "none": "/demandes/7"} {
		for _, look := range []webtest.Look{{Width: 1440, Theme: "light"}, {Width: 360, Height: 740, Theme: "dark"}, {Width: 360, Height: 740, Theme: "light"}, {Width: 1440, Theme: "dark"}} {
			look.URL = w.web.URL + path
			shot := "datapass-" + name + "-" + map[bool]string{true: "phone", false: "wide"}[look.Width == 360] + "-" + look.Theme
			p.Look(t, look)
			for _, problem := range p.Problems() {
				if name != "none" { // a page that is not there says so in the console
					t.Error(shot, " console: ", problem)
				}
			}
			for _, e := range p.Overflow() {
				t.Error(shot, " sticks out: ", e)
			}
			for _, v := range p.Axe() {
				t.Error(shot, " axe: ", v)
			}
			if dir := os.Getenv("GUICHET_SHOTS"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, shot+".png"), p.Screenshot(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
