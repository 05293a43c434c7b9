package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/query"
)

// Bank is the store of the bank window.
type Bank struct{ s *Store }

// Bank gives the store of the bank window.
func (s *Store) Bank() Bank { return Bank{s} }

// Update implements bank.Store.
func (b Bank) Update(ctx context.Context, fn func(bank.Tx) error) error {
	return b.s.update(ctx, func(t *tx) error { return fn(&bankTx{tx: t}) })
}

// Changed implements bank.Store.
func (b Bank) Changed(owner guichet.ID) <-chan struct{} { return b.s.Changed(attemptsOf(owner)) }

// Beat implements bank.Store. It does not raise the version: a heartbeat is no
// change that anyone could conflict with.
func (b Bank) Beat(ctx context.Context, beat bank.Beat) (alive bool, err error) {
	err = b.s.update(ctx, func(t *tx) error {
		n, err := t.q.BeatAttempt(t.ctx, query.BeatAttemptParams{
			LeaseUntil: micros(beat.Until), Phase: string(beat.Phase), Done: int64(beat.Done), Total: int64(beat.Total),
			ID: string(beat.Attempt), Worker: beat.Worker, Epoch: beat.Epoch,
		})
		alive = n == 1
		return err
	})
	return alive, err
}

// Purge implements bank.Store.
func (b Bank) Purge(ctx context.Context, before time.Time) (removed int, err error) {
	err = b.s.update(ctx, func(t *tx) error {
		n, err := t.q.PurgeAttempts(t.ctx, micros(before))
		removed = int(n)
		return err
	})
	return removed, err
}

// bankTx implements bank.Tx.
type bankTx struct{ *tx }

func (t *bankTx) Find(r bank.Ref) (bank.Case, error) { return findCase(t.ctx, t.q, r, t.q.LockAccess) }

// findCase reads a case; access is how its access is read, with a lock or
// without. The access comes first: what hangs on it is read under its lock.
func findCase(ctx context.Context, q *query.Queries, r bank.Ref, access func(context.Context, string) (query.Access, error)) (c bank.Case, err error) {
	if r.Challenge != "" {
		row, err := q.ChallengeByID(ctx, string(r.Challenge))
		if row, err = one(row, err, bank.ErrNoQuestion); err != nil {
			return c, err
		}
		r.Access, r.Attempt = guichet.ID(row.AccessID), guichet.ID(row.AttemptID)
	} else if r.Former != "" {
		row, err := q.LastAttemptOf(ctx, string(r.Former))
		if row, err = one(row, err, bank.ErrNoAttempt); err != nil {
			return c, err
		}
		r.Access, r.Attempt = r.Former, guichet.ID(row.ID)
	} else if r.Attempt != "" {
		row, err := q.AttemptByID(ctx, string(r.Attempt))
		if row, err = one(row, err, bank.ErrNoAttempt); err != nil {
			return c, err
		}
		r.Access = guichet.ID(row.AccessID)
	}
	row, err := access(ctx, string(r.Access))
	row, err = one(row, err, bank.ErrNoAccess)
	switch {
	case err == nil:
		c.Access = accessOf(row)
	case errors.Is(err, bank.ErrNoAccess) && r.Attempt != "": // an attempt outlives its access
	default:
		return c, err
	}
	if r.Attempt == "" {
		r.Attempt = c.Access.Attempt
	}
	attempt, err := q.AttemptByID(ctx, string(r.Attempt))
	if attempt, err = one(attempt, err, bank.ErrNoAttempt); err != nil {
		return c, err
	}
	if c.Attempt, err = attemptOf(attempt); err != nil {
		return c, err
	}
	if r.Challenge == "" {
		r.Challenge = c.Attempt.Challenge
	}
	if r.Challenge == "" {
		return c, nil
	}
	question, err := q.ChallengeByID(ctx, string(r.Challenge))
	if question, err = one(question, err, bank.ErrNoQuestion); err != nil {
		return c, err
	}
	c.Challenge, err = challengeOf(question)
	return c, err
}

