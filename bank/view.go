package bank

import (
	"context"
	"encoding/json"
	"time"

	"guichet"
	"guichet/ledger"
)

// An Overview is everything a person's client needs to start. No secret is in
// it but sealed ones, which the faces of the house never show.
type Overview struct {
	Cases    []Case
	Accounts []ledger.Account
	// Transactions are the latest of each account, newest first.
	Transactions []ledger.Transaction
}

// LatestTransactions is how many of each account an [Overview] has.
const LatestTransactions = 50

// Overview sweeps what a person left behind, then shows what there is.
func (d *Desk) Overview(ctx context.Context, by guichet.Actor) (o Overview, err error) {
	if by.ID == "" {
		return o, ErrNoAccess
	}
	if _, err := d.Sweep(ctx, by.ID); err != nil {
		return o, err
	}
	if o.Cases, err = d.Store.Cases(ctx, by.ID); err != nil {
		return o, err
	}
	if o.Accounts, err = d.Store.Accounts(ctx, AccountFilter{Owner: by.ID}); err != nil {
		return o, err
	}
	for _, a := range o.Accounts {
		latest, err := d.Store.Transactions(ctx, TransactionFilter{Account: a.ID, Limit: LatestTransactions})
		if err != nil {
			return o, err
		}
		o.Transactions = append(o.Transactions, latest...)
	}
	return o, nil
}

// Access is one access with its latest attempt and question.
func (d *Desk) Access(ctx context.Context, by guichet.Actor, id guichet.ID) (Case, error) {
	c, err := d.Store.Case(ctx, Ref{Access: id})
	if err != nil {
		return Case{}, err
	}
	if err := owned(by, c, ErrNoAccess); err != nil {
		return Case{}, err
	}
	return c, nil
}

// Account is one account of a person.
func (d *Desk) Account(ctx context.Context, by guichet.Actor, id guichet.ID) (ledger.Account, error) {
	if by.ID == "" {
		return ledger.Account{}, ErrNoAccount
	}
	list, err := d.Store.Accounts(ctx, AccountFilter{Owner: by.ID, ID: id})
	if err != nil {
		return ledger.Account{}, err
	}
	if len(list) == 0 {
		return ledger.Account{}, ErrNoAccount
	}
	return list[0], nil
}

// Transactions is one page of an account, newest first.
func (d *Desk) Transactions(ctx context.Context, by guichet.Actor, f TransactionFilter) ([]ledger.Transaction, error) {
	if _, err := d.Account(ctx, by, f.Account); err != nil {
		return nil, err
	}
	return d.Store.Transactions(ctx, f)
}

// Form is what a person typed into the form of a creation, secrets aside, so
// that it need not be typed again when the creation failed.
func (d *Desk) Form(a Attempt) (map[string]string, error) {
	if len(a.Form) == 0 {
		return nil, nil
	}
	plain, err := d.Sealer.Open("attempts", a.ID.String(), "form", a.Form)
	if err != nil {
		return nil, err
	}
	var form map[string]string
	return form, json.Unmarshal(plain, &form)
}

// An Event says that an attempt moved. It carries nothing: it hurries a read.
type Event struct {
	Attempt guichet.ID
	Version int64
}

// Watch tells of every move of a person's attempts until ctx ends or tell fails: of
// those since an instant of the last minute, such as the one at which the page was
// drawn that listens now; zero: from now on.
func (d *Desk) Watch(ctx context.Context, by guichet.Actor, since time.Time, tell func(Event) error) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	// Two transactions may commit in another order than their instants: looking a
	// little back, and remembering what was told, misses none.
	const back = 10 * time.Second
	began := d.Clock.Now()
	if earliest := began.Add(-time.Minute); since.Before(earliest) && !since.IsZero() {
		began = earliest
	} else if since.Before(began) && !since.IsZero() {
		began = since
	}
	told := map[guichet.ID]int64{}
	for first := true; ; first = false {
		moved := d.Store.Changed(by.ID)
		list, err := d.Store.Moved(ctx, by.ID, began.Add(-back))
		if err != nil {
			return err
		}
		for _, a := range list {
			if told[a.ID] == a.Version {
				continue
			}
			told[a.ID] = a.Version
			if first && a.UpdatedAt.Before(began) {
				continue // they know it
			}
			if err := tell(Event{Attempt: a.ID, Version: a.Version}); err != nil {
				return err
			}
		}
		if now := d.Clock.Now(); now.Sub(began) > time.Minute {
			began = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-look.C:
		}
	}
}
