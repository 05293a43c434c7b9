// Package storetest gives tests real databases: a fresh one per test on each
// engine, ways to make it fail, and a check of every invariant when the test
// ends.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/canary"
	"guichet/store"
)

// A DB is a fresh, migrated database.
type DB struct {
	*store.Store
	Clock  *Clock
	Source string // what GUICHET_DATABASE would be

	t         testing.TB
	faults    *faults
	unchecked bool
	folder    string // one of the test's own
	given     []string
	began     mark
	held      canary.Held
}

// Each runs a test on a fresh database of each engine.
func Each(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, New(t, engine))
		})
	}
}

// New makes a fresh database of the engine. When the test ends, the invariants
// are checked, and every secret that was heard of is looked for in what the database
// and the test have written: a test that breaks one, or leaves one, fails.
func New(t testing.TB, engine store.Engine) *DB {
	t.Helper()
	copied := sqlite
	if engine == store.PostgreSQL {
		copied = postgres
	}
	return at(t, copied(t))
}

func at(t testing.TB, source string) *DB {
	t.Helper()
	db := &DB{t: t, Source: source, Clock: NewClock(), faults: &faults{}, folder: t.TempDir()}
	t.Cleanup(func() { db.held.Close() })
	db.Store = db.Open()
	var err error
	if db.began, err = db.mark(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context()); err != nil { // nothing to do, in a copy
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if db.unchecked {
			return
		}
		db.noSecret(t)
		broken, err := db.Check(context.Background())
		if err != nil {
			t.Errorf("checking the invariants: %v", err)
		}
		for _, v := range broken {
			t.Errorf("broken invariant: %s", v)
		}
		if wanted, fired := db.faults.wanted.Load(), db.faults.fired.Load(); wanted != fired {
			t.Errorf("%d faults were asked for and %d happened: the test did not test them", wanted, fired)
		}
	})
	return db
}

// Open opens the same database once more, as another process would.
func (db *DB) Open() *store.Store {
	db.t.Helper()
	s, err := store.Open(context.Background(), db.Source, store.Options{Clock: db.Clock.Clock(), Commit: db.faults.commit})
	if err != nil {
		db.t.Fatal(err)
	}
	db.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			db.t.Errorf("close: %v", err)
		}
	})
	return s
}

// Unchecked leaves the invariants alone when the test ends: what a benchmark
// writes behind the program's back came from no delivery.
func (db *DB) Unchecked() { db.unchecked = true }

// SQL runs a statement behind the program's back.
func (db *DB) SQL(text string, args ...any) {
	db.t.Helper()
	db.raw(func(raw *sql.DB) {
		if _, err := raw.ExecContext(context.Background(), text, args...); err != nil {
			db.t.Fatalf("%s: %v", text, err)
		}
	})
}

// TrySQL runs a statement behind the program's back and returns its error.
func (db *DB) TrySQL(text string, args ...any) (err error) {
	db.t.Helper()
	db.raw(func(raw *sql.DB) { _, err = raw.ExecContext(context.Background(), text, args...) })
	return err
}

// Value reads one value as text behind the program's back.
func (db *DB) Value(text string, args ...any) (v string) {
	db.t.Helper()
	db.raw(func(raw *sql.DB) {
		if err := raw.QueryRowContext(context.Background(), text, args...).Scan(&v); err != nil {
			db.t.Fatalf("%s: %v", text, err)
		}
	})
	return v
}

func (db *DB) raw(use func(*sql.DB)) {
	db.t.Helper()
	driver, source := "pgx", db.Source
	if db.Engine() == store.SQLite {
		driver, source = "sqlite", "file:"+db.Source[len("sqlite:"):]+"?_pragma=busy_timeout(10000)"
	}
	raw, err := sql.Open(driver, source)
	if err != nil {
		db.t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	use(raw)
}

// ErrFault is the cause of an error that a test asked for.
var ErrFault = errors.New("storetest: a fault that the test asked for")

type faults struct {
	mu            sync.Mutex
	next          []bool // for each coming commit to break: is it stored all the same?
	wanted, fired atomic.Int64
}

func (f *faults) commit(commit func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		f.mu.Unlock() // never hold the lock over a commit
		defer f.mu.Lock()
		return commit()
	}
	stored := f.next[0]
	f.next = f.next[1:]
	f.fired.Add(1)
	if stored {
		if err := commit(); err != nil {
			return err
		}
	}
	return ErrFault
}

// FailCommit makes the next commit fail: without anything stored, or with all of
// it stored and only the news lost.
func (db *DB) FailCommit(stored bool) {
	db.faults.mu.Lock()
	defer db.faults.mu.Unlock()
	db.faults.next = append(db.faults.next, stored)
	db.faults.wanted.Add(1)
}

// FailStatement makes every INSERT, UPDATE or DELETE of a table fail, until heal
// is called.
func (db *DB) FailStatement(table, verb string) (heal func()) {
	db.t.Helper()
	if db.Engine() == store.SQLite {
		db.SQL(fmt.Sprintf("CREATE TRIGGER storetest_fault BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'storetest: fault'); END", verb, table))
		return func() { db.t.Helper(); db.SQL("DROP TRIGGER storetest_fault") }
	}
	db.SQL(`CREATE OR REPLACE FUNCTION storetest_fault() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'storetest: fault' USING ERRCODE = '53100'; END $$`)
	db.SQL(fmt.Sprintf("CREATE TRIGGER storetest_fault BEFORE %s ON %s FOR EACH STATEMENT EXECUTE FUNCTION storetest_fault()", verb, table))
	return func() { db.t.Helper(); db.SQL("DROP TRIGGER storetest_fault ON " + table) }
}

// A Clock is moved by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts on a Sunday morning.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)}
}

// Now reads the clock, which moves by a microsecond at each reading so that
// things done one after the other can be told apart.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Clock gives the form the program takes; its randomness is real.
func (c *Clock) Clock() guichet.Clock { return guichet.Clock{Now: c.Now, Rand: rand.Reader} }

// Column reads the last column of every row as text behind the program's back.
func (db *DB) Column(text string, args ...any) (all []string) {
	db.t.Helper()
	db.raw(func(raw *sql.DB) {
		rows, err := raw.QueryContext(context.Background(), text, args...)
		if err != nil {
			db.t.Fatalf("%s: %v", text, err)
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if err != nil {
			db.t.Fatal(err)
		}
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		for rows.Next() {
			if err := rows.Scan(values...); err != nil {
				db.t.Fatal(err)
			}
			all = append(all, values[len(values)-1].(*sql.NullString).String)
		}
		if err := rows.Err(); err != nil {
			db.t.Fatal(err)
		}
	})
	return all
}
