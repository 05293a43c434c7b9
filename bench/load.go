package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// result is one round of one server.
type result struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, for each request
}

// closedLoop sends each request once, over so many connections kept open, each
// sending the next when the last was answered. The client is as small as can be:
// what it spends, the server does not have.
func closedLoop(address string, connections int, requests [][]byte, want int) (result, error) {
	var next atomic.Int64
	latencies := make([]time.Duration, len(requests))
	errs := make(chan error, connections)
	var all sync.WaitGroup
	began := time.Now()
	for range connections {
		all.Go(func() {
			conn, err := dial(address)
			if err != nil {
				errs <- err
				return
			}
			defer func() { _ = conn.Close() }()
			for i := next.Add(1) - 1; int(i) < len(requests); i = next.Add(1) - 1 {
				sent := time.Now()
				if err := conn.exchange(requests[i], want); err != nil {
					errs <- err
					return
				}
				latencies[i] = time.Since(sent)
			}
		})
	}
	all.Wait()
	elapsed := time.Since(began)
	select {
	case err := <-errs:
		return result{}, err
	default:
		return summary(latencies, float64(len(requests))/elapsed.Seconds()), nil
	}
}

// openLoop sends at a constant rate whatever the server does, and counts each
// latency from the instant the request was due: a server that stalls cannot hide
// it by slowing its clients.
func openLoop(address string, connections, rate int, requests [][]byte, want int) (result, error) {
	due := make(chan int, len(requests))
	latencies := make([]time.Duration, len(requests))
	errs := make(chan error, connections)
	began := time.Now()
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			conn, err := dial(address)
			if err != nil {
				errs <- err
				return
			}
			defer func() { _ = conn.Close() }()
			for i := range due {
				if err := conn.exchange(requests[i], want); err != nil {
					errs <- err
					return
				}
				latencies[i] = time.Since(at(i))
			}
		})
	}
	for i := range requests {
		if wait := time.Until(at(i)); wait > 0 {
			<-time.After(wait)
		}
		due <- i
	}
	close(due)
	all.Wait()
	select {
	case err := <-errs:
		return result{}, err
	default:
		return summary(latencies, float64(len(requests))/time.Since(began).Seconds()), nil
	}
}

func summary(latencies []time.Duration, perSecond float64) result {
	slices.Sort(latencies)
	return result{perSecond: perSecond, p50: latencies[len(latencies)/2], p99: latencies[len(latencies)*99/100]}
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 8<<10)}, nil
}

// exchange writes a request and reads its answer, which must have the status.
func (c *conn) exchange(request []byte, want int) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if status, err := strconv.Atoi(string(line[9:12])); err != nil || status != want {
		return fmt.Errorf("answered %q", line)
	}
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = io.CopyN(io.Discard, c.r, int64(length))
	return err
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
	fmt.Printf("  %-44s %8.0f/s   p99 %7.2f ms   %4d µs of processor   ratio %.3f [%.3f..%.3f]\n",
		name, r.median(), float64(r.p99().Microseconds())/1000, cpu.Microseconds(), median, least, most)
}
