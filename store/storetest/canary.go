package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"guichet/canary"
	"guichet/store"
)

// No test may leave a secret in the clear in what a database keeps: every secret
// that the test program has heard of is looked for when a test ends.

// Given names files and folders of the test's own, below its temporary folders,
// by which somebody gives a secret to the program: a key file, a configuration.
// They are not looked into.
func (db *DB) Given(paths ...string) { db.given = append(db.given, paths...) }

func (db *DB) isGiven(path string) bool {
	for _, given := range db.given {
		if path == given || strings.HasPrefix(path, given+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// scan gives what was found in all that the test's database wrote, and in the
// temporary folders of the test.
func (db *DB) scan() ([]canary.Find, error) {
	all, held, err := canary.Folder(filepath.Dir(db.folder), db.isGiven)
	db.held = append(db.held, held...)
	if err != nil {
		return all, err
	}
	all = append(all, canary.Deleted()...)
	if db.Engine() != store.PostgreSQL {
		return all, nil
	}
	rows, err := db.rows()
	all = append(all, rows...)
	if err != nil || db.server() == "" {
		return all, err
	}
	files, err := db.serverFiles()
	return append(all, files...), err
}

// rows looks at every row of every table of a PostgreSQL database as it is, whatever
// is compressed in the files.
func (db *DB) rows() (all []canary.Find, err error) {
	tables := db.Column("SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')" +
		" AND pg_relation_size((quote_ident(table_schema) || '.' || quote_ident(table_name))::regclass) > 0") // most have no page, and so no row
	db.raw(func(raw *sql.DB) { err = copyRows(raw, tables, func(f []canary.Find) { all = append(all, f...) }) })
	return all, err
}

func copyRows(raw *sql.DB, tables []string, found func([]canary.Find)) error {
	conn, err := raw.Conn(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return conn.Raw(func(driver any) error {
		connection := driver.(*stdlib.Conn).Conn()
		for _, table := range tables {
			var rows bytes.Buffer
			if _, err := connection.PgConn().CopyTo(context.Background(), &rows, "COPY "+table+" TO STDOUT (FORMAT binary)"); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			found(canary.Look("rows of "+table, rows.Bytes()))
		}
		return nil
	})
}

// own is the folder of each PostgreSQL that this program started, by its address.
var own sync.Map

// server is the folder of the database's PostgreSQL, or nothing if it is not ours.
func (db *DB) server() string {
	at, err := url.Parse(db.Source)
	if err != nil {
		return ""
	}
	folder, _ := own.Load(at.Host)
	name, _ := folder.(string)
	return name
}

// mark is how far the server's log and its write-ahead log had come.
type mark struct {
	wal, log int64
}

func (db *DB) mark() (m mark, err error) {
	if db.Engine() != store.PostgreSQL || db.server() == "" {
		return m, nil
	}
	if _, err := fmt.Sscan(db.Value("SELECT (pg_current_wal_lsn() - '0/0')::bigint"), &m.wal); err != nil {
		return m, err
	}
	info, err := os.Stat(filepath.Join(db.server(), "log"))
	if err == nil {
		m.log = info.Size()
	}
	return m, err
}

// serverFiles looks into the files of the database, and into what came to the
// server's log and to its write-ahead log while the test ran, of whatever test.
func (db *DB) serverFiles() (all []canary.Find, err error) {
	now, err := db.mark()
	if err != nil {
		return nil, err
	}
	id := db.Value("SELECT oid::text FROM pg_database WHERE datname = current_database()")
	// What the template had is not the test's: 16384 is where a server's own relations end.
	all, held, err := canary.Folder(filepath.Join(db.server(), "data", "base", id), func(path string) bool {
		name := filepath.Base(path)
		return name != id && (len(name) < 5 || name < "16384" && len(name) == 5)
	})
	held.Close()
	if err != nil {
		return all, err
	}
	log, err := part(filepath.Join(db.server(), "log"), db.began.log, now.log)
	if err != nil {
		return all, err
	}
	all = append(all, canary.Look("log of PostgreSQL", log)...)
	wal, err := db.wal(db.began.wal, now.wal)
	return append(all, canary.Look("write-ahead log of PostgreSQL", wal)...), err
}

const (
	walSegment = 16 << 20
	walPage    = 8192
)

// wal reads the write-ahead log without the heads of its pages, which stand in the
// midst of what a record holds. Segments that were used anew meanwhile are not there.
func (db *DB) wal(from, to int64) (wal []byte, err error) {
	began := from
	wal = make([]byte, 0, max(0, to-from))
	for from -= from % walPage; from < to; {
		segment := from / walSegment
		name := fmt.Sprintf("%08X%08X%08X", 1, segment/256, segment%256)
		stop := min(to, (segment+1)*walSegment)
		data, err := part(filepath.Join(db.server(), "data", "pg_wal", name), from%walSegment, stop-segment*walSegment)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for at := from; len(data) > 0; at += walPage {
			head, page := 24, min(walPage, len(data))
			if at%walSegment == 0 {
				head = 40
			}
			head = max(head, int(min(began-at, walPage))) // what came before is of another test
			wal = append(wal, data[min(head, page):page]...)
			data = data[page:]
		}
		from = stop
	}
	return wal, nil
}

func part(name string, from, to int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data := make([]byte, max(0, to-from))
	n, err := f.ReadAt(data, from)
	if errors.Is(err, io.EOF) {
		err = nil // it is shorter now
	}
	return data[:n], err
}

// NoSecretIn fails the test for each secret in a folder that is not one of the
// test's temporary folders, but where the program has written too.
func (db *DB) NoSecretIn(folder string, given func(path string) bool) {
	db.t.Helper()
	found, held, err := canary.Folder(folder, given)
	held.Close() // no database of this process is there
	if err != nil {
		db.t.Errorf("looking for secrets: %v", err)
	}
	for _, f := range found {
		db.t.Errorf("%s", f)
	}
}

// noSecret fails the test for each secret that stands where it may not.
func (db *DB) noSecret(t testing.TB) {
	t.Helper()
	found, err := db.scan()
	if err != nil {
		t.Errorf("looking for secrets: %v", err)
	}
	for _, f := range found {
		t.Errorf("%s", f)
	}
}
