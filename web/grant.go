package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/a-h/templ"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

type component = templ.Component

const pageSize = 50

func (s *Server) grantRoutes(mux *http.ServeMux) {
	const one = view.PathRequests + "/{provider}/{number}"
	mux.Handle("GET "+view.PathRequests, s.operators(s.requests))
	mux.Handle("GET "+one, s.operators(s.request))
	mux.Handle("POST "+one+"/revoke", s.operators(s.revokeRequest))
	mux.Handle("POST "+one+"/issue", s.operators(s.issueToken))
	mux.Handle("GET "+view.PathTokens, s.operators(s.tokens))
	mux.Handle("GET "+view.PathTokens+"/{id}", s.operators(s.token))
	mux.Handle("POST "+view.PathTokens+"/{id}/block", s.operators(s.blockToken))
	mux.Handle("GET "+view.PathTokens+"/{id}/limit", s.operators(s.limitPage))
	mux.Handle("POST "+view.PathTokens+"/{id}/limit", s.operators(s.limitToken))
	mux.Handle("GET "+view.PathAlerts, s.operators(s.alerts))
	mux.Handle("POST "+view.PathAlerts+"/{id}/acknowledge", s.operators(s.acknowledge))
	mux.Handle("POST "+view.PathAlerts+"/acknowledge", s.operators(s.acknowledgeAll))
	mux.Handle("POST "+view.PathAlerts+"/{id}/assign", s.operators(s.assign))
	s.officeRoutes(mux)
	s.mineRoutes(mux)
}

func requestURL(provider, externalID string) string {
	return view.PathRequests + "/" + url.PathEscape(provider) + "/" + url.PathEscape(externalID)
}

// requestState is how a request is shown; re-opened ones are still entitled. Most
// were told of nothing since their approval, and nothing is read for them.
func (s *Server) requestState(ctx context.Context, r grant.Request) (view.State, error) {
	switch {
	case !r.PurgedAt.IsZero():
		return view.RequestPurged, nil
	case r.Status == grant.Validated && r.Last.FiredAt.After(r.ValidatedAt):
		events, err := s.Grant.Store.Events(ctx, r.Provider, r.ExternalID)
		if err != nil {
			return view.State{}, err
		}
		if grant.Reopened(events) {
			return view.RequestReopened, nil
		}
	}
	return stateOf[r.Status], nil
}

var stateOf = map[grant.Status]view.State{
	grant.Draft: view.RequestDraft, grant.Submitted: view.RequestSubmitted, grant.ChangesRequested: view.RequestChanges,
	grant.Refused: view.RequestRefused, grant.Validated: view.RequestValidated, grant.Revoked: view.RequestRevoked, grant.Archived: view.RequestArchived,
}

func tokenState(t grant.Token, now time.Time) view.State {
	switch {
	case !t.BlockedAt.IsZero():
		return view.TokenBlocked
	case !now.Before(t.ExpiresAt):
		return view.TokenExpired
	case !t.BlockAt.IsZero():
		return view.TokenBlockPlanned
	case t.ExpiresAt.Sub(now) < 90*24*time.Hour:
		return view.TokenExpiring
	}
	return view.TokenActive
}

// short is how a token's id is told apart at a glance.
func short(id guichet.ID) string { return string(id[24:28]) + "…" + string(id[32:]) }

func tokenLine(t grant.Token, now time.Time) view.TokenLine {
	return view.TokenLine{
		Short: short(t.ID), Title: t.Title, State: tokenState(t, now), ExpiresAt: t.ExpiresAt, BlockedAt: t.BlockedAt,
		URL: view.PathTokens + "/" + t.ID.String(),
	}
}

// siret groups the digits for reading: 217 300 656 00011.
func siret(s string) string {
	if len(s) != 14 {
		return s
	}
	const space = "\u202f"
	return s[:3] + space + s[3:6] + space + s[6:9] + space + s[9:]
}

func (s *Server) providerTitle(name string) string {
	if p, ok := s.Grant.Providers[name]; ok && p.Title != "" {
		return p.Title
	}
	return name
}

// with is the present address with one value changed, back on the first page.
func with(u *url.URL, name, value string) string {
	q := u.Query()
	q.Del("before")
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return u.Path
	}
	return u.Path + "?" + q.Encode()
}

