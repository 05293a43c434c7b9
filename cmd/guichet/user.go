package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"guichet"
	"guichet/people"
)

type userCmd struct {
	Add userAddCmd `cmd:"" help:"Add someone who may sign in."`
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
