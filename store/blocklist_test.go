package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// A reader that asks for what follows the last line it has never misses one, though
// two processes block at the same moment: a line can be read only when all before
// it can. In each round one process has blocked a token and does not commit yet
// while another blocks its own.
func TestBlocklistFollowsCommits(t *testing.T) {
	t.Parallel()
	const rounds, looks = 10, 60
	db := storetest.New(t, store.PostgreSQL)
	slow, fast := desk(db), desk(db)
	slow.Store = db.Open().Grant()
	var tokens []guichet.ID
	for n := range 2 * rounds {
		tokens = append(tokens, receive(t, fast, "approve", 1777880000, n+1).TokenID)
	}
	after := int64(0)
	follow := func() {
		t.Helper()
		lines, head, err := db.Grant().Blocklist(t.Context(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Seq != after+1 {
				t.Fatalf("line %d follows %d", l.Seq, after)
			}
			after = l.Seq
		}
		if head.Seq != after {
			t.Fatalf("the head is %d, and the last line %d", head.Seq, after)
		}
	}
	for n := range rounds {
		first, second := tokens[2*n], tokens[2*n+1]
		drawn, release := make(chan struct{}), make(chan struct{})
		let := sync.OnceFunc(func() { close(release) })
		var both sync.WaitGroup
		both.Go(func() {
			err := slow.Store.Update(t.Context(), func(tx grant.Tx) error {
				if _, err := tx.Block([]guichet.ID{first}, slow.Clock.Now(), "test"); err != nil {
					return err
				}
				close(drawn)
				<-release
				return tx.Audit(guichet.AuditEntry{
					ID: slow.Clock.NewID(), At: slow.Clock.Now(), Actor: guichet.System("test"), Deed: "token.blocked",
					Subject: fmt.Sprint("api_entreprise/", 2*n+1), Detail: fmt.Sprintf(`{"token":%q}`, first),
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-drawn
		both.Go(func() {
			var err error = store.ErrUnavailable
			for errors.Is(err, store.ErrUnavailable) { // when the other holds the lock for longer than one waits
				_, err = fast.Block(t.Context(), guichet.System("test"), second, grant.Blocking{Reason: "test"})
			}
			if err != nil {
				t.Error(err)
			}
		})
		func() {
			defer both.Wait()
			defer let()
			for range looks { // what is committed meanwhile must not be ahead of what is not
				follow()
			}
		}()
		follow()
	}
	if after != 2*rounds {
		t.Errorf("%d lines were read", after)
	}
}
