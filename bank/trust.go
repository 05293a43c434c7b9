package bank

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"guichet"
)

// strongLife is for how long European banks let an account be read after its
// owner was strongly authenticated, when the connector knows no better.
const strongLife = 180 * 24 * time.Hour

// trustDays are the days before the end of a bank's trust on which the owner is
// told, each once.
var trustDays = []int{14, 7, 1}

// strong tells whether answering the question is an authentication: to read a
// picture is none.
func (q Question) strong() bool { return q.Method != Captcha }

// wantsPerson tells whether an outcome shows that the bank's trust is over.
func wantsPerson(o Outcome) bool {
	return o.Kind == InteractionRequired || o.Kind == Asks && o.Question != nil && o.Question.strong()
}

// trust is until when the bank should ask nothing: so long after the last
// authentication, or until it forgets the session, whichever comes first.
func (a Access) trust(institution time.Duration, now time.Time) (until time.Time) {
	if a.Lent {
		return time.Time{} // the session goes too, and the bank sees a stranger
	}
	if !a.StrongAt.IsZero() {
		until = a.StrongAt.Add(cmp.Or(institution, strongLife))
	}
	// A session of some hours is a login, and its end asks nobody anything.
	if f := a.SessionExpires; f.After(now.Add(24*time.Hour)) && (until.IsZero() || f.Before(until)) {
		until = f
	}
	if !until.After(now) {
		return time.Time{} // it should have asked, and did not
	}
	return until
}

// TrustDaysLeft counts the midnights until the bank asks again; ok is false when
// that is not known, or over.
func (a Access) TrustDaysLeft(now time.Time, at *time.Location) (days int, ok bool) {
	if !a.TrustedUntil.After(now) {
		return 0, false
	}
	day := func(t time.Time) time.Time {
		y, m, d := t.In(at).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(a.TrustedUntil).Sub(day(now)) / (24 * time.Hour)), true
}

// trustEnds tells whether the end is near enough for its owner to be told.
func (a Access) trustEnds(now time.Time, at *time.Location) bool {
	days, ok := a.TrustDaysLeft(now, at)
	return ok && days <= trustDays[0]
}

// dueWarning is which of the warnings of an access falls due now, and how many
// days are really left. What was missed is not sent late.
func (a Access) dueWarning(now time.Time, at *time.Location) (warning, days int, due bool) {
	days, ok := a.TrustDaysLeft(now, at)
	if !ok || a.Disabled || a.Lent || a.Pause != "" {
		return 0, 0, false
	}
	for _, d := range trustDays {
		if days <= d {
			warning = d
		}
	}
	return warning, days, warning != 0 && (a.TrustWarned == 0 || warning < a.TrustWarned)
}

// TrustEnds tells whether a page should say that the bank will soon ask again,
// and in how many days.
func (d *Desk) TrustEnds(a Access) (days int, soon bool) {
	now, at := d.Clock.Now(), d.Night.location()
	if !a.trustEnds(now, at) {
		return 0, false
	}
	days, _ = a.TrustDaysLeft(now, at)
	return days, true
}

// WarnTrust tells the owners of accesses whose bank will soon ask again. A job
// runs it every hour; any number of processes may, any number of times: each
// warning is noted in the transaction that asks for its letter.
func (d *Desk) WarnTrust(ctx context.Context) (letters int, err error) {
	const page = 200
	for after := guichet.ID(""); ; {
		now := d.Clock.Now()
		ids, err := d.Store.TrustEnding(ctx, now, now.AddDate(0, 0, trustDays[0]+1), after, page)
		if err != nil {
			return letters, err
		}
		for _, id := range ids {
			after = id
			told := 0
			err := d.Store.Update(ctx, func(tx Tx) (err error) {
				told, err = d.warnTrust(tx, id)
				return err
			})
			if err != nil && guichet.KindOf(err) != guichet.NotFound {
				return letters, err
			}
			letters += told
		}
		if len(ids) < page {
			return letters, nil
		}
	}
}

func (d *Desk) warnTrust(tx Tx, access guichet.ID) (told int, err error) {
	c, err := tx.Find(Ref{Access: access})
	if err != nil {
		return 0, err
	}
	warning, days, due := c.Access.dueWarning(d.Clock.Now(), d.Night.location())
	if !due {
		return 0, nil // somebody else was faster, or it changed
	}
	c.Access.TrustWarned = warning
	if err := tx.SaveAccess(&c.Access); err != nil {
		return 0, err
	}
	data := map[string]string{"days": strconv.Itoa(days), "expires_at": c.Access.TrustedUntil.Format(time.RFC3339)}
	if err := d.audit(tx, guichet.System("bank.trust"), "access.trust_warned", access, data); err != nil {
		return 0, err
	}
	return 1, d.tell(tx, c.Access, "access_trust", data)
}

// JobTell asks for a letter to the owner of an access. Who they are, where they
// read, and how the bank is called, is for whoever writes it.
const JobTell = "bank.tell"

// TellArgs are the arguments of a JobTell. No secret is among them.
type TellArgs struct {
	Owner       guichet.ID        `json:"owner"`
	Access      guichet.ID        `json:"access"`
	Institution string            `json:"institution"`
	Label       string            `json:"label"`
	Template    string            `json:"template"`
	Data        map[string]string `json:"data"`
}

// tell asks for a letter. The key makes one letter of what is asked for twice.
func (d *Desk) tell(tx Tx, a Access, template string, data map[string]string) error {
	args := TellArgs{a.Owner, a.ID, a.Institution, a.Label, template, data}
	return tx.Enqueue(guichet.Job{
		Kind: JobTell, Key: template + "/" + a.ID.String() + "/" + cmp.Or(data["days"], data["at"]), Args: marshal(args), RunAt: d.Clock.Now(),
	})
}
