package web

import (
	"net/http"

	"guichet"
	"guichet/grant"
	"guichet/people"
	"guichet/web/view"
)

// alerts shows what waits by kind, the kind that was raised last first: ten times
// the same thing is one thing to understand.
func (s *Server) alerts(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	show := q.Get("show")
	list, err := s.Alerts.List(ctx, guichet.AlertFilter{Open: show != "all", Subject: q.Get("subject"), Limit: 200})
	if err != nil {
		return err
	}
	var page view.AlertList
	for _, chip := range []string{"open", "mine", "all"} {
		value := map[string]string{"open": "", "mine": "mine", "all": "all"}[chip]
		page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "alert.chip."+chip), URL: with(v.r.URL, "show", value), On: show == value})
	}
	if s.Drifts != nil {
		drifts, err := s.Drifts.Store.Drifts(ctx, grant.DriftFilter{Limit: 1000})
		if err != nil {
			return err
		}
		page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "drift.title"), URL: view.PathDrifts, Count: len(drifts)})
	}
	operators, err := s.operatorNames(v)
	if err != nil {
		return err
	}
	place := map[string]int{}
	for _, a := range list {
		if show == "mine" && a.AssignedTo != v.me.Email {
			continue
		}
		i, known := place[a.Kind]
		if !known {
			i = len(page.Groups)
			place[a.Kind] = i
			page.Groups = append(page.Groups, view.AlertGroup{Kind: a.Kind})
		}
		drawn := s.alertView(ctx, a, nil)
		if a.AcknowledgedAt.IsZero() {
			drawn.Actions = append(drawn.Actions, assignAction(v, a, operators))
		}
		page.Groups[i].Alerts = append(page.Groups[i].Alerts, drawn)
	}
	for i, g := range page.Groups {
		if len(g.Alerts) < 2 || show == "all" {
			continue
		}
		all := &view.Action{
			Label: view.Say(ctx, "alert.seen_all"), URL: view.PathAlerts + "/acknowledge", Post: true, Tone: view.Quiet,
			Hidden: []view.Hidden{{Name: "back", Value: v.r.URL.RequestURI()}},
		}
		for _, a := range g.Alerts {
			all.Hidden = append(all.Hidden, view.Hidden{Name: "id", Value: a.ID})
		}
		page.Groups[i].All = all
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.AlertsPage(f, page) })
	return nil
}

// operatorNames lists who may see to an alert.
func (s *Server) operatorNames(v visit) (all []view.Choice, err error) {
	persons, err := s.People.List(v.r.Context())
	if err != nil {
		return nil, err
	}
	all = []view.Choice{{Value: "", Label: view.Say(v.r.Context(), "alert.nobody")}}
	for _, p := range persons {
		if p.Role == people.Operator && p.DisabledAt.IsZero() {
			all = append(all, view.Choice{Value: p.Email, Label: p.Email})
		}
	}
	return all, nil
}

// assignAction is one click when there is one operator only.
func assignAction(v visit, a guichet.Alert, operators []view.Choice) view.Action {
	ctx, to := v.r.Context(), v.me.Email
	action := view.Action{
		Label: view.Say(ctx, "alert.take"), URL: view.PathAlerts + "/" + a.ID.String() + "/assign", Post: true, Tone: view.Quiet,
		Hidden: []view.Hidden{{Name: "back", Value: v.r.URL.RequestURI()}},
	}
	switch {
	case len(operators) > 2:
		action.Label = view.Say(ctx, "alert.assign")
		action.Confirm = &view.Confirm{
			ID: "assign-" + a.ID.String(), Title: view.Say(ctx, "alert.assign_title"), Says: view.Say(ctx, "alert.assign_says"),
			Fields: []view.Field{{ID: "to-" + a.ID.String(), Name: "to", Label: view.Say(ctx, "alert.assign_to"), Value: a.AssignedTo, Choices: operators, Filter: true}},
		}
		return action
	case a.AssignedTo == v.me.Email:
		action.Label, to = view.Say(ctx, "alert.give_back"), ""
	}
	action.Hidden = append(action.Hidden, view.Hidden{Name: "to", Value: to})
	return action
}

func (s *Server) assign(v visit) error {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return guichet.ErrNoAlert
	}
	to := v.r.PostFormValue("to")
	operators, err := s.operatorNames(v)
	if err != nil {
		return err
	}
	known := false
	for _, o := range operators {
		known = known || o.Value == to
	}
	if !known {
		return people.ErrNoPerson
	}
	if err := s.Alerts.Assign(v.r.Context(), v.by(), id, to); err != nil {
		return err
	}
	return v.redirect(Local(v.r.PostFormValue("back")))
}

// acknowledgeAll sees to the alerts that the page showed, and to no other.
func (s *Server) acknowledgeAll(v visit) error {
	for _, text := range v.r.PostForm["id"] {
		id, err := guichet.ParseID(text)
		if err != nil {
			return guichet.ErrNoAlert
		}
		if err := s.Alerts.Acknowledge(v.r.Context(), v.by(), id); err != nil {
			return err
		}
	}
	v.say("alert.acknowledged_toast")
	return v.redirect(Local(v.r.PostFormValue("back")))
}
