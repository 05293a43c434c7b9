package web

import (
	"fmt"
	"net/http"
	"time"

	"guichet/grant"
	"guichet/web/view"
)

// weeksShown are half a year.
const weeksShown = 26

func (s *Server) figures(v visit) error {
	ctx, now := v.r.Context(), s.Clock.Now()
	provider := v.r.URL.Query().Get("provider")
	f, err := s.Office.Figures(ctx, provider, now.AddDate(0, 0, -7*(weeksShown-1)), now)
	if err != nil {
		return err
	}
	words := view.ViewerFrom(ctx).Words
	page := view.Statistics{
		Funnel: view.Chart{
			Series: []string{view.Say(ctx, "figures.received"), view.Say(ctx, "figures.submitted"), view.Say(ctx, "figures.validated")},
			Table: view.FigureTable{Title: view.Say(ctx, "figures.funnel"), Columns: []string{
				view.Say(ctx, "figures.week"), view.Say(ctx, "figures.received"), view.Say(ctx, "figures.submitted"), view.Say(ctx, "figures.validated"),
				view.Say(ctx, "figures.refused"), view.Say(ctx, "figures.revoked"),
			}},
		},
		Tokens: view.FigureTable{Title: view.Say(ctx, "figures.tokens"), Columns: []string{
			view.Say(ctx, "request.provider"), view.Say(ctx, "figures.alive"), view.Say(ctx, "figures.expiring"), view.Say(ctx, "figures.expired"), view.Say(ctx, "figures.blocked"),
		}},
		Scopes: view.FigureTable{Title: view.Say(ctx, "figures.scopes"), Columns: []string{view.Say(ctx, "figures.scope"), view.Say(ctx, "figures.alive")}},
	}
	for _, c := range s.providerChoices(v) {
		page.Chips = append(page.Chips, view.Chip{Label: c.Label, URL: with(v.r.URL, "provider", c.Value), On: c.Value == provider})
	}
	var all grant.Week
	for _, w := range f.Weeks {
		all.Received, all.Submitted, all.Validated = all.Received+w.Received, all.Submitted+w.Submitted, all.Validated+w.Validated
		page.Funnel.Table.Rows = append(page.Funnel.Table.Rows, view.FigureRow{
			Name: words.Day(w.Begins), Values: []int64{w.Received, w.Submitted, w.Validated, w.Refused, w.Revoked},
		})
	}
	var tokens grant.TokenFigure
	for _, t := range f.Tokens {
		tokens.Alive, tokens.Expiring, tokens.Blocked = tokens.Alive+t.Alive, tokens.Expiring+t.Expiring, tokens.Blocked+t.Blocked
		page.Tokens.Rows = append(page.Tokens.Rows, view.FigureRow{Name: s.providerTitle(t.Provider), Values: []int64{t.Alive, t.Expiring, t.Expired, t.Blocked}})
	}
	for _, c := range f.Scopes[:min(len(f.Scopes), 50)] {
		page.Scopes.Rows = append(page.Scopes.Rows, view.FigureRow{Name: c.Scope, Values: []int64{c.Tokens}})
	}
	stat := func(key string, n int64) view.Stat {
		return view.Stat{Label: view.Say(ctx, key), Value: words.Number(n)}
	}
	received, alive := stat("figures.stat.received", all.Received), stat("figures.stat.alive", tokens.Alive)
	received.Trend = view.Say(ctx, "figures.stat.weeks", "Weeks", fmt.Sprint(len(f.Weeks)))
	if all.Received > 0 {
		received.Trend = view.Say(ctx, "figures.stat.share", "Share", fmt.Sprint(100*all.Validated/all.Received))
	}
	if tokens.Expiring > 0 {
		alive.Trend, alive.State = view.Count(ctx, "home.expiring", int(tokens.Expiring)), view.Warning
	}
	delay := view.Stat{Label: view.Say(ctx, "figures.stat.delay"), Value: "–", Trend: view.Count(ctx, "figures.stat.of", int(f.Validated))}
	if f.Validated > 0 {
		delay.Value = view.Count(ctx, "figures.stat.days", int((f.Median+12*time.Hour)/(24*time.Hour)))
		if f.Median < 48*time.Hour {
			delay.Value = view.Count(ctx, "figures.stat.hours", int((f.Median+30*time.Minute)/time.Hour))
		}
	}
	page.Stats = []view.Stat{received, delay, alive, stat("figures.stat.blocked", tokens.Blocked)}
	v.show(http.StatusOK, func(f view.Frame) component { return view.StatisticsPage(f, page) })
	return nil
}
