package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"guichet/grant"
)

type tokenImportCmd struct {
	File     string `arg:"" help:"CSV with a line of names, or a JSON list." type:"existingfile"`
	Provider string `help:"Provider, such as api_entreprise." required:""`
	DryRun   bool   `help:"Say what it would do and change nothing." name:"dry-run"`
}

func (c tokenImportCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		file, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		tokens, err := grant.ReadTokenFile(file)
		if err != nil {
			return err
		}
		report, err := p.grant.Import(ctx, atCommandLine(), c.Provider, tokens, c.DryRun)
		if err != nil {
			return err
		}
		return t.print(struct {
			grant.ImportReport
			DryRun bool `json:"dry_run"`
		}{report, c.DryRun}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "tokens\t%d new, %d known\nrequests\t%d made\nblocked\t%d now, %d foreseen\n",
				report.Tokens, report.Known, report.Requests, report.Blocked, report.Foreseen)
		})
	})
}
