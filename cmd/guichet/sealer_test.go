package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"

	"guichet"
	"guichet/keyring"
	"guichet/store/storetest"
)

// rotateAndDie kills its own process after a step of a rotation.
func rotateAndDie(step string) int {
	err := withProgram(context.Background(), &cli{}, func(p *program) error {
		_, err := p.keys.sealer.rotate(context.Background(), guichet.System("test"), func(done string) {
			if done == step {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		})
		return err
	})
	_, _ = fmt.Fprintln(os.Stderr, "the step was not reached:", step, err)
	return 3
}

// A process that has not heard of a rotation cannot leave behind what nothing
// opens any more: the database refuses it, and the next seal is a good one.
func TestRetiredKeysSealNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		file, _, err := keyring.OpenKeyFile(t.TempDir() + "/key")
		if err != nil {
			t.Fatal(err)
		}
		here, err := openSealer(ctx, file, db.Store)
		if err != nil {
			t.Fatal(err)
		}
		there, err := openSealer(ctx, file, db.Open())
		if err != nil {
			t.Fatal(err)
		}
		at := place("one")
		insert := "INSERT INTO signing_keys (kid, algorithm, purpose, public, sealed, created_at, retired_at) VALUES ($1, 'EdDSA', 'token', $2, $2, 0, 0)"
		stale, err := there.Seal(at, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		db.SQL(insert, "one", stale)
		if n, err := here.rotate(ctx, guichet.System("test"), func(string) {}); err != nil || n != 1 {
			t.Fatalf("%d sealed anew, %v", n, err)
		}
		if plain, err := there.Open(at, []byte(db.Value("SELECT sealed FROM signing_keys"))); err != nil || string(plain) != "secret" {
			t.Errorf("after the rotation: %q, %v", plain, err)
		}
		if _, err := there.Open(at, stale); err == nil {
			t.Error("what the retired key sealed still opens")
		}
		if err := db.TrySQL(insert, "two", stale); err == nil {
			t.Error("a value sealed by a retired key was kept")
		}
		if err := db.TrySQL("UPDATE signing_keys SET sealed = $1", stale); err == nil {
			t.Error("a value sealed by a retired key replaced a good one")
		}
		good, err := there.Seal(place("two"), []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		db.SQL(insert, "two", good)
	})
}
