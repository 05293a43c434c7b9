package bank

import (
	"time"

	"guichet"
)

// An Access is one login of one person at one institution. Until its first
// success it has no account: it is a draft, and goes with its secrets when the
// attempt that creates it ends otherwise.
type Access struct {
	ID      guichet.ID
	Version int64
	Owner   guichet.ID

	Institution string
	Connector   string
	Label       string
	Locale      string // the language the connector should speak: "fr" or "en"

	// Credentials is the sealed form; Session is what the connector wants back,
	// sealed. When Lent is true the person did not want them stored: they are
	// wiped at the end of each attempt.
	Credentials    []byte
	Session        []byte
	SessionExpires time.Time
	Lent           bool
	// Fingerprint is a keyed hash of the institution and of what is not secret in
	// the form: the same login gives the same one, and nothing else can be read.
	Fingerprint string

	CreatedAt   time.Time
	HasAccounts bool

	// Attempt is the latest attempt: the only one that can be live.
	Attempt guichet.ID

	// Disabled is an access that its owner has switched off: its secrets are wiped,
	// its data stays, and nobody goes to the bank before they give credentials again.
	Disabled bool

	// Nightly fetches. NightOff is the person's own wish.
	NightOff bool
	Pause    Pause
	NextPoll time.Time // zero: never by itself
	Failures int       // runs that failed in a row

	LastSuccess  time.Time
	StrongAt     time.Time // the last time a question of the bank was answered to its end
	TrustedUntil time.Time // until when the bank should not ask; zero: unknown
	TrustWarned  int       // of how many days before it the owner was told last; 0: of none
}

// Pollable tells whether the night may fetch it.
func (a Access) Pollable(now time.Time) bool {
	return a.HasAccounts && !a.Disabled && !a.NightOff && a.Pause == "" && !a.Lent && a.Credentials != nil &&
		!a.NextPoll.IsZero() && !now.Before(a.NextPoll)
}

// An AccessState is what people see of an access at a glance.
type AccessState string

// The states of an access, each with who must act.
const (
	AccessFetching   AccessState = "fetching"   // a worker
	AccessWaiting    AccessState = "waiting"    // you: the bank asked something
	AccessUnfinished AccessState = "unfinished" // you: resume or discard
	AccessPaused     AccessState = "paused"     // you: start an attempt, the bank will ask
	AccessBroken     AccessState = "broken"     // you: correct the form, or act at the bank
	AccessFailing    AccessState = "failing"    // nobody: it will be tried again
	AccessDisabled   AccessState = "disabled"   // nobody: its owner switched it off
	AccessReady      AccessState = "ready"      // nobody
	AccessImported   AccessState = "imported"   // you: no bank is behind it, the next statement is yours to bring
)

// AccessStates lists them all.
func AccessStates() []AccessState {
	return []AccessState{AccessFetching, AccessWaiting, AccessUnfinished, AccessPaused, AccessBroken, AccessFailing, AccessDisabled, AccessReady, AccessImported}
}

// A Case is an access with its latest attempt and that attempt's latest
// question. Any of them may be missing: its ID is then empty.
type Case struct {
	Access    Access
	Attempt   Attempt
	Challenge Challenge
}

// State is what people see of the access.
func (c Case) State() AccessState {
	switch {
	case c.Attempt.State == AttemptWaiting:
		return AccessWaiting
	case c.Attempt.State.Live():
		return AccessFetching
	case !c.Access.HasAccounts:
		return AccessUnfinished
	case c.Access.Connector == ByFile:
		return AccessImported
	case c.Access.Disabled:
		return AccessDisabled
	case c.Access.Pause == PausedForAnswer:
		return AccessPaused
	case c.Access.Pause == PausedForFix:
		return AccessBroken
	case c.Access.Failures > 0:
		return AccessFailing
	default:
		return AccessReady
	}
}

// Question is the question that still stands, or nil.
func (c Case) Question() *Challenge {
	if c.Attempt.State.Live() && c.Challenge.Status.Live() {
		return &c.Challenge
	}
	return nil
}

// Answerable tells whether a person can still bring a creation to its end: the
// sweeper leaves it alone.
func (c Case) Answerable(now time.Time) bool {
	switch c.Attempt.State {
	case AttemptQueued, AttemptRunning:
		return true
	case AttemptWaiting:
		return c.Challenge.Status == StatusAnswering || c.Challenge.Answerable(now)
	default:
		return false
	}
}

// A Window is the hours of the night in which accesses are fetched.
type Window struct {
	From, To time.Duration // since midnight
	Location *time.Location
}

// Next is an instant of the next window after now; jitter spreads accesses over
// it, so that no bank is visited by all at once.
func (w Window) Next(now time.Time, jitter func(n int64) int64) time.Time {
	loc := w.location()
	from, length := w.From, w.To-w.From
	if length <= 0 {
		from, length = 2*time.Hour, 2*time.Hour
	}
	local := now.In(loc)
	for days := 0; ; days++ {
		// Built from the civil day, so that the hour is right when the clocks change.
		start := time.Date(local.Year(), local.Month(), local.Day()+days, 0, int(from.Minutes()), 0, 0, loc)
		if start.After(now) {
			return start.Add(time.Duration(jitter(int64(length/time.Second))) * time.Second).UTC()
		}
	}
}

func (w Window) location() *time.Location {
	if w.Location == nil {
		return time.UTC
	}
	return w.Location
}
