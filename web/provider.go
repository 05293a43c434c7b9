package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

// Providers is what the pages about providers need of the configuration, which
// only the program knows.
type Providers struct {
	// About gives what the configuration says beside what the desk knows: the
	// algorithm of tokens and where notifications go, without any secret.
	About     func(provider string) (algorithm, notifyURL string)
	Secrets   func(provider string) []grant.SecretStanding
	EndSecret func(ctx context.Context, by guichet.Actor, provider, mark string) error
	// Mails are the rules of a provider, also when nobody would send them.
	Mails   func(provider string) []grant.MailRule
	Preview func(provider string, rule grant.MailRule, language string) (subject, text, html string, err error)
	Notices *grant.Notices
}

func (s *Server) providerRoutes(mux *http.ServeMux) {
	const one = view.PathProviders + "/{provider}"
	mux.Handle("GET "+view.PathProviders, s.operators(s.providers))
	mux.Handle("POST "+one+"/secrets/{mark}/end", s.operators(s.endSecret))
	mux.Handle("GET "+one+"/mails", s.operators(s.mails))
	mux.Handle("GET "+one+"/mails/{name}", s.operators(s.mail))
	mux.Handle("GET "+one+"/mails/{name}/{file}", s.operators(s.mailFrame))
	mux.Handle("GET "+one+"/notifications", s.operators(s.notices))
	mux.Handle("GET "+one+"/notifications/{id}", s.operators(s.notice))
	mux.Handle("POST "+one+"/notifications/{id}/resend", s.operators(s.resendNotice))
}

func providerURL(name string) string { return view.PathProviders + "/" + url.PathEscape(name) }

// provider finds the provider of the address.
func (s *Server) provider(v visit) (grant.Provider, error) {
	p, ok := s.Grant.Providers[v.r.PathValue("provider")]
	if !ok {
		return grant.Provider{}, grant.ErrNoProvider
	}
	return p, nil
}

func (s *Server) providers(v visit) error {
	ctx := v.r.Context()
	var names []string
	for name := range s.Grant.Providers {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []view.ProviderCard
	for _, name := range names {
		all = append(all, s.providerCard(ctx, s.Grant.Providers[name]))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.ProvidersPage(f, all) })
	return nil
}

func (s *Server) providerCard(ctx context.Context, p grant.Provider) view.ProviderCard {
	algorithm, notifyURL := s.Providers.About(p.Name)
	fact := func(key, value string) view.Fact {
		return view.Fact{Name: view.Say(ctx, "provider."+key), Value: value}
	}
	card := view.ProviderCard{Title: s.providerTitle(p.Name), Facts: []view.Fact{
		fact("webhook", s.URL+"/api/datapass/v2/"+p.Name+"/webhook"), fact("definition", p.DefinitionID()), fact("algorithm", algorithm),
	}}
	if p.Environment != "" {
		card.Facts = append(card.Facts, fact("environment", p.Environment))
	}
	card.Links = append(card.Links, view.Link{Text: view.Say(ctx, "provider.mails"), URL: providerURL(p.Name) + "/mails"})
	if notifyURL != "" {
		card.Facts = append(card.Facts, fact("notify", notifyURL))
		card.Links = append(card.Links, view.Link{Text: view.Say(ctx, "provider.notifications"), URL: providerURL(p.Name) + "/notifications"})
	}
	standings := s.Providers.Secrets(p.Name)
	inForce := 0
	for _, k := range standings {
		if k.InForce {
			inForce++
		}
	}
	for _, k := range standings {
		card.Secrets = append(card.Secrets, secretLine(ctx, p.Name, k, inForce == 1))
	}
	return card
}

func secretLine(ctx context.Context, provider string, k grant.SecretStanding, last bool) view.SecretLine {
	line := view.SecretLine{Mark: k.Mark, State: view.SecretEnded, LastUse: k.LastUsedAt, Until: k.Until}
	if !k.InForce {
		return line
	}
	says := view.Say(ctx, "provider.end_says")
	if last {
		says = view.Say(ctx, "provider.end_last_says")
	}
	line.State = view.SecretInForce
	line.Actions = []view.Action{{
		Label: view.Say(ctx, "provider.end"), URL: providerURL(provider) + "/secrets/" + k.Mark + "/end", Post: true, Tone: view.Danger,
		Confirm: &view.Confirm{ID: "end-" + k.Mark, Title: view.Say(ctx, "provider.end_title", "Mark", k.Mark), Says: says},
	}}
	return line
}

func (s *Server) endSecret(v visit) error {
	p, err := s.provider(v)
	if err != nil {
		return err
	}
	if err := s.Providers.EndSecret(v.r.Context(), v.by(), p.Name, v.r.PathValue("mark")); err != nil {
		return err
	}
	v.say("provider.ended_toast", "Mark", v.r.PathValue("mark"))
	return v.redirect(view.PathProviders)
}

