package grant

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet"
)

// A Desk is the verbs of the window. Each verb that changes something is one
// transaction: the deed, its audit entry, its alerts and its jobs are durable
// together or not at all, and nothing leaves the process before the commit.
type Desk struct {
	Store     Store
	Clients   Clients // programs that act on tokens by OAuth; nil: there are none
	Clock     guichet.Clock
	Providers map[string]Provider
	URL       string // public address, for links in mails
	// Mint computes the JWT of a token; it is never stored.
	Mint func(Standing) (guichet.Secret, error)

	PurgeAfter        time.Duration // negative: never
	PurgeRefusedAfter time.Duration // negative: never
}

// Errors of the window.
var (
	ErrNoProvider = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_provider", Reason: "No provider of this name is configured."}
	ErrNoRequest  = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_request", Reason: "No request of this provider has this number."}
	ErrNoToken    = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_token", Reason: "No token has this identifier."}
	ErrNoDelivery = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_delivery", Reason: "No delivery of the journal has this identifier."}
)

const futureTolerance = 10 * time.Minute

// Receive takes one delivery whose signature was verified. When it returns, the
// delivery is in the journal, durably, and all its effects with it; an error
// other than ErrNotJSON means that nothing happened and the source must try
// again.
func (d *Desk) Receive(ctx context.Context, provider string, format Format, body []byte) (Answer, error) {
	return d.ReceiveFrom(ctx, provider, format, "", body)
}

// ReceiveFrom is Receive for a source that says which environment it is of. What
// comes from another one than the provider's is kept in quarantine: a secret was
// given to the wrong one of them.
func (d *Desk) ReceiveFrom(ctx context.Context, provider string, format Format, environment string, body []byte) (Answer, error) {
	done, err := d.take(ctx, guichet.Actor{Kind: guichet.BySource, Name: provider}, provider, format, environment, body)
	return Answer{TokenID: done.TokenID}, err
}

// take journals a body and does what it says, by the hand of whoever gave it.
func (d *Desk) take(ctx context.Context, by guichet.Actor, provider string, format Format, environment string, body []byte) (done Delivery, err error) {
	if _, ok := d.Providers[provider]; !ok {
		return Delivery{}, ErrNoProvider
	}
	event, problem := Parse(provider, format, body)
	if ours := d.Providers[provider].Environment; problem == nil && event.Name != Ping && ours != "" && environment != "" && environment != ours {
		problem = ErrUnusable.Because(fmt.Errorf("it comes from the environment %q", environment))
	}
	if problem != nil && !errors.Is(problem, ErrNotJSON) && !errors.Is(problem, ErrUnusable) {
		return Delivery{}, problem
	}
	delivery := Delivery{
		Provider: provider, Format: format, ExternalID: event.ExternalID, Event: event.Sent, ModelType: event.ModelType,
		FiredAt: event.FiredAt, Identity: event.Identity, Body: body, BodyHash: sha256.Sum256(body), Actor: by,
	}
	if errors.Is(problem, ErrNotJSON) {
		delivery.Identity = delivery.BodyHash
	}
	if !externalID.MatchString(delivery.ExternalID) {
		delivery.ExternalID = ""
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		done = delivery
		done.ID, done.ReceivedAt = d.Clock.NewID(), d.Clock.Now()
		return d.receive(tx, &done, event, problem)
	})
	switch {
	case err != nil:
		return Delivery{}, err
	case done.Refused:
		return Delivery{}, ErrNotJSON.Because(problem)
	}
	return done, nil
}

// receive decides what a delivery does and does it. The order of its lines is
// the protocol: the lock of the request comes first, the journal before any
// effect, the lock of the blocklist last.
func (d *Desk) receive(tx Tx, done *Delivery, event Event, problem error) error {
	request, earlier, err := tx.Find(done.Provider, done.ExternalID, done.Identity)
	if err != nil {
		return err
	}
	done.Before, done.After, done.Note = request.Status, request.Status, NoteNothing
	if earlier != nil && done.ReplayOf == "" {
		done.Effect, done.TokenID, done.Refused = Duplicate, earlier.TokenID, earlier.Refused
		return tx.Append(done)
	}
	switch {
	case problem != nil:
		done.Effect, done.Refused, done.Problem = Quarantined, errors.Is(problem, ErrNotJSON), errors.Unwrap(problem).Error()
		return d.quarantine(tx, done)
	case event.Name == Ping:
		done.Effect = Pinged
		return tx.Append(done)
	case event.FiredAt.After(done.ReceivedAt.Add(futureTolerance)):
		done.Effect, done.Problem = Quarantined, "fired_at is in the future"
		return d.quarantine(tx, done)
	}
	decision := Apply(request, event, d.terms(done.Provider, done.ReceivedAt))
	return d.carryOut(tx, done, request, decision, event)
}

func (d *Desk) terms(provider string, now time.Time) Terms {
	return Terms{
		Now: now, Definition: d.Providers[provider].DefinitionID(), ScopeNames: d.Providers[provider].ScopeNames,
		PurgeAfter: d.PurgeAfter, PurgeRefusedAfter: d.PurgeRefusedAfter,
	}
}

func (d *Desk) quarantine(tx Tx, done *Delivery) error {
	if err := tx.Append(done); err != nil {
		return err
	}
	return d.raise(tx, AlertQuarantined, done.Chain(), "", map[string]string{
		"delivery": done.ID.String(), "event": done.Event, "problem": done.Problem,
	})
}

