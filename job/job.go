// Package job does durable work: what a transaction recorded with
// [guichet.Outbox.Enqueue] is run after its commit, at least once, by any
// process that shares the database.
//
// A worker claims a job for a lease, extends the lease while it works, and ends
// it with a fence: the pair of its name and the attempt's number. A worker that
// was paused longer than its lease finds that someone else has the job, and what
// it then says of it has no effect.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"guichet"
)

// A Claimed is a job in a worker's hands.
type Claimed struct {
	ID          guichet.ID
	Kind        string
	Key         string
	Args        []byte
	Attempt     int // from 1
	MaxAttempts int
	Worker      string
}

// Last tells whether no other attempt follows a failure of this one.
func (c Claimed) Last() bool { return c.Attempt >= c.MaxAttempts }

// A Store keeps jobs. Every method is durable when it returns nil, and safe to
// call from several processes at once.
type Store interface {
	// Claim takes up to limit jobs that are due at now, each for one worker only. Of
	// a kind that is in room it takes that many at most.
	Claim(ctx context.Context, worker string, now, lease time.Time, limit int, room map[string]int) ([]Claimed, error)
	// Extend, Finish and Retry return false, and change nothing, when the claim is
	// no longer the caller's.
	Extend(ctx context.Context, c Claimed, lease time.Time) (bool, error)
	Finish(ctx context.Context, c Claimed) (bool, error)
	Retry(ctx context.Context, c Claimed, at time.Time, cause string, dead bool) (bool, error)
	// Free gives back the jobs whose lease ended before now.
	Free(ctx context.Context, now time.Time) (int, error)
	// Tick enqueues the job for the slot once, whoever asks and how often.
	Tick(ctx context.Context, slot string, j guichet.Job) error
	// Changed returns a channel closed when this process enqueues something.
	Changed() <-chan struct{}
}

// A Handler does one kind of job. An error makes it be tried again later, unless
// it is Permanent. It must bear being run again after a crash.
type Handler func(ctx context.Context, c Claimed) error

// A Periodic enqueues a job once per slot; the slot is a date or an hour, so any
// number of replicas may tick.
type Periodic struct {
	Kind string
	// Slot names the slot that now belongs to; empty: none.
	Slot func(now time.Time) string
}

// Every is a slot for each whole period since 1970.
func Every(d time.Duration) func(time.Time) string {
	return func(now time.Time) string { return now.UTC().Truncate(d).Format(time.RFC3339) }
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that trying again cannot mend.
func Permanent(err error) error { return permanent{err} }

type later struct {
	error
	wait time.Duration
}

func (l later) Unwrap() error { return l.error }

// Later marks an error after which the job is tried again when wait has passed,
// rather than after the usual back-off.
func Later(err error, wait time.Duration) error { return later{err, wait} }

// Join makes one error of the parts of a job, nil of none that failed. The job is
// tried again as long as that can mend any part, however hopeless another is; so
// each part must know by itself that it was done. It waits as the most impatient
// part asks.
func Join(parts ...error) error {
	var mendable, hopeless []error
	var wait time.Duration
	patient := true // every part that can be mended says when
	for _, err := range parts {
		var p permanent
		var l later
		switch {
		case err == nil:
		case errors.As(err, &p):
			hopeless = append(hopeless, err)
		case errors.As(err, &l):
			if wait == 0 || l.wait < wait {
				wait = l.wait
			}
			mendable = append(mendable, unmarked{err})
		default:
			patient = false
			mendable = append(mendable, err)
		}
	}
	if len(mendable) == 0 {
		return errors.Join(hopeless...)
	}
	for _, err := range hopeless {
		mendable = append(mendable, unmarked{err})
	}
	all := errors.Join(mendable...)
	if patient {
		return Later(all, wait)
	}
	return all
}

// unmarked says what an error says and hides how it was marked.
type unmarked struct{ error }

// Backoff is how long to wait after the n-th failure: 2 s, 4 s, 8 s … up to one
// hour, give or take a quarter so that many failures do not come back together.
func Backoff(n int, jitter int64) time.Duration {
	d := time.Hour
	if n < 12 {
		d = min(d, time.Second<<n)
	}
	return d - d/4 + time.Duration(jitter)%(d/2)
}

// A Runner runs the jobs of its handlers' kinds. A job of another kind is put
// off and never lost: a newer program may know it.
type Runner struct {
	Store    Store
	Clock    guichet.Clock
	Log      *slog.Logger
	Handlers map[string]Handler
	Periodic []Periodic
	Workers  int // how many at once; 0: 4
	// Limits says how many of a kind run at once, so that what waits for one peer, a
	// mail server that is down, does not hold the workers that everything else needs.
	Limits map[string]int
	Lease  time.Duration // 0: 30 s
	Poll   time.Duration // how often to look without being told; 0: 1 s
	Grace  time.Duration // how long running jobs may take to end at Stop; 0: 10 s
}

// Run works until ctx is done, then lets what runs end, for Grace at most. What
// did not end is claimed again, here or elsewhere, when its lease is over.
func (r *Runner) Run(ctx context.Context) {
	worker := string(r.Clock.NewID())
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var running sync.WaitGroup
	slots := make(chan struct{}, or(r.Workers, 4))
	busy := newBusy(r.Limits)
	beat := time.NewTicker(or(r.Poll, time.Second)) // slots and leases go by the clock, and need no look at each commit
	defer beat.Stop()
	r.tick(ctx)
	for {
		changed, freed := r.Store.Changed(), busy.freed()
		claimed := r.claim(ctx, worker, cap(slots)-len(slots), busy.room())
		for _, c := range claimed {
			slots <- struct{}{}
			busy.begin(c.Kind)
			running.Go(func() {
				defer func() { busy.end(c.Kind); <-slots }()
				r.perform(work, c)
			})
		}
		if len(claimed) > 0 && len(slots) < cap(slots) && busy.full() && ctx.Err() == nil {
			continue // a kind that just became full may have hidden others behind it
		}
		select {
		case <-ctx.Done():
			r.drain(&running, stopWork)
			return
		case <-changed:
		case <-freed:
		case <-beat.C:
			r.tick(ctx)
		}
	}
}

func (r *Runner) drain(running *sync.WaitGroup, stopWork func()) {
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(or(r.Grace, 10*time.Second)):
		stopWork()
		<-ended
	}
}

