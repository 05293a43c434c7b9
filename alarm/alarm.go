// Package alarm takes alerts to where a team looks when it does not look at its
// mail: an error tracker that speaks Sentry's protocol, and the chat and paging
// services that have an address (Slack, Matrix, Mattermost, ntfy, a webhook…).
package alarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"guichet"
)

// A Notice is an alert in the words of whoever reads it.
type Notice struct {
	Alert guichet.Alert
	Text  string // one line
	URL   string // where it is dealt with
}

// A Channel is one way to a team. Its address is a secret: whoever has it can
// write there.
type Channel struct {
	ID   string // names it in the register of what was sent; tells nothing of the address
	Kind string // the service, as it may be logged

	send func(context.Context, Notice) error
}

// Send hands one notice over. The error says nothing of the address.
func (c Channel) Send(ctx context.Context, n Notice) error {
	if err := c.send(ctx, n); err != nil {
		return &guichet.Error{
			Kind: guichet.Unavailable, Code: "alarm_not_taken", Reason: fmt.Sprintf("The channel %s (%s) did not take an alert.", c.ID, c.Kind),
			Cause: err,
		}
	}
	return nil
}

// Open reads the addresses: one of an error tracker, or none, and any number of
// services.
func Open(dsn guichet.Secret, services []guichet.Secret) (all []Channel, err error) {
	if dsn != "" {
		c, err := tracker(dsn)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	for i, address := range services {
		c, err := service(address)
		if err != nil {
			return nil, &guichet.Error{
				Kind: guichet.Invalid, Code: "invalid_configuration", Field: "GUICHET_ALERT_URLS",
				Reason: fmt.Sprintf("Address %d is not one of a service that is known: %v", i+1, err),
			}
		}
		all = append(all, c)
	}
	return all, nil
}

func service(address guichet.Secret) (Channel, error) {
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Scheme == "" {
		return Channel{}, errors.New("it is not an address")
	}
	// The router keeps what it sent to whom for as long as it lives: one each.
	to, err := router.New(nil, address.Reveal())
	if err != nil {
		return Channel{}, errors.New(scrub(err.Error(), u))
	}
	return Channel{
		ID: idOf(address), Kind: u.Scheme,
		send: func(_ context.Context, n Notice) error {
			title := types.Params{"title": "Guichet"}
			for _, err := range to.Send(n.Text+"\n"+n.URL, &title) {
				if err != nil {
					return errors.New(scrub(err.Error(), u))
				}
			}
			return nil
		},
	}, nil
}

// idOf names an address without telling it.
func idOf(address guichet.Secret) string {
	sum := sha256.Sum256([]byte("guichet alarm " + address.Reveal()))
	return hex.EncodeToString(sum[:6])
}

// scrub takes out of a text whatever of the address could be a key: the libraries
// of services put addresses into their errors.
func scrub(text string, u *url.URL) string {
	parts := append(strings.Split(u.Path, "/"), u.User.Username())
	if password, ok := u.User.Password(); ok {
		parts = append(parts, password)
	}
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	// Where there is no path, the host is often the key.
	parts = append(parts, u.Hostname())
	for _, part := range parts {
		for _, spelt := range []string{part, url.PathEscape(part), url.QueryEscape(part)} {
			if len(spelt) > 3 {
				text = strings.ReplaceAll(text, spelt, "***")
			}
		}
	}
	return text
}
