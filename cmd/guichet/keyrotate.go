package main

import (
	"context"
	"fmt"
	"io"
)

// rotated is what a rotation did, for scripts; contract: docs/commands.md.
type rotated struct {
	Steps    []string `json:"steps"`
	Resealed int      `json:"resealed"`
}

type keyRotateCmd struct{}

func (keyRotateCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		out := rotated{}
		resealed, err := p.keys.sealer.rotate(ctx, atCommandLine(), func(step string) { out.Steps = append(out.Steps, step) })
		if err != nil {
			return err
		}
		out.Resealed = resealed
		return t.print(out, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "A new key seals; %d values were sealed anew and the former key is gone.\n", out.Resealed)
		})
	})
}
