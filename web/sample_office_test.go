package web_test

import (
	"context"
	"strings"
	"time"

	"github.com/a-h/templ"

	"guichet/web/view"
)

// officePages are the pages of the back office and of applicants.
func officePages(ctx context.Context) map[string]templ.Component {
	list := requests()
	list.Filters, list.Purge, list.Notice = filters(ctx), "/purge", view.Count(ctx, "request.behind", 120)
	list.Columns = view.RequestSorts{Number: &view.Sort{URL: "/requests?order=oldest", Now: true, Descending: true}, Changed: &view.Sort{URL: "/requests?order=changed"}}
	applied := delivery(ctx)
	applied.Preview, applied.Actions = nil, []view.Action{{Label: view.Say(ctx, "journal.replay"), URL: "/journal/1/replay", Post: true}}
	purged := applied
	purged.Body = ""
	unusable := applied
	unusable.Entry = view.Entry{Meaning: view.Warning, Says: view.Say(ctx, "effect.quarantined"), Who: "DataPass"}
	unusable.Preview = &view.Preview{Title: view.Say(ctx, "preview.replay"), Problem: view.Say(ctx, "problem.no_applicant")}
	unusable.Actions = delivery(ctx).Actions[1:]
	broken := journal(ctx)
	broken.Verify = view.Verification{
		Start: broken.Verify.Start, Ended: ago(time.Minute), Checked: 128_400,
		Breaks: []view.Break{{Chain: "api_entreprise/51234", Problem: "its columns were changed", URL: "/journal/1"}},
	}
	running := journal(ctx)
	running.Verify.Running, running.Verify.Ended, running.Verify.Checked, running.Verify.Of = true, time.Time{}, 412_000, 1_200_000
	running.Verify.Stop = view.Action{Label: view.Say(ctx, "journal.stop_verifying"), URL: "/journal/verify/stop", Post: true}
	all := map[string]templ.Component{
		"requests-filtered": view.RequestsPage(frame(waits), list),
		"journal":           view.JournalPage(frame(waits), journal(ctx)),
		"journal-broken":    view.JournalPage(frame(waits), broken),
		"journal-verifying": view.JournalPage(frame(waits), running),
		"delivery":          view.DeliveryPage(frame(waits), applied),
		"delivery-held":     view.DeliveryPage(frame(waits), delivery(ctx)),
		"delivery-unusable": view.DeliveryPage(frame(waits), unusable),
		"delivery-purged":   view.DeliveryPage(frame(waits), purged),
		"purge":             view.PurgePage(frame(waits), view.Purge{Says: view.Count(ctx, "purge.says", 2, "Days", "30"), Lines: []view.PurgeLine{{ExternalID: "51007", Title: "Aides à la mobilité", Provider: "API Entreprise", At: in(72 * time.Hour), URL: "/requests/a/51007"}, {ExternalID: "51009", Title: "Cantines", Provider: "API Particulier", At: in(400 * time.Hour), URL: "/requests/a/51009"}}}),
		"drifts":            view.DriftsPage(frame(waits), driftList(ctx)),
		"drifts-none":       view.DriftsPage(frame(waits), view.DriftList{}),
		"statistics":        view.StatisticsPage(frame(waits), statistics(ctx)),
		"mine":              view.MyRequestsPage(applicantFrame(), mine(ctx)),
		"mine-empty":        view.MyRequestsPage(applicantFrame(), view.MyRequests{}),
		"mine-token":        view.TokenPage(applicantFrame(), ownToken(ctx)),
		"handed-over":       view.HandedOverPage(applicantFrame(), view.HandedOver{Token: ownToken(ctx).Line, Until: in(4 * time.Hour), BackURL: "/compte/jetons/1", Link: view.Secret{ID: "handover", Label: view.Say(ctx, "handover.link"), Value: "https://guichet.example/transmission/4kXw9mZt2bRn7cQv5hJp8sDf3gLy6wTn", Open: true}}),
		"take-over":         view.TakeOverPage(view.TakeOver{URL: "/transmission/x"}),
		"taken-over":        view.TakeOverPage(view.TakeOver{Secret: &view.Secret{ID: "token-secret", Label: view.Say(ctx, "token.secret"), Value: "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiIwMTlhIn0.c2ln", Open: true}, Expires: in(9000 * time.Hour), For: "API Entreprise, Marchés publics de Valmont"}),
	}
	for i, step := range view.ProlongSteps() {
		p := view.Prolong{
			Token: ownToken(ctx).Line, Number: "51234", Title: "Marchés publics de Valmont", Step: step, URL: "/compte/jetons/1/prolong", BackURL: "/compte/jetons/1",
			SourceURL: "https://datapass.api.gouv.fr/demandes/51234", Until: in(13000 * time.Hour),
		}
		if i < 4 {
			p.N = i + 1
		}
		if step == "contacts" {
			p.Contacts = request(ctx).Contacts
			p.Error = view.Say(ctx, "prolong.unanswered")
		}
		all["prolong-"+step] = view.ProlongPage(applicantFrame(), p)
	}
	return all
}

