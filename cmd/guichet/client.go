package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"guichet"
	"guichet/grant"
)

type clientCmd struct {
	Add    clientAddCmd    `cmd:"" help:"Add a client. Its secret is printed, once."`
	List   clientListCmd   `cmd:"" help:"List clients."`
	Revoke clientRevokeCmd `cmd:"" help:"End a client at once, for ever."`
}

// clientJSON is a client for scripts; contract: docs/commands.md.
type clientJSON struct {
	ID         guichet.ID `json:"id"`
	Secret     string     `json:"secret,omitempty"`
	Name       string     `json:"name"`
	Provider   *string    `json:"provider"`
	Token      *string    `json:"token"`
	Rights     []string   `json:"rights"`
	CreatedAt  time.Time  `json:"created_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func clientOut(c grant.Client) clientJSON {
	out := clientJSON{
		ID: c.ID, Name: c.Name, Provider: filled(c.Provider), Token: filled(c.TokenID.String()), Rights: []string{}, CreatedAt: c.CreatedAt,
		RevokedAt: moment(c.RevokedAt), LastUsedAt: moment(c.LastUsedAt),
	}
	if c.MayIntrospect {
		out.Rights = append(out.Rights, "introspect")
	}
	if c.MayRevoke {
		out.Rights = append(out.Rights, "revoke")
	}
	return out
}

func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type clientAddCmd struct {
	Name       string `help:"What people call it." required:""`
	Provider   string `help:"It acts on all tokens of this provider." xor:"on"`
	Token      string `help:"It acts on this token alone." xor:"on"`
	Introspect bool   `help:"It may ask whether a token may be used."`
	Revoke     bool   `help:"It may take a token back."`
}

func (c clientAddCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		client := grant.Client{Name: c.Name, Provider: c.Provider, MayIntrospect: c.Introspect, MayRevoke: c.Revoke}
		if c.Token != "" {
			id, err := guichet.ParseID(c.Token)
			if err != nil {
				return err
			}
			client.TokenID = id
		}
		client, secret, err := p.grant.AddClient(ctx, atCommandLine(), client)
		if err != nil {
			return err
		}
		out := clientOut(client)
		out.Secret = secret.Reveal()
		return t.print(out, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "client_id\t%s\nclient_secret, shown only now\t%s\n", out.ID, out.Secret)
		})
	})
}

type clientListCmd struct{}

func (clientListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		clients, err := p.store.Clients().List(ctx)
		if err != nil {
			return err
		}
		out := []clientJSON{}
		for _, c := range clients {
			out = append(out, clientOut(c))
		}
		return t.print(out, func(w io.Writer) {
			for i, c := range out {
				state := "in force"
				if c.RevokedAt != nil {
					state = "revoked " + c.RevokedAt.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s%s\t%v\t%s\n", c.ID, c.Name, clients[i].Provider, clients[i].TokenID, c.Rights, state)
			}
		})
	})
}

type clientRevokeCmd struct {
	ID string `arg:""`
}

func (c clientRevokeCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		id, err := guichet.ParseID(c.ID)
		if err != nil {
			return err
		}
		if err := p.grant.RevokeClient(ctx, atCommandLine(), id); err != nil {
			return err
		}
		return t.print(map[string]guichet.ID{"id": id}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "revoked\t%s\n", id) })
	})
}
