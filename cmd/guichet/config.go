package main

import (
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/openid"
)

// config is what the environment and the configuration file say. Names, defaults
// and meanings are in docs/configuration.md.
type config struct {
	Addr, AdminAddr, URL string
	Database, KeyFile    string
	Windows              map[string]bool
	Providers            map[string]provider
	PurgeAfter           time.Duration // negative: never
	PurgeRefusedAfter    time.Duration
	Unfinished           string
	SMTP                 guichet.Secret // its address holds a password
	MailFrom             string
	Operators            []guichet.Mailbox
	SimBank              string
	WoobPython           string
	WoobModules          string
	PollWindow           string
	LogLevel             string
	GatewayToken         guichet.Secret
	SentryDSN            guichet.Secret
	AlertURLs            []guichet.Secret
	OpenID               *openid.Settings // nil: people sign in by password only
}

// provider is one API as it is configured.
type provider struct {
	grant.Provider
	Algorithm keyring.Algorithm
	Shared    keyring.Secret // for HS256
	Secrets   []providerSecret
	Endpoint  endpoint  // of its own systems; no URL: they are told nothing
	API       sourceAPI // where to ask its source; a zero value: nowhere
}

// endpoint is where the systems of a provider are told of what happens.
type endpoint struct {
	URL     string
	Secrets []providerSecret // all that are in force sign
	Private bool
}

// providerSecret is a secret of a provider, until its end when it has one.
type providerSecret struct {
	Value keyring.Secret
	Until time.Time
}

// names lists every setting, so that a misspelt one is refused rather than
// forgotten.
var names = []string{
	"addr", "admin_addr", "url", "database", "key_file", "windows", "providers_file", "datapass_secrets", "purge_after",
	"purge_refused_after", "unfinished", "smtp", "mail_from", "operators", "sentry_dsn", "alert_urls", "woob_python", "woob_modules",
	"sim_bank", "gateway_token", "poll_window", "log",
	"oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_name", "oidc_scopes", "oidc_trust_email",
}

func configError(name, reason string) error {
	return &guichet.Error{Kind: guichet.Invalid, Code: "invalid_configuration", Field: "GUICHET_" + strings.ToUpper(name), Reason: reason}
}

// loadConfig reads the file, if any, and then the environment, which wins.
func loadConfig(path string) (config, error) {
	k := koanf.New("\x00")
	if path != "" {
		if err := k.Load(file.Provider(path), toml.Parser()); err != nil {
			return config{}, configError("config", fmt.Sprintf("The configuration file cannot be read: %v", err))
		}
	}
	if err := k.Load(env.Provider("\x00", env.Opt{Prefix: "GUICHET_", TransformFunc: func(name, value string) (string, any) {
		return strings.ToLower(name), value
	}}), nil); err != nil {
		return config{}, err
	}
	s := settings{k: k}
	for _, name := range k.Keys() {
		short := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(name), "guichet_"), "_file")
		if !known(short) && !known(short+"_file") && !strings.HasPrefix(short, "test_") {
			return config{}, configError(short, "There is no setting of this name.")
		}
	}
	c := config{
		Addr: s.text("addr", "127.0.0.1:8080"), AdminAddr: s.text("admin_addr", "127.0.0.1:8081"),
		Database: s.text("database", "sqlite:var/guichet.db"), KeyFile: s.text("key_file", "var/guichet.key"),
		Unfinished: s.text("unfinished", "resume"), SMTP: guichet.Secret(s.text("smtp", "")), MailFrom: s.text("mail_from", "Guichet <guichet@localhost>"),
		GatewayToken: guichet.Secret(s.text("gateway_token", "")), SentryDSN: guichet.Secret(s.text("sentry_dsn", "")),
		SimBank: s.text("sim_bank", ""), WoobPython: s.text("woob_python", ""), WoobModules: s.text("woob_modules", ""), PollWindow: s.text("poll_window", "02:00-04:00"), LogLevel: s.text("log", "info"),
		Windows: map[string]bool{}, PurgeAfter: s.duration("purge_after", 720*time.Hour), PurgeRefusedAfter: s.duration("purge_refused_after", -1),
	}
	c.URL = strings.TrimSuffix(s.text("url", "http://"+c.Addr), "/")
	for _, w := range strings.Split(s.text("windows", "bank,grant"), ",") {
		if w = strings.TrimSpace(w); w != "bank" && w != "grant" {
			s.fail("windows", "A window is bank or grant.")
		}
		c.Windows[w] = true
	}
	if c.Unfinished != "resume" && c.Unfinished != "discard" {
		s.fail("unfinished", "This is resume or discard.")
	}
	for _, address := range strings.Split(s.text("operators", ""), ",") {
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		a, err := mail.ParseAddress(address)
		if err != nil {
			s.fail("operators", fmt.Sprintf("%q is not an e-mail address.", address))
			continue
		}
		c.Operators = append(c.Operators, guichet.Mailbox{Name: a.Name, Address: a.Address, Language: "fr"})
	}
	for _, address := range strings.Fields(s.text("alert_urls", "")) {
		c.AlertURLs = append(c.AlertURLs, guichet.Secret(address))
	}
	c.OpenID = s.openID(c.URL)
	var err error
	if c.Providers, err = loadProviders(s.text("providers_file", ""), s.text("datapass_secrets", "")); err != nil {
		s.errs = append(s.errs, err)
	}
	return c, errors.Join(s.errs...)
}

func known(name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// settings reads values and collects what is wrong with them.
type settings struct {
	k    *koanf.Koanf
	errs []error
}

func (s *settings) fail(name, reason string) { s.errs = append(s.errs, configError(name, reason)) }

// text reads a setting, or the file that NAME_FILE names.
func (s *settings) text(name, standard string) string {
	key := "guichet_" + name
	if path := s.k.String(key + "_file"); path != "" && !known(name+"_file") {
		b, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			s.fail(name+"_file", "The file cannot be read.")
		}
		return strings.TrimSpace(string(b))
	}
	if v := strings.TrimSpace(s.k.String(key)); v != "" {
		return v
	}
	return standard
}

// duration reads 720h, or "never" as a negative duration.
func (s *settings) duration(name string, standard time.Duration) time.Duration {
	switch v := s.text(name, ""); v {
	case "":
		return standard
	case "never":
		return -1
	case "0":
		return 0
	default:
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			s.fail(name, "A duration is like 720h, or 0, or never.")
		}
		return d
	}
}
