package web_test

import (
	"context"
	"time"

	"github.com/a-h/templ"

	"guichet/web/view"
)

// providerPages are the pages about providers.
func providerPages(ctx context.Context) map[string]templ.Component {
	mails := mailList(ctx)
	none := view.NoticeList{Provider: "API Particulier", Says: view.Say(ctx, "notice.nowhere"), Empty: view.Empty{Says: view.Say(ctx, "notice.none")}}
	return map[string]templ.Component{
		"providers":       view.ProvidersPage(frame(nil), providers(ctx)),
		"providers-empty": view.ProvidersPage(frame(nil), nil),
		"mails":           view.MailsPage(frame(nil), mails),
		"mails-off":       view.MailsPage(frame(nil), view.MailList{Provider: "API locale", Off: view.Say(ctx, "mail.nobody_sends")}),
		"mail":            view.MailPage(frame(nil), mailPreview(ctx, mails.Rows[3])),
		"notices":         view.NoticesPage(frame(nil), notices(ctx)),
		"notices-empty":   view.NoticesPage(frame(nil), none),
		"notice":          view.NoticePageOf(frame(nil), notice(ctx)),
	}
}

func providers(ctx context.Context) []view.ProviderCard {
	fact := func(key, value string) view.Fact {
		return view.Fact{Name: view.Say(ctx, "provider."+key), Value: value}
	}
	end := func(mark string) []view.Action {
		return []view.Action{{Label: view.Say(ctx, "provider.end"), URL: "/providers/api_entreprise/secrets/" + mark + "/end", Post: true, Tone: view.Danger, Confirm: &view.Confirm{
			ID: "end-" + mark, Title: view.Say(ctx, "provider.end_title", "Mark", mark), Says: view.Say(ctx, "provider.end_says"),
		}}}
	}
	return []view.ProviderCard{
		{
			Title: "API Entreprise", Facts: []view.Fact{
				fact("webhook", "https://guichet.exemple.gouv.fr/api/datapass/v2/api_entreprise/webhook"), fact("definition", "api_entreprise"), fact("algorithm", "EdDSA"),
				fact("environment", "production"), fact("notify", "https://crochets.interne.exemple.gouv.fr/guichet/notifications-des-jetons-et-des-demandes"),
			},
			Secrets: []view.SecretLine{
				{Mark: "4f1c90b2aa07", State: view.SecretInForce, LastUse: ago(2 * time.Minute), Actions: end("4f1c90b2aa07")},
				{Mark: "90b1d2e3f405", State: view.SecretInForce, LastUse: ago(9 * 24 * time.Hour), Until: in(20 * 24 * time.Hour), Actions: end("90b1d2e3f405")},
				{Mark: "00aa11bb22cc", State: view.SecretEnded},
			},
			Links: []view.Link{{Text: view.Say(ctx, "provider.mails"), URL: "/providers/api_entreprise/mails"}, {Text: view.Say(ctx, "provider.notifications"), URL: "/providers/api_entreprise/notifications"}},
		},
		{
			Title: "API locale", Facts: []view.Fact{fact("webhook", "https://guichet.exemple.gouv.fr/api/datapass/v2/api_locale/webhook"), fact("algorithm", "HS256")},
			Links: []view.Link{{Text: view.Say(ctx, "provider.mails"), URL: "/providers/api_locale/mails"}},
		},
	}
}

func mailList(ctx context.Context) view.MailList {
	line := func(cause, who, condition string, state view.State) view.MailLine {
		return view.MailLine{When: view.Say(ctx, "mail.on."+cause), Who: who, If: condition, State: state, URL: "/providers/api_entreprise/mails/" + cause}
	}
	applicant, technical, business := view.Say(ctx, "contact.applicant"), view.Say(ctx, "contact.technical"), view.Say(ctx, "contact.business")
	return view.MailList{Provider: "API Entreprise", Rows: []view.MailLine{
		line("submit", applicant, view.Say(ctx, "mail.reopening_also"), view.MailSent),
		line("refuse", applicant, view.Say(ctx, "mail.reopening_also"), view.MailSent),
		line("approve", business+", "+technical+", "+applicant, view.Say(ctx, "mail.reopening_only"), view.MailSent),
		line("approve", technical, view.Say(ctx, "mail.if_token")+" · "+view.Say(ctx, "mail.if_not", "Role", technical, "Other", applicant), view.MailSent),
		line("revoke", applicant+", "+technical+", "+business, "", view.MailSent),
		line("request_changes", applicant, view.Count(ctx, "mail.after_days", 14), view.MailOff),
	}}
}

