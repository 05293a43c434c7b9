package main

import (
	"context"
	"os"

	"guichet"
	"guichet/api"
	"guichet/people"
)

type exportCmd struct {
	User string `help:"E-mail address of the person." required:""`
	File string `arg:"" optional:"" help:"Where to; standard output when it is not given."`
}

// Run writes everything of a person. A file is made for its owner alone, and never
// in the place of another.
func (c exportCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withPerson(ctx, all, c.User, func(p *program, person people.Person) (err error) {
		to := t.out
		if c.File != "" {
			f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return &guichet.Error{Kind: guichet.Invalid, Code: "file_not_written", Field: "file", Reason: "The file cannot be made, or is there already.", Cause: err}
			}
			defer func() {
				if e := f.Close(); err == nil {
					err = e
				}
			}()
			to = f
		}
		return (&api.Bank{Desk: p.bank}).Export(ctx, person.Actor(), p.clock.Now(), to)
	})
}
