package bank

import (
	"time"

	"guichet"
)

// An AttemptState says who must act next.
type AttemptState string

// The states of an attempt. The first three are live: at most one attempt per
// access, and per login at a bank, is in one of them.
const (
	// AttemptQueued: a worker must take it. It ends by being claimed, by a
	// cancellation, or by the sweeper when no worker ever came.
	AttemptQueued AttemptState = "queued"
	// AttemptRunning: the worker that holds the lease must come back from the
	// bank. It ends with the run's outcome, within the run's deadline; when the
	// worker dies, the sweeper ends it after the lease.
	AttemptRunning AttemptState = "running"
	// AttemptWaiting: a person must answer the question of the bank, here or in
	// the bank's application. It ends with an answer, a cancellation, or the
	// deadline of the question.
	AttemptWaiting AttemptState = "waiting"
	// AttemptSucceeded: nobody acts; all data is committed.
	AttemptSucceeded AttemptState = "succeeded"
	// AttemptPartial: nobody acts; the data is committed but something could
	// not be read, and the next attempt may get it.
	AttemptPartial AttemptState = "partial"
	// AttemptFailed: what happens next is said by the class of the outcome.
	AttemptFailed AttemptState = "failed"
	// AttemptCancelled: nobody acts; a person gave up.
	AttemptCancelled AttemptState = "cancelled"
	// AttemptExpired: nobody acts; the question was not answered in time. A
	// person may start again.
	AttemptExpired AttemptState = "expired"
)

// AttemptStates lists them all, in the order of a life.
func AttemptStates() []AttemptState {
	return []AttemptState{
		AttemptQueued, AttemptRunning, AttemptWaiting,
		AttemptSucceeded, AttemptPartial, AttemptFailed, AttemptCancelled, AttemptExpired,
	}
}

// Live tells whether something is still to come.
func (s AttemptState) Live() bool {
	return s == AttemptQueued || s == AttemptRunning || s == AttemptWaiting
}

// An AttemptEvent is something that happens to an attempt.
type AttemptEvent string

// The events of an attempt.
const (
	AttemptBegins       AttemptEvent = "begins"        // a worker holds the lease and goes to the bank
	AttemptWatches      AttemptEvent = "watches"       // a worker holds the lease and waits for what the phone says
	AttemptAsks         AttemptEvent = "asks"          // the bank asked something
	AttemptAnswered     AttemptEvent = "answered"      // a person's answer was accepted by us, and a worker holds it
	AttemptReopens      AttemptEvent = "reopens"       // the question stands again: wrong code, outage, lost worker
	AttemptSucceeds     AttemptEvent = "succeeds"      // all data is there
	AttemptSucceedsPart AttemptEvent = "succeeds_part" // some data is there
	AttemptFails        AttemptEvent = "fails"         // a typed outcome without data
	AttemptIsCancelled  AttemptEvent = "is_cancelled"  // a person gave up
	AttemptExpires      AttemptEvent = "expires"       // the question is too old
	AttemptLosesWorker  AttemptEvent = "loses_worker"  // the lease is dead and no question was being answered
	AttemptIsAbandoned  AttemptEvent = "is_abandoned"  // queued, and no worker ever came
	AttemptIsTakenOver  AttemptEvent = "is_taken_over" // a person wants what a queued poll was about to do
)

// AttemptEvents lists them all.
func AttemptEvents() []AttemptEvent {
	return []AttemptEvent{
		AttemptBegins, AttemptWatches, AttemptAsks, AttemptAnswered, AttemptReopens,
		AttemptSucceeds, AttemptSucceedsPart, AttemptFails, AttemptIsCancelled, AttemptExpires,
		AttemptLosesWorker, AttemptIsAbandoned, AttemptIsTakenOver,
	}
}

// A Trigger is who started an attempt.
type Trigger string

// The triggers.
const (
	ByPerson Trigger = "person" // someone is there to answer
	ByPoll   Trigger = "poll"   // nobody is there: the bank must not be made to ask
)

// A Purpose is what a person wanted when they started an attempt.
type Purpose string

// The purposes.
const (
	Create            Purpose = "create"     // open an access: accounts and transactions
	RefreshAccounts   Purpose = "accounts"   // new accounts too
	RefreshOperations Purpose = "operations" // of the accounts we know
	RefreshBalance    Purpose = "balance"    // of one account
)

// An Effect is something to do because of a transition, in the transaction that
// writes it. Effects are values: the [Desk] does them.
type Effect string

// The effects of both machines.
const (
	QueueRun      Effect = "queue_run"      // a job that goes to the bank, with no secret of memory
	QueuePoll     Effect = "queue_poll"     // a job that waits for the validation on the phone
	HoldLease     Effect = "hold_lease"     // whoever speaks to the bank holds the lease
	DropLease     Effect = "drop_lease"     // nobody speaks to the bank any more
	CommitData    Effect = "commit_data"    // what the run staged becomes rows
	CloseQuestion Effect = "close_question" // a question still open is cancelled
	WipeLent      Effect = "wipe_lent"      // credentials and session the person did not want stored
	DropIfEmpty   Effect = "drop_if_empty"  // an access without account goes, with its secrets
	WipeSession   Effect = "wipe_session"   // the copy of the bank's session that served the question
)

