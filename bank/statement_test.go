package bank_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/storetest"
)

func euros(n int64) ledger.Money { return ledger.Money{Minor: n, Currency: "EUR"} }

func coffees() []ledger.Transaction {
	one := ledger.Transaction{Status: ledger.Booked, BookedOn: "2026-11-20", Amount: euros(-150), RawLabel: "CB CAFE"}
	a, b := one, one
	a.Ref, b.Ref = "A1", "A2"
	return []ledger.Transaction{a, b}
}

func statement(ref, iban string, transactions ...ledger.Transaction) bank.Statement {
	return bank.Statement{
		Account:      ledger.Account{Ref: ref, Kind: ledger.Cash, Label: ref, IBAN: iban, Balance: euros(777), AsOf: time.Date(2026, 11, 20, 23, 59, 59, 0, time.UTC)},
		Transactions: transactions,
	}
}

func (h *house) imports(in bank.Import, statements ...bank.Statement) (bank.Imported, error) {
	h.t.Helper()
	in.Owner, in.Statements = somebody.ID, statements
	if in.Format == "" {
		in.Format = "ofx"
	}
	return h.Import(h.t.Context(), guichet.Actor{Kind: guichet.ByPerson, Name: "command line"}, in)
}

func (h *house) counts(in bank.Import, statements ...bank.Statement) bank.ImportCounts {
	h.t.Helper()
	done, err := h.imports(in, statements...)
	if err != nil {
		h.t.Fatal(err)
	}
	return done.Counts
}

// rows is what an import may write to.
func rows(db *storetest.DB) string {
	return db.Value(`SELECT (SELECT COUNT(*) FROM accesses) || ' ' || (SELECT COUNT(*) FROM attempts) || ' ' || (SELECT COUNT(*) FROM accounts) || ' ' ||
		(SELECT COUNT(*) FROM transactions) || ' ' || (SELECT COUNT(*) FROM audit_entries)`)
}

func TestImportIsWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		file := []bank.Statement{statement("1", "", coffees()...), statement("2", "", coffees()...)}

		if n := h.counts(bank.Import{DryRun: true}, file...); n != (bank.ImportCounts{Added: 4}) {
			t.Errorf("the dry run says %+v", n)
		}
		if got := rows(db); got != "0 0 0 0 0" {
			t.Fatalf("a dry run left rows: %s", got)
		}
		for _, table := range []string{"accesses", "attempts", "accounts", "transactions", "audit_entries"} {
			heal := db.FailStatement(table, "INSERT")
			if _, err := h.imports(bank.Import{}, file...); err == nil {
				t.Errorf("%s cannot be written, and nobody was told", table)
			}
			heal()
			if got := rows(db); got != "0 0 0 0 0" {
				t.Fatalf("half an import stayed when %s failed: %s", table, got)
			}
		}
		if n := h.counts(bank.Import{}, file...); n != (bank.ImportCounts{Added: 4}) {
			t.Errorf("the import says %+v", n)
		}
		if got := rows(db); got != "1 1 2 4 3" {
			t.Errorf("rows: %s", got)
		}
		for _, dry := range []bool{true, false} {
			if n := h.counts(bank.Import{DryRun: dry}, file...); n != (bank.ImportCounts{Known: 4}) {
				t.Errorf("the same again: %+v", n)
			}
		}
		// It stands there as an access that no bank is behind, and goes like any other.
		cases, err := h.Store.Cases(t.Context(), somebody.ID)
		if err != nil || len(cases) != 1 || cases[0].State() != bank.AccessImported {
			t.Fatalf("%+v, %v", cases, err)
		}
		access := cases[0].Access.ID
		if _, err := h.Sweep(t.Context(), somebody.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Fetch(t.Context(), somebody, bank.Refresh{Access: access, Purpose: bank.RefreshAccounts}); !errors.Is(err, bank.ErrCredentialsNeeded) {
			t.Errorf("a fetch where no bank is: %v", err)
		}
		if _, _, err := h.Fetch(t.Context(), somebody, bank.Refresh{Access: access, Purpose: bank.RefreshAccounts, Credentials: form("simple")}); !errors.Is(err, bank.ErrNoInstitution) {
			t.Errorf("a fetch with credentials where no bank is: %v", err)
		}
		name, yes := "Mes relevés", true
		if c, err := h.Amend(t.Context(), somebody, access, bank.Amendment{Label: &name}); err != nil || c.Access.Label != name || !c.Access.NextPoll.IsZero() {
			t.Errorf("named: %+v, %v", c.Access, err)
		}
		for _, m := range []bank.Amendment{{NightOff: &yes}, {Lend: &yes}, {Disabled: &yes}, {Credentials: form("simple")}} {
			if _, err := h.Amend(t.Context(), somebody, access, m); !errors.Is(err, bank.ErrNoInstitution) {
				t.Errorf("%+v: %v", m, err)
			}
		}
		if err := h.Delete(t.Context(), somebody, access); err != nil {
			t.Fatal(err)
		}
		if n := h.counts(bank.Import{}, file...); n != (bank.ImportCounts{Added: 4}) {
			t.Errorf("after it was deleted: %+v", n)
		}
	})
}

// Two of the same file at once, on two processes, are one.
func TestImportTwiceAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		desks := []*house{h, h.replica(), h, h.replica()}
		got := make([]bank.ImportCounts, len(desks))
		errs := make([]error, len(desks))
		var all sync.WaitGroup
		for i, d := range desks {
			all.Go(func() {
				var done bank.Imported
				done, errs[i] = d.imports(bank.Import{}, statement("1", "", coffees()...))
				got[i] = done.Counts
			})
		}
		all.Wait()
		var sum bank.ImportCounts
		for i := range desks {
			if errs[i] != nil {
				t.Error(errs[i])
			}
			sum.Added, sum.Known = sum.Added+got[i].Added, sum.Known+got[i].Known
		}
		if sum.Added != 2 || sum.Known != 6 {
			t.Errorf("together: %+v", sum)
		}
		if n := db.Value(`SELECT CAST(COUNT(*) AS TEXT) FROM transactions`); n != "2" {
			t.Errorf("%s transactions", n)
		}
	})
}

