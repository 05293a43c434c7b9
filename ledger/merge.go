package ledger

import (
	"slices"
	"strings"
	"time"
)

// A Plan is what a merge would do. Nothing is ever deleted by it.
type Plan struct {
	Insert []Transaction // transactions we did not know, as fetched
	Change []Transaction // known ones, with their id, as they become
	// How many fetched transactions were known, and how many known ones went
	// from pending or scheduled to booked.
	Known    int
	Promoted int
	Voided   int // pending ones that the bank no longer lists
}

// How far apart in days two sightings of one pending transaction may be.
const (
	pendingDrift  = 5
	deferredDrift = 45 // a deferred card debits at the end of the month, or of the next
)

// Merge compares what a bank shows of one account with what we know of it.
//
//   - A bank's trustworthy reference decides first.
//   - Then booked transactions are compared as a multiset by day, amount,
//     currency and label: when the bank shows three equal coffees and we know
//     two, one is new.
//   - A pending or scheduled transaction that comes back booked is promoted: it
//     keeps its id and all that hangs on it.
//   - Pending ones that should be in the list and are not, are void.
//
// Merging the same list again changes nothing.
func Merge(known, fetched []Transaction, c Coverage) Plan {
	m := compare(known, fetched)
	if c.Complete {
		m.voidTheRest(c.Since)
	}
	return m.plan
}

// compare pairs all it can; what it does not find is to be inserted.
func compare(known, fetched []Transaction) *merger {
	fetched = trusted(fetched)
	m := &merger{known: known, fetched: fetched, taken: make([]bool, len(known)), found: make([]bool, len(fetched))}
	m.byReference()
	if len(known) > 0 { // else there is nothing that they could be
		m.resemblances()
	}
	m.plan.Insert = slices.Grow(m.plan.Insert, len(fetched)-m.plan.Known)
	for i, t := range fetched {
		if !m.found[i] {
			m.plan.Insert = append(m.plan.Insert, t)
		}
	}
	return m
}

// resemblances pairs what no reference has paired.
func (m *merger) resemblances() {
	m.byKey(func(k, f Status) bool { return k == Booked && f == Booked })
	m.bySighting(func(k, f Transaction) bool { return f.Status != Booked && compatible(k, f) })
	// The reference of a pending transaction often changes when it is entered.
	m.bySighting(func(k, f Transaction) bool { return f.Status == Booked })
	// A bank may still list as pending what it has entered already.
	m.byKey(func(k, f Status) bool { return k == Booked && f != Booked })
}

// Coverage is what a list of transactions is known to contain.
type Coverage struct {
	Complete bool // everything of its days, pending ones included
	Since    Date // the first of its days; empty: from the beginning
}

type merger struct {
	known, fetched []Transaction
	taken          []bool // by index of known: matched
	found          []bool // by index of fetched: matched
	plan           Plan
}

// match pairs a known transaction with a fetched one, and notes what changes.
func (m *merger) match(k, f int) {
	m.taken[k], m.found[f] = true, true
	before := m.known[k]
	after := become(before, m.fetched[f])
	m.plan.Known++
	if before.Status != Booked && after.Status == Booked {
		m.plan.Promoted++
	}
	if after != before {
		m.plan.Change = append(m.plan.Change, after)
	}
}

// become is a known transaction after the bank has shown it again.
func become(known, fetched Transaction) Transaction {
	if known.Status == Booked {
		// Frozen; only a reference we did not have is learnt, and the bank's own in
		// the place of a file's.
		if fetched.Status == Booked && fetched.Ref != "" && (known.Ref == "" || fromFile(known.Ref) && !fromFile(fetched.Ref)) {
			known.Ref = fetched.Ref
		}
		return known
	}
	fetched.ID, fetched.AccountID, fetched.SeenOn = known.ID, known.AccountID, known.SeenOn
	if fetched.Ref == "" {
		fetched.Ref = known.Ref
	}
	return fetched
}

// trusted removes the references that a bank gives to different transactions:
// those are no ids, whatever the bank says.
func trusted(fetched []Transaction) []Transaction {
	first, distrusted := make(map[string]int, len(fetched)), map[string]bool{}
	for i, t := range fetched {
		if f, twice := first[t.Ref]; twice && fetched[f] != t {
			distrusted[t.Ref] = true
		}
		first[t.Ref] = i
	}
	out := slices.Clone(fetched)
	for i := range out {
		if distrusted[out[i].Ref] {
			out[i].Ref = ""
		}
	}
	return out
}

// byReference pairs by the bank's own id. The same one twice, as when two pages
// overlap, is one transaction.
func (m *merger) byReference() {
	known, seen := make(map[string]int, len(m.known)), make(map[string]bool, len(m.fetched))
	for i, t := range m.known {
		known[t.Ref] = i
	}
	for i, t := range m.fetched {
		if t.Ref == "" {
			continue
		}
		if seen[t.Ref] {
			m.found[i] = true
			m.plan.Known++
			continue
		}
		seen[t.Ref] = true
		if k, ok := known[t.Ref]; ok {
			m.match(k, i)
		}
	}
}

