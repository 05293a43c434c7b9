package web_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"guichet/store/storetest"
	"guichet/web/webtest"
)

// Signing in elsewhere, in a real browser: the cookie of the session survives the
// way there and back, and every page on it is fine.
func TestOpenIDInABrowser(t *testing.T) {
	b := webtest.Start(t)
	for width, theme := range map[int64]string{360: "dark", 1440: "light"} {
		db := storetest.New(t, "sqlite")
		d := openDoor(t, db)
		p := b.Open(t, webtest.Look{URL: d.web.URL + "/requests?q=lot", Width: width, Height: 740, Theme: theme, Lang: "fr"})
		fine(t, p, "openid-door"+size(width))

		d.idp.says(bent{person: map[string]any{"email": "who@guichet.example", "email_verified": true}})
		click(t, p, ".door a.button")
		until(t, p, `location.pathname === "/sign-in" && document.querySelector("[role=alert]")?.textContent.includes("Rien n’a été créé") === true`)
		fine(t, p, "openid-refused"+size(width))

		d.idp.goDown(true)
		db.Clock.Advance(2 * time.Minute)
		p.Do(chromedp.Reload())
		until(t, p, `document.querySelector("[role=status].or")?.textContent.includes("ne répond pas") === true`)
		fine(t, p, "openid-away"+size(width))

		d.idp.goDown(false)
		d.idp.says(operator())
		db.Clock.Advance(2 * time.Minute)
		p.Do(chromedp.Reload())
		click(t, p, ".door a.button")
		until(t, p, `location.pathname === "/requests" && location.search === "?q=lot"`)
	}
}
