package keyring

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

var here = Place{Table: "access", Row: "0190", Column: "credentials"}

func newSealed(t *testing.T) (*KeyFile, []byte, *Sealer) {
	t.Helper()
	file, _ := newFile(t)
	sealed, sealer, err := file.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return file, sealed, sealer
}

func TestSealedValueOpensAtItsPlaceOnly(t *testing.T) {
	_, _, sealer := newSealed(t)
	part := rapid.StringN(0, 8, 16)
	rapid.Check(t, func(t *rapid.T) {
		place := Place{part.Draw(t, "table"), part.Draw(t, "row"), part.Draw(t, "column")}
		other := Place{part.Draw(t, "table2"), part.Draw(t, "row2"), part.Draw(t, "column2")}
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := sealer.Seal(place, plain)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := sealer.Open(place, sealed)
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("opened %x (%v), want %x", opened, err, plain)
		}
		if _, err := sealer.Open(other, sealed); (err == nil) != (other == place) {
			t.Fatalf("sealed at %v, opened at %v: %v", place, other, err)
		}
		if len(sealed) > 0 {
			altered := bytes.Clone(sealed)
			altered[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
			if _, err := sealer.Open(place, altered); !errors.Is(err, ErrSealBroken) {
				t.Fatalf("an altered value: %v, want %v", err, ErrSealBroken)
			}
		}
	})
}

func TestPlacesThatReadAlikeDiffer(t *testing.T) {
	_, _, sealer := newSealed(t)
	places := []Place{
		{"ab", "c", "d"},
		{"a", "bc", "d"},
		{"a", "b", "cd"},
		{"abc", "d", ""},
		{"", "abc", "d"},
		{"a:b", "c", "d"},
		{"a", "b:c", "d"},
		{"ab", "d", "c"},
	}
	for i, from := range places {
		sealed, err := sealer.Seal(from, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		for j, to := range places {
			if _, err := sealer.Open(to, sealed); (err == nil) != (i == j) {
				t.Errorf("sealed at %q, opened at %q: %v", from, to, err)
			}
		}
	}
}

func TestWrongKeyFileSaysSo(t *testing.T) {
	file, sealed, _ := newSealed(t)
	other, _ := newFile(t)
	if _, err := other.OpenKeyset(sealed); !errors.Is(err, ErrWrongKeyFile) {
		t.Errorf("another key file: %v, want %v", err, ErrWrongKeyFile)
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 0x10
		_, err := file.OpenKeyset(altered)
		want := ErrKeysetDamaged
		if i >= len(keysetMagic) && i < len(keysetMagic)+len(file.fingerprint) {
			want = ErrWrongKeyFile
		}
		// Tink leaves what it knows of the keys in clear beside the encrypted
		// part and never reads it again: a change there has no effect.
		if err != nil && !errors.Is(err, want) {
			t.Errorf("byte %d altered: %v, want %v", i, err, want)
		}
	}
	for _, n := range []int{0, 3, 4, 12, 13, len(sealed) / 2, len(sealed) - 20} {
		if _, err := file.OpenKeyset(sealed[:n]); err == nil {
			t.Errorf("the first %d bytes of a keyset opened", n)
		}
	}
}

// A whole rotation, every stored form read again as another replica would.
func TestRotation(t *testing.T) {
	file, stored, first := newSealed(t)
	old, err := first.Seal(here, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}

	stored, _, err = file.AddKey(stored)
	if err != nil {
		t.Fatal(err)
	}
	added, err := file.OpenKeyset(stored)
	if err != nil {
		t.Fatal(err)
	}
	if !added.Current(old) || len(added.KeyIDs()) != 2 {
		t.Fatalf("after AddKey the old key must still seal, beside a second: %v", added.KeyIDs())
	}

	stored, _, err = file.Promote(stored)
	if err != nil {
		t.Fatal(err)
	}
	promoted, err := file.OpenKeyset(stored)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := promoted.Seal(here, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if promoted.Current(old) || !promoted.Current(fresh) {
		t.Error("after Promote the new key must seal")
	}
	if got, err := promoted.Open(here, old); err != nil || string(got) != "old" {
		t.Errorf("after Promote the old value gives %q, %v", got, err)
	}
	if got, err := added.Open(here, fresh); err != nil || string(got) != "new" {
		t.Errorf("a replica that knew the key before Promote gives %q, %v", got, err)
	}
	if _, err := first.Open(here, fresh); !errors.Is(err, ErrSealBroken) {
		t.Errorf("a replica that never knew the key: %v, want %v", err, ErrSealBroken)
	}

	stored, _, err = file.RetireKeys(stored)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := file.OpenKeyset(stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := retired.Open(here, old); !errors.Is(err, ErrSealBroken) {
		t.Errorf("after RetireKeys the old value: %v, want %v", err, ErrSealBroken)
	}
	if got, err := retired.Open(here, fresh); err != nil || string(got) != "new" {
		t.Errorf("after RetireKeys the new value gives %q, %v", got, err)
	}

	next, _ := newFile(t)
	resealed, err := file.Reseal(stored, next)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := next.OpenKeyset(resealed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := moved.Open(here, fresh); err != nil || string(got) != "new" {
		t.Errorf("under another key file the value gives %q, %v", got, err)
	}
	if _, err := file.OpenKeyset(resealed); !errors.Is(err, ErrWrongKeyFile) {
		t.Errorf("the former key file: %v, want %v", err, ErrWrongKeyFile)
	}
}
