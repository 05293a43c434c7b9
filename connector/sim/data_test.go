package simconnector

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	simbank "guichet/sim/bank"
)

func TestInstitutions(t *testing.T) {
	c, err := New("http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Institutions(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != Institution || len(list[0].Fields) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	login, password := list[0].Fields[0], list[0].Fields[1]
	if login.ID != FieldLogin || login.Masked || !login.Required || password.ID != FieldPassword || !password.Masked || !password.Required {
		t.Errorf("%+v", list[0].Fields)
	}
}

// find is the first operation whose label has those words.
func find(t *testing.T, ts []ledger.Transaction, words string) ledger.Transaction {
	t.Helper()
	for _, tr := range ts {
		if strings.Contains(tr.RawLabel, words) {
			return tr
		}
	}
	t.Fatalf("no operation %q", words)
	return ledger.Transaction{}
}

func TestEverythingIsRead(t *testing.T) {
	_, address := open(t)
	d := newDesk(t, address, "simple")
	want(t, d.logIn(), bank.OK, "")
	if len(d.sink.warnings) > 0 || len(d.sink.accounts) != 4 {
		t.Fatalf("%d accounts, warnings %v", len(d.sink.accounts), d.sink.warnings)
	}
	current, livret, card, joint := d.sink.accounts[0], d.sink.accounts[1], d.sink.accounts[2], d.sink.accounts[3]
	for _, c := range []struct {
		a             ledger.Account
		kind          ledger.AccountKind
		subtype       string
		iban, refs    bool
		leastHistory  int
		balanceBelow0 bool
	}{
		{current, ledger.Cash, "", true, true, 300, false},
		{livret, ledger.Savings, "livret_a", false, true, 14, false},
		{card, ledger.Card, "deferred_debit", false, false, 100, true},
		{joint, ledger.Cash, "joint", true, false, 150, false},
	} {
		ts := d.sink.transactions[c.a.Ref]
		if c.a.Kind != c.kind || c.a.Subtype != c.subtype || (c.a.IBAN != "") != c.iban || c.a.Balance.Currency != "EUR" ||
			(c.a.Balance.Minor < 0) != c.balanceBelow0 || !c.a.AsOf.Equal(noon) || len(ts) < c.leastHistory {
			t.Errorf("%+v with %d operations", c.a, len(ts))
		}
		for _, tr := range ts {
			if (tr.Ref != "") != c.refs || tr.Amount.Currency != "EUR" || tr.Amount.Minor == 0 || tr.RawLabel == "" || tr.Label == "" ||
				tr.BookedOn == "" || tr.DoneOn > tr.BookedOn || tr.Type == "unknown" {
				t.Fatalf("%s: %+v", c.a.Label, tr)
			}
		}
	}
	if card.Parent != current.Ref || current.Parent != "" {
		t.Errorf("the card is debited from %q, not %q", card.Parent, current.Ref)
	}

	ami := find(t, d.sink.transactions[current.Ref], "AMI")
	if ami.RawLabel != `CARTE 12/11 CHEZ <b>"L'AMI"</b> & FILS` || ami.Label != `CHEZ <b>"L'AMI"</b> & FILS` ||
		ami.DoneOn != "2026-11-12" || ami.BookedOn != "2026-11-13" || ami.Type != "card" {
		t.Errorf("%+v", ami)
	}
	if raw := find(t, d.sink.transactions[joint.Ref], "CARREFOUR"); !strings.Contains(raw.RawLabel, "CARREFOUR\u00a0MARKET") || strings.Contains(raw.Label, "\u00a0") {
		t.Errorf("%q, %q", raw.RawLabel, raw.Label)
	}
	for label, kind := range map[string]string{
		"SALAIRE": "transfer", "FREE MOBILE": "direct_debit", "RETRAIT DAB": "withdrawal", "RELEVE DIFFERE": "card_summary",
		"COTISATION": "fee", "CHEQUE": "check", "VIR INSTANTANE": "instant_transfer",
	} {
		if got := find(t, d.sink.transactions[current.Ref], label).Type; got != kind {
			t.Errorf("%s is a %s, want %s", label, got, kind)
		}
	}
	dollars, yen := find(t, d.sink.transactions[card.Ref], "SEATTLE"), find(t, d.sink.transactions[card.Ref], "KYOTO")
	if dollars.Original.Currency != "USD" || dollars.Original.Minor*10_000/10_873 != dollars.Amount.Minor ||
		yen.Original.Currency != "JPY" || yen.Original.Minor*1_000_000/1_624_000 != yen.Amount.Minor {
		t.Errorf("%+v %+v", dollars, yen)
	}

	var owed int64
	coffees := 0
	for _, tr := range d.sink.transactions[card.Ref] {
		if tr.Status == ledger.Scheduled {
			owed += tr.Amount.Minor
			if tr.Type != "deferred_card" || tr.BookedOn != "2026-11-30" || tr.DoneOn > "2026-11-21" {
				t.Errorf("%+v", tr)
			}
		}
		if tr.DoneOn == "2026-11-12" && tr.RawLabel == "CAFÉ DE LA GARE" {
			coffees++
		}
	}
	if owed != card.Balance.Minor || coffees != 2 {
		t.Errorf("the card owes %d, its purchases make %d; %d coffees", card.Balance.Minor, owed, coffees)
	}
	if phases := slices.Compact(d.sink.phases); !slices.Equal(phases,
		[]bank.Phase{bank.Starting, bank.Authenticating, bank.Listing, bank.Fetching, bank.Finishing}) {
		t.Errorf("phases %v", phases)
	}
}

func TestSinceReadsNoMoreThanNeeded(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "simple")
	d.logIn()
	all := d.sink
	pages := site.Counters("simple").HistoryPages
	want(t, d.run(t.Context(), func(o *bank.Run) { o.Since = "2026-10-01" }).Outcome, bank.OK, "")
	if read := site.Counters("simple").HistoryPages - pages; read >= pages {
		t.Errorf("%d pages read of %d", read, pages)
	}
	for _, a := range all.accounts {
		var recent []ledger.Transaction
		for _, tr := range all.transactions[a.Ref] {
			if tr.BookedOn >= "2026-10-01" {
				recent = append(recent, tr)
			}
		}
		if diff := cmp.Diff(recent, d.sink.transactions[a.Ref]); diff != "" {
			t.Errorf("%s: %s", a.Label, diff)
		}
	}
}

