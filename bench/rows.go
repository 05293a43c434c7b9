package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"guichet"
)

// written are the tables that an approval of a new request adds a row to, in the order
// in which it does; a job is its letters.
var written = []string{"chains", "requests", "request_queue", "tokens", "deliveries", "jobs WHERE kind = 'mail'"}

// sameRows keeps, of each body, the rows that an approval gives, and does nothing
// else: it reads nothing of the body, decides nothing, encodes and hashes nothing.
// What is in them is a real approval's, found in the database in the folder, under
// numbers of their own. It tells how fast the rows alone can be written.
func sameRows(folder string) (func([]byte) error, error) {
	db, err := openReferenceFile(filepath.Join(folder, "guichet.db"))
	if err != nil {
		return nil, err
	}
	// As Guichet sets them: see package store.
	if _, err := db.Exec("PRAGMA foreign_keys = 1; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8000; PRAGMA temp_store = 2"); err != nil {
		return nil, err
	}
	var inserts []*sql.Stmt
	var columns [][]string
	var models [][]any
	for _, table := range written {
		names, model, err := modelOf(db, table)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
		name, _, _ := strings.Cut(table, " ")
		insert, err := db.Prepare("INSERT INTO " + name + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) + ")") //nolint:gosec // our own tables
		if err != nil {
			return nil, err
		}
		inserts, columns, models = append(inserts, insert), append(columns, names), append(models, model)
	}
	clock := guichet.SystemClock()
	var sent atomic.Int64
	return grouped(db, inserts, func([]byte) [][]any {
		n, now := sent.Add(1), clock.Now().UnixMicro()
		request, token := string(clock.NewID()), string(clock.NewID())
		number := fmt.Sprint(100_000 + n)
		ids := map[string]string{"requests": request, "tokens": token}
		own := map[string]any{
			"request_id": request, "token_id": token, "chain": "api_entreprise/" + number, "external_id": number, "status_index": 1_000_000 + n,
			"created_at": now, "updated_at": now, "state": "ready", "worker": "", "last_error": "",
		}
		rows := make([][]any, len(models))
		for i, model := range models {
			rows[i] = slices.Clone(model)
			for j, column := range columns[i] {
				if column == "id" {
					rows[i][j] = cmp.Or(ids[written[i]], string(clock.NewID()))
				} else if value, ours := own[column]; ours {
					rows[i][j] = value
				}
			}
		}
		return rows
	}), nil
}

// modelOf gives the columns and the first row of a table. The queue of the index may
// be empty by now; its rows hold nothing but a name.
func modelOf(db *sql.DB, table string) (columns []string, row []any, err error) {
	rows, err := db.Query("SELECT * FROM " + table + " LIMIT 1") //nolint:gosec // our own tables
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	row = make([]any, len(columns))
	if !rows.Next() {
		if len(columns) > 1 {
			return nil, nil, fmt.Errorf("the approval left no row: %w", rows.Err())
		}
		return columns, row, rows.Err()
	}
	into := make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	return columns, row, rows.Scan(into...)
}

// rows starts that reference on a database in which Guichet wrote one approval.
func (b bench) rows() (*process, error) {
	g, err := b.guichet()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	err = send(ctx, newClient(1), g.address, deliveries(0, 1)[0], http.StatusOK)
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	_ = g.cmd.Wait()
	if err != nil {
		_ = os.RemoveAll(g.folder)
		return nil, err
	}
	p, err := b.referenceIn("rows", g.folder)
	if err != nil {
		_ = os.RemoveAll(g.folder)
		return nil, err
	}
	_ = os.RemoveAll(p.folder)
	p.folder = g.folder
	return p, nil
}
