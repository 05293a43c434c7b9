package view

import "time"

// How the reading of a source stands.
var (
	ReadingNever   = State{Neutral, "drift.reading.never"}
	ReadingRuns    = State{Waiting, "drift.reading.runs"}
	ReadingDone    = State{Good, "drift.reading.done"}
	ReadingFailed  = State{Stopped, "drift.reading.failed"}
	ReadingStopped = State{Warning, "drift.reading.stopped"} // a process died; the next one goes on
)

// A DriftList is where we and the sources disagree.
type DriftList struct {
	Chips   []Chip
	Sources []SourceLine // whose requests can be read; none: nothing is configured
	Poll    bool         // a reading goes on, or is about to
	Drifts  []DriftCard
	Empty   string
	Pager   Pager
}

// A SourceLine is how the last reading of one source went.
type SourceLine struct {
	Provider string
	State    State
	At       time.Time // of its end, or of its beginning while it runs
	Read     int
	Problem  string
	Action   Action
}

// A DriftCard is one drift and what can be done about it.
type DriftCard struct {
	ID          string
	Meaning     Meaning
	Title, Says string
	Subject     string
	OpenedAt    time.Time
	Actions     []Action
	TimelineURL string
	SourceURL   string
	Ended       string // how it ended, in words; empty: it has not
	EndedAt     time.Time
}
