package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	simdatapass "guichet/sim/datapass"
)

// insideNetwork is set in the process that TestNetworkCuts starts in a network
// namespace of its own. (Names that begin with GUICHET_ are Guichet's settings.)
const insideNetwork = "TEST_INSIDE_NETWORK"

// Four real gateways, two of them on machines of their own as far as the kernel is
// concerned: network namespaces, with a cable to Guichet. For half a minute the
// cables are cut, by turns and at random: pulled out, or dropping silently what
// goes one way or the other. A token is revoked three times a second meanwhile.
// Nothing that was asked later than the bound after a revocation is accepted; and
// when the cables are mended, everything works as before.
//
// All of it, this test included, runs in a namespace made for it. Nothing of the
// machine's own network is touched, and nothing is left whatever happens.
func TestNetworkCuts(t *testing.T) {
	t.Parallel()
	if os.Getenv(insideNetwork) == "" {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNetworkCuts$", "-test.v", "-test.timeout=10m")
		again.Env = append(os.Environ(), insideNetwork+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if os.Geteuid() != 0 { // whoever is root in a user namespace may have networks in it
			again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		}
		out, err := again.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestNetworkCuts")) {
			t.Errorf("in a network namespace: %v", err)
		}
		return
	}
	networkCuts(t)
}

const (
	cutsLast    = 30 * time.Second
	cutsRevoked = 60 // tokens, one after the other meanwhile
	cutsBound   = 5 * time.Second
)

