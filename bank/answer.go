package bank

import (
	"context"
	"errors"
	"slices"
	"time"

	"guichet"
)

// A Reply is what a person answers to a question of the bank.
type Reply struct {
	Challenge guichet.ID
	// Version is the question as the person saw it; 0: as it stands.
	Version int64
	// Key is the idempotency key: the same one again is the same answer. Empty:
	// none.
	Key string
	// Fields hold the code. They are never stored: they live in the memory of the
	// process that speaks to the bank, and nowhere else.
	Fields map[string]guichet.Secret
	// Resend asks for the code again instead.
	Resend bool
}

// Answer gives a person's answer to the bank. When it returns, the answer is
// taken and a worker of this process is on its way with it; [Desk.Wait] tells
// how that ends. The case is returned with an error too, as it now stands:
//
//   - ErrChanged, ErrQuestionBusy: another answer won;
//   - ErrQuestionExpired: too late, and the attempt has ended;
//   - an error with a Field: that field does not fit, and no try was spent.
func (d *Desk) Answer(ctx context.Context, by guichet.Actor, r Reply) (c Case, err error) {
	var refusal error // refused, yet something was written
	var takeoff bool
	if r.Key != "" {
		// Hashed, because nothing keeps a client from using the code as its key.
		if r.Key, err = d.Sealer.Fingerprint("answer", r.Challenge.String(), r.Key); err != nil {
			return Case{}, err
		}
	}
	err = d.Store.Update(ctx, func(tx Tx) error {
		refusal, takeoff = nil, false
		if c, err = tx.Find(Ref{Challenge: r.Challenge}); err != nil {
			return err
		}
		if err := owned(by, c, ErrNoQuestion); err != nil {
			c = Case{}
			return err
		}
		if r.Key != "" && slices.Contains(c.Challenge.Keys, r.Key) {
			c = standing(tx, c)
			return nil // the same request again
		}
		if overdue(c, d.Clock.Now()) {
			refusal = ErrQuestionExpired
			return d.expire(tx, &c)
		}
		takeoff, err = d.takeAnswer(tx, by, &c, r)
		if errors.Is(err, ErrQuestionOver) {
			c = standing(tx, c)
		}
		return err
	})
	if err == nil {
		err = refusal
	}
	if takeoff && err == nil {
		// If we die from here on, the code is lost with us. The try is counted, the
		// lease ends, and the sweeper puts the question back.
		d.launch(c, &Answer{Method: c.Challenge.Question.Method, Fields: r.Fields, Resend: r.Resend})
	}
	return c, err
}

// standing is the case with the question that stands now, where another one has
// followed the one that was answered.
func standing(tx Tx, c Case) Case {
	if c.Challenge.Status.Live() || !c.Attempt.State.Live() {
		return c
	}
	now, err := tx.Find(Ref{Attempt: c.Attempt.ID})
	if err != nil {
		return c
	}
	return now
}

// takeAnswer moves the question and the attempt, and takes the lease, before
// anyone speaks to the bank.
func (d *Desk) takeAnswer(tx Tx, by guichet.Actor, c *Case, r Reply) (takeoff bool, err error) {
	now := d.Clock.Now()
	event, deed := ChallengeAnswered, "question.answered"
	if r.Resend {
		event, deed = ChallengeResent, "question.resent"
	}
	if !c.Challenge.Typed() && c.Challenge.Status == StatusAnswering && !r.Resend {
		return false, nil // a worker watches the phone already
	}
	if r.Version != 0 && r.Version != c.Challenge.Version && c.Challenge.Status.Live() {
		return false, ErrChanged
	}
	moved, effects, err := c.Challenge.Apply(event, now)
	if err != nil {
		return false, err
	}
	if event == ChallengeAnswered && moved.Typed() {
		if err := CheckFields(moved.Question.Fields, r.Fields); err != nil {
			return false, err
		}
		if err := d.checkReturn(c.Challenge, r.Fields); err != nil {
			return false, err
		}
	}
	if r.Key != "" {
		moved.Keys = append(slices.Clone(moved.Keys), r.Key)
	}
	c.Challenge = moved
	if err := tx.SaveChallenge(&c.Challenge); err != nil {
		return false, err
	}
	detail := map[string]string{"attempt": c.Attempt.ID.String(), "question": c.Challenge.ID.String()}
	if err := d.audit(tx, by, deed, c.Access.ID, detail); err != nil {
		return false, err
	}
	if slices.Contains(effects, QueuePoll) {
		return false, d.queue(tx, c.Attempt, c.Challenge.ID.String(), now)
	}
	return true, d.hold(tx, c, AttemptAnswered)
}

