package bank

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"guichet"
)

// A Desk is the verbs of the window. Each verb that changes something is one
// transaction: the deed, its audit entry and its jobs are durable together or
// not at all, and nothing leaves the process before the commit. The bank is
// spoken to between two transactions, never inside one.
type Desk struct {
	Store      Store
	Clock      guichet.Clock
	Sealer     Sealer
	Connectors map[string]Connector
	Log        *slog.Logger
	Night      Window
	// DiscardUnfinished makes a page load remove creations that wait for an
	// answer, instead of offering to resume them.
	DiscardUnfinished bool
	Limits            Limits

	mu      sync.Mutex
	worker  string
	flights map[guichet.ID]*flight
	closed  bool
	ended   sync.WaitGroup
}

// Limits bound what a bank, a connector or a dead process may cost. Zero fields
// have the usual values.
type Limits struct {
	Run         time.Duration // of one run; 15 min
	Watch       time.Duration // of one run that waits for the phone; 11 min
	Beat        time.Duration // between two heartbeats; 800 ms
	Lease       time.Duration // without a heartbeat, a worker is dead; 10 s
	Grace       time.Duration // for a connector to stop when told to; 5 s
	Queued      time.Duration // without a worker, an attempt is abandoned; 10 min
	History     time.Duration // attempts are kept, but for the latest of each access; 7 days
	Runs        int           // at once in this process; 256
	Accounts    int           // in one run; 1,000
	Transaction int           // in one run; 500,000
}

func (d *Desk) limits() Limits {
	l := d.Limits
	l.Run = cmp.Or(l.Run, 15*time.Minute)
	l.Watch = cmp.Or(l.Watch, 11*time.Minute)
	l.Beat = cmp.Or(l.Beat, 800*time.Millisecond)
	l.Lease = cmp.Or(l.Lease, 10*time.Second)
	l.Grace = cmp.Or(l.Grace, 5*time.Second)
	l.Queued = cmp.Or(l.Queued, 10*time.Minute)
	l.History = cmp.Or(l.History, 7*24*time.Hour)
	l.Runs = cmp.Or(l.Runs, 256)
	l.Accounts = cmp.Or(l.Accounts, 1000)
	l.Transaction = cmp.Or(l.Transaction, 500_000)
	return l
}

// Errors of the verbs.
var (
	ErrNoInstitution     = &guichet.Error{Kind: guichet.Invalid, Code: "unknown_institution", Field: "institution", Reason: "No such institution can be reached from here."}
	ErrCredentialsNeeded = &guichet.Error{Kind: guichet.Invalid, Code: "credentials_needed", Field: "credentials", Reason: "The credentials of this access are not stored. Give them again."}
	ErrHasAccounts       = &guichet.Error{Kind: guichet.Conflict, Code: "access_has_accounts", Reason: "This access has accounts. Delete it if you mean it."}
)

// Kinds of jobs.
const (
	JobRun   = "bank.run"   // Perform: goes to the bank for an attempt
	JobPoll  = "bank.poll"  // Poll: starts what the night must fetch
	JobSweep = "bank.sweep" // Sweep, for everyone
)

// RunArgs are the arguments of a JobRun.
type RunArgs struct {
	Attempt guichet.ID `json:"attempt"`
}

