package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"guichet"
	"guichet/openid"
	"guichet/people"
	"guichet/web/view"
)

const (
	// detourLife is how long somebody may be away at the issuer.
	detourLife = 10 * time.Minute
	// mostDetours is how many tabs of one browser may be away at once; the oldest
	// gives way.
	mostDetours = 5
)

// A detour is what the session of a browser keeps while one of its tabs is at the
// issuer. Sessions are rows, so any process may see it come back, also one that
// was started meanwhile.
type detour struct {
	openid.Detour
	Next string
	At   time.Time
}

// errOver is for who comes back from a detour that this browser is not on.
var errOver = &guichet.Error{Kind: guichet.Gone, Code: "openid_over", Reason: "This sign-in was used, took too long, or began in another browser. Nothing was changed; begin again."}

// openidWhy are the words that the page where one signs in may be asked to say:
// it is an address, and anybody could write others.
var openidWhy = []string{"error.openid_unavailable", "error.openid_refused", "error.openid_unverified_email", "error.openid_over", "error.no_account", "error.too_many_attempts"}

// elsewhere adds to the page where one signs in the way to the issuer, or that it
// does not answer.
func (s *Server) elsewhere(ctx context.Context, page view.SignIn) view.SignIn {
	if s.OpenID == nil {
		return page
	}
	if err := s.OpenID.Ready(ctx); err != nil {
		s.Log.WarnContext(ctx, "the issuer of OpenID Connect does not answer", "error", err)
		page.Away = view.Say(ctx, "signin.away", "Name", s.OpenID.Name())
		return page
	}
	to := view.PathOpenID
	if page.Next != "" {
		to += "?" + url.Values{"next": {page.Next}}.Encode()
	}
	page.OIDC = &view.Link{Text: view.Say(ctx, "signin.with", "Name", s.OpenID.Name()), URL: to}
	return page
}

// goElsewhere sends a browser to the issuer. Its session, which is nobody's, ends
// by itself when it does not come back.
func (s *Server) goElsewhere(w http.ResponseWriter, r *http.Request) {
	ctx, next := r.Context(), Local(r.URL.Query().Get("next"))
	if _, ok := PersonOf(ctx); ok {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	d, address, err := s.OpenID.Begin(ctx)
	if err != nil {
		s.notHere(w, r, next, err)
		return
	}
	all := append(s.detours(ctx), detour{d, next, s.Clock.Now()})
	if err := s.keepDetours(ctx, all[max(0, len(all)-mostDetours):]); err != nil {
		Fail(w, r, err)
		return
	}
	s.session.SetDeadline(ctx, s.Clock.Now().Add(detourLife).UTC())
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// comeHome is where the issuer sends the browser. The detour is forgotten, and
// that is committed, before the issuer is asked: if we die there the person begins
// again, and nothing that was brought back is good twice.
func (s *Server) comeHome(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	all := s.detours(ctx)
	i := slices.IndexFunc(all, func(d detour) bool { return d.State == r.URL.Query().Get("state") })
	_, signedIn := PersonOf(ctx)
	switch {
	case i < 0 && signedIn: // another tab was faster, or the page was loaded again
		http.Redirect(w, r, view.PathHome, http.StatusSeeOther)
		return
	case i < 0:
		s.notHere(w, r, view.PathHome, errOver)
		return
	}
	d := all[i]
	if err := s.keepDetours(ctx, slices.Delete(all, i, i+1)); err != nil {
		Fail(w, r, err)
		return
	}
	if signedIn {
		http.Redirect(w, r, d.Next, http.StatusSeeOther)
		return
	}
	if _, _, err := s.session.Commit(ctx); err != nil {
		Fail(w, r, err)
		return
	}
	p, err := s.People.SignInVouched(ctx, s.OpenID.ID(), func(ctx context.Context) (string, error) {
		return s.OpenID.Email(ctx, d.Detour, r.URL.Query())
	}, address(r))
	if err != nil {
		s.notHere(w, r, d.Next, err)
		return
	}
	if err := s.begin(r, p); err != nil {
		Fail(w, r, err)
		return
	}
	http.Redirect(w, r, d.Next, http.StatusSeeOther)
}

// notHere sends somebody who could not be signed in to the page that says why,
// away from an address that holds a code.
func (s *Server) notHere(w http.ResponseWriter, r *http.Request, next string, err error) {
	code := guichet.CodeOf(err)
	if !slices.Contains(openidWhy, "error."+code) {
		Fail(w, r, err)
		return
	}
	if guichet.KindOf(err) != guichet.TooMany {
		s.Log.WarnContext(r.Context(), "sign-in by OpenID Connect refused", "error", err)
	}
	to := url.Values{"why": {code}}
	if next != view.PathHome {
		to.Set("next", next)
	}
	http.Redirect(w, r, view.PathSignIn+"?"+to.Encode(), http.StatusSeeOther)
}

// detours are those that a browser may still come back from, the oldest first. The
// clock of the process that it left from may be ahead of ours.
func (s *Server) detours(ctx context.Context) (all []detour) {
	if json.Unmarshal(s.session.GetBytes(ctx, "detours"), &all) != nil {
		return nil
	}
	now := s.Clock.Now()
	return slices.DeleteFunc(all, func(d detour) bool { age := now.Sub(d.At); return age.Abs() >= detourLife })
}

func (s *Server) keepDetours(ctx context.Context, all []detour) error {
	if len(all) == 0 {
		s.session.Remove(ctx, "detours")
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	s.session.Put(ctx, "detours", b)
	return nil
}

// whyNot is what the page where one signs in says to who comes back from the
// issuer; nothing, without an issuer or for another word than ours.
func (s *Server) whyNot(ctx context.Context, why string) string {
	key := "error." + why
	if s.OpenID == nil || !slices.Contains(openidWhy, key) {
		return ""
	}
	if key == "error."+people.ErrTooMany.Code {
		key = "error.too_many_sign_ins"
	}
	return view.Say(ctx, key, "Name", s.OpenID.Name())
}