// carryOut makes a decision real. Every write is inside tx: if we die anywhere
// here, nothing has happened and the source sends the delivery again.
func (d *Desk) carryOut(tx Tx, done *Delivery, before Request, decision Decision, event Event) error {
	after := decision.Request
	if decision.Changed {
		if after.ID == "" {
			after.ID, after.CreatedAt = d.Clock.NewID(), done.ReceivedAt
		}
		if err := tx.Save(&after); err != nil {
			return err
		}
	}
	token, err := d.grantToken(tx, before, after, decision, done.ReceivedAt, event.Payload.LegacyTokenID)
	if err != nil {
		return err
	}
	done.Effect, done.Note, done.After = decision.Effect, decision.Note, after.Status
	done.TokenID = answered(event, before, after, token)
	done.Blocked = len(decision.Block)
	mails, people, err := d.mailsOf(before, after, decision, event, token, done.ReceivedAt)
	if err != nil {
		return err
	}
	done.Mails = people
	if err := tx.Append(done); err != nil {
		return err
	}
	if err := d.tell(tx, done, decision, mails, token); err != nil {
		return err
	}
	if !after.PurgeAt.IsZero() && !after.PurgeAt.After(done.ReceivedAt) { // the delay is zero
		if err := d.purge(tx, &after, done.ReceivedAt); err != nil {
			return err
		}
	}
	if err := d.notifyDecision(tx, before, after, decision, done.ReceivedAt); err != nil || len(decision.Block) == 0 {
		return err
	}
	_, err = tx.Block(decision.Block, done.ReceivedAt, blockReason(done, event))
	return err
}

// grantToken issues or prolongs the token of an approval; an empty id means that
// the decision grants none.
func (d *Desk) grantToken(tx Tx, before, after Request, decision Decision, now time.Time, legacy string) (guichet.ID, error) {
	switch {
	case decision.Issue:
		token := Token{
			ID: d.Clock.NewID(), RequestID: after.ID, Authorization: decision.Grant, Scopes: after.Scopes,
			Title: after.Title, LegacyID: legacy, IssuedAt: now, ExpiresAt: ExpiryFrom(now),
		}
		if err := tx.Issue(&token); err != nil {
			return "", err
		}
		return token.ID, d.notifyIssued(tx, after, token)
	case decision.Prolong != "":
		for _, token := range before.Tokens {
			if token.ID != decision.Prolong {
				continue
			}
			token.Authorization, token.Scopes, token.Title = decision.Grant, after.Scopes, after.Title
			token.ExpiresAt, token.Reminders = ExpiryFrom(now), nil
			return token.ID, tx.Amend(&token)
		}
	}
	return "", nil
}

// answered is the token the source is told of: it makes the link people follow,
// so it is never one that was taken back.
func answered(e Event, before, after Request, granted guichet.ID) guichet.ID {
	if e.Name != Approve || granted != "" {
		return granted
	}
	if token, ok := before.current(); ok && after.Status == Validated {
		return token.ID
	}
	return ""
}

// tell records who must know: the audit entry, the alerts, the mails. What the
// source did is in the journal, which is its audit, and is not written twice;
// which tokens a delivery blocked is not in the journal.
func (d *Desk) tell(tx Tx, done *Delivery, decision Decision, mails []guichet.Job, token guichet.ID) error {
	if len(decision.Block) > 0 || decision.Changed && done.Actor.Kind != guichet.BySource {
		detail := map[string]string{"delivery": done.ID.String(), "before": string(done.Before), "after": string(done.After)}
		if token != "" {
			detail["token"] = token.String()
		}
		if len(decision.Block) > 0 {
			detail["blocked"] = strings.Join(idStrings(decision.Block), " ")
		}
		if err := d.audit(tx, done.Actor, "request."+string(decision.Note), done.Chain(), detail); err != nil {
			return err
		}
	}
	for _, kind := range decision.Alerts {
		if err := d.raise(tx, kind, done.Chain(), "", map[string]string{"delivery": done.ID.String(), "event": done.Event}); err != nil {
			return err
		}
	}
	if decision.Effect == NotKnown {
		// Once per name, for ever: a source that learns a new word uses it often.
		once := "unknown_event/" + done.Provider + "/" + done.Event
		if err := d.raise(tx, AlertUnknownEvent, done.Chain(), once, map[string]string{"event": done.Event}); err != nil {
			return err
		}
	}
	for _, m := range mails {
		if err := tx.Enqueue(m); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) audit(tx Tx, by guichet.Actor, deed, subject string, detail map[string]string) error {
	return tx.Audit(guichet.AuditEntry{
		ID: d.Clock.NewID(), At: d.Clock.Now(), Actor: by, Deed: deed, Subject: subject, Detail: jsonOf(detail),
	})
}

func (d *Desk) raise(tx Tx, kind AlertKind, subject, once string, detail map[string]string) error {
	return tx.Alert(guichet.Alert{
		ID: d.Clock.NewID(), Kind: string(kind), Subject: subject, Once: once, Detail: jsonOf(detail), OpenedAt: d.Clock.Now(),
	})
}

func blockReason(done *Delivery, e Event) string {
	if e.Payload.Reason != "" {
		return e.Payload.Reason
	}
	return "delivery " + done.ID.String()
}

func idStrings(ids []guichet.ID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// jsonOf writes a map of words; it cannot fail.
func jsonOf(m map[string]string) string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}
