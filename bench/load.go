package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// result is one round of one server.
type result struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, for each request
}

// A call is one request, ready to be sent.
type call struct {
	method, path string
	header       http.Header
	body         string
}

// newClient is Go's own client, as a program that calls a server would use it,
// with its connections kept open. Its work is the same for every server.
func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}}
}

// send makes a call and reads its answer, which must have the status.
func send(ctx context.Context, client *http.Client, address string, c call, want int) error {
	r, err := http.NewRequestWithContext(ctx, c.method, "http://"+address+c.path, strings.NewReader(c.body))
	if err != nil {
		return err
	}
	r.Header = c.header
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != want {
		return fmt.Errorf("%s %s answered %s", c.method, c.path, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// closedLoop makes each call once, over so many connections kept open, each
// calling again when the last call was answered.
func closedLoop(ctx context.Context, address string, connections int, calls []call, want int) (result, error) {
	client := newClient(connections)
	defer client.CloseIdleConnections()
	var next atomic.Int64
	latencies := make([]time.Duration, len(calls))
	all, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range connections {
		all.Go(func() error {
			for i := next.Add(1) - 1; int(i) < len(calls); i = next.Add(1) - 1 {
				sent := time.Now()
				if err := send(ctx, client, address, calls[i], want); err != nil {
					return err
				}
				latencies[i] = time.Since(sent)
			}
			return nil
		})
	}
	err := all.Wait()
	return summary(latencies, float64(len(calls))/time.Since(began).Seconds()), err
}

// openLoop sends at a constant rate whatever the server does, and counts each
// latency from the instant the request was due: a server that stalls cannot hide
// it by slowing its clients.
func openLoop(ctx context.Context, address string, connections, rate int, calls []call, want int) (result, error) {
	client := newClient(connections)
	defer client.CloseIdleConnections()
	due := make(chan int, len(calls))
	latencies := make([]time.Duration, len(calls))
	all, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	for range connections {
		all.Go(func() error {
			for i := range due {
				if err := send(ctx, client, address, calls[i], want); err != nil {
					return err
				}
				latencies[i] = time.Since(at(i))
			}
			return nil
		})
	}
	for i := range calls {
		if wait := time.Until(at(i)); wait > 0 {
			<-time.After(wait)
		}
		due <- i
	}
	close(due)
	err := all.Wait()
	return summary(latencies, float64(len(calls))/time.Since(began).Seconds()), err
}

func summary(latencies []time.Duration, perSecond float64) result {
	slices.Sort(latencies)
	return result{perSecond: perSecond, p50: latencies[len(latencies)/2], p99: latencies[len(latencies)*99/100]}
}

// rounds holds what several rounds gave, and tells their ratio to another's.
type rounds []result

func (r rounds) median() float64 {
	all := r.rates()
	return all[len(all)/2]
}

func (r rounds) rates() []float64 {
	all := make([]float64, len(r))
	for i := range r {
		all[i] = r[i].perSecond
	}
	slices.Sort(all)
	return all
}

func (r rounds) p99() time.Duration {
	all := make([]time.Duration, len(r))
	for i := range r {
		all[i] = r[i].p99
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// to is the ratio of each round to the other's same round, in order.
func (r rounds) to(other rounds) (least, median, most float64) {
	all := make([]float64, len(r))
	for i := range r {
		all[i] = r[i].perSecond / other[i].perSecond
	}
	slices.Sort(all)
	return all[0], all[len(all)/2], all[len(all)-1]
}

func (r rounds) print(name string, base rounds) {
	least, median, most := r.to(base)
	var cpu time.Duration
	for _, one := range r {
		cpu += one.cpu / time.Duration(len(r))
	}
	fmt.Printf("  %-50s %8.0f/s   p99 %7.2f ms   %4d µs of processor   ratio %.3f [%.3f..%.3f]\n",
		name, r.median(), float64(r.p99().Microseconds())/1000, cpu.Microseconds(), median, least, most)
}
