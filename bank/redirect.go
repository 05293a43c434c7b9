package bank

import (
	"context"
	"crypto/subtle"
	"net/url"
	"strings"

	"guichet"
)

// A bank may ask on its own site and send its customer back here. Anyone can make
// a browser come here with anything, so what comes back counts only with the
// state that left: it names the question, nobody can make one without our key,
// and it is of one question of one attempt of one person. A question that sends
// somebody away takes one answer, so a state does too.

// ErrBadReturn is returned for a way back from a bank that is not the end of a
// way there.
var ErrBadReturn = &guichet.Error{Kind: guichet.Forbidden, Code: "return_refused", Reason: "This does not come from a question that waits. Nothing was changed."}

// Departure is the address where a bank asks, which sends its customer to back
// when they have answered. One that was given an address to come back to by the
// bank itself keeps it.
func (d *Desk) Departure(c Challenge, back string) (string, error) {
	u, err := url.Parse(c.Question.RedirectURL)
	if err != nil {
		return c.Question.RedirectURL, nil
	}
	q := u.Query()
	if q.Has("redirect_uri") {
		return c.Question.RedirectURL, nil
	}
	q.Set("redirect_uri", back)
	if q.Get("state") == "" {
		state, err := d.returnState(c)
		if err != nil {
			return "", err
		}
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// returnState is what must come back from the bank: its own state when it has
// one, else ours.
func (d *Desk) returnState(c Challenge) (string, error) {
	if u, err := url.Parse(c.Question.RedirectURL); err == nil {
		if own := u.Query().Get("state"); own != "" {
			return own, nil
		}
	}
	seal, err := d.Sealer.Fingerprint("return", c.ID.String(), c.AttemptID.String(), c.Owner.String())
	if err != nil {
		return "", err
	}
	return c.ID.String() + "." + seal[:min(len(seal), 40)], nil
}

// Return takes the address at which a person came back from their bank, and
// answers the question that sent them there. The same address again is the same
// answer; any other one, from anybody, changes nothing.
func (d *Desk) Return(ctx context.Context, by guichet.Actor, address string) (Case, error) {
	u, err := url.Parse(address)
	if err != nil || by.ID == "" {
		return Case{}, ErrBadReturn
	}
	c, err := d.left(ctx, by, u.Query().Get("state"))
	if err != nil {
		return Case{}, err
	}
	if c.Challenge.Question.Method != Redirect || len(c.Challenge.Question.Fields) == 0 {
		return Case{}, ErrBadReturn
	}
	fields := map[string]guichet.Secret{c.Challenge.Question.Fields[0].ID: guichet.Secret(address)}
	return d.Answer(ctx, by, Reply{Challenge: c.Challenge.ID, Key: "return " + u.RawQuery, Fields: fields})
}

// left is the case whose question sent the person away with the state.
func (d *Desk) left(ctx context.Context, by guichet.Actor, state string) (Case, error) {
	if state == "" {
		return Case{}, ErrBadReturn
	}
	candidates, err := d.Store.Cases(ctx, by.ID) // the bank may have a state of its own
	if err != nil {
		return Case{}, err
	}
	named, _, _ := strings.Cut(state, ".")
	if id, err := guichet.ParseID(named); err == nil { // ours: also of an attempt that ended, so that it is told
		c, err := d.Store.Case(ctx, Ref{Challenge: id})
		if err != nil && guichet.KindOf(err) != guichet.NotFound {
			return Case{}, err
		}
		candidates = append(candidates, c)
	}
	for _, c := range candidates {
		if c.Challenge.ID == "" || c.Challenge.Owner != by.ID || c.Challenge.Question.Method != Redirect {
			continue
		}
		want, err := d.returnState(c.Challenge)
		if err != nil {
			return Case{}, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(state)) == 1 {
			return c, nil
		}
	}
	return Case{}, ErrBadReturn
}

// checkReturn refuses an address that a person pasted and that comes from another
// question than the one it answers. A code alone has no state to compare.
func (d *Desk) checkReturn(c Challenge, fields map[string]guichet.Secret) error {
	if c.Question.Method != Redirect {
		return nil
	}
	for id, value := range fields {
		u, err := url.Parse(strings.TrimSpace(value.Reveal()))
		if err != nil || !u.Query().Has("state") {
			continue
		}
		want, err := d.returnState(c)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(u.Query().Get("state"))) != 1 {
			return &guichet.Error{Kind: guichet.Invalid, Code: ErrBadReturn.Code, Field: "fields." + id, Reason: ErrBadReturn.Reason}
		}
	}
	return nil
}