func TestBalanceOfOneAccount(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "simple")
	d.logIn()
	joint := d.sink.accounts[3]
	pages := site.Counters("simple").HistoryPages
	got := d.run(t.Context(), func(o *bank.Run) { o.Op, o.AccountRef = bank.FetchBalance, joint.Ref }).Outcome
	want(t, got, bank.OK, "")
	if diff := cmp.Diff([]ledger.Account{joint}, d.sink.accounts); diff != "" || d.sink.count() != 0 {
		t.Errorf("%d operations, %s", d.sink.count(), diff)
	}
	if read := site.Counters("simple").HistoryPages - pages; read != 1 {
		t.Errorf("%d pages read for a balance", read)
	}
	got = d.run(t.Context(), func(o *bank.Run) { o.Op, o.AccountRef = bank.FetchBalance, "inconnu" }).Outcome
	want(t, got, bank.Partial, "")
	if len(d.sink.accounts) != 0 || !slices.Equal(d.sink.warnings, []string{"account_missing inconnu"}) {
		t.Errorf("%v %v", d.sink.accounts, d.sink.warnings)
	}
}

func TestAHundredThousandOperations(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "many")
	want(t, d.logIn(), bank.OK, "")
	current := d.sink.transactions[d.sink.accounts[0].Ref]
	seen := map[string]bool{}
	var sum int64
	for _, tr := range current {
		seen[tr.Ref] = true
		sum += tr.Amount.Minor
	}
	if len(current) != 100_000 || len(seen) != 100_000 || sum != 0 || len(d.sink.warnings) > 0 {
		t.Errorf("%d operations, %d references, sum %d, %v", len(current), len(seen), sum, d.sink.warnings)
	}
	if got := site.Counters("many"); got.Logins != 1 {
		t.Errorf("the bank saw %+v", got)
	}
}

