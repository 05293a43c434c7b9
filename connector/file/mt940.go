package file

import (
	"regexp"
	"strings"

	"guichet/bank"
	"guichet/ledger"
)

// A tag of MT940: its name, its lines, and where it begins.
type tag struct {
	name, text string
	line       int
}

var tagLine = regexp.MustCompile(`^:(\d{2}[A-Z]?):(.*)$`)

// tagsMT940 takes a file apart. What banks put around messages is left out.
func tagsMT940(text string) (tags []tag, err error) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t")
		if at := strings.Index(line, "{4:"); at >= 0 {
			line = line[at+3:]
		}
		m := tagLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			tags = append(tags, tag{m[1], m[2], i + 1})
		case line == "" || line == "-" || strings.HasPrefix(line, "-}") || strings.HasPrefix(line, "{"):
		case len(tags) == 0:
			return nil, bad(i+1, "", "%q is before the first field.", clip(line))
		default:
			tags[len(tags)-1].text += "\n" + line
		}
	}
	return tags, nil
}

var (
	balanceMT940 = regexp.MustCompile(`^([CD])(\d{6})([A-Z]{3})(\d{1,15},\d{0,3})$`)
	entryMT940   = regexp.MustCompile(`^(\d{6})(\d{4})?(R?[CD])([A-Z])?(\d{1,15},\d{0,3})([A-Z][A-Z0-9]{3})([^\n]*)(?:\n(.*))?$`)
)

func readMT940(text string, _ Options) (c Content, err error) {
	tags, err := tagsMT940(text)
	if err != nil {
		return c, err
	}
	var s *bank.Statement
	open := tag{}
	for i, t := range tags {
		if t.name == "20" {
			if s != nil {
				return Content{}, bad(open.line, "20", "The statement that begins here has no closing balance.")
			}
			s, open = &bank.Statement{Account: ledger.Account{Kind: ledger.Cash}}, t
			continue
		}
		if s == nil {
			if len(c.Statements) > 0 && (t.name == "64" || t.name == "65" || t.name == "86") {
				continue // balances that are available, and words about the whole
			}
			return Content{}, bad(t.line, t.name, "A field is in no statement.")
		}
		switch t.name {
		case "25":
			s.Account.Number = strings.TrimSpace(strings.SplitN(t.text, "\n", 2)[0])
			s.Account.IBAN = tidyIBAN(s.Account.Number)
			s.Account.Label = s.Account.Number
		case "60F", "60M", "62F", "62M":
			m := balanceMT940.FindStringSubmatch(t.text)
			if m == nil {
				return Content{}, bad(t.line, t.name, "%q is no balance.", clip(t.text))
			}
			if now := s.Account.Balance.Currency; now != "" && now != m[3] {
				return Content{}, bad(t.line, t.name, "A balance in %s, in an account in %s.", m[3], now)
			}
			s.Account.Balance.Currency = m[3]
			if t.name[0:2] == "60" {
				continue
			}
			if err := closeMT940(s, t, m); err != nil {
				return Content{}, err
			}
			c.Statements = append(c.Statements, *s)
			s = nil
			continue
		case "61":
			one, err := transactionMT940(t, s.Account.Balance.Currency)
			if err != nil {
				return Content{}, err
			}
			if i+1 < len(tags) && tags[i+1].name == "86" {
				one.RawLabel = first(labelMT940(tags[i+1].text), one.RawLabel)
			}
			s.Transactions = append(s.Transactions, one)
		}
	}
	if s != nil {
		return Content{}, bad(open.line, "20", "The file ends inside the statement that begins here.")
	}
	return c, nil
}

func closeMT940(s *bank.Statement, t tag, m []string) error {
	if s.Account.Number == "" {
		return bad(t.line, "25", "The account has no number.")
	}
	on, ok := day("20" + m[2])
	balance, err := ledger.ParseMoney(signMT940(m[1])+plainAmount(m[4]), m[3])
	if !ok || err != nil {
		return bad(t.line, t.name, "%q is no balance.", clip(t.text))
	}
	s.Account.Balance, s.Account.Ref = balance, "mt940:"+first(s.Account.IBAN, s.Account.Number)+"/"+m[3]
	if t.name == "62F" { // else the statement goes on in another message
		s.Account.AsOf = endOf(on)
	}
	return nil
}

// signMT940 is the sign of a mark: a reversal of a credit leaves the account.
func signMT940(mark string) string {
	if mark == "D" || mark == "RC" {
		return "-"
	}
	return ""
}

var typesMT940 = map[string]string{"TRF": "transfer", "DDT": "direct_debit", "CHK": "check", "CHG": "fee", "COM": "fee", "INT": "profit", "CLR": "check"}

func transactionMT940(t tag, currency string) (out ledger.Transaction, err error) {
	m := entryMT940.FindStringSubmatch(t.text)
	if m == nil || currency == "" {
		return out, bad(t.line, "61", "%q is no entry of a statement.", clip(t.text))
	}
	value, ok := day("20" + m[1])
	if !ok {
		return out, bad(t.line, "61", "%q is no day.", clip(m[1]))
	}
	booked := value
	if m[2] != "" {
		if booked, ok = entryDay(value, m[2]); !ok {
			return out, bad(t.line, "61", "%q is no day.", clip(m[2]))
		}
	}
	out = ledger.Transaction{Status: ledger.Booked, BookedOn: booked, ValueOn: value, Type: typesMT940[m[6][1:]], RawLabel: joinLabel(m[7], m[8])}
	if out.Amount, err = ledger.ParseMoney(signMT940(m[3])+plainAmount(m[5]), currency); err != nil {
		return out, bad(t.line, "61", "%q is not an amount in %s.", clip(m[5]), currency)
	}
	return out, nil
}

// entryDay is the day of an entry, of which only month and day are told: in the year
// that brings it closest to the day of its value.
func entryDay(value ledger.Date, monthDay string) (ledger.Date, bool) {
	year := int(value[0]-'0')*1000 + int(value[1]-'0')*100 + int(value[2]-'0')*10 + int(value[3]-'0')
	switch {
	case value[5:7] == "12" && monthDay[:2] == "01":
		year++
	case value[5:7] == "01" && monthDay[:2] == "12":
		year--
	}
	digits := []byte{byte('0' + year/1000%10), byte('0' + year/100%10), byte('0' + year/10%10), byte('0' + year%10)}
	return day(string(digits) + monthDay)
}

var subfield = regexp.MustCompile(`(?:^\d{3})?\?(\d{2})`)

// labelMT940 is what a bank tells of an entry: free text, or subfields of which the
// text and the names are kept.
func labelMT940(text string) string {
	flat := strings.ReplaceAll(text, "\n", "")
	marks := subfield.FindAllStringSubmatchIndex(flat, -1)
	if len(marks) == 0 {
		return joinLabel(strings.ReplaceAll(text, "\n", " "))
	}
	var names, words string
	for i, m := range marks {
		end := len(flat)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		value := flat[m[1]:end]
		switch code := flat[m[2]:m[3]]; {
		case code == "32" || code == "33":
			names += value
		case code >= "20" && code <= "29" || code >= "60" && code <= "63":
			words += value
		}
	}
	return joinLabel(names, words)
}
