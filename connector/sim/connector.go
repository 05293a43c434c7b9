// Package simconnector reads the simulated bank the way a scraper reads a real
// one: over HTTP, page after page, from the words and forms people see. The bank
// is never trusted: every page is bounded in size, must be whole, and is either
// understood entirely or not at all.
package simconnector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"guichet/bank"
)

// Institution is the id of the bank offered.
const Institution = "sim"

// The ids of the fields of the login form.
const (
	FieldLogin    = "login"
	FieldPassword = "password"
)

// The ids of the fields that answer questions.
const (
	FieldCode   = "code"   // of a code sent: six digits
	FieldWay    = "way"    // of a choice: how to be asked
	FieldDigits = "digits" // of a captcha
	FieldURL    = "url"    // of a redirect: the address the bank sent back to, or the code it showed
)

// trust is for how long the bank says it remembers a device.
const trust = 180 * 24 * time.Hour

// A Connector reaches one simulated bank. It keeps nothing between two runs but
// open sockets, so any number of them are one.
type Connector struct {
	base      *url.URL
	transport http.RoundTripper
	poll      time.Duration // between two looks at the customer's phone
}

var _ bank.Connector = (*Connector)(nil)

// New builds a connector to the bank at an address such as
// http://127.0.0.1:8090.
func New(address string) (*Connector, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.Path != "" && base.Path != "/" ||
		base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("the simulated bank's address must look like http://127.0.0.1:8090, not %q", address)
	}
	return &Connector{
		base: &url.URL{Scheme: base.Scheme, Host: base.Host},
		transport: &http.Transport{ // no proxy: the bank is near, and sees passwords
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		poll: time.Second,
	}, nil
}

// Institutions lists the one bank, without asking it anything.
func (c *Connector) Institutions(context.Context) ([]bank.Institution, error) {
	return []bank.Institution{{
		ID: Institution, Name: "Banque des Tests", Connector: "sim", Trusts: trust,
		Fields: []bank.Field{
			{ID: FieldLogin, Label: "Identifiant", Pattern: `.{1,64}`, Required: true},
			{ID: FieldPassword, Label: "Mot de passe", Masked: true, Required: true},
		},
	}}, nil
}

// Run speaks to the bank once. A run that carries an answer goes on from the
// session in its state, in whatever process that was made; any other run logs
// in, once.
func (c *Connector) Run(ctx context.Context, order bank.Run, sink bank.Sink) (result bank.Result) {
	defer func() {
		if cause := recover(); cause != nil {
			result = bank.Result{Outcome: broken("crash")}
		}
	}()
	if outcome, ok := check(order); !ok {
		return bank.Result{Outcome: outcome}
	}
	r := &run{connector: c, order: order, sink: sink, session: openSession(order)}
	outcome, err := r.proceed(ctx)
	if err != nil {
		return bank.Result{Outcome: explain(ctx, err)}
	}
	result = bank.Result{Outcome: outcome}
	switch outcome.Kind.Class() {
	case bank.Done:
		// Only the device is worth keeping: the session was closed.
		r.session.forgetQuestion()
		result.State, result.StateExpires = r.session.save(), r.session.cookies.until("device")
	case bank.AskNow:
		if outcome.Kind == bank.Asks {
			result.State, result.StateExpires = r.session.save(), outcome.Question.Deadline
		}
	}
	// In every other case the state that was there stays the good one.
	return result
}

var sixDigits = regexp.MustCompile(`^[0-9]{6}$`)

// check refuses what can be refused without the bank.
func check(order bank.Run) (bank.Outcome, bool) {
	switch {
	case order.Institution != Institution:
		return broken("missing"), false
	case order.Op != bank.FetchAll && order.Op != bank.FetchBalance:
		return broken("unsupported"), false
	}
	var bad []string
	if login := order.Credentials[FieldLogin].Reveal(); login == "" || len(login) > 64 {
		bad = append(bad, FieldLogin)
	}
	if order.Credentials[FieldPassword].Reveal() == "" {
		bad = append(bad, FieldPassword)
	}
	if bad != nil {
		return bank.Outcome{Kind: bank.ConfigInvalid, BadFields: bad}, false
	}
	return bank.Outcome{}, true
}

// A stop ends a run with an outcome from anywhere below.
type stop struct{ outcome bank.Outcome }

func (s *stop) Error() string { return "the run ends: " + string(s.outcome.Kind) }

func stopWith(o bank.Outcome) error { return &stop{o} }

// A misread page is one this connector does not understand: the site changed, or
// what came is half of it.
type misread struct{ what string }

func (m *misread) Error() string { return "unexpected page: " + m.what }

func misreadf(format string, args ...any) error { return &misread{fmt.Sprintf(format, args...)} }

func broken(reason string) bank.Outcome {
	return bank.Outcome{Kind: bank.ConnectorError, Reason: reason}
}

// explain makes the outcome of what stopped a run.
func explain(ctx context.Context, err error) bank.Outcome {
	var s *stop
	var m *misread
	switch {
	case ctx.Err() != nil:
		return bank.Outcome{Kind: bank.Cancelled, Reason: whyCancelled(ctx)}
	case errors.As(err, &s):
		return s.outcome
	case errors.As(err, &m):
		return bank.Outcome{Kind: bank.ConnectorError, Reason: "bug", Text: clip(m.Error())}
	case errors.Is(err, errTooMuch), errors.Is(err, errElsewhere):
		return bank.Outcome{Kind: bank.ConnectorError, Reason: "protocol", Text: clip(err.Error())}
	case errors.Is(err, errSink):
		return broken("crash")
	default: // nobody answers there, or the connection was cut
		return bank.Outcome{Kind: bank.BankUnavailable}
	}
}

// whyCancelled never says that a person gave up: only who cancelled knows, and
// says it better.
func whyCancelled(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "deadline"
	}
	return "shutdown"
}
