package api

import (
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// What leaves the house, written apart from what it keeps: no type here has a
// place for a credential, a session or a code.

type accessView struct {
	ID           guichet.ID  `json:"id"`
	Institution  string      `json:"institution"`
	Label        string      `json:"label"`
	State        string      `json:"state" enum:"fetching,waiting,unfinished,paused,broken,failing,disabled,ready,imported"`
	Paused       *string     `json:"paused" doc:"Why the nightly fetch leaves it alone: waiting_for_you, needs_fix, disabled, night_off, not_stored; null when it does not."`
	LastSuccess  *time.Time  `json:"last_success"`
	NextPoll     *time.Time  `json:"next_poll"`
	TrustedUntil *time.Time  `json:"trusted_until" doc:"Until when the bank should not ask; null when that is not known."`
	TrustEndsIn  *int        `json:"trust_ends_in" doc:"Days until then, once they are fourteen or fewer."`
	StrongAt     *time.Time  `json:"strong_at" doc:"When a question of the bank was last answered to its end."`
	CreatedAt    time.Time   `json:"created_at"`
	Attempt      attemptView `json:"attempt"`
}

type attemptView struct {
	ID        guichet.ID        `json:"id"`
	AccessID  guichet.ID        `json:"access_id"`
	Purpose   string            `json:"purpose" enum:"create,accounts,operations,balance"`
	State     string            `json:"state" enum:"queued,running,waiting,succeeded,partial,failed,cancelled,expired"`
	Version   int64             `json:"version"`
	Phase     string            `json:"phase"`
	Done      int               `json:"done"`
	Total     int               `json:"total"`
	Outcome   string            `json:"outcome" doc:"How the last run ended; empty before."`
	Reason    string            `json:"reason"`
	Message   string            `json:"message" doc:"What the bank said: text, never markup."`
	BadFields []string          `json:"bad_fields"`
	Warnings  []bank.Warning    `json:"warnings"`
	Counts    bank.Counts       `json:"counts"`
	CreatedAt time.Time         `json:"created_at"`
	EndedAt   *time.Time        `json:"ended_at"`
	Form      map[string]string `json:"form,omitempty" doc:"What was typed into the form of a creation that failed, secrets aside."`
	Challenge *challengeView    `json:"challenge"`
}

type challengeView struct {
	ID          guichet.ID  `json:"id"`
	Version     int64       `json:"version"`
	Status      string      `json:"status" enum:"open,answering"`
	Method      string      `json:"method" enum:"otp_sent,otp_device,decoupled,redirect,choice,question,captcha"`
	Prompt      string      `json:"prompt"`
	Fields      []fieldView `json:"fields"`
	Medium      string      `json:"medium"`
	MediumType  string      `json:"medium_type"`
	Image       []byte      `json:"image,omitempty"`
	RedirectURL string      `json:"redirect_url,omitempty"`
	Deadline    time.Time   `json:"deadline"`
	TriesLeft   int         `json:"tries_left"`
	Resendable  bool        `json:"resendable"`
	LastOutcome string      `json:"last_outcome" doc:"Why it stands again; empty the first time."`
	LastMessage string      `json:"last_message"`
}

type fieldView struct {
	ID       string        `json:"id"`
	Label    string        `json:"label"`
	Masked   bool          `json:"masked"`
	Choices  []bank.Choice `json:"choices"`
	Pattern  string        `json:"pattern"`
	Required bool          `json:"required"`
}

type institutionView struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Connector string      `json:"connector"`
	Fields    []fieldView `json:"fields"`
}

type accountView struct {
	ID       guichet.ID `json:"id"`
	AccessID guichet.ID `json:"access_id"`
	Kind     string     `json:"kind" enum:"cash,savings,card,loan,investment,insurance,other"`
	Subtype  string     `json:"subtype"`
	Label    string     `json:"label"`
	IBAN     string     `json:"iban"`
	Number   string     `json:"number"`
	Parent   string     `json:"parent"`
	Balance  string     `json:"balance" doc:"A decimal number, exact."`
	Currency string     `json:"currency"`
	AsOf     *time.Time `json:"as_of"`
	Missing  bool       `json:"missing" doc:"The bank no longer lists it."`
}

type transactionView struct {
	ID               guichet.ID `json:"id"`
	AccountID        guichet.ID `json:"account_id"`
	Date             string     `json:"date" doc:"When it was done, else entered, else first seen."`
	Status           string     `json:"status" enum:"booked,pending,scheduled,void"`
	Type             string     `json:"type"`
	Amount           string     `json:"amount" doc:"A decimal number, exact; negative leaves the account."`
	Currency         string     `json:"currency"`
	OriginalAmount   string     `json:"original_amount,omitempty"`
	OriginalCurrency string     `json:"original_currency,omitempty"`
	Label            string     `json:"label"`
	RawLabel         string     `json:"raw_label"`
	BookedOn         string     `json:"booked_on"`
	DoneOn           string     `json:"done_on"`
	ValueOn          string     `json:"value_on"`
}

