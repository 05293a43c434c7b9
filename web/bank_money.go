package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/web/view"
)

// accounts lists the accounts of each access, with their balances as the banks
// told them.
func (s *Server) accounts(v visit) error {
	ctx := v.r.Context()
	cases, _, err := v.cases()
	if err != nil {
		return err
	}
	all, err := s.Bank.Store.Accounts(ctx, bank.AccountFilter{Owner: v.me.ID})
	if err != nil {
		return err
	}
	names, err := s.institutions(ctx)
	if err != nil {
		return err
	}
	var page view.AccountList
	for _, c := range cases {
		g := view.AccountGroup{Institution: cmp.Or(names[c.Access.Institution], c.Access.Institution), Label: c.Access.Label, URL: accessURL(c.Access.ID)}
		g.State, _ = standing(c)
		for _, a := range all {
			if a.AccessID == c.Access.ID {
				g.Accounts = append(g.Accounts, accountLine(a))
			}
		}
		if len(g.Accounts) > 0 {
			page.Groups = append(page.Groups, g)
		}
	}
	page.Totals = totals(all)
	v.show(http.StatusOK, func(f view.Frame) component { return view.AccountsPage(f, page) })
	return nil
}

func accountLine(a ledger.Account) view.AccountLine {
	return view.AccountLine{
		Name: accountName(a), Number: accountNumber(a), Balance: view.Money(a.Balance), AsOf: a.AsOf, Missing: a.Missing, Untold: !a.Told(),
		URL: withParameter(view.PathOperations, "account", a.ID.String()),
	}
}

func accountName(a ledger.Account) string { return cmp.Or(a.Label, a.Number, a.Ref) }

// accountNumber is the end of the number, enough to tell accounts apart.
func accountNumber(a ledger.Account) string {
	if a.Label == "" && a.Number != "" {
		return "" // it is the name already
	}
	number := strings.ReplaceAll(cmp.Or(a.Number, a.IBAN), " ", "")
	if r := []rune(number); len(r) > 4 {
		number = string(r[len(r)-4:])
	}
	if number == "" {
		return ""
	}
	return "••\u00a0" + number
}

// totals adds up balances, each currency apart. What a bank lists no more, or nobody
// told, is not money one has; a sum that cannot be told exactly is not told.
func totals(accounts []ledger.Account) []view.Money {
	var sums []ledger.Money
	for _, a := range accounts {
		if a.Missing || !a.Told() {
			continue
		}
		at := slices.IndexFunc(sums, func(m ledger.Money) bool { return m.Currency == a.Balance.Currency })
		if at < 0 {
			sums = append(sums, a.Balance)
			continue
		}
		sum, err := sums[at].Plus(a.Balance)
		if err != nil {
			return nil
		}
		sums[at] = sum
	}
	out := make([]view.Money, len(sums))
	for i, m := range sums {
		out[i] = view.Money(m)
	}
	return out
}

const (
	operationRows = 50     // on a page
	searchReach   = 20_000 // rows that one search looks through; the next page goes on
)

// operations lists operations, newest first: of one account or of all, with what
// was searched for in their words.
func (s *Server) operations(v visit) error {
	query := v.r.URL.Query()
	all, err := s.Bank.Store.Accounts(v.r.Context(), bank.AccountFilter{Owner: v.me.ID})
	if err != nil {
		return err
	}
	chosen := all
	page := view.OperationList{Chips: v.accountChips(all, query.Get("account"))}
	if id := query.Get("account"); id != "" {
		at := slices.IndexFunc(all, func(a ledger.Account) bool { return a.ID.String() == id })
		if at < 0 {
			return bank.ErrNoAccount
		}
		chosen = all[at : at+1]
		page.Account = accountName(all[at])
		if page.Head, err = v.accountHead(all[at]); err != nil {
			return err
		}
	}
	before, err := cursorOf(query.Get("before"))
	if err != nil {
		return err
	}
	wanted := plain(query.Get("q"))
	reel := newReel(v, chosen, before, wanted)
	rows, more, err := reel.take(operationRows)
	if err != nil {
		return err
	}
	if page.Months, err = v.months(rows, chosen, wanted == ""); err != nil {
		return err
	}
	if more {
		page.Pager.Older = withParameter(v.r.URL.RequestURI(), "before", string(reel.at.Day)+","+reel.at.ID.String())
	}
	if before != (bank.TransactionCursor{}) {
		page.Pager.Newer = withParameter(v.r.URL.RequestURI(), "before", "")
	}
	page.Empty = v.noOperation(all, wanted, page.Pager.Older)
	v.show(http.StatusOK, func(f view.Frame) component { return view.OperationsPage(f, page) })
	return nil
}

