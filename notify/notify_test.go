package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/keyring"
)

const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"

func sender() *Sender { return NewSender(guichet.SystemClock(), "Guichet/test") }

// verified does what docs/notifications.md tells receivers to do, written apart
// from the signer.
func verified(t *testing.T, r *http.Request, body []byte) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, s := range strings.Fields(r.Header.Get("webhook-signature")) {
		if hmac.Equal([]byte(s), []byte(want)) {
			return true
		}
	}
	return false
}

func TestSend(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	answer := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !verified(t, r, body) || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v %v %s", r.Method, r.Header, err, body)
		}
		if answer/100 == 3 {
			w.Header().Set("Location", other.URL)
		}
		w.WriteHeader(answer)
	}))
	defer server.Close()
	e := Endpoint{URL: server.URL, Secrets: []keyring.Secret{secret}, Private: true}
	id := guichet.SystemClock().NewID()
	for _, row := range []struct {
		code int
		want error
	}{
		{200, nil}, {202, nil}, {204, nil}, {400, ErrRefused}, {404, ErrRefused}, {500, ErrRefused}, {410, ErrGone}, {301, ErrRedirected}, {307, ErrRedirected},
	} {
		answer = row.code
		code, err := sender().Send(t.Context(), e, id, []byte(`{"a":1}`))
		if code != row.code || !errors.Is(err, row.want) {
			t.Errorf("%d: %d %v", row.code, code, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
	server.Close()
	if code, err := sender().Send(t.Context(), e, id, []byte(`{}`)); code != 0 || !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody listens: %d %v", code, err)
	}
}

// An address that is not public is reached only where the configuration says so,
// whatever its name; where clouds keep credentials, never.
func TestAddresses(t *testing.T) {
	reached := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	for _, address := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		code, err := sender().Send(t.Context(), Endpoint{URL: address, Secrets: []keyring.Secret{secret}}, "id", nil)
		if code != 0 || !errors.Is(err, ErrForbidden) || reached {
			t.Errorf("%s: %d %v", address, code, err)
		}
	}
	for address, want := range map[string][2]bool{ // public, private_network
		"8.8.8.8": {true, true}, "2001:4860:4860::8888": {true, true},
		"10.1.2.3": {false, true}, "172.16.0.1": {false, true}, "192.168.1.1": {false, true}, "127.0.0.1": {false, true}, "::1": {false, true},
		"fd00::1": {false, true}, "100.64.1.1": {false, true}, "::ffff:10.0.0.1": {false, true}, "64:ff9b::a00:1": {false, true},
		"169.254.169.254": {false, false}, "fe80::1": {false, false}, "0.0.0.0": {false, false}, "224.0.0.1": {false, false}, "::": {false, false},
	} {
		a := netip.MustParseAddr(address).Unmap()
		if got := [2]bool{allowed(a, false), allowed(a, true)}; got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	for _, bad := range []Endpoint{
		{URL: "http://example.org/"},
		{URL: "https://user:pass@example.org/"},
		{URL: "ftp://example.org", Private: true},
		{URL: "https://"},
		{URL: "/x"},
		{URL: "https://example.org/#x"},
	} {
		if err := bad.Check(); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v", bad.URL, err)
		}
	}
	if err := (Endpoint{URL: "http://hooks.internal/x", Private: true, Secrets: []keyring.Secret{secret}}).Check(); err != nil {
		t.Error(err)
	}
}

// A receiver that takes its time, or never ends its answer, holds nobody for long.
func TestSlowReceiver(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			for {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	s := sender()
	s.private.Timeout = 50 * time.Millisecond
	if code, err := s.Send(t.Context(), Endpoint{URL: server.URL, Secrets: []keyring.Secret{secret}, Private: true}, "id", nil); code != 0 || !errors.Is(err, ErrUnreachable) {
		t.Errorf("%d %v", code, err)
	}
	s.private.Timeout = Timeout
	if code, err := s.Send(t.Context(), Endpoint{URL: server.URL + "/endless", Secrets: []keyring.Secret{secret}, Private: true}, "id", nil); code != 200 || err != nil {
		t.Errorf("endless: %d %v", code, err)
	}
}
