// Command bench measures Guichet beside references that run in the same minutes
// on the same machine, and prints ratios: on shared machines nothing else means
// anything. Servers are processes of their own; rounds are interleaved; the
// median is told with the smallest and the largest.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	program := flag.String("guichet", "bin/guichet", "the program to measure")
	rounds := flag.Int("rounds", 5, "interleaved rounds")
	connections := flag.Int("connections", 50, "connections at once")
	requests := flag.Int("requests", 8000, "requests a round")
	rate := flag.Int("rate", 1500, "requests a second in the open loop")
	only := flag.String("only", "", "one part alone: intake, check, gateway, revocation, waiting, resume, progress, many, scale; or hydra, which is left out otherwise")
	serve := flag.String("serve", "", "be a reference server (used by bench itself)")
	flag.Parse()
	if *serve != "" {
		fail(reference(*serve, flag.Arg(0)))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := bench{ctx: ctx, program: *program, rounds: *rounds, connections: *connections, requests: *requests, rate: *rate}
	fmt.Printf("%d connections, %d requests a round, %d interleaved rounds; servers and load share this machine\n\n", *connections, *requests, *rounds)
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"intake", b.intake},
		{"check", b.check},
		{"gateway", b.gateway},
		{"revocation", b.revocation},
		{"waiting", b.waiting},
		{"resume", b.resume},
		{"progress", b.progress},
		{"many", b.many},
		{"scale", b.scale},
		{"hydra", b.hydra},
	} {
		if *only == "" && part.name != "hydra" || *only == part.name {
			fail(part.run())
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	ctx                                 context.Context
	program                             string
	rounds, connections, requests, rate int
}
