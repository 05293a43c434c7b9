package ledger

import (
	"time"

	"guichet"
)

// An AccountKind tells what an account is for.
type AccountKind string

// The kinds of accounts; a bank's own wording is kept beside, in Subtype.
const (
	Cash       AccountKind = "cash" // current accounts
	Savings    AccountKind = "savings"
	Card       AccountKind = "card"
	Loan       AccountKind = "loan"
	Investment AccountKind = "investment"
	Insurance  AccountKind = "insurance"
	OtherKind  AccountKind = "other"
)

// AccountKinds lists them all.
func AccountKinds() []AccountKind {
	return []AccountKind{Cash, Savings, Card, Loan, Investment, Insurance, OtherKind}
}

// A Status tells how firm a transaction is.
type Status string

// The statuses of a transaction.
const (
	Booked    Status = "booked"    // the bank has entered it; frozen but for revisions
	Pending   Status = "pending"   // seen by the bank, not yet entered
	Scheduled Status = "scheduled" // known to come, such as a deferred card debit
	Void      Status = "void"      // was pending, and the bank no longer lists it; kept, counts for nothing
)

// An Account is one account at a bank, below an access.
type Account struct {
	ID       guichet.ID
	AccessID guichet.ID
	Ref      string // the bank's own stable key within the access
	Kind     AccountKind
	Subtype  string // open vocabulary: livret_a, pea, joint…
	Label    string
	IBAN     string
	Number   string // masked or partial number as the bank shows it
	Parent   string // Ref of the account a card is debited from
	Balance  Money
	AsOf     time.Time // when the bank said so
	Missing  bool      // the bank no longer lists it; nothing is deleted
}

// Told tells whether anybody ever said what the account holds: a list of operations
// alone does not.
func (a Account) Told() bool { return !a.AsOf.IsZero() || a.Balance.Minor != 0 }

// A Transaction is one operation of an account.
type Transaction struct {
	ID        guichet.ID
	AccountID guichet.ID
	Ref       string // the bank's id, when the bank gives a trustworthy one
	Status    Status
	Type      string // transfer, direct_debit, card, deferred_card, check…
	Amount    Money  // signed: negative leaves the account
	Original  Money  // in the foreign currency, when there was one
	RawLabel  string // exactly as the bank writes it
	Label     string // cleaned for people
	BookedOn  Date   // entered by the bank; balances use it
	DoneOn    Date   // when it was really made; may be unknown
	ValueOn   Date
	SeenOn    Date // when we first saw it
}

// Day is the date people expect to see: when it was done, else when it was
// entered.
func (t Transaction) Day() Date {
	if t.DoneOn != "" {
		return t.DoneOn
	}
	return t.BookedOn
}

// ValidIBAN tells whether s is an IBAN: capitals and digits without spaces, of a
// length that exists, with the sum of ISO 13616.
func ValidIBAN(s string) bool {
	if len(s) < 15 || len(s) > 34 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return false
	}
	rest := 0
	for i := range len(s) {
		switch c := s[(i+4)%len(s)]; {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}
