package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"guichet"
	"guichet/bank"
	workers "guichet/connector/process"
	"guichet/worker/woob"
)

// woobConfig says where woob is; ok is false when it is not configured.
func woobConfig(c config, clock guichet.Clock, log *slog.Logger) (w woob.Config, ok bool, err error) {
	switch {
	case c.WoobPython == "" && c.WoobModules == "":
		return woob.Config{}, false, nil
	case c.WoobPython == "":
		return woob.Config{}, false, configError("woob_python", "A folder of modules needs a Python that has woob.")
	case c.WoobModules == "":
		return woob.Config{}, false, configError("woob_modules", "A Python that has woob needs a folder of modules.")
	}
	return woob.Config{Python: c.WoobPython, Modules: c.WoobModules, Clock: clock, Log: log}, true, nil
}

// openWoob makes the connector of woob's modules, when it is configured.
func (p *program) openWoob() (*workers.Connector, error) {
	w, ok, err := woobConfig(p.config, p.clock, p.log)
	if err != nil || !ok {
		return nil, err
	}
	return woob.New(w)
}

// warm asks connectors what they can reach, before the first person does.
func (p *program) warm(ctx context.Context) {
	if p.woob != nil {
		_, _ = p.woob.Institutions(ctx) // whoever asks next is told what failed
	}
}

type bankCmd struct {
	Modules bankModulesCmd `cmd:"" help:"List the modules that read banks, and the form each one needs."`
	Update  bankUpdateCmd  `cmd:"" help:"Put other modules in place, from a folder or a git repository."`
}

// A moduleView is a module as commands print it.
type moduleView struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Connector string       `json:"connector"`
	Version   string       `json:"version"`
	Problem   string       `json:"problem,omitempty"`
	Fields    []bank.Field `json:"fields"`
}

func viewModules(modules []workers.Module) []moduleView {
	views := make([]moduleView, 0, len(modules))
	for _, m := range modules {
		v := moduleView{m.ID, m.Name, "woob", m.Version, m.Problem, m.Fields}
		for i := range v.Fields {
			if v.Fields[i].Choices == nil {
				v.Fields[i].Choices = []bank.Choice{}
			}
		}
		views = append(views, v)
	}
	return views
}

// configuredWoob is the configuration of a command that is about woob.
func configuredWoob(all *cli, t terminal) (woob.Config, error) {
	c, err := loadConfig(all.Config)
	if err != nil {
		return woob.Config{}, err
	}
	w, ok, err := woobConfig(c, guichet.SystemClock(), newLog(c.LogLevel, t.err))
	if err == nil && !ok {
		err = configError("woob_modules", "There is neither a folder of modules nor a Python that has woob.")
	}
	return w, err
}

type bankModulesCmd struct{}

// Run lists what is installed.
func (bankModulesCmd) Run(ctx context.Context, t terminal, all *cli) error {
	w, err := configuredWoob(all, t)
	if err != nil {
		return err
	}
	connector, err := woob.New(w)
	if err != nil {
		return err
	}
	defer func() { _ = connector.Close() }()
	modules, err := connector.Modules(ctx)
	if err != nil {
		return &guichet.Error{Kind: guichet.Unavailable, Code: "woob_unusable", Reason: "woob does not answer.", Cause: err}
	}
	views := viewModules(modules)
	return t.print(views, func(out io.Writer) {
		_, _ = fmt.Fprintln(out, "MODULE\tNAME\tFIELDS\tPROBLEM")
		for _, v := range views {
			var fields []string
			for _, f := range v.Fields {
				fields = append(fields, describeField(f))
			}
			_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", v.ID, v.Name, strings.Join(fields, ", "), strings.ReplaceAll(v.Problem, "\n", " "))
		}
	})
}

// describeField is a field in a word: its id, * when it is masked, [ ] when it may
// be left empty.
func describeField(f bank.Field) string {
	text := f.ID
	if f.Masked {
		text += "*"
	}
	if !f.Required {
		text = "[" + text + "]"
	}
	return text
}

type bankUpdateCmd struct {
	Source   string `arg:"" optional:"" help:"Folder or git repository of modules."`
	Ref      string `help:"Branch or tag of the repository."`
	Force    bool   `help:"Also when modules are lost by it."`
	Rollback bool   `help:"Put the former modules back instead."`
}

// Run changes the modules. Attempts that are under way keep what they loaded.
func (u bankUpdateCmd) Run(ctx context.Context, t terminal, all *cli) error {
	w, err := configuredWoob(all, t)
	if err != nil {
		return err
	}
	switch {
	case u.Rollback == (u.Source != ""):
		return &guichet.Error{Kind: guichet.Invalid, Code: "invalid_argument", Field: "source", Reason: "Say where the modules are, or --rollback."}
	case u.Rollback:
		if err := woob.Rollback(w); err != nil {
			return err
		}
		return t.print(map[string]any{"rolled_back": true}, func(out io.Writer) { _, _ = fmt.Fprintln(out, "The former modules are back.") })
	}
	done, err := woob.Fetch(ctx, w, u.Source, u.Ref, u.Force)
	if err != nil {
		for what, ids := range map[string][]string{"removed": done.Removed, "broken": done.Broken} {
			if len(ids) > 0 && !t.json {
				_, _ = fmt.Fprintf(t.err, "%s: %s\n", what, strings.Join(ids, ", "))
			}
		}
		return err
	}
	usable := 0
	for _, m := range done.Modules {
		if m.Problem == "" {
			usable++
		}
	}
	report := map[string]any{"modules": len(done.Modules), "usable": usable, "added": done.Added, "removed": done.Removed, "broken": done.Broken}
	return t.print(report, func(out io.Writer) {
		_, _ = fmt.Fprintf(out, "%d modules, %d of them usable; %d added, %d removed.\n", len(done.Modules), usable, len(done.Added), len(done.Removed))
	})
}
