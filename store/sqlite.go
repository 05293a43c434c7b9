package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	sqlite3 "modernc.org/sqlite/lib"

	"guichet/store/query"
)

// batcher is the one writer of a SQLite database. It runs the closures that wait
// one after the other in one transaction, commits once for all of them, and only
// then tells their callers. When one fails, the transaction is undone and the
// same closures run again, each in its own savepoint, so that it spoils no other;
// savepoints cost two statements a closure, and failures are rare. A lone closure
// waits for nobody: a batch is whatever has come while the one before was being
// made durable.
//
// If we die before the commit, none of the batch happened and no caller was
// told; if we die after, all of it happened.
type batcher struct {
	store *Store
	queue chan *waiting
	done  chan struct{}

	sending sync.RWMutex // read by those who send, written to close
	closed  bool

	conn  *sql.Conn
	stmts *statements
}

// waiting is one closure and where its caller waits.
type waiting struct {
	ctx     context.Context
	fn      func(*tx) error
	err     error
	topics  []Topic
	panicky any
	stack   []byte
	point   func(string) // see watched.go
	told    chan struct{}
}

const batchLimit = 512

func newBatcher(s *Store) *batcher {
	b := &batcher{store: s, queue: make(chan *waiting, batchLimit), done: make(chan struct{})}
	go b.loop()
	return b
}

var errClosed = ErrUnavailable.Because(errors.New("the store is closed"))

func (b *batcher) run(ctx context.Context, fn func(*tx) error) error {
	w := &waiting{ctx: ctx, fn: fn, told: make(chan struct{})}
	if !b.send(w) {
		return errClosed
	}
	<-w.told // never abandoned: the caller must know whether it happened
	if w.panicky != nil {
		panic(fmt.Sprintf("%v\n\nin a transaction:\n%s", w.panicky, w.stack))
	}
	return w.err
}

// send waits for a place in the queue, which is closed only when nobody does.
func (b *batcher) send(w *waiting) bool {
	b.sending.RLock()
	defer b.sending.RUnlock()
	if b.closed {
		return false
	}
	b.queue <- w
	return true
}

// close refuses new work, finishes what waits and releases the connection.
func (b *batcher) close() {
	b.sending.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.sending.Unlock()
	<-b.done
}

func (b *batcher) loop() {
	defer close(b.done)
	batch := make([]*waiting, 0, batchLimit)
	for first := range b.queue {
		runtime.Gosched() // whoever is about to come may come now: a commit costs the same for many
		b.perform(b.drain(append(batch[:0], first), batchLimit))
	}
	b.disconnect()
}

