package main

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/job"
	"guichet/keyring"
	"guichet/mail"
	"guichet/notify"
	"guichet/store"
	"guichet/web"
)

// secretBook knows which secrets of the configuration are in force, and when each
// was last used. Deliveries ask it at every turn, so that it answers from memory:
// uses are written down once a minute at most, by nobody who waits.
type secretBook struct {
	store store.Secrets
	clock guichet.Clock
	of    map[string][]*knownSecret // by provider, in the order of the configuration
}

// A knownSecret is one secret of a provider.
type knownSecret struct {
	value    keyring.Secret
	mark     string // tells it from the others, and nothing about it
	until    time.Time
	used     atomic.Int64 // seconds since 1970, of the last use this process saw
	noted    int64        // what the database has; only flush touches it
	ended    atomic.Int64 // seconds since 1970; 0: not ended by hand
	lastUsed atomic.Int64 // of all processes, as the database has it
}

const (
	watchSecrets = 2 * time.Second // how soon a secret ended by another process is refused here
	secretUse    = time.Minute     // how exactly the last use is kept
)

// openSecrets gives each secret its mark, and reads what is known of them.
func (p *program) openSecrets(ctx context.Context) error {
	sealer, err := p.keys.bankSealer(ctx, p.store, p.clock)
	if err != nil {
		return err
	}
	b := &secretBook{store: p.store.Secrets(), clock: p.clock, of: map[string][]*knownSecret{}}
	for name, c := range p.config.Providers {
		for _, s := range c.Secrets {
			mark, err := sealer.Fingerprint("provider-secret", name, s.Value.Reveal())
			if err != nil {
				return err
			}
			b.of[name] = append(b.of[name], &knownSecret{value: s.Value, mark: mark[:12], until: s.Until})
		}
	}
	p.secrets = b
	return b.refresh(ctx)
}

// refresh reads what other processes, and people, did to secrets.
func (b *secretBook) refresh(ctx context.Context) error {
	all, err := b.store.All(ctx)
	if err != nil {
		return err
	}
	for _, u := range all {
		for _, s := range b.of[u.Provider] {
			if s.mark != u.Mark {
				continue
			}
			if !u.EndedAt.IsZero() {
				s.ended.Store(u.EndedAt.Unix())
			}
			if !u.LastUsedAt.IsZero() {
				s.lastUsed.Store(u.LastUsedAt.Unix())
			}
		}
	}
	return nil
}

// active gives the secrets of a provider that are accepted at an instant.
func (b *secretBook) active(provider string, now time.Time) []keyring.Secret {
	var out []keyring.Secret
	for _, s := range b.of[provider] {
		if s.inForce(now) {
			out = append(out, s.value)
		}
	}
	return out
}

func (s *knownSecret) inForce(now time.Time) bool {
	return s.ended.Load() == 0 && (s.until.IsZero() || now.Before(s.until))
}

// use notes in memory that a delivery was signed with the secret.
func (b *secretBook) use(provider string, secret keyring.Secret) {
	for _, s := range b.of[provider] {
		if s.value == secret {
			s.used.Store(b.clock.Now().Unix())
		}
	}
}

// flush writes down uses that are newer, by a minute, than what the database has.
// If we die before, a minute of "last used" is lost and nothing else.
func (b *secretBook) flush(ctx context.Context) error {
	var uses []store.SecretUse
	for provider, secrets := range b.of {
		for _, s := range secrets {
			if used := s.used.Load(); used >= s.noted+int64(secretUse/time.Second) {
				uses = append(uses, store.SecretUse{Provider: provider, Mark: s.mark, LastUsedAt: time.Unix(used, 0)})
			}
		}
	}
	if err := b.store.NoteUses(ctx, uses); err != nil {
		return err
	}
	for _, u := range uses {
		for _, s := range b.of[u.Provider] {
			if s.mark == u.Mark {
				s.noted = u.LastUsedAt.Unix()
			}
		}
	}
	return nil
}

