package simbank

import (
	"net/http"
	"net/url"
)

type redirectData struct {
	frame
	Request string // id of the demand
	Alert   string
}

// redirectPage tells the customer to authorise the access on the bank's
// authorisation page, in this browser or in another.
func redirectPage(v *visit) reply { return v.showRedirect("") }

func (v *visit) showRedirect(alert string) reply {
	if r, ok := v.at(stepAuthorize); !ok {
		return r
	}
	g := v.openGrant()
	if g == nil {
		g = &grant{id: v.site.clock.NewID().String(), sid: v.session.id, login: v.session.login, asked: v.now}
		v.world.grants[g.id] = g
		v.count(func(c *Counters) { c.RedirectsAsked++ })
	}
	return reply{page: "redirect", data: redirectData{v.frame("Autorisez l’accès à vos comptes"), g.id, alert}}
}

// openGrant is the demand of this session that nobody answered yet, so that the
// page can be shown again without voiding the one already open elsewhere.
func (v *visit) openGrant() *grant {
	for _, g := range v.world.grants {
		if g.sid == v.session.id && g.code == "" && v.now.Sub(g.asked) <= grantLife {
			return g
		}
	}
	return nil
}

type authorizeData struct {
	frame
	Request, Back, State, Login string
	Code                        string // shown when there is nowhere to go back to
	Alert                       string
}

// authorizeForm is reached without a session: the address of the demand, which
// nobody can guess, is what counts.
func authorizeForm(v *visit) reply {
	g, bad := v.grant()
	if bad != nil {
		return *bad
	}
	return reply{page: "authorize", data: authorizeData{
		frame: frame{Title: "Autoriser l’accès à vos comptes"}, Request: g.id,
		Back: v.form.Get("redirect_uri"), State: v.form.Get("state"), Login: g.login,
	}}
}

func authorize(v *visit) reply {
	g, bad := v.grant()
	if bad != nil {
		return *bad
	}
	form := v.request.PostForm
	back, state := form.Get("redirect_uri"), form.Get("state")
	if form.Get("decision") != "autoriser" {
		delete(v.world.grants, g.id)
		if back == "" {
			back = "/redirect/callback"
		}
		return goTo(withQuery(back, url.Values{"error": {"access_denied"}, "state": {state}}))
	}
	g.code = v.site.clock.NewSecret().Reveal()
	switch {
	case back != "":
		return goTo(withQuery(back, url.Values{"code": {g.code}, "state": {state}}))
	case v.session != nil && v.session.id == g.sid: // the customer's own browser goes on by itself
		return goTo(withQuery("/redirect/callback", url.Values{"code": {g.code}}))
	}
	return reply{page: "authorize", data: authorizeData{frame: frame{Title: "Accès autorisé"}, Code: g.code}}
}

// grant finds the demand of the request, still to be answered and with a
// sensible address to go back to.
func (v *visit) grant() (*grant, *reply) {
	refuse := func(text string) (*grant, *reply) {
		return nil, &reply{status: http.StatusBadRequest, page: "notice", data: notice{
			frame: frame{Title: "Demande refusée"}, Text: text, Link: "/", LinkLabel: "Revenir à l’accueil",
		}}
	}
	g := v.world.grants[v.form.Get("request")]
	if g == nil || g.code != "" || v.now.Sub(g.asked) > grantLife {
		return refuse("Cette demande d’autorisation n’existe plus.")
	}
	if back := v.form.Get("redirect_uri"); back != "" {
		u, err := url.Parse(back)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return refuse("L’adresse de retour n’est pas valable.")
		}
	}
	return g, nil
}

// finishRedirect takes the code back from where it was sent. A code is good
// once, and for the session that asked only.
func finishRedirect(v *visit) reply {
	if r, ok := v.at(stepAuthorize); !ok {
		return r
	}
	if v.form.Get("error") != "" {
		v.count(func(c *Counters) { c.RedirectsDenied++ })
		return v.throwOut(reply{page: "notice", data: notice{
			frame: frame{Title: "Autorisation refusée"}, Text: "Vous avez refusé l’accès à vos comptes.",
			Link: "/login", LinkLabel: "Recommencer",
		}})
	}
	for _, g := range v.world.grants {
		if g.sid != v.session.id || g.code == "" || g.code != v.form.Get("code") || v.now.Sub(g.asked) > grantLife {
			continue
		}
		delete(v.world.grants, g.id)
		v.session.factor = true
		v.count(func(c *Counters) { c.RedirectsDone++ })
		return v.pass()
	}
	return v.showRedirect("Ce code d’autorisation n’est pas valable ou a déjà servi.")
}

// withQuery adds to an address that was checked before.
func withQuery(address string, more url.Values) string {
	u, err := url.Parse(address)
	if err != nil {
		return "/"
	}
	q := u.Query()
	for name, values := range more {
		if len(values) > 0 && values[0] != "" {
			q[name] = values
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
