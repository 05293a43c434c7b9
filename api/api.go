// Package api is the machines' face of Guichet: the deliveries of instruction
// systems, the check of tokens, the JSON API of the bank window. A handler
// decodes, calls one verb, and renders; errors become HTTP in one place
// (problem.go).
package api

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/usage"
)

// A Server is the handlers of the machines' face.
type Server struct {
	Clock guichet.Clock
	Log   *slog.Logger

	// The grant window; nil when it is closed.
	Grant *grant.Desk
	// Secrets are those of a provider that are accepted at an instant, the newest
	// first; nil for a provider that does not exist.
	Secrets func(provider string, now time.Time) []keyring.Secret
	// SecretUsed is told which secret a delivery was signed with; nil: nobody asks.
	// It must not wait for anything.
	SecretUsed func(provider string, secret keyring.Secret)
	Verifier   *keyring.CachedVerifier
	JWKS       func() ([]byte, error)
	URL        string    // public address: the issuer
	Statuses   *Statuses // nil: no status list is served
	// Gateways are those that may read the blocklist; nil when nobody may. Blocked
	// gives a channel that is closed at the next commit of this process that blocks,
	// and Stopping, when closed, ends the streams.
	Gateways *grant.Gateways
	Blocked  func() <-chan struct{}
	Stopping <-chan struct{}
	// Uses counts the tokens that /check lets through; nil: nobody counts.
	Uses *usage.Counter

	bodies  bodies
	feed    *feed
	feeding sync.Once

	// Bank is the JSON API of the bank window; nil when it is closed.
	Bank http.Handler
}

// Routes adds the handlers to a mux. Each says who calls it.
func (s *Server) Routes(mux *http.ServeMux) {
	if s.Grant != nil {
		// instruction systems: at every event of a request
		mux.HandleFunc("POST /api/datapass/{provider}/webhook", s.handle(s.receive(grant.V1)))
		mux.HandleFunc("POST /api/datapass/v2/{provider}/webhook", s.handle(s.receive(grant.V2)))
		// gateways and small sites: at every call of the API they protect
		mux.HandleFunc("/check", s.check)
		// gateways, OAuth clients: at start, and when a key is not known
		mux.HandleFunc("GET /.well-known/jwks.json", s.handle(s.jwks))
		s.oauthRoutes(mux)
	}
	if s.Gateways != nil {
		s.gatewayRoutes(mux)
	}
	if s.Bank != nil {
		mux.Handle("/api/", s.Bank)
	}
}

// handle serves a handler that may fail.
func (s *Server) handle(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.problem(w, r, err)
		}
	}
}

// jwks answers with the public keys. A copy lives a minute: so long may a gateway
// that asks nobody else believe a key that was burned.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	set, err := s.JWKS()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	serveTagged(w, r, set)
	return nil
}
