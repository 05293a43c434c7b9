package web_test

import (
	"context"
	"time"

	"guichet/web/view"
)

func requests() view.RequestList {
	row := func(id, title, org, provider string, s view.State, tokens int, changed time.Duration) view.RequestRow {
		return view.RequestRow{ExternalID: id, Title: title, Organisation: org, Provider: provider, State: s, Tokens: tokens, Changed: ago(changed), URL: "/requests/" + id}
	}
	alerted := row("51235", "Aides aux commerces", "Communauté de communes du Lac", "api_entreprise", view.RequestArchived, 2, 3*time.Minute)
	alerted.Alert = true
	return view.RequestList{
		Chips: []view.Chip{
			{Label: "Toutes", Count: 1284, URL: "/requests", On: true},
			{Label: "Validées", Count: 912, URL: "/requests?state=validated"},
			{Label: "Révoquées", Count: 37, URL: "/requests?state=revoked"},
			{Label: "En instruction", Count: 61, URL: "/requests?state=submitted"},
		},
		Columns: view.RequestSorts{
			Number: &view.Sort{URL: "/requests?sort=number"}, Title: &view.Sort{URL: "/requests?sort=title"},
			Changed: &view.Sort{URL: "/requests?sort=changed", Now: true, Descending: true},
		},
		Rows: []view.RequestRow{
			alerted,
			row("51234", "Marchés publics de Valmont", "Commune de Valmont", "api_entreprise", view.RequestRevoked, 0, 3*time.Minute),
			row("51240", "Guichet des familles", "Commune de Saint-Aubin-sur-Loire-et-Vienne", "api_particulier", view.RequestValidated, 1, 26*time.Hour),
			row("51228", "Tarification de la cantine au quotient familial", "Ville de Port-Neuf", "api_particulier", view.RequestReopened, 2, 50*time.Hour),
			row("51199", "Subventions aux associations", "Département de la Marne-Haute", "api_entreprise", view.RequestValidated, 3, 4*24*time.Hour),
			row("51187", "Carte jeunes", "Région Centre-Est", "api_particulier", view.RequestSubmitted, 0, 5*24*time.Hour),
			row("51162", "Bourses scolaires", "Ville de Montclair", "api_particulier", view.RequestChanges, 0, 12*24*time.Hour),
			row("51150", "Vérification des fournisseurs", "Syndicat des eaux du Val", "api_entreprise", view.RequestRefused, 0, 31*24*time.Hour),
			row("51147", "Portail des marchés", "Métropole d’Armor", "api_entreprise", view.RequestDraft, 0, 32*24*time.Hour),
		},
		Pager: view.Pager{Older: "/requests?before=51147"},
	}
}

