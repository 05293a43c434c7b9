package alarm

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
)

// peer is a service on the network that keeps what it is told.
type peer struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	paths  []string
	bodies []string
}

func newPeer(t *testing.T) *peer {
	p := &peer{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paths, p.bodies = append(p.paths, r.URL.Path), append(p.bodies, string(body))
		w.WriteHeader(p.status)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

var notice = Notice{
	Alert: guichet.Alert{
		ID: "0196a1b2-0000-7000-8000-000000000001", Kind: "archived_while_validated", Subject: "api_entreprise/51234",
		OpenedAt: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC),
	},
	Text: "[Alerte] La demande 51234 a été archivée", URL: "https://guichet.test/alerts",
}

func TestChannels(t *testing.T) {
	chat, errors := newPeer(t), newPeer(t)
	all, err := Open(
		guichet.Secret(strings.Replace(errors.URL, "http://", "http://publickey@", 1)+"/42"),
		[]guichet.Secret{guichet.Secret(strings.Replace(chat.URL, "http://", "generic://", 1) + "/hook/s3cretpath?disabletls=yes")},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if err := c.Send(t.Context(), notice); err != nil {
			t.Errorf("%s: %v", c.Kind, err)
		}
	}
	if len(chat.bodies) != 1 || !strings.Contains(chat.bodies[0], "51234 a été archivée") || !strings.Contains(chat.bodies[0], notice.URL) || chat.paths[0] != "/hook/s3cretpath" {
		t.Errorf("the chat was told %q at %q", chat.bodies, chat.paths)
	}
	if len(errors.bodies) != 1 || errors.paths[0] != "/api/42/envelope/" {
		t.Fatalf("the tracker was told %q at %q", errors.bodies, errors.paths)
	}
	for _, want := range []string{`"event_id":"0196a1b2000070008000000000000001"`, `"archived_while_validated: api_entreprise/51234"`, `"level":"warning"`} {
		if !strings.Contains(errors.bodies[0], want) {
			t.Errorf("no %s in %s", want, errors.bodies[0])
		}
	}
}

// TestRefusals: a channel that refuses, and one that is away, say so without
// telling their address.
func TestRefusals(t *testing.T) {
	p := newPeer(t)
	p.answer(http.StatusForbidden)
	gone := newPeer(t)
	gone.Close()
	for name, from := range map[string]*peer{"refused": p, "away": gone} {
		t.Run(name, func(t *testing.T) {
			all, err := Open(
				guichet.Secret(strings.Replace(from.URL, "http://", "http://publickey@", 1)+"/42"),
				[]guichet.Secret{guichet.Secret(strings.Replace(from.URL, "http://", "generic://", 1) + "/hook/s3cretpath?disabletls=yes&$key=s3cretvalue")},
			)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				err := c.Send(t.Context(), notice)
				var typed *guichet.Error
				if !errors.As(err, &typed) || typed.Kind != guichet.Unavailable {
					t.Fatalf("%s: %v", c.Kind, err)
				}
				for _, secret := range []string{"publickey", "s3cretpath", "s3cretvalue"} {
					if said := typed.Error() + typed.Cause.Error(); strings.Contains(said, secret) {
						t.Errorf("%s tells %s: %s", c.Kind, secret, said)
					}
				}
			}
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "hello", "nosuch://s3cretvalue/x", "slack://s3cretvalue", "://s3cretvalue"} {
		_, err := Open("", []guichet.Secret{guichet.Secret(address)})
		var typed *guichet.Error
		if !errors.As(err, &typed) || typed.Field != "GUICHET_ALERT_URLS" || strings.Contains(err.Error()+typed.Reason, "s3cretvalue") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"hello", "https://tracker.test/1", "https://s3cretvalue@tracker.test/"} {
		_, err := Open(guichet.Secret(address), nil)
		var typed *guichet.Error
		if !errors.As(err, &typed) || typed.Field != "GUICHET_SENTRY_DSN" || strings.Contains(err.Error()+typed.Reason, "s3cretvalue") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
