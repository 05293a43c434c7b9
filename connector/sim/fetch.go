package simconnector

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"guichet/bank"
	"guichet/ledger"
)

// read takes the data, beginning with the list of accounts just shown, and logs
// out.
func (r *run) read(ctx context.Context, list page) (bank.Outcome, error) {
	r.sink.Progress(bank.Listing, 0, 0)
	rows, err := readAccounts(list.doc)
	if err != nil {
		return bank.Outcome{}, err
	}
	if len(rows) == 0 {
		return bank.Outcome{Kind: bank.NoAccounts}, nil
	}
	gaps := 0
	for i, row := range rows {
		r.sink.Progress(bank.Fetching, i, len(rows))
		switch {
		case r.order.Op == bank.FetchAll:
			whole, err := r.readAccount(ctx, row, rows)
			if err != nil {
				return bank.Outcome{}, err
			}
			if !whole {
				gaps++
				r.sink.Warn("history_gap", row.ref)
			}
		case row.ref == r.order.AccountRef:
			h, err := r.historyPage(ctx, row.ref, "history")
			if err != nil {
				return bank.Outcome{}, err
			}
			if err := r.give(r.account(row, rows, h)); err != nil {
				return bank.Outcome{}, err
			}
		}
	}
	r.sink.Progress(bank.Finishing, len(rows), len(rows))
	// A courtesy: the session would end by itself, and the data is read.
	_, _ = r.get(ctx, "/logout")
	outcome := bank.Outcome{Kind: bank.OK}
	if gaps > 0 {
		outcome.Kind = bank.Partial
	}
	if r.order.Op == bank.FetchBalance && !listed(rows, r.order.AccountRef) {
		r.sink.Warn("account_missing", r.order.AccountRef)
		outcome.Kind = bank.Partial
	}
	return outcome, nil
}

func listed(rows []accountRow, ref string) bool {
	for _, row := range rows {
		if row.ref == ref {
			return true
		}
	}
	return false
}

// readAccount reads one account, page after page until what was asked for is
// read. whole is false when the operations read do not lead from the opening
// balance to the present one: some may have been missed.
func (r *run) readAccount(ctx context.Context, row accountRow, all []accountRow) (whole bool, err error) {
	var sum int64
	count := 0
	seen := map[string]bool{} // references: a page may move while we read
	for n := 1; ; n++ {
		h, err := r.historyPage(ctx, row.ref, fmt.Sprintf("history?page=%d", n))
		switch {
		case err != nil:
			return false, err
		case h.page != n:
			return false, misreadf("page %d where page %d was asked for", h.page, n)
		case h.pages > maxPages:
			return false, errTooMuch
		}
		if n == 1 {
			if err := r.give(r.account(row, all, h)); err != nil {
				return false, err
			}
		}
		var batch []ledger.Transaction
		wanted := false
		for _, o := range h.rows {
			if o.ref != "" && seen[o.ref] {
				continue
			}
			seen[o.ref] = true
			count++
			sum += o.cents
			if o.booked < r.order.Since {
				continue
			}
			wanted = true
			t, err := transaction(o, ledger.Booked)
			if err != nil {
				return false, err
			}
			batch = append(batch, t)
		}
		if count > maxOps {
			return false, errTooMuch
		}
		if err := r.hand(row.ref, batch); err != nil {
			return false, err
		}
		if n == h.pages {
			whole = !h.hasOpening || h.opening+sum == h.balance
			break
		}
		if !wanted { // newest first: the rest is older still
			whole = true
			break
		}
	}
	if !isCard(row.name) {
		return whole, nil
	}
	return whole, r.readComing(ctx, row)
}

// readComing reads what a deferred card has still to debit.
func (r *run) readComing(ctx context.Context, row accountRow) error {
	h, err := r.historyPage(ctx, row.ref, "coming")
	if err != nil {
		return err
	}
	var batch []ledger.Transaction
	for _, o := range h.rows {
		t, err := transaction(o, ledger.Scheduled)
		if err != nil {
			return err
		}
		batch = append(batch, t)
	}
	return r.hand(row.ref, batch)
}

// historyPage reads a page of an account. A session that ends while we read is
// the bank's affair: nobody's password is wrong, and the whole is read again
// another time rather than logged in for again now.
func (r *run) historyPage(ctx context.Context, ref, page string) (history, error) {
	p, err := r.get(ctx, "/accounts/"+url.PathEscape(ref)+"/"+page)
	if err != nil {
		return history{}, err
	}
	if p.forms["/login"] != nil {
		return history{}, stopWith(bank.Outcome{Kind: bank.BankUnavailable, Text: p.alert()})
	}
	if p.title() == "Accès bloqué" {
		return history{}, stopWith(bank.Outcome{Kind: bank.Locked, Text: p.words()})
	}
	return readHistory(p.doc, page == "coming")
}