func applicantFrame() view.Frame {
	f := frame(nil)
	f.Windows = view.Windows{Mine: true}
	return f
}

func filters(ctx context.Context) view.Filters {
	field := func(name, kind, value string) view.Field {
		return view.Field{Name: name, Label: view.Say(ctx, "filter."+name), Value: value, Type: kind, Filter: true}
	}
	provider := field("provider", "", "api_entreprise")
	provider.Choices = []view.Choice{{Value: "", Label: view.Say(ctx, "filter.any")}, {Value: "api_entreprise", Label: "API Entreprise"}}
	return view.Filters{
		URL: "/requests", Export: "/requests.csv", Open: true,
		Fields: []view.Field{provider, field("scope", "text", ""), field("siret", "text", "217300656"), field("email", "text", ""), field("from", "date", "2026-01-01"), field("to", "date", "")},
		On:     []view.Chip{{Label: view.Say(ctx, "filter.is", "Name", view.Say(ctx, "filter.provider"), "Value", "API Entreprise"), URL: "/requests"}, {Label: view.Say(ctx, "filter.is", "Name", view.Say(ctx, "filter.siret"), "Value", "217300656"), URL: "/requests"}},
	}
}

func journal(ctx context.Context) view.Journal {
	row := func(event, number string, m view.Meaning, says string, open bool, d time.Duration) view.DeliveryRow {
		return view.DeliveryRow{Event: event, Subject: number, Provider: "API Entreprise", Meaning: m, Says: says, Open: open, At: ago(d), URL: "/journal/" + number + event}
	}
	f := filters(ctx)
	f.Open, f.On = false, nil
	return view.Journal{
		Chips:   []view.Chip{{Label: view.Say(ctx, "journal.chip.all"), URL: "/journal", On: true}, {Label: view.Say(ctx, "journal.chip.open"), URL: "/journal?open=yes"}, {Label: view.Say(ctx, "journal.chip.quarantined"), URL: "/journal?effect=quarantined"}},
		Filters: f,
		Rows: []view.DeliveryRow{
			row("approve", "51234", view.Waiting, view.Say(ctx, "effect.held"), true, 2*time.Minute),
			row("revoke", "51234", view.Stopped, "Habilitation révoquée · 2 jetons bloqués · 3 courriels", false, 3*time.Hour),
			row("submit", "51240", view.Neutral, view.Say(ctx, "effect.duplicate"), false, 30*time.Hour),
			row("approve", "51007", view.Warning, view.Say(ctx, "effect.quarantined"), true, 31*time.Hour),
		},
		Pager:  view.Pager{Older: "/journal?before=1"},
		Verify: view.Verification{Start: view.Action{Label: view.Say(ctx, "journal.verify"), URL: "/journal/verify", Post: true}, Ended: ago(2 * time.Minute), Checked: 128_412},
	}
}

func delivery(ctx context.Context) view.Delivery {
	body := `{
  "event": "approve",
  "fired_at": 1777880000,
  "model_id": 51234,
  "data": {
    "state": "validated",
    "data": {
      "intitule": "Marchés publics de Valmont <script>alert(1)</script> ` + strings.Repeat("très long ", 12) + `"
    }
  }
}`
	return view.Delivery{
		Event: "approve", Provider: "API Entreprise", Format: "v2", Subject: "51234", SubjectURL: "/requests/api_entreprise/51234", FiredAt: ago(4 * time.Minute), ReceivedAt: ago(2 * time.Minute),
		Entry: view.Entry{Meaning: view.Waiting, Says: view.Say(ctx, "effect.held"), Who: "DataPass"}, Place: "api_entreprise/51234 n° 14", Hash: strings.Repeat("9f3a51c7", 8), Body: body,
		Preview: &view.Preview{
			Title: view.Say(ctx, "preview.accept"), Says: []string{view.Say(ctx, "note.token_issued"), view.Say(ctx, "preview.letters")},
			Changes: []view.Change{{Name: view.Say(ctx, "request.state_name"), Before: view.Say(ctx, "request.state.revoked"), After: view.Say(ctx, "request.state.validated")}},
		},
		Actions: []view.Action{
			{Label: view.Say(ctx, "journal.accept"), URL: "/journal/1/accept", Post: true, Confirm: &view.Confirm{ID: "accept", Title: view.Say(ctx, "journal.accept_title"), Says: view.Say(ctx, "journal.accept_says"), Fields: whyFields(ctx, "accept-reason")}},
			{Label: view.Say(ctx, "journal.dismiss"), URL: "/journal/1/dismiss", Post: true, Confirm: &view.Confirm{ID: "dismiss", Title: view.Say(ctx, "journal.dismiss_title"), Says: view.Say(ctx, "journal.dismiss_says"), Fields: whyFields(ctx, "dismiss-reason")}},
		},
	}
}