// hold gives the lease of an attempt to this process, with a fence that no
// earlier worker can pass.
func (d *Desk) hold(tx Tx, c *Case, e AttemptEvent) error {
	now := d.Clock.Now()
	held, _, err := c.Attempt.Apply(e, now)
	if err != nil {
		return err
	}
	held.Worker, held.Epoch, held.LeaseUntil = d.workerName(), held.Epoch+1, now.Add(d.limits().Lease)
	c.Attempt = held
	return tx.SaveAttempt(&c.Attempt)
}

// answerAccess answers the question of an access, whichever stands.
func (d *Desk) answerAccess(ctx context.Context, by guichet.Actor, f Refresh) (Case, error) {
	c, err := d.Store.Case(ctx, Ref{Access: f.Access})
	if errors.Is(err, ErrNoAccess) {
		// A creation that ended: who comes late is told why.
		if c, err = d.Store.Case(ctx, Ref{Former: f.Access}); err != nil {
			return Case{}, ErrNoAccess
		}
	}
	if err != nil {
		return Case{}, err
	}
	if err := owned(by, c, ErrNoAccess); err != nil {
		return Case{}, err
	}
	if c.Challenge.ID == "" {
		return c, ErrNoneWaiting
	}
	return d.Answer(ctx, by, Reply{Challenge: c.Challenge.ID, Key: f.Key, Fields: f.Fields})
}

// Resend asks the bank for the code again, where it can. The question is then
// replaced by another one.
func (d *Desk) Resend(ctx context.Context, by guichet.Actor, challenge guichet.ID, version int64, key string) (Case, error) {
	return d.Answer(ctx, by, Reply{Challenge: challenge, Version: version, Key: key, Resend: true})
}

// Cancel ends an attempt because a person gave up. A creation goes with its
// access and every secret of it; a refresh only stops, and all that was there
// stays as it was. Cancelling what has ended changes nothing.
func (d *Desk) Cancel(ctx context.Context, by guichet.Actor, attempt guichet.ID) (c Case, err error) {
	err = d.Store.Update(ctx, func(tx Tx) error {
		if c, err = tx.Find(Ref{Attempt: attempt}); err != nil {
			return err
		}
		if err := owned(by, c, ErrNoAttempt); err != nil {
			c = Case{}
			return err
		}
		if !c.Attempt.State.Live() {
			return nil
		}
		return d.giveUp(tx, by, &c)
	})
	if err == nil {
		// The rows say it is over; whoever still speaks to the bank can write
		// nothing. Here it stops now, in another process at its next heartbeat.
		d.stop(attempt, errStopped)
	}
	return c, err
}

func (d *Desk) giveUp(tx Tx, by guichet.Actor, c *Case) error {
	c.Attempt.Outcome, c.Attempt.Reason = Cancelled, ReasonUser
	return d.move(tx, by, c, AttemptIsCancelled)
}

// Discard removes an unfinished creation, its question and its secrets.
func (d *Desk) Discard(ctx context.Context, by guichet.Actor, access guichet.ID) (err error) {
	var c Case
	err = d.Store.Update(ctx, func(tx Tx) error {
		if c, err = tx.Find(Ref{Access: access}); err != nil {
			return err
		}
		if err := owned(by, c, ErrNoAccess); err != nil {
			return err
		}
		switch {
		case c.Access.HasAccounts:
			return ErrHasAccounts
		case c.Attempt.State.Live():
			return d.giveUp(tx, by, &c)
		default:
			return d.drop(tx, by, &c)
		}
	})
	if err == nil {
		d.stop(c.Attempt.ID, errStopped)
	}
	return err
}

// Resume gives the question of an unfinished creation back to the person, or
// says that it is too late.
func (d *Desk) Resume(ctx context.Context, by guichet.Actor, access guichet.ID) (Case, error) {
	c, err := d.Store.Case(ctx, Ref{Access: access})
	if err != nil {
		return Case{}, err
	}
	if err := owned(by, c, ErrNoAccess); err != nil {
		return Case{}, err
	}
	if !c.Answerable(d.Clock.Now()) {
		return c, ErrQuestionExpired
	}
	return c, nil
}

