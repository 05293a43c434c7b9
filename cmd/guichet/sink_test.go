package main

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"guichet/canary"
)

// sink is a real SMTP server that keeps what it is given.
type sink struct {
	address string
	door    *canary.Door

	mu      sync.Mutex
	login   string // user and password of whoever sent last
	refuse  string // who has no mailbox here
	refused int
	all     []mailed
	arrived chan struct{} // closed and replaced at each mail
}

type mailed struct{ to, text string }

func newSink(t testing.TB) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return sinkOn(t, l)
}

func sinkOn(t testing.TB, l net.Listener) *sink {
	s := &sink{address: l.Addr().String(), arrived: make(chan struct{}), door: canary.NewDoor(t)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &smtpSession{sink: s}, nil }))
	server.Domain, server.AllowInsecureAuth = "sink.test", true
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		_ = l.Close() // which the server does not know when it was closed before it came to serve
	})
	return s
}

type smtpSession struct {
	sink *sink
	to   []string
}

// AuthMechanisms implements smtp.AuthSession.
func (s *smtpSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession: whoever comes is let in.
func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.sink.mu.Lock()
		defer s.sink.mu.Unlock()
		s.sink.login = user + ":" + password
		return nil
	}), nil
}

func (s *smtpSession) Reset()                               { s.to = nil }
func (s *smtpSession) Logout() error                        { return nil }
func (s *smtpSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if to == s.sink.refuse {
		s.sink.refused++
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	readable, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(string(raw))))
	if err != nil {
		readable = raw
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.door.Pass("a mail", raw)
	for _, to := range s.to {
		s.sink.all = append(s.sink.all, mailed{to, string(raw) + "\n" + string(readable)})
	}
	close(s.sink.arrived)
	s.sink.arrived = make(chan struct{})
	return nil
}

func (s *sink) look(to string, want *regexp.Regexp) (found bool, next chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		if m.to == to && want.MatchString(m.text) {
			return true, s.arrived
		}
	}
	return false, s.arrived
}

func (s *sink) has(to string, want *regexp.Regexp) bool {
	found, _ := s.look(to, want)
	return found
}

func (s *sink) wait(to string, want *regexp.Regexp) error {
	limit := time.After(30 * time.Second)
	for {
		found, next := s.look(to, want)
		if found {
			return nil
		}
		select {
		case <-next:
		case <-limit:
			s.mu.Lock()
			defer s.mu.Unlock()
			return fmt.Errorf("no mail to %s with %s among %d: %v", to, want, len(s.all), s.all)
		}
	}
}
