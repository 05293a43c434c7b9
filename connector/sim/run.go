package simconnector

import (
	"context"
	"net/url"
	"strings"
	"time"

	"guichet/bank"
)

// A run is one conversation with the bank.
type run struct {
	connector *Connector
	order     bank.Run
	sink      bank.Sink
	session   *session
	received  int64 // bytes, over all pages
}

// proceed logs in, or answers the question of the session, then goes on with
// whatever page that leads to.
func (r *run) proceed(ctx context.Context) (bank.Outcome, error) {
	r.sink.Progress(bank.Starting, 0, 0)
	r.sink.Progress(bank.Authenticating, 0, 0)
	if r.order.Answer == nil {
		return r.logIn(ctx)
	}
	switch r.session.step {
	case stepChoice:
		return r.answerChoice(ctx, *r.order.Answer)
	case stepCode:
		return r.answerCode(ctx, *r.order.Answer)
	case stepApp:
		return r.waitForApp(ctx)
	case stepCaptcha:
		return r.answerCaptcha(ctx, *r.order.Answer)
	case stepRedirect:
		return r.answerRedirect(ctx, *r.order.Answer)
	default:
		// The session is gone with the question. Logging in again would make the
		// bank ask a second time for an answer that is already typed.
		return bank.Outcome{Kind: bank.ChallengeExpired}, nil
	}
}

// logIn sends login and password, once.
func (r *run) logIn(ctx context.Context) (bank.Outcome, error) {
	p, err := r.get(ctx, "/login")
	if err != nil {
		return bank.Outcome{}, err
	}
	hidden := p.forms["/login"]
	if hidden == nil {
		return bank.Outcome{}, misreadf("no login form")
	}
	p, err = r.post(ctx, "/login", url.Values{
		"jeton":       {hidden["jeton"]},
		"identifiant": {r.order.Credentials[FieldLogin].Reveal()},
		"secret":      {r.order.Credentials[FieldPassword].Reveal()},
	})
	if err != nil {
		return bank.Outcome{}, err
	}
	if p.place() == placeLogin {
		if strings.Contains(p.alert(), "incorrect") {
			// The bank does not say which of the two.
			return bank.Outcome{Kind: bank.BadCredentials, Text: p.alert(), BadFields: []string{FieldLogin, FieldPassword}}, nil
		}
		// It lost our session within the second: nothing was looked at.
		return bank.Outcome{Kind: bank.BankUnavailable, Text: p.alert()}, nil
	}
	return r.follow(ctx, p)
}

// follow goes on from the page that a login or an answer led to.
func (r *run) follow(ctx context.Context, p page) (bank.Outcome, error) {
	switch at := p.place(); at {
	case placeAccounts:
		return r.read(ctx, p)
	case placeChoice, placeSendCode, placeCode, placeAskApp, placeApp, placeCaptcha, placeRedirect:
		if !r.order.Present {
			// Up to here the bank disturbed nobody: it sends a code or a demand when
			// its button is pressed, and that is what we do not do.
			reason := "sca"
			if at == placeRedirect {
				reason = "redirect"
			}
			return bank.Outcome{Kind: bank.InteractionRequired, Reason: reason}, nil
		}
		return r.ask(ctx, p)
	case placeLogin:
		return bank.Outcome{Kind: bank.ChallengeExpired, Text: p.alert()}, nil
	case placePassword:
		return bank.Outcome{Kind: bank.CredentialsExpired, Text: p.words(), BadFields: []string{FieldPassword}}, nil
	case placeTerms:
		return bank.Outcome{Kind: bank.ActionRequired, Text: p.words()}, nil
	}
	switch p.title() {
	case "Accès bloqué":
		return bank.Outcome{Kind: bank.Locked, Text: p.words()}, nil
	case "Connexion interrompue":
		return bank.Outcome{Kind: bank.Blocked, Text: p.words()}, nil
	case "Autorisation refusée":
		return bank.Outcome{Kind: bank.ChallengeDeclined, Text: p.words()}, nil
	}
	return bank.Outcome{}, misreadf("%q at %s", p.title(), p.path)
}

