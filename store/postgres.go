package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"guichet/store/query"
)

const conflictRetries = 5

// updatePostgreSQL gives each closure a transaction of its own: the server
// groups their commits. Isolation is read committed; every rule that two
// transactions could break together rests on a row lock or on a version.
func (s *Store) updatePostgreSQL(ctx context.Context, fn func(*tx) error) error {
	for attempt := 1; ; attempt++ {
		topics, err := s.tryPostgreSQL(ctx, fn)
		if err != nil && attempt < conflictRetries && conflict(err) {
			continue
		}
		if err == nil {
			s.wake(topics)
		}
		return err
	}
}

func (s *Store) tryPostgreSQL(ctx context.Context, fn func(*tx) error) ([]Topic, error) {
	// The caller may go away, but a transaction that began is finished: half-way
	// there would be nobody to know how it ended.
	ctx = context.WithoutCancel(ctx)
	conn, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	defer func() { _ = conn.Rollback() }() // no effect after the commit
	db, point := watched(conn)
	t := &tx{ctx: ctx, q: query.New(db), db: db, store: s}
	if err := fn(t); err != nil {
		return nil, err
	}
	point("commit")
	if err := s.commit(conn.Commit); err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	point("committed")
	return t.topics, nil
}

// conflict tells whether PostgreSQL asks to run the transaction again.
func conflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
