package people

import (
	"context"
	"errors"
	"net/netip"
	"strconv"

	"guichet"
)

// ErrNoAccount tells somebody who is known elsewhere that they are not here. It
// is the same for who was disabled.
var ErrNoAccount = &guichet.Error{Kind: guichet.Forbidden, Code: "no_account", Reason: "Nobody here may sign in with this e-mail. Nothing was created; ask an operator to add you, or sign in by password."}

// SignInVouched signs in the person whose e-mail somebody else vouches for, by
// their name. vouch asks them; it may take long and is outside any transaction.
// Nobody is added, and whoever may not sign in is ErrNoAccount.
//
// Failures count for the address they come from, as those of passwords do, and
// the attempt is counted and committed before vouch is asked: if we die there the
// address has lost one attempt. They do not count for the e-mail, which nobody
// guesses here: who tries passwords at it does not lock this door too. That
// somebody else is out of order is nobody's failure.
func (d *Desk) SignInVouched(ctx context.Context, by string, vouch func(context.Context) (email string, err error), from netip.Addr) (Person, error) {
	if err := d.admitAddress(ctx, from); err != nil {
		return Person{}, err
	}
	email, err := vouch(ctx)
	if guichet.KindOf(err) == guichet.Unavailable {
		return Person{}, errors.Join(err, d.update(ctx, func(tx Tx) error { return d.forgive(tx, from) }))
	}
	if err != nil {
		return Person{}, errors.Join(err, d.update(ctx, func(tx Tx) error { return d.refuseVouched(tx, Person{}, by, from) }))
	}
	var p Person
	refused := false
	err = d.update(ctx, func(tx Tx) error {
		var err error
		p, err = whose(tx, email)
		if err != nil && !errors.Is(err, ErrNoPerson) {
			return err
		}
		if refused = err != nil || !p.DisabledAt.IsZero(); refused {
			return d.refuseVouched(tx, p, by, from)
		}
		if err := d.forgive(tx, from); err != nil {
			return err
		}
		return d.audit(tx, p.Actor(), "person.signed_in", subject(p.ID), map[string]string{"from": fromText(from), "by": by})
	})
	switch {
	case err != nil:
		return Person{}, err
	case refused:
		return Person{}, ErrNoAccount
	}
	return p, nil
}

// admitAddress counts an attempt from an address, unless it must wait.
func (d *Desk) admitAddress(ctx context.Context, from netip.Addr) error {
	key := addressKey(from)
	if key == "" {
		return nil
	}
	return d.update(ctx, func(tx Tx) error {
		now := d.Clock.Now()
		f, err := tx.Failures(key)
		if err != nil {
			return err
		}
		if at := f.RetryAt(now); at.After(now) {
			return ErrTooMany.Because(&Wait{Until: at})
		}
		f.Key = key
		return tx.SaveFailures(f.counted(now))
	})
}

// forgive takes back the attempt that admitAddress counted.
func (d *Desk) forgive(tx Tx, from netip.Addr) error {
	key := addressKey(from)
	if key == "" {
		return nil
	}
	f, err := tx.Failures(key)
	if err != nil {
		return err
	}
	f.Key = key
	return tx.SaveFailures(f.takenBack())
}

// refuseVouched records a refusal. Whose e-mail is nobody's here stays unnamed.
func (d *Desk) refuseVouched(tx Tx, p Person, by string, from netip.Addr) error {
	about := "person/unknown"
	if p.ID != "" {
		about = subject(p.ID)
	}
	return d.audit(tx, guichet.System("sign-in"), "person.sign_in_refused", about, map[string]string{
		"from": fromText(from), "by": by, "disabled": strconv.FormatBool(!p.DisabledAt.IsZero()),
	})
}

// whose finds the person of an e-mail that somebody else wrote. Ours are ASCII: a
// letter beyond it that becomes one of ours when lowered ("\u212A", the sign of
// kelvin, is "k") is not the same.
func whose(tx Tx, email string) (Person, error) {
	for i := range len(email) {
		if email[i] >= 0x80 {
			return Person{}, ErrNoPerson
		}
	}
	return tx.PersonByEmail(NormalEmail(email))
}
