package main

import (
	"context"
	"time"

	"guichet/api"
	"guichet/grant"
	"guichet/usage"
)

// noteUsage keeps what /check of this process counted, every minute and at the end.
// If we die, what was counted since the last minute is lost.
func (p *program) noteUsage(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var waiting []usage.Report
	for {
		select {
		case <-tick.C:
			if len(waiting) == 0 {
				waiting = p.uses.Take()
			}
			waiting = p.keepReports(ctx, waiting)
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			p.keepReports(end, append(waiting, p.uses.Take()...))
			return
		}
	}
}

// keepReports gives back what must be kept again: a report counts once.
func (p *program) keepReports(ctx context.Context, waiting []usage.Report) []usage.Report {
	for i, report := range waiting {
		if _, err := p.gateways().TakeUsage(ctx, grant.Gateway{}, api.ReportOf(report)); err != nil {
			p.log.Warn("how tokens are used could not be kept; it will be tried again", "error", err)
			return waiting[i:]
		}
	}
	return nil
}
