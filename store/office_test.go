package store_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// The index is not in a backup: what is restored is found all the same.
func TestSearchAfterRestore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		for i, s := range samples {
			s.send(t, desk(db), 1777880000+i)
		}
		if got := numbers(t, db.Grant(), grant.Search{Words: "valmont"}); len(got) != 3 {
			t.Fatal(got)
		}
		var backup bytes.Buffer
		if _, err := db.Backup(t.Context(), &backup); err != nil {
			t.Fatal(err)
		}
		other := storetest.New(t, db.Engine())
		if _, err := other.Restore(t.Context(), func() (io.Reader, error) { return bytes.NewReader(backup.Bytes()), nil }); err != nil {
			t.Fatal(err)
		}
		if got := numbers(t, other.Grant(), grant.Search{Words: "valmont"}); len(got) != 3 {
			t.Errorf("after a restore: %v", got)
		}
	})
}

// The views for reporting tools answer on both databases, and hold nobody's data.
func TestReportingViews(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		for i, s := range samples {
			s.send(t, d, 1777880000+i)
		}
		columns, err := db.Columns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		views := 0
		for _, c := range columns {
			table, column, _ := strings.Cut(c, ".")
			if !strings.HasPrefix(table, "report_") {
				continue
			}
			views++
			for _, never := range []string{"title", "description", "contacts", "body", "detail", "actor", "search", "problem"} {
				if strings.Contains(column, never) {
					t.Errorf("%s is for nobody outside", c)
				}
			}
			for _, v := range db.Column(fmt.Sprintf("SELECT CAST(%s AS TEXT) FROM %s", column, table)) {
				if strings.Contains(v, "@") {
					t.Errorf("%s holds an address: %s", c, v)
				}
			}
		}
		if views < 30 {
			t.Errorf("only %d columns", views)
		}
		want := fmt.Sprint(db.Clock.Now().Unix())[:8]
		if got := db.Value("SELECT CAST(MAX(received_at) AS TEXT) FROM report_requests"); !strings.HasPrefix(got, want) {
			t.Errorf("received_at is %s, not seconds like %s…", got, want)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM report_requests WHERE validated_at IS NOT NULL"); n != "2" {
			t.Errorf("%s validated", n)
		}
	})
}

// Whatever the journal is asked for, it is found by an index, and every way of
// asking gives the same deliveries.
func TestJournalQueries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		d := desk(db)
		receive(t, d, "approve", 1777880000, 1)
		receive(t, d, "revoke", 1777880001, 1)
		receive(t, d, "approve", 1777880002, 1) // held
		receive(t, d, "approve", 1777880000, 1) // again
		receive(t, d, "nonsense", 1777880003, 2)
		receive(t, d, "submit", int(db.Clock.Now().Add(time.Hour).Unix()), 3) // from the future
		for name, c := range map[string]struct {
			f    grant.DeliveryFilter
			want int
		}{
			"all":                 {grant.DeliveryFilter{}, 6},
			"open":                {grant.DeliveryFilter{Open: true}, 2},
			"open and held":       {grant.DeliveryFilter{Open: true, Effect: grant.Held}, 1},
			"open of a request":   {grant.DeliveryFilter{Open: true, ExternalID: "3"}, 1},
			"of a request":        {grant.DeliveryFilter{Provider: "api_entreprise", ExternalID: "1"}, 4},
			"its duplicates":      {grant.DeliveryFilter{Provider: "api_entreprise", ExternalID: "1", Effect: grant.Duplicate}, 1},
			"of a number":         {grant.DeliveryFilter{ExternalID: "2"}, 1},
			"unknown":             {grant.DeliveryFilter{Effect: grant.NotKnown}, 1},
			"quarantined there":   {grant.DeliveryFilter{Provider: "api_entreprise", Effect: grant.Quarantined}, 1},
			"quarantined no more": {grant.DeliveryFilter{Provider: "other", Effect: grant.Quarantined}, 0},
			"applied":             {grant.DeliveryFilter{Effect: grant.Applied}, 2},
		} {
			var got []grant.Delivery
			for c.f.Limit = 1; ; { // one at a time: every page begins where the last one ended
				page, err := db.Grant().Deliveries(t.Context(), c.f)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				c.f.Before = page[0].ID
			}
			if len(got) != c.want {
				t.Errorf("%s: %d, want %d", name, len(got), c.want)
			}
		}
		if db.Engine() == store.SQLite {
			plan := strings.Join(db.Column("EXPLAIN QUERY PLAN SELECT * FROM deliveries WHERE resolved_at = 0 AND effect IN ('held', 'quarantined') AND id < 'z' ORDER BY id DESC LIMIT 50"), "\n")
			if !strings.Contains(plan, "deliveries_open") {
				t.Error(plan)
			}
			plan = strings.Join(db.Column("EXPLAIN QUERY PLAN SELECT * FROM deliveries WHERE effect NOT IN ('applied', 'duplicate') AND effect = ? AND id < 'z' ORDER BY id DESC LIMIT 50", "late"), "\n")
			if !strings.Contains(plan, "deliveries_odd") || strings.Contains(plan, "TEMP") {
				t.Error(plan)
			}
		}
	})
}
