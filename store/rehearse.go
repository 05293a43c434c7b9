package store

import (
	"context"
	"errors"
	"hash/maphash"
	"sync/atomic"
)

// On SQLite everybody waits for one writer: what is decided and encoded in its turn
// is waited for by all. The transaction of a request that was never met is therefore
// rehearsed by its caller, beside the writer. It reads nothing, for nothing is known
// of such a request, and what it would write is noted. In its turn the notes are
// carried out, the place in the chain first: if the request was known after all,
// nothing has been written then, and the transaction is run as if there had been no
// rehearsal. If we die before the turn, nothing happened.

// A step is one thing that a transaction does to the database.
type step func(*tx) error

// A rehearsal is what a transaction would do.
type rehearsal struct {
	place step   // gives errChanged when the request is known
	steps []step // all the rest
}

// errOnlyInTurn ends a rehearsal of what must read.
var errOnlyInTurn = errors.New("store: only in its turn")

// rehearse runs fn beside the writer. It gives nil when that says nothing: then fn
// is run in its turn, which also gives its error if it has one. Whatever of a
// transaction is not written to be rehearsed fails here, on a connection that cannot
// write.
func (s *Store) rehearse(ctx context.Context, fn func(*tx) error) *rehearsal {
	r := &rehearsal{}
	if err := fn(&tx{ctx: ctx, q: s.reader, store: s, rehearsal: r}); err != nil || r.place == nil {
		return nil
	}
	return r
}

// perform does what was rehearsed. Not valid means that nothing was done.
func (r *rehearsal) perform(t *tx) (valid bool, err error) {
	if err := r.place(t); err != nil {
		return !errors.Is(err, errChanged), err
	}
	for _, do := range r.steps {
		if err := do(t); err != nil {
			return true, err
		}
	}
	return true, nil
}

// do does a step, or notes it when this is a rehearsal.
func (t *tx) do(s step) error {
	if t.rehearsal == nil {
		return s(t)
	}
	t.rehearsal.steps = append(t.rehearsal.steps, s)
	return nil
}

// takePlace does the step that makes the request known, or notes it.
func (t *tx) takePlace(s step) error {
	switch {
	case t.rehearsal == nil:
		return s(t)
	case t.rehearsal.place != nil:
		return errOnlyInTurn
	}
	t.rehearsal.place = s
	return nil
}

// acquaintances are the requests met lately, as far as a few bits tell. When they
// are wrong, a rehearsal is made in vain, or not at all.
type acquaintances [1 << 12]atomic.Uint32

var bitsOf = maphash.MakeSeed()

// meet tells whether the name was met before.
func (a *acquaintances) meet(name string) bool {
	h := maphash.String(bitsOf, name)
	mark := uint32(h>>32) | 1 // 0 is nobody
	return a[h%uint64(len(a))].Swap(mark) == mark
}
