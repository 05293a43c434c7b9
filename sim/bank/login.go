package simbank

import "net/http"

type loginPage struct {
	frame
	Token string
	Alert string
}

func home(v *visit) reply {
	return reply{page: "home", data: v.frame("Bienvenue")}
}

func notFound(v *visit) reply {
	return reply{status: http.StatusNotFound, page: "notice", data: notice{
		frame: v.frame("Page introuvable"), Text: "Cette page n’existe pas ou n’existe plus.",
		Link: "/", LinkLabel: "Revenir à l’accueil",
	}}
}

func loginForm(v *visit) reply {
	if v.session != nil && v.session.step == stepIn {
		return goTo("/accounts")
	}
	alert := ""
	if v.form.Get("expired") != "" {
		alert = "Votre session a expiré. Identifiez-vous de nouveau."
	}
	return v.showLogin(alert)
}

// showLogin shows the form in a session that has nothing behind it, so that the
// one-shot token has something to hang on.
func (v *visit) showLogin(alert string) reply {
	if v.session == nil || v.session.step != stepPassword {
		v.open()
	}
	v.count(func(c *Counters) { c.LoginPages++ })
	return reply{page: "login", data: loginPage{v.frame("Connexion à votre espace client"), v.freshToken(), alert}}
}

func logIn(v *visit) reply {
	if v.session == nil || v.session.step != stepPassword || !v.spendToken() {
		return v.showLogin("Votre session a expiré. Identifiez-vous de nouveau.")
	}
	login, password := canonical(v.request.PostForm.Get("identifiant")), v.request.PostForm.Get("secret")
	if login == "" || password == "" {
		return v.showLogin("Saisissez votre identifiant et votre mot de passe.")
	}
	if len(login) > maxLogin {
		return v.showLogin("Identifiant ou mot de passe incorrect.")
	}
	c := v.world.customer(login)
	v.customer = c
	refused := func() { v.count(func(c *Counters) { c.LoginsRefused++ }) }
	switch {
	case c.locked(v.now):
		refused()
		return v.throwOut(lockedPage())
	case c.story.wrong(password):
		refused()
		return v.showLogin("Identifiant ou mot de passe incorrect.")
	case c.story.banned:
		refused()
		return v.throwOut(bannedPage())
	}

	known := v.trusted(c)
	if known {
		v.count(func(c *Counters) { c.LoginsTrusted++ })
	}
	s := v.open() // also forgets the anonymous session: its id and token are void
	s.login = login
	if c.story.renew && !c.renewed {
		s.next = append(s.next, stepRenew)
	}
	if c.story.terms && !c.accepted {
		s.next = append(s.next, stepTerms)
	}
	if !known {
		s.next = append(s.next, c.story.factors...)
	}
	return v.pass()
}

func logOut(v *visit) reply {
	v.count(func(c *Counters) { c.Logouts++ })
	v.customer = nil
	return v.throwOut(reply{page: "notice", data: notice{
		frame: frame{Title: "À bientôt"}, Text: "Vous êtes déconnecté de votre espace client.",
		Link: "/login", LinkLabel: "Se connecter de nouveau",
	}})
}

type formPage struct {
	frame
	Token string
	Alert string
}

func termsForm(v *visit) reply {
	if r, ok := v.at(stepTerms); !ok {
		return r
	}
	return reply{page: "terms", data: formPage{v.frame("Nouvelles conditions générales"), v.freshToken(), ""}}
}

func acceptTerms(v *visit) reply {
	if r, ok := v.at(stepTerms); !ok {
		return r
	}
	if !v.spendToken() || v.form.Get("accord") == "" {
		return termsForm(v)
	}
	v.customer.accepted = true
	return v.pass()
}

func passwordForm(v *visit) reply { return v.showRenewal("") }

func (v *visit) showRenewal(alert string) reply {
	if r, ok := v.at(stepRenew); !ok {
		return r
	}
	return reply{page: "password", data: formPage{v.frame("Votre mot de passe a expiré"), v.freshToken(), alert}}
}

func renewPassword(v *visit) reply {
	if r, ok := v.at(stepRenew); !ok {
		return r
	}
	one, two := v.request.PostForm.Get("nouveau"), v.request.PostForm.Get("confirmation")
	switch {
	case !v.spendToken():
		return v.showRenewal(staleForm)
	case one == "" || one != two:
		return v.showRenewal("Les deux saisies diffèrent.")
	}
	v.customer.renewed = true // which one it is does not matter: nearly any password is right here
	return v.pass()
}

const staleForm = "Ce formulaire n’est plus valable. Recommencez."

func lockedPage() reply {
	return reply{page: "notice", data: notice{
		frame: frame{Title: "Accès bloqué"},
		Text:  "Pour votre sécurité, votre accès a été bloqué après plusieurs codes incorrects. Il sera rétabli sous 24 heures.",
		Link:  "/", LinkLabel: "Revenir à l’accueil",
	}}
}

func bannedPage() reply {
	return reply{page: "notice", data: notice{
		frame: frame{Title: "Accès bloqué"},
		Text:  "Votre accès à l’espace client est suspendu. Contactez votre conseiller au 01 00 00 00 00.",
		Link:  "/", LinkLabel: "Revenir à l’accueil",
	}}
}

func outagePage() reply {
	return reply{status: http.StatusServiceUnavailable, retryAfter: 120, page: "notice", data: notice{
		frame: frame{Title: "Site momentanément indisponible"},
		Text:  "Une opération de maintenance est en cours. Vos moyens de paiement fonctionnent normalement.",
	}}
}

func tooManyPage() reply {
	return reply{status: http.StatusTooManyRequests, retryAfter: 60, page: "notice", data: notice{
		frame: frame{Title: "Trop de demandes"},
		Text:  "Vous avez effectué un trop grand nombre de demandes. Patientez quelques instants.",
	}}
}
