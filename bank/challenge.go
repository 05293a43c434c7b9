package bank

import (
	"time"

	"guichet"
)

// A ChallengeStatus says who must act next.
type ChallengeStatus string

// The statuses of a question. The first two are live.
const (
	// StatusOpen: a person must answer, or validate in the bank's
	// application. It ends with an answer, a cancellation or the deadline.
	StatusOpen ChallengeStatus = "open"
	// StatusAnswering: our worker speaks to the bank about this question,
	// with the code of a person or to learn what the phone said. It ends with
	// the run's outcome; when the worker dies, the question stands again.
	StatusAnswering ChallengeStatus = "answering"
	// StatusResolved: the bank was satisfied, with this or with one more
	// question.
	StatusResolved ChallengeStatus = "resolved"
	// StatusExpired: too late, for us or for the bank.
	StatusExpired ChallengeStatus = "expired"
	// StatusFailed: no try is left, or the bank stopped for another reason,
	// which the attempt tells.
	StatusFailed ChallengeStatus = "failed"
	// StatusDeclined: someone refused on the phone.
	StatusDeclined ChallengeStatus = "declined"
	// StatusCancelled: a person gave up.
	StatusCancelled ChallengeStatus = "cancelled"
	// StatusSuperseded: a code was sent again; the new question replaces
	// this one.
	StatusSuperseded ChallengeStatus = "superseded"
)

// ChallengeStates lists them all, in the order of a life.
func ChallengeStates() []ChallengeStatus {
	return []ChallengeStatus{
		StatusOpen, StatusAnswering,
		StatusResolved, StatusExpired, StatusFailed, StatusDeclined, StatusCancelled, StatusSuperseded,
	}
}

// Live tells whether the question still stands.
func (s ChallengeStatus) Live() bool { return s == StatusOpen || s == StatusAnswering }

// A ChallengeEvent is something that happens to a question.
type ChallengeEvent string

// The events of a question.
const (
	ChallengeAnswered    ChallengeEvent = "answered"     // a person typed something: the try is counted now
	ChallengePolled      ChallengeEvent = "polled"       // a worker watches what the phone says
	ChallengeResent      ChallengeEvent = "resent"       // a person wants the code again
	ChallengeAccepted    ChallengeEvent = "accepted"     // the bank was satisfied
	ChallengeFollowed    ChallengeEvent = "followed"     // the bank asks something else
	ChallengeRejected    ChallengeEvent = "rejected"     // wrong code
	ChallengeMisspelt    ChallengeEvent = "misspelt"     // refused for its form, before the bank saw it
	ChallengeOutage      ChallengeEvent = "outage"       // the bank did not look at the answer
	ChallengeLost        ChallengeEvent = "lost"         // our worker died: nobody knows what the bank saw
	ChallengeDeclines    ChallengeEvent = "declines"     // refused on the phone
	ChallengeLapsed      ChallengeEvent = "lapsed"       // the bank says it is too late
	ChallengeStopped     ChallengeEvent = "stopped"      // the bank ends the attempt for another reason
	ChallengeTimesOut    ChallengeEvent = "times_out"    // the deadline has come
	ChallengeIsCancelled ChallengeEvent = "is_cancelled" // a person gave up
)

// ChallengeEvents lists them all.
func ChallengeEvents() []ChallengeEvent {
	return []ChallengeEvent{
		ChallengeAnswered, ChallengePolled, ChallengeResent,
		ChallengeAccepted, ChallengeFollowed, ChallengeRejected, ChallengeMisspelt, ChallengeOutage, ChallengeLost,
		ChallengeDeclines, ChallengeLapsed, ChallengeStopped,
		ChallengeTimesOut, ChallengeIsCancelled,
	}
}

// Banks lock a login at the third wrong code, so nobody gets a third try here.
const maxAnswers = 2

// maxResends bounds how often a code is asked again within one attempt.
const maxResends = 3

// A Challenge is one question of a bank, inside an attempt. It waits in the
// database: no process holds it.
type Challenge struct {
	ID        guichet.ID
	Version   int64
	Owner     guichet.ID
	AttemptID guichet.ID
	AccessID  guichet.ID
	Seq       int // 1 for the first question of the attempt
	Status    ChallengeStatus
	Question  Question

	CreatedAt, EndedAt time.Time
	Deadline           time.Time

	Used int // tries counted, including the one under way
	Max  int
	// Resends is how many times the code was asked again before this question.
	Resends   int
	Resending bool // the run under way asks for the code again, it carries none
	// Keys are keyed hashes of the idempotency keys of the answers taken, so that a
	// repeated request is recognised however late it comes.
	Keys []string

	// Session is the bank's session as it was when the question was asked,
	// sealed. Every answer starts from it: what a failed run leaves behind is
	// not to be trusted.
	Session []byte

	// LastOutcome is why the question stands again.
	LastOutcome OutcomeKind
	LastText    string
}

// Ask makes the question that a bank's [Question] becomes. previous is the
// question it follows in the attempt; zero for the first.
func Ask(id guichet.ID, a Attempt, q Question, previous Challenge, now time.Time) Challenge {
	c := Challenge{
		ID: id, Owner: a.Owner, AttemptID: a.ID, AccessID: a.AccessID,
		Seq: previous.Seq + 1, Status: StatusOpen, Question: q,
		CreatedAt: now, Deadline: deadline(q, now), Max: maxAnswers, Resends: previous.Resends,
	}
	if previous.Resending {
		c.Resends++
	}
	if q.TriesLeft >= 1 && q.TriesLeft < c.Max {
		c.Max = q.TriesLeft
	}
	if q.Method == Redirect {
		c.Max = 1 // the address a bank sends back to works once
	}
	return c
}

