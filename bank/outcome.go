package bank

import "time"

// An OutcomeKind is one of the nineteen ways a run can end.
type OutcomeKind string

// The closed set of outcomes. Code branches on the kind (and on Reason where a
// kind lists some); the bank's own text is shown, never parsed.
const (
	OK         OutcomeKind = "ok"
	Partial    OutcomeKind = "partial"     // something could not be read; the rest is good
	NoAccounts OutcomeKind = "no_accounts" // logged in, and the bank lists nothing

	Asks           OutcomeKind = "challenge"       // the bank asks; Outcome.Question says what
	AnswerRejected OutcomeKind = "answer_rejected" // wrong code: not a wrong password

	InteractionRequired OutcomeKind = "interaction_required" // it would ask, and nobody is there
	ChallengeExpired    OutcomeKind = "challenge_expired"
	ChallengeDeclined   OutcomeKind = "challenge_declined" // refused on the phone

	BadCredentials     OutcomeKind = "bad_credentials"
	CredentialsExpired OutcomeKind = "credentials_expired"
	Locked             OutcomeKind = "locked"
	ActionRequired     OutcomeKind = "action_required" // accept terms at the bank, fill a form there
	AuthUnsupported    OutcomeKind = "auth_unsupported"
	ConfigInvalid      OutcomeKind = "config_invalid" // the form does not fit, seen before any network

	BankUnavailable OutcomeKind = "unavailable"
	RateLimited     OutcomeKind = "rate_limited"
	Blocked         OutcomeKind = "blocked"   // the bank refuses robots, or shows an unsolvable captcha
	Cancelled       OutcomeKind = "cancelled" // Reason: user, deadline, shutdown

	ConnectorError OutcomeKind = "connector_error" // Reason: missing, load, bug, crash, protocol, unsupported
)

// OutcomeKinds lists them all.
func OutcomeKinds() []OutcomeKind {
	return []OutcomeKind{
		OK, Partial, NoAccounts, Asks, AnswerRejected, InteractionRequired, ChallengeExpired, ChallengeDeclined,
		BadCredentials, CredentialsExpired, Locked, ActionRequired, AuthUnsupported, ConfigInvalid,
		BankUnavailable, RateLimited, Blocked, Cancelled, ConnectorError,
	}
}

// A Class decides what Guichet does after an outcome; the kind only explains why.
type Class string

// The six classes.
const (
	Done      Class = "done"       // data is committed; nobody needs to act
	AskNow    Class = "ask_now"    // a person answers, inside the attempt
	AskLater  Class = "ask_later"  // a person must start a new attempt; polls pause
	FixAccess Class = "fix_access" // a person corrects the form, or acts at the bank; never retried
	Wait      Class = "wait"       // later, by itself
	Broken    Class = "broken"     // an operator; once more the next day
)

// Class of an outcome kind.
func (k OutcomeKind) Class() Class {
	switch k {
	case OK, Partial, NoAccounts:
		return Done
	case Asks, AnswerRejected:
		return AskNow
	case InteractionRequired, ChallengeExpired, ChallengeDeclined:
		return AskLater
	case BadCredentials, CredentialsExpired, Locked, ActionRequired, AuthUnsupported, ConfigInvalid:
		return FixAccess
	case BankUnavailable, RateLimited, Blocked, Cancelled:
		return Wait
	default:
		return Broken
	}
}

// An Outcome is how a run ended.
type Outcome struct {
	Kind       OutcomeKind
	Reason     string    // one of the reasons its kind lists; empty otherwise
	Text       string    // what the bank said: untrusted, capped, shown escaped, never parsed
	BadFields  []string  // ids of the fields the bank refused
	RetryAfter time.Time // for Wait, when the bank told
	TriesLeft  int       // for AnswerRejected, when the bank told; -1 when it did not
	Question   *Question // for Asks
}

// A Method is how a question is answered.
type Method string

// The methods of a question.
const (
	OTPSent   Method = "otp_sent"   // a code was sent (SMS, mail, call)
	OTPDevice Method = "otp_device" // a code to read on a device one holds
	Decoupled Method = "decoupled"  // a validation in the bank's application; nothing to type
	Redirect  Method = "redirect"   // go to the bank and come back with an address
	Pick      Method = "choice"
	Other     Method = "question"
	Captcha   Method = "captcha"
)

// Methods lists them all.
func Methods() []Method {
	return []Method{OTPSent, OTPDevice, Decoupled, Redirect, Pick, Other, Captcha}
}

// A Question is what a bank asks: several fields at once if it likes.
type Question struct {
	Method      Method    `json:"method"`
	Prompt      string    `json:"prompt"` // the bank's words: untrusted, shown escaped
	Fields      []Field   `json:"fields"`
	MediumType  string    `json:"medium_type"` // sms, mail, call, app, device; empty when unknown
	Medium      string    `json:"medium"`      // "06 •• •• •• 12"
	Image       []byte    `json:"image"`       // for a captcha: PNG
	RedirectURL string    `json:"redirect_url"`
	Deadline    time.Time `json:"deadline"`   // when the bank told; zero otherwise
	TriesLeft   int       `json:"tries_left"` // when the bank told; -1 when it did not
	Resendable  bool      `json:"resendable"`
}
