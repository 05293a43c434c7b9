package web_test

import (
	"context"
	"maps"
	"time"

	"github.com/a-h/templ"

	"guichet/web/view"
)

// now is when the gallery is looked at.
var now = time.Date(2026, 5, 4, 7, 36, 4, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func in(d time.Duration) time.Time { return now.Add(d) }

func euros(minor int64) view.Money { return view.Money{Minor: minor, Currency: "EUR"} }

func frame(waits map[view.Place]int) view.Frame {
	return view.Frame{
		Windows: view.Windows{Bank: true, Grant: true},
		Me:      view.Person{Name: "Camille Mercier", Address: "camille.mercier@valmont.example"},
		Waits:   waits,
	}
}

var waits = map[view.Place]int{view.Accesses: 1, view.Alerts: 3}

// whyFields is the field in which somebody says why, as pages have it.
func whyFields(ctx context.Context, id string) []view.Field {
	return []view.Field{{
		ID: id, Name: "reason", Label: view.Say(ctx, "request.revoke_reason"), Required: true, MaxLength: 500, Autocomplete: "off",
		Pattern: `.*\S.*`, Wants: view.Say(ctx, "error.reason_needed"),
	}}
}

// pages is every page of the gallery by its name.
func pages(ctx context.Context) map[string]templ.Component {
	toasted := frame(waits)
	trouble := view.Say(ctx, "fault.internal.title") + ". " + view.Say(ctx, "fault.internal.lost")
	toasted.Toasts = []view.Toast{{Text: "“ESPACE BIO” → Courses"}, {Text: trouble, Trouble: true, Reference: "K4QZT7MW"}}
	asked := frame(waits)
	asked.Question = question(ctx, "")
	calm := overview(ctx)
	calm.Accesses, calm.Alerts = nil, nil
	failed := newAccess(ctx)
	failed.Error, failed.BankSays = "bad_credentials", "Identifiant ou mot de passe incorrect."
	choose := newAccess(ctx)
	choose.Chosen = nil
	first := choose
	first.First = true
	expired := question(ctx, "")
	expired.Expired, expired.Creation = true, true
	app := question(ctx, "")
	app.Method, app.Resendable, app.StatusURL, app.Prompt = view.AskApp, false, "", "Ouvrez Ma Banque et confirmez la connexion depuis « Guichet »."
	choice := question(ctx, "")
	choice.Method, choice.Medium, choice.MediumLabel, choice.Resendable, choice.Prompt = view.AskChoice, "", "", false, "Comment voulez-vous confirmer que c’est bien vous ?"
	choice.Fields = []view.Field{{Name: "way", Label: "Moyen de confirmation", Required: true, Choices: []view.Choice{
		{Value: "sms", Label: "Code par SMS au 06 •• •• •• 12"},
		{Value: "app", Label: "Validation dans l’application, sur « Galaxy S24 de Marie-Françoise »"},
		{Value: "mail", Label: "Code par courriel à m•••@courriel.test"},
	}}}
	unchosen := *choice
	unchosen.Problem = "unavailable"
	opening := frame(nil)
	opening.Question = withCreation(question(ctx, ""))
	live := frame(waits)
	live.Events = "/events"
	following := accesses(ctx)
	following.Lines[3].Progress.StatusURL = "/accesses/4/progress"
	short := question(ctx, "")
	short.Deadline, short.ResendAt = in(3*time.Second), in(time.Second)
	wrongSignIn := view.SignIn{Address: "camille.mercier@valmont.example", Error: view.Say(ctx, "error.sign_in_refused"), OIDC: &view.Link{Text: view.Say(ctx, "signin.with", "Name", "ProConnect"), URL: "/oidc"}}
	all := map[string]templ.Component{
		"sign-in":           view.SignInPage(view.SignIn{OIDC: &view.Link{Text: view.Say(ctx, "signin.with", "Name", "ProConnect"), URL: "/oidc"}}),
		"sign-in-refused":   view.SignInPage(wrongSignIn),
		"setup":             view.SetupPage(view.NewSetup(ctx)),
		"overview":          view.OverviewPage(frame(waits), overview(ctx)),
		"overview-calm":     view.OverviewPage(frame(nil), calm),
		"accesses":          view.AccessesPage(frame(waits), accesses(ctx)),
		"accesses-live":     view.AccessesPage(live, following),
		"accesses-empty":    view.AccessesPage(frame(nil), view.AccessList{}),
		"access-ending":     view.AccessPage(frame(waits), accessDetail(ctx, false)),
		"access-disabled":   view.AccessPage(frame(waits), accessDetail(ctx, true)),
		"first-access":      view.NewAccessPage(frame(nil), first),
		"new-access":        view.NewAccessPage(frame(waits), choose),
		"new-access-form":   view.NewAccessPage(frame(waits), newAccess(ctx)),
		"new-access-fail":   view.NewAccessPage(frame(waits), failed),
		"question":          view.QuestionPage(*withCreation(question(ctx, "wrong"))),
		"question-app":      view.QuestionPage(*app),
		"question-choice":   view.QuestionPage(*withCreation(choice)),
		"question-chosen":   view.QuestionPage(unchosen),
		"question-late":     view.QuestionPage(*expired),
		"question-dialog":   view.OperationsPage(asked, operations(ctx)),
		"question-creation": view.AccessesPage(opening, accesses(ctx)),
		"question-short":    view.QuestionPage(*short),
		"accounts":          view.AccountsPage(frame(waits), accounts()),
		"operations":        view.OperationsPage(toasted, operations(ctx)),
		"operations-empty":  view.OperationsPage(frame(waits), view.OperationList{Chips: operations(ctx).Chips, Empty: view.Empty{Says: view.Say(ctx, "operation.empty")}}),
		"requests":          view.RequestsPage(frame(waits), requests()),
		"request":           view.RequestPage(frame(nil), request(ctx)),
		"request-valid":     view.RequestPage(frame(nil), validRequest(ctx)),
		"tokens":            view.TokensPage(frame(waits), tokens(ctx)),
		"gateways":          view.GatewaysPage(frame(waits), gateways(ctx)),
		"token":             view.TokenPage(frame(nil), token(ctx)),
		"alerts":            view.AlertsPage(frame(waits), alerts(ctx)),
		"settings":          view.SettingsOf(frame(nil), settings(ctx)),
		"error":             view.FaultPage(frame(nil), view.Fault{Kind: "internal", Code: "internal", Reference: "K7QJ2MZD", Next: &view.Action{Label: view.Say(ctx, "fault.retry"), URL: "", Tone: view.Primary}}),
		"too-slow":          view.FaultPage(frame(nil), view.Fault{Kind: "unavailable", Code: "page_too_slow", Reference: "X4TWA6PC", Next: &view.Action{Label: view.Say(ctx, "fault.retry"), URL: "", Tone: view.Primary}}),
		"not-found":         view.FaultPage(frame(nil), view.Fault{Kind: "not_found", Code: "not_found", Bare: true}),
	}
	maps.Copy(all, officePages(ctx))
	maps.Copy(all, providerPages(ctx))
	return all
}

func overview(ctx context.Context) view.Overview {
	answer := accesses(ctx).Lines[0]
	flow := euros(-18420)
	salary := euros(231040)
	balance := euros(1284312)
	return view.Overview{
		Accesses: []view.AccessLine{answer},
		Alerts:   alertSamples(ctx)[:3],
		News: []view.News{
			{At: ago(2 * time.Hour), Meaning: view.Good, Says: "12 opérations", Subject: "Caisse Demo · Compte courant", Amount: &salary, URL: "/transactions"},
			{At: ago(26 * time.Hour), Meaning: view.Stopped, Says: "Habilitation révoquée", Subject: "51234 · Marchés publics de Valmont", URL: "/requests/51234"},
			{At: ago(27 * time.Hour), Meaning: view.Good, Says: "3 opérations", Subject: "Caisse Demo · Carte", Amount: &flow, URL: "/transactions"},
			{At: ago(74 * time.Hour), Meaning: view.Good, Says: "Jeton créé", Subject: "51240 · Guichet des familles", URL: "/tokens"},
		},
		Stats: []view.Stat{
			{Label: view.Say(ctx, "account.total"), Money: &balance, URL: "/accounts"},
			{Label: view.Say(ctx, "nav.accesses"), Value: "2 / 4", Trend: view.Say(ctx, "access.state.paused"), State: view.Warning, URL: "/accesses"},
			{Label: view.Say(ctx, "nav.tokens"), Value: "128", URL: "/tokens"},
		},
	}
}

func accesses(ctx context.Context) view.AccessList {
	return view.AccessList{Lines: []view.AccessLine{
		{
			ID: "1", Institution: "Banque des Tests", Label: "Compte joint", State: view.AccessAsksCode, Deadline: in(4*time.Minute + 12*time.Second),
			Main: &view.Action{Label: view.Say(ctx, "access.answer"), URL: "/accesses?question=1", Tone: view.Primary},
		},
		{
			ID: "2", Institution: "Crédit d’Essai", Label: "Professionnel", State: view.AccessPaused, Outcome: "interaction_required", LastSuccess: ago(9 * 24 * time.Hour),
			Main: &view.Action{Label: view.Say(ctx, "access.refresh"), URL: "/accesses/2/refresh", Post: true},
		},
		{
			ID: "3", Institution: "Mutuelle du Banc", Label: "Livrets", State: view.AccessFailed, Outcome: "bad_credentials", LastSuccess: ago(31 * 24 * time.Hour),
			Main: &view.Action{Label: view.Say(ctx, "access.edit"), URL: "/accesses/3/edit"},
		},
		{
			ID: "4", Institution: "Banque Postiche", Label: "Association", State: view.AccessRunning, Progress: &view.Progress{Phase: "fetching", Done: 3, Total: 5},
		},
		{
			ID: "7", Institution: "Banque du Détour", Label: "Courant", State: view.AccessUnfinished, Outcome: "challenge_expired",
			More: []view.Action{{Label: view.Say(ctx, "access.discard"), URL: "/accesses/7/discard", Post: true, Tone: view.Quiet}},
			Main: &view.Action{Label: view.Say(ctx, "access.resume"), URL: "/accesses/7/resume", Post: true},
		},
		{
			ID: "5", Institution: "Caisse Demo", Label: "Personnel", State: view.AccessFresh, LastSuccess: ago(2 * time.Hour), NextPoll: in(18 * time.Hour),
			Main: &view.Action{Label: view.Say(ctx, "access.refresh"), URL: "/accesses/5/refresh", Post: true, Tone: view.Quiet},
		},
		{
			ID: "6", Institution: "Comptoir Sud", Label: "Épargne", State: view.AccessRetrying, Outcome: "unavailable", RetryAt: in(55 * time.Minute), LastSuccess: ago(25 * time.Hour),
			Main: &view.Action{Label: view.Say(ctx, "access.refresh"), URL: "/accesses/6/refresh", Post: true, Tone: view.Quiet},
		},
	}}
}

func newAccess(ctx context.Context) view.NewAccess {
	tests := view.Institution{ID: "sim", Name: "Banque des Tests", Hint: "Simulée", URL: "/init/new-bank?institution=sim"}
	return view.NewAccess{
		Institutions: []view.Institution{
			{Name: "Banque Postiche", URL: "/init/new-bank?institution=postiche"},
			tests,
			{Name: "Caisse Demo", URL: "/init/new-bank?institution=demo"},
			{Name: "Comptoir Sud", URL: "/init/new-bank?institution=sud"},
			{Name: "Crédit d’Essai", URL: "/init/new-bank?institution=essai"},
			{Name: "Mutuelle du Banc", URL: "/init/new-bank?institution=banc"},
		},
		Chosen: &tests,
		Fields: []view.Field{
			{Name: "login", Label: "Identifiant client", Required: true, Value: "48201733", Autocomplete: "off", InputMode: "numeric", Focus: true},
			{Name: "password", Label: "Code secret", Required: true, Masked: true, Autocomplete: "off"},
			{Name: "kind", Label: "Type de compte", Required: true, Choices: []view.Choice{{Value: "par", Label: "Particulier"}, {Value: "pro", Label: "Professionnel"}}},
		},
		Label:       view.Field{Name: "label", Label: view.Say(ctx, "access.label"), Help: view.Say(ctx, "access.label_help"), MaxLength: 60},
		KeepSecrets: true,
	}
}

func question(ctx context.Context, problem string) *view.Question {
	return &view.Question{
		ID: "q1", Institution: "Banque des Tests", Access: "Compte joint", Method: view.AskCode,
		Medium: "sms", MediumLabel: "06 •• •• •• 12",
		Fields:   []view.Field{{Name: "code", Label: "Code reçu", Pattern: `\d{6}`, MaxLength: 6, Required: true}},
		Deadline: in(4*time.Minute + 12*time.Second), Resendable: true, ResendAt: in(38 * time.Second),
		Problem: problem, TriesLeft: 1,
		AnswerURL: "/challenges/q1/answer", ResendURL: "/challenges/q1/resend", CancelURL: "/attempts/a1/cancel", RestartURL: "/accesses/1/refresh",
		Hidden: []view.Hidden{{Name: "version", Value: "1"}},
	}
}

func withCreation(q *view.Question) *view.Question {
	q.Creation = true
	return q
}

func accounts() view.AccountList {
	gap := euros(1200)
	return view.AccountList{
		Totals: []view.Money{euros(1284312), {Minor: 41250, Currency: "CHF"}},
		Groups: []view.AccountGroup{
			{Institution: "Caisse Demo", Label: "Personnel", URL: "/accesses", State: view.AccessFresh, Accounts: []view.AccountLine{
				{Name: "Compte courant", Number: "•• 4471", Balance: euros(231456), AsOf: ago(2 * time.Hour), URL: "/accounts/1"},
				{Name: "Carte à débit différé", Number: "•• 9010", Balance: euros(-18420), AsOf: ago(2 * time.Hour), URL: "/accounts/2"},
				{Name: "Livret A", Number: "•• 3302", Balance: euros(1071276), AsOf: ago(2 * time.Hour), URL: "/accounts/3"},
			}},
			{Institution: "Crédit d’Essai", Label: "Professionnel", URL: "/accesses", State: view.AccessPaused, Accounts: []view.AccountLine{
				{Name: "Compte pro", Number: "•• 1187", Balance: euros(0), AsOf: ago(9 * 24 * time.Hour), Gap: &gap, URL: "/accounts/4"},
				{Name: "Compte en francs", Number: "•• 1188", Balance: view.Money{Minor: 41250, Currency: "CHF"}, AsOf: ago(9 * 24 * time.Hour), URL: "/accounts/5"},
			}},
		},
	}
}

func operations(ctx context.Context) view.OperationList {
	day := func(month, d int) time.Time { return time.Date(2026, time.Month(month), d, 0, 0, 0, 0, time.UTC) }
	row := func(id string, month, d int, label, category string, amount, balance int64) view.Operation {
		return view.Operation{
			ID: id, Day: day(month, d), Label: label, RawLabel: "CB " + label, Category: category,
			Amount: euros(amount), Balance: euros(balance), URL: "/transactions/" + id, EditURL: "/transactions/" + id + "/edit", CategoryURL: "/transactions/" + id + "/category",
		}
	}
	pending := row("1", 5, 5, "SNCF Connect", "Transports", -8400, 231456)
	pending.Pending = true
	doubtful := row("6", 4, 28, "Café du Port", "", -240, 17616)
	doubtful.Doubtful = true
	return view.OperationList{
		Chips: []view.Chip{
			{Label: view.Say(ctx, "operation.all_accounts"), URL: "/transactions", On: true},
			{Label: "Compte joint", Count: 1, URL: "/transactions?account=1"},
			{Label: view.Say(ctx, "operation.no_category"), Count: 14, URL: "/transactions?category=none"},
		},
		Months: []view.OperationMonth{
			{Month: day(5, 1), Sums: []view.MonthSum{{In: euros(231040), Out: euros(-24680)}}, Rows: []view.Operation{
				pending,
				row("2", 5, 4, "Espace Bio", "Courses", -6730, 231456),
				row("3", 5, 4, "Boulangerie des Halles", "Courses", -550, 238186),
				row("4", 5, 2, "Salaire Commune de Valmont", "Revenus", 231040, 238736),
				row("5", 5, 1, "Loyer mai, Mme Le Goff, 14 rue des Tilleuls, virement permanent", "Logement", -9000, 7696),
			}},
			{Month: day(4, 1), Sums: []view.MonthSum{{In: euros(231040), Out: euros(-201890)}}, Rows: []view.Operation{
				doubtful,
				row("7", 4, 28, "Café du Port", "Sorties", -240, 17856),
				row("8", 4, 25, "Électricité de l’Ouest", "Logement", -7214, 18096),
				row("9", 4, 22, "Remboursement santé", "Santé", 2500, 25310),
				row("10", 4, 20, "Pharmacie centrale", "Santé", -3190, 22810),
				row("11", 4, 17, "Librairie L’Embarcadère", "Loisirs", -2990, 26000),
				row("12", 4, 15, "Virement vers Livret A", "Épargne", -50000, 28990),
				row("13", 4, 11, "Assurance habitation", "Logement", -1846, 78990),
				row("14", 4, 9, "Marché", "Courses", -4250, 80836),
			}},
		},
		Balance: true, Categories: true,
		Pager: view.Pager{Older: "/transactions?before=14"},
		Bulk:  []view.Action{{Label: view.Say(ctx, "keys.category"), URL: "/transactions/categorise"}},
	}
}
