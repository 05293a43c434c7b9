package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A post is a real SMTP server that keeps what it takes and fails where told.
type post struct {
	mu     sync.Mutex
	taken  []taken
	logins []string
	answer func(verb, argument string) error // nil: accept
	user   string                            // when set, only who signs in may send
	secret string
	closed chan struct{} // what it hangs on, until the test ends

	address string
	ca      string // file of its certificate
}

type taken struct {
	from, to string
	data     []byte
}

func newPost(t *testing.T, protection string) *post {
	t.Helper()
	p := &post{closed: make(chan struct{}), answer: func(string, string) error { return nil }}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &postSession{post: p}, nil }))
	s.AllowInsecureAuth = true
	s.ErrorLog = discard{}
	config, ca := certificate(t)
	p.ca = ca
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = listener.Addr().String()
	switch protection {
	case tlsStart:
		s.TLSConfig = config
	case tlsAtOnce:
		listener = tls.NewListener(listener, config)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		close(p.closed)
		_ = s.Close()
		_ = listener.Close() // which the server does not know when it was closed before it came to serve
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("the SMTP server: %v", err)
		}
	})
	return p
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func (p *post) say(verb, argument string) error {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	return answer(verb, argument)
}

func (p *post) answers(f func(verb, argument string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// got lists what was taken since it was last asked.
func (p *post) got() []taken {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.taken
	p.taken = nil
	return got
}

type postSession struct {
	post   *post
	login  string
	letter taken
}

func (s *postSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *postSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.post.user || password != s.post.secret {
			return smtp.ErrAuthFailed
		}
		s.login = user
		return nil
	}), nil
}

func (s *postSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.post.user != "" && s.login == "" {
		return smtp.ErrAuthRequired
	}
	s.letter = taken{from: from}
	return s.post.say("MAIL", from)
}

func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.to = to
	return s.post.say("RCPT", to)
}

func (s *postSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.post.say("DATA", s.letter.to); err != nil {
		return err
	}
	s.letter.data = data
	s.post.mu.Lock()
	s.post.taken = append(s.post.taken, s.letter)
	s.post.logins = append(s.post.logins, s.login)
	s.post.mu.Unlock()
	return s.post.say("TAKEN", s.letter.to)
}

func (s *postSession) Reset()        {}
func (s *postSession) Logout() error { return nil }

// certificate makes one for 127.0.0.1, and a file of it.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
