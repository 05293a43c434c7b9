// Command guichet is the whole program: the server, its demo, its simulated
// peers, and the commands of operators and scripts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"syscall"
	"text/tabwriter"
	_ "time/tzdata" // days begin and end in Paris on any machine

	"github.com/alecthomas/kong"

	"guichet"
)

// cli is every command. The tags are the help.
type cli struct {
	Config string    `help:"Configuration file (TOML)." type:"existingfile" placeholder:"FILE"`
	JSON   bool      `help:"Print JSON." name:"json"`
	log    io.Writer // of the program, whatever the command

	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Demo       demoCmd       `cmd:"" help:"Run everything at once on sample data, with a simulated bank and a simulated DataPass."`
	Sim        simCmd        `cmd:"" help:"Run a simulated peer."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database to this version."`
	Check      checkCmd      `cmd:"" help:"Look for broken invariants in the database."`
	Backup     backupCmd     `cmd:"" help:"Write everything the database holds to a file, beside a running server."`
	Restore    restoreCmd    `cmd:"" help:"Fill an empty database from a backup, on either engine."`
	Import     importCmd     `cmd:"" help:"Take in statements that a bank lets people download, or an export of Kresus. The same file twice adds nothing."`
	Export     exportCmd     `cmd:"" help:"Write everything of a person as JSON, without what opens their accesses."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	User       userCmd       `cmd:"" help:"People who may sign in."`
	Bank       bankCmd       `cmd:"" help:"What reaches banks."`
	Request    requestCmd    `cmd:"" help:"Requests for access."`
	Token      tokenCmd      `cmd:"" help:"Tokens of requests."`
	Gateway    gatewayCmd    `cmd:"" help:"Verify tokens beside an API, without a database; and who may."`
	Client     clientCmd     `cmd:"" help:"Programs that may ask about tokens, or take them back, by OAuth."`
	Alert      alertCmd      `cmd:"" help:"What should not happen, and did."`
	Journal    journalCmd    `cmd:"" help:"The journal of deliveries."`
	Quarantine quarantineCmd `cmd:"" help:"Deliveries that could not be used."`
	Reconcile  reconcileCmd  `cmd:"" help:"Read what DataPass knows by its API and list where we disagree. Nothing is blocked or unblocked."`
	Drift      driftCmd      `cmd:"" help:"Where we and DataPass disagree, and what to do about it."`
	Webhook    webhookCmd    `cmd:"" help:"Deliveries, as DataPass sends them."`
	Key        keyCmd        `cmd:"" help:"The keys of this Guichet."`

	Provider     providerCmd     `cmd:"" help:"The APIs whose requests are received: secrets, mails."`
	Notification notificationCmd `cmd:"" help:"What the providers' own systems are told."`
}

// terminal is where a command writes and reads.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	json     bool
}

func main() {
	bearFullFiles()
	os.Exit(run(os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes one command line and returns the exit code: 0 done, 1 refused or
// broken, 2 not understood.
func run(args []string, t terminal) int {
	var commands cli
	code := -1
	parser, err := kong.New(&commands, kong.Name("guichet"), kong.Description("One counter, two windows: bank accesses, and tokens of APIs."),
		kong.Writers(t.out, t.err), kong.Exit(func(c int) { code = c }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the struct above is wrong
	}
	chosen, err := parser.Parse(args)
	if code >= 0 { // help was printed
		return code
	}
	if err != nil {
		_, _ = fmt.Fprintf(t.err, "guichet: %v\nTry guichet --help.\n", err)
		return 2
	}
	t.json, commands.log = commands.JSON, t.err
	// The second signal ends the program at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	chosen.BindTo(ctx, (*context.Context)(nil))
	chosen.Bind(t)
	chosen.Bind(&commands)
	if err := chosen.Run(); err != nil {
		t.fail(err)
		return 1
	}
	return 0
}

// fail says what went wrong, for a person or for a script.
func (t terminal) fail(err error) {
	if t.json {
		body, _ := json.Marshal(map[string]string{"error": guichet.CodeOf(err), "detail": reason(err)})
		_, _ = fmt.Fprintln(t.err, string(body))
		return
	}
	_, _ = fmt.Fprintln(t.err, "guichet: "+reason(err))
}

// reason is the sentence for a person; the cause follows it, because whoever is
// at the command line is also the one who reads the log.
func reason(err error) string {
	var e *guichet.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := e.Reason
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Cause != nil {
		text += " (" + e.Cause.Error() + ")"
	}
	return text
}

// print writes a value as JSON, or as a table made by rows.
func (t terminal) print(v any, rows func(w io.Writer)) error {
	if t.json {
		e := json.NewEncoder(t.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// atCommandLine is who acts when a command changes something.
func atCommandLine() guichet.Actor {
	name := "command line"
	if u, err := user.Current(); err == nil {
		name += " (" + u.Username + ")"
	}
	return guichet.Actor{Kind: guichet.ByPerson, Name: name}
}

func newLog(level string, out io.Writer) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: l}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return slog.New(slog.NewTextHandler(out, options))
		}
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
