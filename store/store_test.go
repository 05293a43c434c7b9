package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

const body = `{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":"draft",
"data":{"intitule":"Marchés","scopes":["a","open_data_x"]},"applicant":{"email":"claire@valmont.fr","given_name":"Claire"}}}`

func desk(db *storetest.DB) *grant.Desk {
	return &grant.Desk{
		Store: db.Grant(), Clock: db.Clock.Clock(), URL: "http://guichet.test", PurgeAfter: 720 * time.Hour, PurgeRefusedAfter: -1,
		Providers: map[string]grant.Provider{"api_entreprise": {Name: "api_entreprise", Title: "API Entreprise", Mails: true}},
	}
}

func receive(t *testing.T, d *grant.Desk, event string, firedAt, id int) grant.Answer {
	t.Helper()
	answer, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, event, firedAt, id))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestApproveThenRevoke(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		token := receive(t, d, "approve", 1777880000, 1).TokenID
		if again := receive(t, d, "approve", 1777880000, 1).TokenID; again != token || token == "" {
			t.Errorf("the same event answered %q, then %q", token, again)
		}
		standing, err := db.Grant().Standing(t.Context(), token)
		if err != nil || !standing.BlockedAt.IsZero() || standing.Status != grant.Validated {
			t.Errorf("after approve: %+v, %v", standing, err)
		}
		receive(t, d, "revoke", 1777880001, 1)
		standing, err = db.Grant().Standing(t.Context(), token)
		if err != nil || standing.BlockedAt.IsZero() || standing.Status != grant.Revoked {
			t.Errorf("after revoke: %+v, %v", standing, err)
		}
		lines, head, err := db.Grant().Blocklist(t.Context(), 0, 10)
		if err != nil || len(lines) != 1 || head.Seq != 1 || lines[0].TokenID != token {
			t.Errorf("blocklist: %+v, %+v, %v", lines, head, err)
		}
	})
}

// Whatever statement fails, a delivery leaves no trace, and the same delivery
// works after the fault is gone.
func TestOneStatementFails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		receive(t, d, "approve", 1777880000, 1)
		before := counts(db)
		for _, fault := range []struct{ table, verb string }{
			{"deliveries", "INSERT"},
			{"requests", "UPDATE"},
			{"tokens", "UPDATE"},
			{"blocklist", "INSERT"},
			{"blocklist_head", "UPDATE"},
			{"audit_entries", "INSERT"},
			{"jobs", "INSERT"},
			{"chains", "UPDATE"},
		} {
			heal := db.FailStatement(fault.table, fault.verb)
			_, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "revoke", 1777880001, 1))
			heal()
			if err == nil {
				t.Fatalf("%s of %s failed and nobody noticed", fault.verb, fault.table)
			}
			if after := counts(db); after != before {
				t.Fatalf("%s of %s failed and left a trace:\n%s\n%s", fault.verb, fault.table, before, after)
			}
		}
		receive(t, d, "revoke", 1777880001, 1)
	})
}

func counts(db *storetest.DB) string {
	var b strings.Builder
	for _, table := range []string{"deliveries", "requests", "tokens", "blocklist", "audit_entries", "jobs", "alerts", "chains"} {
		fmt.Fprintf(&b, "%s=%s ", table, db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM "+table))
	}
	return b.String() + db.Value("SELECT CAST(SUM(blocked_at) AS TEXT) FROM tokens") + db.Value("SELECT MIN(status) FROM requests")
}

// A commit that fails has stored nothing; one whose news is lost has stored all,
// and the same delivery again finds it.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored=%v", stored), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				d := desk(db)
				db.FailCommit(stored)
				_, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "approve", 1777880000, 1))
				if !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("a failed commit gave %v", err)
				}
				if answer := receive(t, d, "approve", 1777880000, 1); answer.TokenID == "" {
					t.Error("no token after the second try")
				}
				if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM tokens"); n != "1" {
					t.Errorf("%s tokens", n)
				}
				want := map[bool]string{false: "applied", true: "duplicate"}[stored]
				if effect := db.Value("SELECT effect FROM deliveries ORDER BY n DESC LIMIT 1"); effect != want {
					t.Errorf("the second try was %s, not %s", effect, want)
				}
			})
		})
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	db := storetest.New(t, store.SQLite)
	d := desk(db)
	receive(t, d, "approve", 1777880000, 1)
	heal, err := db.LimitSize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answered, refused := 0, 0
	for i := range 200 {
		_, err := d.Receive(t.Context(), "api_entreprise", grant.V2, fmt.Appendf(nil, body, "approve", 1777880000, 100+i))
		if err == nil {
			answered++
		} else {
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("the disk was never full")
	}
	if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries"); n != fmt.Sprint(answered+1) {
		t.Errorf("%d answered and %s kept", answered+1, n)
	}
	heal()
	receive(t, d, "revoke", 1777880009, 1)
}

