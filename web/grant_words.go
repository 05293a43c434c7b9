package web

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

// entryMeaning colours a delivery in a timeline.
func entryMeaning(d grant.Delivery) view.Meaning {
	switch {
	case d.Effect == grant.Held:
		return view.Waiting
	case d.Effect == grant.Quarantined:
		return view.Warning
	case d.Effect != grant.Applied:
		return view.Neutral
	}
	switch d.Note {
	case grant.NoteIssued, grant.NoteProlonged, grant.NoteApproved, grant.NoteImported:
		return view.Good
	case grant.NoteRevoked, grant.NotePartlyRevoked, grant.NoteTombstone, grant.NoteRefused:
		return view.Stopped
	case grant.NoteArchiveNoted, grant.NoteDeletedAtSource:
		return view.Warning
	}
	return view.Neutral
}

// entryWords says what a delivery did.
func entryWords(ctx context.Context, d grant.Delivery) string {
	if d.Effect != grant.Applied {
		return view.Say(ctx, "effect."+string(d.Effect))
	}
	parts := []string{view.Say(ctx, "note."+string(d.Note))}
	if d.Blocked > 0 {
		parts = append(parts, view.Count(ctx, "note.blocked", d.Blocked))
	}
	if d.Mails > 0 {
		parts = append(parts, view.Count(ctx, "note.mails", d.Mails))
	}
	return strings.Join(parts, " · ")
}

// deedWords are the deeds of people that a timeline shows; the others are told by
// the delivery they follow from.
var deedWords = map[string]view.Meaning{
	"request.revoked": view.Stopped, "request.purged": view.Neutral, "token.blocked": view.Stopped, "token.block_foreseen": view.Warning,
	"token.issued": view.Good, "token.revealed": view.Neutral, "delivery.replayed": view.Neutral,
	"token.prolonged": view.Good, "token.limited": view.Neutral, "token.lent": view.Neutral, "token.taken_over": view.Neutral, "token.reminded": view.Neutral,
	"delivery.accepted": view.Good, "delivery.dismissed": view.Neutral, "drift.repaired": view.Good, "drift.dismissed": view.Neutral,
}

// timeline tells all that happened to a request, the latest first: what the
// source sent, and what people did here.
func timeline(ctx context.Context, deliveries []grant.Delivery, deeds []guichet.AuditEntry) []view.Entry {
	var out []view.Entry
	for _, d := range deliveries {
		e := view.Entry{At: d.ReceivedAt, Verb: d.Event, Meaning: entryMeaning(d), Says: entryWords(ctx, d), Who: "DataPass"}
		if d.Actor.Kind == guichet.ByPerson {
			e.Who = d.Actor.Name
		}
		if d.Problem != "" {
			e.Says += " · " + problemOfDelivery(ctx, d.Problem, d.Refused)
		}
		if d.Before != d.After {
			e.Changes = []view.Change{{Name: view.Say(ctx, "request.state_name"), Before: statusWord(ctx, d.Before), After: statusWord(ctx, d.After)}}
		}
		e.URL = deliveryURL(d.ID)
		out = append(out, e)
	}
	for _, a := range deeds {
		meaning, shown := deedWords[a.Deed]
		if !shown || a.Actor.Kind == guichet.BySource {
			continue
		}
		e := view.Entry{At: a.At, Verb: a.Deed[strings.IndexByte(a.Deed, '.')+1:], Meaning: meaning, Who: a.Actor.Name}
		detail := map[string]string{}
		_ = json.Unmarshal([]byte(a.Detail), &detail) // an entry without detail is still told
		e.Says = view.Say(ctx, "deed."+a.Deed, "Token", shortOf(detail["token"]))
		for _, more := range []string{"reason", "limit"} {
			if detail[more] != "" {
				e.Says += " · " + detail[more]
			}
		}
		if detail["token"] != "" {
			e.URL = view.PathTokens + "/" + detail["token"]
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b view.Entry) int { return b.At.Compare(a.At) })
	return out
}

func shortOf(id string) string {
	parsed, err := guichet.ParseID(id)
	if err != nil {
		return id
	}
	return short(parsed)
}