func networkCuts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ip(t, "link", "set", "lo", "up")
	db, s := startServerAt(t, "0.0.0.0:8080", "127.0.0.1:8080")
	var edges []*edgeProcess
	var cables []*cable
	for i := range 4 {
		if name := fmt.Sprint("edge-", i); i < 2 {
			edges = append(edges, s.edge(t, name, freeAddress(t), s.address, cutsBound, spot{}))
		} else {
			away := spot{attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}}
			edges = append(edges, s.edge(t, name, "0.0.0.0:8082", fmt.Sprintf("10.77.%d.1:8080", i), cutsBound, away))
			cables = append(cables, connect(t, i, edges[i]))
		}
	}
	sender := simdatapass.Sender{URL: "http://" + s.address, Provider: "api_entreprise", Format: "v2", Secret: "dev-verify-token"}
	for i := range cutsRevoked + 1 {
		if answer, err := sender.Send(t.Context(), []byte(delivery("approve", 1_777_880_000, i))); err != nil || answer.Status != 200 {
			t.Fatalf("%v %v", answer, err)
		}
	}
	var tokens []*passing
	for _, one := range signed(t, s.settings, db) {
		tokens = append(tokens, &passing{id: one.id, jwt: one.jwt})
	}
	alive := tokens[cutsRevoked].jwt
	tokens = tokens[:cutsRevoked]
	for i, e := range edges {
		until(t, time.Minute, fmt.Sprint("edge ", i, " lets all through"), func() bool { return status(e, alive) == 204 && status(e, tokens[len(tokens)-1].jwt) == 204 })
	}

	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var all sync.WaitGroup
	var current atomic.Int64 // the token that is revoked next
	seen := make([]sightings, len(edges))
	for i, e := range edges {
		all.Go(func() { seen[i].watch(ctx, e, alive, tokens, &current) })
	}
	for i, c := range cables { // the first cut is longer than the bound, and there before anything is revoked
		c.cut(cutKinds[i%len(cutKinds)])
	}
	for i, c := range cables {
		all.Go(func() { c.suffer(ctx, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	desk := &grant.Desk{Store: db.Grant(), Clock: guichet.SystemClock()}
	for i, p := range tokens {
		if _, err := desk.Block(t.Context(), guichet.System("test"), p.id, grant.Blocking{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		p.revoked.Store(time.Now().UnixNano())
		current.Store(int64(i + 1))
		<-time.After(cutsLast / cutsRevoked)
	}
	<-time.After(cutsBound + time.Second)
	enough()
	all.Wait()

	for _, c := range cables {
		c.mend()
	}
	for i, e := range edges {
		until(t, 30*time.Second, fmt.Sprint("edge ", i, " works again"), func() bool { return status(e, alive) == 204 })
		for n, p := range tokens {
			if got := status(e, p.jwt); got != 401 {
				t.Errorf("gateway %d answers %d to revoked token %d, with its cable mended", i, got, n)
			}
		}
		seen[i].verify(t, i, i >= 2)
	}
	for i, c := range cables {
		t.Logf("cable %d was cut %d times: %v", i+2, c.cuts, c.kinds)
		if c.cuts < 3 {
			t.Errorf("cable %d was cut %d times only", i+2, c.cuts)
		}
	}
}

// A passing token is revoked in the course of the test.
type passing struct {
	id      guichet.ID
	jwt     string
	revoked atomic.Int64 // when its block was committed, at the latest; zero before
}

// sightings is what one gateway was seen to do.
type sightings struct {
	checks, cutOff, late int
	last                 time.Duration // from a revocation to the last acceptance of its token that began after it
	wrong                []string
}

// watch asks a gateway all the time: for the token that is revoked next, and for
// each of those that were lately; and now and then for one that is good.
func (s *sightings) watch(ctx context.Context, e *edgeProcess, alive string, tokens []*passing, current *atomic.Int64) {
	for ctx.Err() == nil {
		if status(e, alive) == 503 {
			s.cutOff++
		}
		next := int(current.Load())
		for i := max(0, next-25); i <= min(next, len(tokens)-1); i++ {
			began := time.Now()
			got := status(e, tokens[i].jwt)
			s.checks++
			revoked := tokens[i].revoked.Load()
			if got != 204 || revoked == 0 {
				continue
			}
			after := began.Sub(time.Unix(0, revoked))
			s.last = max(s.last, after)
			if after > time.Second {
				s.late++
			}
			if after > cutsBound {
				s.wrong = append(s.wrong, fmt.Sprintf("token %d, asked %v after its revocation", i, after))
			}
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (s *sightings) verify(t *testing.T, gateway int, cut bool) {
	t.Logf("gateway %d: %d checks, %d accepted more than a second after the revocation, the last %v after; %d times it said that it is cut off", gateway, s.checks, s.late, s.last, s.cutOff)
	for _, w := range s.wrong {
		t.Errorf("gateway %d accepted %s", gateway, w)
	}
	// A cut that hid nothing and stopped nothing would be none.
	if cut && (s.late == 0 || s.cutOff == 0) {
		t.Errorf("gateway %d was never cut off", gateway)
	}
}

// A cable goes from Guichet to the namespace of a gateway. Another one, that is
// never cut, is where the test asks.
type cable struct {
	t      *testing.T
	wire   string // its name, at either end
	n, pid int
	is     string // how it is cut, if it is
	cuts   int
	kinds  map[string]int
}

// Ways to cut a cable. What is silently lost goes to a machine that is not there:
// both ends believe that all is well, and what was lost is sent again by TCP and
// comes late when the cable is mended.
const (
	pulledOut     = "pulled out"
	answersLost   = "answers lost"
	questionsLost = "questions lost"
)

var cutKinds = []string{pulledOut, answersLost, questionsLost}

func connect(t *testing.T, n int, e *edgeProcess) *cable {
	c := &cable{t: t, wire: fmt.Sprint("wire", n), n: n, pid: e.cmd.Process.Pid, kinds: map[string]int{}}
	for name, network := range map[string]string{c.wire: "10.77", fmt.Sprint("door", n): "10.78"} {
		ip(t, "link", "add", name, "type", "veth", "peer", "name", name, "netns", fmt.Sprint(c.pid))
		ip(t, "addr", "add", fmt.Sprintf("%s.%d.1/24", network, n), "dev", name)
		ip(t, "link", "set", name, "up")
		c.inside("addr", "add", fmt.Sprintf("%s.%d.2/24", network, n), "dev", name)
		c.inside("link", "set", name, "up")
	}
	e.url = fmt.Sprintf("http://10.78.%d.2:8082", n)
	return c
}

func (c *cable) inside(args ...string) {
	command(c.t, "nsenter", append([]string{"-t", fmt.Sprint(c.pid), "-n", "ip"}, args...)...)
}

func (c *cable) address(end int) string { return fmt.Sprintf("10.77.%d.%d", c.n, end) }

func (c *cable) cut(kind string) {
	const nobody = "02:00:00:00:00:01"
	switch kind {
	case pulledOut:
		ip(c.t, "link", "set", c.wire, "down")
	case answersLost:
		ip(c.t, "neigh", "replace", c.address(2), "lladdr", nobody, "dev", c.wire, "nud", "permanent")
	case questionsLost:
		c.inside("neigh", "replace", c.address(1), "lladdr", nobody, "dev", c.wire, "nud", "permanent")
	}
	c.is = kind
	c.cuts++
	c.kinds[kind]++
}

func (c *cable) mend() {
	switch c.is {
	case pulledOut:
		ip(c.t, "link", "set", c.wire, "up")
	case answersLost:
		ip(c.t, "neigh", "del", c.address(2), "dev", c.wire)
	case questionsLost:
		c.inside("neigh", "del", c.address(1), "dev", c.wire)
	}
	c.is = ""
}

// suffer goes on from the first cut, which is longer than the bound: mended for a
// moment, cut for another, until it is over.
func (c *cable) suffer(ctx context.Context, r *rand.Rand) {
	for length := cutsBound + 2*time.Second; ; length = 100*time.Millisecond + time.Duration(r.Int64N(int64(cutsBound+time.Second))) {
		select {
		case <-time.After(length):
		case <-ctx.Done():
			return
		}
		c.mend()
		select {
		case <-time.After(time.Duration(r.Int64N(int64(3 * time.Second)))):
		case <-ctx.Done():
			return
		}
		c.cut(cutKinds[r.IntN(len(cutKinds))])
	}
}

func ip(t *testing.T, args ...string) { command(t, "ip", args...) }

// command may be called from any goroutine: what fails is told, and the test goes on.
func command(t *testing.T, name string, args ...string) {
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
