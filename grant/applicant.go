package grant

import (
	"context"
	"crypto/sha256"
	"time"

	"guichet"
)

// Errors of the applicants' verbs.
var (
	ErrHandover     = &guichet.Error{Kind: guichet.Gone, Code: "handover_over", Reason: "This link was used, is too old, or its token is blocked. Ask whoever gave it to you for another one."}
	ErrTokenBlocked = &guichet.Error{Kind: guichet.Conflict, Code: "token_blocked", Reason: "This token is blocked: it is refused everywhere."}
	ErrNotApplicant = &guichet.Error{Kind: guichet.Forbidden, Code: "not_applicant", Reason: "Only the applicant of the request may do this."}
	ErrTooSoon      = &guichet.Error{Kind: guichet.Conflict, Code: "too_soon", Reason: "A token can be prolonged during its last 90 days."}
	ErrUnanswered   = &guichet.Error{Kind: guichet.Invalid, Code: "unanswered", Reason: "Please choose an answer."}
	ErrNotToProlong = &guichet.Error{Kind: guichet.Conflict, Code: "not_to_prolong", Reason: "With these answers the token is not prolonged here."}
)

// HandoverLifetime is how long a link by which a token is handed over is good.
const HandoverLifetime = 4 * time.Hour

// MayHold tells whether the person with the e-mail may have the tokens of the
// request: the applicant and the technical contact, as the source names them now.
func (r Request) MayHold(email string) bool {
	return r.is(email, Applicant) || r.is(email, TechnicalContact)
}

// MaySee tells whether the request is shown to the person with the e-mail.
func (r Request) MaySee(email string) bool { return r.MayHold(email) || r.is(email, BusinessContact) }

func (r Request) is(email string, role Role) bool {
	for _, c := range r.Contacts {
		if c.Role == role && c.Email != "" && c.Email == email {
			return true
		}
	}
	return false
}

// A Handover is a link by which a token is given to somebody, once.
type Handover struct {
	ID        guichet.ID
	Hash      [32]byte // of the secret in the link
	TokenID   guichet.ID
	By, To    string // e-mails; To may be empty
	CreatedAt time.Time
	ExpiresAt time.Time
}

