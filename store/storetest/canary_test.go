package storetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet"
	"guichet/canary"
	"guichet/store"
)

// A scan is worth what it finds: a secret is planted in each place where a test may
// leave one, and the scan must say so.
func TestPlantedSecretIsFound(t *testing.T) {
	plants := map[string]struct {
		engine store.Engine
		plant  func(t *testing.T, db *DB, secret string)
		place  string
	}{
		"row of SQLite":      {store.SQLite, func(_ *testing.T, db *DB, s string) { db.plant(s) }, "file guichet.db"},
		"row of PostgreSQL":  {store.PostgreSQL, func(_ *testing.T, db *DB, s string) { db.plant(s) }, "rows of public.planted"},
		"PostgreSQL's files": {store.PostgreSQL, func(_ *testing.T, db *DB, s string) { db.plant(s); db.SQL("CHECKPOINT") }, "file "},
		"a compressed row": {store.PostgreSQL, func(_ *testing.T, db *DB, s string) {
			db.plant(strings.Repeat("un peu de texte, ", 2000) + s + strings.Repeat(", encore du texte", 2000))
		}, "rows of public.planted"},
		"a row that was undone, SQLite": {store.SQLite, func(_ *testing.T, db *DB, s string) { db.plant(s); db.SQL("DELETE FROM planted") }, "file guichet.db"},
		"a row that was undone, PostgreSQL": {store.PostgreSQL, func(_ *testing.T, db *DB, s string) {
			db.plant(s)
			db.SQL("DROP TABLE planted")
		}, "write-ahead log of PostgreSQL"},
		"a statement that failed": {store.PostgreSQL, func(t *testing.T, db *DB, s string) {
			if db.TrySQL("INSERT INTO nowhere VALUES ('"+s+"')") == nil {
				t.Error("it did not fail")
			}
		}, "log of PostgreSQL"},
		"a temporary file": {store.SQLite, func(t *testing.T, _ *DB, s string) {
			if err := os.WriteFile(filepath.Join(t.TempDir(), "left"), []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "file left"},
		"a file without a name": {store.SQLite, func(t *testing.T, _ *DB, s string) {
			f, err := os.CreateTemp(t.TempDir(), "unnamed")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			if _, err := f.WriteString(s); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(f.Name()); err != nil {
				t.Fatal(err)
			}
		}, "file without a name"},
	}
	for name, p := range plants {
		t.Run(name, func(t *testing.T) {
			db := New(t, p.engine)
			db.Unchecked() // it holds a secret, and must
			secret := guichet.SystemClock().NewSecret().Reveal()
			if found, err := db.scan(); err != nil || len(found) != 0 {
				t.Fatalf("found before it was planted: %v, %v", found, err)
			}
			p.plant(t, db, secret)
			found, err := db.scan()
			if err != nil || !in(p.place, found) {
				t.Errorf("not found in %s, but %v, %v", p.place, found, err)
			}
		})
	}
}

func (db *DB) plant(text string) {
	db.SQL("CREATE TABLE planted (text TEXT)")
	db.SQL("INSERT INTO planted VALUES ('" + text + "')")
}

func in(place string, found []canary.Find) bool {
	for _, f := range found {
		if strings.HasPrefix(f.Place, place) {
			return true
		}
	}
	return false
}
