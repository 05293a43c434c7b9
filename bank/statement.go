package bank

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"guichet"
	"guichet/ledger"
)

// ByFile is the connector, and the institution, of a person's access that no bank
// is behind: it holds the accounts that only files tell of.
const ByFile = "file"

// A Statement is what a file tells of one account.
type Statement struct {
	// Account is as the file describes it. Its Ref is stable from one file to the
	// next, and empty when the file does not say which account it is of. Its balance
	// has a currency always, and an amount when AsOf is set.
	Account      ledger.Account
	Transactions []ledger.Transaction
}

// An Import is a wish to take statements in.
type Import struct {
	Owner      guichet.ID
	Statements []Statement
	Format     string     // of the file; references of two formats are never compared
	Into       guichet.ID // an account of the person; empty: found, or made
	DryRun     bool       // do all, tell it, and leave no trace
}

// Imported is what an import did, or would do.
type Imported struct {
	Accounts []ImportedAccount
	Counts   ImportCounts
}

// ImportCounts is how many transactions of a file were what.
type ImportCounts struct {
	Added    int // that we did not know
	Known    int
	Promoted int // of the known ones: were pending, and are booked in the file
	Review   int // of the added ones: may be known all the same
}

// An ImportedAccount is what an import did to one account.
type ImportedAccount struct {
	Account ledger.Account // as it is now; in a dry run of a new one, without id
	New     bool
	Counts  ImportCounts
	Doubts  []ImportDoubt
}

// An ImportDoubt is a transaction that was added although it may be one that was
// known.
type ImportDoubt struct {
	Added, Known ledger.Transaction
	Reason       ledger.DoubtReason
}

// Errors of imports.
var (
	ErrNoStatement      = &guichet.Error{Kind: guichet.Invalid, Code: "no_statement", Field: "file", Reason: "There is no account in this file."}
	ErrBadStatement     = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_statement", Field: "file", Reason: "The file holds what no bank can mean."}
	ErrTooMuch          = &guichet.Error{Kind: guichet.Invalid, Code: "too_many_transactions", Field: "file", Reason: "The file holds more than is taken in at once."}
	ErrAccountNeeded    = &guichet.Error{Kind: guichet.Invalid, Code: "account_needed", Field: "account", Reason: "The file does not say which account it is of. Name the account."}
	ErrSeveralAccounts  = &guichet.Error{Kind: guichet.Invalid, Code: "several_accounts", Field: "account", Reason: "The file holds several accounts: they cannot all be the one you named."}
	ErrAmbiguousAccount = &guichet.Error{Kind: guichet.Conflict, Code: "ambiguous_account", Field: "account", Reason: "Several accounts have the number of this one. Name the account."}
	ErrOtherCurrency    = &guichet.Error{Kind: guichet.Invalid, Code: "other_currency", Field: "account", Reason: "The file is in another currency than the account."}
)

// errDryRun undoes what a dry run did.
var errDryRun = errors.New("bank: a dry run leaves no trace")

// Import takes statements in: all of them, or, whatever goes wrong, nothing. The
// same file again adds nothing.
func (d *Desk) Import(ctx context.Context, by guichet.Actor, in Import) (out Imported, err error) {
	landings, err := d.receive(ctx, in)
	if err != nil {
		return Imported{}, err
	}
	for range 2 {
		err = d.Store.Update(ctx, func(tx Tx) error {
			out = Imported{}
			for _, access := range slices.Sorted(maps.Keys(landings)) { // in one order, so that no two imports wait for each other
				if err := d.importInto(tx, by, in, access, landings[access], &out); err != nil {
					return err
				}
			}
			if in.DryRun {
				return errDryRun
			}
			return nil
		})
		if !errors.Is(err, ErrChanged) { // else another import made the access meanwhile
			break
		}
	}
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err != nil {
		return Imported{}, err
	}
	return out, nil
}

// An aimed statement has found its account, or is to make it.
type aimed struct {
	Statement
	account guichet.ID // empty: a new one, of the access by file
}

// receive checks the statements and finds the account of each. The result is by
// access, because an access is what is locked.
func (d *Desk) receive(ctx context.Context, in Import) (map[guichet.ID][]aimed, error) {
	statements, err := d.tidyStatements(in)
	if err != nil {
		return nil, err
	}
	mine, err := d.Store.Accounts(ctx, AccountFilter{Owner: in.Owner})
	if err != nil {
		return nil, err
	}
	byAccess := map[guichet.ID][]aimed{}
	place := map[string]int{} // of what is aimed at already, in its access
	for _, s := range statements {
		account, err := aim(s.Account, mine, in)
		if err != nil {
			return nil, err
		}
		if account.AccessID == "" {
			account.AccessID = fileAccess(in.Owner)
		}
		if now := account.Balance.Currency; now != "" && now != s.Account.Balance.Currency {
			return nil, ErrOtherCurrency
		}
		list := byAccess[account.AccessID]
		key := cmp.Or(account.ID.String(), s.Account.Ref)
		if at, again := place[key]; again { // the same account in two parts
			if in.Into != "" && list[at].Account.Ref != s.Account.Ref {
				return nil, ErrSeveralAccounts
			}
			if list[at].Account.Balance.Currency != s.Account.Balance.Currency {
				return nil, ErrOtherCurrency
			}
			list[at].Transactions = append(list[at].Transactions, s.Transactions...)
			if s.Account.AsOf.After(list[at].Account.AsOf) {
				list[at].Account.Balance, list[at].Account.AsOf = s.Account.Balance, s.Account.AsOf
			}
			continue
		}
		place[key] = len(list)
		byAccess[account.AccessID] = append(list, aimed{s, account.ID})
	}
	return byAccess, nil
}

