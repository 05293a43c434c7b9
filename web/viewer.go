package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet"
	"guichet/web/asset"
	"guichet/web/locale"
	"guichet/web/view"
)

// The cookies that hold what a reader chose. They say nothing about who it is.
const (
	langCookie  = "lang"
	themeCookie = "theme"
)

// Viewers tells every handler below it who looks at the page: language, theme,
// clock and assets go into the context of the request, where components find
// them.
func Viewers(clock guichet.Clock, zone *time.Location, assets *asset.Set, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := view.Viewer{
			Words:  locale.In(locale.Choose(cookie(r, langCookie), r.Header.Get("Accept-Language")), zone),
			Theme:  view.ParseTheme(cookie(r, themeCookie)),
			Now:    clock.Now(),
			Path:   pageOf(r),
			Assets: assets,
		}
		next.ServeHTTP(w, r.WithContext(view.WithViewer(r.Context(), v)))
	})
}

// pageOf is the address of the page that a reader sees: what a form is sent to is
// none, so the answer to one belongs to the page with the form, which browsers name.
func pageOf(r *http.Request) string {
	if r.Method != http.MethodPost {
		return r.URL.RequestURI()
	}
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		return Local(from.RequestURI())
	}
	return view.PathHome
}

// Preferences answers the switches of language and theme: it remembers the
// choice for a year and goes back to where the reader was.
func Preferences(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		Fail(w, r, &guichet.Error{Kind: guichet.Invalid, Code: "invalid_form", Reason: "The form cannot be read.", Cause: err})
		return
	}
	if lang := r.PostForm.Get("lang"); lang == locale.French || lang == locale.English {
		remember(w, r, langCookie, lang)
	}
	if theme := r.PostForm.Get("theme"); theme == "next" {
		remember(w, r, themeCookie, string(view.ViewerFrom(r.Context()).Theme.Next()))
	} else if theme != "" {
		remember(w, r, themeCookie, string(view.ParseTheme(theme)))
	}
	http.Redirect(w, r, Local(r.PostForm.Get("back")), http.StatusSeeOther)
}

// Local returns an address given by a browser when it stays on this server, and
// the start page otherwise. Two slashes, or a backslash, would lead elsewhere.
func Local(address string) string {
	if !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") {
		return view.PathHome
	}
	return address
}

func remember(w http.ResponseWriter, r *http.Request, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/",
		MaxAge:   365 * 24 * 60 * 60,
		SameSite: http.SameSiteLaxMode,
		HttpOnly: true,
		Secure:   r.TLS != nil,
	})
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
