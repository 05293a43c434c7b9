package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"guichet/store/storetest"
)

// An approval and a revocation are interrupted by SIGKILL at every point of their
// transaction: before it, after each of its statements, before the commit, and
// between the commit and the answer. The list is complete by construction, since
// the points are tried one after the other until the delivery survives; each that
// is tried says that it was reached. After each, the source sends the delivery
// again, and it is as if nothing had happened.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	program := built(t, "-tags", "crashing")
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		folder := t.TempDir()
		order := filepath.Join(folder, "crash")
		s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: folder, env: []string{
			"CRASHING=" + order, "GUICHET_SMTP=smtp://" + newSink(t).address + "?tls=none", "GUICHET_MAIL_FROM=guichet@guichet.test",
		}}
		s.start()
		for _, deed := range []struct {
			event  string
			passes []string // points that must be among those tried
			counts map[string]string
		}{
			{"approve", []string{"InsertDelivery", "InsertRequest", "InsertToken", "EnqueueJob", "commit", "committed"}, map[string]string{
				"SELECT COUNT(*) FROM tokens": "1", "SELECT COUNT(*) FROM tokens WHERE blocked_at = 0": "1", "SELECT COUNT(*) FROM deliveries WHERE effect = 'applied'": "1",
			}},
			{"revoke", []string{"AdvanceChain", "InsertDelivery", "UpdateRequest", "InsertAudit", "EnqueueJob", "LockBlocklist", "BlockToken", "InsertBlocked", "AdvanceBlocklist", "commit", "committed"}, map[string]string{
				"SELECT COUNT(*) FROM tokens": "1", "SELECT COUNT(*) FROM tokens WHERE blocked_at = 0": "0", "SELECT COUNT(*) FROM deliveries WHERE effect = 'applied'": "2",
				"SELECT COUNT(*) FROM blocklist": "1",
			}},
		} {
			var tried []string
			for n := 0; ; n++ {
				request := n
				if deed.event == "revoke" {
					request += 1000
					if !s.deliver(delivery("approve", 1_777_880_000, request)) {
						t.Fatal("no approval to revoke")
					}
				}
				body := delivery(deed.event, 1_777_880_001, request)
				// whole at once: other transactions look too
				if err := errors.Join(os.WriteFile(order+".new", []byte("InsertChain|LockChain|ChainEnd "+strconv.Itoa(n)), 0o600), os.Rename(order+".new", order)); err != nil {
					t.Fatal(err)
				}
				survived := s.deliver(body)
				point, err := os.ReadFile(order + ".reached")
				switch {
				case survived && errors.Is(err, os.ErrNotExist):
				case survived || err != nil:
					t.Fatalf("%s, point %d: survived: %v, reached: %q, %v\n%s", deed.event, n, survived, point, err, s.complained())
				default:
					_ = s.server.Wait()
					http.DefaultClient.CloseIdleConnections() // those of the dead server, which are not known to be dead yet
					tried = append(tried, string(point))
					if err := errors.Join(os.Remove(order), os.Remove(order+".reached")); err != nil {
						t.Fatal(err)
					}
					s.start()
					if !s.deliver(body) {
						t.Fatalf("%s after %q: not taken the second time", deed.event, point)
					}
				}
				for query, want := range deed.counts {
					s.about(deed.event+" after "+string(point), query, request, want)
				}
				if survived {
					break
				}
			}
			for _, point := range deed.passes {
				if !slices.Contains(tried, point) {
					t.Errorf("%s has no point %q: %s", deed.event, point, tried)
				}
			}
			tried = slices.Compact(tried)
			t.Logf("%s: killed at %d points: %s", deed.event, len(tried), strings.Join(tried, ", "))
		}
		s.kill()
	})
}

// about counts the rows that belong to one request.
func (s *storm) about(when, query string, request int, want string) {
	s.t.Helper()
	query = strings.Replace(query, "COUNT(*)", "CAST(COUNT(*) AS TEXT)", 1)
	table, rest, _ := strings.Cut(query[strings.Index(query, "FROM ")+5:], " ")
	of := map[string]string{
		"deliveries": "chain = 'api_entreprise/%d'",
		"tokens":     "request_id IN (SELECT id FROM requests WHERE external_id = '%d')",
		"blocklist":  "token_id IN (SELECT tokens.id FROM tokens JOIN requests ON requests.id = request_id WHERE external_id = '%d')",
	}[table]
	joint := " WHERE "
	if rest != "" {
		joint = " AND "
	}
	if got := s.db.Value(query + joint + fmt.Sprintf(of, request)); got != want {
		s.t.Errorf("%s: %s is %s for request %d, want %s", when, query, got, request, want)
	}
}
