package store

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"guichet"
)

// What a backup may be refused for.
var (
	ErrBackupDamaged = &guichet.Error{Kind: guichet.Invalid, Code: "backup_damaged", Field: "file", Reason: "This is not a whole backup of Guichet. Nothing was changed."}
	ErrBackupVersion = &guichet.Error{Kind: guichet.Conflict, Code: "backup_version", Field: "file", Reason: "This backup was made by another version of the database. Restore it with the version of Guichet that made it, then start the newer one."}
	ErrNotEmpty      = &guichet.Error{Kind: guichet.Conflict, Code: "database_not_empty", Field: "GUICHET_DATABASE", Reason: "A backup is restored into an empty database only. Name a new one, or move this one away."}
)

// A Summary tells what a backup holds.
type Summary struct {
	Schema int64     `json:"schema"`
	MadeAt time.Time `json:"made_at"`
	Tables int       `json:"tables"`
	Rows   int64     `json:"rows"`
	Epoch  int64     `json:"epoch"` // of the blocklist, after a restore
}

// A backup is gzip over lines of JSON: a header, then for each table its name and
// columns and one line for each row, then how many rows there were. It is the
// same for both engines, so that it also moves a database from one to the other.
type (
	backupHeader struct {
		Format int       `json:"guichet_backup"`
		Schema int64     `json:"schema"`
		MadeAt time.Time `json:"made_at"`
	}
	backupTable struct {
		Table   string   `json:"table"`
		Columns []string `json:"columns"`
	}
	backupEnd struct {
		Rows *int64 `json:"rows"`
	}
	backupBytes struct {
		Bytes []byte `json:"b"`
	}
)

// notKept are the tables a backup leaves out: what the migrations write, who is
// signed in, the index of requests, which is made anew from them, and what a
// reconciliation has looked at.
var notKept = []string{"goose_db_version", "sessions", "request_queue", "request_index", "request_terms", "reconcile_seen"}

// Backup writes everything the database holds at one instant, beside a working
// server. Secrets in it are sealed as they are in the database.
func (s *Store) Backup(ctx context.Context, w io.Writer) (Summary, error) {
	sum := Summary{MadeAt: s.clock.Now()}
	var err error
	if sum.Schema, err = s.version(ctx); err != nil {
		return sum, err
	}
	tables, err := s.ownTables(ctx)
	if err != nil {
		return sum, err
	}
	view, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: s.engine == PostgreSQL, Isolation: s.viewIsolation()})
	if err != nil {
		return sum, ErrUnavailable.Because(err)
	}
	defer func() { _ = view.Rollback() }()
	zipped := gzip.NewWriter(w)
	out := json.NewEncoder(zipped)
	out.SetEscapeHTML(false)
	if err := out.Encode(backupHeader{1, sum.Schema, sum.MadeAt}); err != nil {
		return sum, err
	}
	for _, table := range tables {
		n, err := backUp(ctx, view, table, out)
		if err != nil {
			return sum, err
		}
		sum.Tables++
		sum.Rows += n
	}
	return sum, errors.Join(out.Encode(backupEnd{&sum.Rows}), zipped.Close())
}

