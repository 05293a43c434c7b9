package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"guichet"
	"guichet/store"
)

// keyCmd is about the keys that sign tokens, and rotate about the one that seals.
type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the keys that sign tokens."`
	Next   keyNextCmd   `cmd:"" help:"Make and publish the key that will sign next."`
	Use    keyUseCmd    `cmd:"" help:"Sign with a key that waits, from now on."`
	Burn   keyBurnCmd   `cmd:"" help:"Withdraw a key at once: all that it signed is refused."`
	Rotate keyRotateCmd `cmd:"" help:"Seal all secrets of the database anew, with a new key."`
}

// keyJSON is a key for scripts; contract: docs/commands.md.
type keyJSON struct {
	KID        string     `json:"kid"`
	Algorithm  string     `json:"algorithm"`
	State      string     `json:"state"` // next, current, retired, burned
	CreatedAt  time.Time  `json:"created_at"`
	UseAt      time.Time  `json:"use_at"`
	BurnedAt   *time.Time `json:"burned_at"`
	BurnReason string     `json:"burn_reason,omitempty"`
}

func keyOut(k store.SigningKey, all []store.SigningKey, now time.Time) keyJSON {
	out := keyJSON{k.KID, k.Algorithm, "retired", k.CreatedAt, k.UseAt, moment(k.BurnedAt), k.BurnReason}
	current, _ := store.CurrentKey(all, k.Algorithm, now)
	switch {
	case !k.BurnedAt.IsZero():
		out.State = "burned"
	case k.UseAt.After(now):
		out.State = "next"
	case current.KID == k.KID:
		out.State = "current"
	}
	return out
}

type keyListCmd struct{}

func (keyListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		rows, err := p.store.SigningKeys(ctx)
		if err != nil {
			return err
		}
		out := []keyJSON{}
		for _, r := range rows {
			out = append(out, keyOut(r, rows, p.clock.Now()))
		}
		return t.print(out, func(w io.Writer) {
			for _, k := range out {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.KID, k.Algorithm, k.State, k.UseAt.Format(time.RFC3339))
			}
		})
	})
}

type keyNextCmd struct {
	Algorithm string        `help:"Of the tokens it will sign." enum:"EdDSA,ES256" default:"EdDSA"`
	After     time.Duration `help:"When it begins to sign by itself: by then every gateway must have read the published keys." default:"24h"`
}

func (c keyNextCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		if c.After <= 0 {
			return &guichet.Error{Kind: guichet.Invalid, Code: "invalid_delay", Field: "after", Reason: "A key is published before it signs: give a delay like 24h."}
		}
		key, err := p.keys.fresh(c.Algorithm)
		if err != nil {
			return err
		}
		key.UseAt = key.CreatedAt.Add(c.After)
		if err := p.store.AddSigningKey(ctx, atCommandLine(), key); err != nil {
			return err
		}
		return t.print(keyOut(key, nil, p.clock.Now()), func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\tpublished; signs from %s\n", key.KID, key.UseAt.Format(time.RFC3339))
		})
	})
}

type keyUseCmd struct {
	KID string `arg:"" name:"kid"`
}

func (c keyUseCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		if err := p.store.UseSigningKey(ctx, atCommandLine(), c.KID); err != nil {
			return err
		}
		return t.print(map[string]string{"kid": c.KID}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "signs now\t%s\n", c.KID) })
	})
}

type keyBurnCmd struct {
	KID    string `arg:"" name:"kid"`
	Reason string `help:"Why; the audit and the alert say it."`
}

func (c keyBurnCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		current, err := p.store.BurnSigningKey(ctx, atCommandLine(), c.KID, c.Reason, p.keys.fresh)
		if err != nil {
			return err
		}
		return t.print(map[string]string{"kid": c.KID, "current": current}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "burned\t%s\nsigns now\t%s\n", c.KID, current)
		})
	})
}
