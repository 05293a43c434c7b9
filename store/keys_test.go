package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/store"
	"guichet/store/storetest"
)

func signingKey(db *storetest.DB, kid string, useAt time.Time) store.SigningKey {
	return store.SigningKey{KID: kid, Algorithm: "EdDSA", Purpose: "token", Public: []byte{}, Sealed: []byte("sealed"), CreatedAt: db.Clock.Now(), UseAt: useAt}
}

// The life of keys: one waits, signs when its time has come or when it is told to,
// retires when the next signs, and burns. One always signs.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		by := guichet.System("test")
		current := func(want string) {
			t.Helper()
			keys, err := db.SigningKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := store.CurrentKey(keys, "EdDSA", db.Clock.Now()); got.KID != want {
				t.Errorf("%s signs, not %s", got.KID, want)
			}
			if _, ok := store.CurrentKey(keys, "ES256", db.Clock.Now()); ok {
				t.Error("a key of another algorithm signs")
			}
		}
		spare := func(kid string) func(string) (store.SigningKey, error) {
			return func(string) (store.SigningKey, error) { return signingKey(db, kid, db.Clock.Now()), nil }
		}
		for _, kid := range []string{"one", "another"} { // two processes that start
			if kept, err := db.EnsureSigningKey(t.Context(), signingKey(db, kid, db.Clock.Now())); err != nil || kept.KID != "one" {
				t.Errorf("%v %v", kept.KID, err)
			}
		}
		if err := db.AddSigningKey(t.Context(), by, signingKey(db, "two", db.Clock.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		if err := db.AddSigningKey(t.Context(), by, signingKey(db, "three", db.Clock.Now().Add(time.Hour))); !errors.Is(err, store.ErrKeyWaiting) {
			t.Errorf("two wait: %v", err)
		}
		current("one")
		db.Clock.Advance(time.Hour)
		current("two") // without a word
		if err := db.AddSigningKey(t.Context(), by, signingKey(db, "three", db.Clock.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := db.UseSigningKey(t.Context(), by, "three"); err != nil {
				t.Fatal(err)
			}
		}
		current("three")
		for kid, want := range map[string]error{"one": store.ErrKeySpent, "two": store.ErrKeySpent, "nobody": store.ErrNoKey} {
			if err := db.UseSigningKey(t.Context(), by, kid); !errors.Is(err, want) {
				t.Errorf("using %s: %v, want %v", kid, err, want)
			}
		}
		// One that signs no more burns: nothing else changes.
		if now, err := db.BurnSigningKey(t.Context(), by, "one", "lost", spare("unused")); err != nil || now != "three" {
			t.Errorf("%s %v", now, err)
		}
		current("three")
		// The one that signs burns: the one that waits takes its place at once.
		if err := db.AddSigningKey(t.Context(), by, signingKey(db, "four", db.Clock.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		if now, err := db.BurnSigningKey(t.Context(), by, "three", "stolen", spare("unused")); err != nil || now != "four" {
			t.Errorf("%s %v", now, err)
		}
		current("four")
		// None waits: a new one, and never "two", which has signed before.
		for range 2 { // burning twice is burning once
			if now, err := db.BurnSigningKey(t.Context(), by, "four", "", spare("five")); err != nil || now != "five" {
				t.Errorf("%s %v", now, err)
			}
		}
		current("five")
		if _, err := db.BurnSigningKey(t.Context(), by, "nobody", "", spare("x")); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("burning nobody: %v", err)
		}
		for _, of := range []struct{ what, want string }{
			{"signing_keys", "5"},
			{"alerts WHERE kind = 'key_burned'", "3"},
			{"audit_entries WHERE deed = 'key.burned'", "3"},
			{"audit_entries WHERE deed = 'key.added'", "3"},
			{"audit_entries WHERE deed = 'key.used'", "1"},
		} {
			if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + of.what); n != of.want {
				t.Errorf("%s: %s, want %s", of.what, n, of.want)
			}
		}
	})
}

// Two processes that burn the same key at once end with one in its place.
func TestBurnTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		if _, err := db.EnsureSigningKey(t.Context(), signingKey(db, "one", db.Clock.Now())); err != nil {
			t.Fatal(err)
		}
		processes := []*store.Store{db.Store, db.Open()}
		var now [8]string
		var all sync.WaitGroup
		for i := range now {
			all.Go(func() {
				var err error
				now[i], err = processes[i%2].BurnSigningKey(t.Context(), guichet.System("test"), "one", "", func(string) (store.SigningKey, error) {
					return signingKey(db, fmt.Sprintf("spare-%d", i), db.Clock.Now()), nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, kid := range now {
			if kid != now[0] || kid == "one" {
				t.Fatalf("they say %v", now)
			}
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM signing_keys"); n != "2" {
			t.Errorf("%s keys", n)
		}
	})
}

// A database of the version before has keys without an instant of use: they sign
// since they were made.
func TestKeysOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		db.SQL("INSERT INTO signing_keys (kid, algorithm, purpose, public, sealed, created_at, retired_at) VALUES ('old', 'EdDSA', 'token', '', '', 1000000, 0)")
		keys, err := db.SigningKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if k, ok := store.CurrentKey(keys, "EdDSA", db.Clock.Now()); !ok || k.KID != "old" || !k.UseAt.Equal(k.CreatedAt) || !k.BurnedAt.IsZero() {
			t.Errorf("%+v", k)
		}
		if kept, err := db.EnsureSigningKey(t.Context(), signingKey(db, "new", db.Clock.Now())); err != nil || kept.KID != "old" {
			t.Errorf("%+v %v", kept, err)
		}
	})
}