// ask presses the button that makes the bank ask, where there is one, and turns
// its page into a question. A person is there.
func (r *run) ask(ctx context.Context, p page) (bank.Outcome, error) {
	var err error
	switch p.place() {
	case placeSendCode:
		hidden := p.forms["/otp/send"]
		p, err = r.post(ctx, "/otp/send", url.Values{"jeton": {hidden["jeton"]}})
	case placeAskApp:
		hidden := p.forms["/app"]
		p, err = r.post(ctx, "/app", url.Values{"jeton": {hidden["jeton"]}})
	}
	if err != nil {
		return bank.Outcome{}, err
	}
	if p.place() == placeAskApp && strings.Contains(p.alert(), "refusé") {
		// Someone was faster than our reading of the demand.
		return bank.Outcome{Kind: bank.ChallengeDeclined, Text: p.alert()}, nil
	}
	q, err := r.question(ctx, p)
	if err != nil {
		return bank.Outcome{}, err
	}
	return bank.Outcome{Kind: bank.Asks, Question: &q}, nil
}

// question turns a page into a question and leaves the session where its answer
// will find it.
func (r *run) question(ctx context.Context, p page) (bank.Question, error) {
	q := bank.Question{Prompt: p.words(), Deadline: p.deadline(r.order.Now), TriesLeft: p.tries()}
	var hidden form
	switch p.place() {
	case placeChoice:
		r.session.step = stepChoice
		hidden = p.forms["/choice"]
		ways, err := p.ways()
		if err != nil {
			return q, err
		}
		q.Method = bank.Pick
		q.Fields = []bank.Field{{ID: FieldWay, Label: "Moyen de confirmation", Choices: ways, Required: true}}
	case placeCode:
		r.session.step = stepCode
		hidden = p.forms["/otp"]
		q.Method, q.MediumType, q.Resendable = bank.OTPSent, "sms", true
		q.Medium = between(q.Prompt, "SMS au ", ". ")
		q.Fields = []bank.Field{{ID: FieldCode, Label: "Code reçu par SMS", Pattern: `[0-9]{6}`, Required: true}}
		if address := between(q.Prompt, "courriel à ", ". "); address != "" {
			q.MediumType, q.Medium, q.Fields[0].Label = "mail", address, "Code reçu par courriel"
		}
	case placeApp:
		r.session.step = stepApp
		hidden = p.forms["/app/finish"]
		q.Method, q.MediumType = bank.Decoupled, "app"
		q.Medium = between(q.Prompt, "« ", " »")
	case placeCaptcha:
		r.session.step = stepCaptcha
		hidden = p.forms["/captcha"]
		image, err := r.image(ctx, "/captcha.png")
		if err != nil {
			return q, err
		}
		q.Method, q.Image, q.Prompt = bank.Captcha, image, p.alert()
		q.Fields = []bank.Field{{ID: FieldDigits, Label: "Chiffres de l’image", Pattern: `[0-9]{1,10}`, Required: true}}
	case placeRedirect:
		r.session.step = stepRedirect
		address, err := p.redirectAddress(r.connector.base)
		if err != nil {
			return q, err
		}
		q.Method, q.RedirectURL = bank.Redirect, address
		q.Fields = []bank.Field{{ID: FieldURL, Label: "Adresse de retour, ou code d’autorisation", Required: true}}
	default:
		return q, misreadf("no question at %s", p.path)
	}
	r.session.token, r.session.id = hidden["jeton"], hidden["id"]
	return q, nil
}

// between is the part of a text after one mark and before another; "" without
// them.
func between(s, before, after string) string {
	_, rest, ok := strings.Cut(s, before)
	part, _, ok2 := strings.Cut(rest, after)
	if !ok || !ok2 || len(part) > 100 {
		return ""
	}
	return part
}

// isStale tells that the bank did not look at the form: it was not the last one
// it showed.
func (p page) isStale() bool { return strings.Contains(p.alert(), "plus valable") }

// answerCode gives the code typed, or asks for another. A form of the session
// may be out of date, after an answer that was lost on its way back; the bank
// says so without counting a try, and then its new form is used, once.
func (r *run) answerCode(ctx context.Context, answer bank.Answer) (bank.Outcome, error) {
	action, fields := "/otp", url.Values{}
	if answer.Resend {
		action = "/otp/resend"
	} else {
		code := strings.TrimSpace(answer.Fields[FieldCode].Reveal())
		if !sixDigits.MatchString(code) {
			return bank.Outcome{Kind: bank.AnswerRejected, Reason: "format", BadFields: []string{FieldCode}, TriesLeft: -1}, nil
		}
		fields.Set("code", code)
	}
	fields.Set("jeton", r.session.token)
	p, err := r.post(ctx, action, fields)
	if err == nil && p.place() == placeCode && p.isStale() {
		hidden := p.forms["/otp"]
		fields.Set("jeton", hidden["jeton"])
		p, err = r.post(ctx, action, fields)
	}
	switch {
	case err != nil:
		return bank.Outcome{}, err
	case p.place() == placeSendCode: // the bank has forgotten that it sent one
		return bank.Outcome{Kind: bank.ChallengeExpired}, nil
	case p.place() != placeCode:
		return r.follow(ctx, p)
	case answer.Resend:
		return r.ask(ctx, p)
	case strings.Contains(p.alert(), "incorrect"):
		return bank.Outcome{Kind: bank.AnswerRejected, Text: p.alert(), BadFields: []string{FieldCode}, TriesLeft: p.tries()}, nil
	case strings.Contains(p.alert(), "expiré"):
		return bank.Outcome{Kind: bank.ChallengeExpired, Text: p.alert()}, nil
	}
	return bank.Outcome{}, misreadf("an answer to a code: %q", p.alert())
}