// A statement of an account that a bank is read for lands in that account, adds
// nothing that the bank has told, and what it adds the bank does not add again.
func TestImportBesideABank(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		opened := h.ended(h.open("simple").Attempt.ID, bank.AttemptSucceeded)
		older := ledger.Transaction{Ref: "A0", Status: ledger.Booked, BookedOn: "2026-10-02", Amount: euros(-70000), RawLabel: "VIR LOYER"}
		file := statement("x", "FR7630001007941234567890185", append(coffees(), older)...)

		done, err := h.imports(bank.Import{}, file)
		if err != nil {
			t.Fatal(err)
		}
		if done.Counts != (bank.ImportCounts{Added: 1, Known: 2}) || done.Accounts[0].New || done.Accounts[0].Account.AccessID != opened.Access.ID {
			t.Fatalf("%+v", done)
		}
		if b := done.Accounts[0].Account.Balance; b != euros(10000) {
			t.Errorf("an older statement moved the balance to %v", b)
		}
		h.bank.set(func() {
			h.bank.lists = func() ([]ledger.Account, map[string][]ledger.Transaction) {
				accounts, lists := oneAccount()
				again := older
				again.Ref = "t0"
				lists["a1"] = append(lists["a1"], again)
				return accounts, lists
			}
		})
		c, _, err := h.Fetch(t.Context(), somebody, bank.Refresh{Access: opened.Access.ID, Purpose: bank.RefreshAccounts})
		if err != nil {
			t.Fatal(err)
		}
		if c = h.ended(c.Attempt.ID, bank.AttemptSucceeded); c.Attempt.Counts.Added != 0 {
			t.Errorf("the bank added what a file had told: %+v", c.Attempt.Counts)
		}
		if n := h.counts(bank.Import{}, file); n != (bank.ImportCounts{Known: 3}) {
			t.Errorf("the file added what the bank had told: %+v", n)
		}
		if refs := db.Column(`SELECT ref FROM transactions ORDER BY ref`); cmp.Diff([]string{"", "t0", "t1", "t2"}, refs) != "" {
			t.Errorf("references: %q", refs)
		}
	})
}

func TestImportFindsItsAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		iban := "FR7630001007941234567890185"
		first, err := h.imports(bank.Import{}, statement("1", iban, coffees()...), statement("2", "", coffees()...))
		if err != nil {
			t.Fatal(err)
		}
		one, two := first.Accounts[0].Account.ID, first.Accounts[1].Account.ID
		dollars := statement("1", iban)
		dollars.Account.Balance.Currency = "USD"
		mixed := statement("1", iban, coffees()...)
		mixed.Transactions[0].Amount.Currency = "USD"
		never := statement("1", iban, coffees()...)
		never.Transactions[0].BookedOn = "2026-02-31"
		for name, c := range map[string]struct {
			in   bank.Import
			list []bank.Statement
			want error
			id   guichet.ID
		}{
			"by its number, in another format": {bank.Import{Format: "camt"}, []bank.Statement{statement("camt", iban)}, nil, one},
			"by name of the file":              {bank.Import{}, []bank.Statement{statement("2", "")}, nil, two},
			"named":                            {bank.Import{Into: two}, []bank.Statement{statement("", "")}, nil, two},
			"named against the file":           {bank.Import{Into: two}, []bank.Statement{statement("1", iban)}, nil, two},
			"in two parts":                     {bank.Import{}, []bank.Statement{statement("2", ""), statement("2", "")}, nil, two},
			"several for one":                  {bank.Import{Into: two}, []bank.Statement{statement("1", ""), statement("2", "")}, bank.ErrSeveralAccounts, ""},
			"of nobody knows what":             {bank.Import{}, []bank.Statement{statement("", "")}, bank.ErrAccountNeeded, ""},
			"of somebody else":                 {bank.Import{Into: "0190b6e4-0000-7000-8000-0000000000ff"}, []bank.Statement{statement("1", "")}, bank.ErrNoAccount, ""},
			"in another currency":              {bank.Import{Into: one}, []bank.Statement{dollars}, bank.ErrOtherCurrency, ""},
			"in two currencies":                {bank.Import{}, []bank.Statement{mixed}, bank.ErrBadStatement, ""},
			"on a day that never was":          {bank.Import{}, []bank.Statement{never}, bank.ErrBadStatement, ""},
			"of nothing":                       {bank.Import{}, nil, bank.ErrNoStatement, ""},
		} {
			t.Run(name, func(t *testing.T) {
				before := rows(db)
				c.in.DryRun = true
				done, err := h.imports(c.in, c.list...)
				if !errors.Is(err, c.want) || c.want == nil && (len(done.Accounts) != 1 || done.Accounts[0].Account.ID != c.id || done.Accounts[0].New) {
					t.Errorf("%+v, %v", done, err)
				}
				if after := rows(db); after != before {
					t.Errorf("%s became %s", before, after)
				}
			})
		}
		// Of two with one number, none is guessed.
		h.ended(h.open("simple").Attempt.ID, bank.AttemptSucceeded)
		if _, err := h.imports(bank.Import{}, statement("new", iban)); !errors.Is(err, bank.ErrAmbiguousAccount) {
			t.Error(err)
		}
	})
}
