package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"time"

	"guichet"
	"guichet/bank"
)

// exportedPage is how many transactions are held at once.
const exportedPage = 1000

// exportedAccess is what a person may take along: not what is going on, nor what
// the bank asks.
type exportedAccess struct {
	ID          guichet.ID `json:"id"`
	Institution string     `json:"institution"`
	Label       string     `json:"label"`
	State       string     `json:"state"`
	LastSuccess *time.Time `json:"last_success"`
	CreatedAt   time.Time  `json:"created_at"`
}

// Export writes everything of a person as one JSON document: accesses without what
// opens them, accounts, and every transaction below its account. It is written as
// it is read, so that a long history costs no memory; what is added meanwhile may
// be in it or not.
func (b *Bank) Export(ctx context.Context, person guichet.Actor, at time.Time, to io.Writer) error {
	cases, err := b.Desk.Store.Cases(ctx, person.ID)
	if err != nil {
		return err
	}
	accounts, err := b.Desk.Store.Accounts(ctx, bank.AccountFilter{Owner: person.ID})
	if err != nil {
		return err
	}
	out := &document{Writer: bufio.NewWriter(to)}
	out.text(`{"format":1,"made_at":`)
	out.value(at)
	out.text(`,"user":`)
	out.value(map[string]string{"id": person.ID.String(), "name": person.Name})
	out.text(`,"accesses":`)
	out.value(each(cases, func(c bank.Case) exportedAccess {
		v := b.viewAccess(c)
		return exportedAccess{v.ID, v.Institution, v.Label, v.State, v.LastSuccess, v.CreatedAt}
	}))
	out.text(`,"accounts":[`)
	for i, a := range accounts {
		out.separate(i)
		out.text(`{"account":`)
		out.value(viewAccount(a))
		out.text(`,"transactions":[`)
		page := bank.TransactionFilter{Account: a.ID, Limit: exportedPage}
		for n := 0; ; {
			rows, err := b.Desk.Store.Transactions(ctx, page)
			if err != nil {
				return err
			}
			for _, t := range rows {
				out.separate(n)
				out.value(viewTransaction(t))
				n++
			}
			if len(rows) < exportedPage {
				break
			}
			last := rows[len(rows)-1]
			page.Before = bank.TransactionCursor{Day: listed(last), ID: last.ID}
		}
		out.text("]}")
	}
	out.text("]}\n")
	return out.end()
}

// document is JSON in the making; its first failure is its last.
type document struct {
	*bufio.Writer
	err error
}

func (d *document) text(s string) {
	if d.err == nil {
		_, d.err = d.WriteString(s)
	}
}

func (d *document) value(v any) {
	text, err := json.Marshal(v)
	if d.err == nil && err != nil {
		d.err = err
	}
	d.text(string(text))
}

// separate goes before the n-th of a list, each on a line of its own.
func (d *document) separate(n int) {
	if n > 0 {
		d.text(",")
	}
	d.text("\n")
}

func (d *document) end() error {
	if d.err != nil {
		return d.err
	}
	return d.Flush()
}