func (s *Server) mails(v visit) error {
	p, err := s.provider(v)
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	page := view.MailList{Provider: s.providerTitle(p.Name)}
	if !p.Mails {
		page.Off = view.Say(ctx, "mail.nobody_sends")
	}
	for _, m := range s.Providers.Mails(p.Name) {
		page.Rows = append(page.Rows, mailLine(ctx, p.Name, m))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.MailsPage(f, page) })
	return nil
}

// mailLine says a rule in words.
func mailLine(ctx context.Context, provider string, m grant.MailRule) view.MailLine {
	line := view.MailLine{
		When: view.Say(ctx, "mail.on."+string(m.On)), State: view.MailSent, URL: providerURL(provider) + "/mails/" + m.Name,
	}
	if m.Off {
		line.State = view.MailOff
	}
	var who []string
	for _, to := range m.To {
		if role, ok := contactRole[grant.Role(to)]; ok {
			to = view.Say(ctx, "contact."+role)
		}
		who = append(who, to)
	}
	line.Who = strings.Join(who, ", ")
	line.If = strings.Join(mailConditions(ctx, m), " · ")
	return line
}

func mailConditions(ctx context.Context, m grant.MailRule) (says []string) {
	switch m.Reopening {
	case grant.ReopeningOnly:
		says = append(says, view.Say(ctx, "mail.reopening_only"))
	case grant.ReopeningAlso:
		says = append(says, view.Say(ctx, "mail.reopening_also"))
	}
	role := func(word string) string { return view.Say(ctx, "contact."+contactRole[grant.Role(word)]) }
	for _, c := range m.If {
		left, right, _ := strings.Cut(c, " is ")
		other, not := strings.CutPrefix(right, "not ")
		switch {
		case c == "token":
			says = append(says, view.Say(ctx, "mail.if_token"))
		case c == "no token":
			says = append(says, view.Say(ctx, "mail.if_no_token"))
		case right == "missing":
			says = append(says, view.Say(ctx, "mail.if_missing", "Role", role(left)))
		case not:
			says = append(says, view.Say(ctx, "mail.if_not", "Role", role(left), "Other", role(other)))
		default:
			says = append(says, view.Say(ctx, "mail.if_same", "Role", role(left), "Other", role(other)))
		}
	}
	if len(m.Procedures) > 0 {
		says = append(says, view.Say(ctx, "mail.procedures", "Names", strings.Join(m.Procedures, ", ")))
	}
	if len(m.Scopes) > 0 {
		says = append(says, view.Say(ctx, "mail.scopes", "Names", strings.Join(m.Scopes, ", ")))
	}
	switch hours := int(m.Delay().Hours()); {
	case m.Delay() == 0:
	case hours%24 == 0:
		says = append(says, view.Count(ctx, "mail.after_days", hours/24))
	default:
		says = append(says, view.Count(ctx, "mail.after_hours", hours))
	}
	return says
}

// rule finds the mail of the address.
func (s *Server) rule(v visit) (grant.Provider, grant.MailRule, error) {
	p, err := s.provider(v)
	if err != nil {
		return p, grant.MailRule{}, err
	}
	for _, m := range s.Providers.Mails(p.Name) {
		if m.Name == v.r.PathValue("name") {
			return p, m, nil
		}
	}
	return p, grant.MailRule{}, grant.ErrNoMail
}

func (s *Server) mail(v visit) error {
	p, m, err := s.rule(v)
	if err != nil {
		return err
	}
	ctx, language := v.r.Context(), v.r.URL.Query().Get("language")
	if language != "fr" && language != "en" {
		language = v.lang()
	}
	line := mailLine(ctx, p.Name, m)
	page := view.MailPreview{
		Line: line, Name: m.Name, Language: language, Frame: line.URL + "/" + language + ".html",
		Provider: view.Link{Text: view.Say(ctx, "mail.title", "Name", s.providerTitle(p.Name)), URL: providerURL(p.Name) + "/mails"},
		Languages: []view.Chip{
			{Label: "Français", URL: line.URL + "?language=fr", On: language == "fr"}, {Label: "English", URL: line.URL + "?language=en", On: language == "en"},
		},
	}
	if page.Subject, page.Text, _, err = s.Providers.Preview(p.Name, m, language); err != nil {
		return err
	}
	// The only page with a frame in it, and the frame is ours.
	v.w.Header().Set("Content-Security-Policy", contentPolicy+"; frame-src 'self'")
	v.show(http.StatusOK, func(f view.Frame) component { return view.MailPage(f, page) })
	return nil
}

// framePolicy lets a mail have the styles written in it and nothing else: no
// script, no picture, no form, no link that opens.
const framePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

func (s *Server) mailFrame(v visit) error {
	language, ok := strings.CutSuffix(v.r.PathValue("file"), ".html")
	if !ok || language != "fr" && language != "en" {
		return grant.ErrNoMail
	}
	p, m, err := s.rule(v)
	if err != nil {
		return err
	}
	_, _, html, err := s.Providers.Preview(p.Name, m, language)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", framePolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, err = v.w.Write([]byte(html))
	return err
}

