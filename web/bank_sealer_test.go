package web_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"guichet/bank"
	"guichet/keyring"
)

// testSealer is the real one, on a key file of the test.
func testSealer(t testing.TB) bank.Sealer {
	t.Helper()
	file, _, err := keyring.OpenKeyFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return sealer{s}
}

type sealer struct{ *keyring.Sealer }

func (s sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	return s.Sealer.Seal(keyring.Place{Table: table, Row: row, Column: column}, plain)
}

func (s sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	return s.Sealer.Open(keyring.Place{Table: table, Row: row, Column: column}, sealed)
}

func (s sealer) Fingerprint(parts ...string) (string, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	for _, p := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}