// aim finds the account that a file tells of: the one that was named; else the one
// that a file has told of before; else the only one of its number. An account that
// is found nowhere is the zero Account. Nothing less certain is a match.
func aim(a ledger.Account, mine []ledger.Account, in Import) (ledger.Account, error) {
	if in.Into != "" {
		if i := slices.IndexFunc(mine, func(m ledger.Account) bool { return m.ID == in.Into }); i >= 0 {
			return mine[i], nil
		}
		return ledger.Account{}, ErrNoAccount
	}
	for _, m := range mine {
		if a.Ref != "" && m.AccessID == fileAccess(in.Owner) && m.Ref == a.Ref {
			return m, nil
		}
	}
	var same []ledger.Account
	for _, m := range mine {
		if a.IBAN != "" && m.IBAN == a.IBAN && m.Balance.Currency == a.Balance.Currency {
			same = append(same, m)
		}
	}
	switch {
	case len(same) == 1:
		return same[0], nil
	case len(same) > 1:
		return ledger.Account{}, ErrAmbiguousAccount
	case a.Ref == "":
		return ledger.Account{}, ErrAccountNeeded
	}
	return ledger.Account{}, nil
}

// fileAccess is the id of a person's access by file. It follows from the person, so
// that two imports at once cannot make two.
func fileAccess(owner guichet.ID) guichet.ID {
	sum := sha256.Sum256([]byte("guichet: access by file of " + owner.String()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // an identifier of version 8
	h := hex.EncodeToString(sum[:16])
	return guichet.ID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// tidyStatements believes a file no more than a connector.
func (d *Desk) tidyStatements(in Import) ([]Statement, error) {
	limits := d.limits()
	if len(in.Statements) == 0 {
		return nil, ErrNoStatement
	}
	if len(in.Statements) > limits.Accounts {
		return nil, ErrTooMuch
	}
	count := 0
	tidy := make([]Statement, len(in.Statements))
	for i, s := range in.Statements {
		if count += len(s.Transactions); count > limits.Transaction {
			return nil, ErrTooMuch
		}
		st := newStage(limits)
		ref := s.Account.Ref
		s.Account.Ref = cmp.Or(ref, "-") // a connector must have one, a file need not
		if err := st.Account(s.Account); err != nil {
			return nil, ErrBadStatement.Because(err)
		}
		for part := range slices.Chunk(s.Transactions, 1000) {
			if err := st.Transactions(s.Account.Ref, part); err != nil {
				return nil, ErrBadStatement.Because(err)
			}
		}
		tidy[i] = Statement{st.accounts[0], st.transactions[0]}
		tidy[i].Account.Ref = ref
		for j := range tidy[i].Transactions {
			t := &tidy[i].Transactions[j]
			t.Ref = ledger.FileRef(in.Format, t.Ref)
			if t.Amount.Currency != tidy[i].Account.Balance.Currency {
				return nil, ErrBadStatement.Because(fmt.Errorf("an amount in %s in an account in %s", t.Amount.Currency, tidy[i].Account.Balance.Currency))
			}
		}
	}
	return tidy, nil
}

// importInto takes in all that is of one access.
func (d *Desk) importInto(tx Tx, by guichet.Actor, in Import, access guichet.ID, list []aimed, out *Imported) error {
	c, err := tx.Find(Ref{Access: access})
	if errors.Is(err, ErrNoAccess) && access == fileAccess(in.Owner) {
		c, err = d.accessByFile(in)
	}
	if err != nil {
		return err
	}
	if c.Access.Owner != in.Owner {
		return ErrNoAccount
	}
	known, err := tx.Accounts(access)
	if err != nil {
		return err
	}
	var money Money
	for _, s := range list {
		done, err := d.importStatement(tx, in, s, known, access, &money)
		if err != nil {
			return err
		}
		out.Accounts = append(out.Accounts, done)
		n := &out.Counts
		n.Added, n.Known = n.Added+done.Counts.Added, n.Known+done.Counts.Known
		n.Promoted, n.Review = n.Promoted+done.Counts.Promoted, n.Review+done.Counts.Review
	}
	if c.Access.Connector == ByFile {
		if err := d.keepFileAccess(tx, by, &c, Counts{Accounts: len(list), Added: len(money.NewTransactions)}); err != nil {
			return err
		}
	}
	if err := tx.SaveMoney(money); err != nil {
		return err
	}
	for _, done := range out.Accounts[len(out.Accounts)-len(list):] {
		n := done.Counts
		if err := d.audit(tx, by, "statement.imported", access, map[string]string{
			"account": done.Account.ID.String(), "format": in.Format, "added": strconv.Itoa(n.Added), "known": strconv.Itoa(n.Known),
			"promoted": strconv.Itoa(n.Promoted), "review": strconv.Itoa(n.Review),
		}); err != nil {
			return err
		}
	}
	return nil
}

// importStatement adds to money what one statement changes.
func (d *Desk) importStatement(tx Tx, in Import, s aimed, accounts []ledger.Account, access guichet.ID, money *Money) (done ImportedAccount, err error) {
	if s.account == "" {
		// Another import may have made it since we looked.
		if i := slices.IndexFunc(accounts, func(a ledger.Account) bool { return a.Ref == s.Account.Ref }); i >= 0 {
			s.account = accounts[i].ID
		}
	}
	var known []ledger.Transaction
	if s.account == "" {
		done.Account, done.New = s.Account, true
		done.Account.ID, done.Account.AccessID = d.Clock.NewID(), access
		money.NewAccounts = append(money.NewAccounts, done.Account)
	} else {
		i := slices.IndexFunc(accounts, func(a ledger.Account) bool { return a.ID == s.account })
		if i < 0 {
			return done, ErrNoAccount // it went meanwhile
		}
		done.Account = accounts[i]
		// An older statement says nothing of today's balance, and none says more of it
		// than the bank does where one is asked.
		if access == fileAccess(in.Owner) && s.Account.AsOf.After(done.Account.AsOf) {
			done.Account.Balance, done.Account.AsOf = s.Account.Balance, s.Account.AsOf
			money.Accounts = append(money.Accounts, done.Account)
		}
		if known, err = tx.Transactions(s.account, reach(s.Transactions)); err != nil {
			return done, err
		}
	}
	today := ledger.DateOf(d.Clock.Now())
	plan, doubts := ledger.MergeStatement(known, s.Transactions)
	for i := range plan.Insert {
		t := &plan.Insert[i]
		t.ID, t.AccountID, t.SeenOn = d.Clock.NewID(), done.Account.ID, today
	}
	for _, doubt := range doubts {
		done.Doubts = append(done.Doubts, ImportDoubt{Added: plan.Insert[doubt.Insert], Known: doubt.Known, Reason: doubt.Reason})
	}
	money.NewTransactions = append(money.NewTransactions, plan.Insert...)
	money.Transactions = append(money.Transactions, plan.Change...)
	done.Counts = ImportCounts{Added: len(plan.Insert), Known: plan.Known, Promoted: plan.Promoted, Review: len(doubts)}
	return done, nil
}

// reach is the first day of what a statement may be compared with: a purchase can
// be weeks before the day on which it is entered.
func reach(list []ledger.Transaction) ledger.Date {
	oldest := ledger.Date("9999-12-31")
	for _, t := range list {
		for _, day := range []ledger.Date{t.BookedOn, t.DoneOn} {
			if day != "" && day < oldest {
				oldest = day
			}
		}
	}
	at, err := time.Parse(time.DateOnly, string(oldest))
	if err != nil {
		return oldest
	}
	return ledger.DateOf(at.AddDate(0, 0, -60))
}

// accessByFile is a new access without a bank. Its one attempt is over before
// anybody sees it: what reads accesses need not know that some have none.
func (d *Desk) accessByFile(in Import) (c Case, err error) {
	now := d.Clock.Now()
	c.Access = Access{
		ID: fileAccess(in.Owner), Owner: in.Owner, Institution: ByFile, Connector: ByFile, Label: "Import", Locale: "fr",
		Attempt: d.Clock.NewID(), CreatedAt: now,
	}
	if c.Access.Fingerprint, err = d.Sealer.Fingerprint(ByFile, in.Owner.String()); err != nil {
		return Case{}, err
	}
	c.Attempt = Attempt{
		ID: c.Access.Attempt, Owner: in.Owner, AccessID: c.Access.ID, Fingerprint: c.Access.Fingerprint, Institution: ByFile, Label: c.Access.Label,
		Purpose: Create, Trigger: ByPerson, State: AttemptSucceeded, Phase: Finishing, Outcome: OK, CreatedAt: now, UpdatedAt: now, EndedAt: now,
	}
	return c, nil
}

// keepFileAccess writes the access by file, and the attempt of a new one.
func (d *Desk) keepFileAccess(tx Tx, by guichet.Actor, c *Case, n Counts) error {
	if c.Access.Version == 0 {
		c.Attempt.Counts = n
		if err := tx.SaveAttempt(&c.Attempt); err != nil {
			return err
		}
		detail := map[string]string{"attempt": c.Attempt.ID.String(), "state": string(c.Attempt.State), "outcome": string(c.Attempt.Outcome)}
		if err := d.audit(tx, by, "attempt."+string(c.Attempt.State), c.Access.ID, detail); err != nil {
			return err
		}
	}
	c.Access.HasAccounts, c.Access.LastSuccess = true, d.Clock.Now()
	return tx.SaveAccess(&c.Access)
}
