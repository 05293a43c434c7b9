// Package process reaches banks through programs of other languages: one child
// process per run, that is given one line of JSON and answers with lines of JSON
// (the protocol CWP/1 of docs/connectors.md). A child is believed in nothing: it
// may hang, flood, lie, die or leave children of its own behind, and each of
// these ends in an outcome of package bank, with nothing left running.
package process

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"guichet"
	"guichet/bank"
)

// A Config says what to run and how far to trust it, which is not far.
type Config struct {
	// Name is the connector's, for the log.
	Name string
	// Command is the program and its arguments. Everyone on the machine can read
	// them: they are the same for every run.
	Command []string
	// Program, when there is one, is given to the child on its descriptor 3: the
	// text of a worker that is kept in our own file and needs no other.
	Program []byte
	// Env is all that the child finds in its environment, beside PATH, LANG, HOME
	// and TMPDIR. It holds no secret.
	Env []string
	// Stamp, when given, tells cheaply whether what can be reached has changed
	// since: institutions are asked for again when it returns something else.
	Stamp func() string
	// Clock is for the names of runs.
	Clock  guichet.Clock
	Log    *slog.Logger
	Limits Limits
}

// Limits bound what one child may cost. Zero fields have the usual values.
type Limits struct {
	Hello    time.Duration // until the first word; 30 s
	Quiet    time.Duration // between two words; 2 min
	Grace    time.Duration // to end by itself when told to; 700 ms
	Describe time.Duration // to list the institutions; 5 min
	Line     int           // bytes of one line; 1 MiB
	Output   int64         // bytes of one run; 64 MiB
	Lines    int           // of one run; 100,000
	Errors   int           // bytes kept of what it writes on standard error; 16 KiB
	Memory   uint64        // bytes of its address space, where the system can bound it; 4 GiB
	File     uint64        // bytes of one file it writes; 256 MiB
	Children int           // at once; further runs wait for one to end; 64
}

func (l Limits) orUsual() Limits {
	l.Hello = cmp.Or(l.Hello, 30*time.Second)
	l.Quiet = cmp.Or(l.Quiet, 2*time.Minute)
	l.Grace = cmp.Or(l.Grace, 700*time.Millisecond)
	l.Describe = cmp.Or(l.Describe, 5*time.Minute)
	l.Line = cmp.Or(l.Line, 1<<20)
	l.Output = cmp.Or(l.Output, 64<<20)
	l.Lines = cmp.Or(l.Lines, 100_000)
	l.Errors = cmp.Or(l.Errors, 16<<10)
	l.Memory = cmp.Or(l.Memory, 4<<30)
	l.File = cmp.Or(l.File, 256<<20)
	l.Children = cmp.Or(l.Children, 64)
	return l
}

// A Connector runs one kind of worker. Any number of runs may be asked of it at
// once; so many have a child, because each is a program in memory.
type Connector struct {
	config Config
	limits Limits
	home   home

	life context.Context // until Close
	die  context.CancelFunc
	room chan struct{} // filled by each child of a run

	mu       sync.Mutex
	last     *listing // the institutions as last told, or being told
	listings sync.WaitGroup
}

// A listing is one answer to what can be reached.
type listing struct {
	stamp   string
	done    chan struct{} // closed when the rest is there
	modules []Module
	err     error
	at      time.Time
}

var _ bank.Connector = (*Connector)(nil)

// A Module is an institution with what only an operator wants to know of it.
type Module struct {
	bank.Institution
	Version string // of whatever reads this bank
	Problem string // why it cannot be used; empty: it can
}

// New makes a connector. It starts nothing yet.
func New(c Config) *Connector {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	life, die := context.WithCancel(context.Background())
	limits := c.Limits.orUsual()
	return &Connector{config: c, limits: limits, life: life, die: die, room: make(chan struct{}, limits.Children)}
}

// Close removes what the connector keeps on disk. No run may be in progress.
func (c *Connector) Close() error {
	c.die()
	c.listings.Wait()
	return c.home.close()
}

// Institutions lists what the workers installed can reach. A worker is asked
// once, and again when what is installed has changed.
func (c *Connector) Institutions(ctx context.Context) ([]bank.Institution, error) {
	modules, err := c.Modules(ctx)
	list := make([]bank.Institution, 0, len(modules))
	for _, m := range modules {
		if m.Problem == "" {
			list = append(list, m.Institution)
		}
	}
	return list, err
}

// again is for how long a failure to list the institutions is remembered: pages
// do not wait for it every time.
const again = 30 * time.Second

