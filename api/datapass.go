package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

// patience is how long a delivery may take. A source waits a minute, and counts
// what was not answered as lost.
const patience = 20 * time.Second

type answer struct {
	TokenID guichet.ID `json:"token_id,omitempty"`
}

type refusal struct {
	Error string `json:"error"`
}

// receive takes a delivery. Nothing of the body is looked at before its
// signature holds, and 200 is written only after everything is durable: a sender
// counts 200, 201 and 204 as received, and tries again after anything else.
func (s *Server) receive(format grant.Format) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		provider := r.PathValue("provider")
		body, release, err := s.bodies.read(r)
		defer release()
		switch {
		case errors.Is(err, errBodyTooLarge):
			w.Header().Set("Connection", "close") // what is left of it is not read
			writeJSON(w, "application/json", http.StatusRequestEntityTooLarge, refusal{"Payload Too Large"})
			return nil
		case errors.Is(err, errBodiesFull):
			w.Header().Set("Connection", "close")
			return unavailable(w)
		case err != nil: // the sender went away, or was too slow
			writeJSON(w, "application/json", http.StatusBadRequest, refusal{"Incomplete body"})
			return nil
		}
		secrets := s.Secrets(provider, s.Clock.Now())
		used, ok := keyring.VerifyMAC(secrets, r.Header.Values("X-Hub-Signature-256"), body)
		if !ok {
			writeJSON(w, "application/json", http.StatusUnauthorized, refusal{"Unauthorized"})
			return nil
		}
		if s.SecretUsed != nil {
			s.SecretUsed(provider, secrets[used])
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		given, err := s.Grant.ReceiveFrom(ctx, provider, format, r.Header.Get("X-App-Environment"), body)
		switch {
		case errors.Is(err, grant.ErrNotJSON):
			writeJSON(w, "application/json", http.StatusBadRequest, refusal{"Bad Request"})
		case err != nil: // nothing happened: the sender tries again
			s.Log.Error("delivery not taken", "provider", provider, "error", err)
			return unavailable(w)
		default:
			writeJSON(w, "application/json", http.StatusOK, answer{given.TokenID})
		}
		return nil
	}
}

func unavailable(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", "5")
	writeJSON(w, "application/json", http.StatusServiceUnavailable, refusal{"Service Unavailable"})
	return nil
}
