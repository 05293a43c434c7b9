package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type serveCmd struct{}

func (serveCmd) Run(ctx context.Context, _ terminal, all *cli) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	p, err := openProgram(ctx, c, newLog(c.LogLevel, all.log))
	if err != nil {
		return err
	}
	p.console = all.log
	return errors.Join(p.serve(ctx), p.store.Close())
}

// serve listens until ctx is done, then stops in order: no new request, requests
// end, jobs end, and only then the database is closed.
func (p *program) serve(ctx context.Context) error {
	// What lives is a few megabytes and each delivery allocates some kilobytes: at
	// the usual setting the collector would run a hundred times a second.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	public, err := net.Listen("tcp", p.config.Addr)
	if err != nil {
		return configError("addr", fmt.Sprintf("Cannot listen on %s: %v", p.config.Addr, err))
	}
	admin, err := net.Listen("tcp", p.config.AdminAddr)
	if err != nil {
		return errors.Join(configError("admin_addr", fmt.Sprintf("Cannot listen on %s: %v", p.config.AdminAddr, err)), public.Close())
	}
	handler, err := p.handler(ctx)
	if err != nil {
		return errors.Join(err, public.Close(), admin.Close())
	}
	servers := []*http.Server{
		{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10},
		{Handler: p.admin(), ReadHeaderTimeout: 5 * time.Second},
	}
	var running sync.WaitGroup
	failed := make(chan error, len(servers))
	for i, l := range []net.Listener{public, admin} {
		running.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	running.Go(func() { p.runner().Run(work) })
	running.Go(func() { p.keys.watch(work) })
	running.Go(func() { p.noteUsage(work) })
	running.Go(func() { p.secrets.watch(work) })
	go p.warm(work)
	p.log.Info("ready", "url", p.config.URL, "address", public.Addr().String(), "admin", admin.Addr().String(), "database", string(p.store.Engine()))
	select {
	case <-ctx.Done():
		p.log.Info("stopping")
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(end))
	}
	stopWork()
	err = errors.Join(err, p.bank.Stop(end))
	running.Wait()
	if p.woob != nil {
		err = errors.Join(err, p.woob.Close())
	}
	return err
}

// handler is the public face: machines by their own paths, everything else by
// the pages. Only pages and the JSON API look up who is signed in.
func (p *program) handler(ctx context.Context) (http.Handler, error) {
	mux := http.NewServeMux()
	p.api(ctx.Done()).Routes(mux)
	p.health(mux)
	pages, err := p.web(p.json(ctx.Done()), ctx.Done())
	if err != nil {
		return nil, err
	}
	mux.Handle("/", pages)
	return wellFormed(mux), p.announce(ctx)
}

// wellFormed refuses addresses that are not text: PostgreSQL would not take them,
// and no page of ours makes them.
func wellFormed(next http.Handler) http.Handler {
	text := func(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.QueryUnescape(r.URL.RawQuery)
		if err != nil || !text(query) || !text(r.URL.Path) {
			http.Error(w, "This address is not text in UTF-8.", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// announce prints the code with which the first person comes in, as long as there
// is nobody. It is the only secret ever printed: whoever reads the console of a
// program runs it.
func (p *program) announce(ctx context.Context) error {
	code, needed, err := p.people.SetupCode(ctx)
	if err != nil || !needed {
		return err
	}
	_, err = fmt.Fprintf(cmp.Or[io.Writer](p.console, os.Stderr), "\nNobody has an account yet. Open %s/setup and enter this code: %s\n\n", p.config.URL, code.Reveal())
	return err
}

// health answers whoever watches the process: it lives; it can serve.
func (p *program) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := p.store.Ping(ctx); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

// admin is for operators, on an address of its own that nobody else reaches.
func (p *program) admin() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), gauges{p}, gatewayGauges{p})
	mux := http.NewServeMux()
	p.health(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// gauges reads the figures of the database when they are asked for.
type gauges struct{ p *program }

var (
	descTokens   = prometheus.NewDesc("guichet_tokens", "Tokens, by state.", []string{"state"}, nil)
	descRequests = prometheus.NewDesc("guichet_requests", "Requests, by status.", []string{"status"}, nil)
	descAlerts   = prometheus.NewDesc("guichet_alerts_open", "Alerts nobody has acknowledged.", nil, nil)
	descHeld     = prometheus.NewDesc("guichet_deliveries_waiting", "Deliveries that wait for an operator, by effect.", []string{"effect"}, nil)
	descJobs     = prometheus.NewDesc("guichet_jobs", "Jobs, by kind and state.", []string{"kind", "state"}, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descTokens, descRequests, descAlerts, descHeld, descJobs} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	s, err := g.p.grant.Store.Summary(ctx, g.p.clock.Now())
	if err != nil {
		c <- prometheus.NewInvalidMetric(descTokens, err)
		return
	}
	gauge(descTokens, s.LiveTokens, "live")
	gauge(descTokens, s.BlockedTokens, "blocked")
	for status, n := range s.Requests {
		gauge(descRequests, n, string(status))
	}
	gauge(descAlerts, s.OpenAlerts)
	gauge(descHeld, s.OpenHeld, "held")
	gauge(descHeld, s.OpenQuarantine, "quarantined")
	jobs, err := g.p.store.Jobs().Counts(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(descJobs, err)
		return
	}
	for _, j := range jobs {
		gauge(descJobs, j.Number, j.Kind, j.State)
	}
}
