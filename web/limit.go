package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

// A limitForm is the form that narrows the use of a token, as it was sent.
type limitForm struct {
	from, rate string
	refused    *guichet.Error // nil: it was not sent yet
	open       bool
}

// formOf is filled with what narrows a token now.
func formOf(l guichet.Limit) (f limitForm) {
	if l.PerMinute > 0 {
		f.rate = strconv.Itoa(l.PerMinute)
	}
	var from []string
	for _, n := range l.From {
		from = append(from, n.String())
	}
	f.from = strings.Join(from, " ")
	return f
}

func (f limitForm) action(ctx context.Context, t grant.Standing) view.Action {
	a := view.Action{
		Label: view.Say(ctx, "token.limit"), URL: view.PathTokens + "/" + t.ID.String() + "/limit", Post: true,
		Confirm: &view.Confirm{
			ID: "limit-token", Title: view.Say(ctx, "token.limit_title", "Short", short(t.ID)), Says: view.Say(ctx, "token.limit_says"), Open: f.open,
			Fields: []view.Field{
				{
					Name: "from", Label: view.Say(ctx, "token.limit_from"), Help: view.Say(ctx, "token.limit_from_says"), Value: f.from,
					MaxLength: 1000, Autocomplete: "off",
				},
				{
					Name: "per_minute", Label: view.Say(ctx, "token.limit_rate"), Help: view.Say(ctx, "token.limit_rate_says"), Value: f.rate,
					InputMode: "numeric", MaxLength: 7, Autocomplete: "off",
				},
			},
		},
	}
	if f.refused != nil {
		mark(a.Confirm.Fields, f.refused, view.Say(ctx, "token.limit_wrong."+f.refused.Field))
	}
	return a
}

// limited is a token whose use can be narrowed: a blocked one has none.
func (s *Server) limited(v visit) (grant.Standing, error) {
	t, err := s.standing(v)
	if err == nil && !t.BlockedAt.IsZero() {
		err = grant.ErrBlocked
	}
	return t, err
}

// limitPage is the page of a token with the form over it.
func (s *Server) limitPage(v visit) error {
	t, err := s.limited(v)
	if err != nil {
		return err
	}
	form := formOf(t.Limit)
	form.open = true
	return s.showToken(v, t, http.StatusOK, form)
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
	t, err := s.limited(v)
	if err != nil {
		return err
	}
	form, rate := limitForm{from: v.r.PostFormValue("from"), rate: strings.TrimSpace(v.r.PostFormValue("per_minute")), open: true}, 0
	if form.rate != "" {
		if rate, err = strconv.Atoi(form.rate); err != nil {
			rate = -1 // which is no rate either
		}
	}
	from := strings.FieldsFunc(form.from, func(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) })
	limit, err := guichet.ParseLimit(from, rate)
	if errors.As(err, &form.refused) {
		return s.showToken(v, t, Status(form.refused.Kind), form)
	}
	if err := s.Grant.Limit(v.r.Context(), v.by(), t.ID, limit); err != nil {
		return err
	}
	toast := "token.limited_toast"
	if limit.IsZero() {
		toast = "token.unlimited_toast"
	}
	v.say(toast, "Short", short(t.ID))
	return v.redirect(view.PathTokens + "/" + t.ID.String())
}
