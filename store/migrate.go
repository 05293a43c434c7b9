package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"guichet"
)

//go:embed migration
var migrations embed.FS

// ErrNewer is returned for a database that a newer program has changed: this one
// does not know what its tables mean.
var ErrNewer = &guichet.Error{
	Kind: guichet.Conflict, Code: "database_too_new",
	Reason: "The database was changed by a newer version of Guichet. Run that version, or restore a backup made before it.",
}

// overlay is the migrations of one engine: the shared ones, and its own for what
// cannot be said in a portable way (triggers).
type overlay struct {
	engine Engine
	layers []fs.FS
}

func migrationsOf(e Engine) (overlay, error) {
	shared, err := fs.Sub(migrations, "migration")
	if err != nil {
		return overlay{}, err
	}
	own, err := fs.Sub(shared, string(e))
	return overlay{e, []fs.FS{own, shared}}, err
}

// Open gives the shared text, followed by what the engine adds under the same
// name.
func (o overlay) Open(name string) (fs.File, error) {
	var whole []byte
	var info fs.FileInfo
	for _, layer := range slices.Backward(o.layers) {
		text, err := fs.ReadFile(layer, name)
		if err != nil {
			continue
		}
		if o.engine == SQLite {
			text = bytes.ReplaceAll(text, []byte("\n); -- keyed"), []byte("\n) WITHOUT ROWID;"))
		}
		whole = append(whole, text...)
		if info, err = fs.Stat(layer, name); err != nil {
			return nil, err
		}
	}
	if info == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{bytes.NewReader(whole), info}, nil
}

// memoryFile is a migration as its engine reads it.
type memoryFile struct {
	*bytes.Reader
	info fs.FileInfo
}

// Stat implements fs.File; its size is that of the shared text.
func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements fs.File.
func (f *memoryFile) Close() error { return nil }

// ReadDir lists the files of all layers.
func (o overlay) ReadDir(name string) (all []fs.DirEntry, err error) {
	for _, layer := range o.layers {
		entries, err := fs.ReadDir(layer, name)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() && !slices.ContainsFunc(all, func(have fs.DirEntry) bool { return have.Name() == e.Name() }) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

// newest is the version of the last migration.
func (o overlay) newest() (int64, error) {
	entries, err := o.ReadDir(".")
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	return strconv.ParseInt(strings.SplitN(entries[len(entries)-1].Name(), "_", 2)[0], 10, 64)
}

// Migrate brings the database to the version this program knows, under a lock so
// that several programs may start at once, and refuses a newer one. Each
// migration is a transaction: if we die in one, it did not happen.
func (s *Store) Migrate(ctx context.Context) (applied int, err error) {
	files, err := migrationsOf(s.engine)
	if err != nil {
		return 0, err
	}
	newest, err := files.newest()
	if err != nil {
		return 0, err
	}
	switch version, err := s.version(ctx); {
	case err != nil:
		return 0, err
	case version == newest:
		return 0, nil
	case version > newest:
		return 0, ErrNewer
	}
	db, dialect := s.write, goose.DialectSQLite3
	if s.engine == PostgreSQL {
		db, dialect = stdlib.OpenDB(*s.patient), goose.DialectPostgres
		defer func() { _ = db.Close() }()
	}
	unlock, err := s.lockMigrations(ctx, db)
	if err != nil {
		return 0, err
	}
	defer unlock()
	provider, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return len(results), fmt.Errorf("migrate: %w", err)
	}
	return len(results), nil
}

// version reads the newest applied migration without goose, because every start
// asks and the answer is nearly always "nothing to do".
func (s *Store) version(ctx context.Context) (int64, error) {
	known, err := s.tables(ctx)
	if err != nil || !slices.Contains(known, "goose_db_version") {
		return 0, err
	}
	var version int64
	err = s.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	return version, err
}

// lockMigrations keeps other programs from migrating at the same time.
func (s *Store) lockMigrations(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	if s.engine == SQLite {
		return lockFile(ctx, s.path+".lock")
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	const key = 0x6775696368657401 // "guichet", and 1
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(key)); err != nil {
		return nil, errors.Join(ErrUnavailable.Because(err), conn.Close())
	}
	return func() {
		_, _ = conn.ExecContext(context.Background(), "SELECT pg_advisory_unlock($1)", int64(key))
		_ = conn.Close()
	}, nil
}

// tables lists the tables of the database.
func (s *Store) tables(ctx context.Context) (names []string, err error) {
	text := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
	if s.engine == PostgreSQL {
		text = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name"
	}
	rows, err := s.read.QueryContext(ctx, text)
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