// tick makes the jobs of the present slots, and gives back what dead workers
// held.
func (r *Runner) tick(ctx context.Context) {
	now := r.Clock.Now()
	if n, err := r.Store.Free(ctx, now); err != nil && ctx.Err() == nil {
		r.Log.Error("job: leases", "error", err)
	} else if n > 0 {
		r.Log.Warn("job: a worker died; its jobs are given back", "jobs", n)
	}
	for _, p := range r.Periodic {
		slot := p.Slot(now)
		if slot == "" {
			continue
		}
		if err := r.Store.Tick(ctx, slot, guichet.Job{Kind: p.Kind, Key: slot, Args: []byte("{}"), RunAt: now}); err != nil && ctx.Err() == nil {
			r.Log.Error("job: tick", "kind", p.Kind, "error", err)
		}
	}
}

func (r *Runner) claim(ctx context.Context, worker string, free int, room map[string]int) []Claimed {
	if free <= 0 {
		return nil
	}
	now := r.Clock.Now()
	claimed, err := r.Store.Claim(ctx, worker, now, now.Add(or(r.Lease, 30*time.Second)), free, room)
	if err != nil && ctx.Err() == nil {
		r.Log.Error("job: claim", "error", err)
	}
	return claimed
}

// perform runs one job to its end. If we die anywhere here, the lease ends and
// the job is run again: a handler is at least once.
func (r *Runner) perform(ctx context.Context, c Claimed) {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	go r.keep(ctx, c, lost)
	err := r.handle(ctx, c)
	if errors.Is(context.Cause(ctx), errLost) {
		r.Log.Warn("job: lost to another worker", "kind", c.Kind, "job", c.ID)
		return
	}
	end := context.WithoutCancel(ctx)
	var mine bool
	var saved error
	if err == nil {
		mine, saved = r.Store.Finish(end, c)
	} else {
		var p permanent
		dead := c.Last() || errors.As(err, &p)
		wait := Backoff(c.Attempt, r.Clock.Intn(1<<40))
		if l := (later{}); errors.As(err, &l) {
			wait = l.wait
		}
		at := r.Clock.Now().Add(wait)
		r.Log.Warn("job: failed", "kind", c.Kind, "job", c.ID, "attempt", c.Attempt, "dead", dead, "error", err)
		mine, saved = r.Store.Retry(end, c, at, err.Error(), dead)
	}
	if saved != nil {
		r.Log.Error("job: could not note the end; it will run again", "kind", c.Kind, "job", c.ID, "error", saved)
	} else if !mine {
		r.Log.Warn("job: ended after its lease", "kind", c.Kind, "job", c.ID)
	}
}

var errLost = errors.New("job: the lease was lost")

// keep extends the lease until the job ends, and stops the job when the lease
// turns out to be someone else's.
func (r *Runner) keep(ctx context.Context, c Claimed, lost context.CancelCauseFunc) {
	lease := or(r.Lease, 30*time.Second)
	beat := time.NewTicker(lease / 3)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			mine, err := r.Store.Extend(ctx, c, r.Clock.Now().Add(lease))
			if err == nil && !mine {
				lost(errLost)
				return
			}
		}
	}
}

func (r *Runner) handle(ctx context.Context, c Claimed) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	h := r.Handlers[c.Kind]
	if c.Attempt > c.MaxAttempts {
		return Permanent(errors.New("its workers died each time"))
	}
	if h == nil {
		return fmt.Errorf("no handler for %q in this program", c.Kind)
	}
	return h(ctx, c)
}

func or[T int | time.Duration](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}
