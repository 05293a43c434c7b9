package web

import (
	"net/http"
	"net/url"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/people"
	"guichet/web/view"
)

func (s *Server) mineRoutes(mux *http.ServeMux) {
	const one = view.PathMyTokens + "/{id}"
	mux.Handle("GET "+view.PathMine, s.page(s.myRequests))
	mux.Handle("GET "+one, s.page(s.ownToken))
	mux.Handle("POST "+one+"/reveal", s.page(s.revealToken))
	mux.Handle("POST "+one+"/hand-over", s.page(s.handOver))
	mux.Handle("GET "+one+"/prolong", s.page(s.prolongation))
	mux.Handle("POST "+one+"/prolong", s.page(s.prolong))
	// for whoever has the link, signed in or not
	mux.HandleFunc("GET "+view.PathTakeOver+"/{secret}", s.takeOverPage)
	mux.HandleFunc("POST "+view.PathTakeOver+"/{secret}", s.takeOver)
}

// myRequests lists what the source says one is a contact of, now.
func (s *Server) myRequests(v visit) error {
	if v.operator() {
		return v.redirect(view.PathRequests + "?email=" + url.QueryEscape(v.me.Email))
	}
	var page view.MyRequests
	found, err := s.Office.Search(v.r.Context(), grant.Search{Email: v.me.Email, Limit: 100})
	if err != nil {
		return err
	}
	for _, r := range found.Requests {
		if !r.MaySee(v.me.Email) { // the index finds beginnings, and what was true a moment ago
			continue
		}
		drawn, err := s.myRequest(v, r.Provider, r.ExternalID)
		if err != nil {
			return err
		}
		if drawn != nil {
			page.Requests = append(page.Requests, *drawn)
		}
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.MyRequestsPage(f, page) })
	return nil
}

func (s *Server) myRequest(v visit, provider, number string) (*view.MyRequest, error) {
	ctx := v.r.Context()
	r, err := s.Grant.Store.Request(ctx, provider, number)
	if err != nil || !r.MaySee(v.me.Email) {
		return nil, err
	}
	title := r.Title
	if title == "" {
		title = view.Say(ctx, "request.untitled")
	}
	state, err := s.requestState(ctx, r)
	if err != nil {
		return nil, err
	}
	drawn := view.MyRequest{
		ExternalID: number, Title: title, Organisation: r.Organization, Provider: s.providerTitle(provider), State: state,
		SourceURL: s.Grant.Providers[provider].SourceURL(number), Withheld: view.Say(ctx, "request.no_token"),
	}
	for _, role := range []grant.Role{grant.BusinessContact, grant.TechnicalContact, grant.Applicant} {
		if c, ok := r.Contact(role); ok && c.Email == v.me.Email {
			drawn.Role = contactRole[role]
		}
	}
	if !r.MayHold(v.me.Email) {
		drawn.Withheld = view.Say(ctx, "mine.withheld")
		return &drawn, nil
	}
	for i := len(r.Tokens) - 1; i >= 0; i-- { // the newest first
		line := tokenLine(r.Tokens[i], s.Clock.Now())
		line.URL = view.PathMyTokens + "/" + r.Tokens[i].ID.String()
		if err := s.lastUse(v, r.Tokens[i].ID, &line); err != nil {
			return nil, err
		}
		drawn.Tokens = append(drawn.Tokens, line)
	}
	return &drawn, nil
}

// ownToken is the page that the source and our mails send people of a request
// to. The applicant and the technical contact may have the token; to anyone else
// it does not exist, but to operators, who have their own page for it.
func (s *Server) ownToken(v visit) error {
	if v.operator() {
		return v.redirect(view.PathTokens + "/" + v.r.PathValue("id"))
	}
	t, r, err := s.mine(v)
	if err != nil {
		return err
	}
	page, err := s.ownTokenView(v, t, r)
	if err != nil {
		return err
	}
	if page.Withheld == "" {
		page.Secret = &view.Secret{
			ID: "token-secret", Label: view.Say(v.r.Context(), "token.secret"), Mask: "eyJ" + strings.Repeat("•", 24), RevealURL: ownURL(t) + "/reveal",
		}
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.TokenPage(f, page) })
	return nil
}

