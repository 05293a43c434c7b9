package bank

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"guichet"
	"guichet/ledger"
)

// A flight is one run of this process: from the lease to the commit of what it
// brought, or to nothing.
type flight struct {
	attempt guichet.ID
	epoch   int64
	stop    context.CancelCauseFunc
	stage   *stage
}

// Perform takes an attempt that waits for a worker and goes to the bank with it,
// in the background: when it returns, this process holds the lease. It is what a
// JobRun does. It bears being called again, and by several processes: one takes
// the attempt, the others find nothing to do.
func (d *Desk) Perform(ctx context.Context, attempt guichet.ID) error {
	if !d.room() {
		return errFull
	}
	var c Case
	var takeoff bool
	err := d.Store.Update(ctx, func(tx Tx) (err error) {
		takeoff = false
		if c, err = tx.Find(Ref{Attempt: attempt}); err != nil {
			return err
		}
		takeoff, err = d.takeRun(tx, &c)
		return err
	})
	switch {
	case errors.Is(err, ErrNoAttempt):
		return nil // deleted meanwhile
	case err != nil || !takeoff:
		return err
	}
	// If we die from here on, the lease ends and the sweeper decides: a poll goes
	// again, a person is told and goes again if they want.
	var answer *Answer
	if c.Challenge.Status == StatusAnswering {
		answer = &Answer{Method: c.Challenge.Question.Method}
	}
	d.launch(c, answer)
	return nil
}

var errFull = &guichet.Error{Kind: guichet.TooMany, Code: "too_many_runs", Reason: "This process speaks to as many banks as it may. It will come."}

// takeRun takes the lease when the attempt waits for a worker.
func (d *Desk) takeRun(tx Tx, c *Case) (bool, error) {
	now := d.Clock.Now()
	switch {
	case c.Attempt.State == AttemptQueued:
		return true, d.hold(tx, c, AttemptBegins)
	case overdue(*c, now):
		return false, d.expire(tx, c)
	case c.Attempt.State == AttemptWaiting && c.Challenge.Status == StatusOpen && !c.Challenge.Typed():
		moved, _, err := c.Challenge.Apply(ChallengePolled, now)
		if err != nil {
			return false, err
		}
		c.Challenge = moved
		if err := tx.SaveChallenge(&c.Challenge); err != nil {
			return false, err
		}
		return true, d.hold(tx, c, AttemptWatches)
	}
	return false, nil // it ended, or someone is at it
}

// launch starts the flight of an attempt whose lease this process holds.
func (d *Desk) launch(c Case, answer *Answer) {
	l := d.limits()
	ctx, stop := context.WithCancelCause(context.Background())
	f := &flight{attempt: c.Attempt.ID, epoch: c.Attempt.Epoch, stop: stop, stage: newStage(l)}
	d.mu.Lock()
	if d.closed {
		stop(errShutdown) // it lands at once, with the outcome of a shutdown
	}
	if d.flights == nil {
		d.flights = map[guichet.ID]*flight{}
	}
	if former := d.flights[f.attempt]; former != nil {
		former.stop(errStopped) // its lease was lost, and so is whatever it brings
	}
	d.flights[f.attempt] = f
	d.ended.Add(1)
	d.mu.Unlock()
	go func() {
		defer d.ended.Done()
		defer d.forget(f)
		defer stop(nil)
		d.fly(ctx, f, c, answer)
	}()
}

func (d *Desk) fly(ctx context.Context, f *flight, c Case, answer *Answer) {
	l := d.limits()
	limit := l.Run
	if answer != nil && answer.Method == Decoupled && !answer.Resend {
		limit = min(l.Watch, c.Challenge.Deadline.Sub(d.Clock.Now())+30*time.Second)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errDeadline)
	defer cancel()
	// The lease is kept until the landing, also while a connector is being stopped.
	// The run is over when its heart is still: nothing is written for it after that,
	// and Stop may be followed by the end of the database.
	beating, quiet := context.WithCancel(context.WithoutCancel(ctx))
	var heart sync.WaitGroup
	heart.Go(func() { d.beat(beating, f) })
	defer heart.Wait()
	defer quiet()

	result := d.speak(ctx, f, c, answer)
	f.stage.close()
	cause := context.Cause(ctx)
	if errors.Is(cause, errStopped) {
		return // it ended elsewhere: nothing of this run counts
	}
	if class := result.Outcome.Kind.Class(); cause != nil && class != Done && class != AskNow {
		// What a connector says when it is stopped is not what the bank said.
		result.Outcome = Outcome{Kind: Cancelled, Reason: ReasonDeadline}
		if errors.Is(cause, errShutdown) {
			result.Outcome.Reason = ReasonShutdown
		}
	}
	// The commit is not bound by the run's time: the data is there, whole.
	end, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer done()
	if err := d.land(end, f, c, result); err != nil {
		// Nothing of it is stored: the lease ends, and the sweeper decides.
		d.Log.Error("bank: the end of a run could not be stored", "attempt", f.attempt, "outcome", result.Outcome.Kind, "error", err)
	}
}

// beat keeps the lease, and stops the run when it is not ours any more.
func (d *Desk) beat(ctx context.Context, f *flight) {
	l := d.limits()
	ticker := time.NewTicker(l.Beat)
	defer ticker.Stop()
	until := d.Clock.Now().Add(l.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := d.Clock.Now()
		phase, done, total := f.stage.progress()
		alive, err := d.Store.Beat(ctx, Beat{
			Attempt: f.attempt, Worker: d.workerName(), Epoch: f.epoch, Until: now.Add(l.Lease), Phase: phase, Done: done, Total: total,
		})
		switch {
		case err == nil && alive:
			until = now.Add(l.Lease)
		case err == nil, !now.Before(until):
			// Cancelled, or taken by another worker; or we could not say for so long
			// that we live that one may be about to.
			f.stop(errStopped)
			return
		}
	}
}

