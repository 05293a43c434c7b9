package view

import (
	"context"
	"regexp"
	"strings"
	"time"
)

// An AccessLine is one access in a list, or alone: who, how it stands, why, and
// one button.
type AccessLine struct {
	ID          string
	URL         string // of its page; empty when there is none
	Institution string
	Label       string
	State       State
	Outcome     string // kind of the last outcome, one of [Outcomes], when it explains the state
	BankSays    string // the bank's own words, untrusted
	LastSuccess time.Time
	NextPoll    time.Time
	RetryAt     time.Time
	// TrustedUntil is when the bank is expected to ask again; told while nothing
	// more urgent is.
	TrustedUntil time.Time
	TrustEnds    bool      // in fourteen days or fewer
	Deadline     time.Time // of the open question
	Progress     *Progress
	StatusURL    string  // gives the line again; asked while it progresses
	Main         *Action // the one button
	More         []Action
}

// AccessList is the page of all accesses.
type AccessList struct {
	Lines []AccessLine
}

// NewAccess is the page where an access begins: first the institution, then
// its form.
type NewAccess struct {
	Query        string
	Institutions []Institution
	Chosen       *Institution // nil while there is none
	Fields       []Field      // of the chosen one
	Label        Field
	KeepSecrets  bool   // the box is ticked
	Error        string // kind of the outcome that ended the last try, one of [Outcomes]
	BankSays     string
	Problem      string // in words: what else keeps the access from being opened
	First        bool   // nothing exists yet: the page welcomes
	Hidden       []Hidden
}

// An Institution is a bank one can choose.
type Institution struct {
	ID, Name string
	Hint     string // what kind, which connector
	URL      string
}

// A QuestionMethod is how a bank asks, in the words of the connector contract.
type QuestionMethod string

// The methods.
const (
	AskCode     QuestionMethod = "otp_sent"   // a code was sent
	AskDevice   QuestionMethod = "otp_device" // a code made by a device one holds
	AskApp      QuestionMethod = "decoupled"  // approve elsewhere; nothing to type
	AskRedirect QuestionMethod = "redirect"   // go to the bank's site and come back
	AskChoice   QuestionMethod = "choice"     // choose how to be asked
	AskWords    QuestionMethod = "question"   // anything else
	AskPicture  QuestionMethod = "captcha"    // read a picture
)

// Methods lists them. The keys of each are "question.method." and itself.
func Methods() []QuestionMethod {
	return []QuestionMethod{AskCode, AskDevice, AskApp, AskRedirect, AskChoice, AskWords, AskPicture}
}

// A Question is what a bank asks before it answers, as a page or as a dialog.
// While the bank has asked nothing yet it has no Method, and tells how far the
// attempt is.
type Question struct {
	ID          string
	Attempt     string
	Institution string
	Access      string // label
	Method      QuestionMethod
	Medium      string // one of [Media]
	MediumLabel string // "06 •• •• •• 12"
	Prompt      string // the bank's own words, untrusted
	Picture     string // address of a picture to read
	Fields      []Field
	Deadline    time.Time
	Resendable  bool
	ResendAt    time.Time
	Creation    bool // giving up deletes the access, and its page says so
	Checking    bool // an answer is at the bank, or nothing was asked yet
	Progress    *Progress
	Expired     bool
	Problem     string // with the last answer, one of [Problems]
	TriesLeft   int    // told with a wrong answer
	AnswerURL   string
	ResendURL   string
	CancelURL   string
	RestartURL  string // a new attempt after this one expired
	RedirectURL string // where the bank asks
	StatusURL   string // gives the question again, or nothing when it is still the one shown
	Hidden      []Hidden
}

// trigger is when the question asks how it stands: again and again while there is
// nothing to type, else only when something moved.
func (q Question) trigger() string {
	if q.Checking || q.Method == AskApp {
		return pollTrigger
	}
	return ChangedEvent + " from:body"
}

// title names the page and the dialog.
func (q Question) title(ctx context.Context) string {
	if q.Method == "" {
		return Say(ctx, "question.connecting", "Institution", q.Institution)
	}
	return Say(ctx, "question.title", "Institution", q.Institution)
}

// doing is what goes on while there is nothing to do here.
func (q Question) doing(ctx context.Context) string {
	switch {
	case q.Progress != nil:
		return Say(ctx, "phase."+q.Progress.Phase)
	case q.Checking:
		return Say(ctx, "question.checking")
	default:
		return Say(ctx, "question.waiting_app")
	}
}