// watch follows what happens to secrets elsewhere, until the program ends.
func (b *secretBook) watch(ctx context.Context) {
	tick := time.NewTicker(watchSecrets)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = b.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			_ = b.flush(ctx) // the next one tries again
			_ = b.refresh(ctx)
		}
	}
}

// standings tells people how the secrets of a provider stand.
func (b *secretBook) standings(provider string) []grant.SecretStanding {
	now := b.clock.Now()
	out := []grant.SecretStanding{}
	for _, s := range b.of[provider] {
		out = append(out, grant.SecretStanding{
			Mark: s.mark, Until: s.until, EndedAt: unixOrNever(s.ended.Load()), LastUsedAt: unixOrNever(max(s.used.Load(), s.lastUsed.Load())),
			InForce: s.inForce(now),
		})
	}
	return out
}

func unixOrNever(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// end ends a secret for ever: here at once, in other processes within seconds.
func (b *secretBook) end(ctx context.Context, by guichet.Actor, provider, mark string) error {
	for _, s := range b.of[provider] {
		if s.mark != mark {
			continue
		}
		if err := b.store.End(ctx, by, provider, mark); err != nil {
			return err
		}
		s.ended.CompareAndSwap(0, b.clock.Now().Unix())
		return nil
	}
	return grant.ErrNoSecret
}

// deliver gives a notification to the systems of its provider.
func (p *program) deliver(ctx context.Context, name string, id guichet.ID, body []byte) (int, error) {
	e := p.config.Providers[name].Endpoint
	if e.URL == "" {
		return 0, grant.ErrNoEndpoint
	}
	return p.notifier.Send(ctx, notify.Endpoint{URL: e.URL, Private: e.Private, Secrets: activeOf(e.Secrets, p.clock.Now())}, id, body)
}

// sendNotice is the job of a notification.
func (p *program) sendNotice(ctx context.Context, c job.Claimed) error {
	wait, again, err := p.notices().Attempt(ctx, c.Args)
	switch {
	case err == nil:
		return nil
	case again:
		return job.Later(err, wait)
	}
	return nil // given up: an operator was told, and may send it again
}

func (p *program) notices() *grant.Notices {
	return &grant.Notices{Store: p.store.Notices(), Clock: p.clock, Deliver: p.deliver}
}

// sendWaited is the job of a letter that waited: it is dropped when the status of
// its request changed meanwhile.
func (p *program) sendWaited(ctx context.Context, c job.Claimed) error {
	post, dropped, err := p.grant.Waited(ctx, c.Args)
	if err != nil {
		return err
	}
	if dropped != "" {
		p.log.Info("a letter is not sent", "job", c.ID, "why", dropped)
		return nil
	}
	if c.Args, err = json.Marshal(post); err != nil {
		return job.Permanent(err)
	}
	return p.sendMail(ctx, c)
}

// preview writes the letter of a rule with sample data, for people who look.
func (p *program) preview(provider string, rule grant.MailRule, language string) (subject, text, html string, err error) {
	data := mail.Sample(string(rule.Template))
	data["provider"] = p.config.Providers[provider].Title
	if rule.Reopening == grant.ReopeningOnly {
		data["reopening"] = "yes"
	}
	m, err := mail.Render(guichet.Letter{Template: string(rule.Template), Data: data}, guichet.Mailbox{
		Name: "Claire Morel", Address: "claire.morel@valmont.example", Language: language,
	})
	return m.Subject, m.Text, m.HTML, err
}

// providerPages is what the pages about providers need of the configuration.
func (p *program) providerPages() *web.Providers {
	return &web.Providers{
		About: func(name string) (algorithm, notifyURL string) {
			c := p.config.Providers[name]
			return string(c.Algorithm), c.Endpoint.URL
		},
		Secrets: p.secrets.standings, EndSecret: p.secrets.end, Preview: p.preview, Notices: p.notices(),
		Mails: func(name string) []grant.MailRule { return p.config.Providers[name].Mail },
	}
}