// Institutions lists what can be reached, by name. A connector that cannot tell
// hides no other.
func (d *Desk) Institutions(ctx context.Context) ([]Institution, error) {
	var all []Institution
	for _, name := range slices.Sorted(maps.Keys(d.Connectors)) {
		list, err := d.Connectors[name].Institutions(ctx)
		if err != nil {
			d.Log.Warn("bank: a connector cannot list its institutions", "connector", name, "error", err)
			continue
		}
		for _, i := range list {
			i.Connector = name
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b Institution) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

func (d *Desk) institution(ctx context.Context, id string) (Institution, error) {
	all, err := d.Institutions(ctx)
	if err != nil {
		return Institution{}, err
	}
	for _, i := range all {
		if i.ID == id {
			return i, nil
		}
	}
	return Institution{}, ErrNoInstitution
}

// An Opening is the form of a new access.
type Opening struct {
	Institution string
	Label       string // empty: the institution's name
	Locale      string
	Fields      map[string]guichet.Secret
	// Lend: the credentials serve this attempt and are then forgotten.
	Lend bool
}

// Open creates an access and its first attempt, which a worker then takes. When
// the same person is already creating an access with this login, that one is
// returned, not a second question at the bank: created is then false.
func (d *Desk) Open(ctx context.Context, by guichet.Actor, o Opening) (c Case, created bool, err error) {
	inst, err := d.institution(ctx, o.Institution)
	if err != nil {
		return Case{}, false, err
	}
	if err := CheckFields(inst.Fields, o.Fields); err != nil {
		return Case{}, false, err
	}
	a, form, err := d.draft(by, inst, o)
	if err != nil {
		return Case{}, false, err
	}
	attempt := d.Clock.NewID()
	if form, err = d.Sealer.Seal("attempts", attempt.String(), "form", form); err != nil {
		return Case{}, false, err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		c, created = Case{Access: a}, true
		live, err := tx.LiveOn(a.Fingerprint)
		switch {
		case err == nil && live.Owner == a.Owner && live.Purpose == Create:
			created = false
			c, err = tx.Find(Ref{Attempt: live.ID})
			return err
		case err == nil:
			return ErrLoginBusy
		case !errors.Is(err, ErrNoAttempt):
			return err
		}
		if err := tx.SaveAccess(&c.Access); err != nil {
			return err
		}
		if err := d.audit(tx, by, "access.opened", a.ID, map[string]string{"institution": a.Institution}); err != nil {
			return err
		}
		c.Attempt = Attempt{ID: attempt, Purpose: Create, Trigger: ByPerson, Form: form}
		return d.begin(tx, by, &c)
	})
	return c, created, err
}

// draft is a new access as Open stores it, and what of its form may be shown
// again.
func (d *Desk) draft(by guichet.Actor, inst Institution, o Opening) (a Access, form []byte, err error) {
	a = Access{
		ID: d.Clock.NewID(), Owner: by.ID, Institution: inst.ID, Connector: inst.Connector,
		Label: cmp.Or(printable(o.Label, 100), inst.Name), Locale: cmp.Or(o.Locale, "fr"), Lent: o.Lend, CreatedAt: d.Clock.Now(),
	}
	if a.Fingerprint, err = d.Sealer.Fingerprint(loginParts(inst, o.Fields)...); err != nil {
		return Access{}, nil, err
	}
	if a.Credentials, err = d.Sealer.Seal("accesses", a.ID.String(), "credentials", marshalSecrets(o.Fields)); err != nil {
		return Access{}, nil, err
	}
	return a, marshal(openFields(inst.Fields, o.Fields)), nil
}

// begin stores a new attempt of c.Access, given its purpose and trigger, and the
// job that will take it.
func (d *Desk) begin(tx Tx, by guichet.Actor, c *Case) error {
	now := d.Clock.Now()
	a := &c.Attempt
	a.ID = cmp.Or(a.ID, d.Clock.NewID())
	a.Owner, a.AccessID, a.Fingerprint = c.Access.Owner, c.Access.ID, cmp.Or(a.Fingerprint, c.Access.Fingerprint)
	a.Institution, a.Label = c.Access.Institution, c.Access.Label
	a.State, a.Phase, a.CreatedAt, a.UpdatedAt = AttemptQueued, Starting, now, now
	c.Challenge = Challenge{}
	// The database refuses a second live attempt on the access or on the login.
	if err := tx.SaveAttempt(a); err != nil {
		return err
	}
	c.Access.Attempt = a.ID
	if err := tx.SaveAccess(&c.Access); err != nil {
		return err
	}
	detail := map[string]string{"attempt": a.ID.String(), "purpose": string(a.Purpose), "trigger": string(a.Trigger)}
	if err := d.audit(tx, by, "attempt.started", a.AccessID, detail); err != nil {
		return err
	}
	return d.queue(tx, *a, "start", now)
}

// queue asks for a worker. The key names what the worker is for, so that asking
// twice is asking once, and asking for the next thing while a worker is at it is
// not lost.
func (d *Desk) queue(tx Tx, a Attempt, what string, at time.Time) error {
	return tx.Enqueue(guichet.Job{Kind: JobRun, Key: a.ID.String() + "/" + what, Args: marshal(RunArgs{a.ID}), RunAt: at})
}

// A Refresh is a wish to fetch again from an access.
type Refresh struct {
	Access  guichet.ID
	Account guichet.ID // for RefreshBalance
	Purpose Purpose
	// Credentials, when given, serve this attempt, and replace those of the access
	// when the bank has let them in.
	Credentials map[string]guichet.Secret
	// Fields, when given, answer the question that stands instead.
	Fields map[string]guichet.Secret
	Key    string // idempotency key of the answer
}

// Fetch starts an attempt. When one is live already it is returned as it is:
// never a second question at the bank. With fields it answers the question of
// the access.
func (d *Desk) Fetch(ctx context.Context, by guichet.Actor, f Refresh) (c Case, started bool, err error) {
	if len(f.Fields) > 0 {
		c, err = d.answerAccess(ctx, by, f)
		return c, false, err
	}
	c, err = d.Store.Case(ctx, Ref{Access: f.Access})
	if err != nil {
		return c, false, err
	}
	if err := owned(by, c, ErrNoAccess); err != nil {
		return Case{}, false, err
	}
	typed, err := d.proposed(ctx, c.Access, f.Credentials)
	if err != nil {
		return Case{}, false, err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		started = false
		if c, err = tx.Find(Ref{Access: f.Access}); err != nil {
			return err
		}
		if c.Attempt.State.Live() {
			return d.takeOver(tx, by, &c, f, typed)
		}
		if c.Access.Credentials == nil && typed == nil {
			return ErrCredentialsNeeded
		}
		c.Attempt = Attempt{ID: d.Clock.NewID(), Purpose: f.Purpose, AccountID: f.Account, Trigger: ByPerson}
		if err := d.lend(&c.Attempt, typed); err != nil {
			return err
		}
		started = true
		return d.begin(tx, by, &c)
	})
	return c, started, err
}

