package grant

import (
	"context"
	"strings"
	"time"

	"guichet"
)

// Errors of the operators' verbs.
var (
	ErrBlocked      = &guichet.Error{Kind: guichet.Conflict, Code: "already_blocked", Reason: "This token is blocked already."}
	ErrNotValidated = &guichet.Error{Kind: guichet.Conflict, Code: "not_validated", Reason: "A token can be issued only for a request that is validated now."}
	ErrPast         = &guichet.Error{Kind: guichet.Invalid, Code: "date_in_the_past", Reason: "This date is in the past.", Field: "at"}
	ErrNoReplay     = &guichet.Error{Kind: guichet.Conflict, Code: "not_replayable", Reason: "This came from a file of tokens: import the file again instead."}
	ErrWiped        = &guichet.Error{Kind: guichet.Gone, Code: "body_purged", Reason: "The body of this delivery was purged; it cannot be replayed."}
)

// A Blocking is how an operator takes a token back.
type Blocking struct {
	At      time.Time // zero: now
	Reason  string
	Replace bool // issue another token at the same time, which is not born blocked
}

// Block takes one token back, now or at a date. It returns the token that
// replaces it, when one was asked for.
func (d *Desk) Block(ctx context.Context, by guichet.Actor, id guichet.ID, b Blocking) (replacement guichet.ID, err error) {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return "", err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		replacement = ""
		now := d.Clock.Now()
		if !b.At.IsZero() && b.At.Before(now) {
			return ErrPast
		}
		request, token, err := d.findToken(tx, standing)
		if err != nil {
			return err
		}
		if !token.BlockedAt.IsZero() {
			return ErrBlocked
		}
		if b.Replace {
			if replacement, err = d.issue(tx, by, request, token.Authorization, token.Scopes, token.Limit, now); err != nil {
				return err
			}
		}
		detail := map[string]string{"token": id.String(), "reason": b.Reason, "replacement": replacement.String()}
		if !b.At.IsZero() && b.At.After(now) {
			token.BlockAt, token.BlockReason = b.At, b.Reason
			detail["at"] = b.At.Format(time.RFC3339)
			if err := d.audit(tx, by, "token.block_foreseen", request.Subject(), detail); err != nil {
				return err
			}
			if err := d.tellBlocked(tx, request, token.ID, b.At, b.Reason, replacement); err != nil {
				return err
			}
			return tx.Amend(&token)
		}
		if err := d.audit(tx, by, "token.blocked", request.Subject(), detail); err != nil {
			return err
		}
		if by.Kind != guichet.BySystem { // a block that was foreseen was told of when it was decided
			if err := d.tellBlocked(tx, request, token.ID, now, b.Reason, replacement); err != nil {
				return err
			}
		}
		if err := d.notifyBlocked(tx, request, []guichet.ID{id}, now); err != nil {
			return err
		}
		_, err = tx.Block([]guichet.ID{id}, now, b.Reason)
		return err
	})
	return replacement, err
}

// tellBlocked writes to those who use the token: which one, from when, and what
// replaces it.
func (d *Desk) tellBlocked(tx Tx, r Request, id guichet.ID, at time.Time, reason string, replacement guichet.ID) error {
	data := map[string]string{"at": at.Format(time.RFC3339), "reason": reason}
	if replacement != "" {
		data["replaced"], data["url"] = "yes", d.URL+"/compte/jetons/"+replacement.String()
	}
	_, err := d.tellToken(tx, MailTokenBlocked, r, id, data)
	return err
}

// Issue gives a validated request one more token.
func (d *Desk) Issue(ctx context.Context, by guichet.Actor, provider, externalID string) (id guichet.ID, err error) {
	return d.IssueLimited(ctx, by, provider, externalID, guichet.Limit{})
}

// IssueLimited gives a validated request one more token, of narrower use.
func (d *Desk) IssueLimited(ctx context.Context, by guichet.Actor, provider, externalID string, limit guichet.Limit) (id guichet.ID, err error) {
	err = d.Store.Update(ctx, func(tx Tx) error {
		request, _, err := tx.Find(provider, externalID, [32]byte{})
		switch {
		case err != nil:
			return err
		case request.ID == "":
			return ErrNoRequest
		}
		var authorization string
		if n := len(request.Tokens); n > 0 {
			authorization = request.Tokens[n-1].Authorization
		}
		id, err = d.issue(tx, by, request, authorization, request.Scopes, limit, d.Clock.Now())
		return err
	})
	return id, err
}

