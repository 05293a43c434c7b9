package ledger

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMergeStatement(t *testing.T) {
	coffee := booked("2026-05-04", -150, "CB CAFE DU PORT")
	fromOFX, fromCAMT := FileRef("ofx", "1"), FileRef("camt", "1")
	for _, c := range []struct {
		name           string
		known, fetched []Transaction
		insert         int
		refs           []string // of the known ones afterwards
		doubts         []DoubtReason
	}{
		{name: "of two sources, one coffee", known: []Transaction{ref(coffee, "bank-9")}, fetched: []Transaction{ref(coffee, fromOFX)}, refs: []string{"bank-9"}},
		{name: "of two formats, one coffee", known: []Transaction{ref(coffee, fromCAMT)}, fetched: []Transaction{ref(coffee, fromOFX)}, refs: []string{fromCAMT}},
		{name: "the bank's own is learnt", known: []Transaction{ref(coffee, fromOFX)}, fetched: []Transaction{ref(coffee, "bank-9")}, refs: []string{"bank-9"}},
		{name: "of one source, two coffees", known: []Transaction{ref(coffee, fromOFX)}, fetched: []Transaction{ref(coffee, FileRef("ofx", "2"))}, insert: 1, refs: []string{fromOFX}},
		{
			name: "another day", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-06", -150, "cb cafe  du port")},
			insert: 1, refs: []string{""}, doubts: []DoubtReason{OtherDay},
		},
		{
			name: "another label", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-04", -150, "FACTURE 12")},
			insert: 1, refs: []string{""}, doubts: []DoubtReason{OtherLabel},
		},
		{
			name: "alike", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-02", -150, "CAFE DU PORT PARIS")},
			insert: 1, refs: []string{""}, doubts: []DoubtReason{Alike},
		},
		{name: "nothing alike", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-02", -150, "LOYER")}, insert: 1, refs: []string{""}},
		{name: "too far", known: []Transaction{coffee}, fetched: []Transaction{booked("2026-05-10", -150, "CB CAFE DU PORT")}, insert: 1, refs: []string{""}},
		{name: "each is in doubt once", known: []Transaction{coffee}, fetched: []Transaction{
			booked("2026-05-05", -150, "CB CAFE DU PORT"), booked("2026-05-06", -150, "CB CAFE DU PORT"),
		}, insert: 2, refs: []string{""}, doubts: []DoubtReason{OtherDay}},
		{name: "what is found is in no doubt", known: []Transaction{coffee}, fetched: []Transaction{coffee, booked("2026-05-05", -150, "CB CAFE DU PORT")}, insert: 1, refs: []string{""}},
		{name: "a statement voids nothing", known: []Transaction{pending("2026-05-04", -999, "HOTEL")}, fetched: []Transaction{coffee}, insert: 1, refs: []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			known := apply(nil, Plan{Insert: c.known}, &n)
			plan, doubts := MergeStatement(known, c.fetched)
			if len(plan.Insert) != c.insert || plan.Voided != 0 {
				t.Errorf("inserts %d, voids %d", len(plan.Insert), plan.Voided)
			}
			var refs []string
			var reasons []DoubtReason
			for _, one := range apply(known, plan, &n)[:len(known)] {
				refs = append(refs, one.Ref)
			}
			for _, d := range doubts {
				reasons = append(reasons, d.Reason)
			}
			if diff := cmp.Diff([]any{c.refs, c.doubts}, []any{refs, reasons}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever a bank has listed and files have told of, in any order: nothing that was
// known is lost or changed but for its reference, nothing is added twice, and what
// is told again adds nothing. A source that gives one reference to two things in two
// lists is not believed in its second; here, each stays with its thing.
func TestStatementLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 0
		var known []Transaction
		var told [][]Transaction
		sources := []string{"", "ofx", "camt"}
		named := map[string]Transaction{}
		for step := range rapid.IntRange(1, 5).Draw(t, "steps") {
			format := rapid.SampledFrom(sources).Draw(t, "source")
			list := genTransactions(t, fmt.Sprintf("list %d", step))
			for i := range list {
				list[i].Status = Booked
				if list[i].BookedOn == "" {
					list[i].BookedOn = "2026-05-09"
				}
				if format != "" {
					list[i].Ref = FileRef(format, list[i].Ref)
				}
				if first, again := named[list[i].Ref]; again && list[i].Ref != "" {
					list[i] = first
				}
				named[list[i].Ref] = list[i]
			}
			before := known
			plan, doubts := MergeStatement(known, list)
			for _, d := range doubts {
				if d.Insert < 0 || d.Insert >= len(plan.Insert) || plan.Insert[d.Insert].Amount != d.Known.Amount {
					t.Fatalf("a doubt about nothing: %+v", d)
				}
			}
			known = apply(known, plan, &n)
			for i, b := range before {
				a := known[i]
				if b.Ref != "" && a.Ref != b.Ref && (sourceOf(b.Ref) == "" || sourceOf(a.Ref) != "") {
					t.Fatalf("%q became %q", b.Ref, a.Ref)
				}
				if a.Ref = b.Ref; a != b {
					t.Fatalf("a booked transaction changed: %+v, %+v", b, a)
				}
			}
			told = append(told, list)
			again, doubts := MergeStatement(known, list)
			if len(again.Insert) > 0 || len(doubts) > 0 {
				t.Fatalf("the same again adds %+v, doubts %+v", again.Insert, doubts)
			}
			known = apply(known, again, &n)
		}
		for _, list := range told {
			if again, _ := MergeStatement(known, list); len(again.Insert) > 0 {
				t.Fatalf("an earlier list adds %+v", again.Insert)
			}
		}
	})
}
