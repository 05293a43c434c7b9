package web_test

import (
	"context"
	"strings"
	"time"

	"guichet/web/view"
)

// driftList is the page of drifts with one of each kind of thing on it.
func driftList(ctx context.Context) view.DriftList {
	now := func(provider string) view.Action {
		return view.Action{Label: view.Say(ctx, "drift.now"), URL: "/drifts/now", Post: true, Tone: view.Plain, Hidden: []view.Hidden{{Name: "provider", Value: provider}}}
	}
	reason := whyFields(ctx, "why")
	states := []any{"Event", "transfer", "Theirs", view.Say(ctx, "request.state.revoked"), "Ours", view.Say(ctx, "request.state.validated")}
	return view.DriftList{
		Chips: []view.Chip{{Label: view.Say(ctx, "drift.state.open"), URL: "/drifts", On: true}, {Label: view.Say(ctx, "drift.state.gone"), URL: "/drifts?state=gone"}},
		Sources: []view.SourceLine{
			{Provider: "API Entreprise", State: view.ReadingRuns, At: ago(time.Minute), Read: 4200},
			{Provider: "API Particulier", State: view.ReadingFailed, At: ago(3 * time.Hour), Read: 200, Problem: view.Say(ctx, "error.source_unreachable"), Action: now("api_particulier")},
			{Provider: strings.Repeat("Un nom très long ", 6), State: view.ReadingNever, Action: now("other")},
		},
		Drifts: []view.DriftCard{
			{
				ID: "1", Meaning: view.Stopped, Title: view.Say(ctx, "drift.kind.token_alive.title"), Says: view.Count(ctx, "drift.kind.token_alive.says", 2, states...),
				Subject: "API Entreprise · 51234", OpenedAt: ago(time.Hour), TimelineURL: "/requests/api_entreprise/51234", SourceURL: "https://datapass.example/demandes/51234",
				Actions: []view.Action{
					{Label: view.Count(ctx, "request.revoke_and_block", 2), URL: "/drifts/1/repair", Post: true, Tone: view.Danger, Confirm: &view.Confirm{ID: "repair-1", Title: view.Say(ctx, "request.revoke_title", "Number", "51234"), Says: view.Say(ctx, "request.revoke_says"), Fields: reason}},
					{Label: view.Say(ctx, "drift.dismiss"), URL: "/drifts/1/dismiss", Post: true, Tone: view.Quiet},
				},
			},
			{
				ID: "2", Meaning: view.Warning, Title: view.Say(ctx, "drift.kind.missed_event.title"), Says: view.Say(ctx, "drift.kind.missed_event.says", states...),
				Subject: "API Entreprise · 51240", OpenedAt: ago(2 * time.Hour), Actions: []view.Action{{Label: view.Say(ctx, "drift.replay", "Event", "transfer"), URL: "/drifts/2/repair", Post: true, Tone: view.Plain}},
			},
			{
				ID: "3", Meaning: view.Waiting, Title: view.Say(ctx, "drift.kind.status_differs.title"), Says: view.Say(ctx, "drift.kind.status_differs.says", states...),
				Subject: "API Entreprise · 51241", OpenedAt: ago(30 * time.Hour), Ended: "<b>erreur</b> · " + view.Say(ctx, "drift.ended.dismissed", "Name", "Nora Lefort"), EndedAt: ago(time.Hour),
			},
		},
		Pager: view.Pager{Older: "/drifts?before=1"},
	}
}