// Modules is Institutions for operators: with those that cannot be used, and why.
// Whoever asks may leave; the answer is for all who ask.
func (c *Connector) Modules(ctx context.Context) ([]Module, error) {
	l := c.listing()
	select {
	case <-l.done:
		return l.modules, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listing is the last one while it is good, or else one that is being made.
func (c *Connector) listing() *listing {
	stamp := ""
	if c.config.Stamp != nil {
		stamp = c.config.Stamp()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.last; l != nil && l.stamp == stamp {
		select {
		case <-l.done:
			if l.err == nil || c.config.Clock.Now().Sub(l.at) < again {
				return l
			}
		default:
			return l
		}
	}
	l := &listing{stamp: stamp, done: make(chan struct{})}
	c.last = l
	c.listings.Go(func() {
		defer close(l.done)
		ctx, cancel := context.WithTimeout(c.life, c.limits.Describe)
		defer cancel()
		l.modules, l.err = c.describe(ctx)
		l.at = c.config.Clock.Now()
	})
	return l
}

// describe asks a worker what it can reach.
func (c *Connector) describe(ctx context.Context) ([]Module, error) {
	d := &description{}
	request := order{Type: "run", V: version, Run: c.config.Clock.NewID().String(), Op: "describe"}
	end, err := c.converse(ctx, request, d)
	switch {
	case err != nil:
		return nil, err
	case end.Outcome.Kind != string(bank.OK):
		return nil, errors.New("the worker ends with " + end.Outcome.Kind + " " + end.Outcome.Reason)
	}
	return d.modules, nil
}

// Run starts a worker for one run and returns when nothing of it is left.
func (c *Connector) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	if run.Op != bank.FetchAll && run.Op != bank.FetchBalance {
		return broken("unsupported")
	}
	select {
	case c.room <- struct{}{}:
		defer func() { <-c.room }()
	case <-ctx.Done():
		return c.explain(ctx, ctx.Err(), nil)
	}
	hide := newRedactor(run, c.masked(run.Institution))
	request := newOrder(run, c.config.Clock.NewID().String(), deadlineOf(ctx))
	end, err := c.converse(ctx, request, &reception{sink: sink})
	if err != nil {
		return c.explain(ctx, err, hide)
	}
	result, err := end.result(run, hide)
	if err != nil {
		return c.explain(ctx, err, hide)
	}
	if o := result.Outcome; o.Kind.Class() == bank.Broken {
		c.config.Log.Warn("a worker cannot read its bank", "connector", c.config.Name, "institution", run.Institution,
			"reason", o.Reason, "what", o.Text, "stderr", hide.text(end.tail))
	}
	return result
}

// masked lists the secret fields of an institution's form, when it is known.
func (c *Connector) masked(institution string) map[string]bool {
	c.mu.Lock()
	l := c.last
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
	default:
		return nil // a run does not wait for it
	}
	for _, m := range l.modules {
		if m.ID == institution {
			secret := make(map[string]bool, len(m.Fields))
			for _, f := range m.Fields {
				secret[f.ID] = f.Masked
			}
			return secret
		}
	}
	return nil
}

func broken(reason string) bank.Result {
	return bank.Result{Outcome: bank.Outcome{Kind: bank.ConnectorError, Reason: reason}}
}

func deadlineOf(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

// A failure is a child that did not keep the protocol, by the reason that
// package bank knows.
type failure struct {
	reason string // of ConnectorError; "deadline" of Cancelled
	what   string // for an operator; never what the child said
	tail   string // the end of its standard error
}

func (f *failure) Error() string { return f.what }

func failed(reason, what string) error { return &failure{reason: reason, what: what} }

// explain makes the outcome of a run that had none of its own.
func (c *Connector) explain(ctx context.Context, err error, hide *redactor) bank.Result {
	if ctx.Err() != nil {
		reason := bank.ReasonShutdown
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			reason = bank.ReasonDeadline
		}
		return bank.Result{Outcome: bank.Outcome{Kind: bank.Cancelled, Reason: reason}}
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{reason: bank.ReasonCrash, what: err.Error()}
	}
	c.config.Log.Warn("a worker failed", "connector", c.config.Name, "reason", f.reason, "what", hide.text(f.what), "stderr", hide.text(f.tail))
	if f.reason == bank.ReasonDeadline {
		return bank.Result{Outcome: bank.Outcome{Kind: bank.Cancelled, Reason: bank.ReasonDeadline}}
	}
	return broken(f.reason)
}
