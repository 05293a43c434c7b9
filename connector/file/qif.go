package file

import (
	"strings"

	"guichet/bank"
	"guichet/ledger"
)

// A record of QIF is lines of one letter each and a text, up to a line with "^".
type record struct {
	line   int
	fields map[byte]string
}

// kindsQIF are the lists of transactions, and the kinds of their accounts.
var kindsQIF = map[string]ledger.AccountKind{
	"BANK": ledger.Cash, "CASH": ledger.Cash, "CCARD": ledger.Card, "OTH A": ledger.OtherKind, "OTH L": ledger.Loan,
}

func readQIF(text string, o Options) (c Content, err error) {
	type list struct {
		account ledger.Account
		records []record
	}
	var lists []list
	var section, account string
	var current *record
	for i, line := range strings.Split(strings.TrimRight(text, "\n \t"), "\n") {
		n := i + 1
		line = strings.TrimRight(line, " \t")
		switch {
		case line == "":
		case strings.HasPrefix(line, "!"):
			if current != nil {
				return c, bad(n, "", "The record that began at line %d has no end.", current.line)
			}
			section = strings.ToUpper(strings.TrimSpace(line[1:]))
			if kind, ok := strings.CutPrefix(section, "TYPE:"); ok {
				kind, known := kindsQIF[strings.TrimSpace(kind)]
				switch {
				case known:
					lists = append(lists, list{account: accountQIF(account, kind, o)})
					section = "LIST"
				case strings.HasPrefix(section, "TYPE:INVST"):
					return c, bad(n, "", "Movements of securities are not read.")
				}
			}
		case line[0] == '^':
			if current == nil {
				continue
			}
			switch section {
			case "LIST":
				at := &lists[len(lists)-1]
				at.records = append(at.records, *current)
			case "ACCOUNT":
				account = current.fields['N']
			}
			current = nil
		case section == "":
			return c, bad(n, "", "The file does not say what it lists.")
		default:
			if current == nil {
				current = &record{line: n, fields: map[byte]string{}}
			}
			if _, twice := current.fields[line[0]]; !twice { // the parts of a split come again
				current.fields[line[0]] = strings.TrimSpace(line[1:])
			}
		}
	}
	if current != nil {
		return c, bad(current.line, "", "The file ends inside the record that begins here.")
	}
	var days []written
	for _, l := range lists {
		for _, r := range l.records {
			w, ok := cutDay(r.fields['D'])
			if !ok {
				return c, bad(r.line, "D", "%q is no day.", clip(r.fields['D']))
			}
			w.line = r.line
			days = append(days, w)
		}
	}
	order, err := orderOf(days)
	if err != nil {
		return c, err
	}
	for _, l := range lists {
		s := bank.Statement{Account: l.account}
		for _, r := range l.records {
			t := ledger.Transaction{Status: ledger.Booked, RawLabel: joinLabel(r.fields['P'], r.fields['M'])}
			t.BookedOn, _ = days[0].day(order)
			days = days[1:]
			amount := first(r.fields['T'], r.fields['U'])
			var ok bool
			if t.Amount, ok = amountOf(amount, o.Currency); !ok {
				return c, bad(r.line, "T", "%q is not an amount in %s.", clip(amount), o.Currency)
			}
			if number := r.fields['N']; number != "" && strings.Trim(number, "0123456789") == "" {
				t.Type, t.RawLabel = "check", first(t.RawLabel, number)
			}
			s.Transactions = append(s.Transactions, t)
		}
		c.Statements = append(c.Statements, s)
	}
	return c, nil
}

func accountQIF(name string, kind ledger.AccountKind, o Options) ledger.Account {
	a := ledger.Account{Kind: kind, Balance: ledger.Money{Currency: o.Currency}, Label: name}
	if name != "" {
		a.Ref = "qif:" + name + "/" + o.Currency
	}
	return a
}
