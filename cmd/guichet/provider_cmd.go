package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"guichet"
	"guichet/grant"
)

type providerCmd struct {
	List      providerListCmd      `cmd:"" help:"List the providers of the configuration."`
	Secrets   providerSecretsCmd   `cmd:"" help:"List the secrets of a provider: which are in force, when each was last used."`
	EndSecret providerEndSecretCmd `cmd:"" help:"End a secret for ever, at once: deliveries signed with it are refused."`
	Mails     providerMailsCmd     `cmd:"" help:"Tell who is written to about what; or show one mail as it is read."`
}

// providerJSON is a provider for scripts; contract: docs/commands.md.
type providerJSON struct {
	Name        string             `json:"name"`
	Title       string             `json:"title"`
	Definition  string             `json:"definition_id"`
	Algorithm   string             `json:"algorithm"`
	Environment *string            `json:"environment"`
	Mails       bool               `json:"mails"`
	Secrets     int                `json:"secrets_in_force"`
	Notify      *string            `json:"notify_url"`
	Events      []grant.NoticeType `json:"notify_events"`
}

type providerListCmd struct{}

func (providerListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		out := []providerJSON{}
		for _, name := range p.providerNames() {
			c := p.config.Providers[name]
			out = append(out, providerJSON{
				Name: name, Title: c.Title, Definition: c.DefinitionID(), Algorithm: string(c.Algorithm), Environment: filled(c.Environment),
				Mails: c.Mails, Secrets: len(p.secrets.active(name, p.clock.Now())), Notify: filled(c.Endpoint.URL), Events: append([]grant.NoticeType{}, c.Notify...),
			})
		}
		return t.print(out, func(w io.Writer) {
			for _, c := range out {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d secrets in force\n", c.Name, c.Title, c.Algorithm, c.Secrets)
			}
		})
	})
}

