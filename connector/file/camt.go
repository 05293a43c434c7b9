package file

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"guichet/bank"
	"guichet/ledger"
)

// What is read of CAMT.053 and CAMT.052, in any of their versions: names are the
// same in all of them, and their spaces are not looked at.
type camtAccount struct {
	IBAN     string `xml:"Id>IBAN"`
	Other    string `xml:"Id>Othr>Id"`
	Currency string `xml:"Ccy"`
	Name     string `xml:"Nm"`
	Kind     string `xml:"Tp>Cd"`
}

type camtAmount struct {
	Text     string `xml:",chardata"`
	Currency string `xml:"Ccy,attr"`
}

type camtDay struct {
	Day     string `xml:"Dt"`
	Instant string `xml:"DtTm"`
}

type camtBalance struct {
	Kind   string     `xml:"Tp>CdOrPrtry>Cd"`
	Amount camtAmount `xml:"Amt"`
	Sign   string     `xml:"CdtDbtInd"`
	On     camtDay    `xml:"Dt"`
}

type camtParty struct {
	Name  string `xml:"Nm"`
	Inner string `xml:"Pty>Nm"` // since version 8
}

type camtEntry struct {
	Amount  camtAmount `xml:"Amt"`
	Sign    string     `xml:"CdtDbtInd"`
	Status  camtStatus `xml:"Sts"`
	Booked  camtDay    `xml:"BookgDt"`
	Value   camtDay    `xml:"ValDt"`
	Ref     string     `xml:"AcctSvcrRef"`
	Family  string     `xml:"BkTxCd>Domn>Fmly>Cd"`
	Sub     string     `xml:"BkTxCd>Domn>Fmly>SubFmlyCd"`
	Text    string     `xml:"AddtlNtryInf"`
	Details []struct {
		Ref        string    `xml:"Refs>AcctSvcrRef"`
		Debtor     camtParty `xml:"RltdPties>Dbtr"`
		Creditor   camtParty `xml:"RltdPties>Cdtr"`
		Remittance []string  `xml:"RmtInf>Ustrd"`
		Text       string    `xml:"AddtlTxInf"`
	} `xml:"NtryDtls>TxDtls"`
}

type camtStatus struct {
	Text string `xml:",chardata"`
	Code string `xml:"Cd"` // since version 8
}

func readCAMT(text string, _ Options) (c Content, err error) {
	if upper := strings.ToUpper(text); strings.Contains(upper, "<!DOCTYPE") || strings.Contains(upper, "<!ENTITY") {
		return c, bad(1, "", "A document type is not read.")
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // decoded already
	known := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Content{}, badXML(d, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "BkToCstmrStmt", "BkToCstmrAcctRpt":
			known = true
		case "Stmt", "Rpt":
			if !known {
				return Content{}, ErrUnknown
			}
			s, skipped, err := statementCAMT(d)
			if err != nil {
				return Content{}, err
			}
			c.Statements = append(c.Statements, s)
			c.Skipped += skipped
		}
	}
	if !known {
		return Content{}, ErrUnknown
	}
	return c, nil
}

func badXML(d *xml.Decoder, err error) error {
	line, _ := d.InputPos()
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return bad(syntax.Line, "", "This is not XML: %s.", clip(syntax.Msg))
	}
	return bad(line, "", "This is not XML: %s.", clip(err.Error()))
}