// folded tells whether what the bank writes is shown on demand only: our own
// sentence says it already.
func (q Question) folded() bool {
	return q.Prompt != "" && (q.Method == AskCode && q.MediumLabel != "" || q.Method == AskChoice)
}

// masked is a space within a number shown in parts: "06 •• •• •• 12".
var masked = regexp.MustCompile(`([0-9•*]{2}) ([0-9•*]{2})`)

// unbroken keeps the parts of such a number on one line, and guillemets with what
// they hold.
func unbroken(s string) string {
	s = strings.NewReplacer("« ", "«\u00a0", " »", "\u00a0»").Replace(s)
	for range 2 { // what one match ends with cannot begin the next
		s = masked.ReplaceAllString(s, "$1\u00a0$2")
	}
	return s
}

// verb is what the button of the answer does.
func (q Question) verb(ctx context.Context) string {
	if q.Method == AskChoice {
		return Say(ctx, "question.choose")
	}
	return Say(ctx, "question.confirm")
}

// purpose ends the sentence: what the answer will make possible.
func (q Question) purpose(ctx context.Context) string {
	if q.Creation {
		return Say(ctx, "question.to_open", "Access", q.Access)
	}
	return Say(ctx, "question.to_refresh", "Access", q.Access)
}

// sentence begins with what the bank did, and where to look.
func (q Question) sentence(ctx context.Context) string {
	medium := q.Medium
	if medium == "" {
		medium = "unknown"
	}
	switch q.Method {
	case "":
		return Say(ctx, "question.connecting_says")
	case AskCode:
		if q.MediumLabel == "" {
			return Say(ctx, "question.sent."+medium)
		}
		return Say(ctx, "question.sent_to."+medium, "Label", strings.ReplaceAll(q.MediumLabel, " ", "\u00a0"))
	default:
		return Say(ctx, "question.method."+string(q.Method))
	}
}

// An AccessDetail is the page of one access: how it stands, and what may be
// changed of it.
type AccessDetail struct {
	Line        AccessLine
	SaveURL     string
	Label       Field
	Credentials []Field // the whole form again: what is stored is never shown
	Problem     string  // in words: why what was sent was not taken
	Ask         bool    // the credentials are wanted for one refresh, and not kept
	Lent        bool    // they are never kept
	RefreshURL  string
	Night       *Action // switches the nightly refresh
	NightOff    bool
	Disable     *Action // wipes the secrets and keeps the data
	Disabled    bool
	NoBank      bool // only files tell of its accounts
	Delete      Action
}

// An AccountGroup is the accounts of one access.
type AccountGroup struct {
	Institution string
	Label       string
	URL         string
	State       State
	Accounts    []AccountLine
}

// An AccountLine is one account.
type AccountLine struct {
	Name    string
	Number  string // shortened
	Balance Money
	AsOf    time.Time
	Gap     *Money // between the bank's balance and the computed one, when they differ
	Missing bool   // the bank does not list it any more
	Untold  bool   // nobody said what it holds
	URL     string
}

// AccountList is the page of all accounts.
type AccountList struct {
	Totals []Money // one per currency; currencies are never added up
	Groups []AccountGroup
}

// OperationList is the list of operations of one account or of all.
type OperationList struct {
	Account string // empty: all accounts, and each row names its own
	Head    *AccountHead
	Chips   []Chip
	Months  []OperationMonth
	Pager   Pager
	Balance bool // show the balance after each operation
	// Categories shows the category of each, and leads to another.
	Categories bool
	Empty      Empty
	Bulk       []Action // on the chosen rows
}

// sumColumns is over how many columns the sums of a month stretch.
func (p OperationList) sumColumns() string {
	if p.Categories {
		return "2"
	}
	return "1"
}

// An AccountHead is the account whose operations are listed, above them.
type AccountHead struct {
	Line    AccountLine
	Actions []Action
}

// An OperationMonth is a month of the list with what it sums up to, one sum for
// each currency.
type OperationMonth struct {
	Month time.Time // its first day
	Sums  []MonthSum
	Rows  []Operation
}

// A MonthSum is what came in and went out in one currency.
type MonthSum struct{ In, Out Money }

// An Operation is one row.
type Operation struct {
	ID          string
	Day         time.Time // civil, in UTC
	Label       string
	RawLabel    string
	Account     string
	Category    string
	Amount      Money
	Balance     Money
	Pending     bool
	Doubtful    bool // waits in the review inbox
	URL         string
	EditURL     string
	CategoryURL string
}
