package file

import (
	"html"
	"regexp"
	"strconv"
	"strings"

	"guichet/bank"
	"guichet/ledger"
)

// A node is an element of OFX: an aggregate with children, or a leaf with text.
type node struct {
	name     string
	text     string
	line     int
	children []*node
}

// child is the first child of a name, or an empty node: reading what is not there
// gives nothing.
func (n *node) child(names ...string) *node {
	for _, name := range names {
		found := &node{line: n.line}
		for _, c := range n.children {
			if c.name == name {
				found = c
				break
			}
		}
		n = found
	}
	return n
}

func (n *node) each(name string, do func(*node) error) error {
	for _, c := range n.children {
		if c.name == name {
			if err := do(c); err != nil {
				return err
			}
		}
	}
	return nil
}

const deepestOFX = 32

// aggregates are those that must be closed: a file that ends, or goes on, inside one
// of them has lost something. Others without text may be leaves that are empty,
// which the older form of OFX does not close.
var aggregates = map[string]bool{
	"OFX": true, "BANKMSGSRSV1": true, "CREDITCARDMSGSRSV1": true, "STMTTRNRS": true, "STMTRS": true, "CCSTMTTRNRS": true, "CCSTMTRS": true,
	"BANKACCTFROM": true, "CCACCTFROM": true, "BANKTRANLIST": true, "STMTTRN": true, "LEDGERBAL": true, "AVAILBAL": true, "CURRENCY": true,
	"ORIGCURRENCY": true, "STATUS": true, "SIGNONMSGSRSV1": true, "SONRS": true, "PAYEE": true,
}

// parseOFX reads both forms of OFX, the one that closes leaves and the one that does
// not, into a tree.
func parseOFX(text string) (*node, error) {
	root := &node{line: 1}
	stack := []*node{root}
	line, last := 1, "" // last is the leaf that may still be closed
	start := strings.Index(strings.ToUpper(text), "<OFX>")
	if start < 0 {
		return nil, bad(1, "", "There is no <OFX> in the file.")
	}
	if strings.Contains(strings.ToUpper(text[:start]), "<!") {
		return nil, bad(1, "", "A document type is not read.")
	}
	line += strings.Count(text[:start], "\n")
	rest := text[start:]
	for rest != "" && len(stack) > 0 {
		open := strings.IndexByte(rest, '<')
		if open != 0 { // text between elements: spaces, or the file is not OFX
			between := rest
			if open > 0 {
				between = rest[:open]
			}
			if words := strings.TrimLeft(between, " \n\t"); words != "" {
				line += strings.Count(between[:len(between)-len(words)], "\n")
				return nil, bad(line, "", "%q is in no element.", clip(strings.TrimSpace(between)))
			}
			line, rest = line+strings.Count(between, "\n"), rest[len(between):]
			continue
		}
		if strings.HasPrefix(rest, "<!--") {
			end := strings.Index(rest, "-->")
			if end < 0 {
				return nil, bad(line, "", "The file ends in a comment.")
			}
			line, rest = line+strings.Count(rest[:end], "\n"), rest[end+3:]
			continue
		}
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return nil, bad(line, "", "The file ends in the middle of an element.")
		}
		name := strings.ToUpper(strings.TrimSpace(rest[1:end]))
		name, empty := strings.CutSuffix(name, "/")
		closing := strings.HasPrefix(name, "/")
		if name = strings.TrimSpace(strings.TrimPrefix(name, "/")); !elementName.MatchString(name) {
			return nil, bad(line, "", "%q is no element of OFX.", clip(rest[:end+1]))
		}
		rest = rest[end+1:]
		if closing {
			if name == last {
				last = ""
				continue
			}
			var err error
			if stack, err = closeOFX(stack, name, line); err != nil {
				return nil, err
			}
			last = ""
			if len(stack) == 1 {
				break // after </OFX>
			}
			continue
		}
		n := &node{name: name, line: line}
		top := stack[len(stack)-1]
		top.children = append(top.children, n)
		last = ""
		value, left, err := valueOFX(rest, line)
		if err != nil {
			return nil, err
		}
		line, rest = line+strings.Count(rest[:len(rest)-len(left)], "\n"), left
		switch {
		case value != "":
			n.text, last = value, name
		case empty:
		default:
			if stack = append(stack, n); len(stack) > deepestOFX {
				return nil, bad(n.line, name, "The file is too deep.")
			}
		}
	}
	if len(stack) != 1 {
		return nil, bad(line, "", "The file ends inside <%s>, which began at line %d.", stack[len(stack)-1].name, stack[len(stack)-1].line)
	}
	if strings.TrimSpace(rest) != "" {
		return nil, bad(line, "", "Something follows the end of the document.")
	}
	return root.child("OFX"), nil
}

