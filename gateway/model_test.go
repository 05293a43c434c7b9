package gateway

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
)

// The model: a server whose blocklist grows and is sometimes restored from a
// backup, gateways whose clocks jump, that sleep, crash and start again from what
// they kept, and a network that loses, delays, doubles, reorders and replays. The
// checker knows when everything was committed:
//
//   - no token is accepted at s that was blocked before s − bound;
//   - none is accepted by a key that was put out of use before s − bound;
//   - what a gateway has refused it goes on refusing;
//   - once the faults end, it accepts what is good and refuses what is not.
//
// A run is a seed and nothing else, so a failure can be seen again. Seeds that
// failed once are in testdata/seeds and run first.

const (
	modelRuns   = 100_000
	modelSteps  = 50
	modelTokens = 6
	modelBound  = 5 * time.Second
)

type (
	committed struct {
		token int
		at    time.Duration
		lost  bool // by a restore
	}
	backup struct {
		set   *blocklist.Set
		lines int // how many of the world's blocks were in it
	}
	// packet is on its way, in one direction or the other.
	packet struct {
		to       int // the gateway
		question *query
		answer   *blocklist.Answer
		line     *blocklist.Line
		epoch    int64
		snapshot *blocklist.Set
		floor    blocklist.Version
	}
	query struct {
		nonce    string
		have     blocklist.Version
		keys     string
		snapshot bool
		floor    blocklist.Version
	}
	disk struct {
		set     *blocklist.Set
		highest blocklist.Version
		keys    string
		lease   Lease
		boot    int
	}
	edge struct {
		r      *Replica
		disk   disk
		boot   int           // how many times the machine started
		since  time.Duration // when it started
		wall   time.Duration // what people added to its clock
		seen   int           // tokens it has refused as revoked, as bits
		looked blocklist.Version
		wanted bool // a snapshot
	}
	world struct {
		*mathrand.Rand
		t       time.Duration
		set     *blocklist.Set
		log     []blocklist.Line // of the present epoch's list, all of it
		blocks  []committed
		live    []int // positions in blocks of what the database has
		backups []backup
		keys    []time.Duration // when each set of keys came into use
		edges   []*edge
		flying  []packet
		old     []packet // once delivered, to be replayed
		nonces  int
		accepts int
	}
)

func newWorld(seed uint64) *world {
	w := &world{Rand: mathrand.New(mathrand.NewPCG(seed, 7)), t: 24 * time.Hour, set: blocklist.Empty(1)}
	w.keys = []time.Duration{0}
	for range 1 + w.IntN(3) {
		w.edges = append(w.edges, &edge{r: NewReplica(modelBound), disk: disk{set: blocklist.Empty(0)}})
	}
	if w.IntN(8) > 0 { // most begin when all is well
		w.exchange(3)
		for _, e := range w.edges {
			e.disk = disk{e.r.set, e.r.highest, e.r.keys, e.r.lease, e.boot}
		}
	}
	return w
}

func (w *world) reading(e *edge) Reading {
	return Reading{Boot: w.t - e.since, Wall: time.Unix(1_800_000_000, 0).Add(w.t + e.wall)}
}

func tokenID(n int) guichet.ID { return guichet.ID(modelClaims[n].ID) }

// Even tokens name their bit, odd ones do not.
var modelClaims = func() (all [modelTokens]keyring.Claims) {
	for n := range all {
		all[n] = keyring.Claims{ID: "token-" + strconv.Itoa(n), ExpiresAt: time.Unix(9_000_000_000, 0)}
		if n%2 == 0 {
			all[n].Status = keyring.StatusAt("https://guichet.test", int64(n)*9_000)
		}
	}
	return all
}()

func (w *world) block(n int) {
	for _, at := range w.live {
		if w.blocks[at].token == n {
			return
		}
	}
	line := w.set.Line(tokenID(n), int64(n)*9_000)
	w.set, _ = w.set.Apply(line)
	w.log = append(w.log, line)
	w.blocks = append(w.blocks, committed{token: n, at: w.t})
	w.live = append(w.live, len(w.blocks)-1)
	for i := range w.edges {
		w.flying = append(w.flying, packet{to: i, line: &line, epoch: w.set.Version().Epoch})
	}
}

