package storetest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// image is the file of a migrated SQLite database. Closing it has brought its
// log back into it, so that the file is the whole of it.
var image = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guichet-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "image.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// sqlite makes a database of this test alone.
func sqlite(t testing.TB) string {
	t.Helper()
	whole, err := image()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "guichet.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}
