package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"guichet"
)

// ErrSealBroken tells that a sealed value cannot be opened: it was altered, it
// was moved from another place, or its key was retired. Which of the three
// cannot be known.
var ErrSealBroken = &guichet.Error{
	Kind: guichet.Internal, Code: "seal_broken",
	Reason: "A sealed value cannot be opened at this place.",
}

// A Place is where a sealed value lives. It is bound to the value: copied to
// another row or column, the value does not open any more.
type Place struct {
	Table, Row, Column string
}

// associatedData writes each part with its length, so that no two places have
// the same bytes ("ab"+"c" is not "a"+"bc").
func (p Place) associatedData() []byte {
	b := []byte("guichet sealed 1")
	for _, part := range []string{p.Table, p.Row, p.Column} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// A Sealer seals with the primary key of its keyset and opens with any of them.
// Safe for concurrent use; a rotation makes a new one.
type Sealer struct {
	keys *keyset.Handle
	aead tink.AEAD
}

// NewKeyset makes a sealing keyset of one AES-256-GCM key. The caller stores
// sealed; only this key file opens it.
func (k *KeyFile) NewKeyset() (sealed []byte, s *Sealer, err error) {
	keys, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, nil, fmt.Errorf("making a sealing key: %w", err)
	}
	return k.sealKeyset(keys)
}

// OpenKeyset opens a stored keyset. ErrWrongKeyFile when another key file
// sealed it, ErrKeysetDamaged when its bytes have changed.
func (k *KeyFile) OpenKeyset(sealed []byte) (*Sealer, error) {
	keys, err := k.openKeyset(sealed)
	if err != nil {
		return nil, err
	}
	return newSealer(keys)
}

// Rotation is three steps, each stored by the caller with compare-and-set and
// known to every replica before the next: AddKey (all can open with it, none
// seals with it yet), Promote (all seal with it), and, once Sealer.Current is
// true of every stored value, RetireKeys. Dying between two steps loses nothing.

// AddKey adds a key to a stored keyset without using it yet.
func (k *KeyFile) AddKey(sealed []byte) ([]byte, *Sealer, error) {
	return k.changeKeyset(sealed, func(m *keyset.Manager, _ *keyset.Handle) error {
		_, err := m.Add(aead.AES256GCMKeyTemplate())
		return err
	})
}

// Promote makes the newest key of a stored keyset the one that seals. The
// others still open.
func (k *KeyFile) Promote(sealed []byte) ([]byte, *Sealer, error) {
	return k.changeKeyset(sealed, func(m *keyset.Manager, keys *keyset.Handle) error {
		newest, err := keys.Entry(keys.Len() - 1)
		if err != nil {
			return err
		}
		return m.SetPrimary(newest.KeyID())
	})
}

