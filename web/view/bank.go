package view

import (
	"context"
	"strings"
	"time"
)

// An AccessLine is one access in a list, or alone: who, how it stands, why, and
// one button.
type AccessLine struct {
	ID          string
	Institution string
	Label       string
	State       State
	Outcome     string // kind of the last outcome, one of [Outcomes], when it explains the state
	BankSays    string // the bank's own words, untrusted
	LastSuccess time.Time
	NextPoll    time.Time
	RetryAt     time.Time
	Deadline    time.Time // of the open question
	Progress    *Progress
	Main        *Action // the one button
	More        []Action
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
	First        bool // nothing exists yet: the page welcomes
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
type Question struct {
	ID          string
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
	Checking    bool // an answer is at the bank
	Expired     bool
	Problem     string // with the last answer, one of [Problems]
	TriesLeft   int    // told with a wrong answer
	AnswerURL   string
	ResendURL   string
	CancelURL   string
	RestartURL  string // a new attempt after this one expired
	RedirectURL string // where the bank asks
	StatusURL   string // gives the question again; asked while nothing is to be typed
	Hidden      []Hidden
}

// typed tells whether there is something to type or choose.
func (q Question) typed() bool { return q.Method != AskApp && q.Method != AskRedirect }

// polls tells whether the page asks again by itself.
func (q Question) polls() bool {
	return q.StatusURL != "" && !q.Expired && (q.Checking || !q.typed())
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
	case AskCode:
		if q.MediumLabel == "" {
			return Say(ctx, "question.sent."+medium)
		}
		return Say(ctx, "question.sent_to."+medium, "Label", strings.ReplaceAll(q.MediumLabel, " ", "\u00a0"))
	default:
		return Say(ctx, "question.method."+string(q.Method))
	}
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
	Chips   []Chip
	Months  []OperationMonth
	Pager   Pager
	Balance bool // show the balance after each operation
	Empty   Empty
	Bulk    []Action // on the chosen rows
}

// An OperationMonth is a month of the list with what it sums up to.
type OperationMonth struct {
	Month   time.Time // its first day
	In, Out Money
	Rows    []Operation
}

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
