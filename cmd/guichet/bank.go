package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	simconnector "guichet/connector/sim"
	"guichet/job"
	"guichet/keyring"
	simbank "guichet/sim/bank"
	"guichet/store"
)

// sealer is the keyring as the bank window sees it.
type sealer struct {
	*liveSealer
	fingerprints []byte // a key of its own, sealed in the database
}

// Seal implements bank.Sealer.
func (s sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	return s.liveSealer.Seal(keyring.Place{Table: table, Row: row, Column: column}, plain)
}

// Open implements bank.Sealer.
func (s sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	return s.liveSealer.Open(keyring.Place{Table: table, Row: row, Column: column}, sealed)
}

// Fingerprint implements bank.Sealer. Each part is preceded by its length, so
// that no two lists of parts have one fingerprint.
func (s sealer) Fingerprint(parts ...string) (string, error) {
	h := hmac.New(sha256.New, s.fingerprints)
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(p)))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

const fingerprintSetting = "fingerprint_key"

func (k *keys) bankSealer(ctx context.Context, s *store.Store, clock guichet.Clock) (sealer, error) {
	at := keyring.Place{Table: "settings", Row: fingerprintSetting, Column: "value"}
	kept, err := s.Setting(ctx, fingerprintSetting)
	if err != nil {
		return sealer{}, err
	}
	if kept == nil {
		fresh, err := k.sealer.Seal(at, []byte(clock.NewSecret().Reveal()))
		if err != nil {
			return sealer{}, err
		}
		if kept, err = s.SetOnce(ctx, fingerprintSetting, fresh); err != nil {
			return sealer{}, err
		}
	}
	key, err := k.sealer.Open(at, kept)
	return sealer{k.sealer, key}, err
}

// openBank makes the desk of the bank window and what reaches banks.
func (p *program) openBank(ctx context.Context) error {
	sealer, err := p.keys.bankSealer(ctx, p.store, p.clock)
	if err != nil {
		return err
	}
	night, err := pollWindow(p.config.PollWindow)
	if err != nil {
		return err
	}
	connectors := map[string]bank.Connector{}
	if p.config.SimBank != "" {
		if connectors["sim"], err = simconnector.New(p.config.SimBank); err != nil {
			return err
		}
	}
	if p.woob, err = p.openWoob(); err != nil {
		return err
	}
	if p.woob != nil {
		connectors["woob"] = p.woob
	}
	p.bank = &bank.Desk{
		Store: p.store.Bank(), Clock: p.clock, Sealer: sealer, Connectors: connectors, Log: p.log, Night: night,
		DiscardUnfinished: p.config.Unfinished == "discard",
	}
	return nil
}

// pollWindow reads 02:00-04:00, in the local time of TZ, else of Paris.
func pollWindow(text string) (bank.Window, error) {
	from, to, ok := strings.Cut(text, "-")
	start, err1 := time.Parse("15:04", strings.TrimSpace(from))
	end, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil || !start.Before(end) {
		return bank.Window{}, configError("poll_window", "This is like 02:00-04:00, within one day.")
	}
	location := time.Local
	if location.String() == "Local" || location.String() == "UTC" {
		if paris, err := time.LoadLocation("Europe/Paris"); err == nil {
			location = paris
		}
	}
	midnight := start.Truncate(24 * time.Hour)
	return bank.Window{From: start.Sub(midnight), To: end.Sub(midnight), Location: location}, nil
}

// bankJobs are the durable work of the bank window.
func (p *program) bankJobs() (map[string]job.Handler, []job.Periodic) {
	handlers := map[string]job.Handler{
		bank.JobRun: func(ctx context.Context, c job.Claimed) error {
			var args bank.RunArgs
			if err := json.Unmarshal(c.Args, &args); err != nil {
				return job.Permanent(err)
			}
			return p.bank.Perform(ctx, args.Attempt)
		},
		bank.JobTell: p.tellOwner, jobTrust: func(ctx context.Context, _ job.Claimed) error { _, err := p.bank.WarnTrust(ctx); return err },
		bank.JobPoll:  func(ctx context.Context, _ job.Claimed) error { _, err := p.bank.Poll(ctx); return err },
		bank.JobSweep: func(ctx context.Context, _ job.Claimed) error { _, err := p.bank.Sweep(ctx, ""); return err },
	}
	return handlers, []job.Periodic{
		{Kind: bank.JobPoll, Slot: job.Every(5 * time.Minute)},
		{Kind: bank.JobSweep, Slot: job.Every(15 * time.Second)},
		{Kind: jobTrust, Slot: job.Every(time.Hour)},
	}
}

type simCmd struct {
	Bank     simBankCmd     `cmd:"" help:"Run the simulated bank's web site."`
	DataPass simDataPassCmd `cmd:"" help:"Run the simulated DataPass: its page of buttons, its deliveries, its API." name:"datapass"`
}

type simBankCmd struct {
	Addr string `help:"Address to listen on." default:"127.0.0.1:8090"`
}

func (s simBankCmd) Run(ctx context.Context, t terminal, all *cli) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	newLog(c.LogLevel, t.err).Info("ready", "url", "http://"+listener.Addr().String())
	return serveSim(ctx, listener, simbank.New(guichet.SystemClock()))
}

// serveSim serves a simulated peer until ctx is done. Requests that hang on
// purpose end with it.
func serveSim(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
