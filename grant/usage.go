package grant

import (
	"context"
	"slices"
	"time"

	"guichet"
)

// Usage is how often a token was used.
type Usage struct {
	Last time.Time // to the minute or so; zero: never, as far as is kept
	Days []DayOfUse
}

// A DayOfUse is a civil day in Paris, as 2026-11-22.
type DayOfUse struct {
	Day  string
	Uses int64
}

// Total of the days.
func (u Usage) Total() (n int64) {
	for _, d := range u.Days {
		n += d.Uses
	}
	return n
}

// UsageKept is how long the use of a day is kept.
const UsageKept = 400 * 24 * time.Hour

// DayOf names the civil day of an instant in Paris.
func DayOf(t time.Time) string { return t.In(paris).Format(time.DateOnly) }

// A UsageReport is what was counted beside an API in a while.
type UsageReport struct {
	ID       string
	From, To time.Time
	Uses     map[guichet.ID]int64
}

// ErrUsageReport is returned for a report that nobody's gateway makes.
var ErrUsageReport = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_usage_report", Reason: "The report is not whole, names too many tokens, or is not of the last two days."}

const (
	mostReported   = 2000           // tokens in a report
	oldestReport   = 48 * time.Hour // and so long its name must be remembered
	mostUsesSecond = 100_000        // of one token
)

// ReportsKept is how long the names of reports are kept: longer than one is taken.
const ReportsKept = oldestReport + 24*time.Hour

// TakeUsage adds what a gateway counted, once however often it comes. A line that
// cannot be true, or of a token that does not exist, is passed over; it returns how
// many lines were added. A report is of the day on which it ends, so that midnight
// is true to the minute.
func (d *Gateways) TakeUsage(ctx context.Context, g Gateway, r UsageReport) (added int, err error) {
	now := d.Clock.Now()
	while := r.To.Sub(r.From)
	switch {
	case r.ID == "" || len(r.ID) > 64 || !externalID.MatchString(r.ID), len(r.Uses) > mostReported,
		while < 0, r.To.After(now.Add(futureTolerance)), r.From.Before(now.Add(-oldestReport)):
		return 0, ErrUsageReport
	}
	last := r.To
	if last.After(now) {
		last = now
	}
	most := (int64(while/time.Second) + 1) * mostUsesSecond
	tokens := make([]guichet.ID, 0, len(r.Uses))
	for id, n := range r.Uses {
		if parsed, err := guichet.ParseID(id.String()); err == nil && parsed == id && n > 0 && n <= most {
			tokens = append(tokens, id)
		}
	}
	slices.Sort(tokens) // two at once take the rows in one order
	err = d.Store.Update(ctx, func(tx GatewayTx) error {
		added = 0
		first, err := tx.NoteReport(g.ID, r.ID, now)
		if err != nil || !first {
			return err
		}
		for _, id := range tokens {
			known, err := tx.AddUses(id, DayOf(last), r.Uses[id], last)
			if err != nil {
				return err
			}
			if known {
				added++
			}
		}
		return nil
	})
	return added, err
}
