package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"guichet"
	"guichet/connector/datapass"
	"guichet/grant"
	"guichet/job"
)

// apiFile is the table api of a provider in GUICHET_PROVIDERS_FILE.
type apiFile struct {
	URL      string `toml:"url"`
	ClientID string `toml:"client_id"`
	Secret   string `toml:"secret"`
	File     string `toml:"secret_file"`
	Webhook  string `toml:"webhook"`
	Settle   string `toml:"settle"`
}

// sourceAPI is where the source of a provider is asked what it knows.
type sourceAPI struct {
	URL, ClientID string
	Secret        guichet.Secret
	Webhook       string        // number of our webhook there, whose attempts are read; empty: they are not
	Settle        time.Duration // how long a delivery may be on its way
}

const settleByDefault = 15 * time.Minute // four tries of DataPass

// read checks the table; problem is what is wrong with it, in words.
func (f apiFile) read() (a sourceAPI, problem string) {
	if f == (apiFile{}) {
		return a, ""
	}
	a = sourceAPI{URL: strings.TrimSuffix(f.URL, "/"), ClientID: f.ClientID, Secret: guichet.Secret(f.Secret), Webhook: f.Webhook, Settle: settleByDefault}
	if f.File != "" {
		b, err := os.ReadFile(f.File)
		if err != nil {
			return a, "the file of the API's secret cannot be read."
		}
		a.Secret = guichet.Secret(strings.TrimSpace(string(b)))
	}
	at, err := url.Parse(a.URL)
	if err != nil || at.Host == "" || at.User != nil || at.Scheme != "https" && !(at.Scheme == "http" && loopback(at.Hostname())) {
		return a, "the API's url is https://…, or http:// on this machine."
	}
	if a.ClientID == "" || a.Secret == "" {
		return a, "the API needs client_id, and secret or secret_file."
	}
	if f.Settle != "" {
		if a.Settle, err = time.ParseDuration(f.Settle); err != nil || a.Settle < 0 {
			return a, "settle is like 15m."
		}
	}
	return a, ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reconciler asks the sources that are configured.
func (p *program) reconciler() *grant.Reconciler {
	r := &grant.Reconciler{Desk: p.grant, Store: p.store.Drifts(), Sources: map[string]grant.Source{}, Settle: map[string]time.Duration{}}
	for name, c := range p.config.Providers {
		if c.API.URL == "" {
			continue
		}
		r.Settle[name] = c.API.Settle
		r.Sources[name] = &datapass.Client{
			URL: c.API.URL, ClientID: c.API.ClientID, Secret: c.API.Secret, Definition: c.DefinitionID(), Webhook: c.API.Webhook, Clock: p.clock,
		}
	}
	return r
}

// reconcileJobs asks each source once a day, before people come to work, and when
// somebody wants it. The slot is the day: one replica makes its jobs.
func (p *program) reconcileJobs(handlers map[string]job.Handler) []job.Periodic {
	handlers["reconcile_daily"] = func(ctx context.Context, _ job.Claimed) error {
		for _, name := range p.drifts.Providers() {
			if err := p.drifts.Ask(ctx, guichet.System("reconcile"), name); err != nil {
				return err
			}
		}
		return nil
	}
	handlers["reconcile"] = func(ctx context.Context, c job.Claimed) error {
		var args struct{ Provider string }
		if err := json.Unmarshal(c.Args, &args); err != nil {
			return job.Permanent(err)
		}
		run, err := p.drifts.Run(ctx, args.Provider, nil)
		if errors.Is(err, grant.ErrNoSource) { // it was taken out of the configuration since
			return job.Permanent(err)
		}
		if err == nil {
			p.log.Info("reconciled", "provider", args.Provider, "requests", run.Read, "drifts", run.Opened)
		}
		return err
	}
	if len(p.drifts.Sources) == 0 {
		return nil
	}
	return []job.Periodic{{Kind: "reconcile_daily", Slot: func(now time.Time) string { return now.UTC().Add(-4 * time.Hour).Format(time.DateOnly) }}}
}

type reconcileCmd struct {
	Provider string         `help:"Only this provider."`
	Settle   *time.Duration `help:"How long a delivery may be on its way; as configured when not given."`
}

// runJSON and driftJSON are for scripts; contract: docs/commands.md.
type runJSON struct {
	Provider  string         `json:"provider"`
	State     grant.RunState `json:"state"`
	Read      int            `json:"read"`
	Opened    int            `json:"opened"`
	Failure   *string        `json:"failure"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   *time.Time     `json:"ended_at"`
}

type driftJSON struct {
	ID         guichet.ID       `json:"id"`
	Provider   string           `json:"provider"`
	ExternalID string           `json:"external_id"`
	Kind       grant.DriftKind  `json:"kind"`
	State      grant.DriftState `json:"state"`
	Theirs     *string          `json:"theirs"`
	Ours       *string          `json:"ours"`
	Tokens     int              `json:"tokens"`
	Event      *string          `json:"event"`
	EventAt    *time.Time       `json:"event_at"`
	Repair     *string          `json:"repair"`
	OpenedAt   time.Time        `json:"opened_at"`
}

func driftOut(d grant.Drift) driftJSON {
	return driftJSON{
		ID: d.ID, Provider: d.Provider, ExternalID: d.ExternalID, Kind: d.Kind, State: d.State, Theirs: filled(string(d.Theirs)), Ours: filled(string(d.Ours)),
		Tokens: d.Tokens, Event: filled(string(d.Event)), EventAt: moment(d.At), Repair: filled(string(d.Repair)), OpenedAt: d.OpenedAt,
	}
}

// Run reads the sources now, in this process, and prints what it read and every
// drift that is open.
func (c reconcileCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		names := p.drifts.Providers()
		if c.Provider != "" {
			names = []string{c.Provider}
		}
		if len(names) == 0 {
			return grant.ErrNoSource
		}
		runs := []runJSON{}
		var failed error
		for _, name := range names {
			if c.Settle != nil {
				p.drifts.Settle[name] = *c.Settle
			}
			run, err := p.drifts.Run(ctx, name, func(r grant.Run) {
				_, _ = fmt.Fprintf(t.err, "%s: %d requests read, %d new drifts\n", name, r.Read, r.Opened)
			})
			failed = errors.Join(failed, err)
			runs = append(runs, runJSON{name, run.State, run.Read, run.Opened, filled(run.Failure), run.StartedAt, moment(run.EndedAt)})
		}
		drifts, err := openDrifts(ctx, p, c.Provider)
		if err != nil {
			return errors.Join(failed, err)
		}
		err = t.print(map[string]any{"runs": runs, "drifts": drifts}, func(w io.Writer) { printDrifts(w, drifts) })
		return errors.Join(failed, err)
	})
}

func openDrifts(ctx context.Context, p *program, provider string) ([]driftJSON, error) {
	list, err := p.drifts.Store.Drifts(ctx, grant.DriftFilter{Provider: provider, Limit: 1000})
	if err != nil {
		return nil, err
	}
	out := []driftJSON{}
	for _, d := range list {
		out = append(out, driftOut(d))
	}
	return out, nil
}

func printDrifts(w io.Writer, drifts []driftJSON) {
	if len(drifts) == 0 {
		_, _ = fmt.Fprintln(w, "no drift")
	}
	word := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	for _, d := range drifts {
		_, _ = fmt.Fprintf(w, "%s\t%s/%s\t%s\tthere %s\there %s\t%d tokens\trepair: %s %s\n", d.ID, d.Provider, d.ExternalID, d.Kind, word(d.Theirs), word(d.Ours), d.Tokens, word(d.Repair), word(d.Event))
	}
}

type driftCmd struct {
	List    driftListCmd    `cmd:"" help:"List the drifts that are open."`
	Repair  driftRepairCmd  `cmd:"" help:"Do what is proposed about a drift."`
	Dismiss driftDismissCmd `cmd:"" help:"Leave a drift as it is, for a reason."`
}

type driftListCmd struct {
	Provider string `help:"Only of this provider."`
}

// Run prints the open drifts, the newest first.
func (c driftListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		drifts, err := openDrifts(ctx, p, c.Provider)
		if err != nil {
			return err
		}
		return t.print(drifts, func(w io.Writer) { printDrifts(w, drifts) })
	})
}

type driftRepairCmd struct {
	ID     string `arg:""`
	Reason string `help:"Why, for those who read this later."`
}

// Run carries out the repair that is proposed.
func (c driftRepairCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return settleDrift(ctx, t, all, c.ID, func(p *program, id guichet.ID) (grant.Drift, error) {
		return p.drifts.Repair(ctx, atCommandLine(), id, c.Reason)
	})
}

type driftDismissCmd struct {
	ID     string `arg:""`
	Reason string `help:"Why." required:""`
}

// Run dismisses the drift.
func (c driftDismissCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return settleDrift(ctx, t, all, c.ID, func(p *program, id guichet.ID) (grant.Drift, error) {
		return p.drifts.Dismiss(ctx, atCommandLine(), id, c.Reason)
	})
}

func settleDrift(ctx context.Context, t terminal, all *cli, id string, deed func(*program, guichet.ID) (grant.Drift, error)) error {
	return withProgram(ctx, all, func(p *program) error {
		parsed, err := guichet.ParseID(id)
		if err != nil {
			return err
		}
		drift, err := deed(p, parsed)
		if err != nil {
			return err
		}
		return t.print(driftOut(drift), func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s\t%s\n", drift.ID, drift.State) })
	})
}
