package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	mux.Handle("GET "+view.PathAlerts, s.operators(s.alerts))
	mux.Handle("POST "+view.PathAlerts+"/{id}/acknowledge", s.operators(s.acknowledge))
	// where the source and our mails send applicants
	mux.Handle("GET /compte/jetons/{id}", s.page(s.ownToken))
	mux.Handle("POST /compte/jetons/{id}/reveal", s.page(s.revealToken))
}

func requestURL(provider, externalID string) string {
	return view.PathRequests + "/" + url.PathEscape(provider) + "/" + url.PathEscape(externalID)
}

// requestState is how a request is shown; re-opened ones are still entitled.
func requestState(r grant.Request) view.State {
	switch {
	case !r.PurgedAt.IsZero():
		return view.RequestPurged
	case r.Status == grant.Validated && r.Last.FiredAt.After(r.LastGrant.FiredAt):
		return view.RequestReopened
	}
	return stateOf[r.Status]
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

func (s *Server) requests(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	filter := grant.RequestFilter{
		Provider: q.Get("provider"), Status: grant.Status(q.Get("status")), Search: q.Get("q"), Archived: q.Get("q") != "",
		Before: readCursor(q.Get("before")), Limit: pageSize + 1,
	}
	list, err := s.Grant.Store.Requests(ctx, filter)
	if err != nil {
		return err
	}
	sum, err := s.Grant.Store.Summary(ctx, s.Clock.Now())
	if err != nil {
		return err
	}
	page := view.RequestList{Empty: view.Empty{Says: view.Say(ctx, "request.empty")}}
	page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "request.all"), URL: with(v.r.URL, "status", ""), On: filter.Status == ""})
	for _, status := range grant.Statuses() {
		if n := sum.Requests[status]; n > 0 || filter.Status == status {
			page.Chips = append(page.Chips, view.Chip{
				Label: view.Say(ctx, stateOf[status].Word), Count: int(n), URL: with(v.r.URL, "status", string(status)), On: filter.Status == status,
			})
		}
	}
	if len(list) > pageSize {
		last := list[pageSize-1]
		list, page.Pager.Older = list[:pageSize], with(v.r.URL, "before", writeCursor(last.UpdatedAt, last.ID))
	}
	if q.Get("before") != "" {
		page.Pager.Newer = with(v.r.URL, "before", "")
	}
	for _, r := range list {
		title := r.Title
		if title == "" {
			title = view.Say(ctx, "request.untitled")
		}
		page.Rows = append(page.Rows, view.RequestRow{
			ExternalID: r.ExternalID, Title: title, Organisation: r.Organization, Provider: s.providerTitle(r.Provider), State: requestState(r.Request),
			Tokens: r.Live, Changed: r.UpdatedAt, URL: requestURL(r.Provider, r.ExternalID), Alert: r.Alerted,
		})
	}
	if filter.Search == "" && filter.Status == "" && len(list) == 0 {
		page.Empty.Says = view.Say(ctx, "request.none_yet")
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.RequestsPage(f, page) })
	return nil
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

func writeCursor(at time.Time, id guichet.ID) string {
	return strconv.FormatInt(at.UnixMicro(), 36) + "." + id.String()
}

func readCursor(s string) grant.Cursor {
	at, id, ok := strings.Cut(s, ".")
	us, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return grant.Cursor{}
	}
	return grant.Cursor{At: time.UnixMicro(us).UTC(), ID: guichet.ID(id)}
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
	page := view.Request{
		ExternalID: r.ExternalID, Title: r.Title, Organisation: r.Organization, SIRET: siret(r.SIRET), Provider: s.providerTitle(r.Provider),
		State: requestState(r), Since: since(r), Scopes: r.Scopes, Entries: timeline(ctx, deliveries, deeds),
	}
	for _, a := range alerts {
		page.Alerts = append(page.Alerts, s.alertView(ctx, a, &r))
	}
	for _, t := range r.Tokens {
		page.Tokens = append(page.Tokens, tokenLine(t, s.Clock.Now()))
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
			Fields: []view.Field{{Name: "reason", Label: view.Say(ctx, "request.revoke_reason"), Required: true, MaxLength: 500}},
		},
	}
}

func (s *Server) revokeRequest(v visit) error {
	provider, number, reason := v.r.PathValue("provider"), v.r.PathValue("number"), strings.TrimSpace(v.r.PostFormValue("reason"))
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

func (s *Server) alerts(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	all := q.Get("show") == "all"
	list, err := s.Alerts.List(ctx, guichet.AlertFilter{Open: !all, Subject: q.Get("subject"), Limit: 100})
	if err != nil {
		return err
	}
	page := view.AlertList{Chips: []view.Chip{
		{Label: view.Say(ctx, "alert.chip.open"), URL: with(v.r.URL, "show", ""), On: !all},
		{Label: view.Say(ctx, "alert.chip.all"), URL: with(v.r.URL, "show", "all"), On: all},
	}}
	for _, a := range list {
		page.Alerts = append(page.Alerts, s.alertView(ctx, a, nil))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.AlertsPage(f, page) })
	return nil
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