// key is what makes two booked transactions the same, when the bank gives no
// reference.
type key struct {
	amount Money
	day    Date
	label  string
}

func keyOf(t Transaction) key {
	return key{t.Amount, t.BookedOn, NormalLabel(t.RawLabel)}
}

// compatible tells whether the references do not contradict: two different
// trustworthy ids of one source are two transactions.
func compatible(k, f Transaction) bool {
	return k.Ref == "" || f.Ref == "" || k.Ref == f.Ref || sourceOf(k.Ref) != sourceOf(f.Ref)
}

// byKey pairs as multisets, in the order of the lists.
func (m *merger) byKey(statuses func(known, fetched Status) bool) {
	shelves := map[key][]int{}
	for i, t := range m.known {
		if !m.taken[i] {
			shelves[keyOf(t)] = append(shelves[keyOf(t)], i)
		}
	}
	// Those of the same reference, or both without one, find each other first.
	for _, fits := range []func(k, f Transaction) bool{func(k, f Transaction) bool { return k.Ref == f.Ref }, compatible} {
		for f, t := range m.fetched {
			if m.found[f] {
				continue
			}
			for _, k := range shelves[keyOf(t)] {
				if !m.taken[k] && statuses(m.known[k].Status, t.Status) && fits(m.known[k], t) {
					m.match(k, f)
					break
				}
			}
		}
	}
}

// bySighting pairs a transaction that was not booked with a later sighting of
// it: the same amount, a label that says the same, days that are close. The
// closest pairs go first.
func (m *merger) bySighting(allowed func(known, fetched Transaction) bool) {
	shelves := map[Money][]int{}
	for i, t := range m.known {
		if !m.taken[i] && t.Status != Booked {
			shelves[t.Amount] = append(shelves[t.Amount], i)
		}
	}
	if len(shelves) == 0 {
		return
	}
	type pair struct{ k, f, distance int }
	var pairs []pair
	for f, t := range m.fetched {
		if m.found[f] {
			continue
		}
		for _, k := range shelves[t.Amount] {
			if !allowed(m.known[k], t) {
				continue
			}
			if d, ok := distance(m.known[k], t); ok {
				pairs = append(pairs, pair{k, f, d})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return a.distance - b.distance })
	for _, p := range pairs {
		if !m.taken[p.k] && !m.found[p.f] {
			m.match(p.k, p.f)
		}
	}
}

// distance is how unlike two sightings are, and whether they can be one
// transaction at all.
func distance(k, f Transaction) (int, bool) {
	days, drift := daysBetween(k.Day(), f.Day()), pendingDrift
	if k.Type == "deferred_card" || k.Status == Scheduled {
		// What counts is the purchase when both tell it, else the debit may be far.
		if k.DoneOn == "" || f.DoneOn == "" {
			drift = deferredDrift
		}
	}
	if k.Day() == "" || f.Day() == "" {
		days = min(days, drift) // a day nobody told contradicts none
	}
	if days > drift {
		return 0, false
	}
	d := days * 8
	// Of several, the one that did not change at all comes first.
	if become(k, f) != k {
		d++
	}
	if k.Ref != f.Ref {
		d++
	}
	switch {
	case NormalLabel(k.RawLabel) == NormalLabel(f.RawLabel):
	case sharesWords(k.RawLabel, f.RawLabel):
		d += 2
	default:
		return 0, false
	}
	if k.Status == Void {
		d++
	}
	if k.Status != f.Status {
		d++
	}
	return d, true
}

func (m *merger) voidTheRest(since Date) {
	for i, t := range m.known {
		if m.taken[i] || t.Day() < since || t.Status == Booked || t.Status == Void {
			continue
		}
		t.Status = Void
		m.plan.Change = append(m.plan.Change, t)
		m.plan.Voided++
	}
}

// NormalLabel is a bank's label without what changes between two readings:
// case and spaces.
func NormalLabel(raw string) string {
	return strings.ToUpper(strings.Join(strings.Fields(raw), " "))
}

// sharesWords tells whether half of the telling words of the shorter label are
// in the other one. Words of fewer than three characters and numbers tell nothing.
func sharesWords(a, b string) bool {
	words := func(s string) map[string]bool {
		set := map[string]bool{}
		for w := range strings.FieldsSeq(NormalLabel(s)) {
			if len(w) >= 3 && strings.ContainsFunc(w, func(r rune) bool { return r < '0' || r > '9' }) {
				set[w] = true
			}
		}
		return set
	}
	x, y := words(a), words(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	common := 0
	for w := range x {
		if y[w] {
			common++
		}
	}
	return common > 0 && 2*common >= len(x)
}

// daysBetween is the distance of two days; unknown days are far from all known
// ones.
func daysBetween(a, b Date) int {
	if a == b {
		return 0
	}
	x, errX := time.Parse(time.DateOnly, string(a))
	y, errY := time.Parse(time.DateOnly, string(b))
	if errX != nil || errY != nil {
		return 1 << 20
	}
	d := int(y.Sub(x).Hours() / 24)
	return max(d, -d)
}
