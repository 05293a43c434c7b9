package simbank

import (
	"net/url"
	"strconv"
	"time"
)

// How many operations a page of history shows.
const (
	pageSize     = 100
	manyPageSize = 1000
)

func (v *visit) profile() profile { return profileOf(v.customer.login) }

func (v *visit) book() *book { return v.world.books.book(v.customer, v.now) }

type accountsData struct {
	frame
	Holder   string
	Today    string
	Accounts []accountRow
}

type accountRow struct {
	ID, Name, Number, Parent, Balance string
	Negative, Card                    bool
}

func accountsPage(v *visit) reply {
	if r, ok := v.at(stepIn); !ok {
		return r
	}
	v.count(func(c *Counters) { c.AccountsPages++ })
	b := v.book()
	data := accountsData{frame: v.frame("Mes comptes"), Holder: v.profile().name, Today: frenchDay(b.today)}
	for _, a := range b.accounts {
		data.Accounts = append(data.Accounts, accountRow{
			ID: a.id, Name: a.name, Number: a.number, Parent: a.parent,
			Balance: euros(a.balance, noBreak), Negative: a.balance < 0, Card: a.card,
		})
	}
	return reply{page: "accounts", data: data}
}

type historyData struct {
	frame
	Account             accountRow
	IBAN                string
	Coming              bool
	Rows                []opRow
	Refs                bool
	Page, Pages         int
	Previous, Next      string
	OpeningDay, Opening string // on the last page of an account that has a balance
	Total               string // on the page of what is coming
}

type opRow struct {
	Booked, Value, Done, Label, Detail, Ref, Amount string
	Negative                                        bool
}

func historyPage(v *visit) reply {
	a, r := v.account()
	if a == nil {
		return r
	}
	size := pageSize
	if v.customer.story.many {
		size = manyPageSize
	}
	pages := max(1, (len(a.ops)+size-1)/size)
	n, err := strconv.Atoi(v.form.Get("page"))
	if v.form.Get("page") == "" {
		n, err = 1, nil
	}
	if err != nil || n < 1 || n > pages {
		return notFound(v)
	}
	v.count(func(c *Counters) { c.HistoryPages++ })
	data := v.historyOf(a, a.ops[(n-1)*size:min(n*size, len(a.ops))])
	data.Page, data.Pages = n, pages
	address := func(n int) string { return "/accounts/" + url.PathEscape(a.id) + "/history?page=" + strconv.Itoa(n) }
	if n > 1 {
		data.Previous = address(n - 1)
	}
	if n < pages {
		data.Next = address(n + 1)
	} else if !a.card {
		data.OpeningDay, data.Opening = frenchDay(a.start), euros(a.opening, narrowNoBreak)
	}
	return reply{page: "history", data: data}
}

func comingPage(v *visit) reply {
	a, r := v.account()
	if a == nil {
		return r
	}
	v.count(func(c *Counters) { c.ComingPages++ })
	data := v.historyOf(a, a.coming)
	data.Coming = true
	var total int64
	for _, o := range a.coming {
		total += o.cents
	}
	data.Total = euros(total, narrowNoBreak)
	return reply{page: "history", data: data}
}

// account finds the account of the address, or says what to answer instead.
func (v *visit) account() (*account, reply) {
	if r, ok := v.at(stepIn); !ok {
		return nil, r
	}
	if a := v.book().account(v.request.PathValue("id")); a != nil {
		return a, reply{}
	}
	return nil, notFound(v)
}

func (v *visit) historyOf(a *account, ops []op) historyData {
	data := historyData{
		frame: v.frame(a.name), Refs: a.refs, IBAN: inFours(a.iban),
		Account: accountRow{
			ID: a.id, Name: a.name, Number: a.number, Parent: a.parent, Card: a.card,
			Balance: euros(a.balance, narrowNoBreak), Negative: a.balance < 0,
		},
		Rows: make([]opRow, 0, len(ops)),
	}
	for _, o := range ops {
		data.Rows = append(data.Rows, opRow{
			Booked: frenchDay(o.booked), Value: frenchDay(o.value), Done: frenchDay(o.done),
			Label: o.label, Detail: o.detail, Ref: o.ref,
			Amount: euros(o.cents, narrowNoBreak), Negative: o.cents < 0,
		})
	}
	return data
}

func frenchDay(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("02/01/2006")
}
