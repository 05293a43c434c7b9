package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"guichet"
	"guichet/gateway"
	"guichet/grant"
)

type gatewayCmd struct {
	Run      gatewayRunCmd      `cmd:"" default:"withargs" help:"Verify tokens beside an API: answers /check, /healthz, /metrics."`
	Add      gatewayAddCmd      `cmd:"" help:"Let a gateway read the blocklist, and print its credential, once."`
	List     gatewayListCmd     `cmd:"" help:"List gateways: version, lag, last contact."`
	Rotate   gatewayRotateCmd   `cmd:"" help:"Print another credential, once; the former one is good until the new one is used, for a day at the most."`
	Revoke   gatewayRevokeCmd   `cmd:"" help:"Refuse a gateway from now on."`
	Restored gatewayRestoredCmd `cmd:"" help:"Say that the database was restored from a backup, so that gateways take the whole blocklist again."`
}

func (p *program) gateways() *grant.Gateways {
	return &grant.Gateways{Store: p.store.Gateways(), List: p.grant.Store, Clock: p.clock}
}

type gatewayRunCmd struct {
	Upstream   string            `help:"Address of Guichet." required:""`
	Listen     string            `help:"Where to answer." default:"127.0.0.1:8082"`
	StaleAfter time.Duration     `help:"Refuse everything when Guichet was not heard for so long; 5s at the least." default:"60s"`
	State      string            `help:"Folder for the list, so that a restart without Guichet finds it." default:"var/gateway"`
	Shared     map[string]string `help:"File with the shared secret of a provider with HS256, as PROVIDER=FILE." placeholder:"PROVIDER=FILE"`
	Limits     string            `help:"JSON file: addresses and rate of tokens, by their id." type:"existingfile" placeholder:"FILE"`
	ClientIP   string            `help:"Header in which the proxy gives the caller's address, such as X-Real-IP; for limits." name:"client-ip-header"`
}

// Run serves until it is stopped. It needs no database and no key of Guichet.
func (c gatewayRunCmd) Run(ctx context.Context, all *cli) error {
	config, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	if config.GatewayToken == "" {
		return configError("gateway_token", `A gateway needs its credential: "guichet gateway add" prints one.`)
	}
	log := newLog(config.LogLevel, all.log)
	options := gateway.Config{
		Upstream: c.Upstream, Credential: config.GatewayToken, StaleAfter: c.StaleAfter, StateDir: c.State, ClientIP: c.ClientIP,
		Version: version, Clock: guichet.SystemClock(), Log: log,
	}
	if options.Shared, err = gateway.ReadShared(c.Shared, options.Clock.Now()); err != nil {
		return err
	}
	if c.Limits != "" {
		if options.Limits, err = gateway.ReadLimits(c.Limits); err != nil {
			return err
		}
	}
	g, err := gateway.Open(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	log.Info("ready", "address", listener.Addr().String(), "upstream", c.Upstream, "stale_after", c.StaleAfter.String())
	return serveGateway(ctx, g, listener)
}

func serveGateway(ctx context.Context, g *gateway.Gateway, l net.Listener) error {
	// Nothing here has a body, so a request has as long as its header: one limit for
	// both is one timer less to set at each check.
	server := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.Tune()
	kept := make(chan error, 1)
	go func() { kept <- g.Run(ctx) }()
	failed := make(chan error, 1)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(end))
	stop()
	return errors.Join(err, <-kept)
}

type gatewayAddCmd struct {
	Name string `help:"Name of the gateway, as the page shows it." required:""`
}

func (c gatewayAddCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		g, credential, err := p.gateways().Add(ctx, atCommandLine(), c.Name)
		if err != nil {
			return err
		}
		return t.print(map[string]string{"name": g.Name, "token": credential.Reveal()}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\nGUICHET_GATEWAY_TOKEN, shown only now:\t%s\n", g.Name, credential.Reveal())
		})
	})
}

type gatewayRotateCmd struct {
	Name string `arg:""`
}

func (c gatewayRotateCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		credential, err := p.gateways().Rotate(ctx, atCommandLine(), c.Name)
		if err != nil {
			return err
		}
		return t.print(map[string]string{"name": c.Name, "token": credential.Reveal()}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\nGUICHET_GATEWAY_TOKEN, shown only now:\t%s\n", c.Name, credential.Reveal())
		})
	})
}

type gatewayRevokeCmd struct {
	Name string `arg:""`
}

func (c gatewayRevokeCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		if err := p.gateways().Revoke(ctx, atCommandLine(), c.Name); err != nil {
			return err
		}
		return t.print(map[string]string{"name": c.Name}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "revoked\t%s\n", c.Name) })
	})
}

type gatewayRestoredCmd struct{}

func (gatewayRestoredCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		epoch, err := p.store.RaiseEpoch(ctx, atCommandLine())
		if err != nil {
			return err
		}
		return t.print(map[string]int64{"epoch": epoch}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "the blocklist is in epoch %d\n", epoch) })
	})
}

type gatewayListCmd struct{}

// gatewayJSON is a gateway for scripts; contract: docs/commands.md.
type gatewayJSON struct {
	Name        string             `json:"name"`
	State       grant.GatewayState `json:"state"`
	Epoch       int64              `json:"epoch"`
	Version     int64              `json:"version"`
	Lag         int64              `json:"lag"`
	LastContact *time.Time         `json:"last_contact"`
	StaleAfter  int64              `json:"stale_after_seconds"`
	Software    string             `json:"software"`
	CreatedAt   time.Time          `json:"created_at"`
	RevokedAt   *time.Time         `json:"revoked_at"`
}

func (gatewayListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		list, _, err := p.gateways().Standings(ctx)
		if err != nil {
			return err
		}
		out := []gatewayJSON{}
		for _, g := range list {
			out = append(out, gatewayJSON{
				Name: g.Name, State: g.State, Epoch: g.Seen.Have.Epoch, Version: g.Seen.Have.Seq, Lag: g.Behind, LastContact: moment(g.Seen.At),
				StaleAfter: int64(g.Seen.StaleAfter.Seconds()), Software: g.Seen.Software, CreatedAt: g.CreatedAt, RevokedAt: moment(g.RevokedAt),
			})
		}
		return t.print(out, func(w io.Writer) {
			for _, g := range out {
				seen := "never"
				if g.LastContact != nil {
					seen = g.LastContact.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\tversion %d\tlag %d\t%s\n", g.Name, g.State, g.Version, g.Lag, seen)
			}
		})
	})
}
