package view

// A Meaning is what a colour and a shape stand for. There are five, everywhere.
type Meaning string

// The meanings.
const (
	Good    Meaning = "good"    // all is well, nobody has to act
	Waiting Meaning = "waiting" // waits for a person
	Warning Meaning = "warning" // works, and will not for long or not wholly
	Stopped Meaning = "stopped" // does not work any more, or is refused
	Neutral Meaning = "neutral" // over, or not begun
)

// Meanings lists them.
func Meanings() []Meaning { return []Meaning{Good, Waiting, Warning, Stopped, Neutral} }

// A State is how anything stands: a word, and the meaning that gives its shape
// and its colour.
type State struct {
	Meaning Meaning
	Word    string // a key of package locale
}

// How an access stands.
var (
	AccessFresh      = State{Good, "access.state.fresh"}
	AccessRunning    = State{Neutral, "access.state.running"}
	AccessAsksCode   = State{Waiting, "access.state.asks_code"}
	AccessAsksApp    = State{Waiting, "access.state.asks_app"}
	AccessAsksSite   = State{Waiting, "access.state.asks_site"}
	AccessAsks       = State{Waiting, "access.state.asks"}
	AccessUnfinished = State{Waiting, "access.state.unfinished"}
	AccessPaused     = State{Warning, "access.state.paused"}
	AccessPartial    = State{Warning, "access.state.partial"}
	AccessRetrying   = State{Warning, "access.state.retrying"}
	AccessFailed     = State{Stopped, "access.state.failed"}
	AccessOff        = State{Neutral, "access.state.off"}
	AccessDisabled   = State{Neutral, "access.state.disabled"}
	AccessImported   = State{Neutral, "access.state.imported"}   // no bank is behind it
	AccessNotOpened  = State{Stopped, "access.state.not_opened"} // it is gone; only its form is left
)

// How a request stands.
var (
	RequestDraft     = State{Neutral, "request.state.draft"}
	RequestSubmitted = State{Waiting, "request.state.submitted"}
	RequestChanges   = State{Waiting, "request.state.changes_requested"}
	RequestRefused   = State{Stopped, "request.state.refused"}
	RequestValidated = State{Good, "request.state.validated"}
	RequestReopened  = State{Good, "request.state.reopened"}
	RequestRevoked   = State{Stopped, "request.state.revoked"}
	RequestArchived  = State{Neutral, "request.state.archived"}
	RequestPurged    = State{Neutral, "request.state.purged"}
)

// How a token stands.
var (
	TokenActive       = State{Good, "token.state.active"}
	TokenExpiring     = State{Warning, "token.state.expiring"}
	TokenBlockPlanned = State{Warning, "token.state.block_planned"}
	TokenBlocked      = State{Stopped, "token.state.blocked"}
	TokenExpired      = State{Neutral, "token.state.expired"}
)

// How an authorization stands, at its source.
var (
	AuthorizationActive   = State{Good, "authorization.state.active"}
	AuthorizationObsolete = State{Neutral, "authorization.state.obsolete"}
	AuthorizationRevoked  = State{Stopped, "authorization.state.revoked"}
)

// How an alert stands.
var (
	AlertOpen = State{Warning, "alert.state.open"}
	AlertDone = State{Neutral, "alert.state.done"}
)

// States lists every state, so that a test can ask for its words and its shape.
func States() []State {
	return []State{
		AccessFresh, AccessRunning, AccessAsksCode, AccessAsksApp, AccessAsksSite, AccessAsks, AccessUnfinished,
		AccessPaused, AccessPartial, AccessRetrying, AccessFailed, AccessOff, AccessDisabled, AccessImported, AccessNotOpened,
		RequestDraft, RequestSubmitted, RequestChanges, RequestRefused, RequestValidated, RequestReopened,
		RequestRevoked, RequestArchived, RequestPurged,
		TokenActive, TokenExpiring, TokenBlockPlanned, TokenBlocked, TokenExpired,
		AlertOpen, AlertDone,
		AuthorizationActive, AuthorizationObsolete, AuthorizationRevoked,
		ReadingNever, ReadingRuns, ReadingDone, ReadingFailed, ReadingStopped,
		GatewayNew, GatewayCurrent, GatewayLate, GatewaySilent, GatewayRevoked,
		SecretInForce, SecretEnded, NoticeWaiting, NoticeDelivered, NoticeFailed, MailSent, MailOff,
	}
}

// Outcomes lists the kinds of outcome of an attempt that a page explains, by
// the words of the connector contract. The key of each is "outcome." and itself.
func Outcomes() []string {
	return []string{
		"partial", "no_accounts", "answer_rejected", "interaction_required", "challenge_expired", "challenge_declined",
		"bad_credentials", "credentials_expired", "locked", "action_required", "auth_unsupported", "config_invalid",
		"unavailable", "rate_limited", "blocked", "cancelled", "connector_error",
	}
}

// Phases lists the phases of an attempt. The key of each is "phase." and itself.
func Phases() []string {
	return []string{"starting", "connecting", "authenticating", "waiting_user", "listing", "fetching", "finishing"}
}

// Media lists the ways by which a bank sends a code. The keys of each are
// "question.sent." and "question.sent_to." and itself.
func Media() []string {
	return []string{"sms", "email", "call", "app", "device", "unknown"}
}

// Problems lists what can be wrong with the last answer to a question. The key
// of each is "question.problem." and itself.
func Problems() []string {
	return []string{"wrong", "format", "unavailable", "unknown", "other_answer"}
}

// Effects lists what a delivery did. The key of each is "effect." and itself.
func Effects() []string {
	return []string{"applied", "duplicate", "late", "held", "quarantined", "unknown", "ping"}
}

// AlertKinds lists the alerts that the pages explain. The keys of each are
// "alert.kind." and itself, then "title" and "detail".
func AlertKinds() []string {
	return []string{
		"archive_without_revoke", "held_approval", "event_after_revoke", "event_after_archive", "revoke_of_unknown_request",
		"revoke_without_validation", "revoke_after_archive", "partial_revocation", "deleted_at_source", "unknown_event",
		"quarantined", "purged_came_back", "gateway_silent", "gateway_late", "blocklist_went_back", "late_approval", "late_revoke", "connector_broken", "key_burned", "notification_failed",
		"drift", "drifts", "reconcile_fails",
	}
}

// ContactRoles lists the persons of a request. The key of each is "contact." and
// itself.
func ContactRoles() []string { return []string{"applicant", "technical", "business"} }