var elementName = regexp.MustCompile(`^[A-Z][A-Z0-9._]{0,63}$`)

// valueOFX is the text up to the next element, and what follows it.
func valueOFX(rest string, line int) (value, left string, err error) {
	if cut, ok := strings.CutPrefix(strings.TrimLeft(rest, " \n\t"), "<![CDATA["); ok {
		value, left, ok = strings.Cut(cut, "]]>")
		if !ok {
			return "", "", bad(line, "", "The file ends in the middle of a text.")
		}
		return strings.TrimSpace(value), left, nil
	}
	end := strings.IndexByte(rest, '<')
	if end < 0 {
		return "", "", bad(line, "", "The file ends in the middle of a value.")
	}
	return strings.TrimSpace(html.UnescapeString(rest[:end])), rest[end:], nil
}

// closeOFX closes the innermost element of a name. What is open inside it was a
// leaf without text, and what seemed to be in that one stands beside it.
func closeOFX(stack []*node, name string, line int) ([]*node, error) {
	at := len(stack) - 1
	for ; at > 0 && stack[at].name != name; at-- {
		if aggregates[stack[at].name] {
			return nil, bad(line, "", "</%s> closes <%s>, which began at line %d.", name, stack[at].name, stack[at].line)
		}
	}
	if at == 0 {
		return nil, bad(line, "", "</%s> closes nothing.", clip(name))
	}
	for i := len(stack) - 1; i > at; i-- {
		parent := stack[i-1]
		parent.children = append(parent.children, stack[i].children...)
		stack[i].children = nil
	}
	return stack[:at], nil
}

func readOFX(text string, _ Options) (Content, error) {
	ofx, err := parseOFX(text)
	if err != nil {
		return Content{}, err
	}
	var c Content
	read := func(list *node) error {
		s, skipped, err := statementOFX(list)
		c.Skipped += skipped
		c.Statements = append(c.Statements, s)
		return err
	}
	err = ofx.each("BANKMSGSRSV1", func(n *node) error {
		return n.each("STMTTRNRS", func(n *node) error { return n.each("STMTRS", read) })
	})
	if err == nil {
		err = ofx.each("CREDITCARDMSGSRSV1", func(n *node) error {
			return n.each("CCSTMTTRNRS", func(n *node) error { return n.each("CCSTMTRS", read) })
		})
	}
	return c, err
}

// kindsOFX are the kinds of accounts by OFX's names.
var kindsOFX = map[string]ledger.AccountKind{
	"CHECKING": ledger.Cash, "SAVINGS": ledger.Savings, "MONEYMRKT": ledger.Savings, "CD": ledger.Savings, "CREDITLINE": ledger.Loan,
}

func statementOFX(n *node) (s bank.Statement, skipped int, err error) {
	currency := strings.ToUpper(n.child("CURDEF").text)
	if !ledger.ValidCurrency(currency) {
		return s, 0, bad(n.child("CURDEF").line, "CURDEF", "%q is no currency.", clip(currency))
	}
	a := &s.Account
	from := n.child("BANKACCTFROM")
	if n.name == "CCSTMTRS" {
		from = n.child("CCACCTFROM")
		a.Kind = ledger.Card
	} else {
		a.Kind = kindsOFX[strings.ToUpper(from.child("ACCTTYPE").text)]
	}
	a.Number = from.child("ACCTID").text
	if a.Number == "" {
		return s, 0, bad(from.line, "ACCTID", "The account has no number.")
	}
	a.Ref = "ofx:" + strings.Join([]string{from.child("BANKID").text, from.child("BRANCHID").text, a.Number, from.child("ACCTTYPE").text, currency}, "/")
	a.Label, a.IBAN = a.Number, ibanOFX(from)
	a.Balance = ledger.Money{Currency: currency}
	if b := n.child("LEDGERBAL"); b.name != "" {
		if a.Balance, err = amountOFX(b.child("BALAMT"), currency); err != nil {
			return s, 0, err
		}
		on, err := dayOFX(b.child("DTASOF"))
		if err != nil {
			return s, 0, err
		}
		a.AsOf = endOf(on)
	}
	list := n.child("BANKTRANLIST")
	err = list.each("STMTTRN", func(n *node) error {
		t, err := transactionOFX(n, currency)
		s.Transactions = append(s.Transactions, t)
		return err
	})
	_ = n.child("BANKTRANLISTP").each("STMTTRNP", func(*node) error { skipped++; return nil })
	return s, skipped, err
}

