package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/alarm"
	"guichet/grant"
	"guichet/job"
	"guichet/store"
	"guichet/store/storetest"
)

// TestAlertReachesEveryChannelOnce: one channel is away at first; the other is
// told at once and not again.
func TestAlertReachesEveryChannelOnce(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			var told [2]atomic.Int64
			var away atomic.Bool
			away.Store(true)
			var channels []guichet.Secret
			for i := range told {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if i == 0 && away.Load() {
						w.WriteHeader(http.StatusBadGateway)
						return
					}
					told[i].Add(1)
				}))
				defer s.Close()
				channels = append(channels, guichet.Secret(strings.Replace(s.URL, "http://", "generic://", 1)+fmt.Sprintf("/%d?disabletls=yes", i)))
			}
			db := storetest.New(t, engine)
			p, err := openProgram(t.Context(), config{
				Database: db.Source, KeyFile: filepath.Join(t.TempDir(), "key"), URL: "http://guichet.test", Windows: map[string]bool{"grant": true},
				MailFrom: "Guichet <guichet@guichet.test>", PollWindow: "02:00-04:00",
			}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.store.Close() }()
			if p.alarms, err = alarm.Open("", channels); err != nil {
				t.Fatal(err)
			}
			id := p.clock.NewID()
			err = p.store.Grant().Update(t.Context(), func(tx grant.Tx) error {
				return tx.Alert(guichet.Alert{ID: id, Kind: string(grant.AlertQuarantined), Subject: "api_entreprise/51234", Detail: "{}", OpenedAt: p.clock.Now()})
			})
			if err != nil {
				t.Fatal(err)
			}
			claimed := job.Claimed{ID: p.clock.NewID(), Kind: "alert", Args: []byte(`{"alert":"` + string(id) + `"}`)}
			if err := p.tellOperators(t.Context(), claimed); err == nil {
				t.Error("one channel was away and nothing was said")
			}
			away.Store(false)
			for range 2 {
				if err := p.tellOperators(t.Context(), claimed); err != nil {
					t.Error(err)
				}
			}
			if told[0].Load() != 1 || told[1].Load() != 1 {
				t.Errorf("told %d and %d times", told[0].Load(), told[1].Load())
			}
		})
	}
}

// TestAlertRefusedByOneAwayFromAnother: a mailbox that will never take the mail does
// not end the job while a chat may still take its line; who was told is not told
// again meanwhile; and when only the refusal is left, the job waits for a person.
func TestAlertRefusedByOneAwayFromAnother(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) { refusedAndAway(t, storetest.New(t, engine)) })
	}
}

func refusedAndAway(t *testing.T, db *storetest.DB) {
	var told, asked atomic.Int64
	var away atomic.Bool
	away.Store(true)
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		told.Add(1)
	}))
	defer chat.Close()
	post := newSink(t)
	post.refuse = "gone@guichet.test"
	p := openedProgram(t, db, map[string]string{
		"GUICHET_SMTP": "smtp://" + post.address + "?tls=none", "GUICHET_MAIL_FROM": "Guichet <guichet@guichet.test>",
		"GUICHET_OPERATORS": "ops@guichet.test, gone@guichet.test", "GUICHET_ALERT_URLS": strings.Replace(chat.URL, "http://", "generic://", 1) + "/line?disabletls=yes",
	})
	err := db.Grant().Update(t.Context(), func(tx grant.Tx) error {
		return tx.Alert(guichet.Alert{ID: db.Clock.Clock().NewID(), Kind: string(grant.AlertQuarantined), Subject: "api_entreprise/51234", Detail: "{}", OpenedAt: db.Clock.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 10)
	attempt := func() (state string) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			(&job.Runner{
				Store: db.Jobs(), Clock: db.Clock.Clock(), Log: p.log, Lease: time.Hour,
				Handlers: map[string]job.Handler{"alert": func(ctx context.Context, c job.Claimed) error {
					defer func() { ended <- struct{}{} }()
					return p.tellOperators(ctx, c)
				}},
			}).Run(ctx)
		}()
		<-ended
		stop()
		<-stopped
		db.Clock.Advance(2 * time.Hour)
		return db.Value("SELECT state FROM jobs WHERE kind = 'alert'")
	}
	taken := func() int {
		post.mu.Lock()
		defer post.mu.Unlock()
		return len(post.all)
	}
	for n := range int64(3) {
		if state := attempt(); state != "ready" || taken() != 1 || asked.Load() != n+1 || told.Load() != 0 {
			t.Fatalf("attempt %d: %s; %d mails, the chat was asked %d times and told %d times", n+1, state, taken(), asked.Load(), told.Load())
		}
	}
	away.Store(false)
	state := attempt()
	if last := db.Value("SELECT last_error FROM jobs WHERE kind = 'alert'"); state != "dead" || !strings.Contains(last, "mailbox 2 of 2") || strings.Contains(last, "channel") {
		t.Errorf("at the end the job is %s: %s", state, last)
	}
	if taken() != 1 || post.refused != 4 || told.Load() != 1 {
		t.Errorf("%d mails, %d refused, the chat was told %d times", taken(), post.refused, told.Load())
	}
}
