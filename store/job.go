package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"guichet"
	"guichet/job"
	"guichet/store/query"
)

// Jobs is the store of the job queue.
type Jobs struct{ s *Store }

// Jobs gives the store of the job queue.
func (s *Store) Jobs() Jobs { return Jobs{s} }

// Claim implements job.Store. Looking is done without a lock, so that an idle
// queue writes nothing; each claim is then a compare-and-set of its own. Kinds that
// are full are passed over by the query, so that they hide nothing behind them.
func (j Jobs) Claim(ctx context.Context, worker string, now, lease time.Time, most int, room map[string]int) (claimed []job.Claimed, err error) {
	due, err := j.due(ctx, micros(now), most, room)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	if len(due) == 0 {
		return nil, nil
	}
	err = j.s.update(ctx, func(t *tx) error {
		claimed = nil
		for _, id := range due {
			rows, err := t.q.ClaimJob(t.ctx, query.ClaimJobParams{ID: id, Worker: worker, LeaseUntil: micros(lease)})
			if err != nil {
				return err
			}
			for _, r := range rows {
				claimed = append(claimed, job.Claimed{
					ID: guichet.ID(r.ID), Kind: r.Kind, Key: r.JobKey, Args: []byte(r.Args), Attempt: int(r.Attempt),
					MaxAttempts: int(r.MaxAttempts), Worker: worker,
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// due lists what may be claimed, the oldest first. It goes from kind to kind, so
// that a kind without room costs nothing, however much of it waits.
func (j Jobs) due(ctx context.Context, now int64, most int, room map[string]int) (ids []string, err error) {
	var found []query.DueJobsRow
	for kind := ""; ; {
		next, err := j.s.reader.NextKind(ctx, kind)
		if err != nil {
			return nil, err
		}
		if len(next) == 0 {
			break
		}
		kind = next[0]
		n, limited := room[kind]
		if !limited || n > most {
			n = most
		}
		if n <= 0 {
			continue
		}
		of, err := j.s.reader.DueJobs(ctx, query.DueJobsParams{Kind: kind, RunAt: now, Limit: int32(n)})
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	slices.SortStableFunc(found, func(a, b query.DueJobsRow) int { return cmp.Compare(a.RunAt, b.RunAt) })
	for _, f := range found[:min(most, len(found))] {
		ids = append(ids, f.ID)
	}
	return ids, nil
}

// Extend implements job.Store.
func (j Jobs) Extend(ctx context.Context, c job.Claimed, lease time.Time) (bool, error) {
	return j.fenced(ctx, func(t *tx) (int64, error) {
		return t.q.ExtendLease(t.ctx, query.ExtendLeaseParams{ID: string(c.ID), Worker: c.Worker, Attempt: int64(c.Attempt), LeaseUntil: micros(lease)})
	})
}

// Finish implements job.Store.
func (j Jobs) Finish(ctx context.Context, c job.Claimed) (bool, error) {
	return j.fenced(ctx, func(t *tx) (int64, error) {
		return t.q.FinishJob(t.ctx, query.FinishJobParams{ID: string(c.ID), Worker: c.Worker, Attempt: int64(c.Attempt)})
	})
}

// Retry implements job.Store.
func (j Jobs) Retry(ctx context.Context, c job.Claimed, at time.Time, cause string, dead bool) (bool, error) {
	state := "ready"
	if dead {
		state = "dead"
	}
	if len(cause) > 2000 {
		cause = cause[:2000]
	}
	return j.fenced(ctx, func(t *tx) (int64, error) {
		return t.q.RetryJob(t.ctx, query.RetryJobParams{
			ID: string(c.ID), Worker: c.Worker, Attempt: int64(c.Attempt), State: state, RunAt: micros(at), LastError: cause,
		})
	})
}

func (j Jobs) fenced(ctx context.Context, change func(*tx) (int64, error)) (mine bool, err error) {
	err = j.s.update(ctx, func(t *tx) error {
		n, err := change(t)
		mine = n == 1
		return err
	})
	return mine, err
}

// Free implements job.Store.
func (j Jobs) Free(ctx context.Context, now time.Time) (freed int, err error) {
	n, err := j.s.reader.ExpiredLeases(ctx, micros(now))
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	if n == 0 { // looking costs no write
		return 0, nil
	}
	err = j.s.update(ctx, func(t *tx) error {
		n, err := t.q.FreeLeases(t.ctx, micros(now))
		freed = int(n)
		return err
	})
	return freed, err
}

// Tick implements job.Store.
func (j Jobs) Tick(ctx context.Context, slot string, work guichet.Job) error {
	n, err := j.s.reader.SlotTaken(ctx, query.SlotTakenParams{Kind: work.Kind, Slot: slot})
	if err != nil {
		return ErrUnavailable.Because(err)
	}
	if n > 0 {
		return nil
	}
	return j.s.update(ctx, func(t *tx) error {
		now := t.store.clock.Now()
		n, err := t.q.TakeSlot(t.ctx, query.TakeSlotParams{Kind: work.Kind, Slot: slot, MadeAt: micros(now)})
		if err != nil || n == 0 {
			return err
		}
		if err := t.q.DropSlots(t.ctx, micros(now.AddDate(0, 0, -60))); err != nil {
			return err
		}
		return t.Enqueue(work)
	})
}

// Changed implements job.Store.
func (j Jobs) Changed() <-chan struct{} { return j.s.Changed(JobsReady) }

// JobCount is how many jobs of a kind are in a state.
type JobCount struct {
	Kind, State string
	Number      int64
}

// Counts tells how much work waits, runs, or was given up.
func (j Jobs) Counts(ctx context.Context) ([]JobCount, error) {
	rows, err := j.s.reader.JobCounts(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return each(rows, func(r query.JobCountsRow) (JobCount, error) { return JobCount(r), nil })
}