var noticeState = map[grant.NoticeState]view.State{
	grant.NoticeWaiting: view.NoticeWaiting, grant.NoticeDelivered: view.NoticeDelivered, grant.NoticeFailed: view.NoticeFailed,
}

func (s *Server) notices(v visit) error {
	p, err := s.provider(v)
	if err != nil {
		return err
	}
	ctx, q := v.r.Context(), v.r.URL.Query()
	filter := grant.NoticeFilter{Provider: p.Name, State: grant.NoticeState(q.Get("state")), Before: guichet.ID(q.Get("before")), Limit: pageSize + 1}
	list, err := s.Providers.Notices.Store.Notices(ctx, filter)
	if err != nil {
		return err
	}
	page := view.NoticeList{Provider: s.providerTitle(p.Name), Empty: view.Empty{Says: view.Say(ctx, "notice.none")}}
	if _, page.Says = s.Providers.About(p.Name); page.Says == "" {
		page.Says = view.Say(ctx, "notice.nowhere")
	}
	if page.Waiting, err = s.Providers.Notices.Store.Unattempted(ctx, p.Name); err != nil {
		return err
	}
	page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "notice.all"), URL: with(v.r.URL, "state", ""), On: filter.State == ""})
	for _, state := range grant.NoticeStates() {
		page.Chips = append(page.Chips, view.Chip{
			Label: view.Say(ctx, noticeState[state].Word), URL: with(v.r.URL, "state", string(state)), On: filter.State == state,
		})
	}
	if len(list) > pageSize {
		list, page.Pager.Older = list[:pageSize], with(v.r.URL, "before", list[pageSize-1].ID.String())
	}
	if filter.Before != "" {
		page.Pager.Newer = with(v.r.URL, "before", "")
	}
	for _, n := range list {
		page.Rows = append(page.Rows, noticeRow(ctx, n))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.NoticesPage(f, page) })
	return nil
}

func noticeURL(n grant.SentNotice) string {
	return providerURL(n.Provider) + "/notifications/" + n.ID.String()
}

func noticeRow(ctx context.Context, n grant.SentNotice) view.NoticeRow {
	return view.NoticeRow{
		Type: view.Say(ctx, "notice.type."+strings.ReplaceAll(string(n.Type), ".", "_")), Subject: n.ExternalID, State: noticeState[n.State],
		Code: codeOf(n.Code), Attempts: n.Attempts, At: n.MadeAt, URL: noticeURL(n),
	}
}

func codeOf(code int) string {
	if code == 0 {
		return "—"
	}
	return strconv.Itoa(code)
}

// foundNotice is the notification of the address, which is of its provider.
func (s *Server) foundNotice(v visit) (grant.SentNotice, error) {
	p, err := s.provider(v)
	if err != nil {
		return grant.SentNotice{}, err
	}
	n, err := s.Providers.Notices.Store.Notice(v.r.Context(), guichet.ID(v.r.PathValue("id")))
	if err == nil && n.Provider != p.Name {
		err = grant.ErrNoNotice
	}
	return n, err
}

func (s *Server) notice(v visit) error {
	n, err := s.foundNotice(v)
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	row := noticeRow(ctx, n)
	page := view.NoticePage{
		Row: row, ID: n.ID.String(), Next: n.NextAt, Body: indented(n.Body),
		List:    view.Link{Text: view.Say(ctx, "notice.title", "Name", s.providerTitle(n.Provider)), URL: providerURL(n.Provider) + "/notifications"},
		Subject: view.Link{Text: view.Say(ctx, "token.of_request", "Number", n.ExternalID), URL: requestURL(n.Provider, n.ExternalID)},
		Problem: noticeProblem(ctx, n.Problem),
		Actions: []view.Action{{Label: view.Say(ctx, "notice.resend"), URL: row.URL + "/resend", Post: true, Tone: view.Plain}},
	}
	for _, t := range n.Tries {
		try := view.NoticeTry{N: t.N, Began: t.BeganAt, Code: codeOf(t.Code), Says: noticeProblem(ctx, t.Problem)}
		switch {
		case t.EndedAt.IsZero():
			try.Says = view.Say(ctx, "notice.open_end")
		default:
			try.Took = strconv.FormatInt(t.EndedAt.Sub(t.BeganAt).Round(time.Millisecond).Milliseconds(), 10) + "\u00a0ms"
			if t.Problem == "" {
				try.Says = view.Say(ctx, "notice.taken")
			}
		}
		page.Attempts = append(page.Attempts, try)
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.NoticePageOf(f, page) })
	return nil
}

func noticeProblem(ctx context.Context, code string) string {
	switch {
	case code == "":
		return ""
	case slices.Contains(view.NoticeProblems(), code):
		return view.Say(ctx, "notice.problem."+code)
	}
	return code
}

func (s *Server) resendNotice(v visit) error {
	n, err := s.foundNotice(v)
	if err != nil {
		return err
	}
	if err := s.Providers.Notices.SendAgain(v.r.Context(), v.by(), n.ID); err != nil {
		return err
	}
	v.say("notice.resent_toast")
	return v.redirect(noticeURL(n))
}
