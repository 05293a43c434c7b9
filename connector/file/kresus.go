package file

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"time"

	"guichet/bank"
	"guichet/ledger"
)

// The export of Kresus, as far as it is money. Names of former versions stand beside
// those of today; of two, the first that is there counts.
type kresusFile struct {
	Encrypted    bool            `json:"encrypted"`
	Data         json.RawMessage `json:"data"`
	Accesses     []kresusAccess  `json:"accesses"`
	Accounts     []kresusAccount `json:"accounts"`
	Transactions []kresusEntry   `json:"transactions"`
	Operations   []kresusEntry   `json:"operations"`
}

type kresusAccess struct {
	ID          kresusID `json:"id"`
	VendorID    string   `json:"vendorId"`
	Bank        string   `json:"bank"`
	CustomLabel string   `json:"customLabel"`
}

type kresusAccount struct {
	ID              kresusID    `json:"id"`
	AccessID        kresusID    `json:"accessId"`
	BankAccess      kresusID    `json:"bankAccess"`
	VendorAccountID string      `json:"vendorAccountId"`
	AccountNumber   string      `json:"accountNumber"`
	Type            string      `json:"type"`
	Label           string      `json:"label"`
	Title           string      `json:"title"`
	CustomLabel     string      `json:"customLabel"`
	IBAN            string      `json:"iban"`
	Currency        string      `json:"currency"`
	Balance         json.Number `json:"balance"`
	LastCheckDate   string      `json:"lastCheckDate"`
	LastChecked     string      `json:"lastChecked"`
}

type kresusEntry struct {
	AccountID   kresusID    `json:"accountId"`
	Type        string      `json:"type"`
	Label       string      `json:"label"`
	Title       string      `json:"title"`
	RawLabel    string      `json:"rawLabel"`
	Raw         string      `json:"raw"`
	CustomLabel string      `json:"customLabel"`
	Date        string      `json:"date"`
	DebitDate   string      `json:"debitDate"`
	Amount      json.Number `json:"amount"`
}

// A kresusID is a number today and was a text before.
type kresusID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *kresusID) UnmarshalJSON(text []byte) error {
	*id = kresusID(strings.Trim(string(text), `"`))
	return nil
}

func readKresus(text string, o Options) (Content, error) {
	f, err := parseKresus(text)
	if err != nil {
		return Content{}, err
	}
	var c Content
	banks := map[kresusID]kresusAccess{}
	for _, a := range f.Accesses {
		banks[a.ID] = a
	}
	at := map[kresusID]int{}
	for _, a := range f.Accounts {
		if _, twice := at[a.ID]; twice || a.ID == "" {
			return Content{}, bad(1, "accounts", "Two accounts have one identifier, %q.", clip(string(a.ID)))
		}
		at[a.ID] = len(c.Statements)
		account, err := accountKresus(a, banks[first(a.AccessID, a.BankAccess)], o)
		if err != nil {
			return Content{}, err
		}
		c.Statements = append(c.Statements, bank.Statement{Account: account})
	}
	for _, e := range append(f.Transactions, f.Operations...) {
		i, known := at[e.AccountID]
		if !known {
			c.Skipped++
			continue
		}
		s := &c.Statements[i]
		t, ok := entryKresus(e, s.Account.Balance.Currency, o)
		if !ok {
			c.Skipped++ // without a day, an amount or a label it is none, as in Kresus
			continue
		}
		s.Transactions = append(s.Transactions, t)
	}
	return c, nil
}

func parseKresus(text string) (f kresusFile, err error) {
	if err := unmarshal(text, text, &f); err != nil {
		return f, err
	}
	if f.Encrypted {
		return f, ErrEncrypted
	}
	if len(f.Data) > 0 && f.Accounts == nil {
		data := string(f.Data)
		f = kresusFile{}
		if err := unmarshal(data, text, &f); err != nil {
			return f, err
		}
	}
	if f.Accounts == nil {
		return f, ErrUnknown
	}
	return f, nil
}

// unmarshal reads JSON and names the line of what it cannot read; part is a part of
// whole.
func unmarshal(part, whole string, to any) error {
	err := json.Unmarshal([]byte(part), to)
	if err == nil {
		return nil
	}
	offset := int64(0)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	what := ""
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &typ):
		offset, what = typ.Offset, typ.Field
	}
	if begins := strings.Index(whole, part); begins > 0 {
		offset += int64(begins)
	}
	return bad(1+strings.Count(whole[:min(int(offset), len(whole))], "\n"), what, "This is not the JSON of an export: %s.", clip(err.Error()))
}

