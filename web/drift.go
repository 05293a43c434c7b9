package web

import (
	"context"
	"net/http"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

func (s *Server) driftRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+view.PathDrifts, s.operators(s.driftList))
	mux.Handle("POST "+view.PathDrifts+"/now", s.operators(s.reconcileNow))
	mux.Handle("POST "+view.PathDrifts+"/{id}/repair", s.operators(s.repairDrift))
	mux.Handle("POST "+view.PathDrifts+"/{id}/dismiss", s.operators(s.dismissDrift))
}

var driftStates = []grant.DriftState{grant.DriftOpen, grant.DriftDismissed, grant.DriftRepaired, grant.DriftGone}

const driftsShown = 50

// driftList shows what is open first: one asked for nothing else.
func (s *Server) driftList(v visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	state := grant.DriftOpen
	page := view.DriftList{Empty: view.Say(ctx, "drift.empty"), Poll: q.Get("asked") != ""}
	for _, known := range driftStates {
		value := string(known)
		if known == grant.DriftOpen {
			value = ""
		}
		on := q.Get("state") == value
		if on {
			state = known
		}
		page.Chips = append(page.Chips, view.Chip{Label: view.Say(ctx, "drift.state."+string(known)), URL: with(v.r.URL, "state", value), On: on})
	}
	before, err := guichet.ParseID(q.Get("before"))
	if err != nil && q.Get("before") != "" {
		return grant.ErrBadCursor
	}
	drifts, err := s.Drifts.Store.Drifts(ctx, grant.DriftFilter{State: state, Before: before, Limit: driftsShown})
	if err != nil {
		return err
	}
	for _, d := range drifts {
		page.Drifts = append(page.Drifts, s.driftCard(ctx, d))
	}
	if len(drifts) == driftsShown {
		page.Pager.Older = with(v.r.URL, "before", drifts[driftsShown-1].ID.String())
	}
	if page.Sources, err = s.sourceLines(ctx, &page.Poll); err != nil {
		return err
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.DriftsPage(f, page) })
	return nil
}

// silentAfter is how long a reading may give no sign of life before the page says
// that it stopped.
const silentAfter = 2 * time.Minute

