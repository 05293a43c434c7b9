package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"guichet/bank"
)

// A listener receives what a child says, one message at a time, but for the
// first and the last. An error ends the child.
type listener interface {
	hear(kind string, line []byte) error
}

// converse starts a child, gives it its one line and listens until it has said
// everything. When it returns, no process of the run is left, whatever happened.
// The error is a [failure], or the context's.
func (c *Connector) converse(ctx context.Context, request order, to listener) (end *resultMessage, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(request)
	if err != nil {
		return nil, failed("bug", "the request cannot be written")
	}
	k, err := c.start()
	if err != nil {
		return nil, err
	}
	defer func() {
		k.end()
		var f *failure
		if errors.As(err, &f) {
			f.tail = k.errors.String()
		}
		if end != nil {
			end.tail = k.errors.String()
		}
	}()
	go k.tell(append(line, '\n'))
	said := make(chan heard)
	left := make(chan struct{})
	defer close(left)
	go listen(k.stdout, c.limits, said, left)

	t := &talk{run: request.Run, to: to}
	patience := time.NewTimer(c.limits.Hello)
	defer patience.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, c.dismiss(ctx, k)
		case <-patience.C:
			switch {
			case t.end != nil:
				return t.end, nil // it said everything; that it does not go is our affair
			case !t.greeted:
				return nil, failed("load", "the worker did not say a word in time")
			default:
				return nil, failed(bank.ReasonDeadline, "the worker says nothing any more")
			}
		case h, more := <-said:
			if ctx.Err() != nil {
				continue // what comes now does not count
			}
			if !more {
				if t.end == nil {
					return nil, failed(bank.ReasonCrash, "the worker ended without a result")
				}
				return t.end, nil
			}
			if h.err != nil {
				return nil, h.err
			}
			if err := t.take(h.line); err != nil {
				return nil, err
			}
			wait := c.limits.Quiet
			if t.end != nil {
				wait = c.limits.Grace
			}
			patience.Reset(wait)
		}
	}
}

// dismiss tells a child to stop, and gives it a moment to close what it has
// open at the bank. Whatever it still says does not count.
func (c *Connector) dismiss(ctx context.Context, k *child) error {
	k.cancel()
	grace := time.NewTimer(c.limits.Grace)
	defer grace.Stop()
	select {
	case <-k.exited:
	case <-grace.C:
	}
	return ctx.Err()
}

// A talk is what a child has said so far.
type talk struct {
	run     string
	to      listener
	greeted bool
	end     *resultMessage
}

// take believes one line, or refuses the whole run.
func (t *talk) take(line []byte) error {
	if !utf8.Valid(line) {
		return failed(bank.ReasonProtocol, "a line is not UTF-8")
	}
	var head struct {
		Type string `json:"type"`
		V    int    `json:"v"`
		Run  string `json:"run"`
	}
	if err := json.Unmarshal(line, &head); err != nil || head.Type == "" {
		return failed(bank.ReasonProtocol, "a line is not a message")
	}
	switch {
	case t.end != nil:
		return failed(bank.ReasonProtocol, "it goes on after its result")
	case !t.greeted:
		if head.Type != "hello" || head.V != version {
			return failed(bank.ReasonProtocol, fmt.Sprintf("it does not begin with hello, version %d", version))
		}
		if head.Run != t.run {
			return failed(bank.ReasonProtocol, "it greets for another run")
		}
		t.greeted = true
		return nil
	case head.Type == "hello":
		return failed(bank.ReasonProtocol, "it greets twice")
	case head.Type == "result":
		var end resultMessage
		if err := json.Unmarshal(line, &end); err != nil {
			return failed(bank.ReasonProtocol, "a result cannot be read")
		}
		if end.Run != t.run {
			return failed(bank.ReasonProtocol, "it ends another run")
		}
		t.end = &end
		return nil
	}
	return t.to.hear(head.Type, line)
}

// heard is one line, or why there is no further one.
type heard struct {
	line []byte
	err  error
}

// listen cuts what a child writes into lines, within bounds, until it closes its
// output. A line without its end is none: whoever wrote it died.
func listen(from io.Reader, l Limits, said chan<- heard, left <-chan struct{}) {
	defer close(said)
	give := func(h heard) bool {
		select {
		case said <- h:
			return true
		case <-left:
			return false
		}
	}
	r := bufio.NewReaderSize(from, 64<<10)
	var total int64
	var line []byte
	lines := 0
	for {
		part, err := r.ReadSlice('\n')
		total += int64(len(part))
		line = append(line, part...)
		switch {
		case total > l.Output, lines > l.Lines:
			give(heard{err: failed(bank.ReasonProtocol, "it says more than a run may")})
			return
		case len(line) > l.Line:
			give(heard{err: failed(bank.ReasonProtocol, "a line is too long")})
			return
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return
		}
		if whole := bytes.TrimSpace(line); len(whole) > 0 && !give(heard{line: whole}) {
			return
		}
		line = nil
		lines++
	}
}
