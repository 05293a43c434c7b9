package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"guichet"
	"guichet/alarm"
	"guichet/api"
	"guichet/bank"
	workers "guichet/connector/process"
	"guichet/grant"
	"guichet/job"
	"guichet/mail"
	"guichet/notify"
	"guichet/openid"
	"guichet/people"
	"guichet/store"
	"guichet/usage"
	"guichet/web"
	"guichet/web/view"
)

// program is everything wired together. Nobody else knows how parts are made.
type program struct {
	config config
	clock  guichet.Clock
	log    *slog.Logger
	store  *store.Store
	keys   *keys
	grant  *grant.Desk
	bank   *bank.Desk
	woob   *workers.Connector // nil: not configured
	people *people.Desk
	uses   *usage.Counter
	mailer *mail.Sender // nil: mails are written to the log instead
	alarms []alarm.Channel
	drifts *grant.Reconciler

	console io.Writer // nil: standard error

	secrets  *secretBook
	notifier *notify.Sender
}

// openProgram opens and migrates the database, then builds the parts on it.
func openProgram(ctx context.Context, c config, log *slog.Logger) (*program, error) {
	return openProgramAt(ctx, c, log, guichet.SystemClock())
}

func openProgramAt(ctx context.Context, c config, log *slog.Logger, clock guichet.Clock) (*program, error) {
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	s, err := store.Open(ctx, c.Database, store.Options{Clock: clock})
	if err != nil {
		return nil, err
	}
	p := &program{config: c, clock: clock, log: log, store: s, uses: usage.NewCounter(clock)}
	if err := p.build(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return p, nil
}

func (p *program) build(ctx context.Context) (err error) {
	if _, err := p.store.Migrate(ctx); err != nil {
		return err
	}
	if p.keys, err = openKeys(ctx, p.config, p.store, p.clock); err != nil {
		return err
	}
	providers := map[string]grant.Provider{}
	for name, c := range p.config.Providers {
		c.Mails = c.Mails && p.config.SMTP != "" // nobody would send them
		providers[name] = c.Provider
	}
	p.grant = &grant.Desk{
		Store: p.store.Grant(), Clock: p.clock, Providers: providers, URL: p.config.URL, Mint: p.keys.mint, Clients: p.store.Clients(),
		PurgeAfter: p.config.PurgeAfter, PurgeRefusedAfter: p.config.PurgeRefusedAfter,
	}
	if err := p.openSecrets(ctx); err != nil {
		return err
	}
	p.notifier = notify.NewSender(p.clock, "Guichet/"+version)
	p.drifts = p.reconciler()
	p.people = &people.Desk{Store: p.store.People(), Clock: p.clock, URL: p.config.URL}
	if err := p.openBank(ctx); err != nil {
		return err
	}
	if p.alarms, err = alarm.Open(p.config.SentryDSN, p.config.AlertURLs); err != nil {
		return err
	}
	if p.config.SMTP != "" {
		from, err := mail.ParseMailbox(p.config.MailFrom)
		if err != nil {
			return err
		}
		if p.mailer, err = mail.NewSender(p.config.SMTP, from, p.clock, p.store.Letters()); err != nil {
			return err
		}
	}
	return nil
}

// withProgram runs a command on the database of the configuration.
func withProgram(ctx context.Context, all *cli, use func(*program) error) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	p, err := openProgram(ctx, c, newLog(c.LogLevel, all.log))
	if err != nil {
		return err
	}
	return errors.Join(use(p), p.store.Close())
}

// api is the machines' face.
func (p *program) api(stopping <-chan struct{}) *api.Server {
	s := &api.Server{Clock: p.clock, Log: p.log}
	if p.config.Windows["grant"] {
		s.Grant, s.Verifier = p.grant, p.keys.verifier
		s.Secrets, s.SecretUsed = p.secrets.active, p.secrets.use
		s.JWKS = func() ([]byte, error) { return p.keys.now.Load().jwks, nil }
		s.URL = p.config.URL
		s.Statuses = api.NewStatuses(p.config.URL, p.clock, p.store.Grant(), p.keys.lists)
		s.Gateways, s.Stopping, s.Uses = p.gateways(), stopping, p.uses
		s.Blocked = func() <-chan struct{} { return p.store.Changed(store.BlocklistRaised) }
	}
	return s
}

// web is the people's face, with the JSON API below it: both know people by the
// same sessions.
func (p *program) web(json http.Handler, stopping <-chan struct{}) (http.Handler, error) {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		return nil, err
	}
	s := &web.Server{
		Clock: p.clock, Log: p.log, URL: p.config.URL, Zone: zone,
		Windows:   view.Windows{Bank: p.config.Windows["bank"], Grant: p.config.Windows["grant"]},
		Providers: p.providerPages(),
		People:    p.people, Grant: p.grant, Gateways: p.gateways(), Drifts: p.drifts, Office: p.store.Grant(), Bank: p.bank, Alerts: p.store.Alerts(), Sessions: p.store.Sessions(), Stopping: stopping,
		FailAPI: func(w http.ResponseWriter, r *http.Request, err error) { api.Fail(p.log, w, r, err) },
	}
	if p.config.OpenID != nil {
		if s.OpenID, err = openid.New(*p.config.OpenID, p.clock); err != nil {
			return nil, err
		}
	}
	return s.Handler(json)
}

