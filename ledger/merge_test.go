package ledger

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
)

func booked(day Date, minor int64, label string) Transaction {
	return Transaction{Status: Booked, BookedOn: day, Amount: Money{minor, "EUR"}, RawLabel: label}
}

func pending(day Date, minor int64, label string) Transaction {
	t := booked(day, minor, label)
	t.Status = Pending
	return t
}

func ref(t Transaction, r string) Transaction { t.Ref = r; return t }

// apply does what a plan says, as the store does.
func apply(known []Transaction, p Plan, next *int) []Transaction {
	out := slices.Clone(known)
	for _, c := range p.Change {
		out[slices.IndexFunc(out, func(t Transaction) bool { return t.ID == c.ID })] = c
	}
	for _, t := range p.Insert {
		*next++
		t.ID = guichet.ID(fmt.Sprintf("t%04d", *next))
		out = append(out, t)
	}
	return out
}

func TestMerge(t *testing.T) {
	coffee := booked("2026-05-04", -150, "CB CAFE DU PORT")
	hold := pending("2026-05-04", -4520, "PAIEMENT CB CARREFOUR PARIS")
	all := Coverage{Complete: true}
	for _, c := range []struct {
		name           string
		known, fetched []Transaction
		coverage       Coverage
		insert, change int
		promoted, void int
	}{
		{name: "nothing known", fetched: []Transaction{coffee}, insert: 1},
		{name: "all known", known: []Transaction{coffee}, fetched: []Transaction{coffee}},
		{name: "two equal coffees stay two", fetched: []Transaction{coffee, coffee}, insert: 2},
		{name: "a third coffee is new", known: []Transaction{coffee, coffee}, fetched: []Transaction{coffee, coffee, coffee}, insert: 1},
		{name: "case and spaces do not count", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-04", -150, "cb  Cafe du port ")}},
		{name: "another day is another coffee", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-05", -150, "CB CAFE DU PORT")}, insert: 1},
		{name: "a shorter list removes nothing", known: []Transaction{coffee, coffee}, fetched: []Transaction{coffee}, coverage: all},
		{name: "the reference decides", known: []Transaction{ref(coffee, "a")}, fetched: []Transaction{ref(booked("2026-05-06", -151, "CORRECTED"), "a")}},
		{name: "two references are two transactions", known: []Transaction{ref(coffee, "a")}, fetched: []Transaction{ref(coffee, "b")}, insert: 1},
		{name: "a reference is learnt", known: []Transaction{coffee}, fetched: []Transaction{ref(coffee, "a")}, change: 1},
		{name: "a page read twice", fetched: []Transaction{ref(coffee, "a"), ref(coffee, "a")}, insert: 1},
		{name: "a reference of two things is none", fetched: []Transaction{ref(coffee, "a"), ref(booked("2026-05-04", -99, "X"), "a")}, insert: 2},
		{
			name: "promoted in place", known: []Transaction{hold}, coverage: all,
			fetched: []Transaction{booked("2026-05-06", -4520, "CARTE 04/05 CARREFOUR PARIS 75")}, change: 1, promoted: 1,
		},
		{
			name: "promoted under a new reference", known: []Transaction{ref(hold, "p1")}, coverage: all,
			fetched: []Transaction{ref(booked("2026-05-06", -4520, "CARREFOUR PARIS"), "b1")}, change: 1, promoted: 1,
		},
		{
			name: "another amount is doubtful: the hold is void, the debit is new", known: []Transaction{hold}, coverage: all,
			fetched: []Transaction{booked("2026-05-06", -4519, "CARREFOUR PARIS")}, insert: 1, change: 1, void: 1,
		},
		{
			name: "another label is doubtful", known: []Transaction{hold}, coverage: all,
			fetched: []Transaction{booked("2026-05-06", -4520, "VIR LOYER")}, insert: 1, change: 1, void: 1,
		},
		{name: "too late to be the same", known: []Transaction{hold}, fetched: []Transaction{booked("2026-05-20", -4520, "CARREFOUR PARIS")}, insert: 1},
		{name: "a list with holes voids nothing", known: []Transaction{hold}},
		{name: "a pending one that vanished is void", known: []Transaction{hold}, coverage: all, change: 1, void: 1},
		{name: "nothing is void before the list begins", known: []Transaction{hold}, coverage: Coverage{Complete: true, Since: "2026-05-05"}},
		{name: "still listed as pending once entered", known: []Transaction{coffee}, fetched: []Transaction{pending("2026-05-04", -150, "CB CAFE DU PORT")}},
		{name: "one coffee entered, one pending", known: []Transaction{coffee}, fetched: []Transaction{coffee, pending("2026-05-04", -150, "CB CAFE DU PORT")}, insert: 1},
		{
			name:  "a deferred card debit comes back at the end of the month",
			known: []Transaction{{Status: Scheduled, Type: "deferred_card", DoneOn: "2026-05-04", BookedOn: "2026-05-31", Amount: Money{-999, "EUR"}, RawLabel: "CARTE LIBRAIRIE"}},
			fetched: []Transaction{
				{Status: Booked, Type: "card", DoneOn: "2026-05-04", BookedOn: "2026-05-31", Amount: Money{-999, "EUR"}, RawLabel: "CARTE LIBRAIRIE"},
			},
			coverage: all, change: 1, promoted: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			known := apply(nil, Plan{Insert: c.known}, &n)
			p := Merge(known, c.fetched, c.coverage)
			got := []int{len(p.Insert), len(p.Change), p.Promoted, p.Voided}
			if diff := cmp.Diff([]int{c.insert, c.change, c.promoted, c.void}, got); diff != "" {
				t.Errorf("insert, change, promoted, void:\n%s", diff)
			}
		})
	}
}

func genTransactions(t *rapid.T, name string) []Transaction {
	one := rapid.Custom(func(t *rapid.T) Transaction {
		return Transaction{
			Ref:      rapid.SampledFrom([]string{"", "", "", "r1", "r2", "r3"}).Draw(t, "ref"),
			Status:   rapid.SampledFrom([]Status{Booked, Booked, Pending, Scheduled}).Draw(t, "status"),
			Type:     rapid.SampledFrom([]string{"", "deferred_card"}).Draw(t, "type"),
			Amount:   Money{int64(rapid.IntRange(-2, 2).Draw(t, "amount")), rapid.SampledFrom([]string{"EUR", "EUR", "USD"}).Draw(t, "currency")},
			RawLabel: rapid.SampledFrom([]string{"CAFE DU PORT", "cafe  du port", "CARTE CAFE PORT", "LOYER"}).Draw(t, "label"),
			BookedOn: rapid.SampledFrom([]Date{"2026-05-01", "2026-05-02", "2026-05-05", "2026-06-01", ""}).Draw(t, "booked"),
			DoneOn:   rapid.SampledFrom([]Date{"", "", "2026-05-01"}).Draw(t, "done"),
		}
	})
	return rapid.SliceOfN(one, 0, 12).Draw(t, name)
}

// TestMergeLaws: whatever a bank shows over three visits, nothing is lost,
// nothing is counted twice, and a visit repeated changes nothing.
func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known []Transaction
		n := 0
		for i := range 3 {
			fetched := genTransactions(t, fmt.Sprint("visit", i))
			c := Coverage{Complete: rapid.Bool().Draw(t, "complete"), Since: rapid.SampledFrom([]Date{"", "2026-05-02"}).Draw(t, "since")}
			before := known
			p := Merge(known, fetched, c)
			if p.Known+len(p.Insert) != len(fetched) {
				t.Fatalf("%d fetched became %d known and %d new", len(fetched), p.Known, len(p.Insert))
			}
			known = apply(known, p, &n)
			if len(known) < len(before) {
				t.Fatal("something was lost")
			}
			for j, b := range before {
				if b.Status == Booked && (known[j].Status != Booked || known[j].Amount != b.Amount || known[j].BookedOn != b.BookedOn) {
					t.Fatalf("a booked transaction changed: %+v", known[j])
				}
			}
			// No fewer of each kind than the bank shows, when references are silent.
			if !slices.ContainsFunc(fetched, func(t Transaction) bool { return t.Ref != "" }) {
				shown, held := map[key]int{}, map[key]int{}
				for _, f := range fetched {
					if f.Status == Booked {
						shown[keyOf(f)]++
					}
				}
				for _, k := range known {
					held[keyOf(k)]++
				}
				for k, want := range shown {
					if held[k] < want {
						t.Fatalf("the bank shows %d of %v, we hold %d", want, k, held[k])
					}
				}
			}
			again := Merge(known, fetched, c)
			if len(again.Insert) != 0 || len(again.Change) != 0 || again.Promoted != 0 {
				t.Fatalf("the same list again: %+v", again)
			}
		}
	})
}

