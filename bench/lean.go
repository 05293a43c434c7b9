package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// leanLoop is closedLoop with a client that costs next to nothing: bytes made
// beforehand are written, and of an answer its status and its length are read. A
// server that needs fifteen microseconds is otherwise measured together with a
// client that needs more, on the same cores.
func leanLoop(ctx context.Context, address string, connections int, calls []call, want int) (result, error) {
	made := map[string][]byte{}
	requests := make([][]byte, len(calls))
	for i, c := range calls {
		name := c.path + c.body + fmt.Sprint(c.header)
		if made[name] == nil {
			r, err := http.NewRequestWithContext(ctx, c.method, "http://"+address+c.path, strings.NewReader(c.body))
			if err != nil {
				return result{}, err
			}
			r.Header = c.header
			var b bytes.Buffer
			if err := r.Write(&b); err != nil {
				return result{}, err
			}
			made[name] = b.Bytes()
		}
		requests[i] = made[name]
	}
	var next atomic.Int64
	latencies := make([]time.Duration, len(calls))
	all, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range connections {
		all.Go(func() error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			from := bufio.NewReader(c)
			for i := next.Add(1) - 1; int(i) < len(calls); i = next.Add(1) - 1 {
				sent := time.Now()
				if _, err := c.Write(requests[i]); err != nil {
					return err
				}
				got, err := skipAnswer(from)
				if err != nil {
					return err
				}
				if got != want {
					return fmt.Errorf("%s answered %d", calls[i].path, got)
				}
				latencies[i] = time.Since(sent)
			}
			return nil
		})
	}
	err := all.Wait()
	return summary(latencies, float64(len(calls))/time.Since(began).Seconds()), err
}

// skipAnswer reads an answer of known length and gives its status.
func skipAnswer(from *bufio.Reader) (status int, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case first && len(line) > 12:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, err
			}
		case len(line) <= 2:
			_, err = from.Discard(length)
			return status, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, fmt.Errorf("an answer of unknown length: %w", io.ErrUnexpectedEOF)
		}
	}
}

// leanLoad is load with the lean client.
func (p *process) leanLoad(ctx context.Context, connections int, calls []call, want int) (result, error) {
	before := p.cpu()
	r, err := leanLoop(ctx, p.address, connections, calls, want)
	r.cpu = (p.cpu() - before) / time.Duration(len(calls))
	return r, err
}
