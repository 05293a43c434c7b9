package web

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"guichet"
	"guichet/people"
	"guichet/web/view"
)

// A SessionBook keeps sessions: what scs asks for, and a list of those that are
// open, so that people can end them.
type SessionBook interface {
	scs.CtxStore
	scs.Store
	// Open lists the data of every session, by a name that End takes.
	Open(ctx context.Context) (map[string][]byte, error)
	End(ctx context.Context, name string) error
}

// How long somebody stays signed in.
const sessionLife = 7 * 24 * time.Hour

func newSessions(book SessionBook, secure bool, fail func(http.ResponseWriter, *http.Request, error)) *scs.SessionManager {
	gob.Register(time.Time{})
	m := scs.New()
	m.Store, m.Lifetime = book, sessionLife
	m.Cookie.Name, m.Cookie.SameSite, m.Cookie.HttpOnly, m.Cookie.Secure = CookieName(secure), http.SameSiteLaxMode, true, secure
	m.ErrorFunc = fail
	return m
}

// CookieName is the name of the cookie of a session. Over TLS its prefix says that
// no other host and no other path may set it.
func CookieName(secure bool) string {
	if secure {
		return "__Host-guichet"
	}
	return "guichet"
}

type personKey struct{}

// PersonOf is whoever is signed in.
func PersonOf(ctx context.Context) (people.Person, bool) {
	p, ok := ctx.Value(personKey{}).(people.Person)
	return p, ok
}

// identify finds the person of the session. A session that began before the
// password was changed, or whose person may not sign in any more, is nobody's.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		id := guichet.ID(s.session.GetString(ctx, "person"))
		if id == "" {
			next.ServeHTTP(w, r)
			return
		}
		p, err := s.People.Person(ctx, id)
		switch since := s.session.GetTime(ctx, "since"); {
		case errors.Is(err, people.ErrNoPerson), err == nil && (!p.DisabledAt.IsZero() || since.Before(p.PasswordSetAt)):
			if err := s.session.Destroy(ctx); err != nil {
				s.fail(w, r, err)
				return
			}
		case err != nil:
			s.fail(w, r, err)
			return
		default:
			r = r.WithContext(context.WithValue(ctx, personKey{}, p))
		}
		next.ServeHTTP(w, r)
	})
}

// fail says that it is not known who asks: to people with a page, to programs as
// every error of theirs.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if s.FailAPI != nil && strings.HasPrefix(r.URL.Path, "/api/") {
		s.FailAPI(w, r, err)
		return
	}
	Fail(w, r, err)
}

// askWho sends somebody who is not signed in to the door, and remembers where
// they wanted to go.
func (s *Server) askWho(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") == "true" {
		w.Header().Set("HX-Redirect", view.PathSignIn)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if setup, err := s.People.Store.Setup(r.Context()); err == nil && !setup.Done {
		http.Redirect(w, r, view.PathSetup, http.StatusSeeOther)
		return
	}
	to := view.PathSignIn
	if page := pageOf(r); page != view.PathHome {
		to += "?" + url.Values{"next": {page}}.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Server) signInPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := PersonOf(r.Context()); ok {
		http.Redirect(w, r, Local(r.URL.Query().Get("next")), http.StatusSeeOther)
		return
	}
	if setup, err := s.People.Store.Setup(r.Context()); err == nil && !setup.Done {
		http.Redirect(w, r, view.PathSetup, http.StatusSeeOther)
		return
	}
	page := s.elsewhere(r.Context(), view.SignIn{Next: r.URL.Query().Get("next")})
	page.Error = s.whyNot(r.Context(), r.URL.Query().Get("why"))
	Render(w, r, http.StatusOK, view.SignInPage(page))
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	email, password, next := r.PostFormValue("email"), r.PostFormValue("password"), r.PostFormValue("next")
	p, err := s.People.SignIn(r.Context(), email, guichet.Secret(password), address(r))
	switch guichet.KindOf(err) {
	case "":
		if err := s.begin(r, p); err != nil {
			Fail(w, r, err)
			return
		}
		http.Redirect(w, r, Local(next), http.StatusSeeOther)
	case guichet.Unauthorized, guichet.TooMany:
		page := view.SignIn{Address: people.NormalEmail(email), Next: next, Error: errorWords(r.Context(), err)}
		page.Wait, _ = people.RetryAt(err)
		page = s.elsewhere(r.Context(), page)
		Render(w, r, Status(guichet.KindOf(err)), view.SignInPage(page))
	default:
		Fail(w, r, err)
	}
}