// Closures that wait together share a commit; one that fails, or panics, spoils
// no other.
func TestUpdatesAreApart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				switch i % 3 {
				case 0:
					receive(t, d, "approve", 1777880000, i)
				case 1:
					err := db.Grant().Update(t.Context(), func(tx grant.Tx) error {
						if _, _, err := tx.Find("api_entreprise", fmt.Sprint(i), [32]byte{}); err != nil {
							return err
						}
						return grant.ErrNoToken
					})
					if !errors.Is(err, grant.ErrNoToken) {
						t.Errorf("got %v", err)
					}
				case 2:
					defer func() {
						if recover() == nil {
							t.Error("the panic was swallowed")
						}
					}()
					_ = db.Grant().Update(t.Context(), func(tx grant.Tx) error {
						_, _, _ = tx.Find("api_entreprise", fmt.Sprint(i), [32]byte{})
						panic("on purpose")
					})
				}
			})
		}
		all.Wait()
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM chains"); n != "20" {
			t.Errorf("%s chains instead of 20", n)
		}
	})
}

// Two processes that receive the same event at once apply it once.
func TestTwoReplicasOneEvent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		one, two := desk(db), desk(db)
		two.Store = db.Open().Grant()
		for round := range 25 {
			var answers [8]guichet.ID
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = receive(t, []*grant.Desk{one, two}[i%2], "approve", 1777880000, round).TokenID })
			}
			all.Wait()
			for _, a := range answers {
				if a != answers[0] || a == "" {
					t.Fatalf("round %d: answers %v", round, answers)
				}
			}
		}
	})
}

func TestGuards(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		receive(t, d, "approve", 1777880000, 1)
		receive(t, d, "revoke", 1777880001, 1)
		for _, text := range []string{
			"DELETE FROM tokens", "DELETE FROM requests", "DELETE FROM blocklist", "DELETE FROM audit_entries", "DELETE FROM deliveries",
			"UPDATE tokens SET blocked_at = 0", "UPDATE tokens SET request_id = 'x'", "UPDATE tokens SET status_index = status_index + 1",
			"UPDATE blocklist SET at = 1", "UPDATE audit_entries SET deed = 'x'", "UPDATE deliveries SET effect = 'late'",
		} {
			if err := db.TrySQL(text); err == nil || !strings.Contains(err.Error(), "guard:") {
				t.Errorf("%s was not refused by a guard: %v", text, err)
			}
		}
	})
}

// A journal that was altered behind the program's back is found out at the row.
func TestJournalTampering(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"body":  "UPDATE deliveries SET body = '{}' WHERE n = 2",
		"chain": "UPDATE chains SET length = 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t, store.SQLite)
			d := desk(db)
			for i, event := range []string{"create", "submit", "approve"} {
				receive(t, d, event, 1777880000+i, 1)
			}
			breaks := func() (all []grant.Break) {
				n, err := db.Grant().VerifyJournal(t.Context(), func(b grant.Break) { all = append(all, b) }, nil)
				if err != nil || n != 3 {
					t.Fatalf("%d deliveries, %v", n, err)
				}
				return all
			}
			if b := breaks(); len(b) != 0 {
				t.Fatalf("broken before anyone touched it: %v", b)
			}
			old := db.Value("SELECT hex(body) FROM deliveries WHERE n = 2")
			db.SQL(tamper)
			if b := breaks(); len(b) != 1 || name == "body" && b[0].N != 2 {
				t.Errorf("not found out: %v", b)
			}
			db.SQL("UPDATE deliveries SET body = unhex($1) WHERE n = 2", old)
			db.SQL("UPDATE chains SET length = 3")
		})
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		db.SQL("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)")
		if _, err := db.Open().Migrate(t.Context()); !errors.Is(err, store.ErrNewer) {
			t.Errorf("got %v", err)
		}
	})
}

// The two engines have the same tables with the same columns.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	schema := map[store.Engine]string{}
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		columns, err := storetest.New(t, engine).Columns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		schema[engine] = strings.Join(columns, "\n")
	}
	if schema[store.SQLite] != schema[store.PostgreSQL] || !strings.Contains(schema[store.SQLite], "tokens.blocked_at") {
		t.Errorf("SQLite:\n%s\n\nPostgreSQL:\n%s", schema[store.SQLite], schema[store.PostgreSQL])
	}
}
