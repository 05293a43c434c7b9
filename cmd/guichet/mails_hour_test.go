package main

import (
	"fmt"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/store/storetest"
)

// A door is a mail server that may be shut: whoever comes is turned away.
type door struct {
	net.Listener
	shut   atomic.Bool
	turned atomic.Int64
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil || !d.shut.Load() {
			return c, err
		}
		d.turned.Add(1)
		_ = c.Close()
	}
}

// A mail server that is dead for an hour delays nothing else: all through the hour,
// which is the clock's and not ours, deliveries are taken, systems are told of them,
// and what is due every minute is done. Letters are tried again and again, at longer
// and longer intervals; five minutes after the server's return each is delivered,
// once.
func TestMailServerDeadForAnHour(t *testing.T) {
	t.Parallel()
	const (
		before, step = 10, 150 * time.Second
		steps        = int(time.Hour / step)
	)
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		d := &door{Listener: l}
		d.shut.Store(true)
		kept := sinkOn(t, d)
		hook := newReceiver()
		listening := httptest.NewServer(hook)
		defer listening.Close()
		r := servingAt(t, configured(t, db, hooked(listening.URL), fmt.Sprintf("guichet_smtp = %q", "smtp://"+l.Addr().String()+"?tls=none")), db.Clock.Clock())

		began := db.Clock.Now()
		requests := 0
		approve := func() {
			t.Helper()
			sent := time.Now()
			if status, _ := r.deliver("sender", "approve", 1_777_880_000, requests); status != 200 {
				t.Fatalf("delivery %d: %d", requests, status)
			}
			if took := time.Since(sent); took > 5*time.Second {
				t.Errorf("delivery %d: %s", requests, took)
			}
			_, data, _ := hook.next(t)
			if data["request"] != strconv.Itoa(requests) {
				t.Errorf("told of %v, not of %d", data["request"], requests)
			}
			requests++
		}
		for range before {
			approve()
		}
		settled(t, db)
		for range steps {
			db.Clock.Advance(step)
			approve()
			settled(t, db)
			if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind NOT IN ('mail', 'letter')"); n != "0" {
				t.Errorf("%s jobs wait that are no letters", n)
			}
		}
		if gone := db.Clock.Now().Sub(began); gone < time.Hour {
			t.Fatalf("only %s went by", gone)
		}
		// Nothing was given up, nothing was delivered, nobody was stormed.
		most, err := strconv.Atoi(db.Value("SELECT CAST(MAX(attempt) AS TEXT) FROM jobs WHERE kind = 'mail'"))
		if err != nil || most < steps/2 || most > steps+1 {
			t.Errorf("the letter tried most was tried %d times in an hour, %v", most, err)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail' AND state = 'ready'"); n != strconv.Itoa(requests) {
			t.Errorf("%s letters wait of %d", n, requests)
		}
		if n := d.turned.Load(); n < int64(before*steps/2) || n > int64(requests*(steps+1)) {
			t.Errorf("the server was called %d times", n)
		}
		if n := len(db.Column("SELECT message_id FROM letters_sent")); n != 0 || len(kept.all) != 0 {
			t.Errorf("%d letters were sent by a dead server", n)
		}
		tried := d.turned.Load()

		d.shut.Store(false)
		db.Clock.Advance(5 * time.Minute)
		settled(t, db)
		ids := map[string]int{}
		kept.mu.Lock()
		defer kept.mu.Unlock()
		for _, m := range kept.all {
			_, after, _ := strings.Cut(m.text, "Message-ID: <")
			id, _, _ := strings.Cut(after, ">")
			ids[m.to+" "+id]++
		}
		if len(ids) != requests || len(kept.all) != requests {
			t.Errorf("%d letters of %d, %d different", len(kept.all), requests, len(ids))
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail'"); n != "0" {
			t.Errorf("%s letters still wait", n)
		}
		t.Logf("%s of the clock: %d deliveries taken and told of; a letter was tried up to %d times, the server called %d times; %d letters delivered within 5 minutes",
			db.Clock.Now().Sub(began).Round(time.Second), requests, most, tried, len(kept.all))
	})
}

// settled waits until all that is due by the clock was done or put off, and what is
// due each minute was done for this one.
func settled(t *testing.T, db *storetest.DB) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); ; <-time.After(20 * time.Millisecond) {
		now := db.Clock.Now()
		left := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE state = 'running' OR (state = 'ready' AND run_at <= $1)", now.UnixMicro())
		done := db.Value("SELECT COALESCE(MAX(slot), '') FROM job_slots WHERE kind = 'sweep'")
		if left == "0" && done == now.Truncate(time.Minute).Format(time.RFC3339) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s jobs are not done; the last sweep was of %s: %v", left, done, db.Column("SELECT kind || ' ' || state || ' ' || last_error FROM jobs"))
		}
	}
}