// restore goes back to a backup; mostly its epoch is raised, as it must be.
func (w *world) restore() {
	if len(w.backups) == 0 {
		return
	}
	b := w.backups[w.IntN(len(w.backups))]
	for _, at := range w.live[b.lines:] {
		w.blocks[at].lost = true
	}
	w.live, w.log = w.live[:b.lines:b.lines], w.log[:b.lines:b.lines]
	epoch := w.set.Version().Epoch
	if w.IntN(4) > 0 {
		epoch++
	}
	again := blocklist.Empty(epoch)
	for _, l := range w.log {
		again, _ = again.Apply(l)
	}
	w.set, w.backups = again, nil
}

func (w *world) keysNow() string { return "keys-" + strconv.Itoa(len(w.keys)-1) }

// ask is the gateway's question; it leaves at once and arrives when it can.
func (w *world) ask(i int) {
	e := w.edges[i]
	w.nonces++
	q := query{nonce: strconv.Itoa(w.nonces)}
	q.have, q.keys = e.r.Ask(w.reading(e), q.nonce)
	w.flying = append(w.flying, packet{to: i, question: &q})
	if e.wanted {
		w.flying = append(w.flying, packet{to: i, question: &query{snapshot: true, floor: e.r.Highest()}})
	}
}

// serve is what Guichet answers when the question arrives, from what it has then.
func (w *world) serve(p packet) packet {
	if p.question.snapshot {
		return packet{to: p.to, snapshot: w.set, floor: p.question.floor}
	}
	head := w.set.Head()
	a := blocklist.Answer{Nonce: p.question.nonce, Head: head, Keys: w.keysNow()}
	if a.Keys != p.question.keys {
		a.JWKS = []byte("{}")
	}
	switch have := p.question.have; {
	case have.Epoch != head.Epoch || have.Seq > head.Seq:
		a.Reset = true
	default:
		a.Lines = w.log[have.Seq:]
		if len(a.Lines) > 2 && w.IntN(2) == 0 {
			a.Lines, a.More = a.Lines[:2], true
		}
	}
	return packet{to: p.to, answer: &a}
}

func (w *world) deliver(p packet) {
	e := w.edges[p.to]
	switch {
	case p.question != nil:
		w.flying = append(w.flying, w.serve(p))
	case p.answer != nil:
		if e.r.Take(w.reading(e), *p.answer) == NeedSnapshot {
			e.wanted = true
		}
	case p.line != nil:
		if e.r.TakeLine(p.epoch, *p.line) == NeedSnapshot {
			e.wanted = true
		}
	case p.snapshot != nil:
		if e.r.Load(p.snapshot, p.floor) != WentBack {
			e.wanted = false
		}
	}
}

// step does one thing that can happen.
func (w *world) step() {
	i := w.IntN(len(w.edges))
	e := w.edges[i]
	switch n := w.IntN(100); {
	case n < 22:
		w.t += time.Duration(w.IntN(400)) * time.Millisecond
	case n < 26:
		w.t += time.Duration(w.IntN(12_000)) * time.Millisecond // everybody sleeps
	case n < 34:
		w.block(w.IntN(modelTokens))
	case n < 50:
		w.ask(i)
	case n < 76 && len(w.flying) > 0:
		at := 0
		if w.IntN(3) == 0 {
			at = w.IntN(len(w.flying))
		}
		p := w.flying[at]
		if w.IntN(10) > 0 { // else it will come twice
			w.flying = append(w.flying[:at:at], w.flying[at+1:]...)
		}
		if w.old = append(w.old, p); len(w.old) > 8 {
			w.old = w.old[1:]
		}
		w.deliver(p)
	case n < 80 && len(w.flying) > 0:
		at := w.IntN(len(w.flying))
		w.flying = append(w.flying[:at:at], w.flying[at+1:]...)
	case n < 83 && len(w.old) > 0:
		w.deliver(w.old[w.IntN(len(w.old))])
	case n < 86:
		w.backups = append(w.backups, backup{w.set, len(w.log)})
	case n < 88:
		w.restore()
	case n < 90:
		w.keys = append(w.keys, w.t)
	case n < 94:
		e.wall += time.Duration(w.IntN(16_000)-8_000) * time.Millisecond
	case n < 97:
		e.disk = disk{e.r.set, e.r.highest, e.r.keys, e.r.lease, e.boot}
	default:
		if w.IntN(3) == 0 { // the machine too
			e.boot, e.since = e.boot+1, w.t
		}
		w.restart(e)
	}
}

