package main

import (
	"context"
	"errors"
	"io"
	"os"

	"guichet"
	"guichet/api"
	"guichet/people"
)

type exportCmd struct {
	User string `help:"E-mail address of the person." required:""`
	File string `arg:"" optional:"" help:"Where to; standard output when it is not given."`
}

// Run writes everything of a person, once it is written down that it was taken. A
// file is made for its owner alone, never in the place of another, and does not
// stay when it is not whole.
func (c exportCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withPerson(ctx, all, c.User, func(p *program, person people.Person) error {
		if c.File == "" {
			return p.export(ctx, person, t.out)
		}
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return &guichet.Error{Kind: guichet.Invalid, Code: "file_not_written", Field: "file", Reason: "The file cannot be made, or is there already.", Cause: err}
		}
		if err := errors.Join(p.export(ctx, person, f), f.Close()); err != nil {
			return errors.Join(err, os.Remove(c.File))
		}
		return nil
	})
}

func (p *program) export(ctx context.Context, person people.Person, to io.Writer) error {
	if err := p.people.NoteExport(ctx, atCommandLine(), person.ID); err != nil {
		return err
	}
	return (&api.Bank{Desk: p.bank}).Export(ctx, person.Actor(), p.clock.Now(), to)
}