func ownURL(t grant.Standing) string { return view.PathMyTokens + "/" + t.ID.String() }

// ownTokenView is the token without its secret, and what its people can do.
func (s *Server) ownTokenView(v visit, t grant.Standing, r grant.Request) (view.Token, error) {
	ctx := v.r.Context()
	page, err := s.tokenView(v, t)
	if err != nil {
		return page, err
	}
	page.RequestURL, page.Mine = view.PathMine, true
	if !t.BlockedAt.IsZero() {
		page.Withheld = view.Say(ctx, "token.withheld_blocked")
		if next, ok := r.Current(); ok {
			page.Notice = view.Say(ctx, "mine.replaced", "Short", short(next.ID))
			page.Actions = []view.Action{{Label: view.Say(ctx, "mine.see_new"), URL: view.PathMyTokens + "/" + next.ID.String(), Tone: view.Primary}}
		}
		return page, nil
	}
	page.Actions = append(page.Actions, view.Action{
		Label: view.Say(ctx, "token.hand_over"), URL: ownURL(t) + "/hand-over", Post: true,
		Confirm: &view.Confirm{
			ID: "hand-over", Title: view.Say(ctx, "handover.ask"), Says: view.Say(ctx, "handover.ask_says"),
			Fields: []view.Field{{Name: "to", Label: view.Say(ctx, "handover.to"), Type: "email", MaxLength: 254, Autocomplete: "off"}},
		},
	})
	if grant.MayProlong(r, t.Token, v.me.Email, s.Clock.Now()) == nil {
		page.Notice = view.Say(ctx, "mine.ends_soon")
		page.Actions = append([]view.Action{{Label: view.Say(ctx, "token.prolong"), URL: ownURL(t) + "/prolong", Tone: view.Primary}}, page.Actions...)
	} else if applicant, ok := r.Contact(grant.Applicant); ok && applicant.Email != v.me.Email && tokenState(t.Token, s.Clock.Now()) == view.TokenExpiring {
		page.Notice = view.Say(ctx, "mine.ask_applicant", "Name", applicant.Name(), "Address", applicant.Email)
	}
	return page, nil
}

// mine finds a token that whoever looks may have; to others it does not exist.
func (s *Server) mine(v visit) (grant.Standing, grant.Request, error) {
	t, err := s.standing(v)
	if err != nil {
		return t, grant.Request{}, err
	}
	r, err := s.Grant.Store.Request(v.r.Context(), t.Provider, t.ExternalID)
	if err == nil && !r.MayHold(v.me.Email) {
		err = grant.ErrNoToken
	}
	return t, r, err
}

// revealToken computes the token for someone who may have it, and notes it.
func (s *Server) revealToken(v visit) error {
	t, r, err := s.mine(v)
	if err != nil {
		return err
	}
	if !t.BlockedAt.IsZero() {
		return grant.ErrTokenBlocked
	}
	_, jwt, err := s.Grant.Reveal(v.r.Context(), v.by(), t.ID)
	if err != nil {
		return err
	}
	secret := view.Secret{ID: "token-secret", Label: view.Say(v.r.Context(), "token.secret"), Value: jwt.Reveal(), Open: true}
	if v.partial() {
		Render(v.w, v.r, http.StatusOK, view.SecretField(secret))
		return nil
	}
	page, err := s.ownTokenView(v, t, r)
	if err != nil {
		return err
	}
	page.Secret = &secret
	v.show(http.StatusOK, func(f view.Frame) component { return view.TokenPage(f, page) })
	return nil
}

// handOver makes a link and shows it, this once.
func (s *Server) handOver(v visit) error {
	t, _, err := s.mine(v)
	if err != nil {
		return err
	}
	to := strings.TrimSpace(v.r.PostFormValue("to"))
	if to != "" {
		if to, err = people.CheckEmail(to); err != nil {
			return err
		}
	}
	secret, err := s.Grant.HandOver(v.r.Context(), v.by(), t.ID, to)
	if err != nil {
		return err
	}
	page := view.HandedOver{
		Token: s.standingLine(t, s.Clock.Now()), Until: s.Clock.Now().Add(grant.HandoverLifetime), BackURL: ownURL(t),
		Link: view.Secret{ID: "handover", Label: view.Say(v.r.Context(), "handover.link"), Value: s.URL + view.PathTakeOver + "/" + secret.Reveal(), Open: true},
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.HandedOverPage(f, page) })
	return nil
}

