package alarm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/getsentry/sentry-go"

	"guichet"
)

// tracker speaks Sentry's protocol, which GlitchTip understands too. An event has
// the kind of the alert, its subject and its address: no person, no body, no
// environment. Its id is the alert's, so that a second sending is the same event.
func tracker(dsn guichet.Secret) (Channel, error) {
	u, err := url.Parse(dsn.Reveal())
	if err == nil {
		_, err = sentry.NewDsn(dsn.Reveal())
	}
	if err != nil {
		return Channel{}, &guichet.Error{
			Kind: guichet.Invalid, Code: "invalid_configuration", Field: "GUICHET_SENTRY_DSN",
			Reason: "This is not the address of a project: https://KEY@HOST/NUMBER.",
		}
	}
	return Channel{
		ID: idOf(dsn), Kind: "sentry",
		send: func(_ context.Context, n Notice) error {
			heard, transport := &listener{next: http.DefaultTransport}, sentry.NewHTTPSyncTransport()
			transport.Timeout = patience
			client, err := sentry.NewClient(sentry.ClientOptions{
				Dsn: dsn.Reveal(), HTTPTransport: heard, Transport: transport, ServerName: "guichet",
				Integrations: func([]sentry.Integration) []sentry.Integration { return nil },
			})
			if err != nil {
				return errors.New(scrub(err.Error(), u))
			}
			event := sentry.NewEvent()
			event.EventID = sentry.EventID(strings.ReplaceAll(string(n.Alert.ID), "-", ""))
			event.Level, event.Message, event.Timestamp = sentry.LevelWarning, n.Alert.Kind+": "+n.Alert.Subject, n.Alert.OpenedAt
			event.Tags = map[string]string{"kind": n.Alert.Kind, "subject": n.Alert.Subject, "url": n.URL}
			event.Fingerprint = []string{n.Alert.Kind, n.Alert.Subject}
			client.CaptureEvent(event, nil, sentry.NewScope())
			client.Close()
			return heard.outcome(u)
		},
	}, nil
}

// listener hears what the tracker answers: the client keeps it to itself.
type listener struct {
	next http.RoundTripper
	said error
	came bool
}

const patience = 10 * time.Second

// RoundTrip implements http.RoundTripper.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	l.came, l.said = true, err
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		l.said = fmt.Errorf("the tracker answered %s", response.Status)
	}
	return response, err
}

func (l *listener) outcome(u *url.URL) error {
	switch {
	case !l.came:
		return errors.New("the event was not sent")
	case l.said != nil:
		return errors.New(scrub(l.said.Error(), u))
	}
	return nil
}
