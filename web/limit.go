package web

import (
	"context"
	"strconv"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

// limitAction is the form that narrows the use of a token, filled with what narrows
// it now.
func limitAction(ctx context.Context, t grant.Standing) view.Action {
	rate := ""
	if t.Limit.PerMinute > 0 {
		rate = strconv.Itoa(t.Limit.PerMinute)
	}
	var from []string
	for _, n := range t.Limit.From {
		from = append(from, n.String())
	}
	return view.Action{
		Label: view.Say(ctx, "token.limit"), URL: view.PathTokens + "/" + t.ID.String() + "/limit", Post: true,
		Confirm: &view.Confirm{
			ID: "limit-token", Title: view.Say(ctx, "token.limit_title", "Short", short(t.ID)), Says: view.Say(ctx, "token.limit_says"),
			Fields: []view.Field{
				{
					Name: "from", Label: view.Say(ctx, "token.limit_from"), Help: view.Say(ctx, "token.limit_from_says"), Value: strings.Join(from, " "),
					MaxLength: 1000, Autocomplete: "off",
				},
				{
					Name: "per_minute", Label: view.Say(ctx, "token.limit_rate"), Help: view.Say(ctx, "token.limit_rate_says"), Value: rate,
					InputMode: "numeric", MaxLength: 7, Autocomplete: "off",
				},
			},
		},
	}
}

// limitWords says what narrows the use of a token, a line each.
func limitWords(ctx context.Context, l guichet.Limit) (lines []string) {
	for _, n := range l.From {
		lines = append(lines, n.String())
	}
	if l.PerMinute > 0 {
		lines = append(lines, view.Count(ctx, "token.limits_rate", l.PerMinute))
	}
	return lines
}

// limitToken narrows the use of a token, or widens it again when the form is empty.
func (s *Server) limitToken(v visit) error {
	t, err := s.standing(v)
	if err != nil {
		return err
	}
	rate := 0
	if text := strings.TrimSpace(v.r.PostFormValue("per_minute")); text != "" {
		if rate, err = strconv.Atoi(text); err != nil {
			rate = -1 // which is no rate either
		}
	}
	from := strings.FieldsFunc(v.r.PostFormValue("from"), func(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) })
	limit, err := guichet.ParseLimit(from, rate)
	if err == nil {
		err = s.Grant.Limit(v.r.Context(), v.by(), t.ID, limit)
	}
	if err != nil {
		return err
	}
	toast := "token.limited_toast"
	if limit.IsZero() {
		toast = "token.unlimited_toast"
	}
	v.say(toast, "Short", short(t.ID))
	return v.redirect(view.PathTokens + "/" + t.ID.String())
}
