package ledger

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// FileRef is the reference of a transaction that a file of a format gives. A bank
// numbers the same transaction otherwise on its site, in its OFX and in its CAMT:
// references of two sources are never compared.
func FileRef(format, id string) string {
	if id == "" {
		return ""
	}
	return fileRefs + format + ":" + id
}

const fileRefs = "file:"

func fromFile(ref string) bool { return strings.HasPrefix(ref, fileRefs) }

// sourceOf is who gave a reference: the format of a file, or the bank's site, which
// is empty.
func sourceOf(ref string) string {
	rest, ok := strings.CutPrefix(ref, fileRefs)
	if !ok {
		return ""
	}
	format, _, _ := strings.Cut(rest, ":")
	return format
}

// A DoubtReason tells what keeps a new transaction and a known one from being the
// same for sure.
type DoubtReason string

// The reasons of a doubt.
const (
	OtherDay   DoubtReason = "other_day"   // the same amount and label, a few days apart
	OtherLabel DoubtReason = "other_label" // the same amount and day, another label
	Alike      DoubtReason = "alike"       // the same amount, a few days apart, a label that says much the same
)

// A Doubt is a transaction to be inserted that may be one we know.
type Doubt struct {
	Insert int // index in the plan
	Known  Transaction
	Reason DoubtReason
}

// doubtDays is how far apart two sightings of one booked transaction may be: a bank
// dates it by the purchase in one place and by the entry in another.
const doubtDays = 5

// mostLikenesses bounds what is compared; no person reads a list that long.
const mostLikenesses = 100_000

// MergeStatement compares a statement with what we know of an account, as [Merge]
// does. A statement is not what the bank lists now, so nothing is void because of
// it. What is inserted although we know something like it is in doubt: it is never
// merged on a likeness, and a person is told.
func MergeStatement(known, fetched []Transaction) (Plan, []Doubt) {
	m := compare(known, fetched)
	return m.plan, m.doubts()
}

// doubts pairs what is to be inserted with what nothing was paired with, the most
// alike first, each at most once.
func (m *merger) doubts() []Doubt {
	type shelf struct {
		amount Money
		day    Date
	}
	shelves := map[shelf][]int{}
	for i, t := range m.known {
		if !m.taken[i] && t.Status != Void {
			shelves[shelf{t.Amount, t.BookedOn}] = append(shelves[shelf{t.Amount, t.BookedOn}], i)
		}
	}
	type pair struct {
		insert, known, distance int
		reason                  DoubtReason
	}
	var pairs []pair
	for i, f := range m.plan.Insert {
		for _, day := range daysAround(f.BookedOn, doubtDays) {
			for _, k := range shelves[shelf{f.Amount, day}] {
				if len(pairs) == mostLikenesses || !compatible(m.known[k], f) {
					continue // their bank says that they are two
				}
				if reason, d, ok := doubtful(m.known[k], f); ok {
					pairs = append(pairs, pair{i, k, d, reason})
				}
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.distance, b.distance) })
	inserts, knowns := map[int]bool{}, map[int]bool{}
	var all []Doubt
	for _, p := range pairs {
		if inserts[p.insert] || knowns[p.known] {
			continue
		}
		inserts[p.insert], knowns[p.known] = true, true
		all = append(all, Doubt{p.insert, m.known[p.known], p.reason})
	}
	slices.SortFunc(all, func(a, b Doubt) int { return cmp.Compare(a.Insert, b.Insert) })
	return all
}

func doubtful(k, f Transaction) (reason DoubtReason, distance int, ok bool) {
	days := daysBetween(k.BookedOn, f.BookedOn)
	same := NormalLabel(k.RawLabel) == NormalLabel(f.RawLabel)
	switch {
	case same:
		return OtherDay, 4 * days, true
	case days == 0:
		return OtherLabel, 1, true
	case sharesWords(k.RawLabel, f.RawLabel):
		return Alike, 4*days + 2, true
	}
	return "", 0, false
}

// daysAround lists a day, and those before and after it.
func daysAround(day Date, n int) []Date {
	at, err := time.Parse(time.DateOnly, string(day))
	if err != nil {
		return nil
	}
	days := make([]Date, 0, 2*n+1)
	for i := -n; i <= n; i++ {
		days = append(days, DateOf(at.AddDate(0, 0, i)))
	}
	return days
}