func (p *program) providerNames() []string {
	var names []string
	for name := range p.config.Providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// secretJSON is a secret for scripts; the secret itself is never told.
type secretJSON struct {
	Mark       string     `json:"mark"`
	InForce    bool       `json:"in_force"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Until      *time.Time `json:"until"`
	EndedAt    *time.Time `json:"ended_at"`
}

type providerSecretsCmd struct {
	Provider string `arg:"" help:"Provider, such as api_entreprise."`
}

func (c providerSecretsCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		if _, known := p.config.Providers[c.Provider]; !known {
			return grant.ErrNoProvider
		}
		out := []secretJSON{}
		for _, s := range p.secrets.standings(c.Provider) {
			out = append(out, secretJSON{s.Mark, s.InForce, moment(s.LastUsedAt), moment(s.Until), moment(s.EndedAt)})
		}
		return t.print(out, func(w io.Writer) {
			for _, s := range out {
				state, used := "in force", "never used"
				if !s.InForce {
					state = "ended"
				}
				if s.LastUsedAt != nil {
					used = "last used " + s.LastUsedAt.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Mark, state, used)
			}
		})
	})
}

type providerEndSecretCmd struct {
	Provider string `arg:"" help:"Provider, such as api_entreprise."`
	Mark     string `arg:"" help:"Mark of the secret: provider secrets."`
}

func (c providerEndSecretCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		if err := p.secrets.end(ctx, atCommandLine(), c.Provider, c.Mark); err != nil {
			return err
		}
		return t.print(map[string]string{"ended": c.Mark}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "ended\t%s\n", c.Mark) })
	})
}

type providerMailsCmd struct {
	Provider string `arg:"" help:"Provider, such as api_entreprise."`
	Show     string `help:"Show this mail as it is read, with sample data." placeholder:"NAME"`
	Language string `help:"Of the mail shown." enum:"fr,en" default:"fr" name:"lang"`
}

// mailRuleJSON is a rule of mails for scripts.
type mailRuleJSON struct {
	Name       string           `json:"name"`
	On         grant.MailCause  `json:"on"`
	Template   grant.LetterKind `json:"template"`
	To         []string         `json:"to"`
	Reopening  *string          `json:"reopening"`
	If         []string         `json:"if"`
	Procedures []string         `json:"procedures"`
	Scopes     []string         `json:"scopes"`
	After      *string          `json:"after"`
	Off        bool             `json:"off"`
}

func (c providerMailsCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		provider, known := p.config.Providers[c.Provider]
		if !known {
			return grant.ErrNoProvider
		}
		out := []mailRuleJSON{}
		for _, m := range provider.Mail {
			if c.Show == m.Name {
				subject, text, html, err := p.preview(c.Provider, m, c.Language)
				if err != nil {
					return err
				}
				return t.print(map[string]string{"subject": subject, "text": text, "html": html}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s\n\n%s", subject, text) })
			}
			out = append(out, mailRuleJSON{
				m.Name, m.On, m.Template, m.To, filled(m.Reopening), append([]string{}, m.If...), append([]string{}, m.Procedures...),
				append([]string{}, m.Scopes...), filled(m.After), m.Off,
			})
		}
		if c.Show != "" {
			return grant.ErrNoMail
		}
		return t.print(out, func(w io.Writer) {
			for _, m := range out {
				state := ""
				if m.Off {
					state = "\toff"
				}
				_, _ = fmt.Fprintf(w, "%s\ton %s\t%s\tto %v%s\n", m.Name, m.On, m.Template, m.To, state)
			}
		})
	})
}

type notificationCmd struct {
	List   notificationListCmd   `cmd:"" help:"List what a provider's own systems were told, the latest first."`
	Show   notificationShowCmd   `cmd:"" help:"Show one notification with its attempts."`
	Resend notificationResendCmd `cmd:"" help:"Send a notification again, under its identifier."`
}

// noticeJSON is a notification for scripts.
type noticeJSON struct {
	ID          guichet.ID        `json:"id"`
	Provider    string            `json:"provider"`
	Type        grant.NoticeType  `json:"type"`
	ExternalID  string            `json:"external_id"`
	MadeAt      time.Time         `json:"made_at"`
	State       grant.NoticeState `json:"state"`
	Attempts    int               `json:"attempts"`
	Code        int               `json:"code"`
	Problem     string            `json:"problem,omitempty"`
	NextAt      *time.Time        `json:"next_at"`
	DeliveredAt *time.Time        `json:"delivered_at"`
	Body        any               `json:"body,omitempty"`
	Tries       []tryJSON         `json:"tries,omitempty"`
}

type tryJSON struct {
	N       int        `json:"n"`
	BeganAt time.Time  `json:"began_at"`
	EndedAt *time.Time `json:"ended_at"`
	Code    int        `json:"code"`
	Problem string     `json:"problem,omitempty"`
}

func noticeOut(s grant.SentNotice) noticeJSON {
	return noticeJSON{
		ID: s.ID, Provider: s.Provider, Type: s.Type, ExternalID: s.ExternalID, MadeAt: s.MadeAt, State: s.State, Attempts: s.Attempts,
		Code: s.Code, Problem: s.Problem, NextAt: moment(s.NextAt), DeliveredAt: moment(s.DeliveredAt),
	}
}

func (n noticeJSON) line(w io.Writer) {
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d attempts\t%d %s\n", n.ID, n.Type, n.ExternalID, n.State, n.Attempts, n.Code, n.Problem)
}

type notificationListCmd struct {
	Provider string            `help:"Provider, such as api_entreprise." required:""`
	State    grant.NoticeState `help:"Only those: waiting, delivered or failed."`
	Limit    int               `help:"How many at the most." default:"100"`
}

func (c notificationListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		found, err := p.store.Notices().Notices(ctx, grant.NoticeFilter{Provider: c.Provider, State: c.State, Limit: c.Limit})
		if err != nil {
			return err
		}
		out := []noticeJSON{}
		for _, s := range found {
			out = append(out, noticeOut(s))
		}
		return t.print(out, func(w io.Writer) {
			for _, n := range out {
				n.line(w)
			}
		})
	})
}

type notificationShowCmd struct {
	ID string `arg:""`
}

func (c notificationShowCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		s, err := p.store.Notices().Notice(ctx, id)
		if err != nil {
			return err
		}
		out := noticeOut(s)
		out.Body = s.Body
		for _, try := range s.Tries {
			out.Tries = append(out.Tries, tryJSON{try.N, try.BeganAt, moment(try.EndedAt), try.Code, try.Problem})
		}
		return t.print(out, func(w io.Writer) {
			out.line(w)
			_, _ = fmt.Fprintf(w, "%s\n", s.Body)
			for _, try := range out.Tries {
				_, _ = fmt.Fprintf(w, "%d\t%s\t%d %s\n", try.N, try.BeganAt.Format(time.RFC3339), try.Code, try.Problem)
			}
		})
	})
}

type notificationResendCmd struct {
	ID string `arg:""`
}

func (c notificationResendCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		if err := p.notices().SendAgain(ctx, atCommandLine(), id); err != nil {
			return err
		}
		return t.print(map[string]guichet.ID{"id": id}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "it will be sent again\t%s\n", id) })
	})
}