// The bank fails at every step in turn, in every way: never is half of the data
// taken for the whole, never is a login sent twice, never does a fault end as
// something else than an outcome.
func TestEveryFaultAtEveryStep(t *testing.T) {
	site, address := open(t)
	clean := newDesk(t, address, "simple")
	want(t, clean.logIn(), bank.OK, "")
	requests := site.Counters("").Requests
	allowed := map[string][]bank.OutcomeKind{
		simbank.FaultUnavailable: {bank.BankUnavailable},
		simbank.FaultTooMany:     {bank.RateLimited},
		simbank.FaultExpire:      {bank.BankUnavailable, bank.ChallengeExpired},
		simbank.FaultReset:       {bank.BankUnavailable},
		simbank.FaultTruncate:    {bank.ConnectorError},
		simbank.FaultLayout:      {bank.ConnectorError},
		simbank.FaultGarbage:     {bank.ConnectorError},
	}
	for kind, outcomes := range allowed {
		for after := range requests {
			site.Reset()
			if err := site.AddFaults(simbank.Fault{Kind: kind, After: after, Times: 1}); err != nil {
				t.Fatal(err)
			}
			d := newDesk(t, address, "simple")
			got := d.logIn()
			if logins := site.Counters("").Logins; logins > 1 {
				t.Errorf("%s at request %d: %d logins", kind, after, logins)
			}
			switch {
			case got.Kind == bank.OK:
				// The fault struck where it cannot matter: a redirection without a
				// body, the goodbye.
				if diff := cmp.Diff(clean.sink.transactions, d.sink.transactions) + cmp.Diff(clean.sink.accounts, d.sink.accounts); diff != "" {
					t.Errorf("%s at request %d: done, with other data: %s", kind, after, diff)
				}
			case !slices.Contains(outcomes, got.Kind):
				t.Errorf("%s at request %d: %+v", kind, after, got)
			}
			if after > 3 && after < requests-2 && got.Kind == bank.OK {
				t.Errorf("%s at request %d went unseen", kind, after)
			}
		}
	}
}

func TestHangAndSlowEndWithTheContext(t *testing.T) {
	_, address := open(t)
	for _, login := range []string{"hang", "slow"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		got := newDesk(t, address, login).run(ctx, nil).Outcome
		cancel()
		if want(t, got, bank.Cancelled, ""); got.Reason != "deadline" || time.Since(start) > time.Second {
			t.Errorf("%s: %+v after %v", login, got, time.Since(start))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := want(t, newDesk(t, address, "simple").run(ctx, nil).Outcome, bank.Cancelled, ""); got.Reason != "shutdown" {
		t.Errorf("%+v", got)
	}
}

func TestNobodyAnswers(t *testing.T) {
	want(t, newDesk(t, "http://127.0.0.1:1", "simple").logIn(), bank.BankUnavailable, "")
}

// A sink that refuses ends the run.
func TestSinkThatRefuses(t *testing.T) {
	_, address := open(t)
	c, err := New(address)
	if err != nil {
		t.Fatal(err)
	}
	sink := &notes{t: t, transactions: map[string][]ledger.Transaction{}, full: errors.New("full")}
	result := c.Run(t.Context(), bank.Run{
		Institution: Institution, Op: bank.FetchAll, Now: noon,
		Credentials: map[string]guichet.Secret{FieldLogin: "simple", FieldPassword: password},
	}, sink)
	if result.Outcome.Kind != bank.ConnectorError || sink.count() == 0 || len(sink.accounts) != 1 {
		t.Errorf("%+v after %d accounts", result.Outcome, len(sink.accounts))
	}
}

// One connector serves many accesses at once.
func TestOneConnectorManyRuns(t *testing.T) {
	site, address := open(t)
	c, err := New(address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, login := range []string{"simple", "simple-2", "otp", "wrongpass", "simple-3", "terms"} {
		wg.Go(func() {
			sink := &notes{t: t, transactions: map[string][]ledger.Transaction{}}
			result := c.Run(t.Context(), bank.Run{
				Institution: Institution, Op: bank.FetchAll, Now: noon, Present: true,
				Credentials: map[string]guichet.Secret{FieldLogin: guichet.Secret(login), FieldPassword: password},
			}, sink)
			if simple := strings.HasPrefix(login, "simple"); simple != (result.Outcome.Kind == bank.OK) || simple != (sink.count() > 0) {
				t.Errorf("%s: %+v with %d operations", login, result.Outcome, sink.count())
			}
		})
	}
	wg.Wait()
	if got := site.Counters("").Logins; got != 6 {
		t.Errorf("%d logins", got)
	}
}
