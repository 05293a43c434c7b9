package file

import (
	"strings"
	"time"

	"guichet/ledger"
)

// amountOf reads an amount as people and sheets write it: "-1 234,56 €", "1,234.56",
// "(12.00)". A separator followed by three digits and no other is one of groups only
// when the other separator, or the same one, is there too; else "1,234" could be
// either, and is refused.
func amountOf(s, currency string) (ledger.Money, bool) {
	s = strings.TrimSpace(strings.NewReplacer("\u00a0", "", "\u202f", "", "\u2009", "", " ", "", "'", "", "€", "", "\u2212", "-").Replace(s))
	s = strings.TrimSuffix(s, currency)
	if inside, ok := strings.CutPrefix(s, "("); ok {
		if inside, ok = strings.CutSuffix(inside, ")"); !ok {
			return ledger.Money{}, false
		}
		s = "-" + inside
	}
	if before, ok := strings.CutSuffix(s, "-"); ok && before != "" {
		s = "-" + before
	}
	comma, point := strings.LastIndexByte(s, ','), strings.LastIndexByte(s, '.')
	decimal := max(comma, point)
	if decimal >= 0 {
		mark := s[decimal : decimal+1]
		after := len(s) - decimal - 1
		switch {
		case comma >= 0 && point >= 0: // the last one is for decimals, the other for groups
			if !grouped(s[:decimal], strings.Trim(",.", mark)) {
				return ledger.Money{}, false
			}
			s = strings.ReplaceAll(s[:decimal], strings.Trim(",.", mark), "") + "." + s[decimal+1:]
		case strings.Count(s, mark) > 1:
			if !grouped(s, mark) {
				return ledger.Money{}, false
			}
			s = strings.ReplaceAll(s, mark, "")
		case after == 3 && ledger.Digits(currency) != 3 && strings.TrimLeft(s[:decimal], "+-0") != "":
			return ledger.Money{}, false
		default:
			s = s[:decimal] + "." + s[decimal+1:]
		}
	}
	m, err := ledger.ParseMoney(strings.TrimSuffix(s, "."), currency)
	return m, err == nil
}

// grouped tells whether all groups after the first have three digits.
func grouped(s, mark string) bool {
	for i, g := range strings.Split(s, mark) {
		if i > 0 && len(g) != 3 {
			return false
		}
	}
	return true
}

// A written day is three numbers whose order only the whole file can tell.
type written struct {
	a, b, c string
	line    int
}

// cutDay takes a day apart: "04/05/2026", "4.5.26", "04/05'26", "2026-05-04".
func cutDay(s string) (w written, ok bool) {
	if before, _, found := strings.Cut(s, "T"); found {
		s = before
	}
	if before, _, found := strings.Cut(strings.TrimSpace(s), " "); found && len(before) >= 8 {
		s = before // an hour follows
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("/.-' ", r) })
	if len(parts) != 3 {
		return w, false
	}
	for _, p := range parts {
		if len(p) > 4 || strings.Trim(p, "0123456789") != "" {
			return w, false
		}
	}
	return written{a: parts[0], b: parts[1], c: parts[2]}, true
}

// An order of days and months.
type order string

const (
	dayFirst   order = "2/1"
	monthFirst order = "1/2"
)

// orderOf finds the one order in which all days of a file exist. In both, a file is
// taken to be European, unless nothing but the other order is possible.
func orderOf(days []written) (order, error) {
	for _, o := range []order{dayFirst, monthFirst} {
		all := true
		for _, d := range days {
			if _, ok := d.day(o); !ok {
				all = false
				break
			}
		}
		if all {
			return o, nil
		}
	}
	for _, d := range days {
		if _, ok := d.day(dayFirst); !ok {
			if _, ok := d.day(monthFirst); !ok {
				return "", bad(d.line, "", "%q is no day.", clip(d.a+"/"+d.b+"/"+d.c))
			}
		}
	}
	return "", bad(days[0].line, "", "Some days of the file begin with the month, and some do not.")
}

func (w written) day(o order) (ledger.Date, bool) {
	year, month, on := w.c, w.b, w.a
	switch {
	case len(w.a) == 4:
		year, month, on = w.a, w.b, w.c
	case o == monthFirst:
		month, on = w.a, w.b
	}
	if len(year) == 2 {
		century := "20"
		if year >= "70" {
			century = "19"
		}
		year = century + year
	}
	t, err := time.Parse("2006-1-2", year+"-"+month+"-"+on)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		return "", false
	}
	return ledger.DateOf(t), true
}