func mailPreview(ctx context.Context, line view.MailLine) view.MailPreview {
	return view.MailPreview{
		Line: line, Name: "approved_technical", Provider: view.Link{Text: view.Say(ctx, "mail.title", "Name", "API Entreprise"), URL: "/providers/api_entreprise/mails"},
		Languages: []view.Chip{{Label: "Français", URL: "?language=fr", On: true}, {Label: "English", URL: "?language=en"}}, Language: "fr",
		Subject: "Un jeton vous attend pour la demande « Marchés publics de Valmont »", Frame: "about:blank",
		Text: "Bonjour,\n\nLa demande d’habilitation « Marchés publics de Valmont » (nº 51234, API Entreprise, Commune de Valmont) est acceptée.\n\nhttps://guichet.example/compte/jetons/0196a1b2\n",
	}
}

func notices(ctx context.Context) view.NoticeList {
	row := func(kind, number string, state view.State, code string, attempts int, at time.Duration) view.NoticeRow {
		return view.NoticeRow{Type: view.Say(ctx, "notice.type."+kind), Subject: number, State: state, Code: code, Attempts: attempts, At: ago(at), URL: "/providers/api_entreprise/notifications/1"}
	}
	return view.NoticeList{
		Provider: "API Entreprise", Says: "https://crochets.interne.exemple.gouv.fr/guichet", Waiting: 2,
		Chips: []view.Chip{
			{Label: view.Say(ctx, "notice.all"), URL: "?", On: true},
			{Label: view.Say(ctx, "notice.state.waiting"), URL: "?state=waiting"},
			{Label: view.Say(ctx, "notice.state.delivered"), URL: "?state=delivered"},
			{Label: view.Say(ctx, "notice.state.failed"), URL: "?state=failed"},
		},
		Rows: []view.NoticeRow{
			row("token_blocked", "51234", view.NoticeWaiting, "503", 3, 4*time.Minute), row("request_revoked", "51234", view.NoticeDelivered, "204", 1, 4*time.Minute),
			row("token_issued", "50990", view.NoticeDelivered, "200", 1, 26*time.Hour), row("token_issued", "50111", view.NoticeFailed, "—", 11, 9*24*time.Hour),
		},
		Pager: view.Pager{Older: "?before=1"},
	}
}

func notice(ctx context.Context) view.NoticePage {
	return view.NoticePage{
		Row:     view.NoticeRow{Type: view.Say(ctx, "notice.type.token_blocked"), State: view.NoticeWaiting, At: ago(4 * time.Minute)},
		List:    view.Link{Text: view.Say(ctx, "notice.title", "Name", "API Entreprise"), URL: "/providers/api_entreprise/notifications"},
		Subject: view.Link{Text: view.Say(ctx, "token.of_request", "Number", "51234"), URL: "/requests/api_entreprise/51234"},
		ID:      "0196a1b2-7c3d-7e4f-8a5b-6c7d8e9fa0b1", Next: in(29 * time.Minute), Problem: view.Say(ctx, "notice.problem.notification_refused"),
		Body: "{\n  \"type\": \"token.blocked\",\n  \"timestamp\": \"2026-05-04T07:33:21Z\",\n  \"data\": {\n    \"provider\": \"api_entreprise\",\n    \"request\": \"51234\",\n    \"token\": \"0196a1b2-7c3d-7e4f-8a5b-6c7d8e9fa0b1\"\n  }\n}",
		Attempts: []view.NoticeTry{
			{N: 3, Began: ago(time.Minute), Took: "812\u00a0ms", Code: "503", Says: view.Say(ctx, "notice.problem.notification_refused")},
			{N: 2, Began: ago(3 * time.Minute), Code: "—", Says: view.Say(ctx, "notice.open_end")},
			{N: 1, Began: ago(4 * time.Minute), Took: "5000\u00a0ms", Code: "—", Says: view.Say(ctx, "notice.problem.notification_unreachable")},
		},
		Actions: []view.Action{{Label: view.Say(ctx, "notice.resend"), URL: "#", Post: true, Tone: view.Plain}},
	}
}