func (v visit) noOperation(all []ledger.Account, wanted, older string) view.Empty {
	switch {
	case len(all) == 0:
		return view.Empty{Says: v.words("account.empty"), Action: &view.Action{Label: v.words("access.open_first"), URL: view.PathNewAccess, Tone: view.Primary}}
	case older != "":
		return view.Empty{Says: v.words("operation.not_yet"), Action: &view.Action{Label: v.words("operation.search_on"), URL: older}}
	case wanted != "":
		return view.Empty{Says: v.words("operation.empty")}
	default:
		return view.Empty{Says: v.words("operation.none")}
	}
}

func (v visit) accountChips(all []ledger.Account, chosen string) []view.Chip {
	if len(all) < 2 {
		return nil
	}
	of := func(id string) string {
		return withParameter(withParameter(withParameter(v.r.URL.RequestURI(), "before", ""), "question", ""), "account", id)
	}
	chips := []view.Chip{{Label: v.words("operation.all_accounts"), URL: of(""), On: chosen == ""}}
	for _, a := range all {
		chips = append(chips, view.Chip{Label: accountName(a), URL: of(a.ID.String()), On: chosen == a.ID.String()})
	}
	return chips
}

// accountHead offers to ask the bank for the balance, where there is a bank that
// may be asked.
func (v visit) accountHead(a ledger.Account) (*view.AccountHead, error) {
	head := &view.AccountHead{Line: accountLine(a)}
	cases, _, err := v.cases()
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(cases, func(c bank.Case) bool { return c.Access.ID == a.AccessID })
	if at < 0 || cases[at].Access.Connector == bank.ByFile || cases[at].Access.Disabled {
		return head, nil
	}
	ask := v.refreshAction(cases[at].Access, view.Quiet)
	if ask.Label = v.words("account.refresh"); ask.Post {
		ask.URL = "/accounts/" + a.ID.String() + "/refresh"
	}
	head.Actions = []view.Action{*ask}
	return head, nil
}

var errCursor = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_cursor", Field: "before", Reason: "This is not where a page of ours ended."}

// cursorOf reads where a page ended: 2026-05-04,ID.
func cursorOf(text string) (c bank.TransactionCursor, err error) {
	if text == "" {
		return c, nil
	}
	day, last, _ := strings.Cut(text, ",")
	if c.Day, err = ledger.ParseDate(day); err != nil {
		return c, errCursor
	}
	if c.ID, err = guichet.ParseID(last); err != nil {
		return c, errCursor
	}
	return c, nil
}

// listed is the day by which a transaction is listed.
func listed(t ledger.Transaction) ledger.Date { return cmp.Or(t.Day(), t.SeenOn) }

// months puts rows under their months, with the sums of each whole month unless
// only some of its rows were asked for.
func (v visit) months(rows []ledger.Transaction, accounts []ledger.Account, sums bool) ([]view.OperationMonth, error) {
	names := map[guichet.ID]string{}
	if len(accounts) > 1 {
		for _, a := range accounts {
			names[a.ID] = accountName(a)
		}
	}
	var out []view.OperationMonth
	for _, t := range rows {
		day, err := time.Parse(time.DateOnly, string(listed(t)))
		if err != nil {
			return nil, err
		}
		month := day.AddDate(0, 0, 1-day.Day())
		if len(out) == 0 || !out[len(out)-1].Month.Equal(month) {
			m := view.OperationMonth{Month: month}
			if sums {
				if m.Sums, err = v.monthSums(accounts, month); err != nil {
					return nil, err
				}
			}
			out = append(out, m)
		}
		m := &out[len(out)-1]
		m.Rows = append(m.Rows, view.Operation{
			ID: t.ID.String(), Day: day, Label: cmp.Or(t.Label, t.RawLabel), RawLabel: t.RawLabel, Account: names[t.AccountID], Amount: view.Money(t.Amount),
			Pending: t.Status == ledger.Pending || t.Status == ledger.Scheduled,
		})
	}
	return out, nil
}

