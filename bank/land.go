package bank

import (
	"context"
	"errors"
	"slices"
	"time"

	"guichet"
	"guichet/ledger"
)

// errFenced is returned when the attempt is no longer this worker's.
var errFenced = errors.New("bank: the attempt ended, or belongs to another worker")

// A landing is the end of one run, ready to be committed.
type landing struct {
	flight      *flight
	outcome     Outcome
	answered    guichet.ID    // the question this run answered; empty for none
	question    guichet.ID    // the id that the next question will have
	credentials []byte        // typed for this attempt, sealed for the access; nil: none, or not to be kept
	session     []byte        // sealed for the access; nil: none came
	asked       []byte        // the same, sealed for the next question
	forgets     time.Time     // when the bank forgets the session
	trusts      time.Duration // for how long the institution does not ask again
	complete    bool          // the lists hold all there is
	since       ledger.Date
	accounts    []ledger.Account
	entries     [][]ledger.Transaction
	incomplete  map[string]bool // accounts the run warned about
	warnings    []Warning
}

// land commits the end of a run: the attempt, the question, the access with its
// session, the money, the audit — all of it in one transaction, and only while
// the lease is still ours. Otherwise nothing of the run exists.
func (d *Desk) land(ctx context.Context, f *flight, c Case, r Result) error {
	l, err := d.approach(ctx, f, c, r)
	if err != nil {
		return err
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		now, err := tx.Find(Ref{Attempt: f.attempt})
		if err != nil {
			return err
		}
		a := now.Attempt
		if !a.State.Live() || a.Worker != d.workerName() || a.Epoch != f.epoch {
			return errFenced
		}
		return d.settle(tx, &now, l)
	})
	if errors.Is(err, errFenced) || errors.Is(err, ErrNoAttempt) {
		d.Log.Info("bank: a run ended after its attempt", "attempt", f.attempt)
		return nil
	}
	return err
}

// approach prepares all that needs no transaction.
func (d *Desk) approach(ctx context.Context, f *flight, c Case, r Result) (landing, error) {
	l := landing{flight: f, outcome: r.Outcome, question: d.Clock.NewID(), forgets: r.StateExpires, incomplete: map[string]bool{}}
	if c.Challenge.Status == StatusAnswering {
		l.answered = c.Challenge.ID
	}
	// A list that is slow to come must not cost the data.
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if inst, err := d.institution(soon, c.Access.Institution); err == nil {
		l.trusts = inst.Trusts
	}
	if r.State != "" {
		var err error
		plain := []byte(r.State.Reveal())
		if l.session, err = d.Sealer.Seal("accesses", c.Access.ID.String(), "session", plain); err != nil {
			return l, err
		}
		if l.asked, err = d.Sealer.Seal("challenges", l.question.String(), "session", plain); err != nil {
			return l, err
		}
	}
	if len(c.Attempt.Credentials) > 0 && !c.Access.Lent && r.Outcome.Kind.Class() == Done {
		plain, err := d.openCredentials(c)
		if err != nil {
			return l, err
		}
		if l.credentials, err = d.Sealer.Seal("accesses", c.Access.ID.String(), "credentials", plain); err != nil {
			return l, err
		}
	}
	s := f.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	l.accounts, l.entries, l.warnings = s.accounts, s.transactions, s.warnings
	for _, w := range s.warnings {
		l.incomplete[w.Account] = true
	}
	l.complete = r.Outcome.Kind == OK && c.Attempt.Purpose != RefreshBalance
	if c.sameLogin() && !c.Access.LastSuccess.IsZero() {
		l.since = ledger.DateOf(c.Access.LastSuccess.AddDate(0, 0, -31))
	}
	return l, nil
}