// An Attempt is one action towards a bank, started by a person or a poll: from
// the click to the data or to the reason why there is none.
type Attempt struct {
	ID        guichet.ID
	Version   int64
	Owner     guichet.ID
	AccessID  guichet.ID // kept when the access is gone, so that a late reader learns why
	AccountID guichet.ID // for RefreshBalance
	Purpose   Purpose
	Trigger   Trigger
	State     AttemptState
	// Fingerprint is a keyed hash of the login at the bank: two live attempts
	// never share one, whatever their accesses.
	Fingerprint string

	Institution string
	Label       string
	// Form is the sealed non-secret part of a creation's form, so that a failed
	// creation gives back what was typed. Wiped with the attempt.
	Form []byte
	// Credentials, sealed, are those typed for this attempt. They become those of
	// the access when the bank has let them in, and are wiped with the attempt.
	Credentials []byte

	CreatedAt, UpdatedAt, EndedAt time.Time

	// Challenge is the latest question: the only one that can be live.
	Challenge guichet.ID

	// Lease: which worker speaks to the bank, until when it is believed alive,
	// and the fence. Epoch rises with each claim; a worker whose epoch is old
	// can write nothing.
	Worker     string
	Epoch      int64
	LeaseUntil time.Time

	// How far the run is. Written by the heartbeat, outside of versions.
	Phase Phase
	Done  int
	Total int

	// How it ended, or how its last run did.
	Outcome    OutcomeKind
	Reason     string
	Text       string // the bank's words: untrusted
	BadFields  []string
	RetryAfter time.Time
	Warnings   []Warning

	Counts Counts
}

// A Warning is a part that a run could not read.
type Warning struct {
	Code    string `json:"code"`
	Account string `json:"account,omitempty"` // the bank's reference
}

// Counts is what an attempt changed.
type Counts struct {
	Accounts int `json:"accounts"` // seen
	Added    int `json:"added"`    // transactions we did not know
	Known    int `json:"known"`
	Promoted int `json:"promoted"` // pending ones that the bank has entered since
}

// Leased tells whether a worker is believed to be speaking to the bank.
func (a Attempt) Leased(now time.Time) bool {
	return a.Worker != "" && now.Before(a.LeaseUntil)
}

// Apply is the whole behaviour of an attempt: what an event makes of it, and
// what must be done with the change. An event that cannot happen in this state
// is refused with attempt_over (it has ended) or attempt_busy.
func (a Attempt) Apply(e AttemptEvent, now time.Time) (Attempt, []Effect, error) {
	to, effects, ok := a.next(e)
	if !ok {
		return a, nil, refuseAttempt(a.State)
	}
	a.State, a.UpdatedAt = to, now
	if e == AttemptIsTakenOver {
		a.Trigger = ByPerson
	}
	if !to.Live() {
		a.EndedAt = now
	}
	for _, effect := range effects {
		if effect == DropLease {
			a.Worker, a.LeaseUntil = "", time.Time{}
		}
	}
	return a, effects, nil
}

func (a Attempt) next(e AttemptEvent) (AttemptState, []Effect, bool) {
	// What every end does. An access that never got an account has no reason to
	// outlive the attempt that would have given it one (B4, B6, B7).
	failure := []Effect{DropLease, CloseQuestion, WipeLent, DropIfEmpty}
	success := []Effect{DropLease, CommitData, WipeLent, DropIfEmpty}

	switch a.State {
	case AttemptQueued:
		switch e {
		case AttemptBegins:
			return AttemptRunning, []Effect{HoldLease}, true
		case AttemptIsTakenOver:
			// A poll nobody has begun: the person gets it, with themselves present.
			return AttemptQueued, nil, a.Trigger == ByPoll
		case AttemptFails, AttemptIsAbandoned:
			return AttemptFailed, failure, true
		case AttemptIsCancelled:
			return AttemptCancelled, failure, true
		}
	case AttemptRunning:
		switch e {
		case AttemptAsks, AttemptReopens:
			return AttemptWaiting, []Effect{DropLease}, true
		case AttemptSucceeds:
			return AttemptSucceeded, success, true
		case AttemptSucceedsPart:
			return AttemptPartial, success, true
		case AttemptFails:
			return AttemptFailed, failure, true
		case AttemptIsCancelled:
			return AttemptCancelled, failure, true
		case AttemptExpires:
			return AttemptExpired, failure, true
		case AttemptLosesWorker:
			// With nobody present the bank was not made to ask, so going again
			// is safe. With a person present it may already have sent a code:
			// only the person may decide to make it send another.
			if a.Trigger == ByPoll {
				return AttemptQueued, []Effect{DropLease, QueueRun}, true
			}
			return AttemptFailed, failure, true
		}
	case AttemptWaiting:
		switch e {
		case AttemptAnswered:
			return AttemptRunning, []Effect{HoldLease}, true
		case AttemptWatches:
			// It is still the person who must act.
			return AttemptWaiting, []Effect{HoldLease}, true
		case AttemptAsks, AttemptReopens:
			return AttemptWaiting, []Effect{DropLease}, true
		case AttemptSucceeds:
			return AttemptSucceeded, success, true
		case AttemptSucceedsPart:
			return AttemptPartial, success, true
		case AttemptFails:
			return AttemptFailed, failure, true
		case AttemptIsCancelled:
			return AttemptCancelled, failure, true
		case AttemptExpires:
			return AttemptExpired, failure, true
		}
	}
	return a.State, nil, false
}

func refuseAttempt(s AttemptState) error {
	if s.Live() {
		return ErrAttemptBusy
	}
	return ErrAttemptOver
}

// Refusals of the attempt machine.
var (
	ErrAttemptBusy = &guichet.Error{Kind: guichet.Conflict, Code: "attempt_busy", Reason: "Something else is going on with this access. Look again."}
	ErrAttemptOver = &guichet.Error{Kind: guichet.Conflict, Code: "attempt_over", Reason: "This attempt has ended. Start a new one."}
)
