package people

import (
	"context"
	"errors"
	"net/netip"
	"strconv"

	"guichet"
)

// SignIn gives the person whose e-mail and password these are, or ErrSignIn,
// whatever is wrong: who does not exist takes as long to refuse as who does.
// After five failures in a row, of an e-mail or from an address, it is ErrTooMany
// until RetryAt, without a look at the password.
//
// The attempt is counted and committed before the password is looked at. So
// attempts made at once cannot slip under the limit, and if we die here the
// person has lost one attempt. A success forgets the failures of the e-mail and
// takes back this one from the address, whose other failures stay.
func (d *Desk) SignIn(ctx context.Context, email string, password guichet.Secret, from netip.Addr) (Person, error) {
	email = NormalEmail(email)
	if len(password) > 4*MaxPassword { // nobody's; and hashing it would take long
		password = ""
	}
	p, err := d.admit(ctx, email, from)
	if err != nil {
		return Person{}, err
	}
	fits, stale, err := d.hasher().Verify(ctx, p.PasswordHash, password)
	switch {
	case err != nil:
		return Person{}, err
	case !fits:
		return Person{}, d.refuse(ctx, p, from)
	}
	fresh := p.PasswordHash
	if stale {
		// It fits, and this is the only moment we have the password to hash anew.
		if fresh, err = d.hasher().Hash(ctx, d.Clock.Rand, password); err != nil {
			return Person{}, err
		}
	}
	return d.welcome(ctx, p, fresh, from)
}

// admit counts the attempt and gives the person of the e-mail, or an empty one.
func (d *Desk) admit(ctx context.Context, email string, from netip.Addr) (Person, error) {
	var p Person
	err := d.update(ctx, func(tx Tx) error {
		now := d.Clock.Now()
		until := now
		var counted []Failures
		for _, key := range keysOf(email, from) {
			f, err := tx.Failures(key)
			if err != nil {
				return err
			}
			if at := f.RetryAt(now); at.After(until) {
				until = at
			}
			f.Key = key
			counted = append(counted, f.counted(now))
		}
		if until.After(now) {
			return ErrTooMany.Because(&Wait{Until: until})
		}
		for _, f := range counted {
			if err := tx.SaveFailures(f); err != nil {
				return err
			}
		}
		var err error
		if p, err = tx.PersonByEmail(email); errors.Is(err, ErrNoPerson) {
			p, err = Person{}, nil
		}
		return err
	})
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

// keysOf are the keys an attempt is counted under, the one of the e-mail first.
func keysOf(email string, from netip.Addr) []string {
	keys := []string{emailKey(email)}
	if key := addressKey(from); key != "" {
		keys = append(keys, key)
	}
	return keys
}

// refuse records the refusal; it was counted already. What was typed as e-mail is
// recorded only when it is somebody's: else it may well be a password.
func (d *Desk) refuse(ctx context.Context, p Person, from netip.Addr) error {
	about := "person/unknown"
	if p.ID != "" {
		about = subject(p.ID)
	}
	err := d.update(ctx, func(tx Tx) error {
		return d.audit(tx, guichet.System("sign-in"), "person.sign_in_refused", about, map[string]string{
			"from": fromText(from), "disabled": strconv.FormatBool(!p.DisabledAt.IsZero()),
		})
	})
	if err != nil {
		return err
	}
	return ErrSignIn
}

// welcome records the success, unless the person changed while their password was
// looked at: a password that was just replaced, or an account just disabled, lets
// nobody in.
func (d *Desk) welcome(ctx context.Context, verified Person, fresh guichet.Secret, from netip.Addr) (Person, error) {
	var p Person
	err := d.update(ctx, func(tx Tx) error {
		for i, key := range keysOf(verified.Email, from) {
			f, err := tx.Failures(key)
			if err != nil {
				return err
			}
			f.Key = key
			if f = f.takenBack(); i == 0 {
				f.Count = 0
			}
			if err := tx.SaveFailures(f); err != nil {
				return err
			}
		}
		var err error
		if p, err = tx.Person(verified.ID); err != nil {
			return err
		}
		if p.PasswordHash != verified.PasswordHash || !p.DisabledAt.IsZero() {
			return ErrSignIn
		}
		if fresh != p.PasswordHash {
			p.PasswordHash = fresh
			if err := tx.SavePerson(&p); err != nil {
				return err
			}
		}
		return d.audit(tx, p.Actor(), "person.signed_in", subject(p.ID), map[string]string{"from": fromText(from)})
	})
	switch {
	case errors.Is(err, ErrSignIn), errors.Is(err, ErrNoPerson):
		return Person{}, d.refuse(ctx, verified, from)
	case err != nil:
		return Person{}, err
	}
	return p, nil
}

func fromText(from netip.Addr) string {
	if !from.IsValid() {
		return ""
	}
	return from.Unmap().String()
}
