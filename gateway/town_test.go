package gateway

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/gateway/gatewaytest"
	"guichet/store"
)

// A town is a real Guichet on a real database, with gateways around it.
type town struct{ *gatewaytest.Town }

func newTown(t *testing.T, engine store.Engine) *town {
	t.Helper()
	return &town{gatewaytest.New(t, engine)}
}

// An edgeAt is a gateway of a town, running.
type edgeAt struct {
	*Gateway
	t       *testing.T
	stop    func()
	jumped  atomic.Int64 // what its clock of leases has been set forward
	blurred atomic.Int64 // what people added to the clock on the wall
}

func (c *town) config() Config {
	return Config{
		Upstream: c.URL, Credential: c.Credential(), StaleAfter: 10 * time.Second, StateDir: c.T.TempDir(), Clock: guichet.SystemClock(),
		Log: slog.New(slog.DiscardHandler), Version: "test",
	}
}

// start opens a gateway and runs it until the test ends.
func (c *town) start(config Config) *edgeAt {
	c.T.Helper()
	g, err := Open(config)
	if err != nil {
		c.T.Fatal(err)
	}
	e := &edgeAt{Gateway: g, t: c.T}
	machine := g.clocks
	g.clocks = func() Reading {
		now := machine()
		return Reading{Boot: now.Boot + time.Duration(e.jumped.Load()), Wall: now.Wall.Add(time.Duration(e.blurred.Load()))}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := g.Run(ctx); err != nil {
			c.T.Error(err)
		}
	})
	e.stop = func() { cancel(); done.Wait() }
	c.T.Cleanup(e.stop)
	return e
}

// verdict is the word of the refusal, or "ok".
func (e *edgeAt) verdict(jwt string, scopes ...string) string {
	_, err := e.Check(context.Background(), jwt, scopes, netip.Addr{})
	if err == nil {
		return "ok"
	}
	return guichet.CodeOf(err)
}

// soon waits until the verdict is this one.
func (e *edgeAt) soon(jwt, want string) {
	e.t.Helper()
	for began := time.Now(); e.verdict(jwt) != want; <-time.After(2 * time.Millisecond) {
		if time.Since(began) > 8*time.Second {
			e.t.Fatalf("%s, and not %s in time", e.verdict(jwt), want)
		}
	}
}

func each(t *testing.T, test func(t *testing.T, c *town)) {
	t.Parallel()
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, newTown(t, engine))
		})
	}
}

// undoBlock does what the guards of the database forbid everybody but a restore.
func (c *town) undoBlock(id guichet.ID) {
	c.T.Helper()
	statements := []string{
		"DELETE FROM blocklist WHERE token_id = $1",
		"UPDATE tokens SET blocked_at = 0 WHERE id = $1",
	}
	off, on := []string{"DROP TRIGGER IF EXISTS blocklist_kept", "DROP TRIGGER IF EXISTS tokens_stay_blocked"}, []string{}
	if c.DB.Engine() == store.PostgreSQL {
		off = []string{"ALTER TABLE blocklist DISABLE TRIGGER ALL", "ALTER TABLE tokens DISABLE TRIGGER ALL"}
		on = []string{"ALTER TABLE blocklist ENABLE TRIGGER ALL", "ALTER TABLE tokens ENABLE TRIGGER ALL"}
	}
	for _, s := range off {
		c.DB.SQL(s)
	}
	for _, s := range statements {
		c.DB.SQL(s, id.String())
	}
	for _, s := range on {
		c.DB.SQL(s)
	}
	c.DB.SQL("UPDATE blocklist_head SET seq = seq - 1")
}
