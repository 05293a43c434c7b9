package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

func (s *Server) tokens(v visit) error {
	ctx, q, now := v.r.Context(), v.r.URL.Query(), s.Clock.Now()
	list, err := s.Grant.Store.Tokens(ctx, grant.TokenFilter{
		Provider: q.Get("provider"), State: q.Get("state"), Search: q.Get("q"), Now: now, Before: guichet.ID(q.Get("before")), Limit: pageSize + 1,
	})
	if err != nil {
		return err
	}
	page := view.TokenList{Empty: view.Empty{Says: view.Say(ctx, "token.empty")}}
	for _, state := range []string{"", "live", "blocked", "expired"} {
		key := "token.chip." + state
		if state == "" {
			key = "token.chip.all"
		}
		page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, key), URL: with(v.r.URL, "state", state), On: q.Get("state") == state})
	}
	if len(list) > pageSize {
		list, page.Pager.Older = list[:pageSize], with(v.r.URL, "before", list[pageSize-1].ID.String())
	}
	if q.Get("before") != "" {
		page.Pager.Newer = with(v.r.URL, "before", "")
	}
	for _, t := range list {
		page.Rows = append(page.Rows, s.standingLine(t, now))
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.TokensPage(f, page) })
	return nil
}

func (s *Server) standingLine(t grant.Standing, now time.Time) view.TokenLine {
	line := tokenLine(t.Token, now)
	line.Holder, line.Provider, line.Title = t.Organization, s.providerTitle(t.Provider), t.RequestTitle
	if line.Holder == "" {
		line.Holder = t.RequestTitle
	}
	return line
}

// token is what an operator sees of a token: everything but the token itself.
func (s *Server) token(v visit) error {
	t, err := s.standing(v)
	if err != nil {
		return err
	}
	return s.showToken(v, t, http.StatusOK, formOf(t.Limit))
}

// showToken is the page with a form in it that may have been sent.
func (s *Server) showToken(v visit, t grant.Standing, status int, limits limitForm) error {
	page, err := s.tokenView(v, t)
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	page.Withheld = view.Say(ctx, "token.withheld")
	if t.BlockedAt.IsZero() {
		page.Actions = append(page.Actions, view.Action{
			Label: view.Say(ctx, "token.block"), URL: view.PathTokens + "/" + t.ID.String() + "/block", Post: true, Tone: view.Danger,
			Confirm: &view.Confirm{
				ID: "block-token", Title: view.Say(ctx, "token.block_title", "Short", short(t.ID)), Says: view.Say(ctx, "token.block_says"),
				Fields: []view.Field{
					reasonField(ctx, "", true),
					{
						Name: "at", Label: view.Say(ctx, "token.block_at"), Type: "date", Help: view.Say(ctx, "token.block_at_says"), Autocomplete: "off",
						Least: s.Clock.Now().In(s.Zone).Format(time.DateOnly),
					},
					{Name: "replace", Label: view.Say(ctx, "token.block_replace"), Filter: true, Choices: []view.Choice{
						{Value: "", Label: view.Say(ctx, "token.block_replace_no")}, {Value: "yes", Label: view.Say(ctx, "token.block_replace_yes")},
					}},
				},
			},
		})
		page.Actions = append([]view.Action{limits.action(ctx, t)}, page.Actions...)
		if t.Status == grant.Validated {
			page.Actions = append([]view.Action{{Label: view.Say(ctx, "token.prolong"), URL: view.PathTokens + "/" + t.ID.String() + "/prolong", Post: true}}, page.Actions...)
		}
	}
	v.show(status, func(f view.Frame) component { return view.TokenPage(f, page) })
	return nil
}

func (s *Server) standing(v visit) (grant.Standing, error) {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return grant.Standing{}, grant.ErrNoToken
	}
	return s.Grant.Store.Standing(v.r.Context(), id)
}

func (s *Server) tokenView(v visit, t grant.Standing) (view.Token, error) {
	ctx := v.r.Context()
	deeds, err := s.Grant.Store.Deeds(ctx, t.Provider+"/"+t.ExternalID)
	if err != nil {
		return view.Token{}, err
	}
	var own []guichet.AuditEntry
	for _, d := range deeds {
		if strings.Contains(d.Detail, t.ID.String()) {
			own = append(own, d)
		}
	}
	page := view.Token{
		Line: s.standingLine(t, s.Clock.Now()), ID: t.ID.String(), IssuedAt: t.IssuedAt, RequestID: t.ExternalID,
		RequestURL: requestURL(t.Provider, t.ExternalID), Scopes: t.Scopes, Entries: tokenTimeline(ctx, t.IssuedAt, own),
		Limits: limitWords(ctx, t.Limit),
	}
	return page, s.showUsage(v, t.ID, &page)
}

// showUsage fills in how often the token was used in the last thirty days.
func (s *Server) showUsage(v visit, id guichet.ID, page *view.Token) error {
	used, err := s.Office.Usage(v.r.Context(), id, s.Clock.Now().AddDate(0, 0, -30))
	if err != nil {
		return err
	}
	page.Line.LastUse, page.Line.Used, page.Used = used.Last, true, used.Total()
	for _, d := range slices.Backward(used.Days) {
		page.Uses = append(page.Uses, view.DayOfUse{Day: s.day(d.Day), Uses: d.Uses})
	}
	return nil
}

// lastUse fills in when the token of a line was used last.
func (s *Server) lastUse(v visit, id guichet.ID, line *view.TokenLine) (err error) {
	line.Used = true
	line.LastUse, err = s.Office.LastUse(v.r.Context(), id)
	return err
}

func (s *Server) blockToken(v visit) error {
	t, err := s.standing(v)
	if err != nil {
		return err
	}
	blocking := grant.Blocking{Reason: v.reason(), Replace: v.r.PostFormValue("replace") != ""}
	if blocking.Reason == "" {
		return grant.ErrNeedsReason
	}
	if at := v.r.PostFormValue("at"); at != "" {
		day := s.day(at)
		if day.IsZero() {
			return &guichet.Error{Kind: guichet.Invalid, Code: "invalid_date", Field: "at", Reason: "This is not a day like 2026-05-04."}
		}
		blocking.At = day.AddDate(0, 0, 1).Add(-time.Second) // the end of that day
	}
	replacement, err := s.Grant.Block(v.r.Context(), v.by(), t.ID, blocking)
	switch {
	case err != nil:
		return err
	case replacement != "":
		v.say("token.replaced_toast", "Short", short(t.ID), "New", short(replacement))
	case !blocking.At.IsZero():
		v.say("token.block_foreseen_toast", "Short", short(t.ID))
	default:
		v.say("token.blocked_toast", "Short", short(t.ID))
	}
	return v.redirect(view.PathTokens + "/" + t.ID.String())
}
