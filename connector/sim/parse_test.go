package simconnector

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"guichet/ledger"
)

// french writes an amount with any of the spaces and signs pages use.
func french(t *rapid.T, minor int64, decimals int) string {
	digits := fmt.Sprintf("%0*d", decimals+1, minor)
	if minor < 0 {
		digits = fmt.Sprintf("%0*d", decimals+2, minor)[1:]
	}
	whole, fraction := digits[:len(digits)-decimals], digits[len(digits)-decimals:]
	space := rapid.SampledFrom([]string{" ", "\u00a0", "\u202f", "\u2009", ""}).Draw(t, "space")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + space + whole[i:]
	}
	if decimals > 0 {
		whole += "," + fraction
	}
	switch {
	case minor < 0:
		return rapid.SampledFrom([]string{"-", "\u2212", "-\u00a0"}).Draw(t, "minus") + whole
	default:
		return rapid.SampledFrom([]string{"", "+", "+ "}).Draw(t, "plus") + whole
	}
}

func TestAmountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(-math.MaxInt64/100, math.MaxInt64/100).Draw(t, "minor")
		decimals := rapid.IntRange(0, 4).Draw(t, "decimals")
		written := french(t, minor, decimals)
		if got, err := parseAmount(written, decimals); err != nil || got != minor {
			t.Fatalf("%q read as %d, %v, want %d", written, got, err, minor)
		}
		if decimals != 2 {
			return
		}
		if got, err := parseEuros(written + "\u00a0€"); err != nil || got != minor {
			t.Fatalf("%q € read as %d, %v", written, got, err)
		}
	})
}

// One character too many, too few or of another kind makes no amount, or the
// amount with that digit: never another one in silence.
func TestDamagedAmountsAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(-99_999_999_99, 99_999_999_99).Draw(t, "minor")
		written := []rune(french(t, minor, 2))
		i := rapid.IntRange(0, len(written)-1).Draw(t, "at")
		written[i] = rapid.SampledFrom([]rune("x.e'%\uFFFD;€")).Draw(t, "damage")
		if got, err := parseAmount(string(written), 2); err == nil {
			t.Fatalf("%q read as %d", string(written), got)
		}
	})
	for _, bad := range []string{
		"", " ", "-", ",", ",50", "1,", "1,5", "1,500", "1.50", "12 34,00", "1 2345,00", "1234 567,00", "1  234,00", " 1,00", "1 ,00",
		"--1,00", "+-1,00", "1,-5", "1,0 0", "0x1,00", "１,00", "1e3,00", "92233720368547758,08", "99999999999999999999,00", "1,00,00",
	} {
		if got, err := parseAmount(bad, 2); err == nil {
			t.Errorf("%q read as %d", bad, got)
		}
	}
	if got, err := parseAmount("92 233 720 368 547 758,07", 2); err != nil && got != 0 {
		t.Errorf("%d %v", got, err)
	}
	for _, bad := range []string{"1,00", "1,00€", "1,00 $", "1,00 USD", "1,00 euros", "€ 1,00"} {
		if got, err := parseEuros(bad); err == nil {
			t.Errorf("%q read as %d", bad, got)
		}
	}
}