// settle applies the law of outcomes. Everything in it is inside tx: if we die
// anywhere here, the lease ends and the attempt is as it was.
func (d *Desk) settle(tx Tx, c *Case, l landing) error {
	now := d.Clock.Now()
	var answered Challenge
	if l.answered != "" {
		if c.Challenge.ID != l.answered || c.Challenge.Status != StatusAnswering {
			return errFenced
		}
		answered = c.Challenge
	}
	s := Settle(l.outcome, c.Attempt, answered, now)
	if s.Challenge != "" {
		if err := d.moveQuestion(tx, c, s, now); err != nil {
			return err
		}
		answered = c.Challenge
	}
	a := &c.Attempt
	a.Outcome, a.Reason, a.Text = s.Outcome.Kind, s.Outcome.Reason, s.Outcome.Text
	a.BadFields, a.RetryAfter, a.Warnings = s.Outcome.BadFields, s.Outcome.RetryAfter, l.warnings

	moved, effects, err := a.Apply(s.Attempt, now)
	if err != nil {
		return err
	}
	*a = moved
	if s.Attempt == AttemptAsks {
		if err := d.ask(tx, c, *s.Outcome.Question, answered, l); err != nil {
			return err
		}
	}
	if slices.Contains(effects, CommitData) {
		if err := d.commit(tx, c, l); err != nil {
			return err
		}
	}
	running := c.Access.Pause == ""
	d.settleAccess(c, s, l, now)
	if running && c.Access.Pause == PausedForAnswer && c.Attempt.Trigger == ByPoll {
		// Nobody is there to see it on a page.
		if err := d.tell(tx, c.Access, "access_waiting", map[string]string{"at": now.Format(time.RFC3339)}); err != nil {
			return err
		}
	}
	if err := d.alarm(tx, c, s, now); err != nil {
		return err
	}
	return d.carryOut(tx, guichet.System("bank"), c, effects)
}

// moveQuestion applies what the outcome does to the question that was answered.
func (d *Desk) moveQuestion(tx Tx, c *Case, s Settlement, now time.Time) error {
	if left := s.Outcome.TriesLeft; s.Challenge == ChallengeRejected && left >= 0 {
		c.Challenge.Max = min(c.Challenge.Max, c.Challenge.Used+left)
	}
	moved, effects, err := c.Challenge.Apply(s.Challenge, now)
	if err != nil {
		return err
	}
	moved.LastOutcome, moved.LastText = s.Outcome.Kind, s.Outcome.Text
	c.Challenge = moved
	if slices.Contains(effects, QueuePoll) {
		// The phone is asked again a little later, the bank being in trouble.
		if err := d.queue(tx, c.Attempt, c.Challenge.ID.String(), now.Add(pollAgain)); err != nil {
			return err
		}
	}
	return tx.SaveChallenge(&c.Challenge)
}

const pollAgain = 10 * time.Second

// ask stores the bank's question. From the commit on it waits in the database,
// and anyone who reads the attempt sees it.
func (d *Desk) ask(tx Tx, c *Case, q Question, previous Challenge, l landing) error {
	now := d.Clock.Now()
	c.Challenge = Ask(l.question, c.Attempt, q, previous, now)
	c.Challenge.Session = l.asked
	if f := l.forgets; f.After(now) && f.Before(now.Add(longestQuestion)) && f.Before(c.Challenge.Deadline) {
		c.Challenge.Deadline = f
	}
	c.Attempt.Challenge = c.Challenge.ID
	if err := tx.SaveChallenge(&c.Challenge); err != nil {
		return err
	}
	detail := map[string]string{"attempt": c.Attempt.ID.String(), "question": c.Challenge.ID.String(), "method": string(q.Method)}
	if err := d.audit(tx, guichet.System("bank"), "question.asked", c.Access.ID, detail); err != nil {
		return err
	}
	if !c.Challenge.Typed() {
		return d.queue(tx, c.Attempt, c.Challenge.ID.String(), now)
	}
	return nil
}

// settleAccess is what an outcome does to the access: session, pause, schedule.
func (d *Desk) settleAccess(c *Case, s Settlement, l landing, now time.Time) {
	access, done := &c.Access, s.Outcome.Kind.Class() == Done
	if done {
		access.accept(c.Attempt, l)
	}
	// Until the bank has let a new login in, or someone back, what is kept is the
	// old one's, or nothing.
	if s.Session == SessionReplaced && l.session != nil && c.sameLogin() && !access.Disabled {
		access.Session, access.SessionExpires = l.session, l.forgets
	}
	if s.Pause != "" {
		access.Pause = s.Pause
	}
	if s.Resume {
		access.Pause = ""
	}
	if wantsPerson(s.Outcome) {
		access.TrustedUntil, access.TrustWarned = time.Time{}, 0 // it said so
	}
	if c.Attempt.State.Live() {
		d.schedule(access, RetryNightly, time.Time{})
		return
	}
	if done {
		access.LastSuccess, access.Failures = now, 0
		if c.Attempt.Challenge != "" && c.Challenge.Question.strong() {
			access.StrongAt = now
		}
		access.TrustedUntil = access.trust(l.trusts, now)
		if !access.trustEnds(now, d.Night.location()) {
			access.TrustWarned = 0
		}
	} else {
		access.Failures++
	}
	d.schedule(access, s.Retry, s.Outcome.RetryAfter)
}

