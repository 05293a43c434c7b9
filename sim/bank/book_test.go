package simbank

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	anyLogin = rapid.StringMatching(`(simple|otp|app|marie)[a-z0-9-]{0,6}`)
	anyDay   = rapid.Custom(func(t *rapid.T) time.Time {
		return day(2024, 1, 1).AddDate(0, 0, rapid.IntRange(0, 1500).Draw(t, "day"))
	})
)

func bookOf(login string, today time.Time) *book { return writeBook(login, StoryOf(login), today) }

func sum(ops []op) (total int64) {
	for _, o := range ops {
		total += o.cents
	}
	return total
}

// A balance is what the account opened with plus all that is shown since; what a
// deferred card owes is what is not debited yet.
func TestBalanceIsOpeningPlusSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		today := anyDay.Draw(t, "today")
		for _, a := range bookOf(anyLogin.Draw(t, "login"), today).accounts {
			want := a.opening + sum(a.ops)
			if a.card {
				want = sum(a.coming)
			}
			if a.balance != want {
				t.Fatalf("%s: balance %d, opening and operations make %d", a.name, a.balance, want)
			}
			for _, o := range slices.Concat(a.ops, a.coming) {
				if o.cents == 0 || o.label == "" || o.booked.Before(historyStart(today)) {
					t.Fatalf("%s: odd operation %+v", a.name, o)
				}
			}
			for _, o := range a.ops {
				if o.booked.After(today) {
					t.Fatalf("%s: an operation of the future %+v", a.name, o)
				}
			}
			for _, o := range a.coming {
				if !o.booked.After(today) || o.done.After(today) {
					t.Fatalf("%s: not to come %+v", a.name, o)
				}
			}
		}
	})
}

// The current account shows, on the last day of each month, the debit of what
// the card's history says was debited that day.
func TestCardDebitIsTheSumOfItsPurchases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bookOf(anyLogin.Draw(t, "login"), anyDay.Draw(t, "today"))
		debited := map[time.Time]int64{}
		for _, o := range b.accounts[2].ops {
			debited[o.booked] += o.cents
		}
		seen := map[time.Time]int64{}
		for _, o := range b.accounts[0].ops {
			if strings.HasPrefix(o.label, "RELEVE DIFFERE CARTE") {
				seen[o.booked] += o.cents
			}
		}
		if diff := cmp.Diff(debited, seen); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What the bank showed one day it shows the next, reference included; it only
// adds, and drops whole months at the far end.
func TestHistoryOnlyGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		login, today := anyLogin.Draw(t, "login"), anyDay.Draw(t, "today")
		later := today.AddDate(0, 0, rapid.IntRange(1, 70).Draw(t, "days"))
		before, after := bookOf(login, today), bookOf(login, later)
		for i, a := range before.accounts {
			var kept []op
			for _, o := range after.accounts[i].ops {
				if !o.booked.After(today) {
					kept = append(kept, o)
				}
			}
			var want []op
			for _, o := range a.ops {
				if !o.booked.Before(historyStart(later)) {
					want = append(want, o)
				}
			}
			if !slices.Equal(want, kept) {
				t.Fatalf("%s: the history changed: %s", a.name, cmp.Diff(want, kept, cmp.AllowUnexported(op{})))
			}
			for _, o := range a.coming {
				all := slices.Concat(after.accounts[i].ops, after.accounts[i].coming)
				if !slices.Contains(all, o) && !o.booked.Before(historyStart(later)) {
					t.Fatalf("%s: what was coming is gone: %+v", a.name, o)
				}
			}
		}
	})
}

func TestReferencesAreUniqueWhereThereAreAny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, a := range bookOf(anyLogin.Draw(t, "login"), anyDay.Draw(t, "today")).accounts {
			seen := map[string]bool{}
			for _, o := range a.ops {
				if (o.ref != "") != a.refs || o.ref != "" && seen[o.ref] {
					t.Fatalf("%s: reference %q", a.name, o.ref)
				}
				seen[o.ref] = true
			}
		}
	})
}

