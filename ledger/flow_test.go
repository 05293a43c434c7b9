package ledger

import "testing"

// A deferred card and its summary are one expense. Which of the two counts
// depends on what is looked at.
func TestSettlesCards(t *testing.T) {
	current := Account{ID: "current", AccessID: "a", Ref: "c", Kind: Cash}
	card := Account{ID: "card", AccessID: "a", Ref: "k", Kind: Card, Parent: "c"}
	elsewhere := Account{ID: "elsewhere", AccessID: "b", Ref: "c", Kind: Cash} // the same reference, at another bank
	orphan := Account{ID: "orphan", AccessID: "b", Ref: "k", Kind: Card}       // its bank does not say what it is debited from
	eur := func(n int64) Money { return Money{Minor: n, Currency: "EUR"} }
	month := []Transaction{
		{AccountID: "card", Type: "card", Status: Booked, Amount: eur(-1250)},
		{AccountID: "card", Type: "card", Status: Booked, Amount: eur(-8750)},
		{AccountID: "card", Type: CardSummary, Status: Booked, Amount: eur(10000)}, // some banks show the other side too
		{AccountID: "current", Type: CardSummary, Status: Booked, Amount: eur(-10000)},
		{AccountID: "current", Type: "direct_debit", Status: Booked, Amount: eur(-3000)},
		{AccountID: "elsewhere", Type: CardSummary, Status: Booked, Amount: eur(-500)},
		{AccountID: "orphan", Type: "card", Status: Booked, Amount: eur(-500)},
	}
	for name, c := range map[string]struct {
		accounts []Account
		in, out  int64
	}{
		"the account and its card":     {[]Account{current, card}, 0, -13000},
		"in the other order":           {[]Account{card, current}, 0, -13000},
		"the account alone":            {[]Account{current}, 0, -13000},
		"the card alone":               {[]Account{card}, 10000, -10000},
		"a card of no account we know": {[]Account{elsewhere, orphan}, 0, -1000},
		"all":                          {[]Account{current, card, elsewhere, orphan}, 0, -14000},
	} {
		settles := SettlesCards(c.accounts)
		var in, out int64
		for _, t := range month {
			for _, a := range c.accounts {
				if t.AccountID == a.ID && !settles(t) {
					in, out = in+max(t.Amount.Minor, 0), out+min(t.Amount.Minor, 0)
				}
			}
		}
		if in != c.in || out != c.out {
			t.Errorf("%s: %d in, %d out, want %d and %d", name, in, out, c.in, c.out)
		}
	}
}