func (w *world) restart(e *edge) {
	e.r = NewReplica(modelBound)
	e.r.Restore(e.disk.set, e.disk.highest, e.disk.keys, e.disk.lease, e.disk.boot == e.boot)
	e.seen, e.looked = 0, blocklist.Version{}
}

// check asks every gateway about every token.
func (w *world) check() error {
	for i, e := range w.edges {
		view, now := e.r.View(), w.reading(e)
		if e.r.set.Version() != e.looked {
			e.looked = e.r.set.Version()
			for n := range modelTokens {
				if e.r.set.Token(tokenID(n)) {
					e.seen |= 1 << n
				}
			}
		}
		for n := range modelTokens {
			if view.Refusal(modelClaims[n], now) != nil {
				continue
			}
			w.accepts++
			for _, b := range w.blocks {
				if b.token == n && !b.lost && b.at < w.t-modelBound {
					return fmt.Errorf("gateway %d accepts token %d at %v, blocked at %v", i, n, w.t, b.at)
				}
			}
			if e.seen&(1<<n) != 0 {
				return fmt.Errorf("gateway %d accepts token %d, which it has refused before", i, n)
			}
			used, err := strconv.Atoi(strings.TrimPrefix(e.r.keys, "keys-"))
			if err != nil || used+1 < len(w.keys) && w.keys[used+1] < w.t-modelBound {
				return fmt.Errorf("gateway %d verifies by %q at %v, replaced at %v", i, e.r.keys, w.t, w.keys)
			}
		}
	}
	return nil
}

// exchange lets every gateway ask a few times on a perfect network.
func (w *world) exchange(times int) {
	for range times {
		for i := range w.edges {
			w.t += time.Millisecond
			w.ask(i)
			for len(w.flying) > 0 {
				p := w.flying[0]
				w.flying = w.flying[1:]
				w.deliver(p)
			}
		}
	}
}

// settle ends the faults, and sees that the gateways come back.
func (w *world) settle() error {
	w.flying, w.old = nil, nil
	for _, e := range w.edges {
		if w.set.Version().Before(e.r.Highest()) { // someone raises the epoch that was forgotten
			again := blocklist.Empty(e.r.Highest().Epoch + 1)
			for _, l := range w.log {
				again, _ = again.Apply(l)
			}
			w.set = again
		}
	}
	w.exchange(8)
	if err := w.check(); err != nil {
		return err
	}
	for i, e := range w.edges {
		for n := range modelTokens {
			blocked := e.seen&(1<<n) != 0
			for _, at := range w.live {
				blocked = blocked || w.blocks[at].token == n
			}
			err := e.r.View().Refusal(modelClaims[n], w.reading(e))
			if blocked != (guichet.CodeOf(err) == keyring.ErrTokenRevoked.Code) || !blocked && err != nil {
				return fmt.Errorf("gateway %d settled: token %d blocked %v, the verdict is %q", i, n, blocked, guichet.CodeOf(err))
			}
		}
	}
	return nil
}

func modelRun(seed uint64) (accepts int, err error) {
	w := newWorld(seed)
	for range modelSteps {
		w.step()
		if err := w.check(); err != nil {
			return 0, err
		}
	}
	accepts = w.accepts
	return accepts, w.settle()
}

func TestModel(t *testing.T) {
	for _, seed := range keptSeeds(t) {
		if _, err := modelRun(seed); err != nil {
			t.Errorf("seed %d, which failed before: %v", seed, err)
		}
	}
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	base := binary.BigEndian.Uint64(b[:]) >> 1
	if s := os.Getenv("GUICHET_TEST_SEED"); s != "" {
		var err error
		if base, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d runs from seed %d on (GUICHET_TEST_SEED)", modelRuns, base)
	var next, accepts, failures atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < modelRuns && failures.Load() < 5; i = next.Add(1) - 1 {
				n, err := modelRun(base + uint64(i))
				if err != nil {
					failures.Add(1)
					t.Errorf("seed %d: %v (keep it in testdata/seeds)", base+uint64(i), err)
				}
				accepts.Add(int64(n))
			}
		})
	}
	all.Wait()
	if !t.Failed() && accepts.Load() < modelRuns {
		t.Errorf("only %d acceptances: the model hardly ever lets anyone through", accepts.Load())
	}
	t.Logf("%d acceptances under faults", accepts.Load())
}

func keptSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	f, err := os.Open("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	if len(seeds) == 0 {
		t.Fatal("no seed is kept")
	}
	return seeds
}
