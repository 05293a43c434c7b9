package ledger

// A Pairing is what comparing the accounts a bank lists with those we know
// would do.
type Pairing struct {
	Insert  []Account // accounts we did not know, as fetched
	Change  []Account // known ones, with their id, as they become
	Missing []Account // known ones the bank did not list
}

// MatchAccounts pairs by the bank's reference within the access; else, when
// only one is possible on both sides, by IBAN and currency. Anything less
// certain is a new account: two accounts are never merged on a likeness.
func MatchAccounts(known, fetched []Account) Pairing {
	var p Pairing
	taken := make([]bool, len(known))
	found := make([]bool, len(fetched))
	pair := func(k, f int) {
		taken[k], found[f] = true, true
		p.Change = append(p.Change, refresh(known[k], fetched[f]))
	}
	refs := map[string]int{}
	for i, a := range known {
		refs[a.Ref] = i
	}
	for i, a := range fetched {
		if k, ok := refs[a.Ref]; ok && !taken[k] {
			pair(k, i)
		}
	}
	type number struct{ iban, currency string }
	free := func(list []Account, gone []bool) map[number][]int {
		m := map[number][]int{}
		for i, a := range list {
			if !gone[i] && a.IBAN != "" {
				n := number{a.IBAN, a.Balance.Currency}
				m[n] = append(m[n], i)
			}
		}
		return m
	}
	left := free(known, taken)
	for n, fs := range free(fetched, found) {
		if ks := left[n]; len(ks) == 1 && len(fs) == 1 {
			pair(ks[0], fs[0])
		}
	}
	for i, a := range fetched {
		if !found[i] {
			p.Insert = append(p.Insert, a)
		}
	}
	for i, a := range known {
		if !taken[i] {
			p.Missing = append(p.Missing, a)
		}
	}
	return p
}

// refresh is a known account after the bank has shown it again: its identity
// is ours, the rest is the bank's where the bank tells it.
func refresh(known, fetched Account) Account {
	fetched.ID, fetched.AccessID, fetched.Missing = known.ID, known.AccessID, false
	if fetched.Label == "" {
		fetched.Label = known.Label
	}
	if fetched.IBAN == "" {
		fetched.IBAN = known.IBAN
	}
	if fetched.Number == "" {
		fetched.Number = known.Number
	}
	if fetched.Kind == "" {
		fetched.Kind, fetched.Subtype = known.Kind, known.Subtype
	}
	if fetched.Parent == "" {
		fetched.Parent = known.Parent
	}
	if fetched.Balance.Currency == "" { // the bank did not tell a balance
		fetched.Balance, fetched.AsOf = known.Balance, known.AsOf
	}
	return fetched
}
