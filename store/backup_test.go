package store_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// A backup of either engine fills either engine, and holds the same.
func TestBackupMovesBetweenEngines(t *testing.T) {
	for _, from := range []store.Engine{store.SQLite, store.PostgreSQL} {
		for _, to := range []store.Engine{store.SQLite, store.PostgreSQL} {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				t.Parallel()
				source, backup := backedUp(t, from)
				target := storetest.New(t, to)
				sum, err := target.Restore(t.Context(), reader(backup))
				if err != nil {
					t.Fatal(err)
				}
				head := target.Value("SELECT CAST(epoch AS TEXT) FROM blocklist_head")
				if head != fmt.Sprint(sum.Epoch) || sum.Epoch <= 1 || sum.Rows == 0 {
					t.Errorf("%+v, and the epoch is %s", sum, head)
				}
				target.SQL("UPDATE blocklist_head SET epoch = 1") // the one thing that differs
				again := new(bytes.Buffer)
				if _, err := target.Backup(t.Context(), again); err != nil {
					t.Fatal(err)
				}
				a, b := lines(t, backup), lines(t, again.Bytes())
				if len(a) != len(b) {
					t.Fatalf("%d lines became %d", len(a), len(b))
				}
				for line, n := range a {
					if b[line] != n {
						t.Errorf("lost: %s", line)
					}
				}
				if n, err := source.Grant().VerifyJournal(t.Context(), func(grant.Break) {}, nil); err != nil || n == 0 {
					t.Fatal(n, err)
				}
			})
		}
	}
}

// backedUp is a database with something of everything deliveries make, and its
// backup.
func backedUp(t *testing.T, engine store.Engine) (*storetest.DB, []byte) {
	t.Helper()
	db := storetest.New(t, engine)
	d := desk(db)
	for i := range 5 {
		receive(t, d, "approve", 1777880000, i)
	}
	receive(t, d, "revoke", 1777880001, 2)
	out := new(bytes.Buffer)
	if _, err := db.Backup(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return db, out.Bytes()
}

func reader(b []byte) func() (io.Reader, error) {
	return func() (io.Reader, error) { return bytes.NewReader(b), nil }
}

// lines counts the rows of a backup, without its instant.
func lines(t *testing.T, backup []byte) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, line := range strings.Split(unzip(t, backup), "\n") {
		if !strings.Contains(line, `"made_at"`) {
			out[line]++
		}
	}
	return out
}

func unzip(t *testing.T, backup []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(backup))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is not a whole backup of this version changes nothing.
func TestBackupRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		_, backup := backedUp(t, db.Engine())
		text := unzip(t, backup)
		zip := func(text string) []byte {
			out := new(bytes.Buffer)
			w := gzip.NewWriter(out)
			_, _ = w.Write([]byte(text))
			_ = w.Close()
			return out.Bytes()
		}
		for name, c := range map[string]struct {
			backup []byte
			want   error
		}{
			"nothing":         {nil, store.ErrBackupDamaged},
			"not gzip":        {[]byte("guichet"), store.ErrBackupDamaged},
			"cut":             {backup[:len(backup)/2], store.ErrBackupDamaged},
			"without its end": {zip(text[:strings.LastIndex(strings.TrimSpace(text), "\n")+1]), store.ErrBackupDamaged},
			"a row missing":   {zip(strings.Replace(text, text[strings.LastIndex(text, "\n["):strings.LastIndex(text, "\n[")+9], "\n", 1)), store.ErrBackupDamaged},
			"other columns":   {zip(strings.Replace(text, `"table":"requests","columns":["id"`, `"table":"requests","columns":["id); DROP TABLE tokens; --"`, 1)), store.ErrBackupDamaged},
			"another table":   {zip(strings.Replace(text, `"table":"requests"`, `"table":"sqlite_master"`, 1)), store.ErrBackupDamaged},
			"another version": {zip(strings.Replace(text, `"schema":`, `"schema":9`, 1)), store.ErrBackupVersion},
		} {
			if _, err := db.Restore(t.Context(), reader(c.backup)); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM requests"); n != "0" {
				t.Fatalf("%s left %s requests behind", name, n)
			}
		}
		if _, err := db.Restore(t.Context(), reader(backup)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Restore(t.Context(), reader(backup)); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("over another: %v", err)
		}
	})
}
