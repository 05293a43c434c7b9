package simbank

// How a customer may confirm who they are, in the order offered. The bank sends
// nothing before one is chosen.
const (
	waySMS  = "sms"
	wayApp  = "app"
	wayMail = "mail"
)

type choicePage struct {
	frame
	Token string
	Alert string
	Ways  []way
}

type way struct{ Value, Label string }

func choiceForm(v *visit) reply { return v.showChoice("") }

func (v *visit) showChoice(alert string) reply {
	if r, ok := v.at(stepChoice); !ok {
		return r
	}
	p := v.profile()
	return reply{page: "choice", data: choicePage{
		frame: v.frame("Confirmez votre identité"), Token: v.freshToken(), Alert: alert,
		Ways: []way{
			{waySMS, "Code par SMS au " + p.phone},
			{wayApp, "Validation dans l’application, sur « " + p.device + " »"},
			{wayMail, "Code par courriel à " + p.mail()},
		},
	}}
}

// choose leaves the page of the choice and sends at once what was chosen.
// Whoever sends the form again, or sends another one, is past it, and is shown
// where the session is: nothing leaves twice.
func choose(v *visit) reply {
	if r, ok := v.at(stepChoice); !ok {
		return r
	}
	if !v.spendToken() {
		return v.showChoice(staleForm)
	}
	chosen := v.request.PostForm.Get("moyen")
	switch chosen {
	case waySMS, wayMail:
		v.session.step, v.session.way = stepCode, chosen
		v.send()
	case wayApp:
		v.session.step = stepApp
		v.ring()
	default:
		return v.showChoice("Choisissez un des moyens proposés.")
	}
	v.count(func(c *Counters) { c.Choices++ })
	return goTo(v.session.step.address())
}
