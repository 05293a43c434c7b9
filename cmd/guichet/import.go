package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/connector/file"
	"guichet/ledger"
	"guichet/people"
)

type importCmd struct {
	File     string     `arg:"" help:"OFX, CAMT.053, MT940, QIF, CSV, or JSON of Kresus; - reads standard input."`
	User     string     `help:"E-mail address of the person." required:""`
	Account  guichet.ID `help:"The account the file is of. Without it, the one the file names: found, or made." placeholder:"ID"`
	Name     string     `help:"Name of the account, when the file does not tell which one it is of: found, or made."`
	Currency string     `help:"Currency of a file that names none; that of the account, or EUR."`
	DryRun   bool       `help:"Say what it would do and change nothing." name:"dry-run"`
}

type importedJSON struct {
	Accounts int                   `json:"accounts"`
	Added    int                   `json:"added"`
	Known    int                   `json:"known"`
	Promoted int                   `json:"promoted"`
	Review   int                   `json:"review"`
	Skipped  int                   `json:"skipped"`
	Total    int                   `json:"total"`
	Format   string                `json:"format"`
	DryRun   bool                  `json:"dry_run"`
	Details  []importedAccountJSON `json:"details"`
}

type importedAccountJSON struct {
	ID       *guichet.ID `json:"id"` // null: a dry run has not made it
	Label    string      `json:"label"`
	New      bool        `json:"new"`
	Balance  *string     `json:"balance"`
	Currency string      `json:"currency"`
	Added    int         `json:"added"`
	Known    int         `json:"known"`
	Promoted int         `json:"promoted"`
	Doubts   []doubtJSON `json:"doubts"`
}

type doubtJSON struct {
	Reason ledger.DoubtReason `json:"reason"`
	Added  entryJSON          `json:"added"`
	Known  entryJSON          `json:"known"`
}

type entryJSON struct {
	BookedOn ledger.Date `json:"booked_on"`
	Amount   string      `json:"amount"`
	Label    string      `json:"label"`
}

// Run takes a file in, whole or not at all.
func (c importCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withPerson(ctx, all, c.User, func(p *program, person people.Person) error {
		o := file.Options{Currency: c.Currency, Name: c.Name}
		var err error
		if o.Zone, err = time.LoadLocation("Europe/Paris"); err != nil {
			return err
		}
		if c.Account != "" {
			account, err := p.bank.Account(ctx, person.Actor(), c.Account)
			if err != nil {
				return err
			}
			if o.Currency == "" {
				o.Currency = account.Balance.Currency
			}
		}
		from := t.in
		if c.File != "-" {
			f, err := os.Open(c.File)
			if err != nil {
				return &guichet.Error{Kind: guichet.Invalid, Code: "file_not_read", Field: "file", Reason: "The file cannot be read.", Cause: err}
			}
			defer func() { _ = f.Close() }()
			from = f
		}
		content, err := file.Read(from, o)
		if err != nil {
			return err
		}
		done, err := p.bank.Import(ctx, atCommandLine(), bank.Import{
			Owner: person.ID, Statements: content.Statements, Format: content.Format, Into: c.Account, DryRun: c.DryRun,
		})
		if err != nil {
			return err
		}
		out := c.report(content, done)
		return t.print(out, func(w io.Writer) { out.write(w) })
	})
}

func (c importCmd) report(content file.Content, done bank.Imported) importedJSON {
	n := done.Counts
	out := importedJSON{
		Accounts: len(done.Accounts), Added: n.Added, Known: n.Known, Promoted: n.Promoted, Review: n.Review,
		Skipped: content.Skipped, Total: content.Skipped, Format: content.Format, DryRun: c.DryRun, Details: []importedAccountJSON{},
	}
	for _, s := range content.Statements {
		out.Total += len(s.Transactions)
	}
	for _, a := range done.Accounts {
		one := importedAccountJSON{
			Label: a.Account.Label, New: a.New, Currency: a.Account.Balance.Currency, Added: a.Counts.Added, Known: a.Counts.Known,
			Promoted: a.Counts.Promoted, Doubts: []doubtJSON{},
		}
		if !c.DryRun || !a.New {
			one.ID = &a.Account.ID
		}
		if !a.Account.AsOf.IsZero() {
			balance := a.Account.Balance.Decimal()
			one.Balance = &balance
		}
		for _, d := range a.Doubts {
			one.Doubts = append(one.Doubts, doubtJSON{d.Reason, entryOf(d.Added), entryOf(d.Known)})
		}
		out.Details = append(out.Details, one)
	}
	return out
}

func entryOf(t ledger.Transaction) entryJSON {
	return entryJSON{t.BookedOn, t.Amount.Decimal(), t.RawLabel}
}

// write says the same to people.
func (out importedJSON) write(w io.Writer) {
	if out.DryRun {
		_, _ = fmt.Fprintln(w, "This is what would happen; nothing was changed.")
	}
	for _, a := range out.Details {
		made := ""
		if a.New {
			made = "new account"
		}
		_, _ = fmt.Fprintf(w, "%s\t%d added\t%d known\t%d promoted\t%s\n", a.Label, a.Added, a.Known, a.Promoted, made)
		for _, d := range a.Doubts {
			_, _ = fmt.Fprintf(w, "  to review\t%s %s %s\tadded, though there is\t%s %s %s\t(%s)\n",
				d.Added.BookedOn, d.Added.Amount, d.Added.Label, d.Known.BookedOn, d.Known.Amount, d.Known.Label, d.Reason)
		}
	}
	_, _ = fmt.Fprintf(w, "total\t%d in the file\t%d added\t%d known\t%d promoted\t%d to review\t%d skipped\n",
		out.Total, out.Added, out.Known, out.Promoted, out.Review, out.Skipped)
}