func TestBookLooksLikeALife(t *testing.T) {
	b := bookOf("otp-claire", noon)
	current, livret, card, joint := b.accounts[0], b.accounts[1], b.accounts[2], b.accounts[3]
	if oldest := current.ops[len(current.ops)-1].booked; oldest.After(midnight(noon).AddDate(0, -13, 0)) {
		t.Errorf("history goes back to %v only", oldest)
	}
	for _, want := range []string{"SALAIRE 10/2026", "FREE MOBILE", "LECLERC", "RETRAIT DAB", `<b>"L'AMI"</b>`, "Œ"} {
		if !slices.ContainsFunc(current.ops, func(o op) bool { return strings.Contains(o.label, want) }) {
			t.Errorf("the current account has no %q", want)
		}
	}
	for _, want := range []string{"LOYER", "EDF", "CARREFOUR\u00a0MARKET"} {
		if !slices.ContainsFunc(joint.ops, func(o op) bool { return strings.Contains(o.label, want) }) {
			t.Errorf("the joint account has no %q", want)
		}
	}
	for _, want := range []string{" USD (", " JPY ("} {
		if !slices.ContainsFunc(card.ops, func(o op) bool { return strings.Contains(o.detail, want) }) {
			t.Errorf("the card has no operation in %q", want)
		}
	}
	if len(card.coming) == 0 || card.balance >= 0 || card.parent != current.number {
		t.Errorf("the card owes %d to %q with %d purchases to come", card.balance, card.parent, len(card.coming))
	}
	if len(livret.ops) < 14 || livret.balance <= 0 || livret.balance > 22_950_00 {
		t.Errorf("Livret A: %d operations, balance %d", len(livret.ops), livret.balance)
	}
	twins := 0
	for _, a := range []account{current, card, joint} {
		for i := 1; i < len(a.ops); i++ {
			x, y := a.ops[i-1], a.ops[i]
			if x.label == y.label && x.cents == y.cents && x.booked.Equal(y.booked) && x.done.Equal(y.done) {
				twins++
			}
		}
	}
	if twins < 3 {
		t.Errorf("%d pairs of equal operations", twins)
	}
	if current.balance <= 0 || joint.balance <= 0 {
		t.Errorf("overdrawn: %d, %d", current.balance, joint.balance)
	}
}

func TestSameLoginSamePages(t *testing.T) {
	pages := func() []string {
		_, server := open(t)
		b := newBrowser(t, server).logIn("simple")
		list := []string{b.page}
		for _, path := range regexp.MustCompile(`/accounts/[^"/]+/history`).FindAllString(b.page, -1) {
			list = append(list, b.get(path).page, b.get(strings.Replace(path, "history", "coming", 1)).page)
		}
		return list
	}
	one, two := pages(), pages()
	if len(one) != 9 {
		t.Fatalf("%d pages read", len(one))
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
	if profileOf("simple").name == profileOf("simple2").name && profileOf("simple").number(1) == profileOf("simple2").number(1) {
		t.Error("two customers are one")
	}
}

var amountCell = regexp.MustCompile(`<td class="montant[^"]*">([^<]*)</td>`)

// cents reads an amount of a page back, as a connector would.
func cents(t *testing.T, amount string) int64 {
	t.Helper()
	digits := strings.NewReplacer(noBreak, "", narrowNoBreak, "", "€", "", ",", "").Replace(amount)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatalf("amount %q: %v", amount, err)
	}
	return n
}

func TestPagesShowTheWholeHistoryAndAddUp(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server).logIn("simple")
	current := bookOf("simple", noon).accounts[0]
	var total int64
	rows := 0
	path := "/accounts/" + current.id + "/history"
	for {
		b.get(path)
		for _, m := range amountCell.FindAllStringSubmatch(b.page, -1) {
			total += cents(t, m[1])
			rows++
		}
		if !strings.Contains(b.page, `rel="next"`) {
			break
		}
		path = link(t, b, path[:strings.Index(path, "history")]+"history?page="+fmt.Sprint(site.Counters("simple").HistoryPages+1))
	}
	opening := regexp.MustCompile(`Ancien solde au 01/09/2025 : <span class="montant">([^<]*)<`).FindStringSubmatch(b.page)
	balance := regexp.MustCompile(`<dd class="solde[^"]*">([^<]*)<`).FindStringSubmatch(b.page)
	if opening == nil || balance == nil {
		t.Fatal("the last page shows no opening or no balance")
	}
	if got, want := cents(t, opening[1])+total, cents(t, balance[1]); got != want {
		t.Errorf("the pages add up to %d, the balance is %d", got, want)
	}
	if pages := site.Counters("simple").HistoryPages; rows != len(current.ops) || pages < 2 || pages != (rows+pageSize-1)/pageSize {
		t.Errorf("%d rows on %d pages for %d operations", rows, pages, len(current.ops))
	}
	for _, page := range []string{"0", "-1", "99", "deux", "1e3"} {
		if b.get("/accounts/" + current.id + "/history?page=" + page); b.status != 404 {
			t.Errorf("page %s answers %d", page, b.status)
		}
	}
}

