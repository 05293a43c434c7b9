package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"guichet"
	"guichet/bank"
	"guichet/grant"
	"guichet/openid"
	"guichet/people"
	"guichet/web/asset"
	"guichet/web/view"
)

// An AlertBook is where alerts of all windows are kept.
type AlertBook interface {
	List(ctx context.Context, f guichet.AlertFilter) ([]guichet.Alert, error)
	Acknowledge(ctx context.Context, by guichet.Actor, id guichet.ID) error
	Assign(ctx context.Context, by guichet.Actor, id guichet.ID, to string) error
}

// A Server is the pages, and who looks at them.
type Server struct {
	Clock   guichet.Clock
	Log     *slog.Logger
	URL     string         // public address
	Zone    *time.Location // of the dates on pages
	Windows view.Windows   // which are open

	People    *people.Desk
	Grant     *grant.Desk
	Office    grant.Office // what the back office reads beside the desk
	Gateways  *grant.Gateways
	Drifts    *grant.Reconciler // nil: nothing is compared
	Providers *Providers
	Bank      *bank.Desk
	Alerts    AlertBook
	Sessions  SessionBook
	OpenID    *openid.Issuer // who else may say who somebody is; nil: nobody
	// Stopping, when closed, ends the streams, so that the server can stop.
	Stopping <-chan struct{}
	// FirstWord is how long a form waits for what the bank says first; zero: 2 s.
	FirstWord time.Duration
	// FailAPI answers an error under /api/, when it is not known who asks.
	FailAPI func(http.ResponseWriter, *http.Request, error)

	session *scs.SessionManager
	proof   proof // the last verification of the journal, for whoever looks
}

// Handler serves the pages on every path that nothing else answers, and json, the
// API that people's programs and our own scripts use, under /api/.
func (s *Server) Handler(json http.Handler) (http.Handler, error) {
	s.session = newSessions(s.Sessions, strings.HasPrefix(s.URL, "https://"), s.fail)
	assets := http.NewServeMux()
	set, err := Assets(assets)
	if err != nil {
		return nil, err
	}
	pages := http.NewServeMux()
	pages.HandleFunc("POST "+view.PathPreferences, Preferences)
	pages.HandleFunc("GET "+view.PathSignIn, s.signInPage)
	pages.HandleFunc("POST "+view.PathSignIn, s.signIn)
	if s.OpenID != nil {
		pages.HandleFunc("GET "+view.PathOpenID, s.goElsewhere)
		pages.HandleFunc("GET "+view.PathOpenIDBack, s.comeHome)
	}
	pages.HandleFunc("POST "+view.PathSignOut, s.signOut)
	pages.HandleFunc("GET "+view.PathSetup, s.setupPage)
	pages.HandleFunc("POST "+view.PathSetup, s.setUp)
	pages.Handle("GET /{$}", s.page(s.overview))
	s.settingsRoutes(pages)
	if s.Windows.Grant {
		s.grantRoutes(pages)
		if s.Gateways != nil {
			s.gatewayRoutes(pages)
		}
		if s.Providers != nil {
			s.providerRoutes(pages)
		}
		if s.Drifts != nil {
			s.driftRoutes(pages)
		}
	}
	if s.Windows.Bank {
		s.bankRoutes(pages)
	}
	if json != nil {
		pages.Handle("/api/", json)
	}
	pages.HandleFunc("/", s.nowhere)
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if json != nil && strings.HasPrefix(r.URL.Path, "/api/") {
			json.ServeHTTP(w, r) // which has the same guard, and says so as JSON
			return
		}
		Fail(w, r, errCrossOrigin)
	}))
	// Who looks comes first: also that the database did not know them is said in words.
	dynamic := Viewers(s.Clock, s.Zone, set, patient(s.session.LoadAndSave(s.identify(guard.Handler(pages)))))
	root := http.NewServeMux()
	root.Handle(asset.Prefix, assets) // no session is looked up for a style sheet
	root.Handle("/", dynamic)
	return SecurityHeaders(root), nil
}

