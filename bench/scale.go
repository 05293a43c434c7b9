package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
)

// scale measures what docs/scale.md computes with: the list of so many tokens, what
// a stream and a question cost the server, and how a town of ten thousand gateways
// behaves, with the very code of blocklist and gateway.
func (b bench) scale() error {
	for _, tokens := range []int64{10_000_000, 100_000_000} {
		if err := b.list(tokens); err != nil {
			return err
		}
	}
	line, err := b.serverCosts()
	if err != nil {
		return err
	}
	newCountry(line).run()
	return nil
}

// alive is the memory that is in use.
func alive() int64 {
	runtime.GC() //nolint:revive // what is alive is measured
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// spent is the processor time of this process, which tells more than a clock on a
// machine that does other things.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const mega = 1 << 20

// list makes the list of so many tokens, one in a hundred blocked, with the indices
// that the store draws: half of them are given out.
func (b bench) list(tokens int64) error {
	r := rand.New(rand.NewPCG(1, 2))
	size := int64(blocklist.LeastSize)
	for size < 2*tokens {
		size *= 2
	}
	before := alive()
	set := blocklist.Empty(1).Resize(size)
	lines := make([]blocklist.Line, 0, 100_000)
	for n := range tokens / 100 {
		lines = append(lines, blocklist.Line{Seq: n + 1, Token: guichet.ID(fmt.Sprint("token-", n)), Index: r.Int64N(2 * tokens)})
		if len(lines) == cap(lines) || n+1 == tokens/100 {
			var err error
			if set, err = set.Apply(lines...); err != nil {
				return err
			}
			lines = lines[:0]
		}
	}
	used := alive() - before
	fmt.Printf("A list for %d tokens, 1 %% blocked: %d bits, %d ids\n", tokens, size, set.Count())
	fmt.Printf("  %-58s %8.1f MiB\n", "in memory", float64(used)/mega)

	var packed bytes.Buffer
	began := spent()
	if err := set.Write(&packed); err != nil {
		return err
	}
	wrote := spent() - began
	began = spent()
	if _, err := blocklist.ReadSnapshot(bytes.NewReader(packed.Bytes())); err != nil {
		return err
	}
	fmt.Printf("  %-58s %8.1f MiB, written in %v of processor, read in %v\n", "snapshot", float64(packed.Len())/mega, wrote.Round(time.Millisecond), (spent() - began).Round(time.Millisecond))

	const reads, adds = 2_000_000, 2_000
	at := make([]int64, 1<<16)
	for i := range at {
		at[i] = r.Int64N(size)
	}
	found := 0
	began = spent()
	for i := range reads {
		if blocked, _ := set.Index(at[i&(len(at)-1)]); blocked {
			found++
		}
	}
	fmt.Printf("  %-58s %8.1f ns (%d of %d blocked)\n", "reading a bit", float64((spent()-began).Nanoseconds())/reads, found, reads)
	began = spent()
	for i := range adds {
		var err error
		if set, err = set.Apply(set.Line(guichet.ID(fmt.Sprint("more-", i)), r.Int64N(2*tokens))); err != nil {
			return err
		}
	}
	fmt.Printf("  %-58s %8.1f µs\n", "adding one line", float64((spent()-began).Microseconds())/adds)

	return statusLists(set, size, 2*tokens, r)
}

// statusLists packs some of the lists that anyone can poll, as the server does.
func statusLists(set *blocklist.Set, size, given int64, r *rand.Rand) error {
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Now())
	if err != nil {
		return err
	}
	const sample = 20
	bytesOf, began := 0, spent()
	for range sample {
		n := r.Int64N(given / keyring.StatusShard)
		bits := make([]byte, keyring.StatusShard/8)
		for i := range int64(keyring.StatusShard) {
			if blocked, _ := set.Index(n*keyring.StatusShard + i); blocked {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		packed, err := keyring.PackBits(bits)
		if err != nil {
			return err
		}
		document, err := key.SignStatusList(keyring.StatusList{
			URI: fmt.Sprintf("https://guichet.example.org/status/%d", n), Issuer: "https://guichet.example.org", Packed: packed, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute),
		})
		if err != nil {
			return err
		}
		bytesOf += len(document)
	}
	fmt.Printf("  %-58s %8d lists, %d in use, of %.1f kB before gzip, made in %v of processor each\n\n", "status lists", size/keyring.StatusShard, given/keyring.StatusShard, float64(bytesOf)/sample/1000, ((spent() - began) / sample).Round(100*time.Microsecond))
	return nil
}

// serverCosts gives what a line costs a real server for each stream it has open,
// and prints that beside the cost of a question and of a stream's memory.
func (b bench) serverCosts() (line time.Duration, err error) {
	const streams, revocations, questions = 300, 60, 4000
	g, err := b.guichet()
	if err != nil {
		return 0, err
	}
	defer g.stop()
	credential, err := b.credential(g, "many")
	if err != nil {
		return 0, err
	}
	header := http.Header{"Authorization": {"Bearer " + credential}}
	made := deliveries(2_000_000, 2*revocations)
	for _, d := range made {
		if err := send(b.ctx, http.DefaultClient, g.address, d, http.StatusOK); err != nil {
			return 0, err
		}
	}
	revoke := func(from []call, wait func()) (time.Duration, []time.Duration, error) {
		var took []time.Duration
		before := g.cpu()
		for _, d := range from {
			began := time.Now()
			if err := send(b.ctx, http.DefaultClient, g.address, revocationOf(d), http.StatusOK); err != nil {
				return 0, nil, err
			}
			wait()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return (g.cpu() - before) / time.Duration(len(from)), took, nil
	}
	alone, _, err := revoke(made[:revocations], func() {})
	if err != nil {
		return 0, err
	}
	empty := resident(g)
	heard, stop, err := b.listeners(g, streams, header)
	if err != nil {
		return 0, err
	}
	full := resident(g)
	watched, took, err := revoke(made[revocations:], func() {
		for range streams {
			<-heard
		}
	})
	stop()
	if err != nil {
		return 0, err
	}
	line = max(0, watched-alone) / streams
	calls := make([]call, questions)
	for i := range calls {
		calls[i] = call{method: http.MethodGet, path: fmt.Sprintf("/blocklist?epoch=1&after=%d&keys=none&nonce=n%d", 2*revocations, i), header: header}
	}
	asked, err := g.load(b.ctx, b.connections, calls, http.StatusOK)
	if err != nil {
		return 0, err
	}
	fmt.Printf("A server with %d streams, on this machine, SQLite\n", streams)
	fmt.Printf("  %-58s %8.1f µs of processor\n", "a line, for each stream", float64(line.Nanoseconds())/1000)
	fmt.Printf("  %-58s p50 %v, p99 %v\n", "revocation sent → line at the last of the streams", took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond))
	fmt.Printf("  %-58s %8.1f kB\n", "memory of a stream", float64(full-empty)/streams/1000)
	fmt.Printf("  %-58s %8.0f µs of processor, %.0f a second here\n\n", "a question with its answer", float64(asked.cpu.Microseconds()), asked.perSecond)
	return line, nil
}

// resident is the memory of a server.
func resident(p *process) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kb, 10, 64)
	return n << 10
}

// listeners opens streams; each says when a line came.
func (b bench) listeners(g *process, n int, header http.Header) (heard chan struct{}, stop func(), err error) {
	ctx, cancel := context.WithCancel(b.ctx)
	heard = make(chan struct{}, n)
	client := newClient(n)
	var all sync.WaitGroup
	stop = func() { cancel(); all.Wait(); client.CloseIdleConnections() }
	for range n {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/blocklist", nil)
		if err != nil {
			return nil, stop, err
		}
		r.Header = header.Clone()
		r.Header.Set("Accept", "text/event-stream")
		response, err := client.Do(r)
		if err != nil {
			return nil, stop, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, stop, errors.Join(fmt.Errorf("a stream answered %s", response.Status), response.Body.Close())
		}
		all.Go(func() {
			defer func() { _ = response.Body.Close() }()
			for lines := bufio.NewScanner(io.LimitReader(response.Body, 1<<30)); lines.Scan(); {
				if lines.Text() == "event: blocked" {
					heard <- struct{}{}
				}
			}
		})
	}
	return heard, stop, nil
}