// monthSums is what came in and went out in a month, of what the banks have
// entered, each currency apart. Purchases of a deferred card count, and not the
// debit that settles them.
func (v visit) monthSums(accounts []ledger.Account, month time.Time) ([]view.MonthSum, error) {
	type flows struct{ in, out ledger.Money }
	var sums []flows
	first, after := ledger.DateOf(month), ledger.DateOf(month.AddDate(0, 1, 0))
	reel := newReel(v, accounts, bank.TransactionCursor{Day: after}, "")
	reel.page = 1000
	settles := ledger.SettlesCards(accounts)
	for {
		t, ok, err := reel.next()
		if err != nil {
			return nil, err
		}
		if !ok || listed(t) < first {
			break
		}
		if t.Status != ledger.Booked || settles(t) {
			continue
		}
		at := slices.IndexFunc(sums, func(f flows) bool { return cmp.Or(f.in.Currency, f.out.Currency) == t.Amount.Currency })
		if at < 0 {
			zero := ledger.Money{Currency: t.Amount.Currency}
			sums, at = append(sums, flows{zero, zero}), len(sums)
		}
		into := &sums[at].in
		if t.Amount.Minor < 0 {
			into = &sums[at].out
		}
		if *into, err = into.Plus(t.Amount); err != nil {
			return nil, nil // it cannot be told exactly, so it is not told
		}
	}
	var out []view.MonthSum
	for _, f := range sums {
		out = append(out, view.MonthSum{In: view.Money(f.in), Out: view.Money(f.out)})
	}
	return out, nil
}

// A reel runs through the transactions of several accounts, newest first.
type reel struct {
	v       visit
	wanted  string // what their words must have in them
	page    int    // rows read at once
	at      bank.TransactionCursor
	tracks  []*track
	reached int
}

// A track is one account of a reel.
type track struct {
	account guichet.ID
	rows    []ledger.Transaction
	at      bank.TransactionCursor
	end     bool
}

func newReel(v visit, accounts []ledger.Account, before bank.TransactionCursor, wanted string) *reel {
	r := &reel{v: v, wanted: wanted, page: operationRows + 1, at: before}
	if wanted != "" {
		r.page = 500
	}
	for _, a := range accounts {
		r.tracks = append(r.tracks, &track{account: a.ID, at: before})
	}
	return r
}

// next is the next transaction, whatever its words.
func (r *reel) next() (t ledger.Transaction, ok bool, err error) {
	var newest *track
	for _, k := range r.tracks {
		if err := r.fill(k); err != nil {
			return t, false, err
		}
		if len(k.rows) > 0 && (newest == nil || newer(k.rows[0], newest.rows[0])) {
			newest = k
		}
	}
	if newest == nil {
		return t, false, nil
	}
	t = newest.rows[0]
	newest.rows = newest.rows[1:]
	return t, true, nil
}

func newer(a, b ledger.Transaction) bool {
	return cmp.Or(cmp.Compare(listed(a), listed(b)), cmp.Compare(a.ID, b.ID)) > 0
}

func (r *reel) fill(k *track) (err error) {
	if len(k.rows) > 0 || k.end {
		return nil
	}
	k.rows, err = r.v.s.Bank.Transactions(r.v.r.Context(), r.v.by(), bank.TransactionFilter{Account: k.account, Before: k.at, Limit: r.page})
	if err != nil {
		return err
	}
	k.end = len(k.rows) < r.page
	if len(k.rows) > 0 {
		last := k.rows[len(k.rows)-1]
		k.at = bank.TransactionCursor{Day: listed(last), ID: last.ID}
	}
	return nil
}

