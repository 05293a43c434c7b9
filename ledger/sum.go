package ledger

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"guichet"
)

// Errors of arithmetic. Money that cannot be added exactly is not added.
var (
	ErrCurrencies = &guichet.Error{Kind: guichet.Invalid, Code: "currencies_differ", Reason: "Amounts of two currencies cannot be added."}
	ErrOverflow   = &guichet.Error{Kind: guichet.Invalid, Code: "amount_overflow", Reason: "This amount is too large to be counted exactly."}
)

// Plus adds exactly, or says why it cannot. The zero Money adds to anything.
func (m Money) Plus(n Money) (Money, error) {
	switch {
	case n == Money{}:
		return m, nil
	case m == Money{}:
		return n, nil
	case m.Currency != n.Currency:
		return Money{}, ErrCurrencies
	case n.Minor > 0 && m.Minor > math.MaxInt64-n.Minor, n.Minor < 0 && m.Minor < math.MinInt64-n.Minor:
		return Money{}, ErrOverflow
	}
	return Money{Minor: m.Minor + n.Minor, Currency: m.Currency}, nil
}

// Minus subtracts exactly, or says why it cannot.
func (m Money) Minus(n Money) (Money, error) {
	if n.Minor == math.MinInt64 {
		return Money{}, ErrOverflow
	}
	return m.Plus(Money{Minor: -n.Minor, Currency: n.Currency})
}

// Sum adds the amounts of transactions the bank has entered, in one currency.
func Sum(ts []Transaction) (Money, error) {
	var total Money
	for _, t := range ts {
		if t.Status != Booked {
			continue
		}
		var err error
		if total, err = total.Plus(t.Amount); err != nil {
			return Money{}, err
		}
	}
	return total, nil
}

// Decimal writes the amount as a plain decimal number, "-12.30": the form of
// every interface between programs. People see the form of their language.
func (m Money) Decimal() string {
	digits := Digits(m.Currency)
	sign, minor := "", uint64(m.Minor)
	if m.Minor < 0 {
		sign, minor = "-", -minor
	}
	s := strconv.FormatUint(minor, 10)
	if digits == 0 {
		return sign + s
	}
	if pad := digits + 1 - len(s); pad > 0 {
		s = strings.Repeat("0", pad) + s
	}
	return sign + s[:len(s)-digits] + "." + s[len(s)-digits:]
}

// ParseMoney reads a plain decimal number, "-12.3" or "+1200", in a currency.
// More decimals than the currency has are refused unless they are zeros, so
// that nothing is ever rounded in silence.
func ParseMoney(s, currency string) (Money, error) {
	bad := func() (Money, error) {
		return Money{}, &guichet.Error{Kind: guichet.Invalid, Code: "invalid_amount", Reason: fmt.Sprintf("%q is not an amount in %s.", s, currency)}
	}
	if !ValidCurrency(currency) || len(s) > 40 {
		return bad()
	}
	digits := Digits(currency)
	body, negative := s, false
	switch {
	case strings.HasPrefix(s, "-"):
		body, negative = s[1:], true
	case strings.HasPrefix(s, "+"):
		body = s[1:]
	}
	whole, part, _ := strings.Cut(body, ".")
	if whole == "" && part == "" || strings.HasSuffix(body, ".") {
		return bad()
	}
	for len(part) > digits && part[len(part)-1] == '0' {
		part = part[:len(part)-1]
	}
	if len(part) > digits {
		return bad()
	}
	part += strings.Repeat("0", digits-len(part))
	for _, c := range whole + part {
		if c < '0' || c > '9' {
			return bad()
		}
	}
	text := whole + part
	if negative {
		text = "-" + text
	}
	minor, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return bad()
	}
	return Money{Minor: minor, Currency: currency}, nil
}

// ValidCurrency tells whether s has the form of an ISO 4217 code.
func ValidCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range 3 {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return true
}
