package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"guichet/usage"
)

const (
	reportEvery = time.Minute
	reportTime  = 10 * time.Second
	lastReport  = 2 * time.Second // when the gateway stops
)

// report tells Guichet every minute how often tokens were used. What it was told
// and did not confirm is told again, by the same name, so that it counts once; if we
// die, what was counted since the last report is lost.
func (l *link) report() {
	every := l.config.ReportEvery
	if every == 0 {
		every = reportEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var waiting []usage.Report
	for {
		select {
		case <-tick.C:
			if len(waiting) == 0 {
				waiting = l.uses.Take()
			}
			waiting = l.sendReports(l.ctx, waiting, reportTime)
		case <-l.ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), lastReport)
			defer cancel()
			waiting = append(waiting, l.uses.Take()...)
			for len(waiting) > 0 && ctx.Err() == nil {
				if waiting = l.sendReports(ctx, waiting, lastReport); len(waiting) > 0 {
					select {
					case <-time.After(again):
					case <-ctx.Done():
					}
				}
			}
			return
		}
	}
}

// sendReports gives back what must be sent again.
func (l *link) sendReports(ctx context.Context, waiting []usage.Report, limit time.Duration) []usage.Report {
	for len(waiting) > 0 {
		status, err := l.sendReport(ctx, waiting[0], limit)
		switch {
		case err != nil, status >= http.StatusInternalServerError, status == http.StatusUnauthorized, status == http.StatusTooManyRequests:
			l.config.Log.Debug("usage could not be told; it will be again", "status", status, "error", err)
			return waiting
		case status != http.StatusOK:
			l.config.Log.Warn("a report of usage was refused", "status", status, "tokens", len(waiting[0].Uses))
		}
		waiting = waiting[1:]
	}
	return nil
}

func (l *link) sendReport(ctx context.Context, report usage.Report, limit time.Duration) (status int, err error) {
	body, err := json.Marshal(report)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(l.config.Upstream, "/")+"/usage", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+l.config.Credential.Reveal())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "guichet-gateway/"+l.config.Version)
	response, err := l.client.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
