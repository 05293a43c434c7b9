package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	simdatapass "guichet/sim/datapass"
	"guichet/store"
)

type versionCmd struct{}

// version is set when a release is built.
var version = "dev"

func (versionCmd) Run(t terminal) error {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return t.print(map[string]string{"version": version, "commit": commit, "go": runtime.Version()}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "guichet %s %s %s\n", version, commit, runtime.Version())
	})
}

type migrateCmd struct{}

func (migrateCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withStore(ctx, all, func(s *store.Store) error {
		applied, err := s.Migrate(ctx)
		if err != nil {
			return err
		}
		return t.print(map[string]int{"applied": applied}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d migrations applied\n", applied) })
	})
}

type checkCmd struct{}

var errBroken = errors.New("invariants are broken")

func (checkCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		broken, err := p.store.Check(ctx)
		if err != nil {
			return err
		}
		out := append([]store.Violation{}, broken...)
		err = t.print(map[string]any{"ok": len(out) == 0, "violations": out}, func(w io.Writer) {
			if len(out) == 0 {
				_, _ = fmt.Fprintln(w, "every invariant holds")
			}
			for _, v := range out {
				_, _ = fmt.Fprintln(w, v)
			}
		})
		if err == nil && len(out) > 0 {
			return errBroken
		}
		return err
	})
}

type webhookCmd struct {
	Send webhookSendCmd `cmd:"" help:"Sign a delivery and send it, as DataPass would."`
}

type webhookSendCmd struct {
	Provider string `help:"Provider, such as api_entreprise." required:""`
	Format   string `help:"Format of the body." enum:"v1,v2" default:"v2"`
	Event    string `help:"Send the body as this event: its name, instant, state and authorizations are set. Without it, or when it is the body's own, the body is sent as it is."`
	File     string `help:"The body." required:"" type:"existingfile"`
	URL      string `help:"Address of the server; GUICHET_URL when not given." name:"url"`
}

var errNotReceived = errors.New("DataPass would count this as a failure and try again")

func (s webhookSendCmd) Run(ctx context.Context, t terminal, all *cli) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	secrets := c.Providers[s.Provider].active(time.Now())
	if len(secrets) == 0 {
		return configError("datapass_secrets", fmt.Sprintf("The provider %q has no secret to sign with.", s.Provider))
	}
	body, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	if s.Event != "" {
		if body, err = simdatapass.As(body, s.Event, time.Now()); err != nil {
			return err
		}
	}
	if s.URL == "" {
		s.URL = c.URL
	}
	answer, err := simdatapass.Sender{URL: s.URL, Provider: s.Provider, Format: s.Format, Secret: secrets[0]}.Send(ctx, body)
	if err != nil {
		return err
	}
	if err := t.print(answer, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d %s\n", answer.Status, answer.Body) }); err != nil {
		return err
	}
	if !answer.Received() {
		return errNotReceived
	}
	return nil
}

// An instant is a flag that says how it is written when it is not.
type instant struct{ time.Time }

// UnmarshalText reads what stood behind the flag.
func (i *instant) UnmarshalText(text []byte) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("this is an instant like 2026-12-31T23:59:59+01:00")
	}
	return nil
}
