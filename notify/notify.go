// Package notify gives notifications to the systems of providers, as
// https://www.standardwebhooks.com says: signed, under an identifier that stays
// the same from one attempt to the next.
//
// An address comes from the configuration, so that whoever chooses it runs this
// program. It is held back all the same: redirects are not followed, no proxy is
// asked, and an address that is not public is reached only where the configuration
// says so, looked at after its name was resolved.
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"guichet"
	"guichet/keyring"
)

// An Endpoint is where a provider's systems listen.
type Endpoint struct {
	URL     string
	Secrets []keyring.Secret // all of them sign
	Private bool             // it may be on a private network, and plain HTTP
}

// Why a notification was not taken. Trying again may help, but after ErrGone.
var (
	ErrUnreachable = &guichet.Error{Kind: guichet.Unavailable, Code: "notification_unreachable", Reason: "The other side cannot be reached, or does not answer in time."}
	ErrRefused     = &guichet.Error{Kind: guichet.Unavailable, Code: "notification_refused", Reason: "The other side did not answer with 2xx."}
	ErrRedirected  = &guichet.Error{Kind: guichet.Unavailable, Code: "notification_redirected", Reason: "The other side answered with a redirect, which is not followed."}
	ErrForbidden   = &guichet.Error{Kind: guichet.Unavailable, Code: "notification_address", Reason: "The name leads to an address that is not public, and the configuration does not allow private_network."}
	ErrGone        = &guichet.Error{Kind: guichet.Gone, Code: "notification_gone", Reason: "The other side answered 410: it wants no notifications any more."}
	ErrURL         = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_notification_url", Reason: "The address of notifications is https://…, without user, password or fragment; http:// only with private_network."}
)

// Check tells whether an endpoint can be used at all.
func (e Endpoint) Check() error {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !e.Private) {
		return ErrURL
	}
	for _, s := range e.Secrets {
		if err := keyring.CheckOutgoing(s); err != nil {
			return err
		}
	}
	return nil
}

// Timeout is how long the other side has to answer.
const Timeout = 15 * time.Second

// A Sender makes attempts. Safe for concurrent use.
type Sender struct {
	clock   guichet.Clock
	agent   string
	public  *http.Client
	private *http.Client
}

// NewSender makes a sender that calls itself agent.
func NewSender(clock guichet.Clock, agent string) *Sender {
	return &Sender{clock: clock, agent: agent, public: client(false), private: client(true)}
}

// client makes a client that looks at each address it is about to connect to,
// after the name was resolved, so that a name cannot change in between.
func client(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		host, err := netip.ParseAddrPort(address)
		if err != nil || !allowed(host.Addr().Unmap(), private) {
			return ErrForbidden
		}
		return nil
	}}
	return &http.Client{
		Timeout:       Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: Timeout, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// allowed tells whether an address may be connected to. Those that only this
// machine's hypervisor answers, where clouds keep credentials, never are.
func allowed(a netip.Addr, private bool) bool {
	switch {
	case !a.IsValid(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified():
		return false
	case a.IsLoopback(), a.IsPrivate(), shared.Contains(a), thisNet.Contains(a), nat64.Contains(a):
		return private
	}
	return true
}

var (
	shared  = netip.MustParsePrefix("100.64.0.0/10")
	thisNet = netip.MustParsePrefix("0.0.0.0/8")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // leads to an IPv4 address, perhaps a private one
)

// Send makes one attempt. code is that of the answer, 0 when there was none; the
// notification was taken when err is nil.
func (s *Sender) Send(ctx context.Context, e Endpoint, id guichet.ID, body []byte) (code int, err error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	now := s.clock.Now()
	signature, err := keyring.SignOutgoing(e.Secrets, id.String(), now, body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return 0, ErrURL
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", s.agent)
	r.Header.Set("webhook-id", id.String())
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", signature)
	client := s.public
	if e.Private {
		client = s.private
	}
	answer, err := client.Do(r)
	if err != nil {
		if errors.Is(err, ErrForbidden) {
			return 0, ErrForbidden
		}
		return 0, ErrUnreachable.Because(err)
	}
	defer func() { _ = answer.Body.Close() }()
	// What it says is of no use to us; reading a little lets the connection be used again.
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10)
	switch {
	case answer.StatusCode/100 == 2:
		return answer.StatusCode, nil
	case answer.StatusCode == http.StatusGone:
		return answer.StatusCode, ErrGone
	case answer.StatusCode/100 == 3:
		return answer.StatusCode, ErrRedirected
	}
	return answer.StatusCode, ErrRefused.Because(fmt.Errorf("status %d", answer.StatusCode))
}
