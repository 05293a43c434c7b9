package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/people"
)

type userCmd struct {
	Add     userAddCmd  `cmd:"" help:"Add someone who may sign in."`
	List    userListCmd `cmd:"" help:"List everybody who may, or might, sign in."`
	Disable userStopCmd `cmd:"" help:"Let someone in no more: sessions and personal tokens end at once. What is theirs is kept."`
	Enable  userLetCmd  `cmd:"" help:"Let someone in again."`
}

type userAddCmd struct {
	Email         string      `help:"E-mail address, with which they sign in." required:""`
	Role          people.Role `help:"operator runs Guichet; member has accesses to banks." enum:"operator,member" default:"member"`
	Name          string      `help:"Name, as pages show it."`
	Language      string      `help:"Language of pages and mails." enum:"fr,en" default:"fr"`
	PasswordStdin bool        `help:"Read the password from standard input."`
	APIToken      bool        `help:"Issue a personal API token too, and print it, once." name:"api-token"`
}

func (c userAddCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		n := people.NewPerson{Email: c.Email, Name: c.Name, Role: c.Role, Language: c.Language}
		if c.PasswordStdin {
			line, err := bufio.NewReader(io.LimitReader(t.in, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			n.Password = guichet.Secret(strings.TrimRight(line, "\r\n"))
		}
		person, err := p.people.AddPerson(ctx, atCommandLine(), n)
		if err != nil {
			return err
		}
		out := map[string]string{"id": person.ID.String(), "email": person.Email, "role": string(person.Role)}
		if c.APIToken {
			_, text, err := p.people.IssueAPIToken(ctx, atCommandLine(), person.ID, "command line")
			if err != nil {
				return err
			}
			out["api_token"] = text.Reveal()
		}
		return t.print(out, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", person.ID, person.Email, person.Role)
			if out["api_token"] != "" {
				_, _ = fmt.Fprintf(w, "API token, shown only now:\t%s\n", out["api_token"])
			}
		})
	})
}

type personJSON struct {
	ID         guichet.ID  `json:"id"`
	Email      string      `json:"email"`
	Name       string      `json:"name"`
	Role       people.Role `json:"role"`
	DisabledAt *time.Time  `json:"disabled_at"`
}

type userListCmd struct{}

func (userListCmd) Run(ctx context.Context, t terminal, all *cli) error {
	return withProgram(ctx, all, func(p *program) error {
		everybody, err := p.people.List(ctx)
		if err != nil {
			return err
		}
		out := make([]personJSON, len(everybody))
		for i, e := range everybody {
			out[i] = personJSON{e.ID, e.Email, e.Name, e.Role, moment(e.DisabledAt)}
		}
		return t.print(out, func(w io.Writer) {
			for _, e := range everybody {
				state := ""
				if !e.DisabledAt.IsZero() {
					state = "disabled " + e.DisabledAt.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.Email, e.Role, e.Name, state)
			}
		})
	})
}

type userStopCmd struct {
	Email string `help:"Whom." required:""`
}

func (c userStopCmd) Run(ctx context.Context, _ terminal, all *cli) error {
	return withPerson(ctx, all, c.Email, func(p *program, who people.Person) error { return p.people.Disable(ctx, atCommandLine(), who.ID) })
}

type userLetCmd struct {
	Email string `help:"Whom." required:""`
}

func (c userLetCmd) Run(ctx context.Context, _ terminal, all *cli) error {
	return withPerson(ctx, all, c.Email, func(p *program, who people.Person) error { return p.people.Enable(ctx, atCommandLine(), who.ID) })
}

// withPerson does something about the person of an address.
func withPerson(ctx context.Context, all *cli, email string, do func(*program, people.Person) error) error {
	return withProgram(ctx, all, func(p *program) error {
		everybody, err := p.people.List(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(everybody, func(e people.Person) bool { return strings.EqualFold(e.Email, strings.TrimSpace(email)) })
		if i < 0 {
			return people.ErrNoPerson
		}
		return do(p, everybody[i])
	})
}