func statusWord(ctx context.Context, s grant.Status) string {
	if s == "" {
		return view.Say(ctx, "request.state.unknown")
	}
	return view.Say(ctx, stateOf[s].Word)
}

// alertView is an alert with what one can do about it. The request is the one it
// is about, when the page has it; it makes an offer to revoke possible.
func (s *Server) alertView(ctx context.Context, a guichet.Alert, r *grant.Request) view.Alert {
	detail := map[string]string{}
	_ = json.Unmarshal([]byte(a.Detail), &detail)
	out := view.Alert{
		ID: a.ID.String(), Kind: a.Kind, Subject: a.Subject, OpenedAt: a.OpenedAt, Done: a.AcknowledgedAt, DoneBy: a.AcknowledgedBy,
		AssignedTo: a.AssignedTo,
		Params:     []any{"Event", detail["event"], "Problem", detail["problem"], "Name", strings.TrimPrefix(a.Subject, "gateway/")},
	}
	if !a.AcknowledgedAt.IsZero() {
		return out
	}
	provider, number, ok := strings.Cut(a.Subject, "/")
	if ok && number != "" && s.Grant != nil && provider != "access" && provider != "gateway" && provider != "key" {
		if r == nil {
			out.TimelineURL = requestURL(provider, number)
			if found, err := s.Grant.Store.Request(ctx, provider, number); err == nil {
				r = &found
			}
		}
		if r != nil {
			out.Count = len(r.Live())
			if offersRevoke[grant.AlertKind(a.Kind)] && len(r.Live()) > 0 {
				out.Actions = append(out.Actions, revokeAction(ctx, *r, "revoke-"+a.ID.String()))
			}
		}
	}
	if id, err := guichet.ParseID(detail["delivery"]); err == nil && decides[grant.AlertKind(a.Kind)] {
		out.Actions = append(out.Actions, view.Action{Label: view.Say(ctx, "alert.examine"), URL: deliveryURL(id)})
	}
	switch grant.AlertKind(a.Kind) {
	case grant.AlertDrift, grant.AlertDrifts, grant.AlertReconcileOut:
		out.Actions = append(out.Actions, view.Action{Label: view.Say(ctx, "alert.examine"), URL: view.PathDrifts})
	}
	label := "alert.seen"
	if len(out.Actions) > 0 {
		label = "alert.intended"
	}
	out.Actions = append(out.Actions, view.Action{
		Label: view.Say(ctx, label), URL: view.PathAlerts + "/" + a.ID.String() + "/acknowledge", Post: true, Key: "x",
		Hidden: []view.Hidden{{Name: "back", Value: view.ViewerFrom(ctx).Path}},
	})
	return out
}

// decides lists the alerts about a delivery that waits for a decision.
var decides = map[grant.AlertKind]bool{grant.AlertHeldApproval: true, grant.AlertQuarantined: true}

// offersRevoke lists the alerts that may mean a lost revocation.
var offersRevoke = map[grant.AlertKind]bool{
	grant.AlertArchiveValidated: true, grant.AlertLateRevoke: true, grant.AlertPartialRevoke: true, grant.AlertDelete: true,
}

// tokenTimeline tells what happened to one token, from its beginning: an event of
// the source is no deed of anybody here.
func tokenTimeline(ctx context.Context, issued time.Time, deeds []guichet.AuditEntry) []view.Entry {
	var out []view.Entry
	if !slices.ContainsFunc(deeds, func(a guichet.AuditEntry) bool { return a.Deed == "token.issued" }) {
		out = append(out, view.Entry{At: issued, Verb: "issued", Meaning: view.Good, Says: view.Say(ctx, "note."+string(grant.NoteIssued))})
	}
	for _, a := range deeds {
		word := "deed." + a.Deed
		if !view.ViewerFrom(ctx).Words.Has(word) {
			continue
		}
		meaning := deedWords[a.Deed]
		if meaning == "" {
			meaning = view.Neutral
		}
		out = append(out, view.Entry{At: a.At, Verb: a.Deed[strings.IndexByte(a.Deed, '.')+1:], Meaning: meaning, Who: a.Actor.Name, Says: view.Say(ctx, word, "Token", "")})
	}
	slices.Reverse(out)
	return out
}