func request(ctx context.Context) view.Request {
	revoked := time.Date(2026, 5, 4, 7, 33, 21, 0, time.UTC)
	blocked := view.TokenLine{State: view.TokenBlocked, BlockedAt: revoked, RefusedAt: revoked.Add(time.Second), Reached: 3, Gateways: 3, ExpiresAt: in(400 * 24 * time.Hour)}
	first, second := blocked, blocked
	first.Short, first.URL = "2f6f…a1c7", "/tokens/1"
	second.Short, second.URL = "9ab0…11d3", "/tokens/2"
	return view.Request{
		ExternalID: "51234", Title: "Marchés publics de Valmont", Organisation: "COMMUNE DE VALMONT", SIRET: "217 300 656 00011", Provider: "api_entreprise",
		State: view.RequestRevoked, Since: revoked,
		Tokens: []view.TokenLine{first, second},
		Scopes: []string{"open_data", "attestations_fiscales", "attestations_sociales", "bilans_bdf", "certificats_qualibat"},
		Contacts: []view.Contact{
			{Role: "applicant", Person: view.Person{Name: "Anne Delorme", Address: "a.delorme@valmont.example"}},
			{Role: "technical", Person: view.Person{Name: "Karim Benali", Address: "k.benali@editeur.example"}},
			{Role: "business", Person: view.Person{Address: "marches@valmont.example"}},
		},
		Entries: []view.Entry{
			{At: revoked.Add(time.Second), Verb: "passerelles", Meaning: view.Good, Says: "edge-1, edge-2 et edge-3 sont à jour."},
			{At: revoked, Verb: "revoke", Meaning: view.Stopped, Says: "2 jetons bloqués, 3 courriels.", Who: "DataPass", Changes: []view.Change{{Name: "état", Before: "Habilitation validée", After: "Habilitation révoquée"}}},
			{At: time.Date(2026, 5, 2, 14, 2, 9, 0, time.UTC), Verb: "submit", Meaning: view.Neutral, Says: "Réouverture, sans effet.", Who: "DataPass"},
			{At: time.Date(2026, 1, 20, 9, 41, 55, 0, time.UTC), Verb: "approve", Meaning: view.Good, Says: "Jeton 2f6f…a1c7 créé.", Who: "DataPass", URL: "/tokens/1"},
			{At: time.Date(2026, 1, 12, 16, 8, 30, 0, time.UTC), Verb: "submit", Meaning: view.Neutral, Says: "Demande envoyée.", Who: "DataPass"},
		},
	}
}

func validRequest(ctx context.Context) view.Request {
	r := request(ctx)
	r.State, r.Since, r.ExternalID, r.Title = view.RequestArchived, ago(3*time.Minute), "51235", "Aides aux commerces"
	r.Alerts = []view.Alert{alert(ctx)}
	for i := range r.Tokens {
		r.Tokens[i].State, r.Tokens[i].BlockedAt = view.TokenActive, time.Time{}
	}
	r.Entries = r.Entries[2:]
	return r
}

func alert(ctx context.Context) view.Alert {
	return view.Alert{
		ID: "1", Kind: "archive_without_revoke", Subject: "51235", Count: 2, OpenedAt: ago(3 * time.Minute),
		Actions: []view.Action{
			{
				Label: view.Count(ctx, "request.revoke_and_block", 2), URL: "/requests/51235/revoke", Tone: view.Danger,
				Confirm: &view.Confirm{
					ID: "revoke-51235", Title: view.Say(ctx, "request.revoke_title", "Number", "51235"), Says: view.Say(ctx, "request.revoke_says"),
					Fields: whyFields(ctx, ""),
				},
			},
			{Label: view.Say(ctx, "alert.intended"), URL: "/alerts/1/acknowledge", Post: true},
		},
		TimelineURL: "/requests/51235",
	}
}

func alerts(ctx context.Context) view.AlertList {
	return view.AlertList{
		Chips: []view.Chip{
			{Label: view.Say(ctx, "alert.chip.open"), Count: 3, URL: "/alerts", On: true},
			{Label: view.Say(ctx, "alert.chip.done"), URL: "/alerts?done=1"},
		},
		Groups: []view.AlertGroup{{Kind: "archive_without_revoke", Alerts: alertSamples(ctx)[:1]}, {
			Kind: "held_approval", Alerts: alertSamples(ctx)[1:3], All: &view.Action{Label: view.Say(ctx, "alert.seen_all"), URL: "/alerts/acknowledge", Post: true, Tone: view.Quiet},
		}, {Kind: "unknown_event", Alerts: alertSamples(ctx)[3:]}},
	}
}

func alertSamples(ctx context.Context) []view.Alert {
	seen := []view.Action{{Label: view.Say(ctx, "alert.seen"), URL: "/alerts/2/acknowledge", Post: true, Key: "x"}}
	return []view.Alert{
		alert(ctx),
		{ID: "2", Kind: "gateway_silent", Subject: "edge-2", Params: []any{"Name", "edge-2"}, OpenedAt: ago(50 * time.Minute), Actions: seen},
		{ID: "3", Kind: "held_approval", Subject: "51102", AssignedTo: "camille.mercier@valmont.example", OpenedAt: ago(28 * time.Hour), Actions: seen, TimelineURL: "/requests/51102"},
		{ID: "4", Kind: "unknown_event", Subject: "api_particulier", Params: []any{"Event", "suspend"}, OpenedAt: ago(9 * 24 * time.Hour), Done: ago(8 * 24 * time.Hour), DoneBy: "Camille Mercier"},
	}
}