func statistics(ctx context.Context) view.Statistics {
	c := view.Chart{
		Series: []string{view.Say(ctx, "figures.received"), view.Say(ctx, "figures.submitted"), view.Say(ctx, "figures.validated")},
		Table:  view.FigureTable{Title: view.Say(ctx, "figures.funnel"), Columns: []string{view.Say(ctx, "figures.week"), view.Say(ctx, "figures.received"), view.Say(ctx, "figures.submitted"), view.Say(ctx, "figures.validated"), view.Say(ctx, "figures.refused"), view.Say(ctx, "figures.revoked")}},
	}
	for i := range 26 {
		n := int64(20 + (i*37)%50)
		day := now.AddDate(0, 0, -7*(25-i))
		c.Table.Rows = append(c.Table.Rows, view.FigureRow{Name: view.ViewerFrom(ctx).Words.Day(day), Values: []int64{n, n * 3 / 4, n / 2, n / 9, int64(i % 3)}})
	}
	return view.Statistics{
		Chips:  []view.Chip{{Label: view.Say(ctx, "filter.any"), URL: "/statistics", On: true}, {Label: "API Entreprise", URL: "/statistics?provider=api_entreprise"}},
		Stats:  []view.Stat{{Label: view.Say(ctx, "figures.stat.received"), Value: "1 204", Trend: view.Say(ctx, "figures.stat.share", "Share", "48")}, {Label: view.Say(ctx, "figures.stat.delay"), Value: view.Count(ctx, "figures.stat.days", 12)}, {Label: view.Say(ctx, "figures.stat.alive"), Value: "128", Trend: view.Count(ctx, "home.expiring", 14), State: view.Warning}},
		Funnel: c,
		Tokens: view.FigureTable{Title: view.Say(ctx, "figures.tokens"), Columns: []string{view.Say(ctx, "request.provider"), view.Say(ctx, "figures.alive"), view.Say(ctx, "figures.expiring"), view.Say(ctx, "figures.expired"), view.Say(ctx, "figures.blocked")}, Rows: []view.FigureRow{{Name: "API Entreprise", Values: []int64{104, 12, 6, 31}}, {Name: "API Particulier", Values: []int64{24, 2, 0, 4}}}},
		Scopes: view.FigureTable{Title: view.Say(ctx, "figures.scopes"), Columns: []string{view.Say(ctx, "figures.scope"), view.Say(ctx, "figures.alive")}, Rows: []view.FigureRow{{Name: "unites_legales_etablissements_insee", Values: []int64{101}}, {Name: "attestation_fiscale_dgfip", Values: []int64{64}}}},
	}
}

func mine(ctx context.Context) view.MyRequests {
	line := ownToken(ctx).Line
	return view.MyRequests{Requests: []view.MyRequest{
		{ExternalID: "51234", Title: "Marchés publics de Valmont", Organisation: "COMMUNE DE VALMONT", Provider: "API Entreprise", Role: "applicant", State: view.RequestValidated, Tokens: []view.TokenLine{line}, SourceURL: "https://datapass.api.gouv.fr/demandes/51234"},
		{ExternalID: "51240", Title: "Guichet des familles", Organisation: "COMMUNE DE VALMONT", Provider: "API Particulier", Role: "business", State: view.RequestReopened, Withheld: view.Say(ctx, "mine.withheld")},
	}}
}

func ownToken(ctx context.Context) view.Token {
	t := token(ctx)
	t.Mine, t.RequestURL, t.Notice = true, "/compte", view.Say(ctx, "mine.ends_soon")
	t.Line.State, t.Line.URL = view.TokenExpiring, "/compte/jetons/1"
	return t
}