// speak runs the connector and comes back, whatever the connector does.
func (d *Desk) speak(ctx context.Context, f *flight, c Case, answer *Answer) Result {
	connector, ok := d.Connectors[c.Access.Connector]
	if !ok {
		return Result{Outcome: Outcome{Kind: ConnectorError, Reason: ReasonMissing}}
	}
	run, err := d.prepare(c, answer)
	if err != nil {
		d.Log.Error("bank: what a run needs cannot be opened", "attempt", f.attempt, "error", err)
		return Result{Outcome: Outcome{Kind: ConnectorError, Reason: "bug"}}
	}
	if ctx.Err() != nil {
		return Result{Outcome: Outcome{Kind: Cancelled}}
	}
	came := make(chan Result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				// What it panicked with may hold what it was given: only the stack is logged.
				d.Log.Error("bank: a connector panicked", "connector", c.Access.Connector, "attempt", f.attempt, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
				came <- Result{Outcome: Outcome{Kind: ConnectorError, Reason: ReasonCrash}}
			}
		}()
		came <- connector.Run(ctx, run, f.stage)
	}()
	select {
	case result := <-came:
		return d.trust(result, f.stage, run)
	case <-ctx.Done():
	}
	grace := time.NewTimer(d.limits().Grace)
	defer grace.Stop()
	select {
	case result := <-came:
		return d.trust(result, f.stage, run)
	case <-grace.C:
		d.Log.Error("bank: a connector does not stop when told to", "connector", c.Access.Connector, "attempt", f.attempt)
		return Result{Outcome: Outcome{Kind: Cancelled}}
	}
}

// trust makes a result fit to be kept, or a typed outcome of its own.
func (d *Desk) trust(r Result, s *stage, run Run) Result {
	broken := func(text string) Result {
		return Result{Outcome: Outcome{Kind: ConnectorError, Reason: ReasonProtocol, Text: text}}
	}
	if err := s.broken(); err != nil {
		return broken(err.Error())
	}
	if len(r.State) > maxSessionBytes {
		return broken("the session is too large")
	}
	o := &r.Outcome
	o.Text, o.Reason = printable(o.Text, 500), printable(o.Reason, 40)
	o.BadFields = o.BadFields[:min(len(o.BadFields), 20)]
	if o.Kind == Asks {
		if err := o.Question.tidy(); err != nil {
			return broken(err.Error())
		}
		if r.State == "" {
			r.State = run.State // nothing new: the answer starts from what this run had
		}
	}
	return r
}

const maxSessionBytes = 1 << 20

// prepare opens what the run needs. It is in memory from here on, and only here.
func (d *Desk) prepare(c Case, answer *Answer) (Run, error) {
	id := c.Access.ID.String()
	plain, err := d.openCredentials(c)
	if err != nil {
		return Run{}, err
	}
	run := Run{
		Institution: c.Access.Institution, Op: FetchAll, Present: c.Attempt.Trigger == ByPerson, Answer: answer,
		Now: d.Clock.Now(), Locale: c.Access.Locale,
	}
	if run.Credentials, err = unmarshalSecrets(plain); err != nil {
		return Run{}, err
	}
	if c.sameLogin() && !c.Access.LastSuccess.IsZero() {
		// A month again: banks date things back, and pending ones are entered late.
		run.Since = ledger.DateOf(c.Access.LastSuccess.AddDate(0, 0, -31))
	}
	var session []byte
	switch {
	case answer != nil && len(c.Challenge.Session) > 0:
		session, err = d.Sealer.Open("challenges", c.Challenge.ID.String(), "session", c.Challenge.Session)
	case answer == nil && len(c.Access.Session) > 0 && c.sameLogin():
		session, err = d.Sealer.Open("accesses", id, "session", c.Access.Session)
	}
	run.State = guichet.Secret(session)
	return run, err
}

// openCredentials are those typed for the attempt, else those of the access.
func (d *Desk) openCredentials(c Case) ([]byte, error) {
	if len(c.Attempt.Credentials) > 0 {
		return d.Sealer.Open("attempts", c.Attempt.ID.String(), "credentials", c.Attempt.Credentials)
	}
	return d.Sealer.Open("accesses", c.Access.ID.String(), "credentials", c.Access.Credentials)
}

// sameLogin tells whether the attempt is of the login that the access has.
func (c Case) sameLogin() bool { return c.Attempt.Fingerprint == c.Access.Fingerprint }

// Stop ends every run of this process and waits for them: each lands with the
// outcome of a shutdown, or with its data if it was there.
func (d *Desk) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	for _, f := range d.flights {
		f.stop(errShutdown)
	}
	d.mu.Unlock()
	ended := make(chan struct{})
	go func() { d.ended.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the run of an attempt when it is in this process.
func (d *Desk) stop(attempt guichet.ID, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flights[attempt]; f != nil {
		f.stop(cause)
	}
}

func (d *Desk) forget(f *flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.flights[f.attempt] == f {
		delete(d.flights, f.attempt)
	}
}

// room tells whether this process may begin another run.
func (d *Desk) room() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed && len(d.flights) < d.limits().Runs
}

// workerName names this process to the others, once for its life.
func (d *Desk) workerName() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.worker == "" {
		d.worker = d.Clock.NewID().String()
	}
	return d.worker
}

// phases are kept as one number, so that the heartbeat never waits for the run.
var phases = []Phase{Starting, Authenticating, WaitingUser, Listing, Fetching, Finishing}

type progress struct{ phase, done, total atomic.Int64 }