func TestOriginalAmounts(t *testing.T) {
	for detail, want := range map[string]ledger.Money{
		"": {},
		"Montant d’origine : 54,03 USD (1 EUR = 1,0873 USD)":               {Minor: 5403, Currency: "USD"},
		"Montant d’origine : 1\u00a0250 JPY (1 EUR = 162,4000 JPY)":        {Minor: 1250, Currency: "JPY"},
		"Montant d’origine\u00a0: 1\u202f000,125 KWD (1 EUR = 0,3340 KWD)": {Minor: 1000125, Currency: "KWD"},
		"Remise exceptionnelle": {},
	} {
		if got, err := parseOriginal(detail); err != nil || got != want {
			t.Errorf("%q: %+v %v", detail, got, err)
		}
	}
	for _, bad := range []string{"origine : 54,03 (1 EUR", "origine : 54,03 dollars (1 EUR", "origine : 12,50 JPY (1 EUR", "origine : x USD (1 EUR"} {
		if got, err := parseOriginal(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestDays(t *testing.T) {
	if got, err := parseDay("04/05/2026"); err != nil || got != "2026-05-04" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "4/5/2026", "31/02/2026", "2026-05-04", "04/05/26", "04/05/2026 "} {
		if got, err := parseDay(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
	for _, c := range []struct {
		label  string
		booked ledger.Date
		want   ledger.Date
	}{
		{"CARTE 03/05 X", "2026-05-04", "2026-05-03"},
		{"CARTE 31/12 X", "2026-01-02", "2025-12-31"},
		{"CARTE 04/05 X", "2026-05-04", "2026-05-04"},
		{"CARTE 29/02 X", "2026-03-02", "2024-02-29"},
		{"CARTE 31/02 X", "2026-03-02", ""},
		{"CARTE 3/5 X", "2026-05-04", ""},
		{"VIR 03/05", "2026-05-04", ""},
		{"CARTE 03/05 X", "jamais", ""},
	} {
		if got := cardDay(c.label, c.booked); got != c.want {
			t.Errorf("%s booked on %s was made on %q, want %q", c.label, c.booked, got, c.want)
		}
	}
}

func TestTypesAndLabels(t *testing.T) {
	for label, want := range map[string][2]string{
		"CARTE 12/11 CHEZ  L'AMI":                     {"card", "CHEZ L'AMI"},
		"PRLV SEPA FREE MOBILE ID EMETTEUR FR14ZZZ45": {"direct_debit", "FREE MOBILE"},
		"VIR SEPA RECU /DE NERIS /MOTIF SALAIRE":      {"transfer", "NERIS /MOTIF SALAIRE"},
		"VIR INSTANTANE VERS COMPTE JOINT":            {"instant_transfer", "VERS COMPTE JOINT"},
		"VIR ":                                        {"transfer", "VIR"},
		"RELEVE DIFFERE CARTE 4970":                   {"card_summary", "RELEVE DIFFERE CARTE 4970"},
		"INTÉRÊTS ANNUELS 2025":                       {"profit", "INTÉRÊTS ANNUELS 2025"},
		"CHOSE\u00a0JAMAIS\u00a0VUE ":                 {"unknown", "CHOSE JAMAIS VUE"},
	} {
		if got := [2]string{typeOf(label), tidy(label)}; got != want {
			t.Errorf("%q: %q, want %q", label, got, want)
		}
	}
}

func FuzzAmount(f *testing.F) {
	for _, s := range []string{"1 234,56", "-0,05", "\u22121\u202f000,00", "+12,00", "1.5", "", "99999999999999999999,99"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, decimals int) {
		decimals &= 3
		minor, err := parseAmount(s, decimals)
		if err != nil {
			var m *misread
			if minor != 0 || !errors.As(err, &m) {
				t.Fatalf("%q: %d and %v", s, minor, err)
			}
			return
		}
		// What was read, written again, has the digits that were there.
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s)
		if got := strings.TrimLeft(strings.TrimPrefix(fmt.Sprint(minor), "-"), "0"); got != strings.TrimLeft(digits, "0") {
			t.Fatalf("%q read as %d", s, minor)
		}
		if minor != 0 && (minor < 0) != strings.ContainsAny(s, "-\u2212") {
			t.Fatalf("%q lost its sign: %d", s, minor)
		}
	})
}

const listPage = `<html><body><table class="comptes"><tbody><tr class="compte"><td class="nom"><a href="/accounts/01/history">Compte courant</a></td>
<td class="numero">01</td><td class="montant">1 234,56 €</td></tr></tbody></table></body></html>`

const opsPage = `<html><body><h1>Compte</h1><dl class="resume"><dd class="iban">FR76 3000 6000 0112 3456 7890 189</dd><dd class="solde">3,00 €</dd></dl>
<table class="operations"><tbody><tr><td class="achat">01/05/2026</td><td class="date">02/05/2026</td><td class="valeur">02/05/2026</td>
<td class="libelle">CAFÉ &amp; <span class="precision">Montant d’origine : 2,00 USD (1 EUR = 1,0 USD)</span></td><td class="reference">A1</td>
<td class="montant debit">-1,90 €</td></tr></tbody></table><p class="ancien">Ancien solde : <span class="montant">4,90 €</span></p>
<nav class="pages"><span>Page 1 sur 1</span></nav></body></html>`

func TestSmallestPages(t *testing.T) {
	doc, err := parsePage([]byte(listPage))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readAccounts(doc)
	if err != nil || len(rows) != 1 || rows[0] != (accountRow{ref: "01", name: "Compte courant", number: "01"}) {
		t.Errorf("%+v %v", rows, err)
	}
	if doc, err = parsePage([]byte(opsPage)); err != nil {
		t.Fatal(err)
	}
	h, err := readHistory(doc, false)
	if err != nil || len(h.rows) != 1 || h.rows[0].cents != -190 || h.rows[0].label != "CAFÉ &" || !h.hasOpening || h.opening != 490 || h.balance != 300 {
		t.Errorf("%+v %v", h, err)
	}
	for _, cut := range []int{1, 8, 50, len(opsPage) / 2} {
		if _, err := parsePage([]byte(opsPage[:len(opsPage)-cut])); err == nil {
			t.Errorf("a page cut %d bytes before its end is taken for whole", cut)
		}
	}
	if _, err := parsePage([]byte("\xff</html>")); err == nil {
		t.Error("bytes that are no text are taken for a page")
	}
}

func FuzzPages(f *testing.F) {
	for _, s := range []string{
		listPage, opsPage, "", "<p>", `<form method=post action=/otp><input type=hidden name=jeton value=x></form>`,
		`<h1>Accès bloqué</h1><p class="message">Il expire dans 4 min 59 s.</p><p class="alerte">reste 2 essais</p>`,
		`<table class=comptes><tbody><tr><td class=nom><a href=/accounts/x/history>C</a><span class=rattachement></span><td class=numero>1<td class=montant>1,00 €`,
		`<a href="/authorize?request=x">`, strings.Repeat("<b>", 600),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := parsePage(append(body, "</html>"...))
		if err != nil {
			return
		}
		p := page{"/", doc, readForms(doc)}
		_ = p.place()
		if n := len([]rune(p.words() + p.alert() + p.title())); n > 900 {
			t.Errorf("%d characters of the bank's words", n)
		}
		if d := p.deadline(noon); !d.IsZero() && d.Before(noon) {
			t.Errorf("a deadline in the past: %v", d)
		}
		if n := p.tries(); n < -1 || n > 99 {
			t.Errorf("%d tries", n)
		}
		if rows, err := readAccounts(doc); err == nil {
			for _, row := range rows {
				if !sensibleRef.MatchString(row.ref) {
					t.Errorf("account %q", row.ref)
				}
			}
		}
		for _, coming := range []bool{false, true} {
			h, err := readHistory(doc, coming)
			if err != nil {
				continue
			}
			for _, row := range h.rows {
				if row.label == "" || len(row.label) > maxLabel || len(row.booked) != 10 {
					t.Errorf("%+v", row)
				}
				if _, err := transaction(row, ledger.Booked); err != nil && !errors.As(err, new(*misread)) {
					t.Errorf("%+v: %v", row, err)
				}
			}
		}
		for e := range elements(doc, "td", "") {
			if e.Type != html.ElementNode {
				t.Error("an element that is none")
			}
		}
	})
}