// waitForApp looks at the customer's phone until it answers, then goes on. It
// stops within a moment of the context's end; another run may take over.
func (r *run) waitForApp(ctx context.Context) (bank.Outcome, error) {
	for waiting := true; waiting; {
		r.sink.Progress(bank.WaitingUser, 0, 0)
		status, err := r.status(ctx, r.session.id)
		if err != nil {
			return bank.Outcome{}, err
		}
		if waiting = status == "pending"; waiting {
			if err := pause(ctx, r.connector.poll); err != nil {
				return bank.Outcome{}, err
			}
		}
	}
	r.sink.Progress(bank.Authenticating, 0, 0)
	// Whatever the status said, the page decides. The answer may have been taken
	// by a run that died, and then the page is already the next one.
	p, err := r.get(ctx, "/app")
	if err != nil {
		return bank.Outcome{}, err
	}
	if hidden := p.forms["/app/finish"]; hidden != nil {
		p, err = r.post(ctx, "/app/finish", url.Values{"jeton": {hidden["jeton"]}, "id": {hidden["id"]}})
		if err != nil {
			return bank.Outcome{}, err
		}
	}
	switch {
	case p.place() == placeAskApp && strings.Contains(p.alert(), "refusé"):
		return bank.Outcome{Kind: bank.ChallengeDeclined, Text: p.alert()}, nil
	case p.place() == placeAskApp:
		return bank.Outcome{Kind: bank.ChallengeExpired, Text: p.alert()}, nil
	case p.place() == placeApp: // it took its yes back
		return bank.Outcome{Kind: bank.BankUnavailable, Text: p.alert()}, nil
	}
	return r.follow(ctx, p)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answerCaptcha gives the digits read. When they are wrong the image is spent,
// so what follows is another question, not another try.
func (r *run) answerCaptcha(ctx context.Context, answer bank.Answer) (bank.Outcome, error) {
	digits := strings.TrimSpace(answer.Fields[FieldDigits].Reveal())
	if digits == "" || len(digits) > 10 {
		return bank.Outcome{Kind: bank.AnswerRejected, Reason: "format", BadFields: []string{FieldDigits}, TriesLeft: -1}, nil
	}
	p, err := r.post(ctx, "/captcha", url.Values{"jeton": {r.session.token}, "reponse": {digits}})
	if err != nil {
		return bank.Outcome{}, err
	}
	return r.follow(ctx, p)
}

// answerRedirect takes the code out of the address the bank sent back to. Only
// the code is used: the address itself came through a browser and is not asked.
func (r *run) answerRedirect(ctx context.Context, answer bank.Answer) (bank.Outcome, error) {
	back := strings.TrimSpace(answer.Fields[FieldURL].Reveal())
	code := back
	if u, err := url.Parse(back); err == nil && (u.Host != "" || u.RawQuery != "") {
		if u.Query().Get("error") != "" {
			return bank.Outcome{Kind: bank.ChallengeDeclined}, nil
		}
		code = u.Query().Get("code")
	}
	if code == "" || len(code) > 200 {
		return bank.Outcome{Kind: bank.AnswerRejected, Reason: "format", BadFields: []string{FieldURL}, TriesLeft: -1}, nil
	}
	p, err := r.get(ctx, "/redirect/callback?code="+url.QueryEscape(code))
	if err != nil {
		return bank.Outcome{}, err
	}
	if p.place() == placeRedirect {
		return bank.Outcome{Kind: bank.AnswerRejected, Text: p.alert(), BadFields: []string{FieldURL}, TriesLeft: -1}, nil
	}
	return r.follow(ctx, p)
}
