package file

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"guichet/bank"
	"guichet/ledger"
)

// A column of a table is one of these; others are not read.
type column string

const (
	bookedColumn   column = "booked"
	doneColumn     column = "done"
	valueColumn    column = "value"
	labelColumn    column = "label"
	moreColumn     column = "more" // more of the label
	amountColumn   column = "amount"
	debitColumn    column = "debit"
	creditColumn   column = "credit"
	currencyColumn column = "currency"
)

// columnNames are the names that banks give to columns, without case, accents and
// what stands in brackets.
var columnNames = map[string]column{
	"date": bookedColumn, "date comptable": bookedColumn, "date de comptabilisation": bookedColumn, "date d'operation": bookedColumn, "date de l'operation": bookedColumn,
	"date operation": bookedColumn, "dateop": bookedColumn, "booking date": bookedColumn, "booked on": bookedColumn, "date d'enregistrement": bookedColumn,
	"transaction date": doneColumn, "date de transaction": doneColumn, "date d'achat": doneColumn, "done on": doneColumn,
	"date valeur": valueColumn, "date de valeur": valueColumn, "dateval": valueColumn, "value date": valueColumn, "value on": valueColumn,
	"libelle": labelColumn, "libelle operation": labelColumn, "libelle de l'operation": labelColumn, "libelle simplifie": labelColumn, "label": labelColumn,
	"description": labelColumn, "nature de l'operation": labelColumn, "intitule": labelColumn, "payee": labelColumn, "operation": labelColumn, "raw label": labelColumn,
	"libelle complementaire": moreColumn, "detail": moreColumn, "details": moreColumn, "informations complementaires": moreColumn, "memo": moreColumn,
	"montant": amountColumn, "amount": amountColumn, "montant de l'operation": amountColumn, "montant en euros": amountColumn, "montant net": amountColumn,
	"debit": debitColumn, "debit euros": debitColumn, "montant debit": debitColumn, "credit": creditColumn, "credit euros": creditColumn, "montant credit": creditColumn,
	"devise": currencyColumn, "currency": currencyColumn,
}

// plainName is a name of a column as the table above has it.
func plainName(s string) string {
	if before, _, found := strings.Cut(s, "("); found {
		s = before
	}
	s, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn)), norm.NFC), s)
	if err != nil {
		return ""
	}
	s = strings.NewReplacer("_", " ", "’", "'", "\ufeff", "").Replace(strings.ToLower(s))
	return strings.Join(strings.Fields(s), " ")
}

// mostPreamble is how many lines may stand before the names of the columns.
const mostPreamble = 30