// begin makes the session that of a person. Its token is a new one, so that a
// token someone planted before is worth nothing.
func (s *Server) begin(r *http.Request, p people.Person) error {
	ctx := r.Context()
	if err := s.session.RenewToken(ctx); err != nil {
		return err
	}
	s.session.Put(ctx, "person", p.ID.String())
	s.session.Put(ctx, "since", s.Clock.Now())
	s.session.Put(ctx, "agent", r.UserAgent())
	s.session.Put(ctx, "from", address(r).String())
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.session.Destroy(r.Context()); err != nil {
		Fail(w, r, err)
		return
	}
	http.Redirect(w, r, view.PathSignIn, http.StatusSeeOther)
}

func (s *Server) setupPage(w http.ResponseWriter, r *http.Request) {
	if setup, err := s.People.Store.Setup(r.Context()); err == nil && setup.Done {
		http.Redirect(w, r, view.PathSignIn, http.StatusSeeOther)
		return
	}
	Render(w, r, http.StatusOK, view.SetupPage(view.NewSetup(r.Context())))
}

func (s *Server) setUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	ctx := r.Context()
	p, err := s.People.SetUp(ctx, guichet.Secret(strings.TrimSpace(r.PostFormValue("code"))), people.NewPerson{
		Email: r.PostFormValue("email"), Password: guichet.Secret(r.PostFormValue("password")), Role: people.Operator,
		Language: view.ViewerFrom(ctx).Words.Lang(),
	})
	if err == nil {
		err = s.begin(r, p)
	}
	if err == nil {
		http.Redirect(w, r, view.PathHome, http.StatusSeeOther)
		return
	}
	page := view.NewSetup(ctx)
	page.Address.Value = r.PostFormValue("email") // a code is not said back, right or nearly so
	var e *guichet.Error
	if !errors.As(err, &e) || e.Kind == guichet.Internal || e.Kind == guichet.Unavailable {
		Fail(w, r, err)
		return
	}
	text := errorWords(ctx, err)
	switch e.Field {
	case "code":
		page.Code.Error = text
	case "email":
		page.Address.Error, page.Address.Focus, page.Code.Focus = text, true, false
	case "password":
		page.Password.Error, page.Password.Focus, page.Code.Focus = text, true, false
	default:
		page.Error = text
	}
	Render(w, r, Status(e.Kind), view.SetupPage(page))
}

// errorWords says an error to a person, in their language: its own reason is
// English, and for programs.
func errorWords(ctx context.Context, err error) string {
	return view.Fault{Code: guichet.CodeOf(err), Kind: string(guichet.KindOf(err))}.Title(ctx)
}

// address is where a request comes from, as the connection says: a header could
// say anything.
func address(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a.Addr().Unmap()
}

// openSession is one signed-in browser of a person.
type openSession struct {
	name, agent, from string
	since             time.Time
	current           bool
}

// sessionsOf lists the signed-in browsers of a person, the latest first.
func (s *Server) sessionsOf(ctx context.Context, person guichet.ID) ([]openSession, error) {
	all, err := s.Sessions.Open(ctx)
	if err != nil {
		return nil, err
	}
	mine := s.session.GetTime(ctx, "since")
	var out []openSession
	for name, data := range all {
		_, values, err := s.session.Codec.Decode(bytes.Clone(data))
		if err != nil || values["person"] != person.String() {
			continue
		}
		o := openSession{name: name}
		o.agent, _ = values["agent"].(string)
		o.from, _ = values["from"].(string)
		o.since, _ = values["since"].(time.Time)
		o.current = o.since.Equal(mine)
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b openSession) int { return b.since.Compare(a.since) })
	return out, nil
}
