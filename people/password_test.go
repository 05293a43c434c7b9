package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"guichet"
)

func TestCheckPassword(t *testing.T) {
	const email = "claire.morel-durand@valmont.example"
	for _, good := range []guichet.Secret{
		"correct cheval pile", "tulipe orange 42", "éééé àààà ùùùù", "8472 ab 939201x", "83749261test", "Motdepasse-du-lundi",
		"aaaabbbbccccdd", guichet.Secret(strings.Repeat("ab cd ef", 25)), "paris-marseille", "00193847561029",
	} {
		if err := CheckPassword(good, email); err != nil {
			t.Errorf("%q: %v", good.Reveal(), err)
		}
	}
	for _, c := range []struct {
		password guichet.Secret
		want     error
	}{
		{"", ErrShortPassword},
		{"elevenchars", ErrShortPassword},
		{"éééééééééé!", ErrShortPassword}, // 11 characters, more bytes
		{guichet.Secret(strings.Repeat("é", 201)), ErrLongPassword},
		{email, ErrEmailPassword},
		{" Claire.Morel-Durand@VALMONT.example ", ErrEmailPassword},
		{"Claire.Morel-Durand", ErrEmailPassword},
		{"123456789012", ErrCommonPassword},
		{"000000000000", ErrCommonPassword},
		{"121212121212", ErrCommonPassword},
		{"aaaaaaaaaaaa", ErrCommonPassword},
		{"abcabcabcabc", ErrCommonPassword},
		{"password1234", ErrCommonPassword},
		{"PassWord!2026", ErrCommonPassword},
		{"motdepasse2026", ErrCommonPassword},
		{"motdepassemotdepasse", ErrCommonPassword},
		{"azertyuiopqs", ErrCommonPassword},
		{"azertyuiop12", ErrCommonPassword},
		{"qwertyuiop[]", nil},
		{"qwerty123456789", ErrCommonPassword},
		{"bonjour12345", ErrCommonPassword},
		{"abcdefghijkl", ErrCommonPassword},
		{"administrateur", ErrCommonPassword},
	} {
		if err := CheckPassword(c.password, email); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.password.Reveal(), err, c.want)
		}
	}
}

var cheap = Params{Time: 1, MemoryKiB: 8, Threads: 1}

// The vector of argon2's reference program.
func TestKnownHash(t *testing.T) {
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := NewHasher(DefaultParams)
	for password, want := range map[guichet.Secret]bool{"password": true, "Password": false, "": false} {
		fits, stale, err := h.Verify(t.Context(), phc, password)
		if err != nil || fits != want || !stale {
			t.Errorf("%q: fits %v, stale %v, %v; want %v, of another cost", password.Reveal(), fits, stale, err, want)
		}
	}
}

func TestHashAndVerify(t *testing.T) {
	h := NewHasher(cheap)
	rapid.Check(t, func(t *rapid.T) {
		password := guichet.Secret(rapid.String().Draw(t, "password"))
		other := guichet.Secret(rapid.String().Draw(t, "other"))
		phc, err := h.Hash(context.Background(), rand.Reader, password)
		if err != nil {
			t.Fatal(err)
		}
		if fits, stale, err := h.Verify(context.Background(), phc, password); !fits || stale || err != nil {
			t.Fatalf("the password: fits %v, stale %v, %v", fits, stale, err)
		}
		if fits, _, err := h.Verify(context.Background(), phc, other); fits != (other == password) || err != nil {
			t.Fatalf("another password: fits %v, %v", fits, err)
		}
		if again, err := h.Hash(context.Background(), rand.Reader, password); again == phc || err != nil {
			t.Fatalf("the same hash twice: no salt, %v", err)
		}
		if _, stale, err := NewHasher(Params{Time: 2, MemoryKiB: 8, Threads: 1}).Verify(context.Background(), phc, password); !stale || err != nil {
			t.Fatalf("another cost is not seen, %v", err)
		}
	})
	phc, err := NewHasher(DefaultParams).Hash(t.Context(), bytes.NewReader(make([]byte, saltBytes)), "tulipe orange 42")
	if err != nil || !strings.HasPrefix(phc.Reveal(), "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$") {
		t.Errorf("%s, %v", phc.Reveal(), err)
	}
	if _, err := h.Hash(t.Context(), bytes.NewReader(nil), "x"); err == nil {
		t.Error("a hash without randomness")
	}
}

func TestUnreadableHashesAreRefused(t *testing.T) {
	h := NewHasher(cheap)
	good, err := h.Hash(t.Context(), rand.Reader, "tulipe orange 42")
	if err != nil {
		t.Fatal(err)
	}
	text := good.Reveal()
	for _, bad := range []string{
		"x", "$", "tulipe orange 42", "$2y$10$abcdefghijklmnopqrstuv", text + "$", "x" + text, text[:len(text)-30], text + "=",
		strings.Replace(text, "argon2id", "argon2i", 1), strings.Replace(text, "v=19", "v=16", 1),
		strings.Replace(text, "m=8", "m=4294967295", 1), strings.Replace(text, "m=8", "m=0", 1), strings.Replace(text, "m=8", "m=08", 1),
		strings.Replace(text, "t=1", "t=0", 1), strings.Replace(text, "t=1", "t=1000000", 1), strings.Replace(text, "p=1", "p=0", 1),
		strings.Replace(text, "p=1", "p=256", 1), strings.Replace(text, "m=8,t=1,p=1", "t=1,m=8,p=1", 1), strings.Replace(text, ",p=1", "", 1),
	} {
		if bad == text {
			t.Fatal("a replacement did nothing")
		}
		if fits, _, err := h.Verify(t.Context(), guichet.Secret(bad), "tulipe orange 42"); fits || !errors.Is(err, ErrBadHash) {
			t.Errorf("%s: fits %v, %v", bad, fits, err)
		}
	}
}

// Nobody's password is looked at for as long as somebody's: the same hash is
// computed. Seen here by both waiting for their turn.
func TestNobodyTakesAsLong(t *testing.T) {
	h := NewHasher(cheap)
	phc, err := h.Hash(t.Context(), rand.Reader, "tulipe orange 42")
	if err != nil {
		t.Fatal(err)
	}
	// Not even the password that an all-zero hash would fit.
	for _, password := range []guichet.Secret{"", "x", "tulipe orange 42"} {
		if fits, stale, err := h.Verify(t.Context(), "", password); fits || stale || err != nil {
			t.Errorf("nobody: fits %v, stale %v, %v", fits, stale, err)
		}
	}
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, stored := range map[string]guichet.Secret{"somebody": phc, "nobody": ""} {
		if _, _, err := h.Verify(ctx, stored, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v; the hash was not waited for", name, err)
		}
	}
}