func (t *bankTx) LiveOn(fingerprint string) (bank.Attempt, error) {
	row, err := t.q.LiveAttemptOn(t.ctx, fingerprint)
	if row, err = one(row, err, bank.ErrNoAttempt); err != nil {
		return bank.Attempt{}, err
	}
	return attemptOf(row)
}

func (t *bankTx) SaveAccess(a *bank.Access) error {
	row := accessRow(*a)
	var n int64
	var err error
	if a.Version == 0 {
		row.Version = 1
		n, err = t.q.InsertAccess(t.ctx, query.InsertAccessParams(row))
	} else {
		n, err = t.q.UpdateAccess(t.ctx, query.UpdateAccessParams{
			Label: row.Label, Locale: row.Locale, Credentials: row.Credentials, Session: row.Session, SessionExpires: row.SessionExpires,
			Lent: row.Lent, Fingerprint: row.Fingerprint, HasAccounts: row.HasAccounts, AttemptID: row.AttemptID, NightOff: row.NightOff,
			Pause: row.Pause, NextPoll: row.NextPoll, Failures: row.Failures, LastSuccess: row.LastSuccess, TrustedUntil: row.TrustedUntil,
			Disabled: row.Disabled, StrongAt: row.StrongAt, TrustWarned: row.TrustWarned,
			ID: row.ID, Version: row.Version,
		})
	}
	return saved(n, err, &a.Version, bank.ErrChanged)
}

func (t *bankTx) SaveAttempt(a *bank.Attempt) error {
	t.touch(attemptsOf(a.Owner))
	row := attemptRow(*a)
	if a.Version == 0 {
		row.Version = 1
		n, err := t.q.InsertAttempt(t.ctx, query.InsertAttemptParams(row))
		if err == nil && n == 0 { // an index over live attempts refused it
			return bank.ErrLoginBusy
		}
		return saved(n, err, &a.Version, bank.ErrChanged)
	}
	n, err := t.q.UpdateAttempt(t.ctx, query.UpdateAttemptParams{
		AccountID: row.AccountID, Purpose: row.Purpose, TriggerKind: row.TriggerKind, State: row.State, Form: row.Form,
		ChallengeID: row.ChallengeID, UpdatedAt: row.UpdatedAt, EndedAt: row.EndedAt, Worker: row.Worker, Epoch: row.Epoch,
		LeaseUntil: row.LeaseUntil, Outcome: row.Outcome, Detail: row.Detail, Credentials: row.Credentials, ID: row.ID, Version: row.Version,
	})
	return saved(n, err, &a.Version, bank.ErrChanged)
}

func (t *bankTx) SaveChallenge(c *bank.Challenge) error {
	t.touch(attemptsOf(c.Owner))
	row := challengeRow(*c)
	var n int64
	var err error
	if c.Version == 0 {
		row.Version = 1
		n, err = t.q.InsertChallenge(t.ctx, query.InsertChallengeParams(row))
	} else {
		n, err = t.q.UpdateChallenge(t.ctx, query.UpdateChallengeParams{
			Status: row.Status, EndedAt: row.EndedAt, Used: row.Used, MaxAnswers: row.MaxAnswers, Resends: row.Resends,
			Resending: row.Resending, AnswerKeys: row.AnswerKeys, Session: row.Session, LastOutcome: row.LastOutcome,
			LastText: row.LastText, ID: row.ID, Version: row.Version,
		})
	}
	return saved(n, err, &c.Version, bank.ErrChanged)
}

// saved looks at the rows that a compare-and-set changed.
func saved(rows int64, err error, version *int64, changed error) error {
	switch {
	case err != nil:
		return err
	case rows != 1:
		return changed
	}
	*version++
	return nil
}

func (t *bankTx) Delete(a bank.Access, history bool) error {
	t.touch(attemptsOf(a.Owner))
	n, err := t.q.DeleteAccess(t.ctx, string(a.ID))
	if err != nil {
		return err
	}
	if n != 1 {
		return bank.ErrNoAccess
	}
	if history {
		return t.q.DeleteAttemptsOf(t.ctx, string(a.ID))
	}
	return nil
}

