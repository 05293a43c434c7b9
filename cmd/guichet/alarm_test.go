package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