// take gives the next rows with the wanted words, and whether it is worth going
// on from where it stopped. It looks no further than a search may.
func (r *reel) take(limit int) (rows []ledger.Transaction, more bool, err error) {
	for {
		t, ok, err := r.next()
		if err != nil || !ok {
			return rows, false, err
		}
		if t.Status == ledger.Void || r.wanted != "" && !strings.Contains(plain(t.Label+"\n"+t.RawLabel), r.wanted) {
			r.reached++
			if r.reached == searchReach {
				r.at = bank.TransactionCursor{Day: listed(t), ID: t.ID}
				return rows, true, nil
			}
			continue
		}
		if len(rows) == limit {
			return rows, true, nil
		}
		rows = append(rows, t)
		r.at = bank.TransactionCursor{Day: listed(t), ID: t.ID}
	}
}

// bankOverview adds what waits at banks, the latest operations, and how one's
// money stands.
func (s *Server) bankOverview(v visit, page *view.Overview) error {
	ctx := v.r.Context()
	cases, first, err := v.cases()
	if err != nil {
		return err
	}
	if len(cases) == 0 {
		page.Begin = &view.Empty{Says: v.words("access.empty"), Action: &view.Action{Label: v.words("access.open_first"), URL: view.PathNewAccess, Tone: view.Primary}}
		return nil
	}
	lines, err := v.lines(cases, first)
	if err != nil {
		return err
	}
	needs := map[string]bool{}
	ready, banks := 0, 0
	for _, c := range cases {
		needs[c.Access.ID.String()] = waits(c)
		if c.Access.Connector != bank.ByFile { // which is as new as its last file
			banks++
		}
		if c.State() == bank.AccessReady {
			ready++
		}
	}
	for _, l := range lines {
		if needs[l.ID] {
			page.Accesses = append(page.Accesses, l)
		}
	}
	accounts, err := s.Bank.Store.Accounts(ctx, bank.AccountFilter{Owner: v.me.ID})
	if err != nil {
		return err
	}
	if page.News, err = v.bankNews(cases, accounts); err != nil {
		return err
	}
	sums := totals(accounts)
	for _, m := range sums {
		label := v.words("account.total")
		if len(sums) > 1 {
			label = v.words("account.total_in", "Currency", m.Currency)
		}
		page.Stats = append(page.Stats, view.Stat{Label: label, Money: &m, URL: view.PathAccounts})
	}
	words := view.ViewerFrom(ctx).Words
	if banks > 0 {
		page.Stats = append(page.Stats, view.Stat{
			Label: v.words("home.accesses_ready"), Value: v.words("phase.of", "Done", words.Number(int64(ready)), "Total", words.Number(int64(banks))), URL: view.PathAccesses,
		})
	}
	return nil
}

// bankNews is the latest operations, one line each.
func (v visit) bankNews(cases []bank.Case, accounts []ledger.Account) ([]view.News, error) {
	const latest = 6
	rows, _, err := newReel(v, accounts, bank.TransactionCursor{}, "").take(latest)
	if err != nil {
		return nil, err
	}
	names := map[guichet.ID]string{}
	for _, a := range accounts {
		names[a.ID] = accountName(a)
		for _, c := range cases {
			if len(cases) > 1 && c.Access.ID == a.AccessID {
				names[a.ID] = c.Access.Label + " · " + names[a.ID]
			}
		}
	}
	var news []view.News
	for _, t := range rows {
		day, err := time.Parse(time.DateOnly, string(listed(t)))
		if err != nil {
			return nil, err
		}
		amount := view.Money(t.Amount)
		news = append(news, view.News{
			At: day, Civil: true, Says: cmp.Or(t.Label, t.RawLabel), Subject: names[t.AccountID], Amount: &amount,
			URL: view.PathOperations + "?" + url.Values{"account": {t.AccountID.String()}}.Encode(),
		})
	}
	return news, nil
}
