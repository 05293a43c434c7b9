package store

import (
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"sync"
)

// preparer is a connection or a pool.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// statements runs the generated queries, each prepared once: the set of texts is
// closed (query/), so the map is bounded.
type statements struct {
	db   preparer
	mu   sync.RWMutex
	byID map[string]*sql.Stmt
}

func newStatements(db preparer) *statements {
	return &statements{db: db, byID: map[string]*sql.Stmt{}}
}

func (s *statements) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	s.mu.RLock()
	stmt := s.byID[text]
	s.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, nameless(text))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.byID[text]; other != nil { // someone was faster
		_ = stmt.Close()
		return other, nil
	}
	s.byID[text] = stmt
	return stmt, nil
}

var placeholder = regexp.MustCompile(`\$([0-9]+)`)

// nameless writes parameters as ? where they stand once each and in order: SQLite
// takes $1 for a name, which the driver looks up at each execution.
func nameless(text string) string {
	for i, found := range placeholder.FindAllStringSubmatch(text, -1) {
		if found[1] != strconv.Itoa(i+1) {
			return text
		}
	}
	return placeholder.ReplaceAllLiteralString(text, "?")
}

func (s *statements) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	stmt, err := s.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (s *statements) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *statements) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	stmt, err := s.PrepareContext(ctx, text)
	if err != nil {
		// sql.Row can only carry an error that a query gave: ask the pool, which
		// fails in the same way.
		if q, ok := s.db.(interface {
			QueryRowContext(context.Context, string, ...any) *sql.Row
		}); ok {
			return q.QueryRowContext(ctx, text, args...)
		}
		return &sql.Row{}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// close gives every statement back.
func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stmt := range s.byID {
		_ = stmt.Close()
	}
	clear(s.byID)
}
