package locale

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Spaces that never break a line.
const (
	nbsp  = "\u00a0" // no-break space
	nnbsp = "\u202f" // narrow no-break space: French thousands, before €
	minus = "\u2212" // as wide as a plus, so that columns of figures stay straight
)

// style is how a language writes figures and days.
type style struct {
	group, decimal string
	symbolFirst    bool
	months         [12]string
	shortMonths    [12]string
	weekdays       [7]string
	shortWeekdays  [7]string
	symbols        map[string]string
	first          string // what follows the figure of the first day of a month
	of             string // between a day and a time
}

var styles = map[string]style{
	French: {
		group: nnbsp, decimal: ",",
		months:        [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		shortMonths:   [12]string{"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."},
		weekdays:      [7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
		shortWeekdays: [7]string{"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
		symbols:       map[string]string{"EUR": "€", "USD": "$US", "GBP": "£", "JPY": "¥"},
		first:         "er",
		of:            ", ",
	},
	English: {
		group: ",", decimal: ".", symbolFirst: true,
		months:        [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		shortMonths:   [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		weekdays:      [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
		shortWeekdays: [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
		symbols:       map[string]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"},
		of:            ", ",
	},
}

// Number writes an integer with its thousands apart: 12 345, 12,345.
func (w *Words) Number(n int64) string {
	sign, digits := split(n)
	return sign + w.grouped(digits)
}

// Money writes an amount of minor units: 1 234,56 €, €1,234.56. A negative one
// begins with a real minus sign; a positive one has no sign.
func (w *Words) Money(minor int64, currency string) string {
	sign, digits := split(minor)
	if e := exponent(currency); e > 0 {
		for len(digits) <= e {
			digits = "0" + digits
		}
		digits = w.grouped(digits[:len(digits)-e]) + w.style.decimal + digits[len(digits)-e:]
	} else {
		digits = w.grouped(digits)
	}
	symbol, ok := w.style.symbols[currency]
	if !ok {
		symbol = currency
	}
	switch {
	case !w.style.symbolFirst:
		return sign + digits + nnbsp + symbol
	case ok:
		return sign + symbol + digits
	default:
		return sign + symbol + nbsp + digits
	}
}

// Signed is Money with a plus before what comes in, for lists where both
// directions stand in one column.
func (w *Words) Signed(minor int64, currency string) string {
	if minor > 0 {
		return "+" + w.Money(minor, currency)
	}
	return w.Money(minor, currency)
}

func split(n int64) (sign, digits string) {
	digits = strconv.FormatInt(n, 10)
	if n < 0 {
		return minus, digits[1:] // also right for the smallest int64, which has no opposite
	}
	return "", digits
}

func (w *Words) grouped(digits string) string {
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(w.style.group)
		}
		b.WriteRune(d)
	}
	return b.String()
}

// exponent is the number of decimals of a currency in ISO 4217; two unless
// listed.
func exponent(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	default:
		return 2
	}
}

// Day writes a civil day, which has no time zone: 4 mai 2026, 4 May 2026.
func (w *Words) Day(t time.Time) string {
	return w.dayMonth(t, w.style.months) + nbsp + strconv.Itoa(t.Year())
}

// ShortDay writes a civil day inside a list whose header says the month: lun. 4,
// Mon 4.
func (w *Words) ShortDay(t time.Time) string {
	return w.style.shortWeekdays[t.Weekday()] + nbsp + strconv.Itoa(t.Day())
}

// Month writes a month as a heading: Mai 2026, May 2026.
func (w *Words) Month(t time.Time) string {
	m := w.style.months[t.Month()-1]
	return strings.ToUpper(m[:1]) + m[1:] + " " + strconv.Itoa(t.Year())
}

// Date writes the day of an instant.
func (w *Words) Date(t time.Time) string { return w.Day(t.In(w.zone)) }

// Clock writes the time of day of an instant, to the minute.
func (w *Words) Clock(t time.Time) string { return t.In(w.zone).Format("15:04") }

// Exact writes an instant to the second: 4 mai 2026, 09:33:21.
func (w *Words) Exact(t time.Time) string {
	t = t.In(w.zone)
	return w.Day(t) + w.style.of + t.Format("15:04:05")
}

// Moment writes an instant to the minute: 4 mai 2026, 09:33.
func (w *Words) Moment(t time.Time) string {
	t = t.In(w.zone)
	return w.Day(t) + w.style.of + t.Format("15:04")
}

// Brief writes an instant as short as it stays clear on the given day: the time
// today, the day and month this year, else the whole day.
func (w *Words) Brief(t, now time.Time) string {
	t, now = t.In(w.zone), now.In(w.zone)
	switch {
	case days(t, now) == 0:
		return t.Format("15:04")
	case t.Year() == now.Year():
		return w.dayMonth(t, w.style.shortMonths)
	default:
		return w.dayMonth(t, w.style.shortMonths) + nbsp + strconv.Itoa(t.Year())
	}
}

func (w *Words) dayMonth(t time.Time, months [12]string) string {
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		day += w.style.first
	}
	return day + nbsp + months[t.Month()-1]
}

// Relative writes how far an instant is from now: il y a 3 min, dans 2 h, hier.
// Beyond a week it gives the day, which says more.
func (w *Words) Relative(t, now time.Time) string {
	d := t.Sub(now)
	past := d <= 0
	if past {
		d = -d
	}
	apart := days(t.In(w.zone), now.In(w.zone))
	if apart < 0 {
		apart = -apart
	}
	say := func(unit string, n int) string {
		if past {
			return w.Count("time.past."+unit, n)
		}
		return w.Count("time.future."+unit, n)
	}
	switch {
	case past && d < 45*time.Second:
		return w.Say("time.now")
	case d < time.Minute:
		return say("seconds", int(d.Seconds()))
	case d < time.Hour:
		return say("minutes", int(d.Minutes()))
	case d < 12*time.Hour || apart == 0:
		return say("hours", int(d.Hours()))
	case apart == 1 && past:
		return w.Say("time.yesterday")
	case apart == 1:
		return w.Say("time.tomorrow")
	case apart < 7, !past && apart <= 90:
		return say("days", apart)
	default:
		return w.Brief(t, now)
	}
}

// Countdown writes what is left of a delay as the pages' script goes on writing
// it: 4 min 12 s, 38 s.
func (w *Words) Countdown(d time.Duration) string {
	s := max(0, int(d.Round(time.Second)/time.Second))
	if s < 60 {
		return fmt.Sprintf("%d"+nbsp+"s", s)
	}
	return fmt.Sprintf("%d"+nbsp+"min"+nbsp+"%02d"+nbsp+"s", s/60, s%60)
}

// days counts the midnights between two instants of one zone.
func days(t, now time.Time) int {
	y, m, d := t.Date()
	ny, nm, nd := now.Date()
	a := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	b := time.Date(ny, nm, nd, 0, 0, 0, 0, time.UTC)
	return int(a.Sub(b).Hours() / 24)
}
