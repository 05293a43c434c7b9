package main

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/gateway"
	"guichet/keyring"
)

// A country is a simulation: three regions with servers, one database that
// decides, and ten thousand gateways, in a time of its own. The rules of every
// gateway are the real ones, gateway.Replica; the wires are made up.
type country struct {
	now      time.Duration
	due      queue
	order    int
	r        *rand.Rand
	line     time.Duration // what a line costs a server, for each stream
	servers  []*server
	gateways []*simulated
	list     *blocklist.Set
	blocks   []block
	cut      [2]time.Duration // the last region hears nothing of the database in between

	spread                                   []time.Duration // of each block to each gateway that could hear it
	questions, answers, lines, checks, wrong int
	refused                                  int           // checks while cut off
	healed                                   time.Duration // after the cut, when the last was well
}

const (
	town       = 10_000
	blocked    = 60
	virtual    = 5 * time.Minute
	bound      = time.Minute
	askEvery   = 10 * time.Second       // as a gateway with this bound does
	lookEvery  = 200 * time.Millisecond // as a server does
	lookLimit  = 5 * time.Second
	pulseEvery = 5 * time.Second
	checkEvery = 5 * time.Second
	lost       = 0.002 // of all messages
)

// roundTrips are those from each region to the database.
var roundTrips = []time.Duration{time.Millisecond, 20 * time.Millisecond, 90 * time.Millisecond}

type block struct {
	line blocklist.Line
	at   time.Duration
}

type server struct {
	region  int
	trip    time.Duration
	knows   int // how many blocks it has read
	town    []*simulated
	looking bool
	waiting []func()
}