func (d *Desk) issue(tx Tx, by guichet.Actor, r Request, authorization string, scopes []string, limit guichet.Limit, now time.Time) (guichet.ID, error) {
	if r.Situation() != IsValidated {
		return "", ErrNotValidated
	}
	token := Token{
		ID: d.Clock.NewID(), RequestID: r.ID, Authorization: authorization, Scopes: scopes, Title: r.Title,
		IssuedAt: now, ExpiresAt: ExpiryFrom(now), Limit: limit,
	}
	if err := tx.Issue(&token); err != nil {
		return "", err
	}
	if err := d.notifyIssued(tx, r, token); err != nil {
		return "", err
	}
	return token.ID, d.audit(tx, by, "token.issued", r.Subject(), map[string]string{"token": token.ID.String()})
}

// Revoke takes a whole request back by the hand of an operator, as the source's
// own revoke would: every token is blocked and people are told.
func (d *Desk) Revoke(ctx context.Context, by guichet.Actor, provider, externalID, reason string) (blocked int, err error) {
	err = d.Store.Update(ctx, func(tx Tx) error {
		request, _, err := tx.Find(provider, externalID, [32]byte{})
		switch {
		case err != nil:
			return err
		case request.ID == "":
			return ErrNoRequest
		}
		now := d.Clock.Now()
		// The event is ours, so nothing of the request but its entitlement changes,
		// and it is newer than anything that was applied.
		fired := now
		if request.LastGrant.FiredAt.After(fired) {
			fired = request.LastGrant.FiredAt
		}
		event := Event{
			Provider: provider, Name: Revoke, Sent: string(Revoke), ExternalID: externalID, FiredAt: fired.Truncate(time.Second).Add(time.Second),
			Payload: Payload{Reason: reason},
		}
		decision := Apply(request, event, d.terms(provider, now))
		decision.Alerts = nil // the operator knows
		after := decision.Request
		if decision.Changed {
			after.RevokedAt = now
			if err := tx.Save(&after); err != nil {
				return err
			}
		}
		detail := map[string]string{
			"reason": reason, "before": string(request.Status), "after": string(after.Status), "blocked": strings.Join(idStrings(decision.Block), " "),
		}
		if err := d.audit(tx, by, "request.revoked", request.Subject(), detail); err != nil {
			return err
		}
		mails, _, err := d.mailsOf(request, after, decision, event, "", now)
		if err != nil {
			return err
		}
		for _, m := range mails {
			if err := tx.Enqueue(m); err != nil {
				return err
			}
		}
		if err := d.notifyDecision(tx, request, after, decision, now); err != nil {
			return err
		}
		blocked, err = tx.Block(decision.Block, now, reason)
		return err
	})
	return blocked, err
}

// Reveal computes the JWT of a token for someone, and notes that they saw it.
func (d *Desk) Reveal(ctx context.Context, by guichet.Actor, id guichet.ID) (Standing, guichet.Secret, error) {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return Standing{}, "", err
	}
	jwt, err := d.Mint(standing)
	if err != nil {
		return Standing{}, "", err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		return d.audit(tx, by, "token.revealed", standing.Provider+"/"+standing.ExternalID, map[string]string{"token": id.String()})
	})
	if err != nil {
		return Standing{}, "", err
	}
	return standing, jwt, nil
}

// Replay gives a delivery of the journal to the rules once more, after a repair.
// What was applied already has no effect again.
func (d *Desk) Replay(ctx context.Context, by guichet.Actor, id guichet.ID) (done Delivery, err error) {
	old, err := d.Store.Delivery(ctx, id)
	switch {
	case err != nil:
		return Delivery{}, err
	case old.Body == nil:
		return Delivery{}, ErrWiped
	case old.Format == TokenFile:
		return Delivery{}, ErrNoReplay
	}
	event, problem := Parse(old.Provider, old.Format, old.Body)
	err = d.Store.Update(ctx, func(tx Tx) error {
		now := d.Clock.Now()
		done = Delivery{
			ID: d.Clock.NewID(), Provider: old.Provider, Format: old.Format, ExternalID: old.ExternalID, Event: event.Sent,
			ModelType: event.ModelType, FiredAt: event.FiredAt, ReceivedAt: now, Identity: old.Identity, Body: old.Body,
			BodyHash: old.BodyHash, Actor: by,
		}
		if settled := old.Effect != Quarantined && old.Effect != Held || !old.Resolved.IsZero(); !settled {
			done.ReplayOf = old.ID
		}
		if event.ExternalID != "" && externalID.MatchString(event.ExternalID) {
			done.ExternalID = event.ExternalID
		}
		if err := d.receive(tx, &done, event, problem); err != nil {
			return err
		}
		if err := d.audit(tx, by, "delivery.replayed", done.Chain(), map[string]string{"delivery": id.String(), "effect": string(done.Effect)}); err != nil {
			return err
		}
		if done.ReplayOf != "" && done.Effect != Quarantined && done.Effect != Held {
			return tx.Resolve(old.ID, now)
		}
		return nil
	})
	return done, err
}