// RetireKeys removes every key but the one that seals. What the others sealed
// is lost: the caller first makes sure that there is none left.
func (k *KeyFile) RetireKeys(sealed []byte) ([]byte, *Sealer, error) {
	return k.changeKeyset(sealed, func(m *keyset.Manager, keys *keyset.Handle) error {
		for i := range keys.Len() {
			entry, err := keys.Entry(i)
			if err != nil {
				return err
			}
			if entry.IsPrimary() {
				continue
			}
			if err := m.Delete(entry.KeyID()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reseal gives the stored keyset as another key file seals it: the way to
// replace a key file that leaked.
func (k *KeyFile) Reseal(sealed []byte, next *KeyFile) ([]byte, error) {
	keys, err := k.openKeyset(sealed)
	if err != nil {
		return nil, err
	}
	resealed, _, err := next.sealKeyset(keys)
	return resealed, err
}

func (k *KeyFile) changeKeyset(sealed []byte, change func(*keyset.Manager, *keyset.Handle) error) ([]byte, *Sealer, error) {
	keys, err := k.openKeyset(sealed)
	if err != nil {
		return nil, nil, err
	}
	manager := keyset.NewManagerFromHandle(keys)
	if err := change(manager, keys); err != nil {
		return nil, nil, fmt.Errorf("changing the sealing keyset: %w", err)
	}
	changed, err := manager.Handle()
	if err != nil {
		return nil, nil, fmt.Errorf("changing the sealing keyset: %w", err)
	}
	return k.sealKeyset(changed)
}

func (k *KeyFile) sealKeyset(keys *keyset.Handle) ([]byte, *Sealer, error) {
	prefix := k.keysetPrefix()
	stored := bytes.NewBuffer(bytes.Clone(prefix))
	if err := keys.WriteWithAssociatedData(keyset.NewBinaryWriter(stored), k.aead, prefix); err != nil {
		return nil, nil, fmt.Errorf("sealing the keyset: %w", err)
	}
	s, err := newSealer(keys)
	return stored.Bytes(), s, err
}

func (k *KeyFile) openKeyset(sealed []byte) (*keyset.Handle, error) {
	prefix := k.keysetPrefix()
	switch {
	case len(sealed) <= len(prefix) || !bytes.HasPrefix(sealed, keysetMagic):
		return nil, ErrKeysetDamaged.Because(errors.New("not a stored keyset"))
	case !bytes.HasPrefix(sealed, prefix):
		return nil, ErrWrongKeyFile
	}
	reader := keyset.NewBinaryReader(bytes.NewReader(sealed[len(prefix):]))
	keys, err := keyset.ReadWithAssociatedData(reader, k.aead, prefix)
	if err != nil {
		return nil, ErrKeysetDamaged.Because(err)
	}
	return keys, nil
}

func newSealer(keys *keyset.Handle) (*Sealer, error) {
	primitive, err := aead.New(keys)
	if err != nil {
		return nil, ErrKeysetDamaged.Because(err)
	}
	return &Sealer{keys: keys, aead: primitive}, nil
}

// Seal hides plain so that it opens at place only. The result is 33 bytes longer.
func (s *Sealer) Seal(place Place, plain []byte) ([]byte, error) {
	sealed, err := s.aead.Encrypt(plain, place.associatedData())
	if err != nil {
		return nil, fmt.Errorf("sealing %s.%s: %w", place.Table, place.Column, err)
	}
	return sealed, nil
}

// Open gives back what was sealed at place, or ErrSealBroken.
func (s *Sealer) Open(place Place, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Decrypt(sealed, place.associatedData())
	if err != nil {
		return nil, ErrSealBroken.Because(fmt.Errorf("%s.%s of %s: %w", place.Table, place.Column, place.Row, err))
	}
	return plain, nil
}

// Current tells whether the primary key sealed this value. A rotation seals
// again whatever is not current.
func (s *Sealer) Current(sealed []byte) bool {
	id, ok := keyIDOf(sealed)
	return ok && id == s.keys.KeysetInfo().GetPrimaryKeyId()
}

// KeyIDs names the keys that can open, the one that seals first.
func (s *Sealer) KeyIDs() []uint32 {
	info := s.keys.KeysetInfo()
	ids := []uint32{info.GetPrimaryKeyId()}
	for _, key := range info.GetKeyInfo() {
		if !slices.Contains(ids, key.GetKeyId()) {
			ids = append(ids, key.GetKeyId())
		}
	}
	return ids
}

// Prefixes are what all that each key sealed begins with, the one that seals
// first.
func (s *Sealer) Prefixes() [][]byte {
	ids := s.KeyIDs()
	out := make([][]byte, len(ids))
	for i, id := range ids {
		out[i] = binary.BigEndian.AppendUint32([]byte{1}, id)
	}
	return out
}

// Knows tells whether one of the keys sealed this value.
func (s *Sealer) Knows(sealed []byte) bool {
	id, ok := keyIDOf(sealed)
	return ok && slices.Contains(s.KeyIDs(), id)
}

// NewestSeals tells whether the newest key is the one that seals, which it is
// save between AddKey and Promote.
func (s *Sealer) NewestSeals() bool {
	newest, err := s.keys.Entry(s.keys.Len() - 1)
	return err == nil && newest.IsPrimary()
}

// keyIDOf reads the prefix tink puts before what it seals: version 1, then the
// id of the key.
func keyIDOf(sealed []byte) (uint32, bool) {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:5]), true
}

// Format hides the keys, whatever the verb.
func (*Sealer) Format(f fmt.State, _ rune) { redacted("sealer").format(f) }

// LogValue hides the keys.
func (*Sealer) LogValue() slog.Value { return redacted("sealer").logValue() }

// MarshalJSON hides the keys.
func (*Sealer) MarshalJSON() ([]byte, error) { return redacted("sealer").json() }
