package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// held opens the database once more, with a writer that waits before each commit:
// for a value in goOn, after one in begun.
func held(t *testing.T, db *storetest.DB) (s *store.Store, begun, goOn chan struct{}) {
	t.Helper()
	begun, goOn = make(chan struct{}), make(chan struct{})
	s, err := store.Open(t.Context(), db.Source, store.Options{Clock: db.Clock.Clock(), Commit: func(commit func() error) error {
		begun <- struct{}{}
		<-goOn
		return commit()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, begun, goOn
}

// entering tells of each time that a transaction is run.
type entering struct {
	grant.Store
	ran chan struct{}
}

func (e entering) Update(ctx context.Context, fn func(grant.Tx) error) error {
	return e.Store.Update(ctx, func(tx grant.Tx) error {
		err := fn(tx)
		e.ran <- struct{}{}
		return err
	})
}

// What is done about a new request is decided while the writer is busy with another,
// and once. When the request is known after all, because another process met it
// meanwhile, what was decided is thrown away, and it is decided anew.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.SQLite)
	s, begun, goOn := held(t, db)
	here, there := desk(db), desk(db)
	hereRan, thereRan := make(chan struct{}, 100), make(chan struct{}, 100)
	here.Store, there.Store = entering{s.Grant(), hereRan}, entering{db.Open().Grant(), thereRan}
	var all sync.WaitGroup
	receive := func(d *grant.Desk, event string, firedAt, request int) {
		all.Go(func() {
			if _, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, event, firedAt, request)); err != nil {
				t.Errorf("%s of %d: %v", event, request, err)
			}
		})
	}
	receive(here, "approve", 1777880000, 1)
	<-hereRan
	<-begun // both writers wait from here on: this one for us, the other one for it
	receive(here, "approve", 1777880000, 2)
	<-hereRan
	receive(there, "approve", 1777880000, 1)
	<-thereRan
	receive(there, "revoke", 1777880001, 3)
	<-thereRan
	goOn <- struct{}{}
	<-begun
	goOn <- struct{}{}
	all.Wait()
	if here, there := len(hereRan), len(thereRan); here != 0 || there != 1 {
		t.Errorf("%d and %d were run again in their turn, not the one that was known after all", here, there)
	}
	for n, want := range map[string]string{
		"FROM requests WHERE status = 'validated'":                   "2",
		"FROM requests WHERE status = 'revoked'":                     "1",
		"FROM tokens WHERE blocked_at = 0":                           "2",
		"FROM deliveries WHERE effect = 'duplicate' AND n = 2":       "1",
		"FROM deliveries WHERE effect = 'applied' AND n = 1":         "3",
		"FROM chains JOIN deliveries USING (chain) WHERE length = 2": "2",
	} {
		if got := db.Value("SELECT CAST(COUNT(*) AS TEXT) " + n); got != want {
			t.Errorf("%s %s, want %s", got, n, want)
		}
	}
}

// A rehearsal whose transaction fails in its turn, or whose caller went away, leaves
// nothing.
func TestRehearsalLeavesNothing(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.SQLite)
	d := desk(db)
	receive := func(ctx context.Context, request int) error {
		_, err := d.Receive(ctx, "api_entreprise", grant.V2, fmt.Appendf(nil, body, "approve", 1777880000, request))
		return err
	}
	for _, table := range []string{"requests", "tokens", "deliveries", "jobs", "chains"} {
		heal := db.FailStatement(table, "INSERT")
		if err := receive(t.Context(), 1); err == nil {
			t.Errorf("it was received although nothing could be inserted into %s", table)
		}
		heal()
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := receive(gone, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
	if n := db.Value("SELECT CAST((SELECT COUNT(*) FROM requests) + (SELECT COUNT(*) FROM deliveries) + (SELECT COUNT(*) FROM chains) + (SELECT COUNT(*) FROM jobs) AS TEXT)"); n != "0" {
		t.Errorf("%s rows", n)
	}
	if err := receive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}
