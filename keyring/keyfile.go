package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"guichet"
)

// What may be wrong with a key file. Each says what to do; none holds a secret.
var (
	ErrKeyFileExposed = &guichet.Error{
		Kind: guichet.Forbidden, Code: "key_file_exposed",
		Reason: "The key file can be read by other users of this machine. Take their rights away (chmod 600) and start again.",
	}
	ErrKeyFileDamaged = &guichet.Error{
		Kind: guichet.Invalid, Code: "key_file_damaged",
		Reason: "The key file is not complete. Put back the copy made when it was created.",
	}
	ErrKeyFileUnusable = &guichet.Error{
		Kind: guichet.Unavailable, Code: "key_file_unusable",
		Reason: "The key file can neither be read nor created.",
	}
	ErrWrongKeyFile = &guichet.Error{
		Kind: guichet.Forbidden, Code: "wrong_key_file",
		Reason: "This key file is not the one that sealed this database. Put back the key file that was used with it.",
	}
	ErrKeysetDamaged = &guichet.Error{
		Kind: guichet.Invalid, Code: "keyset_damaged",
		Reason: "The sealing keys stored in the database have been altered. Restore the database from a backup.",
	}
)

const (
	keyFileHeader = "guichet-key-file-1 keep a copy apart from the backups: without it every sealed secret is lost"
	keyFileBytes  = 32
	keyFileLimit  = 4096 // a key file has some 150 bytes; whatever is larger is something else
)

// A KeyFile is the key that opens the sealing keyset. It is read once, at start.
// Safe for concurrent use.
type KeyFile struct {
	aead        tink.AEAD
	fingerprint [8]byte
}

// OpenKeyFile reads the key file at path, or makes it when there is none;
// created tells which. A new file is whole or absent, whatever happens: it is
// written aside, synced, and only then linked to its name, which fails when
// another process was first (that one's key is then read). A file that others
// than its owner may read is refused.
func OpenKeyFile(path string) (k *KeyFile, created bool, err error) {
	k, err = readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	created, err = createKeyFile(path)
	if err != nil {
		return nil, false, ErrKeyFileUnusable.Because(err)
	}
	k, err = readKeyFile(path)
	return k, created, err
}

func readKeyFile(path string) (*KeyFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, ErrKeyFileUnusable.Because(err)
	}
	defer func() { _ = file.Close() }()
	// The rights of the file that is open, not of a name that may change.
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, ErrKeyFileUnusable.Because(err)
	case !info.Mode().IsRegular():
		return nil, ErrKeyFileUnusable.Because(fmt.Errorf("%s is not a file", path))
	case info.Mode().Perm()&0o077 != 0:
		return nil, ErrKeyFileExposed.Because(fmt.Errorf("%s has mode %#o", path, info.Mode().Perm()))
	}
	text, err := io.ReadAll(io.LimitReader(file, keyFileLimit))
	if err != nil {
		return nil, ErrKeyFileUnusable.Because(err)
	}
	header, rest, _ := strings.Cut(string(text), "\n")
	body := strings.TrimRight(rest, "\r\n")
	if version, _, _ := strings.Cut(header, " "); version != "guichet-key-file-1" || strings.ContainsAny(body, "\r\n") {
		return nil, ErrKeyFileDamaged.Because(fmt.Errorf("%s has no header line and one line of key", path))
	}
	key, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil || len(key) != keyFileBytes {
		// Not err itself: it quotes the text.
		return nil, ErrKeyFileDamaged.Because(fmt.Errorf("%s does not hold %d bytes of base64", path, keyFileBytes))
	}
	return newKeyFile(key)
}

func newKeyFile(key []byte) (*KeyFile, error) {
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, ErrKeyFileDamaged.Because(err)
	}
	k := &KeyFile{aead: aead}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("guichet key file fingerprint"))
	copy(k.fingerprint[:], mac.Sum(nil))
	return k, nil
}

// createKeyFile makes the file unless it is there. Dying anywhere in here leaves
// either no file and a useless draft beside it, or the whole file.
func createKeyFile(path string) (created bool, err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return false, err
	}
	key := make([]byte, keyFileBytes)
	if _, err := rand.Read(key); err != nil {
		return false, err
	}
	draft, err := os.CreateTemp(folder, ".guichet-key-*") // 0600 by its contract
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // its other name stays
	_, err = fmt.Fprintf(draft, "%s\n%s\n", keyFileHeader, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return false, err
	}
	switch err := os.Link(draft.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	// Until the folder is synced a power cut may take the name away, and what
	// the key had sealed by then would be lost.
	return true, syncFolder(folder)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// The stored form of a keyset: magic, fingerprint of the key file, and tink's
// encrypted keyset, which is bound to both.
var keysetMagic = []byte("gks1")

func (k *KeyFile) keysetPrefix() []byte {
	return append(bytes.Clone(keysetMagic), k.fingerprint[:]...)
}

// Format hides the key, whatever the verb.
func (*KeyFile) Format(f fmt.State, _ rune) { redacted("key file").format(f) }

// LogValue hides the key.
func (*KeyFile) LogValue() slog.Value { return redacted("key file").logValue() }

// MarshalJSON hides the key.
func (*KeyFile) MarshalJSON() ([]byte, error) { return redacted("key file").json() }