// give hands an account over.
func (r *run) give(a ledger.Account) error {
	if err := r.sink.Account(a); err != nil {
		return fmt.Errorf("%w: %w", errSink, err)
	}
	return nil
}

// hand gives operations over, a thousand at a time.
func (r *run) hand(ref string, ts []ledger.Transaction) error {
	for len(ts) > 0 {
		n := min(len(ts), 1000)
		if err := r.sink.Transactions(ref, ts[:n]); err != nil {
			return fmt.Errorf("%w: %w", errSink, err)
		}
		ts = ts[n:]
	}
	return nil
}

// account says in our words what the bank says in its own. The balance is that
// of the account's page, read at the same instant as the operations.
func (r *run) account(row accountRow, all []accountRow, h history) ledger.Account {
	a := ledger.Account{
		Ref: row.ref, Label: row.name, Number: row.number, IBAN: h.iban, Kind: ledger.OtherKind,
		Balance: ledger.Money{Minor: h.balance, Currency: "EUR"}, AsOf: r.order.Now,
	}
	switch {
	case isCard(row.name):
		a.Kind, a.Subtype = ledger.Card, "deferred_debit"
		for _, other := range all {
			if row.parent != "" && other.number == row.parent {
				a.Parent = other.ref
			}
		}
	case strings.HasPrefix(row.name, "Compte courant"):
		a.Kind = ledger.Cash
	case strings.HasPrefix(row.name, "Compte joint"):
		a.Kind, a.Subtype = ledger.Cash, "joint"
	case strings.HasPrefix(row.name, "Livret A"):
		a.Kind, a.Subtype = ledger.Savings, "livret_a"
	}
	return a
}

func isCard(name string) bool { return strings.HasPrefix(name, "Carte ") }

// transaction says an operation in our words.
func transaction(o opRow, status ledger.Status) (ledger.Transaction, error) {
	t := ledger.Transaction{
		Ref: o.ref, Status: status, RawLabel: o.label, Label: o.label,
		Amount:   ledger.Money{Minor: o.cents, Currency: "EUR"},
		BookedOn: o.booked, ValueOn: o.value, DoneOn: o.done,
	}
	money, err := parseOriginal(o.detail)
	if err != nil {
		return t, err
	}
	if o.cents < 0 {
		money.Minor = -money.Minor
	}
	t.Original = money
	switch {
	case o.done != "" && status == ledger.Scheduled:
		t.Type = "deferred_card"
	case o.done != "" && o.cents > 0:
		t.Type = "refund"
	case o.done != "":
		t.Type = "card"
	default:
		t.Type = typeOf(o.label)
		t.DoneOn = cardDay(o.label, o.booked)
	}
	t.Label = tidy(o.label)
	return t, nil
}

// types are how this bank begins the labels of its operations; the longest of
// those that fit comes first.
var types = []struct{ begins, kind string }{
	{"CARTE ", "card"},
	{"RELEVE DIFFERE CARTE", "card_summary"},
	{"AVOIR ", "refund"},
	{"PRLV ", "direct_debit"},
	{"VIR INSTANTANE ", "instant_transfer"},
	{"VIR ", "transfer"},
	{"RETRAIT DAB", "withdrawal"},
	{"CHEQUE ", "check"},
	{"COTISATION ", "fee"},
	{"INTÉRÊTS ", "profit"},
	{"REMISE ", "deposit"},
	{"VERSEMENT ", "transfer"},
	{"DEPOT ESPÈCES", "cash_deposit"},
}

func typeOf(label string) string {
	for _, t := range types {
		if strings.HasPrefix(label, t.begins) {
			return t.kind
		}
	}
	return "unknown"
}

// tidy is a label for people: without the words that only say how it was paid,
// nor the spaces that do not break.
func tidy(label string) string {
	label = paidByCard.ReplaceAllString(label, "")
	for _, words := range []string{"PRLV SEPA ", "PRLV ", "VIR SEPA RECU /DE ", "VIR SEPA RECU DE ", "VIR SEPA ", "VIR INSTANTANE ", "VIR PERMANENT ", "VIR "} {
		if rest, ok := strings.CutPrefix(label, words); ok && rest != "" {
			label = rest
			break
		}
	}
	label, _, _ = strings.Cut(label, " ID EMETTEUR ")
	return strings.Join(strings.Fields(label), " ")
}
