// Package ledger holds money: accounts, transactions and balances, as exact
// integers and civil dates. It sees no clock, database or language.
package ledger

import (
	"fmt"
	"time"

	"guichet"
)

// Money is an exact amount: a count of the currency's smallest unit. It is
// never a float, at any step.
type Money struct {
	Minor    int64
	Currency string // ISO 4217, upper case
}

// Digits tells how many decimals the currency has: two unless ISO 4217 says
// otherwise.
func Digits(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// A Date is a civil day without a time zone, in the form 2026-05-04. The empty
// Date is an unknown day. Dates compare as strings.
type Date string

// ParseDate accepts an existing day in the form 2026-05-04.
func ParseDate(s string) (Date, error) {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", &guichet.Error{Kind: guichet.Invalid, Code: "invalid_date", Reason: fmt.Sprintf("%q is not a day like 2026-05-04.", s)}
	}
	return Date(s), nil
}

// DateOf is the civil day of an instant, in the instant's own location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }
