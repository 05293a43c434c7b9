package store_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"guichet"
	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// BenchmarkReceive measures whole deliveries at 50 callers: parse, journal,
// state, audit, mail jobs, durable.
func BenchmarkReceive(b *testing.B) {
	example, err := os.ReadFile("testdata/approve.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		for _, event := range []string{"update", "approve"} {
			b.Run(string(engine)+"/"+event, func(b *testing.B) {
				db := storetest.New(b, engine)
				s, err := store.Open(b.Context(), db.Source, store.Options{Clock: guichet.SystemClock()})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				d := desk(db)
				d.Store, d.Clock = s.Grant(), guichet.SystemClock()
				body := strings.Replace(string(example), `"event": "approve"`, fmt.Sprintf("%q: %q", "event", event), 1)
				var next atomic.Int64
				b.SetParallelism(25) // times two processors
				b.ResetTimer()
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						delivery := strings.ReplaceAll(body, "51234", fmt.Sprint(100000+next.Add(1)))
						if _, err := d.Receive(b.Context(), "api_entreprise", grant.V2, []byte(delivery)); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}