func (s *Server) sourceLines(ctx context.Context, poll *bool) (lines []view.SourceLine, err error) {
	runs, err := s.Drifts.Store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	last := map[string]grant.Run{}
	for _, r := range runs {
		last[r.Provider] = r
	}
	for _, name := range s.Drifts.Providers() {
		line := view.SourceLine{Provider: s.providerTitle(name), State: view.ReadingNever}
		run := last[name]
		switch {
		case run.State == grant.RunRunning && s.Clock.Now().Sub(run.BeatAt) < silentAfter:
			line.State, line.At, *poll = view.ReadingRuns, run.StartedAt, true
		case run.State == grant.RunRunning:
			line.State, line.At = view.ReadingStopped, run.BeatAt
		case run.State == grant.RunDone:
			line.State, line.At = view.ReadingDone, run.EndedAt
		case run.State == grant.RunFailed:
			line.State, line.At = view.ReadingFailed, run.EndedAt
			line.Problem = view.Say(ctx, "drift.failed", "Code", run.Failure)
			if key := "error." + run.Failure; view.ViewerFrom(ctx).Words.Has(key) {
				line.Problem = view.Say(ctx, key)
			}
		}
		line.Read = run.Read
		if line.State != view.ReadingRuns {
			line.Action = view.Action{
				Label: view.Say(ctx, "drift.now"), URL: view.PathDrifts + "/now", Post: true, Tone: view.Plain, Hidden: []view.Hidden{{Name: "provider", Value: name}},
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

var driftMeaning = map[grant.DriftKind]view.Meaning{
	grant.DriftTokenAlive: view.Stopped, grant.DriftMissedEvent: view.Warning, grant.DriftUnknown: view.Warning, grant.DriftStatus: view.Waiting,
	grant.DriftEntitlement: view.Warning, grant.DriftGoneAtSource: view.Warning,
}

func (s *Server) driftCard(ctx context.Context, d grant.Drift) view.DriftCard {
	says := []any{"Event", string(d.Event), "Theirs", statusWord(ctx, d.Theirs), "Ours", statusWord(ctx, d.Ours)}
	kind := "drift.kind." + string(d.Kind)
	said := kind + ".says"
	if d.Kind == grant.DriftStatus && d.Repair == grant.RepairReplay {
		said = "drift.kind.status_differs.came" // what is proposed explains the difference
	}
	card := view.DriftCard{
		ID: d.ID.String(), Meaning: driftMeaning[d.Kind], Title: view.Say(ctx, kind+".title"), Subject: s.providerTitle(d.Provider) + " · " + d.ExternalID,
		OpenedAt: d.OpenedAt, SourceURL: s.Grant.Providers[d.Provider].SourceURL(d.ExternalID),
	}
	if d.Tokens > 0 {
		card.Says = view.Count(ctx, said, d.Tokens, says...)
	} else {
		card.Says = view.Say(ctx, said, says...)
	}
	if d.Ours != "" {
		card.TimelineURL = requestURL(d.Provider, d.ExternalID)
	}
	if d.State != grant.DriftOpen {
		card.Ended, card.EndedAt = view.Say(ctx, "drift.ended."+string(d.State), "Name", d.ClosedBy), d.ClosedAt
		if d.Reason != "" {
			card.Ended = d.Reason + " · " + card.Ended
		}
		return card
	}
	card.Actions = driftActions(ctx, d)
	return card
}

// driftActions puts the consequence on the button; what cannot be undone is asked
// first.
func driftActions(ctx context.Context, d grant.Drift) []view.Action {
	at := view.PathDrifts + "/" + d.ID.String()
	reason := func(id string, required bool) []view.Field {
		return []view.Field{reasonField(ctx, id+d.ID.String(), required)}
	}
	dismiss := view.Action{
		Label: view.Say(ctx, "drift.dismiss"), URL: at + "/dismiss", Post: true, Tone: view.Quiet,
		Confirm: &view.Confirm{ID: "dismiss-" + d.ID.String(), Title: view.Say(ctx, "drift.dismiss_title"), Says: view.Say(ctx, "drift.dismiss_says"), Fields: reason("why-not-", true)},
	}
	repair := view.Action{URL: at + "/repair", Post: true, Tone: view.Plain, Label: view.Say(ctx, "drift.replay", "Event", string(d.Event))}
	switch {
	case d.Repair == grant.RepairNone:
		return []view.Action{dismiss}
	case d.Tokens > 0:
		repair.Tone, repair.Label = view.Danger, view.Count(ctx, "request.revoke_and_block", d.Tokens)
		repair.Confirm = &view.Confirm{
			ID: "repair-" + d.ID.String(), Title: view.Say(ctx, "request.revoke_title", "Number", d.ExternalID), Says: view.Say(ctx, "request.revoke_says"), Fields: reason("why-", d.Repair == grant.RepairRevoke),
		}
	case d.Repair == grant.RepairRevoke:
		repair.Tone, repair.Label = view.Danger, view.Say(ctx, "drift.revoke")
		repair.Confirm = &view.Confirm{ID: "repair-" + d.ID.String(), Title: view.Say(ctx, "request.revoke_title", "Number", d.ExternalID), Says: view.Say(ctx, "request.revoke_says"), Fields: reason("why-", true)}
	}
	return []view.Action{repair, dismiss}
}

func (s *Server) reconcileNow(v visit) error {
	if err := s.Drifts.Ask(v.r.Context(), v.by(), v.r.PostFormValue("provider")); err != nil {
		return err
	}
	v.say("drift.asked_toast")
	return v.redirect(view.PathDrifts + "?asked=yes")
}

func (s *Server) repairDrift(v visit) error {
	ctx, cancel := context.WithTimeout(v.r.Context(), 25*time.Second) // the source is asked again first
	defer cancel()
	return s.driftDeed(v, "drift.repaired_toast", func(id guichet.ID) (grant.Drift, error) {
		return s.Drifts.Repair(ctx, v.by(), id, v.reason())
	})
}

func (s *Server) dismissDrift(v visit) error {
	return s.driftDeed(v, "drift.dismissed_toast", func(id guichet.ID) (grant.Drift, error) {
		return s.Drifts.Dismiss(v.r.Context(), v.by(), id, v.reason())
	})
}

func (s *Server) driftDeed(v visit, done string, deed func(guichet.ID) (grant.Drift, error)) error {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return grant.ErrNoDrift
	}
	if _, err := deed(id); err != nil {
		return err
	}
	v.say(done)
	return v.redirect(view.PathDrifts)
}