// takeOver gives a queued poll to the person who is now there; any other live
// attempt stays what it is.
func (d *Desk) takeOver(tx Tx, by guichet.Actor, c *Case, f Refresh, typed *proposal) error {
	taken, _, err := c.Attempt.Apply(AttemptIsTakenOver, d.Clock.Now())
	if err != nil {
		return nil // not a queued poll
	}
	if typed != nil && typed.fingerprint != taken.Fingerprint {
		return ErrAttemptBusy // of another login
	}
	if err := d.lend(&taken, typed); err != nil {
		return err
	}
	taken.Purpose, taken.AccountID = f.Purpose, f.Account
	c.Attempt = taken
	if err := tx.SaveAttempt(&c.Attempt); err != nil {
		return err
	}
	return d.audit(tx, by, "attempt.taken_over", c.Access.ID, map[string]string{"attempt": taken.ID.String()})
}

// schedule says when the night comes back to an access.
func (d *Desk) schedule(a *Access, r RetryRule, notBefore time.Time) {
	a.NextPoll = time.Time{}
	if !a.HasAccounts || a.Connector == ByFile || a.Disabled || a.NightOff || a.Pause != "" || a.Lent {
		return
	}
	now := d.Clock.Now()
	a.NextPoll = r.NextPoll(now, d.Night.Next(now, d.Clock.Intn), notBefore, a.Failures)
}

// owned hides what is someone else's. Guichet itself may see all.
func owned(by guichet.Actor, c Case, missing error) error {
	owner := cmp.Or(c.Access.Owner, c.Attempt.Owner)
	if by.Kind != guichet.BySystem && (by.ID == "" || by.ID != owner) {
		return missing
	}
	return nil
}

func (d *Desk) audit(tx Tx, by guichet.Actor, deed string, access guichet.ID, detail map[string]string) error {
	return tx.Audit(guichet.AuditEntry{
		ID: d.Clock.NewID(), At: d.Clock.Now(), Actor: by, Deed: deed, Subject: Subject(access), Detail: string(marshal(detail)),
	})
}

// Subject is how alerts and audit entries name an access.
func Subject(access guichet.ID) string { return "access/" + access.String() }