func first[T ~string](values ...T) T {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// kindsKresus are the kinds of accounts by the names of Kresus.
var kindsKresus = map[string]ledger.AccountKind{
	"checking": ledger.Cash, "joint": ledger.Cash, "savings": ledger.Savings, "deposit": ledger.Savings, "loan": ledger.Loan, "mortgage": ledger.Loan,
	"consumer-credit": ledger.Loan, "revolving-credit": ledger.Loan, "market": ledger.Investment, "pea": ledger.Investment, "card": ledger.Card,
	"life_insurance": ledger.Insurance, "lifeinsurance": ledger.Insurance, "ldds": ledger.Savings, "pel": ledger.Savings, "csl": ledger.Savings,
	"cel": ledger.Savings, "cat": ledger.Savings, "livret-a": ledger.Savings, "livret-b": ledger.Savings, "livret_a": ledger.Savings, "livret_b": ledger.Savings,
}

func accountKresus(a kresusAccount, of kresusAccess, o Options) (ledger.Account, error) {
	currency := strings.ToUpper(first(a.Currency, o.Currency))
	if !ledger.ValidCurrency(currency) {
		currency = o.Currency
	}
	subtype := strings.TrimPrefix(a.Type, "account-type.")
	number := first(a.VendorAccountID, a.AccountNumber)
	out := ledger.Account{
		// Not its identifier, which another export may give to another account.
		Ref:  "kresus:" + strings.Join([]string{first(of.VendorID, of.Bank), number, currency}, "/"),
		Kind: kindsKresus[subtype], Label: first(a.CustomLabel, a.Label, a.Title, number), IBAN: tidyIBAN(a.IBAN), Number: number,
		Balance: ledger.Money{Currency: currency},
	}
	if out.Kind != "" && out.Kind != ledger.Cash {
		out.Subtype = strings.ReplaceAll(subtype, "-", "_")
	}
	if number == "" {
		return out, bad(1, "accounts", "The account %q has no number.", clip(out.Label))
	}
	if balance, ok := decimal(a.Balance, currency); ok {
		if on, ok := dayKresus(first(a.LastCheckDate, a.LastChecked), o.Zone); ok {
			out.Balance, out.AsOf = balance, endOf(on)
		}
	}
	return out, nil
}

func entryKresus(e kresusEntry, currency string, o Options) (t ledger.Transaction, ok bool) {
	done, hasDone := dayKresus(e.Date, o.Zone)
	booked, hasBooked := dayKresus(e.DebitDate, o.Zone)
	if !hasBooked {
		booked, hasBooked = done, hasDone
	}
	raw := joinLabel(first(e.RawLabel, e.Raw, e.Label, e.Title))
	amount, hasAmount := decimal(e.Amount, currency)
	if !hasBooked || !hasAmount || raw == "" {
		return t, false
	}
	t = ledger.Transaction{
		Status: ledger.Booked, BookedOn: booked, Amount: amount, RawLabel: raw, Label: first(e.CustomLabel, e.Label, e.Title, raw),
		Type: typesKresus[strings.TrimPrefix(e.Type, "type.")],
	}
	if hasDone && done != booked {
		t.DoneOn = done
	}
	return t, true
}

var typesKresus = map[string]string{
	"transfer": "transfer", "order": "direct_debit", "check": "check", "deposit": "deposit", "payback": "refund", "withdrawal": "withdrawal",
	"card": "card", "loan_payment": "loan_payment", "loan-payment": "loan_payment", "bankfee": "fee", "bank": "fee", "cash_deposit": "cash_deposit",
	"card_summary": ledger.CardSummary, "deferred_card": "deferred_card", "internal_transfer": "transfer",
}

// dayKresus is the civil day of an instant: Kresus keeps the midnight of where it
// runs, in UTC.
func dayKresus(s string, zone *time.Location) (ledger.Date, bool) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if at, err = time.Parse(time.DateOnly, s); err != nil {
			return "", false
		}
		return day(at.Format("20060102"))
	}
	return day(at.In(zone).Format("20060102"))
}

// decimal makes exact money of what was a binary fraction: the nearest amount of the
// currency, when it is so near that only the fraction can be the difference.
func decimal(n json.Number, currency string) (ledger.Money, bool) {
	s := n.String()
	if s == "" || len(s) > 60 {
		return ledger.Money{}, false
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok && len(exponent) > 3 {
		return ledger.Money{}, false // a number of millions of digits
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return ledger.Money{}, false
	}
	minor := r.Mul(r, new(big.Rat).SetInt64(pow10(ledger.Digits(currency))))
	half := big.NewRat(1, 2)
	if minor.Sign() < 0 {
		half.Neg(half)
	}
	sum := new(big.Rat).Add(minor, half)
	whole := new(big.Int).Quo(sum.Num(), sum.Denom())
	off := new(big.Rat).Sub(minor, new(big.Rat).SetInt(whole))
	if !whole.IsInt64() || off.Abs(off).Cmp(big.NewRat(1, 1000)) > 0 {
		return ledger.Money{}, false
	}
	return ledger.Money{Minor: whole.Int64(), Currency: currency}, true
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
