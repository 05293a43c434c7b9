package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/ledger"
)

// written is what a file says, on lines that are easy to compare.
func writtenOf(c Content) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s skipped=%d\n", c.Format, c.Skipped)
	for _, s := range c.Statements {
		a := s.Account
		as := "-"
		if !a.AsOf.IsZero() {
			as = a.Balance.Decimal() + " " + a.AsOf.Format(time.DateTime)
		}
		fmt.Fprintf(&b, "%s|%s|%s|%s|%s|%s|%s|%s\n", a.Ref, a.Kind, a.Subtype, a.Label, a.IBAN, a.Number, a.Balance.Currency, as)
		for _, t := range s.Transactions {
			fmt.Fprintf(&b, "  %s|%s|%s|%s|%s %s|%s|%s/%s/%s\n", t.Ref, t.Status, t.Type, t.Amount.Decimal(), t.RawLabel, t.Label, t.Amount.Currency, t.BookedOn, t.DoneOn, t.ValueOn)
		}
	}
	return b.String()
}

func options(t testing.TB) Options {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return Options{Zone: zone}
}

func TestRead(t *testing.T) {
	for name, want := range map[string]string{
		"checking.ofx": `ofx skipped=0
ofx:20041/01005/0500013M026/CHECKING/EUR|cash||0500013M026|FR1420041010050500013M02606|0500013M026|EUR|1203.44 2026-05-31 23:59:59
  A1|booked||-1.50|CB CAFE DU PORT |EUR|2026-05-04//
  A2|booked||-1.50|CB CAFE DU PORT |EUR|2026-05-04//
  A3|booked|profit|3.20|INTERETS & PRIMES |EUR|2026-05-31//
`,
		"card.ofx": `ofx skipped=0
ofx://4970********1234//EUR|card||4970********1234||4970********1234|EUR|-165.20 2026-04-30 23:59:59
  |pending||-120.00|HÔTEL DU LAC |EUR|2026-04-29/2026-04-29/
  K7|booked|card|-45.20|LIVRES & CIE PARIS 5 |EUR|2026-04-30/2026-04-12/
`,
		"statement.camt": `camt skipped=1
camt:FR1420041010050500013M02606/EUR|cash||Compte courant|FR1420041010050500013M02606|FR14 2004 1010 0505 0001 3M02 606|EUR|-50.00 2026-05-31 23:59:59
  REF-1|booked|direct_debit|-200.00|Électricité de Valmont Facture 12 |EUR|2026-05-04//2026-05-05
  |pending||50.00|Paul Blanc |EUR|2026-05-31//
`,
		"list.qif": `qif skipped=0
qif:Compte joint/EUR|cash||Compte joint|||EUR|-
  |booked||-1234.56|Loyer mai |EUR|2026-05-04//
  |booked|check|12.50|1234 |EUR|2026-02-28//
`,
		"table.csv": `csv skipped=0
|cash|||||EUR|-
  |booked||-1.50|CB CAFÉ; DU PORT |EUR|2026-05-04//2026-05-05
  |booked||2100.00|VIR SALAIRE |EUR|2026-05-31//2026-05-31
`,
		"message.sta": `mt940 skipped=0
mt940:FR1420041010050500013M02606/EUR|cash||FR1420041010050500013M02606|FR1420041010050500013M02606|FR1420041010050500013M02606|EUR|78.50 2026-01-02 23:59:59
  |booked||-1.50|CB CAFE DU PORT |EUR|2025-12-31//2025-12-31
  |booked|transfer|-20.00|RETOUR VIREMENT DE PAUL |EUR|2026-01-02//2025-12-31
`,
		"export.json": `kresus skipped=4
kresus:creditmutuel/0001/EUR|cash||Compte||0001|EUR|12.34 2026-05-31 23:59:59
  |booked|card|-1.50|CB CAFE Café|EUR|2026-05-05/2026-05-04/
kresus:creditmutuel/0002/EUR|savings|livret_a|Livret||0002|EUR|-
  |booked|transfer|100.00|Vers livret Vers livret|EUR|2026-05-04//
`,
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			c, err := Read(f, options(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, writtenOf(c)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ofx is a statement of one transaction; the words replace parts of it.
func ofx(t *testing.T, replace ...string) string {
	raw, err := os.ReadFile(filepath.Join("testdata", "checking.ofx"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("no %q in the sample", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return text
}

func TestRefused(t *testing.T) {
	camt, err := os.ReadFile(filepath.Join("testdata", "statement.camt"))
	if err != nil {
		t.Fatal(err)
	}
	kresus := `{"accesses":[],"accounts":[` + "\n" + `{"id":1,"vendorAccountId":"1","label":"a"}` + "\n]"
	for name, c := range map[string]struct{ text, code, field string }{
		"nothing":                    {"", "unknown_file_format", "file"},
		"a letter":                   {"Bonjour,\nvoici mon relevé.\n", "unknown_file_format", "file"},
		"a picture":                  {"\x89PNG\x00\x01;", "unknown_file_format", "file"},
		"another XML":                {"<html><Stmt></Stmt></html>", "unknown_file_format", "file"},
		"another JSON":               {`{"name": 1}`, "unknown_file_format", "file"},
		"an encrypted export":        {`{"encrypted": true, "data": "abc"}`, "encrypted_export", "file"},
		"OFX cut in a value":         {ofx(t)[:600], "unreadable_file", "line 37"},
		"OFX without its end":        {ofx(t, "</OFX>", ""), "unreadable_file", "line 53"},
		"OFX, a lost end":            {ofx(t, "</STMTTRN>", ""), "unreadable_file", "line 47"},
		"OFX, an end too many":       {ofx(t, "</STMTTRN>", "</STMTTRN></STMTTRN>"), "unreadable_file", "line 32"},
		"OFX, no amount":             {ofx(t, "<TRNAMT>-1,50", "<TRNAMT>a lot"), "unreadable_file", "line 28, TRNAMT"},
		"OFX, a fraction of a cent":  {ofx(t, "<TRNAMT>-1,50", "<TRNAMT>-1.505"), "unreadable_file", "line 28, TRNAMT"},
		"OFX, an infinite amount":    {ofx(t, "<TRNAMT>-1,50", "<TRNAMT>1e999"), "unreadable_file", "line 28, TRNAMT"},
		"OFX, a day in month 13":     {ofx(t, "<DTPOSTED>20260504", "<DTPOSTED>20261301"), "unreadable_file", "line 27, DTPOSTED"},
		"OFX, seven digits":          {ofx(t, "<DTPOSTED>20260504", "<DTPOSTED>2026021"), "unreadable_file", "line 27, DTPOSTED"},
		"OFX, a zone of nowhere":     {ofx(t, "<DTPOSTED>20260504", "<DTPOSTED>20260504120000[-13:EST]"), "unreadable_file", "line 27, DTPOSTED"},
		"OFX, a zone beyond":         {ofx(t, "<DTPOSTED>20260504", "<DTPOSTED>20260504120000[15:EST]"), "unreadable_file", "line 27, DTPOSTED"},
		"OFX, no currency":           {ofx(t, "<CURDEF>EUR", "<CURDEF>"), "unreadable_file", "line 14, CURDEF"},
		"OFX, another currency":      {ofx(t, "<FITID>A1", "<FITID>A1<CURRENCY><CURRATE>1.1<CURSYM>USD</CURRENCY>"), "unreadable_file", "line 29, CURSYM"},
		"OFX with a document type":   {`<!DOCTYPE OFX [<!ENTITY a "b">]>` + ofx(t), "unreadable_file", "line 1"},
		"OFX, text between elements": {ofx(t, "</STMTTRN>", "</STMTTRN>\nhello"), "unreadable_file", "line 33"},
		"OFX, too deep":              {"<OFX>" + strings.Repeat("<A>\n", 100), "unreadable_file", "line 31, A"},
		"CAMT cut":                   {string(camt[:len(camt)/2]), "unreadable_file", "line 12"},
		"CAMT with entities":         {`<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + string(camt), "unreadable_file", "line 1"},
		"CAMT, an unknown entity":    {strings.Replace(string(camt), "REF-1", "&b;", 1), "unreadable_file", "line 13"},
		"CAMT, another currency":     {strings.Replace(string(camt), `<Amt Ccy="EUR">200`, `<Amt Ccy="USD">200`, 1), "unreadable_file", "line 10, Amt"},
		"CAMT, no sign":              {strings.Replace(string(camt), "200.00</Amt><CdtDbtInd>DBIT", "200.00</Amt><CdtDbtInd>", 1), "unreadable_file", "line 10, CdtDbtInd"},
		"QIF cut":                    {"!Type:Bank\nD04/05/2026\nT1.00\n^\nD05/05/2026\n", "unreadable_file", "line 5"},
		"QIF, no day":                {"!Type:Bank\nD31/02/2026\nT1.00\n^\n", "unreadable_file", "line 2"},
		"QIF, either of two amounts": {"!Type:Bank\nD04/05/2026\nT1,234\n^\n", "unreadable_file", "line 2, T"},
		"QIF of securities":          {"!Type:Invst\nD04/05/2026\n^\n", "unreadable_file", "line 1"},
		"CSV, a row too short":       {"Date;Libellé;Montant\n04/05/2026;Café;-1,50\n05/05/2026;Ca\n", "unreadable_file", "line 3"},
		"CSV, a quote without end":   {"Date;Libellé;Montant\n04/05/2026;\"Café;-1,50\n", "unreadable_file", "line 2"},
		"CSV, days in two orders":    {"Date;Libellé;Montant\n14/05/2026;a;1,00\n05/14/2026;b;1,00\n", "unreadable_file", "line 2"},
		"CSV, a formula":             {"Date;Libellé;Montant\n04/05/2026;a;=1+1\n", "unreadable_file", "line 2, amount"},
		"CSV, debit and credit":      {"Date;Débit;Crédit\n04/05/2026;1,00;2,00\n", "unreadable_file", "line 2, debit"},
		"MT940 cut":                  {":20:A\n:25:1\n:60F:C260101EUR1,00\n:61:2601010101C1,00NTRFX\n", "unreadable_file", "line 1, 20"},
		"MT940, an entry of letters": {":20:A\n:25:1\n:60F:C260101EUR1,00\n:61:hello\n:62F:C260101EUR1,00\n", "unreadable_file", "line 4, 61"},
		"MT940, two currencies":      {":20:A\n:25:1\n:60F:C260101EUR1,00\n:62F:C260101USD1,00\n", "unreadable_file", "line 4, 62F"},
		"Kresus cut":                 {kresus, "unreadable_file", "line 3"},
		"Kresus, one id twice":       {`{"accounts":[{"id":1,"vendorAccountId":"a"},{"id":1,"vendorAccountId":"b"}]}`, "unreadable_file", "line 1, accounts"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(c.text), options(t))
			var e *guichet.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
				t.Fatalf("%q: %v", e.Field, err)
			}
			if diff := cmp.Diff(Content{}, got); diff != "" {
				t.Errorf("something was read:\n%s", diff)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	if _, err := Read(strings.NewReader(strings.Repeat("a", MostBytes+1)), Options{}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestDaysOfOFX(t *testing.T) {
	for text, want := range map[string]ledger.Date{
		"20200201": "2020-02-01", "20200211120000": "2020-02-11", "20200211120000.000": "2020-02-11", "20200211120000[-12:EST]": "2020-02-11",
		"20200211120000[-01:EST]": "2020-02-11", "20200211120000.000[-5:EST]": "2020-02-11", "20200211235959[+14:LINT]": "2020-02-11",
		"20200230": "", "20200211250000": "", "20200211[+15:EST]": "", "": "", "00000000": "",
	} {
		if got, _ := dayOFX(&node{text: text}); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]string{
		"12,50": "12.50", "-1 234,56 €": "-1234.56", "1.234,56": "1234.56", "1,234.56": "1234.56", "1,234,567": "1234567.00", "(12.00)": "-12.00",
		"12.50-": "-12.50", "+0,123": "", "1,234": "", "0,5": "0.50", "1'234.50": "1234.50", "12,34,5": "", "1.23.456,00": "", "": "", "-": "", "12EUR": "12.00",
		"99999999999999999999": "", "NaN": "", "1e3": "", "--1": "", "(1": "", "\u22125": "-5.00",
	} {
		m, ok := amountOf(text, "EUR")
		if got := m.Decimal(); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q %v, not %q", text, got, ok, want)
		}
	}
}

// FuzzRead gives anything to all parsers. Whatever is taken is what a bank can mean,
// is read alike twice, and costs time in proportion.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("testdata", "*.*"))
	if err != nil || len(names) < 7 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Read(strings.NewReader(string(raw)), Options{})
		if err != nil {
			var e *guichet.Error
			if !errors.As(err, &e) || e.Kind != guichet.Invalid || e.Field == "" {
				t.Fatalf("not a typed error: %v", err)
			}
			return
		}
		for _, s := range c.Statements {
			if !ledger.ValidCurrency(s.Account.Balance.Currency) {
				t.Fatalf("an account in %q", s.Account.Balance.Currency)
			}
			for _, one := range s.Transactions {
				if one.BookedOn < "1900" || one.BookedOn > "2200-12-31" || one.Amount.Currency != s.Account.Balance.Currency {
					t.Fatalf("%+v", one)
				}
			}
		}
		again, err := Read(strings.NewReader(string(raw)), Options{})
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}
