package datapass_test

import (
	"testing"
	"time"

	"guichet/grant"
	"guichet/store"
	"guichet/store/storetest"
)

// BenchmarkReconcile reads a source of two thousand validated requests that agree,
// over HTTP, on SQLite.
func BenchmarkReconcile(b *testing.B) {
	const requests = 2000
	db := storetest.New(b, store.SQLite)
	s := newScene(b, db)
	s.api.PageSize = 200
	for range requests {
		s.create("submit", "approve")
	}
	b.ResetTimer()
	for b.Loop() {
		db.Clock.Advance(72 * time.Hour) // no attempt names them any more
		run, err := s.r.Run(b.Context(), "api_entreprise", nil)
		if err != nil || run.State != grant.RunDone || run.Read != requests+1 {
			b.Fatalf("%+v %v", run, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/requests, "µs/request")
	if open := s.drifts(grant.DriftOpen); len(open) != 0 {
		b.Errorf("%+v", open)
	}
}
