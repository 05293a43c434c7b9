package simconnector

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"guichet/ledger"
)

// parseEuros reads an amount of the bank's pages, "-1 234,56 €", in cents.
func parseEuros(s string) (int64, error) {
	number, currency, ok := cutCurrency(s)
	if !ok || currency != "EUR" {
		return 0, misreadf("amount %q", clip(s))
	}
	return parseAmount(number, 2)
}

// cutCurrency separates "1 234,56 €" or "54,03 USD" into number and currency.
func cutCurrency(s string) (number, currency string, ok bool) {
	i := strings.LastIndexFunc(s, isSpace)
	if i < 0 {
		return "", "", false
	}
	number, currency = strings.TrimRightFunc(s[:i], isSpace), strings.TrimLeftFunc(s[i:], isSpace)
	if currency == "€" {
		return number, "EUR", true
	}
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", "", false
	}
	return number, currency, true
}

// isSpace tells the spaces that French typography puts in numbers.
func isSpace(r rune) bool { return r == ' ' || r == '\u00a0' || r == '\u202f' || r == '\u2009' }

// parseAmount reads a French number exactly: an optional sign, digits in groups
// of three or in one, and as many decimals as the currency has, no more and no
// fewer. Anything else is no amount, rather than nearly one.
func parseAmount(s string, decimals int) (int64, error) {
	bad := misreadf("amount %q", clip(s))
	rest, negative := s, false
	for _, sign := range []string{"-", "\u2212", "+"} {
		if after, ok := strings.CutPrefix(rest, sign); ok {
			rest, negative = strings.TrimLeftFunc(after, isSpace), sign != "+"
			break
		}
	}
	whole, fraction, comma := strings.Cut(rest, ",")
	if comma != (decimals > 0) || len(fraction) != decimals {
		return 0, bad
	}
	groups := strings.FieldsFunc(whole, isSpace)
	if len(groups) == 0 || strings.IndexFunc(whole, isSpace) == 0 {
		return 0, bad
	}
	for i, g := range groups {
		if len(groups) > 1 && (i > 0 && len(g) != 3 || len(g) > 3) {
			return 0, bad
		}
	}
	// One space between two groups and none after the last, or it is two numbers.
	if strings.Count(strings.Map(func(r rune) rune {
		if isSpace(r) {
			return ' '
		}
		return r
	}, whole), " ") != len(groups)-1 {
		return 0, bad
	}
	var minor int64
	for _, c := range strings.Join(groups, "") + fraction {
		if c < '0' || c > '9' || minor > (math.MaxInt64-9)/10 {
			return 0, bad
		}
		minor = minor*10 + int64(c-'0')
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

var original = regexp.MustCompile(`origine[ \x{00a0}]?:[ \x{00a0}]?(.+?) \(1 EUR`)

// parseOriginal reads the amount in another currency that a page adds to an
// operation; the zero Money when it adds none.
func parseOriginal(detail string) (ledger.Money, error) {
	m := original.FindStringSubmatch(detail)
	if m == nil {
		return ledger.Money{}, nil
	}
	number, currency, ok := cutCurrency(m[1])
	if !ok {
		return ledger.Money{}, misreadf("amount %q", clip(m[1]))
	}
	minor, err := parseAmount(number, ledger.Digits(currency))
	if err != nil {
		return ledger.Money{}, err
	}
	return ledger.Money{Minor: minor, Currency: currency}, nil
}

// parseDay reads "04/05/2026".
func parseDay(s string) (ledger.Date, error) {
	t, err := time.Parse("02/01/2006", s)
	if err != nil {
		return "", misreadf("day %q", clip(s))
	}
	return ledger.DateOf(t), nil
}

var paidByCard = regexp.MustCompile(`^CARTE ([0-9]{2})/([0-9]{2}) `)

// cardDay finds the day a payment by card was made, in its label "CARTE 31/12
// …": the last such day that is not after the day it was booked.
func cardDay(label string, booked ledger.Date) ledger.Date {
	m := paidByCard.FindStringSubmatch(label)
	if m == nil {
		return ""
	}
	on, err := time.Parse(time.DateOnly, string(booked))
	if err != nil {
		return ""
	}
	for year := on.Year(); year > on.Year()-9; year-- { // 29 February may be far
		day, err := time.Parse(time.DateOnly, fmt.Sprintf("%04d-%s-%s", year, m[2], m[1]))
		if err == nil && !day.After(on) {
			return ledger.DateOf(day)
		}
	}
	return ""
}