type alertView struct {
	ID       guichet.ID `json:"id"`
	Kind     string     `json:"kind"`
	Subject  string     `json:"subject"`
	OpenedAt time.Time  `json:"opened_at"`
}

type userView struct {
	ID   guichet.ID `json:"id"`
	Name string     `json:"name"`
	Role string     `json:"role"`
}

// instant writes an instant that may not be.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// list writes a list that is never null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func each[A, B any](in []A, view func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = view(v)
	}
	return out
}

func (b *Bank) viewAccess(c bank.Case) accessView {
	a := c.Access
	v := accessView{
		ID: a.ID, Institution: a.Institution, Label: a.Label, State: string(c.State()), LastSuccess: instant(a.LastSuccess),
		NextPoll: instant(a.NextPoll), TrustedUntil: instant(a.TrustedUntil), StrongAt: instant(a.StrongAt), CreatedAt: a.CreatedAt,
		Attempt: b.viewAttempt(c),
	}
	if days, soon := b.Desk.TrustEnds(a); soon {
		v.TrustEndsIn = &days
	}
	pause := string(a.Pause)
	switch {
	case pause != "":
	case a.Disabled:
		pause = "disabled"
	case a.NightOff:
		pause = "night_off"
	case a.Lent:
		pause = "not_stored"
	default:
		return v
	}
	v.Paused = &pause
	return v
}

func (b *Bank) viewAttempt(c bank.Case) attemptView {
	a := c.Attempt
	v := attemptView{
		ID: a.ID, AccessID: a.AccessID, Purpose: string(a.Purpose), State: string(a.State), Version: a.Version, Phase: string(a.Phase),
		Done: a.Done, Total: a.Total, Outcome: string(a.Outcome), Reason: a.Reason, Message: a.Text, BadFields: list(a.BadFields),
		Warnings: list(a.Warnings), Counts: a.Counts, CreatedAt: a.CreatedAt, EndedAt: instant(a.EndedAt),
	}
	if !a.State.Live() {
		form, err := b.Desk.Form(a)
		if err != nil {
			b.Log.Error("the form of an attempt cannot be opened", "attempt", a.ID, "error", err)
		}
		v.Form = form
	}
	if q := c.Question(); q != nil {
		view := viewChallenge(*q)
		v.Challenge = &view
	}
	return v
}

func viewChallenge(c bank.Challenge) challengeView {
	q := c.Question
	return challengeView{
		ID: c.ID, Version: c.Version, Status: string(c.Status), Method: string(q.Method), Prompt: q.Prompt, Fields: each(q.Fields, viewField),
		Medium: q.Medium, MediumType: q.MediumType, Image: q.Image, RedirectURL: q.RedirectURL, Deadline: c.Deadline,
		TriesLeft: c.TriesLeft(), Resendable: q.Resendable, LastOutcome: string(c.LastOutcome), LastMessage: c.LastText,
	}
}

func viewField(f bank.Field) fieldView {
	return fieldView{ID: f.ID, Label: f.Label, Masked: f.Masked, Choices: list(f.Choices), Pattern: f.Pattern, Required: f.Required}
}

func viewInstitution(i bank.Institution) institutionView {
	return institutionView{ID: i.ID, Name: i.Name, Connector: i.Connector, Fields: each(i.Fields, viewField)}
}

func viewAccount(a ledger.Account) accountView {
	return accountView{
		ID: a.ID, AccessID: a.AccessID, Kind: string(a.Kind), Subtype: a.Subtype, Label: a.Label, IBAN: a.IBAN, Number: a.Number,
		Parent: a.Parent, Balance: a.Balance.Decimal(), Currency: a.Balance.Currency, AsOf: instant(a.AsOf), Missing: a.Missing,
	}
}

func viewTransaction(t ledger.Transaction) transactionView {
	v := transactionView{
		ID: t.ID, AccountID: t.AccountID, Date: string(listed(t)), Status: string(t.Status), Type: t.Type, Amount: t.Amount.Decimal(),
		Currency: t.Amount.Currency, Label: t.Label, RawLabel: t.RawLabel, BookedOn: string(t.BookedOn), DoneOn: string(t.DoneOn),
		ValueOn: string(t.ValueOn),
	}
	if t.Original.Currency != "" {
		v.OriginalAmount, v.OriginalCurrency = t.Original.Decimal(), t.Original.Currency
	}
	return v
}

// listed is the day under which a transaction is listed.
func listed(t ledger.Transaction) ledger.Date {
	if day := t.Day(); day != "" {
		return day
	}
	return t.SeenOn
}