func gateways(ctx context.Context) view.GatewayList {
	actions := func(name string) []view.Action {
		return []view.Action{
			{Label: view.Say(ctx, "gateway.rotate"), URL: "/gateways/" + name + "/rotate", Post: true, Tone: view.Quiet},
			{Label: view.Say(ctx, "gateway.revoke"), URL: "/gateways/" + name + "/revoke", Post: true, Tone: view.Danger, Confirm: &view.Confirm{
				ID: "revoke-" + name, Title: view.Say(ctx, "gateway.revoke_title", "Name", name), Says: view.Say(ctx, "gateway.revoke_says"),
			}},
		}
	}
	row := func(name string, s view.State, behind int64, seen time.Duration) view.GatewayLine {
		return view.GatewayLine{
			Name: name, State: s, Version: "12 408", Behind: behind, Contact: ago(seen), StaleAfter: "60\u00a0s", Software: "guichet-gateway/1.2", Actions: actions(name),
		}
	}
	return view.GatewayList{
		Fresh: &view.Secret{ID: "fresh-gateway", Label: "recette", Value: "ggw_4kXw9mZt2bRn7cQv5hJp8sDf3gLy6x", Open: true},
		Add:   view.Field{Name: "name", Label: view.Say(ctx, "gateway.name"), Placeholder: view.Say(ctx, "gateway.example"), Required: true, Autocomplete: "off", MaxLength: 64},
		Rows: []view.GatewayLine{
			row("api-prod-1", view.GatewayCurrent, 0, 3*time.Second), row("api-prod-2", view.GatewayLate, 4, 8*time.Second),
			row("centre-de-donnees-de-secours-de-la-region", view.GatewaySilent, 1, 50*time.Minute),
			{Name: "recette", State: view.GatewayNew, Actions: actions("recette")},
			{Name: "ancienne", State: view.GatewayRevoked, Version: "9 120", Behind: 3288, Contact: ago(70 * 24 * time.Hour), Software: "guichet-gateway/1.0"},
		},
	}
}

func tokens(ctx context.Context) view.TokenList {
	row := func(short, holder, title, provider string, s view.State, expires, used time.Duration) view.TokenLine {
		t := view.TokenLine{Short: short, Holder: holder, Title: title, Provider: provider, State: s, ExpiresAt: in(expires), URL: "/tokens/" + short}
		if used > 0 {
			t.LastUse = ago(used)
		}
		return t
	}
	const day = 24 * time.Hour
	return view.TokenList{
		Chips: []view.Chip{
			{Label: view.Say(ctx, "token.state.active"), Count: 128, URL: "/tokens", On: true},
			{Label: view.Say(ctx, "token.state.expiring"), Count: 6, URL: "/tokens?state=expiring"},
			{Label: view.Say(ctx, "token.state.blocked"), Count: 41, URL: "/tokens?state=blocked"},
		},
		Sorts: view.TokenSorts{Holder: &view.Sort{URL: "/tokens?sort=holder"}, Expires: &view.Sort{URL: "/tokens?sort=expires", Now: true}},
		Rows: []view.TokenLine{
			row("c07d…42aa", "Ville de Port-Neuf", "Tarification de la cantine", "api_particulier", view.TokenExpiring, 6*day, 4*time.Minute),
			row("18e2…90fb", "Département de la Marne-Haute", "Subventions aux associations", "api_entreprise", view.TokenExpiring, 27*day, 2*time.Hour),
			row("77a1…0c3e", "Communauté de communes du Lac", "Aides aux commerces", "api_entreprise", view.TokenBlockPlanned, 61*day, 26*time.Hour),
			row("2f6f…a1c7", "Commune de Valmont", "Marchés publics de Valmont", "api_entreprise", view.TokenBlocked, 400*day, 3*time.Minute),
			row("e4d9…7b20", "Commune de Saint-Aubin-sur-Loire-et-Vienne", "Guichet des familles", "api_particulier", view.TokenActive, 498*day, 0),
			row("03bc…f518", "Métropole d’Armor", "Portail des marchés", "api_entreprise", view.TokenActive, 512*day, 38*time.Minute),
		},
		Pager: view.Pager{Newer: "/tokens", Older: "/tokens?before=6"},
	}
}