func readCSV(text string, o Options) (c Content, err error) {
	comma, columns, from, line := header(text)
	if columns == nil {
		return c, ErrUnknown
	}
	r := csv.NewReader(strings.NewReader(from))
	r.Comma, r.FieldsPerRecord = comma, -1
	s := bank.Statement{Account: ledger.Account{Kind: ledger.Cash, Balance: ledger.Money{Currency: o.Currency}}}
	type row struct {
		t          ledger.Transaction
		days       map[column]written
		columnLine int
	}
	var rows []row
	var days []written
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			return c, bad(line+parse.StartLine, "", "The row cannot be read: %v.", parse.Err)
		}
		if err != nil {
			return c, err
		}
		at, _ := r.FieldPos(0)
		at += line
		if strings.Join(fields, "") == "" {
			continue
		}
		if len(fields) < len(columns) {
			return c, bad(at, "", "The row has %d cells of %d.", len(fields), len(columns))
		}
		one := row{t: ledger.Transaction{Status: ledger.Booked}, days: map[column]written{}, columnLine: at}
		cells := map[column]string{}
		for i, name := range columns {
			if cells[name] == "" { // of two columns of one kind, the first that says something
				cells[name] = strings.TrimSpace(fields[i])
			}
		}
		currency := strings.ToUpper(cells[currencyColumn])
		if currency != "" && currency != "€" && currency != s.Account.Balance.Currency {
			if len(rows) > 0 || !ledger.ValidCurrency(currency) {
				return c, bad(at, "currency", "An amount in %q, in an account in %s.", clip(currency), s.Account.Balance.Currency)
			}
			s.Account.Balance.Currency = currency
		}
		for _, kind := range []column{bookedColumn, doneColumn, valueColumn} {
			if cells[kind] == "" {
				continue
			}
			w, ok := cutDay(cells[kind])
			if !ok {
				return c, bad(at, string(kind), "%q is no day.", clip(cells[kind]))
			}
			w.line = at
			one.days[kind], days = w, append(days, w)
		}
		if one.t.Amount, err = amountCSV(cells, s.Account.Balance.Currency, at); err != nil {
			return c, err
		}
		one.t.RawLabel = joinLabel(cells[labelColumn], cells[moreColumn])
		rows = append(rows, one)
	}
	order, err := orderOf(days)
	if err != nil {
		return c, err
	}
	for _, one := range rows {
		t := one.t
		t.BookedOn, _ = one.days[bookedColumn].day(order)
		t.DoneOn, _ = one.days[doneColumn].day(order)
		t.ValueOn, _ = one.days[valueColumn].day(order)
		if t.BookedOn = first(t.BookedOn, t.DoneOn, t.ValueOn); t.BookedOn == "" {
			return c, bad(one.columnLine, "date", "The row has no day.")
		}
		s.Transactions = append(s.Transactions, t)
	}
	c.Statements = []bank.Statement{s}
	return c, nil
}

// header finds the line that names a day and an amount: what separates its cells,
// what they are, and what follows it. Columns that are not read have no name.
func header(text string) (comma rune, columns []column, from string, lines int) {
	for lines = 1; lines <= mostPreamble && text != ""; lines++ {
		line, rest, _ := strings.Cut(text, "\n")
		for _, comma := range []rune{';', ',', '\t'} {
			r := csv.NewReader(strings.NewReader(line))
			r.Comma, r.LazyQuotes = comma, true
			names, err := r.Read()
			if err != nil {
				continue
			}
			columns := make([]column, len(names))
			has := map[column]bool{}
			for i, n := range names {
				columns[i] = columnNames[plainName(n)]
				has[columns[i]] = true
			}
			for len(columns) > 0 && columns[len(columns)-1] == "" {
				columns = columns[:len(columns)-1] // rows may end before what is not read
			}
			if (has[bookedColumn] || has[doneColumn]) && (has[amountColumn] || has[debitColumn] && has[creditColumn]) {
				return comma, columns, rest, lines
			}
		}
		text = rest
	}
	return 0, nil, "", 0
}

// amountCSV is the amount of a row: of its own column, or of the one of the two that
// is not empty.
func amountCSV(cells map[column]string, currency string, line int) (ledger.Money, error) {
	if text := cells[amountColumn]; text != "" {
		if m, ok := amountOf(text, currency); ok {
			return m, nil
		}
		return ledger.Money{}, bad(line, "amount", "%q is not an amount in %s.", clip(text), currency)
	}
	debit, okDebit := amountOf(cells[debitColumn], currency)
	credit, okCredit := amountOf(cells[creditColumn], currency)
	switch {
	case cells[debitColumn] != "" && !okDebit:
		return ledger.Money{}, bad(line, "debit", "%q is not an amount in %s.", clip(cells[debitColumn]), currency)
	case cells[creditColumn] != "" && !okCredit:
		return ledger.Money{}, bad(line, "credit", "%q is not an amount in %s.", clip(cells[creditColumn]), currency)
	case debit.Minor != 0 && credit.Minor != 0:
		return ledger.Money{}, bad(line, "debit", "The row has a debit and a credit.")
	case credit.Minor != 0:
		return credit, nil
	case !okDebit && !okCredit:
		return ledger.Money{}, bad(line, "amount", "The row has no amount.")
	case debit.Minor > 0: // a debit without its sign
		debit.Minor = -debit.Minor
	}
	debit.Currency = currency
	return debit, nil
}