// json is the JSON API, for whoever holds a session or a personal token: each
// window's part while it is open.
func (p *program) json(stopping <-chan struct{}) http.Handler {
	b := &api.Bank{Log: p.log, Identify: p.identify, Stopping: stopping, Alerts: p.alertsAbout}
	b.Cookie, b.Machines = web.CookieName(strings.HasPrefix(p.config.URL, "https://")), p.config.Windows["grant"]
	if p.config.Windows["bank"] {
		b.Desk = p.bank
	}
	if b.Machines {
		b.Tokens = p.grant
	}
	return b.Handler()
}

// identify finds who asks: a program by its personal token, else a browser by its
// session. A token that is wrong is never made good by a cookie.
func (p *program) identify(r *http.Request) (guichet.Actor, string, error) {
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		scheme, token, _ := strings.Cut(authorization, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return guichet.Actor{}, "", people.ErrBadAPICall
		}
		person, err := p.people.PersonByAPIToken(r.Context(), guichet.Secret(strings.TrimSpace(token)))
		return person.Actor(), string(person.Role), err
	}
	if person, ok := web.PersonOf(r.Context()); ok {
		return person.Actor(), string(person.Role), nil
	}
	return guichet.Actor{}, "", nil // nobody: whoever asks says so in its own words
}

// alertsAbout lists what nobody has acknowledged about the subjects.
func (p *program) alertsAbout(ctx context.Context, subjects []string) (all []guichet.Alert, err error) {
	for _, s := range subjects {
		some, err := p.store.Alerts().List(ctx, guichet.AlertFilter{Open: true, Subject: s, Limit: 10})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// keepNotices is how long notifications that are over are shown.
const keepNotices = 180 * 24 * time.Hour

// runner does the durable work.
func (p *program) runner() *job.Runner {
	handlers, periodic := p.bankJobs()
	periodic = append(periodic, p.reconcileJobs(handlers)...)
	handlers["mail"], handlers["alert"], handlers["letter"], handlers["notice"] = p.sendMail, p.tellOperators, p.sendWaited, p.sendNotice
	handlers["forget"] = func(ctx context.Context, _ job.Claimed) error {
		return errors.Join(p.store.Sessions().Forget(ctx), p.store.Grant().Forget(ctx), p.store.Notices().Forget(ctx, p.clock.Now().Add(-keepNotices)))
	}
	handlers["index"] = func(ctx context.Context, _ job.Claimed) error { _, err := p.store.Grant().Index(ctx); return err }
	handlers["remind"] = func(ctx context.Context, _ job.Claimed) error {
		_, err := p.grant.Remind(ctx, p.store.Grant())
		return err
	}
	handlers["gateways"] = func(ctx context.Context, _ job.Claimed) error { return p.gateways().Watch(ctx) }
	handlers["sweep"] = func(ctx context.Context, _ job.Claimed) error { _, _, err := p.grant.Sweep(ctx); return err }
	return &job.Runner{
		Store: p.store.Jobs(), Clock: p.clock, Log: p.log, Handlers: handlers,
		Workers: 16, // most of them wait for a bank
		Limits:  map[string]int{"mail": 3, "letter": 1, "alert": 2, "notice": 4},
		Periodic: append(periodic,
			job.Periodic{Kind: "sweep", Slot: job.Every(time.Minute)}, job.Periodic{Kind: "forget", Slot: job.Every(time.Hour)},
			job.Periodic{Kind: "index", Slot: job.Every(time.Minute)}, job.Periodic{Kind: "remind", Slot: job.Every(time.Hour)},
			job.Periodic{Kind: "gateways", Slot: job.Every(time.Minute)}),
	}
}

// sendMail is the job of a letter.
func (p *program) sendMail(ctx context.Context, c job.Claimed) error {
	if p.mailer == nil {
		p.log.Info("no GUICHET_SMTP: a letter is not sent", "job", c.ID)
		return nil
	}
	err := p.mailer.Handle(ctx, c.ID, c.Args)
	if err != nil && mail.Permanent(err) {
		return job.Permanent(err)
	}
	// A mail server that was down for an hour is tried within five minutes of its
	// return, by what has attempts enough for some days of that.
	if err != nil && c.MaxAttempts >= 1000 {
		return job.Later(err, min(job.Backoff(c.Attempt, p.clock.Intn(1<<40)), 5*time.Minute))
	}
	return err
}
