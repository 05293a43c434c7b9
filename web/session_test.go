package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"guichet/api"
	"guichet/people"
	"guichet/store/storetest"
	"guichet/web"
	"guichet/web/view"
)

// Nobody is known while the database is gone. That is no reason to send them to the
// door, and programs hear it as they hear everything.
func TestSessionsOfADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		gone := db.Open()
		log := slog.New(slog.DiscardHandler)
		pages := &web.Server{
			Clock: db.Clock.Clock(), Log: log, URL: "http://guichet.test", Zone: time.UTC, Windows: view.Windows{Bank: true},
			People: &people.Desk{Store: gone.People(), Clock: db.Clock.Clock()}, Alerts: gone.Alerts(), Sessions: gone.Sessions(),
			FailAPI: func(w http.ResponseWriter, r *http.Request, err error) { api.Fail(log, w, r, err) },
		}
		handler, err := pages.Handler(http.NotFoundHandler())
		if err != nil {
			t.Fatal(err)
		}
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"/api/all": "application/problem+json", "/accesses": "text/html; charset=utf-8"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.AddCookie(&http.Cookie{Name: web.CookieName(false), Value: "a-session-of-yesterday"})
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Type") != want || strings.Contains(w.Body.String(), "closed") {
				t.Errorf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		}
	})
}
