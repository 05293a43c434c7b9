package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func newFile(t *testing.T) (*KeyFile, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "var", "guichet.key")
	k, created, err := OpenKeyFile(path)
	if err != nil || !created {
		t.Fatalf("OpenKeyFile: created %v, %v", created, err)
	}
	return k, path
}

func TestKeyFileIsMadeOnce(t *testing.T) {
	first, path := newFile(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	sealed, _, err := first.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	again, created, err := OpenKeyFile(path)
	if err != nil || created {
		t.Fatalf("second OpenKeyFile: created %v, %v", created, err)
	}
	if _, err := again.OpenKeyset(sealed); err != nil {
		t.Errorf("the same file does not open its keyset: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files in the folder (%v), want the key file alone", len(left), err)
	}
}

func TestKeyFileCreatedByManyAtOnceIsOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guichet.key")
	const openers = 16
	files, creations := make([]*KeyFile, openers), make([]bool, openers)
	var wg sync.WaitGroup
	for i := range openers {
		wg.Go(func() {
			var err error
			if files[i], creations[i], err = OpenKeyFile(path); err != nil {
				t.Errorf("opener %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	made := 0
	for i := range openers {
		if files[i].fingerprint != files[0].fingerprint {
			t.Errorf("opener %d has another key", i)
		}
		if creations[i] {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d openers say they made the file, want 1", made)
	}
}

func TestKeyFileRefusals(t *testing.T) {
	_, path := newFile(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(whole), "\n")[1]

	cases := []struct {
		name    string
		content []byte
		mode    os.FileMode
		want    error
	}{
		{"group may read", whole, 0o640, ErrKeyFileExposed},
		{"others may read", whole, 0o604, ErrKeyFileExposed},
		{"others may write", whole, 0o602, ErrKeyFileExposed},
		{"empty", nil, 0o600, ErrKeyFileDamaged},
		{"header only", whole[:bytes.IndexByte(whole, '\n')+1], 0o600, ErrKeyFileDamaged},
		{"cut", whole[:len(whole)-8], 0o600, ErrKeyFileDamaged},
		{"no header", []byte(secret + "\n"), 0o600, ErrKeyFileDamaged},
		{"two keys", append(bytes.Clone(whole), secret...), 0o600, ErrKeyFileDamaged},
		{"not base64", bytes.Replace(whole, []byte(secret), []byte("!"+secret[1:]), 1), 0o600, ErrKeyFileDamaged},
		{"future version", bytes.Replace(whole, []byte("file-1"), []byte("file-2"), 1), 0o600, ErrKeyFileDamaged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil { // WriteFile's mode goes through the umask
				t.Fatal(err)
			}
			_, created, err := OpenKeyFile(path)
			if !errors.Is(err, c.want) || created {
				t.Fatalf("created %v, error %v; want %v", created, err, c.want)
			}
			if strings.Contains(err.Error(), secret[1:20]) {
				t.Errorf("the error holds the key: %v", err)
			}
			kept, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(kept, c.content) {
				t.Errorf("a refused file was changed (%v)", err)
			}
		})
	}
	if _, _, err := OpenKeyFile(t.TempDir()); !errors.Is(err, ErrKeyFileUnusable) {
		t.Errorf("a folder: %v, want %v", err, ErrKeyFileUnusable)
	}
	if _, _, err := OpenKeyFile(filepath.Join(path, "below")); !errors.Is(err, ErrKeyFileUnusable) {
		t.Errorf("below a file: %v, want %v", err, ErrKeyFileUnusable)
	}
}

// Nothing that holds a key prints it, whatever prints: fmt reads unexported
// fields, JSON and slog have their own ways.
func TestKeysNeverPrintThemselves(t *testing.T) {
	file, _ := newFile(t)
	_, sealer, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	secret := "a-shared-secret-of-at-least-32-bytes"
	signing, err := LoadSigningKey("shared", HS256, []byte(secret), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	known := []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%v", []byte(secret))}
	for _, value := range []any{
		file, sealer, signing, signing.Key(),
		struct{ K Key }{signing.Key()},
		[]*SigningKey{signing},
		map[string]Key{"k": signing.Key()},
	} {
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", value)
		document, err := json.Marshal(value)
		if err != nil {
			t.Errorf("%T: %v", value, err)
		}
		out.Write(document)
		for _, k := range known {
			if strings.Contains(out.String(), k) {
				t.Errorf("%T prints its key:\n%s", value, out.String())
			}
		}
		if !strings.Contains(out.String(), "key") && !strings.Contains(out.String(), "sealer") {
			t.Errorf("%T does not say what it is:\n%s", value, out.String())
		}
	}
	// The key file and the sealer hold bytes a test cannot name: what they print is known whole.
	for value, want := range map[any]string{file: "key file", sealer: "sealer"} {
		if got := fmt.Sprintf("%+v %#v %x", value, value, value); got != want+" "+want+" "+want {
			t.Errorf("%T prints %q", value, got)
		}
	}
}
