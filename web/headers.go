// Package web is the people's face of Guichet: what every page needs around it,
// and the handlers that fill the pages of package view.
//
// This file and its neighbours know nothing of the windows: they are what a page
// is served with.
package web

import "net/http"

// contentPolicy lets a page load our own script, style and pictures, talk to us
// and nobody else, and be framed by nobody. Nothing inline runs. The data:
// pictures are the marks inside checkboxes and selects.
const contentPolicy = "default-src 'none'; " +
	"script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// SecurityHeaders sets what a browser must know before it reads an answer. It
// stands in front of everything, errors included.
func SecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY") // for what does not read frame-ancestors
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		next.ServeHTTP(w, r)
	})
}
