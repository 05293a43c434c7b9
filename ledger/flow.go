package ledger

import "guichet"

// CardSummary is the type of the one debit by which a bank settles all purchases
// of a deferred card.
const CardSummary = "card_summary"

// SettlesCards tells which transactions only settle what other transactions of
// the same accounts already tell one by one: the summary of a deferred card, when
// the card is among the accounts together with the account it is debited from.
// Whoever adds up what came in and went out counts the purchases, and not these.
// Seen alone, the account keeps its summary, and the card its purchases.
func SettlesCards(accounts []Account) func(Transaction) bool {
	type place struct {
		access guichet.ID
		ref    string
	}
	at := make(map[place]guichet.ID, len(accounts))
	for _, a := range accounts {
		at[place{a.AccessID, a.Ref}] = a.ID
	}
	settled := map[guichet.ID]bool{}
	for _, a := range accounts {
		if a.Kind != Card || a.Parent == "" {
			continue
		}
		if parent, ok := at[place{a.AccessID, a.Parent}]; ok {
			settled[parent], settled[a.ID] = true, true
		}
	}
	return func(t Transaction) bool { return t.Type == CardSummary && settled[t.AccountID] }
}
