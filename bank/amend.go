package bank

import (
	"cmp"
	"context"
	"time"

	"guichet"
)

// A proposal is credentials that a person typed and no bank has accepted yet.
type proposal struct {
	plain       []byte
	fingerprint string
}

// proposed checks what a person typed for an access; nil: they typed nothing.
func (d *Desk) proposed(ctx context.Context, a Access, fields map[string]guichet.Secret) (*proposal, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	inst, err := d.institution(ctx, a.Institution)
	if err != nil {
		return nil, err
	}
	if err := CheckFields(inst.Fields, fields); err != nil {
		return nil, err
	}
	fingerprint, err := d.Sealer.Fingerprint(loginParts(inst, fields)...)
	return &proposal{marshalSecrets(fields), fingerprint}, err
}

// lend gives an attempt the credentials that were typed for it. Those of the
// access stay what they were until the bank has accepted the new ones.
func (d *Desk) lend(a *Attempt, typed *proposal) (err error) {
	if typed == nil {
		return nil
	}
	a.Fingerprint = typed.fingerprint
	a.Credentials, err = d.Sealer.Seal("attempts", a.ID.String(), "credentials", typed.plain)
	return err
}

// keep replaces the credentials of an access without asking the bank.
func (d *Desk) keep(a *Access, typed *proposal) (err error) {
	if a.Credentials, err = d.Sealer.Seal("accesses", a.ID.String(), "credentials", typed.plain); err != nil {
		return err
	}
	if a.Fingerprint != typed.fingerprint { // another login: the session is not its
		a.Fingerprint = typed.fingerprint
		a.forget()
	}
	if a.Pause == PausedForFix || a.Disabled {
		a.Pause = PausedForAnswer // given anew, and still to be tried by a person
	}
	a.Disabled = false
	return nil
}

// forget removes the bank's session, and with it what the bank recognises.
func (a *Access) forget() {
	a.Session, a.SessionExpires = nil, time.Time{}
	a.StrongAt, a.TrustedUntil, a.TrustWarned = time.Time{}, time.Time{}, 0
}

// An Amendment changes what a person may change of an access; nil fields do not.
type Amendment struct {
	Label    *string
	NightOff *bool // never fetch at night
	// Disabled wipes every secret of the access and keeps its data. Enabling it
	// needs credentials.
	Disabled *bool
	// Lend stops keeping the credentials, or, with credentials, begins to.
	Lend        *bool
	Credentials map[string]guichet.Secret
}

// Amend changes an access. It speaks to no bank.
func (d *Desk) Amend(ctx context.Context, by guichet.Actor, access guichet.ID, m Amendment) (c Case, err error) {
	if c, err = d.Store.Case(ctx, Ref{Access: access}); err != nil {
		return Case{}, err
	}
	if err := owned(by, c, ErrNoAccess); err != nil {
		return Case{}, err
	}
	typed, err := d.proposed(ctx, c.Access, m.Credentials)
	if err != nil {
		return Case{}, err
	}
	var stopped guichet.ID
	err = d.Store.Update(ctx, func(tx Tx) error {
		stopped = ""
		if c, err = tx.Find(Ref{Access: access}); err != nil {
			return err
		}
		disable := m.Disabled != nil && *m.Disabled
		if c.Attempt.State.Live() && (typed != nil || m.Lend != nil || disable && !c.Access.HasAccounts) {
			return ErrAttemptBusy
		}
		if disable && c.Attempt.State.Live() {
			stopped = c.Attempt.ID
			if err := d.giveUp(tx, by, &c); err != nil {
				return err
			}
		}
		if err := d.amend(&c.Access, m, typed); err != nil {
			return err
		}
		d.schedule(&c.Access, RetryNightly, time.Time{})
		if err := tx.SaveAccess(&c.Access); err != nil {
			return err
		}
		deed := "access.amended"
		if disable {
			deed = "access.disabled"
		}
		return d.audit(tx, by, deed, access, map[string]string{})
	})
	if err == nil && stopped != "" {
		d.stop(stopped, errStopped)
	}
	return c, err
}

// amend is the change itself.
func (d *Desk) amend(a *Access, m Amendment, typed *proposal) error {
	if m.Label != nil {
		a.Label = cmp.Or(printable(*m.Label, 100), a.Label)
	}
	if a.Connector == ByFile { // it has a name and nothing else that could be changed
		if m.NightOff != nil || m.Lend != nil || m.Disabled != nil {
			return ErrNoInstitution
		}
		return nil
	}
	if m.NightOff != nil {
		a.NightOff = *m.NightOff
	}
	if m.Lend != nil {
		a.Lent = *m.Lend
	}
	switch {
	case m.Disabled != nil && *m.Disabled:
		a.Disabled, a.Credentials, a.Pause, a.Failures = true, nil, "", 0
		a.forget()
		return nil
	case a.Lent && typed != nil:
		return ErrNotKept
	case a.Lent:
		a.Credentials = nil
		a.forget()
		if m.Disabled != nil {
			a.Disabled = false // they are asked for at each fetch
		}
	case typed != nil:
		return d.keep(a, typed)
	case a.Credentials == nil && (!a.Disabled || m.Disabled != nil):
		return ErrCredentialsNeeded // to enable it, or to begin to keep them
	}
	return nil
}

// ErrNotKept is returned for credentials that nobody asked to keep.
var ErrNotKept = &guichet.Error{Kind: guichet.Invalid, Code: "credentials_not_kept", Field: "credentials", Reason: "The credentials of this access are not kept. Give them with a fetch, or ask to keep them."}
