package bank

import "time"

// Reasons that some outcome kinds list.
const (
	ReasonUser     = "user"     // Cancelled: a person gave up
	ReasonDeadline = "deadline" // Cancelled: the run took too long
	ReasonShutdown = "shutdown" // Cancelled: our process stopped
	ReasonFormat   = "format"   // AnswerRejected: refused for its form before the bank saw it
	ReasonCrash    = "crash"    // ConnectorError: the connector died
	ReasonProtocol = "protocol" // ConnectorError: the connector broke the contract
	ReasonMissing  = "missing"  // ConnectorError: no such connector or institution any more
)

// A SessionRule is what becomes of the session an access keeps.
type SessionRule string

// The session rules.
const (
	SessionKept     SessionRule = "kept"     // the run's session is thrown away
	SessionReplaced SessionRule = "replaced" // the run's session, when it returned one
)

// A Pause is why the nightly fetch leaves an access alone. The empty Pause
// leaves it running.
type Pause string

// The pauses. Each ends with the next success of an attempt by a person.
const (
	PausedForAnswer Pause = "waiting_for_you" // the bank would ask, and nobody would be there
	PausedForFix    Pause = "needs_fix"       // the form is wrong, or something must be done at the bank
)

// A Settlement is what the end of a run does to everything it touches.
type Settlement struct {
	Outcome   Outcome // the run's, or what it amounts to when the connector broke its promises
	Attempt   AttemptEvent
	Challenge ChallengeEvent // empty when the run answered no question
	Session   SessionRule
	Pause     Pause // set now; empty: no pause is added
	Resume    bool  // every pause ends
	Retry     RetryRule
}

// A RetryRule is when the nightly fetch comes back.
type RetryRule string

// The retry rules.
const (
	RetryNightly RetryRule = "nightly" // at the next window
	RetrySoon    RetryRule = "soon"    // later today: 15 minutes, 1 hour, 4 hours, then nightly
	RetryNextDay RetryRule = "next_day"
	RetryNever   RetryRule = "never" // not before a person did something
)

// Settle is the law of outcomes: how the end of a run moves the attempt, the
// question it answered (the zero Challenge when it answered none), the session
// and the nightly fetch. It changes nothing itself.
func Settle(o Outcome, a Attempt, c Challenge, now time.Time) Settlement {
	o = believe(o, a, c)
	s := Settlement{Outcome: o, Session: SessionKept, Retry: RetryNightly}
	class := o.Kind.Class()

	s.Attempt = firstRun(o)
	if c.ID != "" {
		s.Challenge = answerRun(o)
		s.Attempt = afterAnswer(s.Challenge, s.Attempt, c, now)
	}

	switch class {
	case Done:
		s.Session = SessionReplaced
		s.Resume = a.Trigger == ByPerson
	case AskNow:
		// Paused from the moment it asks, until someone has answered: the night
		// must not ask again.
		s.Pause, s.Retry = PausedForAnswer, RetryNever
		if o.Kind == Asks {
			s.Session = SessionReplaced
		}
	case AskLater:
		s.Pause, s.Retry = PausedForAnswer, RetryNever
	case FixAccess:
		s.Pause, s.Retry = PausedForFix, RetryNever
	case Wait:
		switch {
		case o.Kind == Blocked:
			s.Retry = RetryNextDay
		case o.Kind == Cancelled && o.Reason == ReasonUser:
			s.Retry = RetryNightly
		default:
			s.Retry = RetrySoon
		}
	case Broken:
		s.Retry = RetryNextDay
	}
	if c.ID != "" && class != Done && s.Pause == "" {
		// The question was not answered to the end, whatever stopped it.
		s.Pause, s.Retry = PausedForAnswer, RetryNever
	}
	return s
}

// believe turns what a connector may not say into what it amounts to.
func believe(o Outcome, a Attempt, c Challenge) Outcome {
	broken := Outcome{Kind: ConnectorError, Reason: ReasonProtocol, Text: o.Text}
	switch o.Kind {
	case Asks:
		switch {
		case o.Question == nil:
			return broken
		case a.Trigger == ByPoll:
			// Nobody is there. The connector should not have let the bank ask;
			// the access is paused so that it never happens twice.
			return Outcome{Kind: InteractionRequired, Text: o.Text}
		}
	case AnswerRejected:
		if c.ID == "" {
			return broken
		}
	case OK, Partial, NoAccounts, InteractionRequired, ChallengeExpired, ChallengeDeclined,
		BadCredentials, CredentialsExpired, Locked, ActionRequired, AuthUnsupported, ConfigInvalid,
		BankUnavailable, RateLimited, Blocked, Cancelled, ConnectorError:
	default:
		return broken
	}
	return o
}

// firstRun is what an outcome does to the attempt when no question was answered.
func firstRun(o Outcome) AttemptEvent {
	switch o.Kind {
	case OK, NoAccounts:
		return AttemptSucceeds
	case Partial:
		return AttemptSucceedsPart
	case Asks:
		return AttemptAsks
	case ChallengeExpired:
		return AttemptExpires
	case Cancelled:
		if o.Reason == ReasonUser {
			return AttemptIsCancelled
		}
	}
	return AttemptFails
}

// answerRun is what an outcome does to the question that was answered.
func answerRun(o Outcome) ChallengeEvent {
	switch o.Kind {
	case OK, Partial, NoAccounts:
		return ChallengeAccepted
	case Asks:
		return ChallengeFollowed
	case AnswerRejected:
		if o.Reason == ReasonFormat {
			return ChallengeMisspelt
		}
		return ChallengeRejected
	case ChallengeExpired:
		return ChallengeLapsed
	case ChallengeDeclined:
		return ChallengeDeclines
	case BankUnavailable, RateLimited:
		return ChallengeOutage
	case Cancelled:
		if o.Reason == ReasonUser {
			return ChallengeIsCancelled
		}
		return ChallengeLost // our deadline or our process: nobody knows what the bank saw
	case ConnectorError:
		if o.Reason == ReasonCrash {
			return ChallengeLost
		}
	}
	return ChallengeStopped
}

// afterAnswer is what the attempt does once its question has moved: it follows
// the question wherever that stands again or ends.
func afterAnswer(e ChallengeEvent, direct AttemptEvent, c Challenge, now time.Time) AttemptEvent {
	moved, _, err := c.Apply(e, now)
	if err != nil {
		return direct
	}
	switch moved.Status {
	case StatusOpen:
		return AttemptReopens
	case StatusExpired:
		return AttemptExpires
	default:
		return direct
	}
}

// retries are the waits after one, two and three failures in a row.
var retries = []time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour}

// NextPoll is when the nightly fetch comes back after a run; zero when it does
// not come by itself. nightly is the next slot of the poll window, failures how
// many runs failed in a row, this one included.
func (r RetryRule) NextPoll(now, nightly, notBefore time.Time, failures int) time.Time {
	next := nightly
	switch r {
	case RetryNever:
		return time.Time{}
	case RetrySoon:
		if failures >= 1 && failures <= len(retries) {
			next = now.Add(retries[failures-1])
		}
	case RetryNextDay:
		if next.Before(now.Add(12 * time.Hour)) {
			next = next.Add(24 * time.Hour)
		}
	}
	if next.Before(notBefore) {
		next = notBefore
	}
	return next
}
