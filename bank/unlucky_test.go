package bank_test

import (
	"net/http/httptest"
	"testing"

	"guichet"
	"guichet/bank"
	simconnector "guichet/connector/sim"
	"guichet/ledger"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// TestAcceptedCodeIsNotWasted: the bank takes the code, and its site breaks before
// it shows an account. The question stands again, no try is spent, and the answer
// goes on where the bank is: it sends no other code, and asks for no password.
func TestAcceptedCodeIsNotWasted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		site := simbank.New(db.Clock.Clock())
		server := httptest.NewServer(site)
		t.Cleanup(server.Close)
		connector, err := simconnector.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		h.Connectors = map[string]bank.Connector{"sim": connector}
		c, _, err := h.Open(t.Context(), h.person, bank.Opening{Institution: simconnector.Institution, Fields: form("otp")})
		if err != nil {
			t.Fatal(err)
		}
		c = h.asked(c.Attempt.ID)
		if err := site.AddFaults(simbank.Fault{PathPrefix: "/accounts", Kind: simbank.FaultUnavailable, Times: 1}); err != nil {
			t.Fatal(err)
		}
		answer := func() {
			t.Helper()
			fields := map[string]guichet.Secret{c.Challenge.Question.Fields[0].ID: "123456"}
			if _, err := h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: fields}); err != nil {
				t.Fatal(err)
			}
		}
		answer()
		c = h.asked(c.Attempt.ID)
		if c.Challenge.LastOutcome != bank.BankUnavailable || c.Challenge.TriesLeft() != 2 {
			t.Errorf("%s, %d tries left", c.Challenge.LastOutcome, c.Challenge.TriesLeft())
		}
		answer()
		h.ended(c.Attempt.ID, bank.AttemptSucceeded)
		if n := site.Counters("otp"); n.Logins != 1 || n.CodesSent != 1 || n.CodesWrong != 0 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}

// TestPartIsKept: what could be read is kept, what could not is told, and an
// account that a run could not read is not taken for one that is gone.
func TestPartIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		second := ledger.Account{Ref: "a2", Kind: ledger.Savings, Label: "Livret A", Balance: ledger.Money{Minor: 500, Currency: "EUR"}}
		h.bank.set(func() {
			h.bank.lists = func() ([]ledger.Account, map[string][]ledger.Transaction) {
				accounts, transactions := oneAccount()
				return append(accounts, second), transactions
			}
		})
		c := h.ended(h.open("partial").Attempt.ID, bank.AttemptPartial)
		if len(c.Attempt.Warnings) != 1 || c.Attempt.Warnings[0] != (bank.Warning{Code: "history_unavailable", Account: "a2"}) || c.Attempt.Counts.Accounts != 2 {
			t.Errorf("%+v, %+v", c.Attempt.Warnings, c.Attempt.Counts)
		}
		h.bank.set(func() { h.bank.lists = oneAccount }) // the second one does not even appear
		again := h.ended(h.fetch(c.Access.ID, bank.RefreshAccounts).Attempt.ID, bank.AttemptPartial)
		if again.Attempt.Counts.Added != 0 || again.Attempt.Counts.Known != 3 {
			t.Errorf("%+v", again.Attempt.Counts)
		}
		accounts := h.overview().Accounts
		if len(accounts) != 2 || accounts[0].Missing || accounts[1].Missing {
			t.Errorf("%+v", accounts)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions WHERE status = 'void'"); n != "0" {
			t.Errorf("%s operations are void", n)
		}
	})
}
