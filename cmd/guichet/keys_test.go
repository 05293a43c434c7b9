package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store"
	"guichet/store/storetest"
)

const sharedSecret = "a secret of at least 32 bytes, shared"

// process is the keys of one process over a database.
func process(t *testing.T, db *storetest.DB, s *store.Store, file string) *keys {
	t.Helper()
	k, err := openKeys(t.Context(), config{
		URL: "https://guichet.test", KeyFile: file,
		Providers: map[string]provider{
			"api_ed": {Algorithm: keyring.EdDSA}, "api_es": {Algorithm: keyring.ES256}, "api_a": {Algorithm: keyring.HS256, Shared: sharedSecret},
			"api_b": {Algorithm: keyring.HS256, Shared: sharedSecret}, "api_c": {Algorithm: keyring.HS256, Shared: sharedSecret + "!"},
		},
	}, s, db.Clock.Clock())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func minted(t *testing.T, k *keys, provider string) string {
	t.Helper()
	jwt, err := k.mint(grant.Standing{Provider: provider, Token: grant.Token{ID: "0196a1b2-0000-7000-8000-000000000001", StatusIndex: 3*keyring.StatusShard + 5}})
	if err != nil {
		t.Fatal(err)
	}
	return jwt.Reveal()
}

// Two processes of one database: what one changes the other knows, at the first
// token of a new key at once, and at the next look otherwise.
func TestKeysOfTwoProcesses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		file, by := filepath.Join(t.TempDir(), "key"), guichet.System("test")
		one := process(t, db, db.Store, file)
		two := process(t, db, db.Open(), file)
		first := minted(t, one, "api_ed")
		claims, err := two.verifier.Verify(first)
		if err != nil || claims.Status != (keyring.Status{Index: 5, URI: "https://guichet.test/status/3"}) {
			t.Fatalf("%+v %v", claims, err)
		}
		// Another key, made and used at once by the first process: the second has
		// never heard of it, and looks.
		next, err := one.fresh("EdDSA")
		if err != nil {
			t.Fatal(err)
		}
		next.UseAt = db.Clock.Now().Add(time.Hour)
		if err := one.store.AddSigningKey(t.Context(), by, next); err != nil {
			t.Fatal(err)
		}
		if err := one.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(one.now.Load().jwks), next.KID) || one.lists().KID == next.KID {
			t.Error("a key that waits is published, and does not sign")
		}
		db.Clock.Advance(time.Hour)
		second := minted(t, one, "api_ed") // its time has come, without a word
		if one.lists().KID != next.KID {
			t.Error("its time has come")
		}
		if _, err := two.verifier.Verify(second); err != nil {
			t.Errorf("a key that is new to the second process: %v", err)
		}
		// Burned at the first: refused at the second after its next look.
		if _, err := one.store.BurnSigningKey(t.Context(), by, next.KID, "", one.fresh); err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]*keys{"one": one, "two": two} {
			if err := k.reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := k.verifier.Verify(second); !keyring.UnknownKey(err) {
				t.Errorf("%s: a token of a burned key: %v", name, err)
			}
			if _, err := k.verifier.Verify(first); err != nil {
				t.Errorf("%s: a token of a key that retired: %v", name, err)
			}
			if strings.Contains(string(k.now.Load().jwks), next.KID) {
				t.Errorf("%s publishes a burned key", name)
			}
			third := minted(t, k, "api_ed")
			if _, err := one.verifier.Verify(third); err != nil || third == second || third == first {
				t.Errorf("%s: the same token, signed anew: %v", name, err)
			}
		}
		// A process that starts now has the key that took its place, and makes none.
		before := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM signing_keys")
		if three := process(t, db, db.Open(), file); three.lists().KID != one.lists().KID {
			t.Error("two processes sign with two keys")
		}
		if after := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM signing_keys"); after != before {
			t.Errorf("%s keys, then %s", before, after)
		}
	})
}

// Made-up keys do not make a process ask its database at every token.
func TestUnknownKeysAreLookedForSeldom(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.SQLite)
	k := process(t, db, db.Store, filepath.Join(t.TempDir(), "key"))
	stranger, err := keyring.NewSigningKey(keyring.EdDSA, db.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, err := stranger.Sign(keyring.Claims{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = k.verifier.Verify(token)
	looked := k.looked
	for range 100 {
		_, _ = k.verifier.Verify(token)
	}
	if looked.IsZero() || !k.looked.Equal(looked) {
		t.Errorf("looked at %v, then at %v", looked, k.looked)
	}
	db.Clock.Advance(time.Second)
	if _, _ = k.verifier.Verify(token); k.looked.Equal(looked) {
		t.Error("a second later it looks again")
	}
}

// Each provider's tokens are signed by its own key, and what a shared secret signs
// is good for the providers that share it.
func TestKeyOfEachProvider(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.SQLite)
	k := process(t, db, db.Store, filepath.Join(t.TempDir(), "key"))
	providers := []string{"api_ed", "api_es", "api_a", "api_b", "api_c", "gone"}
	for provider, of := range map[string][]string{
		"api_ed": providers, "api_es": providers, "gone": providers, "api_a": {"api_a"}, "api_b": {"api_b"}, "api_c": {"api_c"},
	} {
		claims, err := k.verifier.Verify(minted(t, k, provider))
		if err != nil {
			t.Errorf("%s: %v", provider, err)
			continue
		}
		for _, p := range providers {
			want := false
			for _, o := range of {
				want = want || o == p
			}
			if claims.MayBeOf(p) != want {
				t.Errorf("a token signed for %s may be of %s: %v", provider, p, !want)
			}
		}
	}
	if jwks := string(k.now.Load().jwks); strings.Contains(jwks, "hs256") || strings.Contains(jwks, "oct") {
		t.Errorf("a shared secret is published: %s", jwks)
	}
}
