package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"guichet/store/query"
)

const (
	conflictRetries = 5
	// lockWait is how long a transaction waits for a lock with a connection in its
	// hands, in the words of PostgreSQL, and lockPatience how long it goes on
	// without one.
	lockWait     = "1s"
	lockPatience = 5 * time.Second
)

// updatePostgreSQL gives each closure a transaction of its own: the server
// groups their commits. Isolation is read committed; every rule that two
// transactions could break together rests on a row lock or on a version.
//
// A request whose row somebody holds must not keep the others waiting: after a
// second its transaction gives its connection back, and tries again one at a time
// with those that wait for the same row, for a few seconds.
func (s *Store) updatePostgreSQL(ctx context.Context, fn func(*tx) error) error {
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	waits := false
	for attempt := 1; ; {
		t, err := s.tryPostgreSQL(ctx, patience, fn)
		switch {
		case err == nil:
			s.wake(t.topics)
			return nil
		case stateOf(err) == lockNotAvailable && patience.Err() == nil:
			if waits || t.locking == "" {
				continue
			}
			leave, late := s.gates.enter(patience, t.locking)
			if late != nil {
				return ErrUnavailable.Because(err)
			}
			defer leave()
			waits = true
		case stateOf(err) == lockNotAvailable:
			return ErrUnavailable.Because(err)
		case conflict(err) && attempt < conflictRetries:
			attempt++
		default:
			return err
		}
	}
}

func (s *Store) tryPostgreSQL(ctx, patience context.Context, fn func(*tx) error) (*tx, error) {
	t := &tx{store: s}
	conn, err := s.write.Conn(patience)
	if err != nil {
		return t, ErrUnavailable.Because(err)
	}
	defer func() { _ = conn.Close() }()
	// The caller may go away, but a transaction that began is finished: half-way
	// there would be nobody to know how it ended. Only a deadline ends it, and then
	// the connection with it.
	deadline, limited := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	transaction, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return t, ErrUnavailable.Because(err)
	}
	defer func() { _ = transaction.Rollback() }() // no effect after the commit
	db, point := watched(transaction)
	t.ctx, t.q, t.db = ctx, query.New(db), db
	if err := fn(t); err != nil {
		return t, err
	}
	point("commit")
	if err := s.commit(transaction.Commit); err != nil {
		return t, ErrUnavailable.Because(err)
	}
	point("committed")
	return t, nil
}

// What PostgreSQL says when a transaction must be run again.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
)

func conflict(err error) bool {
	state := stateOf(err)
	return state == serializationFailure || state == deadlockDetected
}

func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