// Sweep does what falls due: blocks foreseen for now, data to purge. A job runs
// it every minute. It returns how many of each were done.
func (d *Desk) Sweep(ctx context.Context) (blocked, purged int, err error) {
	toPurge, toBlock, err := d.Store.Due(ctx, d.Clock.Now())
	if err != nil {
		return 0, 0, err
	}
	for _, t := range toBlock {
		if _, err := d.Block(ctx, guichet.System("sweep"), t.ID, Blocking{Reason: t.BlockReason}); err != nil && guichet.CodeOf(err) != ErrBlocked.Code {
			return blocked, purged, err
		}
		blocked++
	}
	for _, r := range toPurge {
		err := d.Store.Update(ctx, func(tx Tx) error {
			now := d.Clock.Now()
			request, _, err := tx.Find(r.Provider, r.ExternalID, [32]byte{})
			if err != nil || request.PurgeAt.IsZero() || request.PurgeAt.After(now) {
				return err // it came back to life since it was listed
			}
			return d.purge(tx, &request, now)
		})
		if err != nil {
			return blocked, purged, err
		}
		purged++
	}
	return blocked, purged, nil
}

// purge forgets the people of a request that never had a token. Numbers, dates
// and the hashes of the journal stay, so that a late event finds the place.
func (d *Desk) purge(tx Tx, r *Request, now time.Time) error {
	if len(r.Tokens) > 0 {
		return nil
	}
	r.Title, r.Description, r.Contacts, r.Authorizations, r.Scopes = "", "", nil, nil, nil
	r.SIRET, r.Organization, r.PublicID, r.Procedure = "", "", "", ""
	r.PurgeAt, r.PurgedAt, r.UpdatedAt = time.Time{}, now, now
	if err := tx.Save(r); err != nil {
		return err
	}
	if err := tx.WipeBodies(r.Provider, r.ExternalID); err != nil {
		return err
	}
	return d.audit(tx, guichet.System("purge"), "request.purged", r.Subject(), nil)
}

func (d *Desk) findToken(tx Tx, s Standing) (Request, Token, error) {
	request, _, err := tx.Find(s.Provider, s.ExternalID, [32]byte{})
	if err != nil {
		return Request{}, Token{}, err
	}
	for _, t := range request.Tokens {
		if t.ID == s.ID {
			return request, t, nil
		}
	}
	return Request{}, Token{}, ErrNoToken
}

// Limit narrows the use of a token, or widens it again. Gateways read it in the JWT:
// it holds for those that are shown from now on, while who has an earlier one goes on
// as before. To narrow that one too, issue another and block it.
func (d *Desk) Limit(ctx context.Context, by guichet.Actor, id guichet.ID, limit guichet.Limit) error {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx Tx) error {
		request, token, err := d.findToken(tx, standing)
		switch {
		case err != nil:
			return err
		case !token.BlockedAt.IsZero():
			return ErrTokenBlocked
		}
		token.Limit = limit
		if err := tx.Amend(&token); err != nil {
			return err
		}
		return d.audit(tx, by, "token.limited", request.Subject(), map[string]string{"token": id.String(), "limit": limit.String()})
	})
}

// Extend gives a token 18 more months from now, by the hand of an operator.
func (d *Desk) Extend(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	standing, err := d.Store.Standing(ctx, id)
	if err != nil {
		return err
	}
	return d.Store.Update(ctx, func(tx Tx) error {
		request, token, err := d.findToken(tx, standing)
		switch {
		case err != nil:
			return err
		case !token.BlockedAt.IsZero():
			return ErrTokenBlocked
		case request.Situation() != IsValidated:
			return ErrNotValidated
		}
		token.ExpiresAt, token.Reminders = ExpiryFrom(d.Clock.Now()), nil
		if err := tx.Amend(&token); err != nil {
			return err
		}
		return d.audit(tx, by, "token.prolonged", request.Subject(), map[string]string{"token": id.String()})
	})
}