var errCrossOrigin = &guichet.Error{Kind: guichet.Forbidden, Code: "cross_origin", Reason: "This request came from a page of another site."}

// A visit is one request of somebody who is signed in.
type visit struct {
	w  http.ResponseWriter
	r  *http.Request
	me people.Person
	s  *Server
}

func (v visit) by() guichet.Actor { return v.me.Actor() }

func (v visit) operator() bool { return v.me.Role == people.Operator }

// show draws a page.
func (v visit) show(status int, page func(view.Frame) component) {
	Render(v.w, v.r, status, page(v.frame()))
}

// go to another page, the answer to every form.
func (v visit) redirect(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// say keeps a sentence for the next page: what was done, in words.
func (v visit) say(key string, pairs ...any) {
	v.s.session.Put(v.r.Context(), "toast", view.Say(v.r.Context(), key, pairs...))
}

// frame is what surrounds the page: what waits elsewhere, what was just done.
func (v visit) frame() view.Frame {
	ctx := v.r.Context()
	f := view.Frame{
		Windows: view.Windows{Bank: v.s.Windows.Bank, Grant: v.s.Windows.Grant && v.operator(), Mine: v.s.Windows.Grant && !v.operator()},
		Me:      view.Person{Name: v.me.Name, Address: v.me.Email}, Waits: map[view.Place]int{}, Query: v.r.URL.Query().Get("q"),
	}
	if f.Windows.Grant {
		if open, err := v.s.Alerts.List(ctx, guichet.AlertFilter{Open: true, Limit: 100}); err == nil {
			f.Waits[view.Alerts] = len(open)
		}
	}
	if f.Windows.Bank {
		v.bankFrame(&f)
	}
	if v.partial() {
		return f // the sentence is for the next page, not for a piece of this one
	}
	if text := v.s.session.PopString(ctx, "toast"); text != "" {
		f.Toasts = append(f.Toasts, view.Toast{Text: text})
	}
	return f
}

// partial tells whether a piece of a page is asked for, to be put into the one
// that is shown.
func (v visit) partial() bool { return v.r.Header.Get("HX-Request") == "true" }

// page serves a page to people who are signed in. Opening one puts right what
// they left behind at banks.
func (s *Server) page(h func(visit) error) http.Handler {
	return s.part(func(v visit) error {
		if s.Windows.Bank && v.r.Method == http.MethodGet && !v.partial() {
			if err := s.bankArrive(v); err != nil {
				return err
			}
		}
		return h(v)
	})
}

// part serves people who are signed in with what is not a page: pieces of one,
// pictures, streams. Others are asked who they are and come back here.
func (s *Server) part(h func(visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		me, ok := PersonOf(r.Context())
		if !ok {
			s.askWho(w, r)
			return
		}
		v := visit{w, r, me, s}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			if err := r.ParseForm(); err != nil {
				v.fail(&guichet.Error{Kind: guichet.Invalid, Code: "invalid_form", Reason: "The form cannot be read.", Cause: err})
				return
			}
		}
		if err := h(v); err != nil {
			v.fail(err)
		}
	})
}

func (v visit) fail(err error) {
	f := v.frame()
	FailIn(v.w, v.r, &f, err)
}

// operators serves operators only; to others the page does not exist.
func (s *Server) operators(h func(visit) error) http.Handler {
	return s.page(func(v visit) error {
		if !v.operator() {
			return &guichet.Error{Kind: guichet.NotFound, Code: "not_found", Reason: "There is nothing here."}
		}
		return h(v)
	})
}

func (s *Server) nowhere(w http.ResponseWriter, r *http.Request) {
	if me, ok := PersonOf(r.Context()); ok {
		visit{w, r, me, s}.fail(&guichet.Error{Kind: guichet.NotFound, Code: "not_found", Reason: "There is nothing here."})
		return
	}
	NotFound(w, r)
}

// lang is the language of the page, for what is asked or written later.
func (v visit) lang() string { return view.ViewerFrom(v.r.Context()).Words.Lang() }