func TestMatchAccounts(t *testing.T) {
	eur := func(minor int64) Money { return Money{minor, "EUR"} }
	known := []Account{
		{ID: "1", Ref: "a", Label: "Courant", IBAN: "FR76", Balance: eur(100)},
		{ID: "2", Ref: "b", Label: "Livret", Balance: eur(200)},
		{ID: "3", Ref: "c", Label: "PEA", IBAN: "FR77", Balance: eur(300)},
	}
	fetched := []Account{
		{Ref: "a", Label: "Compte courant", Balance: eur(0)},        // a balance of zero is a balance
		{Ref: "x", Label: "PEA", IBAN: "FR77", Balance: eur(301)},   // the bank changed its reference
		{Ref: "y", Label: "Livret", Balance: eur(200)},              // alike is not the same
		{Ref: "z", Label: "Joint", IBAN: "FR76", Balance: eur(500)}, // the IBAN of an account already found
	}
	p := MatchAccounts(known, fetched)
	if diff := cmp.Diff([]Account{
		{ID: "1", Ref: "a", Label: "Compte courant", IBAN: "FR76", Balance: eur(0)},
		{ID: "3", Ref: "x", Label: "PEA", IBAN: "FR77", Balance: eur(301)},
	}, p.Change); diff != "" {
		t.Errorf("changed:\n%s", diff)
	}
	if len(p.Insert) != 2 || p.Insert[0].Ref != "y" || p.Insert[1].Ref != "z" {
		t.Errorf("inserted: %+v", p.Insert)
	}
	if len(p.Missing) != 1 || p.Missing[0].ID != "2" {
		t.Errorf("missing: %+v", p.Missing)
	}
}

