package people

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"guichet"
)

// apiPrefix tells people and secret scanners what the text is.
const apiPrefix = "gch_"

// usePrecision is how exactly the last use of an API token is kept: a write for
// each call would cost more than the call.
const usePrecision = time.Hour

// IssueAPIToken makes an API token for a person and gives its text, once. They
// may do it themselves, and whoever has the command line; an operator may not,
// who would act in their name.
func (d *Desk) IssueAPIToken(ctx context.Context, by guichet.Actor, person guichet.ID, name string) (APIToken, guichet.Secret, error) {
	name, err := checkName(name)
	if err != nil || name == "" {
		return APIToken{}, "", ErrBadName
	}
	var token APIToken
	var text guichet.Secret
	err = d.update(ctx, func(tx Tx) error {
		if by.Kind != guichet.ByPerson || by.ID != person {
			if by.ID != "" {
				return ErrNotAllowed
			}
			if err := d.mayManage(tx, by); err != nil {
				return err
			}
		}
		p, err := tx.Person(person)
		if err != nil {
			return err
		}
		if !p.DisabledAt.IsZero() {
			return ErrNotAllowed
		}
		text = apiPrefix + d.Clock.NewSecret()
		token = APIToken{
			ID: d.Clock.NewID(), PersonID: person, Name: name, Hash: hashAPIToken(text), CreatedAt: d.Clock.Now(),
		}
		if err := tx.SaveAPIToken(&token); err != nil {
			return err
		}
		return d.audit(tx, by, "api_token.issued", subject(person), map[string]string{"api_token": string(token.ID), "name": name})
	})
	if err != nil {
		return APIToken{}, "", err
	}
	return token, text, nil
}

// PersonByAPIToken gives the person a program acts for, or ErrBadAPICall,
// whatever is wrong.
func (d *Desk) PersonByAPIToken(ctx context.Context, text guichet.Secret) (Person, error) {
	if len(text) > 100 || !strings.HasPrefix(text.Reveal(), apiPrefix) {
		return Person{}, ErrBadAPICall
	}
	token, err := d.Store.APITokenByHash(ctx, hashAPIToken(text))
	switch {
	case errors.Is(err, ErrNoToken):
		return Person{}, ErrBadAPICall
	case err != nil:
		return Person{}, err
	case !token.RevokedAt.IsZero():
		return Person{}, ErrBadAPICall
	}
	p, err := d.Store.Person(ctx, token.PersonID)
	switch {
	case errors.Is(err, ErrNoPerson):
		return Person{}, ErrBadAPICall
	case err != nil:
		return Person{}, err
	case !p.DisabledAt.IsZero():
		return Person{}, ErrBadAPICall
	}
	if d.Clock.Now().Sub(token.LastUsedAt) >= usePrecision {
		d.noteUse(ctx, token)
	}
	return p, nil
}

// noteUse writes when an API token was last used. That it cannot be written, or
// that another replica was faster, is no reason to refuse the call.
func (d *Desk) noteUse(ctx context.Context, token APIToken) {
	_ = d.Store.Update(ctx, func(tx Tx) error {
		t, err := tx.APIToken(token.ID)
		if err != nil {
			return err
		}
		t.LastUsedAt = d.Clock.Now()
		return tx.SaveAPIToken(&t)
	})
}

// RevokeAPIToken ends an API token at once. Its owner may, an operator, and
// whoever has the command line. Doing it twice changes nothing.
func (d *Desk) RevokeAPIToken(ctx context.Context, by guichet.Actor, id guichet.ID) error {
	return d.update(ctx, func(tx Tx) error {
		t, err := tx.APIToken(id)
		if err != nil {
			return err
		}
		if by.Kind != guichet.ByPerson || by.ID != t.PersonID {
			if err := d.mayManage(tx, by); err != nil {
				return err
			}
		}
		if !t.RevokedAt.IsZero() {
			return nil
		}
		t.RevokedAt = d.Clock.Now()
		if err := tx.SaveAPIToken(&t); err != nil {
			return err
		}
		return d.audit(tx, by, "api_token.revoked", subject(t.PersonID), map[string]string{"api_token": string(id)})
	})
}

// APITokens lists the API tokens of a person, revoked ones too.
func (d *Desk) APITokens(ctx context.Context, person guichet.ID) ([]APIToken, error) {
	return d.Store.APITokens(ctx, person)
}

func hashAPIToken(text guichet.Secret) [32]byte { return sha256.Sum256([]byte(text.Reveal())) }
