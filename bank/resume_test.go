package bank_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"guichet/bank"
	"guichet/store"
	"guichet/store/storetest"
)

// A watched connector tells when an answer reaches it.
type watched struct {
	*fakeBank
	answered func()
}

func (w watched) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	if run.Answer != nil {
		w.answered()
	}
	return w.fakeBank.Run(ctx, run, sink)
}

// TestResumeIsOneCommit: between a person's answer and the bank there is one
// transaction, in which the try is counted, and neither a queue nor a second one:
// how long a resume takes is how long a commit takes.
func TestResumeIsOneCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		var commits, atCall atomic.Int64
		s, err := store.Open(t.Context(), db.Source, store.Options{Clock: db.Clock.Clock(), Commit: func(commit func() error) error {
			commits.Add(1)
			return commit()
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		h := moveIn(t, db, s, newFakeBank(), testSealer(t))
		h.Limits.Beat = time.Hour // a heartbeat is a commit too
		called := make(chan struct{})
		h.Connectors = map[string]bank.Connector{"fake": watched{h.bank, func() {
			atCall.Store(commits.Load())
			close(called)
		}}}
		c := h.asked(h.open("otp").Attempt.ID)
		// The job of the first run is done, and nothing else is.
		h.die()
		h.dead.Wait()
		before := commits.Load()
		h.answer(c, canaryCode)
		<-called
		if n := atCall.Load() - before; n != 1 {
			t.Errorf("%d commits until the bank was called", n)
		}
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
	})
}
