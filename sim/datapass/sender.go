// Package simdatapass plays DataPass: it signs and sends deliveries as the real
// one does, for the demo, the tests and operators who try their installation.
package simdatapass

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"guichet"
)

// A Sender delivers to one provider's webhook.
type Sender struct {
	URL      string // of the server: http://127.0.0.1:8080
	Provider string
	Format   string // v1 or v2
	Secret   guichet.Secret
	Client   *http.Client // nil: one with a time-out
}

// An Answer is what the receiver said.
type Answer struct {
	Status  int    `json:"status"`
	TokenID string `json:"token_id,omitempty"`
	Body    string `json:"body"`
}

// Received tells whether DataPass would count the delivery as received: 202 is a
// failure to it.
func (a Answer) Received() bool {
	return a.Status == http.StatusOK || a.Status == http.StatusCreated || a.Status == http.StatusNoContent
}

// Sign makes the value of X-Hub-Signature-256. It is written apart from the
// receiver's own, as the sender is.
func Sign(secret guichet.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Send delivers a body once, as it is.
func (s Sender) Send(ctx context.Context, body []byte) (Answer, error) {
	path := "/api/datapass/" + s.Provider + "/webhook"
	if s.Format == "v2" {
		path = "/api/datapass/v2/" + s.Provider + "/webhook"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", Sign(s.Secret, body))
	if s.Format == "v2" {
		r.Header.Set("X-App-Environment", "sandbox")
	}
	client := s.Client
	if client == nil {
		client = &http.Client{Timeout: 60 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	response, err := client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: response.StatusCode, Body: string(text)}
	var answered struct {
		TokenID string `json:"token_id"`
	}
	if json.Unmarshal(text, &answered) == nil { // anything else is ignored, as the real one does
		a.TokenID = answered.TokenID
	}
	return a, nil
}

// As turns a body into the one that would be sent for another event of the same
// request: its name, its instant, its state, and for a revoke its
// authorizations. A body of that very event is left as it is.
func As(body []byte, event string, at time.Time) ([]byte, error) {
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if all["event"] == event {
		return body, nil
	}
	all["event"], all["fired_at"] = event, at.Unix()
	data, _ := all["data"].(map[string]any)
	if data == nil {
		return json.Marshal(all)
	}
	request, word := data, "state"
	if pass, ok := data["pass"].(map[string]any); ok {
		request, word = pass, "status"
	}
	if state, ok := states[event]; ok {
		request[word] = state
	}
	authorizations, _ := request["authorizations"].([]any)
	for _, a := range authorizations {
		one, ok := a.(map[string]any)
		if !ok || event != "revoke" && event != "archive" {
			continue
		}
		if one["state"] == "active" {
			one["state"] = "revoked" // an obsolete one stays obsolete
		}
		one["revoked"] = true
	}
	return json.Marshal(all)
}

// states are what a request's state is once an event was fired.
var states = map[string]string{
	"create": "draft", "update": "draft", "submit": "submitted", "request_changes": "changes_requested", "refuse": "refused",
	"approve": "validated", "validate": "validated", "reopen": "draft", "revoke": "revoked", "archive": "archived",
}