// typesOFX are the types of transactions by OFX's names. Interest is no fee, and
// what OFX calls credit or debit is only a sign.
var typesOFX = map[string]string{
	"INT": "profit", "DIV": "profit", "FEE": "fee", "SRVCHG": "fee", "DEP": "deposit", "ATM": "withdrawal", "POS": "card", "XFER": "transfer",
	"CHECK": "check", "DIRECTDEP": "transfer", "DIRECTDEBIT": "direct_debit", "REPEATPMT": "direct_debit", "CASH": "withdrawal",
}

func transactionOFX(n *node, currency string) (t ledger.Transaction, err error) {
	if foreign := n.child("CURRENCY", "CURSYM"); foreign.text != "" && !strings.EqualFold(foreign.text, currency) {
		return t, bad(foreign.line, "CURSYM", "An amount in %s, in an account in %s.", clip(foreign.text), currency)
	}
	if t.Amount, err = amountOFX(n.child("TRNAMT"), currency); err != nil {
		return t, err
	}
	t.Status, t.Ref, t.Type = ledger.Booked, n.child("FITID").text, typesOFX[strings.ToUpper(n.child("TRNTYPE").text)]
	if strings.EqualFold(n.child("TRNTYPE").text, "HOLD") {
		t.Status = ledger.Pending
	}
	for _, d := range []struct {
		name string
		to   *ledger.Date
	}{{"DTPOSTED", &t.BookedOn}, {"DTUSER", &t.DoneOn}, {"DTAVAIL", &t.ValueOn}} {
		if c := n.child(d.name); c.text != "" {
			if *d.to, err = dayOFX(c); err != nil {
				return t, err
			}
		}
	}
	if t.BookedOn == "" {
		t.BookedOn = t.DoneOn
	}
	if t.BookedOn == "" {
		return t, bad(n.line, "DTPOSTED", "The transaction has no day.")
	}
	t.RawLabel = joinLabel(n.child("NAME").text, n.child("PAYEE", "NAME").text, n.child("MEMO").text)
	if check := n.child("CHECKNUM").text; t.RawLabel == "" && check != "" {
		t.RawLabel = check
	}
	return t, nil
}

func amountOFX(n *node, currency string) (ledger.Money, error) {
	m, err := ledger.ParseMoney(plainAmount(n.text), currency)
	if err != nil {
		return m, bad(n.line, n.name, "%q is not an amount in %s.", clip(n.text), currency)
	}
	return m, nil
}

// instantOFX is a day, perhaps with an hour, perhaps with a zone.
var instantOFX = regexp.MustCompile(`^(\d{8})(?:([01]\d|2[0-3])([0-5]\d)(?:([0-5]\d|60)(?:\.\d{1,3})?)?)?(?:\[([+-]?\d{1,2})(?:\.\d{1,2})?(?::[A-Za-z0-9+-]*)?\])?$`)

// dayOFX is the civil day as the bank wrote it, wherever its clock stood.
func dayOFX(n *node) (ledger.Date, error) {
	m := instantOFX.FindStringSubmatch(strings.ReplaceAll(n.text, " ", ""))
	if m != nil {
		zone, _ := strconv.Atoi(m[5])
		if on, ok := day(m[1]); ok && zone >= -12 && zone <= 14 {
			return on, nil
		}
	}
	return "", bad(n.line, n.name, "%q is not a day of OFX.", clip(n.text))
}

// ibanOFX is the IBAN of an account, when the file gives it, or gives a French
// account with the key that proves it.
func ibanOFX(from *node) string {
	number := strings.ToUpper(strings.ReplaceAll(from.child("ACCTID").text, " ", ""))
	if iban := tidyIBAN(number); iban != "" {
		return iban
	}
	bankID, branch, key := from.child("BANKID").text, from.child("BRANCHID").text, from.child("ACCTKEY").text
	if len(bankID) != 5 || len(branch) != 5 || len(number) != 11 || len(key) != 2 {
		return ""
	}
	rib := bankID + branch + number + key
	rest := 0
	for _, c := range rib {
		switch {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'I':
			rest = (rest*10 + int(c-'A') + 1) % 97
		case c >= 'J' && c <= 'R':
			rest = (rest*10 + int(c-'J') + 1) % 97
		case c >= 'S' && c <= 'Z':
			rest = (rest*10 + int(c-'S') + 2) % 97
		default:
			return ""
		}
	}
	if rest != 0 {
		return ""
	}
	for check := 2; check < 99; check++ {
		if iban := "FR" + strconv.Itoa(check/10) + strconv.Itoa(check%10) + rib; ledger.ValidIBAN(iban) {
			return iban
		}
	}
	return ""
}