func (t *bankTx) Accounts(access guichet.ID) ([]ledger.Account, error) {
	rows, err := t.q.AccountsOfAccess(t.ctx, string(access))
	return accountsOf(rows), err
}

func (t *bankTx) Transactions(account guichet.ID, since ledger.Date) ([]ledger.Transaction, error) {
	rows, err := t.q.KnownTransactions(t.ctx, query.KnownTransactionsParams{AccountID: string(account), Day: string(since)})
	return transactionsOf(rows), err
}

func (t *bankTx) SaveMoney(m bank.Money) error {
	for _, a := range m.NewAccounts {
		if err := t.q.InsertAccount(t.ctx, query.InsertAccountParams(accountRow(a))); err != nil {
			return err
		}
	}
	for _, a := range m.Accounts {
		row := accountRow(a)
		if err := t.q.UpdateAccount(t.ctx, query.UpdateAccountParams{
			Ref: row.Ref, Kind: row.Kind, Subtype: row.Subtype, Label: row.Label, Iban: row.Iban, Number: row.Number, Parent: row.Parent,
			Balance: row.Balance, Currency: row.Currency, AsOf: row.AsOf, Missing: row.Missing, ID: row.ID,
		}); err != nil {
			return err
		}
	}
	if err := t.insertTransactions(m.NewTransactions); err != nil {
		return err
	}
	for _, one := range m.Transactions {
		row := transactionRow(one)
		if err := t.q.UpdateTransaction(t.ctx, query.UpdateTransactionParams{
			Ref: row.Ref, Status: row.Status, Type: row.Type, Amount: row.Amount, Currency: row.Currency,
			OriginalAmount: row.OriginalAmount, OriginalCurrency: row.OriginalCurrency, RawLabel: row.RawLabel, Label: row.Label,
			BookedOn: row.BookedOn, DoneOn: row.DoneOn, ValueOn: row.ValueOn, Day: row.Day, ID: row.ID,
		}); err != nil {
			return err
		}
	}
	return nil
}

// Many rows go in one statement of a fixed size, so that one text is prepared
// once; the rest go one by one. SQLite's parameters have no numbers in it: its
// driver asks for the name of each one, and finds a number by walking over all
// those before it.
const (
	rowsPerInsert = 100
	columnsOfOne  = 16
)

var insertMany = map[Engine]string{SQLite: insertManyText(SQLite), PostgreSQL: insertManyText(PostgreSQL)}

func insertManyText(e Engine) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO transactions (id, account_id, ref, status, type, amount, currency, original_amount, original_currency, raw_label, label,
  booked_on, done_on, value_on, seen_on, day) VALUES `)
	for row := range rowsPerInsert {
		if row > 0 {
			b.WriteString(", ")
		}
		for column := range columnsOfOne {
			open := ", "
			if column == 0 {
				open = "("
			}
			if e == SQLite {
				b.WriteString(open + "?")
			} else {
				fmt.Fprintf(&b, "%s$%d", open, row*columnsOfOne+column+1)
			}
		}
		b.WriteString(")")
	}
	return b.String()
}

func (t *bankTx) insertTransactions(list []ledger.Transaction) error {
	args := make([]any, 0, rowsPerInsert*columnsOfOne)
	for len(list) >= rowsPerInsert {
		args = args[:0]
		for _, one := range list[:rowsPerInsert] {
			r := transactionRow(one)
			args = append(args, r.ID, r.AccountID, r.Ref, r.Status, r.Type, r.Amount, r.Currency, r.OriginalAmount, r.OriginalCurrency,
				r.RawLabel, r.Label, r.BookedOn, r.DoneOn, r.ValueOn, r.SeenOn, r.Day)
		}
		if _, err := t.db.ExecContext(t.ctx, insertMany[t.store.engine], args...); err != nil {
			return err
		}
		list = list[rowsPerInsert:]
	}
	for _, one := range list {
		if err := t.q.InsertTransaction(t.ctx, query.InsertTransactionParams(transactionRow(one))); err != nil {
			return err
		}
	}
	return nil
}