// drain adds what waits to the batch, up to the limit; 0 is none.
func (b *batcher) drain(batch []*waiting, limit int) []*waiting {
	for limit == 0 || len(batch) < limit {
		select {
		case w, open := <-b.queue:
			if !open {
				return batch
			}
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// locked tells whether another program held the database for as long as we wait.
// Whoever came meanwhile is told at once too: each would wait as long again, one
// batch after the other, and the sources of all of them try again anyway.
func locked(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == sqlite3.SQLITE_BUSY
}

// perform runs one batch and tells everyone how it ended.
func (b *batcher) perform(batch []*waiting) {
	err := b.transact(batch)
	if locked(err) {
		batch = b.drain(batch, 0)
	}
	if err != nil {
		b.disconnect() // the state of the connection is not known any more
		for _, w := range batch {
			if w.err == nil {
				w.err = ErrUnavailable.Because(err)
			}
			w.topics = nil
		}
	}
	for _, w := range batch {
		b.store.wake(w.topics)
		close(w.told)
	}
}

// transact returns an error when nothing of the batch is known to be durable.
func (b *batcher) transact(batch []*waiting) error {
	ctx := context.Background() // a caller that goes away must not interrupt the others
	if err := b.connect(ctx); err != nil {
		return err
	}
	wrote, failed, err := b.all(ctx, batch, b.one)
	if err == nil && failed && len(batch) > 1 {
		if err = b.exec(ctx, "ROLLBACK"); err == nil {
			wrote, _, err = b.all(ctx, batch, b.apart)
		}
	} else if err == nil && failed {
		wrote = false
	}
	switch {
	case err != nil:
		return err
	case !wrote:
		return b.exec(ctx, "ROLLBACK")
	}
	reach(batch, "commit")
	if err := b.store.commit(func() error { return b.exec(ctx, "COMMIT") }); err != nil {
		return err
	}
	reach(batch, "committed")
	return nil
}

// reach passes a point of the closures that succeeded.
func reach(batch []*waiting, point string) {
	for _, w := range batch {
		if w.err == nil && w.panicky == nil {
			w.point(point)
		}
	}
}

// all begins a transaction and runs the batch in it. It tells whether a closure
// succeeded and whether one failed.
func (b *batcher) all(ctx context.Context, batch []*waiting, run func(context.Context, *waiting) error) (wrote, failed bool, err error) {
	if err := b.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, false, err
	}
	for _, w := range batch {
		if w.err = w.ctx.Err(); w.err != nil { // nobody waits for it any more
			continue
		}
		if err := run(ctx, w); err != nil {
			return false, false, err
		}
		if w.err != nil || w.panicky != nil {
			failed = true
		} else {
			wrote = true
		}
	}
	return wrote, failed, nil
}

// apart runs one closure in a savepoint of its own. The error returned is the
// database's; the closure's own is in w.err.
func (b *batcher) apart(ctx context.Context, w *waiting) error {
	if err := b.exec(ctx, "SAVEPOINT apart"); err != nil {
		return err
	}
	if err := b.one(ctx, w); err != nil {
		return err
	}
	if w.err != nil || w.panicky != nil {
		if err := b.exec(ctx, "ROLLBACK TO apart"); err != nil {
			return err
		}
	}
	return b.exec(ctx, "RELEASE apart")
}

// one runs one closure. What it returns or panics with is kept for its caller.
func (b *batcher) one(ctx context.Context, w *waiting) error {
	db, point := watched(b.stmts)
	w.point = point
	t := &tx{ctx: ctx, q: query.New(db), db: db, store: b.store}
	defer func() {
		w.topics = t.topics
		if w.panicky = recover(); w.panicky != nil {
			w.stack, w.topics = debug.Stack(), nil
		} else if w.err != nil {
			w.topics = nil
		}
	}()
	w.err = w.fn(t)
	return nil
}

func (b *batcher) exec(ctx context.Context, text string) error {
	_, err := b.stmts.ExecContext(ctx, text)
	return err
}

func (b *batcher) connect(ctx context.Context) error {
	if b.conn != nil {
		return nil
	}
	conn, err := b.store.write.Conn(ctx)
	if err != nil {
		return err
	}
	b.conn, b.stmts = conn, newStatements(conn)
	return nil
}

// disconnect gives the connection up with whatever transaction it was in. The
// rollback and the statements come first: SQLite keeps the locks of a connection
// that is closed while a statement of it is open.
func (b *batcher) disconnect() {
	if b.conn == nil {
		return
	}
	_, _ = b.conn.ExecContext(context.Background(), "ROLLBACK")
	b.stmts.close()
	_ = b.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = b.conn.Close()
	b.conn, b.stmts = nil, nil
}

// LimitSize keeps a SQLite database from growing beyond its present size, as a
// full disk would, until heal is called.
func (s *Store) LimitSize(ctx context.Context) (heal func(), err error) {
	limit := func(pages string) error {
		return s.batch.run(ctx, func(t *tx) error {
			_, err := t.db.ExecContext(ctx, "PRAGMA max_page_count = "+pages)
			return err
		})
	}
	n, err := s.count(ctx, "PRAGMA page_count")
	if err != nil {
		return nil, err
	}
	return func() { _ = limit("1073741823") }, limit(fmt.Sprint(n + 8))
}
