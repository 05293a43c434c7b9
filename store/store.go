// Package store is the only part of Guichet that speaks SQL: one text, in
// query/, that runs on SQLite and on PostgreSQL. Each window sees it through an
// interface of its own ([Store.Grant], …).
//
// Every change goes through one transaction of update. On SQLite the waiting
// ones share a commit (see sqlite.go); on PostgreSQL the server groups them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"guichet"
	"guichet/store/query"
)

// Engine is a kind of database.
type Engine string

// The engines.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// ErrUnavailable is returned when the database did not do what it was asked and
// nothing is known to have changed; the caller may try again.
var ErrUnavailable = &guichet.Error{Kind: guichet.Unavailable, Code: "database_unavailable", Reason: "The database did not answer. Nothing was changed; please try again."}

// Options change how a store behaves.
type Options struct {
	Clock guichet.Clock
	// Commit, when set, is called instead of the commit it is given. Tests use it
	// to fail before a commit, and after one.
	Commit func(commit func() error) error
}

// A Store is an open database.
type Store struct {
	engine Engine
	path   string // of the SQLite file
	clock  guichet.Clock
	commit func(func() error) error

	read   *sql.DB
	write  *sql.DB
	reader *query.Queries // single statements, outside any transaction
	batch  *batcher       // SQLite only

	patient *pgx.ConnConfig // PostgreSQL only: connections that wait for locks as long as it takes
	gates   gates

	met         acquaintances // see rehearse.go
	indexWindow atomic.Int64  // of the status list, where the last token went, from 1; 0: not known

	mu      sync.Mutex
	waiting map[Topic]chan struct{}
}

// A Topic is something a commit can change that others wait for.
type Topic string

// The topics.
const (
	JobsReady       Topic = "jobs"
	BlocklistRaised Topic = "blocklist"
)

// attemptsOf is the topic of whatever moves an attempt of the person. One for all
// would wake everybody who waits for a bank at each step of anybody.
func attemptsOf(owner guichet.ID) Topic { return Topic("attempts/" + owner) }

// Open opens a database: "sqlite:PATH", or "postgres://…". It creates nothing but
// the SQLite file; call Migrate before anything else.
func Open(ctx context.Context, source string, o Options) (*Store, error) {
	s := &Store{clock: o.Clock, commit: o.Commit, waiting: map[Topic]chan struct{}{}}
	if s.commit == nil {
		s.commit = func(commit func() error) error { return commit() }
	}
	var err error
	switch path, ok := strings.CutPrefix(source, "sqlite:"); {
	case ok:
		s.engine, s.path = SQLite, path
		err = s.openSQLite(ctx, path)
	case strings.HasPrefix(source, "postgres://"), strings.HasPrefix(source, "postgresql://"):
		s.engine = PostgreSQL
		err = s.openPostgreSQL(ctx, source)
	default:
		err = &guichet.Error{
			Kind: guichet.Invalid, Code: "invalid_database", Field: "GUICHET_DATABASE",
			Reason: "The database is neither sqlite:PATH nor postgres://…",
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) openSQLite(ctx context.Context, path string) error {
	// FULL, because an answered delivery must survive a power cut; NORMAL may lose
	// the last commits.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_journal_mode=WAL&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)" +
		"&_pragma=page_size(8192)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-8000)&_pragma=temp_store(2)"
	var err error
	if s.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.write.PingContext(ctx); err != nil {
		_ = s.write.Close()
		return fmt.Errorf("open %s: %w", path, err)
	}
	if s.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(8)
	s.read.SetMaxIdleConns(8)
	s.reader = query.New(newStatements(s.read))
	s.batch = newBatcher(s)
	return nil
}

func (s *Store) openPostgreSQL(ctx context.Context, source string) error {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return errors.New("open PostgreSQL: the address cannot be read") // its text would show the password
	}
	s.patient = config.Copy()
	if config.RuntimeParams["lock_timeout"] == "" {
		config.RuntimeParams["lock_timeout"] = lockWait
	}
	db := stdlib.OpenDB(*config)
	// database/sql keeps two idle connections unless told otherwise, and then
	// spends its time reconnecting.
	db.SetMaxOpenConns(24)
	db.SetMaxIdleConns(24)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return ErrUnavailable.Because(err)
	}
	s.read, s.write = db, db
	s.reader = query.New(db)
	return nil
}

// Engine tells which kind of database this is.
func (s *Store) Engine() Engine { return s.engine }

// Close waits for the transactions that run, then closes the database.
func (s *Store) Close() error {
	if s.batch != nil {
		s.batch.close()
	}
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return ErrUnavailable.Because(err)
	}
	return nil
}

// update runs fn in one transaction. What fn returns is what update returns;
// when the transaction itself fails, that is ErrUnavailable and nothing is
// stored. fn may be run more than once.
func (s *Store) update(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.batch != nil {
		return s.batch.run(ctx, fn)
	}
	return s.updatePostgreSQL(ctx, fn)
}

// view runs fn on one consistent state of the database, without a lock.
func (s *Store) view(ctx context.Context, fn func(*query.Queries) error) error {
	t, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: s.engine == PostgreSQL, Isolation: s.viewIsolation()})
	if err != nil {
		return ErrUnavailable.Because(err)
	}
	defer func() { _ = t.Rollback() }()
	return fn(query.New(t))
}

func (s *Store) viewIsolation() sql.IsolationLevel {
	if s.engine == PostgreSQL {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// tx is one transaction, as the windows' adapters use it.
type tx struct {
	ctx    context.Context
	q      *query.Queries
	db     query.DBTX
	store  *Store
	topics []Topic // to wake after the commit

	locking   string     // what it waited for last, if others may wait for the same
	rehearsal *rehearsal // what it would do; nil: it is done
}

// touch wakes whoever waits for the topic once the transaction is durable.
func (t *tx) touch(topic Topic) { t.topics = append(t.topics, topic) }

// Changed returns a channel that is closed at the next commit that touches the
// topic in this process. Ask for it before looking at the database, so that no
// change falls between the two.
func (s *Store) Changed(topic Topic) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[topic] == nil {
		s.waiting[topic] = make(chan struct{})
	}
	return s.waiting[topic]
}

func (s *Store) wake(topics []Topic) {
	if len(topics) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range topics {
		if c := s.waiting[topic]; c != nil {
			close(c)
			delete(s.waiting, topic)
		}
	}
}

// one tells a missing row from a failed query: what is not found is the error
// given, whatever else is the database's fault.
func one[T any](row T, err error, missing error) (T, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return row, missing
	case err != nil:
		return row, ErrUnavailable.Because(err)
	}
	return row, nil
}
