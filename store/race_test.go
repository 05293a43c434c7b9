package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// Ten thousand requests, each approved at one process, revoked at another and
// given one more token by an operator, all at the same moment: whoever comes first,
// no token lives under a revoked request.
func TestIssueRevokeRace(t *testing.T) {
	t.Parallel()
	const rounds, together = 10_000, 10
	db := storetest.New(t, store.PostgreSQL)
	one, two := desk(db), desk(db)
	two.Store = db.Open().Grant()
	for _, d := range []*grant.Desk{one, two} {
		d.Providers = map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise"}} // no mails: they have no part in it
	}
	var issued, refused, next atomic.Int64
	round := func(n int) error {
		var all sync.WaitGroup
		var errs [3]error
		all.Go(func() {
			_, errs[0] = one.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "approve", 1777880000, n))
		})
		all.Go(func() {
			_, errs[1] = two.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "revoke", 1777880001, n))
		})
		all.Go(func() {
			_, err := []*grant.Desk{one, two}[n%2].Issue(t.Context(), guichet.System("race"), "api_entreprise", fmt.Sprint(n))
			switch {
			case err == nil:
				issued.Add(1)
			case errors.Is(err, grant.ErrNotValidated), errors.Is(err, grant.ErrNoRequest):
				refused.Add(1)
			default:
				errs[2] = err
			}
		})
		all.Wait()
		return errors.Join(errs[:]...)
	}
	var workers sync.WaitGroup
	for range together {
		workers.Go(func() {
			for n := int(next.Add(1)); n <= rounds; n = int(next.Add(1)) {
				if err := round(n); err != nil {
					t.Errorf("round %d: %v", n, err)
					return
				}
			}
		})
	}
	workers.Wait()
	count := func(what string) string { return db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + what) }
	if n := count("requests WHERE status = 'revoked'"); n != fmt.Sprint(rounds) {
		t.Errorf("%s requests are revoked, not %d", n, rounds)
	}
	if n := count("tokens JOIN requests ON requests.id = tokens.request_id WHERE requests.status = 'revoked' AND tokens.blocked_at = 0"); n != "0" {
		t.Errorf("%s tokens live under revoked requests", n)
	}
	if tokens, listed := count("tokens"), count("blocklist"); tokens != listed {
		t.Errorf("%s tokens, of which %s in the blocklist", tokens, listed)
	}
	// A race in which one of them always wins is none.
	approvedFirst, revokedFirst := count("requests WHERE NOT tombstone"), count("requests WHERE tombstone")
	t.Logf("approved first %s, revoked first %s; an operator's token issued %d times, refused %d times", approvedFirst, revokedFirst, issued.Load(), refused.Load())
	if approvedFirst == "0" || revokedFirst == "0" || issued.Load() == 0 || refused.Load() == 0 {
		t.Error("one of them always won")
	}
}

// A store that is closed in the midst of writes has kept each of them, or says that
// it could not.
func TestCloseBesideWriters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const writers = 20
		other := db.Open()
		d := desk(db)
		d.Store = other.Grant()
		d.Providers = map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise"}}
		var kept, refused atomic.Int64
		var all sync.WaitGroup
		begun := make(chan struct{}, writers)
		for w := range writers {
			all.Go(func() {
				for n := w; ; n += writers {
					_, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "approve", 1777880000, n))
					if n == w {
						begun <- struct{}{}
					}
					switch {
					case err == nil:
						kept.Add(1)
					case errors.Is(err, store.ErrUnavailable):
						refused.Add(1)
						return
					default:
						t.Errorf("delivery %d: %v", n, err)
						return
					}
				}
			})
		}
		for range writers {
			<-begun
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM requests WHERE status = 'validated'"); n != fmt.Sprint(kept.Load()) || refused.Load() != writers {
			t.Errorf("%s are stored, %d were acknowledged, %d writers were told that it is over", n, kept.Load(), refused.Load())
		}
	})
}
