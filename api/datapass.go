package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

// maxDelivery is the largest body of a delivery. A real one has a few KiB, some
// tens with the raw answer of the business register in it.
const maxDelivery = 1 << 20

type answer struct {
	TokenID guichet.ID `json:"token_id,omitempty"`
}

type refusal struct {
	Error string `json:"error"`
}

// readBody reads to the end. The length announced is believed only so far as to
// make room for it.
func readBody(r io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	if announced > 0 && announced <= maxDelivery {
		b.Grow(int(announced) + bytes.MinRead)
	}
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// receive takes a delivery. Nothing of the body is looked at before its
// signature holds, and 200 is written only after everything is durable: a sender
// counts 200, 201 and 204 as received, and tries again after anything else.
func (s *Server) receive(format grant.Format) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		provider := r.PathValue("provider")
		body, err := readBody(http.MaxBytesReader(w, r.Body, maxDelivery), r.ContentLength)
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			writeJSON(w, "application/json", http.StatusRequestEntityTooLarge, refusal{"Payload Too Large"})
			return nil
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
		given, err := s.Grant.ReceiveFrom(r.Context(), provider, format, r.Header.Get("X-App-Environment"), body)
		switch {
		case errors.Is(err, grant.ErrNotJSON):
			writeJSON(w, "application/json", http.StatusBadRequest, refusal{"Bad Request"})
		case err != nil: // nothing happened: the sender tries again
			s.Log.Error("delivery not taken", "provider", provider, "error", err)
			w.Header().Set("Retry-After", "5")
			writeJSON(w, "application/json", http.StatusServiceUnavailable, refusal{"Service Unavailable"})
		default:
			writeJSON(w, "application/json", http.StatusOK, answer{given.TokenID})
		}
		return nil
	}
}
