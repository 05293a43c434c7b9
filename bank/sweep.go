package bank

import (
	"context"
	"errors"
	"time"

	"guichet"
)

// Swept counts what a sweep did.
type Swept struct {
	Expired int // questions past their deadline
	Revived int // attempts whose worker died
	Removed int // accesses without account that nobody can bring to their end
}

// Sweep puts right what time and crashes left behind: of one person at every
// page load, of everyone (an empty owner) on a timer. It decides from the rows
// alone, so any process may do it, at any time, as often as it likes.
func (d *Desk) Sweep(ctx context.Context, owner guichet.ID) (swept Swept, err error) {
	// The seed's literal rule applies when a person loads a page, never to the
	// timer: it would take the question from under someone who is typing.
	discard := d.DiscardUnfinished && owner != ""
	const page = 200
	for {
		now := d.Clock.Now()
		ids, err := d.Store.Stale(ctx, StaleFilter{
			Owner: owner, Now: now, QueuedSince: now.Add(-d.limits().Queued), Drafts: discard, Limit: page,
		})
		if err != nil {
			return swept, err
		}
		done := 0
		for _, id := range ids {
			// Each in its own transaction: if we die between two, the next sweep goes on.
			one, err := d.sweepOne(ctx, id, discard)
			if err != nil {
				return swept, err
			}
			if one != (Swept{}) {
				done++
			}
			swept.Expired += one.Expired
			swept.Revived += one.Revived
			swept.Removed += one.Removed
		}
		if len(ids) < page || done == 0 {
			break
		}
	}
	if owner == "" {
		_, err = d.Store.Purge(ctx, d.Clock.Now().Add(-d.limits().History))
	}
	return swept, err
}

func (d *Desk) sweepOne(ctx context.Context, access guichet.ID, discard bool) (swept Swept, err error) {
	by := guichet.System("bank.sweep")
	var ended guichet.ID
	err = d.Store.Update(ctx, func(tx Tx) error {
		swept, ended = Swept{}, ""
		c, err := tx.Find(Ref{Access: access})
		if errors.Is(err, ErrNoAccess) {
			return nil
		}
		if err != nil {
			return err
		}
		draft := !c.Access.HasAccounts
		switch now := d.Clock.Now(); {
		case overdue(c, now):
			swept.Expired++
			err = d.expire(tx, &c)
		case c.Attempt.State == AttemptQueued && c.Attempt.UpdatedAt.Before(now.Add(-d.limits().Queued)):
			swept.Revived++
			c.Attempt.Outcome, c.Attempt.Reason = Cancelled, ReasonShutdown
			err = d.move(tx, by, &c, AttemptIsAbandoned)
		case c.Attempt.State.Live() && c.Attempt.Worker != "" && !c.Attempt.Leased(now):
			swept.Revived++
			err = d.revive(tx, by, &c, now)
		case draft && discard && c.Attempt.State == AttemptWaiting:
			err = d.giveUp(tx, by, &c)
		case draft && !c.Attempt.State.Live():
			err = d.drop(tx, by, &c)
		}
		if draft && c.Access.ID == "" {
			swept.Removed++
		}
		if !c.Attempt.State.Live() {
			ended = c.Attempt.ID
		}
		return err
	})
	if err == nil && ended != "" {
		d.stop(ended, errStopped)
	}
	return swept, err
}

// revive takes an attempt from a worker that is believed dead. If it is not, its
// fence stops it: it can write nothing any more.
func (d *Desk) revive(tx Tx, by guichet.Actor, c *Case, now time.Time) error {
	c.Attempt.Outcome, c.Attempt.Reason = Cancelled, ReasonShutdown
	if c.Challenge.Status != StatusAnswering {
		return d.move(tx, by, c, AttemptLosesWorker)
	}
	s := Settle(Outcome{Kind: Cancelled, Reason: ReasonShutdown}, c.Attempt, c.Challenge, now)
	if err := d.moveQuestion(tx, c, s, now); err != nil {
		return err
	}
	return d.move(tx, by, c, s.Attempt)
}

// Poll starts an attempt for every access that the night may fetch now. It asks
// nothing of anyone, and an access whose bank asks is paused.
func (d *Desk) Poll(ctx context.Context) (started int, err error) {
	by := guichet.System("bank.poll")
	for {
		const page = 200
		ids, err := d.Store.Pollable(ctx, d.Clock.Now(), page)
		if err != nil {
			return started, err
		}
		before := started
		for _, id := range ids {
			err := d.Store.Update(ctx, func(tx Tx) error {
				c, err := tx.Find(Ref{Access: id})
				if err != nil {
					return err
				}
				if !c.Access.Pollable(d.Clock.Now()) || c.Attempt.State.Live() {
					return errNotNow
				}
				c.Attempt = Attempt{Purpose: RefreshAccounts, Trigger: ByPoll}
				return d.begin(tx, by, &c)
			})
			switch {
			case err == nil:
				started++
			case errors.Is(err, errNotNow), errors.Is(err, ErrLoginBusy), errors.Is(err, ErrNoAccess):
			default:
				return started, err
			}
		}
		if len(ids) < page || started == before {
			return started, nil
		}
	}
}

var errNotNow = errors.New("bank: not to be polled now")

// Wait returns when done says so of the attempt, or when ctx ends: then with the
// case as it stands and no error.
func (d *Desk) Wait(ctx context.Context, by guichet.Actor, attempt guichet.ID, done func(Case) bool) (Case, error) {
	// Other processes are not heard, so we also look.
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for {
		moved := d.Store.Changed(by.ID)
		c, err := d.Store.Case(context.WithoutCancel(ctx), Ref{Attempt: attempt})
		if err != nil {
			return c, err
		}
		if err := owned(by, c, ErrNoAttempt); err != nil {
			return Case{}, err
		}
		if done(c) {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return c, nil
		case <-moved:
		case <-look.C:
		}
	}
}

// AtRest tells whether nothing more comes without a person: the attempt ended,
// or the bank asks something.
func AtRest(c Case) bool {
	return !c.Attempt.State.Live() || c.Attempt.State == AttemptWaiting
}

// Over tells whether nothing more comes without something typed: like [AtRest],
// but a validation on the phone is waited for.
func Over(c Case) bool {
	return !c.Attempt.State.Live() || c.Attempt.State == AttemptWaiting && c.Challenge.Typed()
}

// Attempt is one attempt, with its question.
func (d *Desk) Attempt(ctx context.Context, by guichet.Actor, id guichet.ID) (Case, error) {
	return d.Wait(ctx, by, id, func(Case) bool { return true })
}