// accept makes the credentials of a run that the bank let in those of the access.
func (a *Access) accept(attempt Attempt, l landing) {
	if len(attempt.Credentials) == 0 {
		return
	}
	if a.Fingerprint != attempt.Fingerprint {
		a.Fingerprint = attempt.Fingerprint
		a.forget()
	}
	a.Disabled = false
	if l.credentials != nil {
		a.Credentials = l.credentials
	}
}

// alarm calls an operator when a connector needs one, once a day and access.
func (d *Desk) alarm(tx Tx, c *Case, s Settlement, now time.Time) error {
	if c.Attempt.State.Live() || s.Outcome.Kind.Class() != Broken {
		return nil
	}
	subject := Subject(c.Attempt.AccessID)
	return tx.Alert(guichet.Alert{
		ID: d.Clock.NewID(), Kind: "connector_broken", Subject: subject, OpenedAt: now,
		Once: "connector_broken/" + subject + "/" + string(ledger.DateOf(now)),
		Detail: string(marshal(map[string]string{
			"institution": c.Attempt.Institution, "attempt": c.Attempt.ID.String(), "reason": s.Outcome.Reason,
		})),
	})
}

// commit turns what the run staged into rows.
func (d *Desk) commit(tx Tx, c *Case, l landing) error {
	known, err := tx.Accounts(c.Access.ID)
	if err != nil {
		return err
	}
	today := ledger.DateOf(d.Clock.Now())
	var money Money
	byRef := map[string]guichet.ID{} // accounts that get transactions
	pairing := ledger.MatchAccounts(known, l.accounts)
	for _, account := range pairing.Change {
		if c.Attempt.Purpose == RefreshBalance && account.ID != c.Attempt.AccountID {
			continue
		}
		money.Accounts = append(money.Accounts, account)
		byRef[account.Ref] = account.ID
	}
	if c.Attempt.Purpose == Create || c.Attempt.Purpose == RefreshAccounts {
		for _, account := range pairing.Insert {
			account.ID, account.AccessID = d.Clock.NewID(), c.Access.ID
			money.NewAccounts = append(money.NewAccounts, account)
			byRef[account.Ref] = account.ID
		}
	}
	if l.complete && len(l.accounts) > 0 {
		for _, account := range pairing.Missing {
			if !account.Missing {
				account.Missing = true
				money.Accounts = append(money.Accounts, account)
			}
		}
	}
	c.Attempt.Counts = Counts{Accounts: len(l.accounts)}
	if c.Attempt.Purpose != RefreshBalance {
		for i, account := range l.accounts {
			id, ok := byRef[account.Ref]
			if !ok {
				continue
			}
			coverage := ledger.Coverage{Complete: l.complete && !l.incomplete[account.Ref] && !l.incomplete[""], Since: l.since}
			if err := d.merge(tx, c, &money, id, l.entries[i], coverage, today); err != nil {
				return err
			}
		}
	}
	c.Access.HasAccounts = len(known)+len(money.NewAccounts) > 0
	return tx.SaveMoney(money)
}

// merge adds to money what a list of transactions changes in an account.
func (d *Desk) merge(tx Tx, c *Case, money *Money, account guichet.ID, fetched []ledger.Transaction, coverage ledger.Coverage, today ledger.Date) error {
	oldest := today
	for _, t := range fetched {
		if day := t.Day(); day != "" && day < oldest {
			oldest = day
		}
	}
	known, err := tx.Transactions(account, oldest)
	if err != nil {
		return err
	}
	plan := ledger.Merge(known, fetched, coverage)
	money.NewTransactions = slices.Grow(money.NewTransactions, len(plan.Insert))
	for _, t := range plan.Insert {
		t.ID, t.AccountID, t.SeenOn = d.Clock.NewID(), account, today
		money.NewTransactions = append(money.NewTransactions, t)
	}
	money.Transactions = append(money.Transactions, plan.Change...)
	n := &c.Attempt.Counts
	n.Added, n.Known, n.Promoted = n.Added+len(plan.Insert), n.Known+plan.Known, n.Promoted+plan.Promoted
	return nil
}
