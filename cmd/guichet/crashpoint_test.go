package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/canary"
	"guichet/ledger"
	"guichet/store"
)

// A reaper kills its own process with SIGKILL at one point of a walk, and writes
// down each point that is passed. The points are not places that somebody named:
// they are the two sides of each commit, named by what it wrote, and of each word
// with a bank. Whoever adds a commit adds two points, and the table of the test
// does not know them.
type reaper struct {
	at    string // where to die; empty: nowhere
	armed string // a file: as long as it is not there, nothing happens
	seen  string // the file of the points

	mu sync.Mutex
}

func (r *reaper) pass(point string) {
	if _, err := os.Stat(r.armed); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(r.seen, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, point)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "a point cannot be noted:", err)
		os.Exit(4)
	}
	_ = f.Close()
	if point == r.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// serveAndDie is "guichet serve" with a reaper, on a clock that is so many seconds
// ahead: the machine was away for a while.
func serveAndDie() int {
	ahead, err := strconv.Atoi(os.Getenv("TEST_AHEAD"))
	if err != nil {
		return 2
	}
	clock := guichet.SystemClock()
	now := clock.Now
	clock.Now = func() time.Time { return now().Add(time.Duration(ahead) * time.Second) }
	r := &reaper{at: os.Getenv("TEST_DIE_AT"), armed: os.Getenv("TEST_ARMED"), seen: os.Getenv("TEST_SEEN")}
	err = func() error {
		c, err := loadConfig("")
		if err != nil {
			return err
		}
		s, err := store.Open(context.Background(), c.Database, store.Options{Clock: clock})
		if err != nil {
			return err
		}
		p := &program{config: c, clock: clock, log: newLog(c.LogLevel, canary.Output(os.Stderr)), store: s}
		if err := p.build(context.Background()); err != nil {
			return err
		}
		p.bank.Store = mortalStore{p.bank.Store, r}
		for name, connector := range p.bank.Connectors {
			p.bank.Connectors[name] = mortalConnector{connector, r}
		}
		return p.serve(context.Background())
	}()
	_, _ = fmt.Fprintln(os.Stderr, "it did not die:", err)
	return 3
}

// mortalStore dies inside a transaction that has done all it does, and after its
// commit.
type mortalStore struct {
	bank.Store
	reaper *reaper
}

// Update implements bank.Store.
func (s mortalStore) Update(ctx context.Context, fn func(bank.Tx) error) error {
	var tx *mortalTx
	err := s.Store.Update(ctx, func(inner bank.Tx) error {
		tx = &mortalTx{Tx: inner}
		if err := fn(tx); err != nil {
			return err
		}
		if name := tx.name(); name != "" {
			s.reaper.pass("before the commit of: " + name)
		}
		return nil
	})
	if err == nil && tx.name() != "" {
		s.reaper.pass("after the commit of: " + tx.name())
	}
	return err
}

// mortalTx knows what is written through it.
type mortalTx struct {
	bank.Tx
	attempt, question string
	money, deleted    bool
}

func (t *mortalTx) name() string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{
		{t.attempt != "", "attempt " + t.attempt},
		{t.question != "", "question " + t.question},
		{t.money, "money"},
		{t.deleted, "access gone"},
	} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ", ")
}

// SaveAttempt implements bank.Tx.
func (t *mortalTx) SaveAttempt(a *bank.Attempt) error {
	t.attempt = string(a.State)
	return t.Tx.SaveAttempt(a)
}

// SaveChallenge implements bank.Tx.
func (t *mortalTx) SaveChallenge(c *bank.Challenge) error {
	t.question = string(c.Status)
	return t.Tx.SaveChallenge(c)
}

// SaveMoney implements bank.Tx.
func (t *mortalTx) SaveMoney(m bank.Money) error {
	t.money = true
	return t.Tx.SaveMoney(m)
}

// Delete implements bank.Tx.
func (t *mortalTx) Delete(a bank.Access, history bool) error {
	t.deleted = true
	return t.Tx.Delete(a, history)
}

// mortalConnector dies before the bank hears us, in the middle of what it says,
// and when it has said all.
type mortalConnector struct {
	bank.Connector
	reaper *reaper
}

// Run implements bank.Connector.
func (c mortalConnector) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	what := "the login"
	if run.Answer != nil {
		what = "the answer"
	}
	c.reaper.pass("before the bank hears " + what)
	result := c.Connector.Run(ctx, run, &mortalSink{Sink: sink, reaper: c.reaper})
	c.reaper.pass("after the bank heard " + what)
	return result
}

type mortalSink struct {
	bank.Sink
	reaper   *reaper
	accounts int
}

// Account implements bank.Sink.
func (s *mortalSink) Account(a ledger.Account) error {
	if s.accounts++; s.accounts == 2 {
		s.reaper.pass("in the middle of the bank's data")
	}
	return s.Sink.Account(a)
}
