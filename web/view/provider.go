package view

import "time"

// How a secret of a provider stands.
var (
	SecretInForce = State{Good, "provider.secret.in_force"}
	SecretEnded   = State{Neutral, "provider.secret.ended"}
)

// How a notification stands.
var (
	NoticeWaiting   = State{Waiting, "notice.state.waiting"}
	NoticeDelivered = State{Good, "notice.state.delivered"}
	NoticeFailed    = State{Stopped, "notice.state.failed"}
)

// How a mail of a provider stands.
var (
	MailSent = State{Good, "mail.state.sent"}
	MailOff  = State{Neutral, "mail.state.off"}
)

// MailCauses lists what people may be written to about. The key of each is
// "mail.on." and itself.
func MailCauses() []string {
	return []string{"create", "submit", "request_changes", "refuse", "approve", "archive", "revoke", "token_blocked", "token_expires", "token_taken_over"}
}

// NoticeTypes lists what providers' systems are told of. The key of each is
// "notice.type." and itself.
func NoticeTypes() []string { return []string{"token_issued", "token_blocked", "request_revoked"} }

// NoticeProblems lists why a notification was not taken. The key of each is
// "notice.problem." and itself.
func NoticeProblems() []string {
	return []string{
		"notification_unreachable", "notification_refused", "notification_redirected", "notification_address", "notification_gone",
		"no_notification_address",
	}
}

// A ProviderCard is one provider of the configuration.
type ProviderCard struct {
	Title   string
	Facts   []Fact
	Secrets []SecretLine
	Links   []Link
}

// A SecretLine is one secret, by its mark.
type SecretLine struct {
	Mark    string
	State   State
	LastUse time.Time // zero: never
	Until   time.Time // zero: for ever
	Actions []Action
}

// A MailList is who is written to about what.
type MailList struct {
	Provider string
	Off      string // why nobody is written to; empty: people are
	Rows     []MailLine
}

// A MailLine is one mail in words.
type MailLine struct {
	When  string
	Who   string
	If    string // under which conditions, and how much later; empty: always, at once
	State State
	URL   string
}

// A MailPreview is one mail as it is read, with sample data.
type MailPreview struct {
	Line      MailLine
	Name      string
	Provider  Link // its list of mails
	Languages []Chip
	Language  string
	Subject   string
	Text      string
	Frame     string // address of the mail in HTML
}

// A NoticeList is what a provider's systems were told.
type NoticeList struct {
	Provider string
	Says     string // where they listen
	Waiting  int64  // not attempted yet
	Chips    []Chip
	Rows     []NoticeRow
	Pager    Pager
	Empty    Empty
}

// A NoticeRow is one notification in a list.
type NoticeRow struct {
	Type     string
	Subject  string
	State    State
	Code     string
	Attempts int
	At       time.Time
	URL      string
}

// A NoticePage is one notification with its attempts.
type NoticePage struct {
	Row      NoticeRow
	List     Link
	Subject  Link // the request
	ID       string
	Next     time.Time // of a waiting one
	Problem  string
	Body     string
	Attempts []NoticeTry
	Actions  []Action
}

// A NoticeTry is one attempt.
type NoticeTry struct {
	N     int
	Began time.Time
	Took  string // empty: it goes on, or nobody knows
	Code  string
	Says  string
}
