package simbank

import (
	"fmt"
	"time"
)

type codePage struct {
	frame
	Token   string
	Resend  string // the token again, for the second form of the page
	Alert   string
	Way     string // "par SMS au 06 •• •• •• 12"
	Label   string // of what to type
	Sent    bool
	Expired bool
	Left    string // time left: "4 min 12 s"
}

// codeForm sends nothing by itself: until the customer presses the button, the
// page only offers to send a code.
func codeForm(v *visit) reply { return v.showCode("") }

func (v *visit) showCode(alert string) reply {
	if r, ok := v.at(stepCode); !ok {
		return r
	}
	token := v.freshToken()
	left := v.session.codeSent.Add(codeLife).Sub(v.now)
	wayWords, label := "par SMS au "+v.profile().phone, "Code reçu par SMS"
	if v.session.way == wayMail {
		wayWords, label = "par courriel à "+v.profile().mail(), "Code reçu par courriel"
	}
	return reply{page: "otp", data: codePage{
		frame: v.frame("Confirmez votre identité"), Token: token, Resend: token, Alert: alert,
		Way: wayWords, Label: label, Sent: !v.session.codeSent.IsZero(), Expired: left <= 0, Left: minutes(left),
	}}
}

func sendCode(v *visit) reply {
	if r, ok := v.at(stepCode); !ok {
		return r
	}
	if !v.spendToken() {
		return v.showCode(staleForm)
	}
	v.send()
	return goTo("/otp")
}

// send sends a code the way of the session.
func (v *visit) send() {
	v.session.codeSent = v.now
	v.count(func(c *Counters) {
		c.CodesSent++
		if v.session.way == wayMail {
			c.CodesMailed++
		}
	})
}

func resendCode(v *visit) reply {
	if r, ok := v.at(stepCode); !ok {
		return r
	}
	if !v.spendToken() {
		return v.showCode(staleForm)
	}
	v.send()
	v.count(func(c *Counters) { c.Resends++ })
	return v.showCode("Un nouveau code vient de vous être envoyé.")
}

// tryCode counts a code only when it was really compared: a form sent twice or
// a code out of date costs no try.
func tryCode(v *visit) reply {
	if r, ok := v.at(stepCode); !ok {
		return r
	}
	s, c := v.session, v.customer
	switch {
	case s.codeSent.IsZero():
		return v.showCode("Demandez d’abord un code.")
	case !v.spendToken():
		return v.showCode(staleForm)
	}
	v.count(func(c *Counters) { c.CodesTried++ })
	if v.now.Sub(s.codeSent) >= codeLife {
		v.count(func(c *Counters) { c.CodesExpired++ })
		return v.showCode("Ce code a expiré. Demandez-en un nouveau.")
	}
	if v.request.PostForm.Get("code") == rightCode {
		c.wrongCodes = 0
		s.codeSent = time.Time{} // a code is good once
		s.factor = true
		return v.pass()
	}
	v.count(func(c *Counters) { c.CodesWrong++ })
	c.wrongCodes++
	if c.wrongCodes >= maxWrongCodes {
		c.wrongCodes = 0
		c.lockedUntil = v.now.Add(lockLife)
		v.count(func(c *Counters) { c.Lockouts++ })
		return v.throwOut(lockedPage())
	}
	left := maxWrongCodes - c.wrongCodes
	if left == 1 {
		return v.showCode("Code incorrect. Il vous reste 1 essai avant le blocage de votre accès.")
	}
	return v.showCode(fmt.Sprintf("Code incorrect. Il vous reste %d essais.", left))
}

// minutes writes a duration as a page does: "4 min 12 s".
func minutes(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

type appPageData struct {
	frame
	Token  string
	Alert  string
	Device string
	ID     string // of the demand being waited for; empty before
	Left   string
}

// appPage shows the demand in progress, or offers to make one; like [codeForm]
// it disturbs nobody by itself.
func appPage(v *visit) reply { return v.showApp("") }

func (v *visit) showApp(alert string) reply {
	if r, ok := v.at(stepApp); !ok {
		return r
	}
	data := appPageData{frame: v.frame("Confirmez votre identité"), Token: v.freshToken(), Alert: alert, Device: v.profile().device}
	if a := v.session.approval; a != nil {
		switch a.status(v.now) {
		case "denied":
			data.Alert, v.session.approval = "Vous avez refusé la demande dans l’application.", nil
		case "expired":
			data.Alert, v.session.approval = "La demande a expiré sans réponse.", nil
		default:
			data.ID, data.Left = a.id, minutes(a.asked.Add(appLife).Sub(v.now))
		}
	}
	return reply{page: "app", data: data}
}

func askApp(v *visit) reply {
	if r, ok := v.at(stepApp); !ok {
		return r
	}
	if !v.spendToken() {
		return v.showApp(staleForm)
	}
	v.ring()
	return goTo("/app")
}

// ring shows a demand on the customer's phone.
func (v *visit) ring() {
	v.session.approval = &approval{id: v.site.clock.NewSecret().Reveal(), asked: v.now, decision: v.customer.decision}
	v.count(func(c *Counters) { c.AppAsked++ })
}

// status is what the phone said by then.
func (a *approval) status(now time.Time) string {
	age := now.Sub(a.asked)
	switch {
	case a.decision == DecisionDeny:
		return "denied"
	case age >= appLife:
		return "expired"
	case a.decision == DecisionApprove, a.decision == "" && age >= appDelay:
		return "ok"
	default:
		return "pending"
	}
}

// appStatus is what the page's script polls.
func appStatus(v *visit) reply {
	v.count(func(c *Counters) { c.AppPolled++ })
	status := "expired"
	if s := v.session; s != nil && s.step == stepApp && s.approval != nil && v.form.Get("id") == s.approval.id {
		status = s.approval.status(v.now)
	}
	return reply{json: map[string]string{"status": status}}
}

func finishApp(v *visit) reply {
	if r, ok := v.at(stepApp); !ok {
		return r
	}
	a := v.session.approval
	switch {
	case !v.spendToken():
		return v.showApp(staleForm)
	case a == nil || v.request.PostForm.Get("id") != a.id:
		return v.showApp("Cette demande n’existe plus.")
	case a.status(v.now) == "pending":
		return v.showApp("Nous attendons encore votre validation dans l’application.")
	case a.status(v.now) != "ok":
		return v.showApp("") // says why
	}
	v.session.approval = nil
	v.session.factor = true
	return v.pass()
}