func (s *Server) request(v visit) error {
	ctx := v.r.Context()
	r, err := s.Grant.Store.Request(ctx, v.r.PathValue("provider"), v.r.PathValue("number"))
	if err != nil {
		return err
	}
	deliveries, err := s.Grant.Store.Deliveries(ctx, grant.DeliveryFilter{Provider: r.Provider, ExternalID: r.ExternalID, Limit: 200})
	if err != nil {
		return err
	}
	deeds, err := s.Grant.Store.Deeds(ctx, r.Subject())
	if err != nil {
		return err
	}
	alerts, err := s.Alerts.List(ctx, guichet.AlertFilter{Open: true, Subject: r.Subject(), Limit: 10})
	if err != nil {
		return err
	}
	state, err := s.requestState(ctx, r)
	if err != nil {
		return err
	}
	page := view.Request{
		ExternalID: r.ExternalID, Title: r.Title, Organisation: r.Organization, SIRET: siret(r.SIRET), Provider: s.providerTitle(r.Provider),
		State: state, Since: since(r), Scopes: r.Scopes, Entries: timeline(ctx, deliveries, deeds), Facts: s.facts(r),
	}
	for _, a := range r.Authorizations {
		page.Granted = append(page.Granted, view.Granted{ID: a.ID, State: authorizationState(a), At: a.CreatedAt, Scopes: a.Scopes})
	}
	if len(deliveries) == 200 {
		page.Older = view.PathJournal + "?" + url.Values{"provider": {r.Provider}, "number": {r.ExternalID}}.Encode()
	}
	for _, a := range alerts {
		page.Alerts = append(page.Alerts, s.alertView(ctx, a, &r))
	}
	for _, t := range r.Tokens {
		line := tokenLine(t, s.Clock.Now())
		if err := s.lastUse(v, t.ID, &line); err != nil {
			return err
		}
		page.Tokens = append(page.Tokens, line)
	}
	for _, c := range r.Contacts {
		page.Contacts = append(page.Contacts, view.Contact{Role: contactRole[c.Role], Person: view.Person{Name: c.Name(), Address: c.Email}})
	}
	if r.Status == grant.Validated {
		page.Actions = append(page.Actions,
			view.Action{Label: view.Say(ctx, "token.issue"), URL: requestURL(r.Provider, r.ExternalID) + "/issue", Post: true},
			revokeAction(ctx, r, "revoke-request"))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.RequestPage(f, page) })
	return nil
}

var contactRole = map[grant.Role]string{grant.Applicant: "applicant", grant.TechnicalContact: "technical", grant.BusinessContact: "business"}

// since is when the request came to be as it is.
func since(r grant.Request) time.Time {
	switch r.Status {
	case grant.Revoked:
		return r.RevokedAt
	case grant.Archived:
		return r.ArchivedAt
	case grant.Validated:
		return r.ValidatedAt
	}
	return r.UpdatedAt
}

// revokeAction names its consequence on the button, and asks why.
func revokeAction(ctx context.Context, r grant.Request, id string) view.Action {
	return view.Action{
		Label: view.Count(ctx, "request.revoke_and_block", len(r.Live())), URL: requestURL(r.Provider, r.ExternalID) + "/revoke", Post: true, Tone: view.Danger,
		Confirm: &view.Confirm{
			ID: id, Title: view.Say(ctx, "request.revoke_title", "Number", r.ExternalID), Says: view.Say(ctx, "request.revoke_says"),
			Fields: []view.Field{reasonField(ctx, "", true)},
		},
	}
}

func (s *Server) revokeRequest(v visit) error {
	provider, number, reason := v.r.PathValue("provider"), v.r.PathValue("number"), v.reason()
	if reason == "" {
		return &guichet.Error{Kind: guichet.Invalid, Code: "reason_needed", Field: "reason", Reason: "Say why: people are told."}
	}
	n, err := s.Grant.Revoke(v.r.Context(), v.by(), provider, number, reason)
	if err != nil {
		return err
	}
	s.session.Put(v.r.Context(), "toast", view.Count(v.r.Context(), "request.revoked_toast", n))
	return v.redirect(requestURL(provider, number))
}

func (s *Server) issueToken(v visit) error {
	id, err := s.Grant.Issue(v.r.Context(), v.by(), v.r.PathValue("provider"), v.r.PathValue("number"))
	if err != nil {
		return err
	}
	v.say("token.issued_toast", "Short", short(id))
	return v.redirect(view.PathTokens + "/" + id.String())
}

func (s *Server) acknowledge(v visit) error {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return guichet.ErrNoAlert
	}
	if err := s.Alerts.Acknowledge(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	v.say("alert.acknowledged_toast")
	return v.redirect(Local(v.r.PostFormValue("back")))
}