// HandOver makes a link that shows a token once, within four hours, to whoever
// has it. It dies with the token, and when who made it may not hold it any more.
func (d *Desk) HandOver(ctx context.Context, by guichet.Actor, id guichet.ID, to string) (guichet.Secret, error) {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return "", err
	}
	secret := d.Clock.NewSecret()
	err = d.Store.Update(ctx, func(tx Tx) error {
		request, token, err := d.findToken(tx, standing)
		switch {
		case err != nil:
			return err
		case !request.MayHold(by.Name):
			return ErrNoToken
		case !token.BlockedAt.IsZero():
			return ErrTokenBlocked
		}
		now := d.Clock.Now()
		h := Handover{
			ID: d.Clock.NewID(), Hash: sha256.Sum256([]byte(secret.Reveal())), TokenID: id, By: by.Name, To: to,
			CreatedAt: now, ExpiresAt: now.Add(HandoverLifetime),
		}
		if err := tx.Lend(&h); err != nil {
			return err
		}
		return d.audit(tx, by, "token.lent", request.Subject(), map[string]string{"token": id.String(), "handover": h.ID.String(), "to": to})
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// TakeOver gives the token of a link, and ends the link. The JWT is computed
// before the link is spent, so that a failure of ours costs nobody their link; if
// we die after the commit, the link is spent and another one must be asked for.
func (d *Desk) TakeOver(ctx context.Context, secret guichet.Secret) (standing Standing, jwt guichet.Secret, err error) {
	hash := sha256.Sum256([]byte(secret.Reveal()))
	err = d.Store.Update(ctx, func(tx Tx) error {
		h, err := tx.Redeem(hash, d.Clock.Now())
		if err != nil {
			return err
		}
		if standing, err = d.Store.Standing(ctx, h.TokenID); err != nil {
			return err
		}
		request, token, err := d.findToken(tx, standing)
		switch {
		case err != nil:
			return err
		case !token.BlockedAt.IsZero(), !request.MayHold(h.By): // who gave it has it no more
			return ErrHandover
		}
		if jwt, err = d.Mint(standing); err != nil {
			return err
		}
		_, err = d.tellToken(tx, MailTokenTakenOver, request, token.ID, map[string]string{
			"at": d.Clock.Now().Format(time.RFC3339), "by": h.By, "to": h.To,
		})
		if err != nil {
			return err
		}
		by := guichet.Actor{Kind: guichet.BySystem, Name: "handover"}
		return d.audit(tx, by, "token.taken_over", standing.Provider+"/"+standing.ExternalID, map[string]string{
			"token": h.TokenID.String(), "handover": h.ID.String(), "to": h.To, "by": h.By,
		})
	})
	if err != nil {
		return Standing{}, "", err
	}
	return standing, jwt, nil
}

// Answers to the questions of a prolongation.
const (
	Yes  = "yes"
	Soon = "soon" // still in charge, and somebody else soon
	No   = "no"
)

// A Prolongation is how far an applicant came who asks for more time.
type Prolongation struct {
	TokenID   guichet.ID
	By        string
	InCharge  string // yes, soon, no
	Purpose   string // yes: the same as ever; no
	Contacts  string // yes: still right; no
	DoneAt    time.Time
	UpdatedAt time.Time
	Version   int64 // 0: no row yet
}

// A Step is what a prolongation asks next, or how it ended.
type Step string

// The steps of a prolongation.
const (
	AskInCharge Step = "in_charge"
	AskPurpose  Step = "purpose"
	AskContacts Step = "contacts"
	AskConfirm  Step = "confirm" // all is as it was: one click prolongs
	StepLeave   Step = "leave"   // not in charge: somebody else must ask
	StepChanged Step = "changed" // something changed: the source must know first
	StepDone    Step = "done"

	// StartAgain is no step: it is what one answers to begin again.
	StartAgain Step = "again"
)

// Steps lists them all.
func Steps() []Step {
	return []Step{AskInCharge, AskPurpose, AskContacts, AskConfirm, StepLeave, StepChanged, StepDone}
}

// Step of the prolongation now.
func (p Prolongation) Step() Step {
	switch {
	case !p.DoneAt.IsZero():
		return StepDone
	case p.InCharge == No:
		return StepLeave
	case p.InCharge == "":
		return AskInCharge
	case p.Purpose == No, p.Contacts == No:
		return StepChanged
	case p.Purpose == "":
		return AskPurpose
	case p.Contacts == "":
		return AskContacts
	}
	return AskConfirm
}

// answer fills in one question.
func (p *Prolongation) answer(step Step, value string) error {
	if step == StartAgain {
		p.InCharge, p.Purpose, p.Contacts = "", "", ""
		return nil
	}
	if value != Yes && value != No && (value != Soon || step != AskInCharge) {
		return ErrUnanswered
	}
	switch step {
	case AskInCharge:
		p.InCharge = value
	case AskPurpose:
		p.Purpose = value
	case AskContacts:
		p.Contacts = value
	default:
		return ErrUnanswered
	}
	return nil
}

// AnswerProlongation notes one answer. The answers stay: one can leave and come
// back, and change one's mind until the token is prolonged.
func (d *Desk) AnswerProlongation(ctx context.Context, by guichet.Actor, office Office, id guichet.ID, step Step, value string) error {
	return d.prolonging(ctx, by, office, id, func(tx Tx, _ Request, _ Token, p *Prolongation) error {
		if err := p.answer(step, value); err != nil {
			return err
		}
		return tx.SaveProlongation(p)
	})
}

// Prolong gives a token 18 more months, once the applicant has said that nothing
// changed.
func (d *Desk) Prolong(ctx context.Context, by guichet.Actor, office Office, id guichet.ID) error {
	return d.prolonging(ctx, by, office, id, func(tx Tx, r Request, t Token, p *Prolongation) error {
		if p.Step() != AskConfirm {
			return ErrNotToProlong
		}
		now := d.Clock.Now()
		p.DoneAt = now
		if err := tx.SaveProlongation(p); err != nil {
			return err
		}
		t.ExpiresAt, t.Reminders = ExpiryFrom(now), nil
		if err := tx.Amend(&t); err != nil {
			return err
		}
		return d.audit(tx, by, "token.prolonged", r.Subject(), map[string]string{"token": id.String(), "in_charge": p.InCharge})
	})
}

// prolonging checks that this person may have this token prolonged now, under the
// lock of the request. What was done before the last 90 days began again is over.
func (d *Desk) prolonging(ctx context.Context, by guichet.Actor, office Office, id guichet.ID, do func(Tx, Request, Token, *Prolongation) error) error {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return err
	}
	p, err := office.Prolongation(ctx, id)
	if err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx Tx) error {
		p := p
		request, token, err := d.findToken(tx, standing)
		if err != nil {
			return err
		}
		now := d.Clock.Now()
		if err := MayProlong(request, token, by.Name, now); err != nil {
			return err
		}
		if !p.DoneAt.IsZero() { // another year, another prolongation
			p = Prolongation{TokenID: id, Version: p.Version}
		}
		p.By, p.UpdatedAt = by.Name, now
		return do(tx, request, token, &p)
	})
}

// MayProlong tells why a person may not have a token prolonged, or nil.
func MayProlong(r Request, t Token, email string, now time.Time) error {
	switch {
	case !r.MaySee(email):
		return ErrNoToken
	case !r.is(email, Applicant):
		return ErrNotApplicant
	case !t.BlockedAt.IsZero():
		return ErrTokenBlocked
	case r.Status != Validated:
		return ErrNotValidated
	case civilDays(now, t.ExpiresAt) > reminderDays[0]:
		return ErrTooSoon
	}
	return nil
}