func token(ctx context.Context) view.Token {
	return view.Token{
		Line: view.TokenLine{Short: "e4d9…7b20", Holder: "Commune de Saint-Aubin", Provider: "api_particulier", State: view.TokenActive, ExpiresAt: in(498 * 24 * time.Hour), LastUse: ago(4 * time.Minute), Used: true},
		Used: 48_211, Uses: []view.DayOfUse{{Day: ago(0), Uses: 1_204}, {Day: ago(24 * time.Hour), Uses: 47_007}},
		ID:       "019a7c3e-5f21-7d40-8e4d-9b0e61c27b20",
		IssuedAt: ago(49 * 24 * time.Hour), RequestURL: "/requests/51240", RequestID: "51240",
		Scopes: []string{"cnaf_quotient_familial", "cnaf_allocataires", "dgfip_annee_impot"},
		Secret: &view.Secret{ID: "jwt", Label: view.Say(ctx, "token.secret"), Value: "eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.eyJqdGkiOiIwMTlhN2MzZSJ9.c2lnbmF0dXJl"},
		Actions: []view.Action{
			{Label: view.Say(ctx, "token.hand_over"), URL: "/tokens/5/hand-over", Post: true},
			{Label: view.Say(ctx, "token.prolong"), URL: "/tokens/5/prolong", Post: true},
			{
				Label: view.Say(ctx, "token.block"), URL: "/tokens/5/block", Tone: view.Danger,
				Confirm: &view.Confirm{ID: "block-5", Title: view.Say(ctx, "token.block_title", "Short", "e4d9…7b20"), Says: view.Say(ctx, "token.block_says"), Fields: whyFields(ctx, "")},
			},
		},
		Entries: []view.Entry{
			{At: ago(3 * time.Hour), Meaning: view.Neutral, Says: "Jeton affiché.", Who: "Anne Delorme"},
			{At: ago(49 * 24 * time.Hour), Verb: "approve", Meaning: view.Good, Says: "Jeton créé pour 18 mois.", Who: "DataPass"},
		},
	}
}

func settings(ctx context.Context) view.SettingsPage {
	end := view.Action{Label: view.Say(ctx, "settings.end"), URL: "/settings/sessions/2/end", Post: true, Tone: view.Quiet}
	remove := view.Action{Label: view.Say(ctx, "settings.revoke"), URL: "/settings/tokens/1/revoke", Post: true, Tone: view.Quiet}
	return view.SettingsPage{
		Password: view.PasswordFields(ctx),
		Sessions: []view.Session{
			{Device: "Firefox · Linux", Place: "203.0.113.7", LastUse: now, Current: true},
			{Device: "Safari · iPhone", Place: "198.51.100.22", LastUse: ago(26 * time.Hour), End: end},
		},
		APITokens: []view.APIToken{{Name: "Export comptable", Made: ago(80 * 24 * time.Hour), LastUse: ago(5 * time.Hour), Revoke: remove}},
		Fresh:     &view.Secret{ID: "fresh", Label: "Sauvegarde du soir", Value: "gch_4kXw9mZt2bRn7cQv5hJp8sDf3gLy6", Open: true},
	}
}