// statementCAMT reads one statement up to its end. Entries are read one by one, so
// that each knows its line.
func statementCAMT(d *xml.Decoder) (s bank.Statement, skipped int, err error) {
	begins, _ := d.InputPos()
	var account camtAccount
	var balances []camtBalance
	var entries []camtEntry
	var lines []int
	for {
		token, err := d.Token()
		if err != nil {
			return s, 0, badXML(d, err)
		}
		if _, ends := token.(xml.EndElement); ends {
			break // of the statement: all that begins inside is read to its end below
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		line, _ := d.InputPos()
		switch start.Name.Local {
		case "Acct":
			err = d.DecodeElement(&account, &start)
		case "Bal":
			var b camtBalance
			err = d.DecodeElement(&b, &start)
			balances = append(balances, b)
		case "Ntry":
			var e camtEntry
			err = d.DecodeElement(&e, &start)
			entries, lines = append(entries, e), append(lines, line)
		default:
			err = d.Skip()
		}
		if err != nil {
			return s, 0, badXML(d, err)
		}
	}
	if s.Account, err = accountCAMT(account, balances, entries, begins); err != nil {
		return s, 0, err
	}
	for i, e := range entries {
		if status := e.status(); status != "" && status != "BOOK" && status != "PDNG" {
			skipped++ // told for information, or rejected
			continue
		}
		t, err := transactionCAMT(e, s.Account.Balance.Currency, lines[i])
		if err != nil {
			return s, 0, err
		}
		s.Transactions = append(s.Transactions, t)
	}
	return s, skipped, nil
}

var kindsCAMT = map[string]ledger.AccountKind{"CACC": ledger.Cash, "CASH": ledger.Cash, "SVGS": ledger.Savings, "CARD": ledger.Card, "LOAN": ledger.Loan}

func accountCAMT(a camtAccount, balances []camtBalance, entries []camtEntry, line int) (out ledger.Account, err error) {
	currency := a.Currency
	for _, b := range balances {
		currency = first(currency, b.Amount.Currency)
	}
	for _, e := range entries {
		currency = first(currency, e.Amount.Currency)
	}
	if !ledger.ValidCurrency(currency) {
		return out, bad(line, "Acct", "%q is no currency.", clip(currency))
	}
	out.IBAN, out.Kind, out.Number = tidyIBAN(a.IBAN), kindsCAMT[a.Kind], strings.TrimSpace(first(a.Other, a.IBAN))
	if out.Kind == "" {
		out.Kind = ledger.Cash
	}
	if out.Number == "" {
		return out, bad(line, "Acct", "The account has no number.")
	}
	out.Label = first(strings.TrimSpace(a.Name), out.Number)
	out.Ref = "camt:" + first(out.IBAN, out.Number) + "/" + currency
	out.Balance.Currency = currency
	for _, b := range balances {
		if b.Kind != "CLBD" { // closing, booked
			continue
		}
		on, ok := b.On.day()
		if !ok {
			return out, bad(line, "Bal", "The balance has no day.")
		}
		if out.Balance, err = b.Amount.money(b.Sign, currency, line); err != nil {
			return out, err
		}
		out.AsOf = endOf(on)
	}
	return out, nil
}

func (e camtEntry) status() string { return strings.TrimSpace(first(e.Status.Code, e.Status.Text)) }

// day is the civil day as the bank wrote it.
func (d camtDay) day() (ledger.Date, bool) {
	s := strings.TrimSpace(first(d.Day, d.Instant))
	if len(s) > 10 {
		s = s[:10]
	}
	return day(strings.ReplaceAll(s, "-", ""))
}

func (a camtAmount) money(sign, currency string, line int) (ledger.Money, error) {
	text := strings.TrimSpace(a.Text)
	if a.Currency != currency {
		return ledger.Money{}, bad(line, "Amt", "An amount in %q, in an account in %s.", clip(a.Currency), currency)
	}
	switch strings.TrimSpace(sign) {
	case "CRDT":
	case "DBIT":
		text = "-" + text
	default:
		return ledger.Money{}, bad(line, "CdtDbtInd", "%q is neither a credit nor a debit.", clip(sign))
	}
	m, err := ledger.ParseMoney(strings.TrimSuffix(text, "."), currency)
	if err != nil {
		return m, bad(line, "Amt", "%q is not an amount in %s.", clip(text), currency)
	}
	return m, nil
}

// typesCAMT are types of transactions by family and by sub-family of ISO 20022.
var typesCAMT = map[string]string{
	"ICDT": "transfer", "RCDT": "transfer", "IRCT": "instant_transfer", "RRCT": "instant_transfer", "IDDT": "direct_debit", "RDDT": "direct_debit",
	"CCRD": "card", "MCRD": "card", "ICHQ": "check", "RCHQ": "check", "CWDL": "withdrawal", "CDPT": "cash_deposit", "CHRG": "fee", "COMM": "fee",
}

func transactionCAMT(e camtEntry, currency string, line int) (t ledger.Transaction, err error) {
	if t.Amount, err = e.Amount.money(e.Sign, currency, line); err != nil {
		return t, err
	}
	t.Status = ledger.Booked
	if e.status() == "PDNG" {
		t.Status = ledger.Pending
	}
	booked, ok := e.Booked.day()
	value, hasValue := e.Value.day()
	switch {
	case !ok && (e.Booked != camtDay{} || !hasValue):
		return t, bad(line, "BookgDt", "The entry has no day.")
	case !hasValue && e.Value != camtDay{}:
		return t, bad(line, "ValDt", "%q is no day.", clip(first(e.Value.Day, e.Value.Instant)))
	}
	t.BookedOn, t.ValueOn = first(booked, value), value
	t.Ref = strings.TrimSpace(e.Ref)
	if t.Ref == "" && len(e.Details) == 1 {
		t.Ref = strings.TrimSpace(e.Details[0].Ref)
	}
	t.Type = first(typesCAMT[strings.TrimSpace(e.Sub)], typesCAMT[strings.TrimSpace(e.Family)])
	var parts []string
	for _, x := range e.Details {
		other := first(x.Creditor.Name, x.Creditor.Inner)
		if t.Amount.Minor > 0 {
			other = first(x.Debtor.Name, x.Debtor.Inner)
		}
		parts = append(append(parts, other), x.Remittance...)
	}
	if t.RawLabel = joinLabel(append(parts, e.Text)...); t.RawLabel == "" && len(e.Details) > 0 {
		t.RawLabel = joinLabel(e.Details[0].Text)
	}
	return t, nil
}