func TestHostileLabelsAreEscaped(t *testing.T) {
	_, server := open(t)
	b := newBrowser(t, server).logIn("simple")
	book := bookOf("simple", noon)
	b.get("/accounts/" + book.accounts[3].id + "/history").wantText(`<script>alert("judo")</script> O'DOJO`)
	if strings.Contains(b.page, "<script") {
		t.Error("a label became a script")
	}
	b.get("/accounts/" + book.accounts[0].id + "/history").wantText(`CHEZ <b>"L'AMI"</b> & FILS`)
	if strings.Contains(b.page, "<b>") {
		t.Error("a label became an element")
	}
}

func TestDayOfDebitMovesPurchasesToTheHistory(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server).logIn("simple")
	card := bookOf("simple", noon).accounts[2]
	if !card.coming[0].booked.Equal(day(2026, 11, 30)) {
		t.Fatalf("debited on %v", card.coming[0].booked)
	}
	b.get("/accounts/" + card.id + "/coming").wantText(card.coming[0].label)
	b.get("/accounts/" + card.id + "/history")
	if strings.Contains(b.page, "30/11/2026") {
		t.Error("in the history before it is debited")
	}
	site.Advance(9 * 24 * time.Hour) // the 30th; the session ended meanwhile
	b.logIn("simple").get("/accounts/" + card.id + "/history").wantText("30/11/2026")
	b.get("/accounts/" + bookOf("simple", noon).accounts[0].id + "/history").wantText("RELEVE DIFFERE CARTE")
	b.get("/accounts/" + bookOf("simple", noon).accounts[1].id + "/coming").wantText("Aucune opération à venir")
}

func TestManyHasAHundredThousand(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server).logIn("many")
	path := "/accounts/" + profileOf("many").number(1) + "/history?page="
	var total int64
	rows := 0
	for n := 1; n <= 100; n++ {
		for _, m := range amountCell.FindAllStringSubmatch(b.get(path+strconv.Itoa(n)).page, -1) {
			total += cents(t, m[1])
			rows++
		}
	}
	if rows != 100_000 || total != 0 {
		t.Errorf("%d operations that make %d", rows, total)
	}
	if b.get(path + "101"); b.status != 404 {
		t.Errorf("page 101 answers %d", b.status)
	}
	if got := site.Counters("many").HistoryPages; got != 100 {
		t.Errorf("%d pages counted", got)
	}
}

func TestAmountsInFrench(t *testing.T) {
	for want, got := range map[string]string{
		"0,00 €": euros(0, noBreak), "-0,05 €": euros(-5, noBreak), "1 234,56 €": euros(123456, noBreak),
		"-1 234 567,00 €": euros(-123456700, noBreak), "999,99 €": euros(99999, noBreak),
		"1 250": decimal(1250, 0, noBreak), "162,4000": decimal(1624000, 4, noBreak),
	} {
		if got = strings.ReplaceAll(got, noBreak, " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !strings.Contains(euros(100000, narrowNoBreak), "1\u202f000") {
		t.Error("the narrow space is not used")
	}
}

func TestIBANsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{11}`).Draw(t, "number")
		s := iban(number)
		if len(s) != 27 || mod97(s[4:]+"1527"+s[2:4]) != 1 {
			t.Fatalf("%s is no IBAN", s)
		}
		bank, branch, account, key := s[4:9], s[9:14], s[14:25], s[25:]
		weighted := 89*mod97(bank) + 15*mod97(branch) + 3*mod97(account)
		if want := 97 - weighted%97; key != fmt.Sprintf("%02d", want) {
			t.Fatalf("%s: key %s, want %02d", s, key, want)
		}
		if strings.ReplaceAll(inFours(s), " ", "") != s {
			t.Fatalf("%s written as %s", s, inFours(s))
		}
	})
}

// Nobody prints the number of a card whole.
func TestCardNumberIsMasked(t *testing.T) {
	masked := regexp.MustCompile(`^4970 \*{4} \*{4} \d{4}$`)
	b := writeBook("simple", StoryOf("simple"), midnight(noon))
	var number string
	for _, a := range b.accounts {
		if a.card {
			number = a.number
		}
	}
	if !masked.MatchString(number) {
		t.Errorf("the card is shown as %q", number)
	}
	summaries := 0
	for _, o := range b.accounts[0].ops {
		if strings.HasPrefix(o.label, "RELEVE DIFFERE CARTE ") {
			summaries++
			if o.label != "RELEVE DIFFERE CARTE "+number {
				t.Errorf("%q is of another card than %q", o.label, number)
			}
		}
	}
	if summaries == 0 {
		t.Error("no summary of the card")
	}
}
