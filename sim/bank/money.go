package simbank

import (
	"fmt"
	"strings"
)

// The spaces of French typography: thousands are grouped by one of them and the
// currency comes after one. Banks mix both.
const (
	noBreak       = "\u00a0"
	narrowNoBreak = "\u202f"
)

// euros writes cents as a page does: "1 234,56 €", with the given space between
// groups of three.
func euros(cents int64, group string) string { return decimal(cents, 2, group) + noBreak + "€" }

// decimal writes an amount of minor units in French: "-1 234,56".
func decimal(minor int64, digits int, group string) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	s := fmt.Sprintf("%0*d", digits+1, minor)
	whole, cents := s[:len(s)-digits], s[len(s)-digits:]
	var b strings.Builder
	b.WriteString(sign)
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteRune(c)
	}
	if digits > 0 {
		b.WriteString("," + cents)
	}
	return b.String()
}

// The bank's own numbers, which no real bank has.
const (
	bankCode   = "99999"
	branchCode = "00042"
)

// iban makes the IBAN of an account number of eleven digits, both check keys
// right.
func iban(number string) string {
	key := 97 - mod97(bankCode+branchCode+number+"00")
	bban := fmt.Sprintf("%s%s%s%02d", bankCode, branchCode, number, key)
	return fmt.Sprintf("FR%02d%s", 98-mod97(bban+"152700"), bban) // F is 15, R is 27
}

func mod97(digits string) int {
	rest := 0
	for _, d := range digits {
		rest = (rest*10 + int(d-'0')) % 97
	}
	return rest
}

// inFours writes an IBAN for people.
func inFours(s string) string {
	var groups []string
	for len(s) > 4 {
		groups, s = append(groups, s[:4]), s[4:]
	}
	return strings.Join(append(groups, s), " ")
}