func TestMoney(t *testing.T) {
	top := Money{math.MaxInt64, "EUR"}
	if _, err := top.Plus(Money{1, "EUR"}); guichet.CodeOf(err) != "amount_overflow" {
		t.Errorf("overflow: %v", err)
	}
	if _, err := (Money{math.MinInt64, "EUR"}).Minus(Money{1, "EUR"}); guichet.CodeOf(err) != "amount_overflow" {
		t.Errorf("underflow: %v", err)
	}
	if _, err := top.Plus(Money{1, "USD"}); guichet.CodeOf(err) != "currencies_differ" {
		t.Errorf("currencies: %v", err)
	}
	for _, c := range []struct {
		text, currency string
		minor          int64
		bad            bool
	}{
		{"-12.30", "EUR", -1230, false},
		{"12.3", "EUR", 1230, false},
		{"0.05", "EUR", 5, false},
		{".5", "EUR", 50, false},
		{"1200", "JPY", 1200, false},
		{"1.234", "KWD", 1234, false},
		{"12.300", "EUR", 1230, false},
		{"12.345", "EUR", 0, true},
		{"12,30", "EUR", 0, true},
		{"1e3", "EUR", 0, true},
		{"--1", "EUR", 0, true},
		{"", "EUR", 0, true},
		{"NaN", "EUR", 0, true},
		{"92233720368547758.08", "EUR", 0, true},
		{"-92233720368547758.08", "EUR", math.MinInt64, false},
		{"1.00", "euro", 0, true},
	} {
		m, err := ParseMoney(c.text, c.currency)
		if (err != nil) != c.bad || err == nil && m.Minor != c.minor {
			t.Errorf("%q %s: %v, %v", c.text, c.currency, m, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := Money{rapid.Int64().Draw(t, "minor"), rapid.SampledFrom([]string{"EUR", "JPY", "KWD", "CLF"}).Draw(t, "currency")}
		back, err := ParseMoney(m.Decimal(), m.Currency)
		if err != nil || back != m {
			t.Fatalf("%v wrote %q and read %v, %v", m, m.Decimal(), back, err)
		}
	})
}