func backUp(ctx context.Context, view *sql.Tx, table string, out *json.Encoder) (n int64, err error) {
	rows, err := view.QueryContext(ctx, "SELECT * FROM "+table) //nolint:gosec // a name that the database's own catalogue gave
	if err != nil {
		return 0, ErrUnavailable.Because(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return 0, err
	}
	if err := out.Encode(backupTable{table, columns}); err != nil {
		return 0, err
	}
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for i, v := range row {
			switch v := v.(type) {
			case []byte:
				row[i] = backupBytes{v}
			case int64: // SQLite keeps truth as a number
				if types[i].DatabaseTypeName() == "BOOLEAN" {
					row[i] = v != 0
				}
			}
		}
		if err := out.Encode(row); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// Restore fills an empty database, of either engine, from a backup: in one
// transaction, so that a damaged file leaves nothing behind. open gives the
// backup from its beginning, as often as it is asked.
//
// What was blocked after the backup is not in it. The epoch of the blocklist
// rises, so that no gateway takes the shorter list for an older one and goes on
// with what it knew.
func (s *Store) Restore(ctx context.Context, open func() (io.Reader, error)) (sum Summary, err error) {
	version, err := s.version(ctx)
	if err != nil {
		return sum, err
	}
	tables, err := s.ownTables(ctx)
	if err != nil {
		return sum, err
	}
	err = s.update(ctx, func(t *tx) error {
		r, err := open()
		if err != nil {
			return err
		}
		zipped, err := gzip.NewReader(bufio.NewReader(r))
		if err != nil {
			return ErrBackupDamaged.Because(err)
		}
		in := json.NewDecoder(zipped)
		in.UseNumber()
		var header backupHeader
		switch err := in.Decode(&header); {
		case err != nil || header.Format != 1:
			return ErrBackupDamaged.Because(err)
		case header.Schema != version:
			return ErrBackupVersion.Because(fmt.Errorf("backup %d, database %d", header.Schema, version))
		}
		if err := t.empty(tables); err != nil {
			return err
		}
		sum = Summary{Schema: header.Schema, MadeAt: header.MadeAt}
		if err := t.restore(in, tables, &sum); err != nil {
			return err
		}
		if err := t.q.QueueRequests(t.ctx); err != nil {
			return err
		}
		sum.Epoch, err = t.raiseEpoch()
		return err
	})
	return sum, err
}

// empty makes sure that nobody has used the database, and takes away the rows
// that it is born with.
func (t *tx) empty(tables []string) error {
	for _, table := range tables {
		if table == "blocklist_head" {
			if _, err := t.db.ExecContext(t.ctx, "DELETE FROM blocklist_head"); err != nil {
				return err
			}
		}
		var used bool
		if err := t.db.QueryRowContext(t.ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&used); err != nil {
			return err
		}
		if used {
			return ErrNotEmpty.Because(fmt.Errorf("%s has rows", table))
		}
	}
	return nil
}

// restore reads tables and rows until the end of the backup.
func (t *tx) restore(in *json.Decoder, tables []string, sum *Summary) error {
	insert := ""
	width := 0
	for {
		var line json.RawMessage
		if err := in.Decode(&line); err != nil {
			return ErrBackupDamaged.Because(err)
		}
		if line[0] == '[' && insert != "" {
			row, err := backedUp(line)
			if err != nil || len(row) != width {
				return ErrBackupDamaged.Because(err)
			}
			if _, err := t.db.ExecContext(t.ctx, insert, row...); err != nil {
				return ErrBackupDamaged.Because(err)
			}
			sum.Rows++
			continue
		}
		var table backupTable
		var end backupEnd
		if err := errors.Join(json.Unmarshal(line, &table), json.Unmarshal(line, &end)); err != nil {
			return ErrBackupDamaged.Because(err)
		}
		if end.Rows != nil {
			if *end.Rows != sum.Rows {
				return ErrBackupDamaged.Because(fmt.Errorf("%d rows of %d", sum.Rows, *end.Rows))
			}
			return nil
		}
		// The names come from a file: they must be ours before they are SQL.
		if !slices.Contains(tables, table.Table) || slices.ContainsFunc(table.Columns, func(c string) bool { return strings.Trim(c, lowerCase) != "" }) {
			return ErrBackupDamaged.Because(fmt.Errorf("no table %.40q of such columns", table.Table))
		}
		places := make([]string, len(table.Columns))
		for i := range places {
			places[i] = fmt.Sprintf("$%d", i+1)
		}
		width = len(places)
		insert = "INSERT INTO " + table.Table + " (" + strings.Join(table.Columns, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
		sum.Tables++
	}
}

const lowerCase = "abcdefghijklmnopqrstuvwxyz0123456789_"

// backedUp reads one row.
func backedUp(line json.RawMessage) ([]any, error) {
	var cells []json.RawMessage
	if err := json.Unmarshal(line, &cells); err != nil {
		return nil, err
	}
	row := make([]any, len(cells))
	for i, cell := range cells {
		var err error
		switch cell[0] {
		case '{':
			var b backupBytes
			err = json.Unmarshal(cell, &b)
			if b.Bytes == nil {
				b.Bytes = []byte{}
			}
			row[i] = b.Bytes
		case '"':
			var text string
			err = json.Unmarshal(cell, &text)
			row[i] = text
		case 't', 'f':
			row[i] = cell[0] == 't'
		case 'n':
			row[i] = nil
		default:
			row[i], err = json.Number(cell).Int64()
		}
		if err != nil {
			return nil, err
		}
	}
	return row, nil
}

// ownTables lists the tables in the order they were made, so that what refers to
// another comes after it.
func (s *Store) ownTables(ctx context.Context) ([]string, error) {
	text := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
	if s.engine == PostgreSQL {
		text = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid"
	}
	all, err := s.column(ctx, text)
	return slices.DeleteFunc(all, func(name string) bool { return slices.Contains(notKept, name) }), err
}
