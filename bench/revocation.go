package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"guichet/keyring"
)

// revocation measures how long a revocation takes from being sent to being refused
// at the slowest of four gateways, and of sixteen. One of them is kept busy.
func (b bench) revocation() error {
	const revocations = 200
	g, err := b.guichet()
	if err != nil {
		return err
	}
	defer g.stop()
	var edges []*process
	for _, n := range []int{4, 16} {
		for len(edges) < n {
			credential, err := b.credential(g, fmt.Sprint("edge-", len(edges)))
			if err != nil {
				return err
			}
			e, err := b.edge("http://"+g.address, credential)
			if err != nil {
				return err
			}
			defer e.stop()
			edges = append(edges, e)
		}
		if err := b.revoke(g, edges, revocations); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// revoke revokes one request after the other, by the webhook, and asks every
// gateway all the time until the last one refuses.
func (b bench) revoke(g *process, edges []*process, revocations int) error {
	made := deliveries(1_000_000*len(edges), revocations+1)
	checks := make([]call, len(made))
	for i, d := range made {
		jwt, err := b.issue(g, d)
		if err != nil {
			return err
		}
		checks[i] = call{method: http.MethodGet, path: "/check", header: http.Header{"Authorization": {"Bearer " + jwt}}}
	}
	idle, err := b.keepBusy(edges[0], checks[revocations])
	if err != nil {
		return err
	}
	defer idle()
	// As many questions a second whatever the number of gateways: asking must not be
	// what keeps them from hearing.
	pause := time.Duration(len(edges)) * 125 * time.Microsecond
	clients := make([]*http.Client, len(edges))
	for j := range clients {
		clients[j] = newClient(1)
		defer clients[j].CloseIdleConnections()
	}
	var sending, first, slowest []time.Duration
	for i := range revocations {
		began := time.Now()
		ctx, giveUp := context.WithTimeout(b.ctx, 10*time.Second)
		refused := make([]time.Duration, len(edges))
		var all sync.WaitGroup
		for j, e := range edges {
			all.Go(func() {
				for ctx.Err() == nil && send(ctx, clients[j], e.address, checks[i], http.StatusUnauthorized) != nil {
					<-time.After(pause)
				}
				refused[j] = time.Since(began)
			})
		}
		err := send(b.ctx, http.DefaultClient, g.address, revocationOf(made[i]), http.StatusOK)
		sending = append(sending, time.Since(began))
		all.Wait()
		giveUp()
		if err != nil {
			return err
		}
		first, slowest = append(first, slices.Min(refused)), append(slowest, slices.Max(refused))
	}
	fmt.Printf("Revocation by webhook, with %d gateways, one of them saturated: %d revocations, each asked for every %v\n", len(edges), revocations, pause)
	for _, line := range []struct {
		name  string
		times []time.Duration
	}{{"sent → answered by guichet (reference)", sending}, {"sent → refused at the first gateway", first}, {"sent → refused everywhere", slowest}} {
		slices.Sort(line.times)
		ms := func(percent int) float64 {
			return float64(line.times[min(len(line.times)-1, len(line.times)*percent/100)].Microseconds()) / 1000
		}
		fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms   most %7.2f ms\n", line.name, ms(50), ms(99), ms(100))
	}
	return nil
}

// revocationOf is the revocation of what a delivery approved.
func revocationOf(c call) call {
	c.body = strings.NewReplacer(`"event": "approve"`, `"event": "revoke"`, `"fired_at": 1777880000`, `"fired_at": 1777890000`, `"state": "validated"`, `"state": "revoked"`).Replace(c.body)
	c.header = http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {keyring.SignMAC(secret, []byte(c.body))}}
	return c
}

// keepBusy checks one token at one gateway, over and over, until it is stopped.
func (b bench) keepBusy(e *process, c call) (stop func(), err error) {
	client := newClient(8)
	if err := send(b.ctx, client, e.address, c, http.StatusNoContent); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = send(b.ctx, client, e.address, c, http.StatusNoContent)
				}
			}
		})
	}
	return func() { close(done); all.Wait() }, nil
}

func (b bench) credential(g *process, name string) (string, error) {
	add := exec.CommandContext(b.ctx, b.program, "gateway", "add", "--name", name, "--json")
	add.Env = append(os.Environ(), g.env...)
	out, err := add.Output()
	if err != nil {
		return "", err
	}
	var said struct{ Token string }
	return said.Token, json.Unmarshal(out, &said)
}