func (s *Server) takeOverPage(w http.ResponseWriter, r *http.Request) {
	Render(w, r, http.StatusOK, view.TakeOverPage(view.TakeOver{URL: r.URL.Path}))
}

func (s *Server) takeOver(w http.ResponseWriter, r *http.Request) {
	t, jwt, err := s.Grant.TakeOver(r.Context(), guichet.Secret(r.PathValue("secret")))
	if err != nil {
		Fail(w, r, err)
		return
	}
	Render(w, r, http.StatusOK, view.TakeOverPage(view.TakeOver{
		Secret:  &view.Secret{ID: "token-secret", Label: view.Say(r.Context(), "token.secret"), Value: jwt.Reveal(), Open: true},
		Expires: t.ExpiresAt, For: s.providerTitle(t.Provider) + ", " + t.RequestTitle,
	}))
}

func (s *Server) prolongation(v visit) error { return s.showProlongation(v, http.StatusOK, "") }

func (s *Server) showProlongation(v visit, status int, problem string) error {
	ctx := v.r.Context()
	t, r, err := s.mine(v)
	if err != nil {
		return err
	}
	p, err := s.Office.Prolongation(ctx, t.ID)
	if err != nil {
		return err
	}
	may := grant.MayProlong(r, t.Token, v.me.Email, s.Clock.Now())
	if may == nil && p.Step() == grant.StepDone {
		p = grant.Prolongation{} // another year, another prolongation
	}
	if may != nil && p.Step() != grant.StepDone {
		return may
	}
	step := p.Step()
	page := view.Prolong{
		Token: s.standingLine(t, s.Clock.Now()), Number: t.ExternalID, Title: t.RequestTitle, Step: string(step), URL: ownURL(t) + "/prolong", BackURL: ownURL(t),
		Until: t.ExpiresAt, Error: problem, SourceURL: s.Grant.Providers[t.Provider].SourceURL(t.ExternalID),
	}
	for i, asked := range []grant.Step{grant.AskInCharge, grant.AskPurpose, grant.AskContacts, grant.AskConfirm} {
		if asked == step {
			page.N = i + 1
		}
	}
	if step == grant.StepChanged && page.SourceURL != "" {
		page.SourceURL += "/reopen-from-external"
	}
	if step == grant.AskContacts {
		for _, c := range r.Contacts {
			page.Contacts = append(page.Contacts, view.Contact{Role: contactRole[c.Role], Person: view.Person{Name: c.Name(), Address: c.Email}})
		}
	}
	v.show(status, func(f view.Frame) component { return view.ProlongPage(f, page) })
	return nil
}

// prolong takes one answer, or the last click. The step that the page showed goes
// with the answer, so that a page of yesterday answers its own question.
func (s *Server) prolong(v visit) error {
	t, _, err := s.mine(v)
	if err != nil {
		return err
	}
	step := grant.Step(v.r.PostFormValue("step"))
	if step == grant.AskConfirm {
		if err := s.Grant.Prolong(v.r.Context(), v.by(), s.Office, t.ID); err != nil {
			return err
		}
		v.say("token.prolonged_toast", "Short", short(t.ID))
		return v.redirect(ownURL(t) + "/prolong")
	}
	err = s.Grant.AnswerProlongation(v.r.Context(), v.by(), s.Office, t.ID, step, v.r.PostFormValue("answer"))
	if guichet.CodeOf(err) == grant.ErrUnanswered.Code {
		return s.showProlongation(v, http.StatusUnprocessableEntity, view.Say(v.r.Context(), "prolong.unanswered"))
	}
	if err != nil {
		return err
	}
	return v.redirect(ownURL(t) + "/prolong")
}
