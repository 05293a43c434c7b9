package web

import (
	"net/http"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

// overview is the start page: what needs a person now, what changed, how things
// stand.
func (s *Server) overview(v visit) error {
	if s.Windows.Grant && !s.Windows.Bank && !v.operator() {
		return v.redirect(view.PathMine) // there is nothing else for them here
	}
	var page view.Overview
	if s.Windows.Bank {
		if err := s.bankOverview(v, &page); err != nil {
			return err
		}
	}
	if s.Windows.Grant && v.operator() {
		if err := s.grantOverview(v, &page); err != nil {
			return err
		}
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.OverviewPage(f, page) })
	return nil
}

func (s *Server) grantOverview(v visit, page *view.Overview) error {
	ctx := v.r.Context()
	alerts, err := s.Alerts.List(ctx, guichet.AlertFilter{Open: true, Limit: 5})
	if err != nil {
		return err
	}
	for _, a := range alerts {
		page.Alerts = append(page.Alerts, s.alertView(ctx, a, nil))
	}
	recent, err := s.Grant.Store.Deliveries(ctx, grant.DeliveryFilter{Limit: 40})
	if err != nil {
		return err
	}
	for _, d := range recent {
		if len(page.News) == 8 {
			break
		}
		if d.ExternalID == "" || d.Effect == grant.Duplicate || d.Note == grant.NoteUpdated {
			continue // the timeline of the request tells it
		}
		page.News = append(page.News, view.News{
			At: d.ReceivedAt, Meaning: entryMeaning(d), Says: entryWords(ctx, d), Subject: d.ExternalID, URL: requestURL(d.Provider, d.ExternalID),
		})
	}
	sum, err := s.Grant.Store.Summary(ctx, s.Clock.Now())
	if err != nil {
		return err
	}
	words := view.ViewerFrom(ctx).Words
	count := func(key string, n int64, url string) view.Stat {
		return view.Stat{Label: view.Say(ctx, key), Value: words.Number(n), URL: url}
	}
	live := count("home.live_tokens", sum.LiveTokens, view.PathTokens+"?state=live")
	if sum.ExpiringSoon > 0 {
		live.Trend, live.State = view.Count(ctx, "home.expiring", int(sum.ExpiringSoon)), view.Warning
	}
	page.Stats = append(page.Stats,
		count("home.validated", sum.Requests[grant.Validated], view.PathRequests+"?status=validated"), live,
		count("home.revoked", sum.Requests[grant.Revoked], view.PathRequests+"?status=revoked"))
	return nil
}
