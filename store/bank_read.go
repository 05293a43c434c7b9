package store

import (
	"cmp"
	"context"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/query"
)

// Case implements bank.Reader.
func (b Bank) Case(ctx context.Context, r bank.Ref) (c bank.Case, err error) {
	err = b.s.view(ctx, func(q *query.Queries) error {
		c, err = findCase(ctx, q, r, q.AccessByID)
		return err
	})
	return c, err
}

// Cases implements bank.Reader.
func (b Bank) Cases(ctx context.Context, owner guichet.ID) (cases []bank.Case, err error) {
	err = b.s.view(ctx, func(q *query.Queries) error {
		accesses, err := q.AccessesOf(ctx, string(owner))
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		attempts, err := q.AttemptsOfAccesses(ctx, string(owner))
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		challenges, err := q.ChallengesOfAccesses(ctx, string(owner))
		if err != nil {
			return ErrUnavailable.Because(err)
		}
		cases = make([]bank.Case, len(accesses))
		byAccess := make(map[string]*bank.Case, len(accesses))
		for i, row := range accesses {
			cases[i].Access = accessOf(row)
			byAccess[row.ID] = &cases[i]
		}
		for _, row := range attempts {
			if byAccess[row.AccessID].Attempt, err = attemptOf(row); err != nil {
				return err
			}
		}
		for _, row := range challenges {
			if byAccess[row.AccessID].Challenge, err = challengeOf(row); err != nil {
				return err
			}
		}
		return nil
	})
	return cases, err
}

// Accounts implements bank.Reader.
func (b Bank) Accounts(ctx context.Context, f bank.AccountFilter) ([]ledger.Account, error) {
	rows, err := b.s.reader.AccountsOf(ctx, query.AccountsOfParams{Owner: string(f.Owner), AccountID: string(f.ID)})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return accountsOf(rows), nil
}

// Transactions implements bank.Reader.
func (b Bank) Transactions(ctx context.Context, f bank.TransactionFilter) ([]ledger.Transaction, error) {
	rows, err := b.s.reader.TransactionPage(ctx, query.TransactionPageParams{
		AccountID: string(f.Account), BeforeDay: cmp.Or(string(f.Before.Day), "9999"), BeforeID: string(f.Before.ID), MaxRows: limit(f.Limit),
	})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	return transactionsOf(rows), nil
}

// Stale implements bank.Reader.
func (b Bank) Stale(ctx context.Context, f bank.StaleFilter) ([]guichet.ID, error) {
	drafts := int64(0)
	if f.Drafts {
		drafts = 1
	}
	if f.Owner == "" {
		rows, err := b.s.reader.StaleAccesses(ctx, query.StaleAccessesParams{Now: micros(f.Now), QueuedSince: micros(f.QueuedSince), MaxRows: limit(f.Limit)})
		return ids(rows, err)
	}
	rows, err := b.s.reader.StaleOf(ctx, query.StaleOfParams{
		Owner: string(f.Owner), Now: micros(f.Now), QueuedSince: micros(f.QueuedSince), Drafts: drafts, MaxRows: limit(f.Limit),
	})
	return ids(rows, err)
}

// Pollable implements bank.Reader.
func (b Bank) Pollable(ctx context.Context, now time.Time, most int) ([]guichet.ID, error) {
	rows, err := b.s.reader.PollableAccesses(ctx, query.PollableAccessesParams{Now: micros(now), MaxRows: limit(most)})
	return ids(rows, err)
}

// TrustEnding implements bank.Reader.
func (b Bank) TrustEnding(ctx context.Context, from, to time.Time, after guichet.ID, most int) ([]guichet.ID, error) {
	rows, err := b.s.reader.TrustEnding(ctx, query.TrustEndingParams{
		FromInstant: micros(from), ToInstant: micros(to), After: string(after), MaxRows: limit(most),
	})
	return ids(rows, err)
}

// Moved implements bank.Reader.
func (b Bank) Moved(ctx context.Context, owner guichet.ID, after time.Time) ([]bank.Attempt, error) {
	rows, err := b.s.reader.MovedAttempts(ctx, query.MovedAttemptsParams{Owner: string(owner), UpdatedAt: micros(after)})
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	out := make([]bank.Attempt, len(rows))
	for i, row := range rows {
		if out[i], err = attemptOf(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func ids(rows []string, err error) ([]guichet.ID, error) {
	if err != nil {
		return nil, ErrUnavailable.Because(err)
	}
	out := make([]guichet.ID, len(rows))
	for i, row := range rows {
		out[i] = guichet.ID(row)
	}
	return out, nil
}
