package api

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"guichet"
	"guichet/grant"
	"guichet/usage"
)

// mostReport is the largest report: two thousand tokens have a tenth of it.
const mostReport = 1 << 20

// takeUsage adds what a gateway counted.
func (s *Server) takeUsage(w http.ResponseWriter, r *http.Request) error {
	g, _, err := s.gateway(r)
	if err != nil {
		return err
	}
	var report usage.Report
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, mostReport), &report, json.RejectUnknownMembers(true)); err != nil {
		return grant.ErrUsageReport.Because(err)
	}
	added, err := s.Gateways.TakeUsage(r.Context(), g, ReportOf(report))
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, struct {
		Added   int `json:"added"`
		Skipped int `json:"skipped"` // added before, or not a token's
	}{added, len(report.Uses) - added})
	return nil
}

// ReportOf is a report in the words of the window.
func ReportOf(r usage.Report) grant.UsageReport {
	out := grant.UsageReport{ID: r.ID, From: r.From, To: r.To, Uses: make(map[guichet.ID]int64, len(r.Uses))}
	for token, n := range r.Uses {
		out.Uses[guichet.ID(token)] = n
	}
	return out
}
