// Command guichet-envoy is "guichet gateway" for Envoy: it answers the external
// authorization filter over gRPC, and /healthz and /metrics over HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"guichet"
	"guichet/gateway"
	"guichet/gateway/envoy"
)

var version = "dev" // the linker sets it

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic,forbidigo // main ends the program
	}
}

type options struct {
	listen, http, limits string
	gateway              gateway.Config
}

func read(args []string, env func(string) string, out io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("guichet-envoy", flag.ContinueOnError)
	flags.SetOutput(out)
	shared := map[string]string{}
	flags.StringVar(&o.gateway.Upstream, "upstream", "", "address of Guichet")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8083", "where to answer Envoy, over gRPC")
	flags.StringVar(&o.http, "http", "127.0.0.1:8082", "where to answer /healthz and /metrics")
	flags.DurationVar(&o.gateway.StaleAfter, "stale-after", gateway.StandardStaleAfter, "refuse everything when Guichet was not heard for so long; 5s at the least")
	flags.StringVar(&o.gateway.StateDir, "state", "var/gateway", "folder for the list, so that a restart without Guichet finds it")
	flags.StringVar(&o.limits, "limits", "", "JSON file: addresses and rate of tokens, by their id")
	flags.Func("shared", "PROVIDER=FILE: the shared secret of a provider with HS256; may be repeated", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("this is PROVIDER=FILE")
		}
		shared[name] = path
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	credential := env("GUICHET_GATEWAY_TOKEN")
	if path := env("GUICHET_GATEWAY_TOKEN_FILE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return o, err
		}
		credential = strings.TrimSpace(string(b))
	}
	if credential == "" || o.gateway.Upstream == "" || flags.NArg() > 0 {
		return o, errors.New(`guichet-envoy needs -upstream, and GUICHET_GATEWAY_TOKEN as "guichet gateway add" prints it`)
	}
	o.gateway.Credential, o.gateway.Version, o.gateway.Clock = guichet.Secret(credential), version, guichet.SystemClock()
	o.gateway.Log = slog.New(slog.NewJSONHandler(out, nil))
	if o.gateway.Shared, err = gateway.ReadShared(shared, o.gateway.Clock.Now()); err != nil {
		return o, err
	}
	if o.limits != "" {
		o.gateway.Limits, err = gateway.ReadLimits(o.limits)
	}
	return o, err
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	o, err := read(args, env, out)
	if err != nil {
		return err
	}
	g, err := gateway.Open(o.gateway)
	if err != nil {
		return err
	}
	listen := net.ListenConfig{}
	rpc, err := listen.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	web, err := listen.Listen(ctx, "tcp", o.http)
	if err != nil {
		return err
	}
	o.gateway.Log.Info("ready", "address", rpc.Addr().String(), "http", web.Addr().String(), "upstream", o.gateway.Upstream, "stale_after", o.gateway.StaleAfter.String())
	return serve(ctx, g, rpc, web)
}

const (
	mostMessage  = 256 << 10 // Envoy takes 60 KiB of headers
	mostStreams  = 1000
	mostIdle     = 10 * time.Minute
	mostShutdown = 10 * time.Second
)

func serve(ctx context.Context, g *gateway.Gateway, rpc, web net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.Tune()
	answers := grpc.NewServer(grpc.MaxRecvMsgSize(mostMessage), grpc.MaxConcurrentStreams(mostStreams), grpc.ConnectionTimeout(5*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: mostIdle}))
	envoy.Register(answers, g)
	page := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 3)
	go func() { ended <- g.Run(ctx) }()
	go func() { ended <- answers.Serve(rpc) }()
	go func() {
		err := page.Serve(web)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		ended <- err
	}()
	var err error
	left := cap(ended)
	select {
	case <-ctx.Done():
	case err = <-ended:
		left--
	}
	end, cancel := context.WithTimeout(context.Background(), mostShutdown)
	defer cancel()
	calm := time.AfterFunc(mostShutdown, answers.Stop)
	answers.GracefulStop()
	calm.Stop()
	err = errors.Join(err, page.Shutdown(end))
	stop()
	for range left {
		err = errors.Join(err, <-ended)
	}
	return err
}