type simulated struct {
	replica *gateway.Replica
	server  *server
	far     time.Duration // to its server, one way
	has     int           // blocks, for the spread
	off     bool
	nonces  int
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newCountry(line time.Duration) *country {
	c := &country{
		r: rand.New(rand.NewPCG(7, 7)), line: line, list: blocklist.Empty(1),
		cut: [2]time.Duration{100 * time.Second, 220 * time.Second},
	}
	for region, trip := range roundTrips {
		for range 2 {
			c.servers = append(c.servers, &server{region: region, trip: trip})
		}
	}
	for i := range town {
		s := c.servers[i%len(c.servers)]
		g := &simulated{replica: gateway.NewReplica(bound), server: s, far: time.Millisecond + time.Duration(c.r.ExpFloat64()*float64(4*time.Millisecond))}
		g.replica.Load(blocklist.Empty(1), blocklist.Version{})
		s.town = append(s.town, g)
		c.gateways = append(c.gateways, g)
	}
	return c
}

func (c *country) after(d time.Duration, do func()) {
	c.order++
	heap.Push(&c.due, event{c.now + d, c.order, do})
}

// wire carries something, or loses it.
func (c *country) wire(d time.Duration, do func()) {
	if c.r.Float64() >= lost {
		c.after(d+time.Duration(c.r.ExpFloat64()*float64(time.Millisecond)), do)
	}
}

func (c *country) run() {
	began := time.Now()
	for _, s := range c.servers {
		c.every(lookEvery, func() { c.look(s, func() {}) })
	}
	for _, g := range c.gateways {
		c.every(askEvery, func() { c.ask(g) })
		c.every(pulseEvery, func() { c.wire(g.far, func() { c.feel(g, g.server.knows) }) })
		c.every(checkEvery, func() { c.check(g) })
	}
	for i := range blocked {
		c.after(askEvery+time.Duration(c.r.Int64N(int64(virtual-2*askEvery))), func() {
			l := c.list.Line(guichet.ID(fmt.Sprint("token-", i)), c.r.Int64N(8192))
			next, err := c.list.Apply(l)
			if err != nil {
				panic(err)
			}
			c.list, c.blocks = next, append(c.blocks, block{l, c.now})
		})
	}
	for c.due.Len() > 0 {
		e := heap.Pop(&c.due).(event)
		if c.now = e.at; c.now > virtual {
			break
		}
		e.do()
	}
	c.print(time.Since(began))
}

func (c *country) every(d time.Duration, do func()) {
	var again func()
	again = func() { do(); c.after(d, again) }
	c.after(time.Duration(c.r.Int64N(int64(d))), again)
}

func (c *country) isCut(s *server) bool {
	return s.region == len(roundTrips)-1 && c.now >= c.cut[0] && c.now < c.cut[1]
}

func (c *country) reading() gateway.Reading {
	return gateway.Reading{Boot: c.now + time.Hour, Wall: time.Unix(1_800_000_000, 0).Add(c.now)}
}

// look has the database read for somebody who asks, or because time has passed. One
// read at a time answers all who asked before it began, as in the server.
func (c *country) look(s *server, then func()) {
	s.waiting = append(s.waiting, then)
	if !s.looking {
		c.read(s)
	}
}

func (c *country) read(s *server) {
	asked := s.waiting
	s.waiting, s.looking = nil, true
	next := func() {
		if s.looking = false; len(s.waiting) > 0 {
			c.read(s)
		}
	}
	c.after(s.trip/2, func() { // what the database has at that instant
		if c.isCut(s) {
			c.after(lookLimit, next) // nobody is answered
			return
		}
		knows := len(c.blocks)
		c.after(s.trip/2, func() {
			if knows > s.knows {
				c.tell(s, s.knows, knows)
				s.knows = knows
			}
			for _, then := range asked {
				then()
			}
			next()
		})
	})
}

// tell writes the lines to every stream of the server, one after the other.
func (c *country) tell(s *server, from, to int) {
	for at, n := range c.r.Perm(len(s.town)) {
		g := s.town[n]
		for _, b := range c.blocks[from:to] {
			c.lines++
			c.wire(time.Duration(at)*c.line+g.far, func() {
				switch g.replica.TakeLine(1, b.line) {
				case gateway.Applied:
					c.has(g, b.line.Seq)
				case gateway.Behind:
					c.ask(g)
				}
			})
		}
	}
}

func (c *country) ask(g *simulated) {
	g.nonces++
	nonce := fmt.Sprint(g.nonces)
	have, _ := g.replica.Ask(c.reading(), nonce)
	c.questions++
	// The server looks up who asks, and then where the list stands.
	c.wire(g.far+g.server.trip, func() {
		c.look(g.server, func() {
			known := g.server.knows
			head := blocklist.Head{Version: blocklist.Version{Epoch: 1, Seq: int64(known)}, Sum: sumOf(c.blocks[:known]), Size: blocklist.LeastSize}
			a := blocklist.Answer{Nonce: nonce, Head: head}
			for _, b := range c.blocks[min(int(have.Seq), known):known] {
				a.Lines = append(a.Lines, b.line)
			}
			c.wire(g.far, func() {
				c.answers++
				switch g.replica.Take(c.reading(), a) {
				case gateway.Renewed:
					if g.off && c.now > c.cut[1] {
						g.off, c.healed = false, c.now-c.cut[1]
					}
					c.has(g, head.Seq)
				case gateway.Behind:
					c.after(lookEvery, func() { c.ask(g) })
				}
			})
		})
	})
}

func sumOf(blocks []block) string {
	if len(blocks) == 0 {
		return blocklist.Empty(1).Head().Sum
	}
	return blocks[len(blocks)-1].line.Sum
}

// feel compares what the server says it has with what a gateway has.
func (c *country) feel(g *simulated, knows int) {
	if g.has < knows {
		c.ask(g)
	}
}

// has notes which blocks a gateway refuses now that it did not before. What was
// committed while its region was cut, or so shortly before that what was lost could
// not be asked for, is not counted: who is cut off refuses everything.
func (c *country) has(g *simulated, seq int64) {
	for ; g.has < int(seq); g.has++ {
		at := c.blocks[g.has].at
		if g.server.region < len(roundTrips)-1 || at < c.cut[0]-15*time.Second || at > c.cut[1] {
			c.spread = append(c.spread, c.now-at)
		}
	}
}

// check uses a token that was blocked longer ago than the bound: whoever accepts it
// breaks the promise.
func (c *country) check(g *simulated) {
	view, now := g.replica.View(), c.reading()
	c.checks++
	if view.Left(now) == 0 {
		c.refused++
		g.off = c.now > c.cut[0]
	}
	old := 0
	for old < len(c.blocks) && c.blocks[old].at < c.now-bound {
		old++
	}
	if old == 0 {
		return
	}
	b := c.blocks[c.r.IntN(old)]
	claims := keyring.Claims{ID: string(b.line.Token), ExpiresAt: now.Wall.Add(time.Hour), Status: keyring.StatusAt("https://guichet.example.org", b.line.Index)}
	if view.Refusal(claims, now) == nil {
		c.wrong++
	}
}

func (c *country) print(took time.Duration) {
	slices.Sort(c.spread)
	at := func(perMille int) time.Duration {
		return c.spread[min(len(c.spread)*perMille/1000, len(c.spread)-1)].Round(100 * time.Microsecond)
	}
	fmt.Printf("%d gateways (the rules are gateway.Replica), %d servers in %d regions, %v of time, %d blocks; %.1f %% of messages lost; region 3 cut from the database for %v\n",
		town, len(c.servers), len(roundTrips), virtual, blocked, lost*100, c.cut[1]-c.cut[0])
	fmt.Printf("  %-58s p50 %v, p99 %v, p99.9 %v, most %v\n", "commit → the gateway refuses", at(500), at(990), at(999), at(1000))
	fmt.Printf("  %-58s %d a second in all, %d a second at each server\n", "questions", c.questions/int(virtual.Seconds()), c.questions/int(virtual.Seconds())/len(c.servers))
	fmt.Printf("  %-58s %d\n", "lines written", c.lines)
	fmt.Printf("  %-58s %d of %d\n", "acceptances of a token blocked longer ago than the bound", c.wrong, c.checks)
	fmt.Printf("  %-58s %.1f %%; none from %v after the cut\n", "checks refused because the gateway was cut off", 100*float64(c.refused)/float64(c.checks), c.healed.Round(time.Millisecond))
	fmt.Printf("  (simulated in %v)\n\n", took.Round(100*time.Millisecond))
}