// A bank that tells a later deadline than this is not believed.
const longestQuestion = 30 * time.Minute

// deadline is what the bank told, within reason, else what banks usually do.
func deadline(q Question, now time.Time) time.Time {
	if told := q.Deadline; told.After(now) {
		if latest := now.Add(longestQuestion); told.After(latest) {
			return latest
		}
		return told
	}
	switch q.Method {
	case Decoupled:
		return now.Add(10 * time.Minute)
	case Redirect, Pick:
		return now.Add(15 * time.Minute)
	default:
		return now.Add(5 * time.Minute)
	}
}

// Typed tells whether a person answers here, rather than in the bank's
// application.
func (c Challenge) Typed() bool { return c.Question.Method != Decoupled }

// TriesLeft is how many answers may still be given.
func (c Challenge) TriesLeft() int { return max(0, c.Max-c.Used) }

// Answerable tells whether a person can still do something about it.
func (c Challenge) Answerable(now time.Time) bool {
	return c.Status == StatusOpen && now.Before(c.Deadline)
}

// Apply is the whole behaviour of a question. An event that cannot happen is
// refused: question_over when it has ended, question_busy while an answer is
// at the bank, question_expired when it is too late, question_idle when it is
// about an answer nobody gave.
func (c Challenge) Apply(e ChallengeEvent, now time.Time) (Challenge, []Effect, error) {
	switch c.Status {
	case StatusOpen:
		return c.applyOpen(e, now)
	case StatusAnswering:
		return c.applyAnswering(e, now)
	case StatusExpired:
		return c, nil, ErrQuestionExpired
	default:
		return c, nil, ErrQuestionOver
	}
}

func (c Challenge) applyOpen(e ChallengeEvent, now time.Time) (Challenge, []Effect, error) {
	late := !now.Before(c.Deadline)
	switch e {
	case ChallengeTimesOut:
		if !late {
			return c, nil, ErrQuestionBusy
		}
		return c.end(StatusExpired, now)
	case ChallengeIsCancelled:
		return c.end(StatusCancelled, now)
	case ChallengeAnswered, ChallengePolled, ChallengeResent:
		if late {
			return c, nil, ErrQuestionExpired
		}
	default:
		return c, nil, ErrQuestionIdle
	}
	switch e {
	case ChallengeAnswered:
		if !c.Typed() {
			// Nothing to type: "I have validated" only looks at once.
			return c, []Effect{QueuePoll}, nil
		}
		// Counted before the bank is spoken to: if we die in between, the limit
		// still protects the person from being locked out.
		c.Status, c.Used = StatusAnswering, c.Used+1
	case ChallengePolled:
		if c.Typed() {
			return c, nil, ErrQuestionIdle
		}
		c.Status = StatusAnswering
	case ChallengeResent:
		if !c.Question.Resendable || c.Resends >= maxResends {
			return c, nil, ErrNoResend
		}
		c.Status, c.Resending = StatusAnswering, true
	}
	return c, []Effect{HoldLease}, nil
}

func (c Challenge) applyAnswering(e ChallengeEvent, now time.Time) (Challenge, []Effect, error) {
	// counted: the run under way spent a try.
	counted := c.Typed() && !c.Resending
	switch e {
	case ChallengeAccepted:
		return c.end(StatusResolved, now)
	case ChallengeFollowed:
		if c.Resending {
			return c.end(StatusSuperseded, now)
		}
		return c.end(StatusResolved, now)
	case ChallengeRejected:
		if !c.Typed() {
			return c.end(StatusDeclined, now)
		}
		return c.reopen(now)
	case ChallengeLost:
		// The try stays counted: nobody knows what the bank saw of it.
		return c.reopen(now)
	case ChallengeMisspelt, ChallengeOutage:
		if counted {
			c.Used--
		}
		return c.reopen(now)
	case ChallengeDeclines:
		return c.end(StatusDeclined, now)
	case ChallengeLapsed:
		return c.end(StatusExpired, now)
	case ChallengeStopped:
		return c.end(StatusFailed, now)
	case ChallengeIsCancelled:
		return c.end(StatusCancelled, now)
	}
	// An answer, a resend or a deadline that comes while another answer is at
	// the bank: that one decides.
	return c, nil, ErrQuestionBusy
}

// reopen puts the question back, unless it is too late or no try is left.
func (c Challenge) reopen(now time.Time) (Challenge, []Effect, error) {
	c.Resending = false
	switch {
	case !now.Before(c.Deadline):
		return c.end(StatusExpired, now)
	case c.TriesLeft() == 0:
		return c.end(StatusFailed, now)
	}
	c.Status = StatusOpen
	if !c.Typed() {
		return c, []Effect{QueuePoll}, nil
	}
	return c, nil, nil
}

func (c Challenge) end(s ChallengeStatus, now time.Time) (Challenge, []Effect, error) {
	c.Status, c.EndedAt, c.Session = s, now, nil
	return c, []Effect{WipeSession}, nil
}

// Refusals of the question machine.
var (
	ErrQuestionExpired = &guichet.Error{Kind: guichet.Gone, Code: "question_expired", Reason: "The time to answer is over. Start again: the bank will ask anew."}
	ErrQuestionOver    = &guichet.Error{Kind: guichet.Conflict, Code: "question_over", Reason: "This question is closed. Look at the attempt to see what came of it."}
	ErrQuestionBusy    = &guichet.Error{Kind: guichet.Conflict, Code: "question_busy", Reason: "Another answer to this question is at the bank. Look again."}
	ErrQuestionIdle    = &guichet.Error{Kind: guichet.Internal, Code: "question_idle", Reason: "No answer to this question is at the bank."}
	ErrNoResend        = &guichet.Error{Kind: guichet.Conflict, Code: "no_resend", Reason: "The bank does not send this code again."}
)