// Delete removes an access and everything below it, history included.
func (d *Desk) Delete(ctx context.Context, by guichet.Actor, access guichet.ID) error {
	var c Case
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		if c, err = tx.Find(Ref{Access: access}); err != nil {
			return err
		}
		if err := owned(by, c, ErrNoAccess); err != nil {
			return err
		}
		if err := tx.Delete(c.Access, true); err != nil {
			return err
		}
		return d.audit(tx, by, "access.deleted", access, map[string]string{"institution": c.Access.Institution})
	})
	if err == nil {
		d.stop(c.Attempt.ID, errStopped)
	}
	return err
}

// drop removes an access that has no account. Its attempts stay a while: they
// say what happened.
func (d *Desk) drop(tx Tx, by guichet.Actor, c *Case) error {
	if err := tx.Delete(c.Access, false); err != nil {
		return err
	}
	err := d.audit(tx, by, "access.dropped", c.Access.ID, map[string]string{"attempt": c.Attempt.ID.String()})
	c.Access = Access{}
	return err
}

// move ends an attempt, or puts it back to where a person or a worker must act,
// and does all that follows from it but the money. The outcome is set before.
func (d *Desk) move(tx Tx, by guichet.Actor, c *Case, e AttemptEvent) error {
	moved, effects, err := c.Attempt.Apply(e, d.Clock.Now())
	if err != nil {
		return err
	}
	c.Attempt = moved
	return d.carryOut(tx, by, c, effects)
}

// carryOut does the effects of the attempt machine and writes the case. The
// access may be gone when it returns.
func (d *Desk) carryOut(tx Tx, by guichet.Actor, c *Case, effects []Effect) error {
	drop := false
	for _, effect := range effects {
		switch effect {
		case CloseQuestion:
			if err := d.closeQuestion(tx, c); err != nil {
				return err
			}
		case WipeLent:
			if c.Access.Lent {
				c.Access.Credentials = nil
				c.Access.forget()
			}
		case DropIfEmpty:
			drop = c.Access.ID != "" && !c.Access.HasAccounts
		case QueueRun:
			if err := d.queue(tx, c.Attempt, "start", d.Clock.Now()); err != nil {
				return err
			}
		}
	}
	if !c.Attempt.State.Live() {
		c.Attempt.Credentials = nil
	}
	if !c.Attempt.State.Live() && c.Access.ID != "" && !drop {
		c.Attempt.Form = nil // nobody has to type it again
	}
	if err := tx.SaveAttempt(&c.Attempt); err != nil {
		return err
	}
	if !c.Attempt.State.Live() {
		detail := map[string]string{"attempt": c.Attempt.ID.String(), "state": string(c.Attempt.State), "outcome": string(c.Attempt.Outcome)}
		if err := d.audit(tx, by, "attempt."+string(c.Attempt.State), c.Attempt.AccessID, detail); err != nil {
			return err
		}
	}
	switch {
	case drop:
		return d.drop(tx, by, c)
	case c.Access.ID == "":
		return nil
	}
	if !c.Attempt.State.Live() && !c.Access.NextPoll.After(d.Clock.Now()) {
		d.schedule(&c.Access, RetryNightly, time.Time{}) // a poll that ended is not due any more
	}
	return tx.SaveAccess(&c.Access)
}

// closeQuestion ends a question that still stands when its attempt ends.
func (d *Desk) closeQuestion(tx Tx, c *Case) error {
	if !c.Challenge.Status.Live() || c.Challenge.AttemptID != c.Attempt.ID {
		return nil
	}
	now := d.Clock.Now()
	closed, _, err := c.Challenge.Apply(ChallengeTimesOut, now)
	if err != nil {
		closed, _, err = c.Challenge.Apply(ChallengeIsCancelled, now)
	}
	if err != nil {
		return err
	}
	c.Challenge = closed
	return tx.SaveChallenge(&c.Challenge)
}

// overdue tells whether a question waits past its deadline.
func overdue(c Case, now time.Time) bool {
	return c.Attempt.State == AttemptWaiting && c.Challenge.Status == StatusOpen && !now.Before(c.Challenge.Deadline)
}

// expire ends an attempt whose question is past its deadline.
func (d *Desk) expire(tx Tx, c *Case) error {
	c.Attempt.Outcome, c.Attempt.Reason = ChallengeExpired, ""
	return d.move(tx, guichet.System("bank"), c, AttemptExpires)
}

// Causes of the end of a run that is not the bank's.
var (
	errStopped  = errors.New("bank: the attempt ended elsewhere")
	errDeadline = errors.New("bank: the run took too long")
	errShutdown = errors.New("bank: the process stops")
)
