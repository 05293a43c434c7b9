package process

import (
	"errors"
	"math"
	"strings"

	"guichet/ledger"
)

var errAmount = errors.New("an amount is not a decimal number of its currency")

// parseMoney reads "-1234.5" exactly: an optional sign, digits, a point, and no
// more decimals than the currency has, but zeros. Whatever else a program can
// write for a number, such as NaN or 1e3, is no amount.
func parseMoney(amount, currency string) (ledger.Money, error) {
	if !ledger.ValidCurrency(currency) {
		return ledger.Money{}, errors.New("an amount is in no currency")
	}
	digits, negative := strings.CutPrefix(amount, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || len(digits) > 60 {
		return ledger.Money{}, errAmount
	}
	decimals := ledger.Digits(currency)
	if len(fraction) > decimals {
		if strings.Trim(fraction[decimals:], "0") != "" {
			return ledger.Money{}, errAmount
		}
		fraction = fraction[:decimals]
	}
	var minor int64
	for _, d := range whole + fraction + strings.Repeat("0", decimals-len(fraction)) {
		if d < '0' || d > '9' || minor > (math.MaxInt64-9)/10 {
			return ledger.Money{}, errAmount
		}
		minor = minor*10 + int64(d-'0')
	}
	if negative {
		minor = -minor
	}
	return ledger.Money{Minor: minor, Currency: currency}, nil
}
