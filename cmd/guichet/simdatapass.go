package main

import (
	"context"
	"net"

	"guichet"
	simdatapass "guichet/sim/datapass"
)

// What opens the API of the simulated DataPass, and nothing else.
const (
	simClient       = "guichet"
	simClientSecret = "secret-de-demonstration"
)

type simDataPassCmd struct {
	Addr   string            `help:"Address to listen on." default:"127.0.0.1:8091"`
	URL    string            `help:"Address of the server that receives the deliveries; GUICHET_URL when not given." name:"url"`
	Format map[string]string `help:"Format of a provider's deliveries when it is not v2, such as api_entreprise=v1."`
}

// Run serves the page, the API and the deliveries until it is stopped. Providers
// and their secrets are those of the configuration; the API is opened by the client
// "guichet" with the secret "secret-de-demonstration".
func (s simDataPassCmd) Run(ctx context.Context, t terminal, all *cli) error {
	c, err := loadConfig(all.Config)
	if err != nil {
		return err
	}
	if s.URL == "" {
		s.URL = c.URL
	}
	for name, format := range s.Format {
		if _, known := c.Providers[name]; !known || format != "v1" && format != "v2" {
			return configError("datapass_secrets", "--format is PROVIDER=v1 for a provider that is configured.")
		}
	}
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	site := simSource(c, guichet.SystemClock(), s.URL, s.Format)
	newLog(c.LogLevel, t.err).Info("ready", "url", "http://"+listener.Addr().String(), "receiver", s.URL)
	go site.Run(ctx)
	return serveSim(ctx, listener, site)
}

// simSource is a DataPass for the providers of the configuration.
func simSource(c config, clock guichet.Clock, receiver string, formats map[string]string) *simdatapass.Site {
	o := simdatapass.Options{Clock: clock, Receiver: receiver, ClientID: simClient, ClientSecret: simClientSecret}
	for name, p := range c.Providers {
		source := simdatapass.Provider{Name: name, Format: formats[name]}
		for _, s := range p.active(clock.Now()) {
			source.Secrets = append(source.Secrets, guichet.Secret(s.Reveal()))
		}
		o.Providers = append(o.Providers, source)
	}
	return simdatapass.New(o)
}
