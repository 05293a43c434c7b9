//go:build crashing

package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"syscall"

	"guichet/store/query"
)

// Built with the tag crashing, the program dies where it is told: by SIGKILL, at
// one point of one transaction. CRASHING names a file; as long as the file
// exists, the next transaction whose first statement is called FIRST dies at its
// Nth point, with the line
//
//	FIRST N
//
// in the file (several names are separated by |; they are those of query/*.sql).
// Point 0 is before the first statement, point n after the nth, and the last ones
// are on both sides of the commit, "commit" and "committed". The point's name is
// written to the file's name with ".reached" before the end. A transaction that has
// no such point goes on: whoever tries 0, 1, 2… until nothing dies has tried all.
// Nothing is written between two transactions, so that these are all the states in
// which a crash can leave the database.

// doom is a database that counts its statements.
type doom struct {
	query.DBTX
	file  string
	begun bool
	left  int // points to go; negative: none of ours
}

func watched(db query.DBTX) (query.DBTX, func(point string)) {
	file := os.Getenv("CRASHING")
	if file == "" {
		return db, func(string) {}
	}
	d := &doom{DBTX: db, file: file, left: -1}
	return d, d.pass
}

// pass is one point.
func (d *doom) pass(point string) {
	if d.left == 0 {
		if err := os.WriteFile(d.file+".reached", []byte(point), 0o600); err != nil {
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if d.left > 0 {
		d.left--
	}
}

// begin looks whether this transaction is the one, at its first statement.
func (d *doom) begin(text string) (name string) {
	_, name, _ = strings.Cut(text, "-- name: ")
	name, _, _ = strings.Cut(name, " ")
	if d.begun {
		return name
	}
	d.begun = true
	order, err := os.ReadFile(d.file)
	if err != nil {
		return name
	}
	var first string
	var at int
	if _, err := fmt.Sscan(string(order), &first, &at); err != nil {
		panic(err)
	}
	for one := range strings.SplitSeq(first, "|") {
		if one == name {
			d.left = at
			d.pass("before " + name)
		}
	}
	return name
}

func (d *doom) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	name := d.begin(text)
	r, err := d.DBTX.ExecContext(ctx, text, args...)
	d.pass(name)
	return r, err
}

func (d *doom) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	name := d.begin(text)
	r, err := d.DBTX.QueryContext(ctx, text, args...)
	d.pass(name)
	return r, err
}

func (d *doom) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	name := d.begin(text)
	r := d.DBTX.QueryRowContext(ctx, text, args...)
	d.pass(name)
	return r
}
