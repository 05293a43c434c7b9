package mail

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"guichet"
)

// A register on a map: what store keeps in a table.
type register struct {
	mu    sync.Mutex
	noted map[string]bool
	fail  error
}

func (r *register) Taken(_ context.Context, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.noted[id], nil
}

func (r *register) Note(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.noted[id] = true
	return nil
}

var at = time.Date(2026, 5, 4, 7, 33, 21, 0, time.UTC)

func newSender(t *testing.T, address string) (*Sender, *register) {
	t.Helper()
	r := &register{noted: map[string]bool{}}
	clock := guichet.Clock{Now: func() time.Time { return at }, Rand: rand.Reader}
	s, err := NewSender(guichet.Secret(address), guichet.Mailbox{Name: "Guichet, à l’essai", Address: "guichet@valmont.example"}, clock, r)
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout = 10 * time.Second
	return s, r
}

const job = guichet.ID("0196a1b2-0000-7000-8000-000000000001")

func letterTo(t *testing.T, addresses ...string) []byte {
	t.Helper()
	l := guichet.Letter{Template: "request_revoked", Data: samples}
	for _, a := range addresses {
		l.To = append(l.To, guichet.Mailbox{Name: "Zoé <x>", Address: a, Language: "fr"})
	}
	args, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return args
}

func TestMessageAsItArrives(t *testing.T) {
	p := newPost(t, tlsNever)
	s, _ := newSender(t, "smtp://"+p.address)
	if err := s.Handle(t.Context(), job, letterTo(t, "claire.morel@valmont.example")); err != nil {
		t.Fatal(err)
	}
	got := p.got()
	if len(got) != 1 || got[0].from != "guichet@valmont.example" || got[0].to != "claire.morel@valmont.example" {
		t.Fatalf("taken: %+v", got)
	}
	m, err := mail.ReadMessage(bytes.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(name string) string {
		text, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, want := range map[string]string{
		"Subject":          "Votre demande «\u00a0Marchés publics de Valmont\u00a0» a été révoquée",
		"Auto-Submitted":   "auto-generated",
		"Content-Language": "fr",
		"Date":             at.Format(time.RFC1123Z),
		"User-Agent":       "", "X-Mailer": "", "Bcc": "", "Cc": "", "Reply-To": "",
		"Message-Id": "<" + s.messageID(job, guichet.Mailbox{Address: "claire.morel@valmont.example"}) + ">",
	} {
		if got := decode(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]mail.Address{
		"From": {Name: "Guichet, à l’essai", Address: "guichet@valmont.example"},
		"To":   {Name: "Zoé <x>", Address: "claire.morel@valmont.example"},
	} {
		list, err := m.Header.AddressList(name)
		if err != nil || len(list) != 1 || *list[0] != want {
			t.Errorf("%s: %v, %v; want %v", name, list, err, want)
		}
	}
	rendered, err := Render(guichet.Letter{Template: "request_revoked", Data: samples}, guichet.Mailbox{Address: "a@b.fr", Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	parts := partsOf(t, m)
	if normal(parts["text/plain"]) != normal(rendered.Text) || normal(parts["text/html"]) != normal(rendered.HTML) || len(parts) != 2 {
		t.Errorf("the parts are not what was written: %q", parts)
	}
}

func normal(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

func partsOf(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		if e := part.Header.Get("Content-Transfer-Encoding"); e != "quoted-printable" {
			t.Errorf("a part is encoded as %q", e)
		}
		kind, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || !strings.EqualFold(parameters["charset"], "utf-8") {
			t.Errorf("a part is %v, %v", parameters, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		parts[kind] = string(body)
	}
}

func TestProtectedConnections(t *testing.T) {
	for _, c := range []struct{ server, address string }{
		{tlsStart, "smtp://guichet:p%40ss%2Fword@%s?tls=required&ca=%s"},
		{tlsStart, "smtp://guichet:p%40ss%2Fword@%s?tls=optional&ca=%s"},
		{tlsAtOnce, "smtps://guichet:p%40ss%2Fword@%s?ca=%s"},
	} {
		p := newPost(t, c.server)
		p.user, p.secret = "guichet", "p@ss/word"
		address := strings.NewReplacer("@%s?", "@"+p.address+"?", "ca=%s", "ca="+p.ca).Replace(c.address)
		s, _ := newSender(t, address)
		if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); err != nil {
			t.Errorf("%s: %v", c.address, err)
		}
		if len(p.got()) != 1 || !slices.Equal(p.logins, []string{"guichet"}) {
			t.Errorf("%s: signed in as %v", c.address, p.logins)
		}
		// A server whose certificate nobody vouches for gets nothing.
		stranger, _, _ := strings.Cut(address, "ca=")
		s, _ = newSender(t, strings.TrimRight(stranger, "?&"))
		if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) || Permanent(err) {
			t.Errorf("%s, certificate unknown: %v", c.address, err)
		}
		if len(p.got()) != 0 {
			t.Errorf("%s: a server whose certificate is unknown got the letter", c.address)
		}
		s, _ = newSender(t, strings.Replace(address, "p%40ss", "wrong", 1))
		err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr"))
		if !errors.Is(err, ErrServer) || Permanent(err) || strings.Contains(err.Error(), "word") {
			t.Errorf("%s, wrong password: %v", c.address, err)
		}
	}
	// A server that offers no TLS gets nothing when TLS is required.
	p := newPost(t, tlsNever)
	s, _ := newSender(t, "smtp://"+p.address+"?tls=required")
	if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) || len(p.got()) != 0 {
		t.Errorf("without TLS: %v", err)
	}
}

func TestAnswersOfTheServer(t *testing.T) {
	refuse := func(at string, code int) func(string, string) error {
		return func(verb, _ string) error {
			if verb == at {
				return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no: really"}
			}
			return nil
		}
	}
	for _, c := range []struct {
		verb string
		code int
		want error
	}{
		{"MAIL", 451, ErrLater},
		{"MAIL", 550, ErrServer}, // our own address: an operator can mend it
		{"RCPT", 450, ErrLater},
		{"RCPT", 550, ErrRefused},
		{"RCPT", 553, ErrRefused},
		{"DATA", 452, ErrLater},
		{"DATA", 554, ErrRefused},
	} {
		p := newPost(t, tlsNever)
		p.answers(refuse(c.verb, c.code))
		s, r := newSender(t, "smtp://"+p.address)
		err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr"))
		if !errors.Is(err, c.want) || Permanent(err) != errors.Is(c.want, ErrRefused) {
			t.Errorf("%s %d: %v (permanent %v), want %v", c.verb, c.code, err, Permanent(err), c.want)
		}
		if len(r.noted) != 0 || len(p.got()) != 0 {
			t.Errorf("%s %d: noted %v", c.verb, c.code, r.noted)
		}
		p.answers(func(string, string) error { return nil })
		if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); err != nil || len(p.got()) != 1 {
			t.Errorf("%s %d, tried again: %v", c.verb, c.code, err)
		}
	}
	p := newPost(t, tlsNever)
	nobody, _ := newSender(t, "smtp://127.0.0.1:1")
	if err := nobody.Handle(t.Context(), job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) || Permanent(err) {
		t.Errorf("nobody listens: %v", err)
	}
	s, _ := newSender(t, "smtp://"+p.address)
	for name, args := range map[string]string{
		"not JSON": `{`, "no reader": `{"template":"request_revoked","to":[]}`, "no template": `{"to":[{"address":"a@b.fr"}]}`,
		"unknown template": `{"template":"x","to":[{"address":"a@b.fr"}]}`, "no data": `{"template":"alert","to":[{"address":"a@b.fr"}]}`,
	} {
		if err := s.Handle(t.Context(), job, []byte(args)); !Permanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	if len(p.got()) != 0 {
		t.Error("a letter that cannot be written was sent")
	}
}

// A server that hangs holds nobody: not beyond the timeout, not once the job is
// stopped.
func TestServerThatHangs(t *testing.T) {
	for _, verb := range []string{"MAIL", "RCPT", "DATA"} {
		p := newPost(t, tlsNever)
		reached := make(chan struct{}, 1)
		p.answers(func(v, _ string) error {
			if v == verb {
				reached <- struct{}{}
				<-p.closed
			}
			return nil
		})
		s, _ := newSender(t, "smtp://"+p.address)
		for s.Timeout = 200 * time.Millisecond; len(reached) == 0; s.Timeout *= 2 { // on a busy machine it hangs before it is there
			if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) || s.Timeout > time.Minute {
				t.Fatalf("hanging at %s, for %v: %v", verb, s.Timeout, err)
			}
		}
		<-reached
		s.Timeout = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		if err := s.Handle(ctx, job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) {
			t.Errorf("stopped at %s: %v", verb, err)
		}
		cancel()
	}
	// One that takes the connection and says nothing at all.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s, _ := newSender(t, "smtp://"+listener.Addr().String())
	s.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := listener.Accept(); err == nil {
			cancel()
			_, _ = io.Copy(io.Discard, conn) // until the sender hangs up
			_ = conn.Close()
		}
	}()
	if err := s.Handle(ctx, job, letterTo(t, "a@b.fr")); !errors.Is(err, ErrServer) {
		t.Errorf("silent server: %v", err)
	}
	cancel()
}

// Four readers, one of them twice; two fail in different ways. Trying again
// reaches those who are left, and nobody twice.
func TestPartialFailureIsSafeToRetry(t *testing.T) {
	p := newPost(t, tlsNever)
	s, r := newSender(t, "smtp://"+p.address)
	args := letterTo(t, "claire@valmont.example", "gone@valmont.example", "busy@valmont.example", "Claire@valmont.example", "idir@valmont.example", "not an address")
	p.answers(func(verb, to string) error {
		switch {
		case verb == "RCPT" && strings.HasPrefix(to, "gone"):
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		case verb == "RCPT" && strings.HasPrefix(to, "busy"):
			return &smtp.SMTPError{Code: 450, Message: "try again"}
		}
		return nil
	})
	err := s.Handle(t.Context(), job, args)
	if !errors.Is(err, ErrLater) || !errors.Is(err, ErrRefused) || !errors.Is(err, ErrBadAddress) || Permanent(err) {
		t.Fatalf("first try: %v (permanent %v)", err, Permanent(err))
	}
	if got := addresses(p.got()); !slices.Equal(got, []string{"claire@valmont.example", "idir@valmont.example"}) {
		t.Fatalf("first try reached %v", got)
	}
	if err := s.Handle(t.Context(), job, args); !errors.Is(err, ErrLater) || len(p.got()) != 0 {
		t.Fatalf("second try: %v", err)
	}
	p.answers(func(verb, to string) error {
		if verb == "RCPT" && strings.HasPrefix(to, "gone") {
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		}
		return nil
	})
	if err := s.Handle(t.Context(), job, args); !errors.Is(err, ErrRefused) || !Permanent(err) {
		t.Fatalf("third try: %v (permanent %v)", err, Permanent(err))
	}
	if got := addresses(p.got()); !slices.Equal(got, []string{"busy@valmont.example"}) {
		t.Fatalf("third try reached %v", got)
	}
	if len(r.noted) != 3 {
		t.Errorf("%d noted, want 3", len(r.noted))
	}
	// Another job is another letter, to all.
	p.answers(func(string, string) error { return nil })
	if err := s.Handle(t.Context(), job+"x", letterTo(t, "claire@valmont.example")); err != nil || len(p.got()) != 1 {
		t.Errorf("another job: %v", err)
	}
}

func addresses(letters []taken) []string {
	var out []string
	for _, l := range letters {
		out = append(out, l.to)
	}
	return out
}

// The two places where a crash or a cut sends a message twice: taken but the
// answer lost, taken but not noted. Both copies have the same Message-ID.
func TestTwiceUnderOneMessageID(t *testing.T) {
	for name, breaks := range map[string]func(*post, *register){
		"answer lost": func(p *post, _ *register) {
			p.answers(func(verb, _ string) error {
				if verb == "TAKEN" {
					panic("the server dies after taking the message") // its connection closes without an answer
				}
				return nil
			})
		},
		"note lost": func(_ *post, r *register) { r.fail = errors.New("the database is away") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t, tlsNever)
			s, r := newSender(t, "smtp://"+p.address)
			breaks(p, r)
			if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); err == nil || Permanent(err) {
				t.Fatalf("broken: %v", err)
			}
			p.answers(func(string, string) error { return nil })
			r.fail = nil
			if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); err != nil {
				t.Fatal(err)
			}
			got := p.got()
			if len(got) != 2 {
				t.Fatalf("%d copies, want 2: the fault did not happen", len(got))
			}
			var ids []string
			for _, l := range got {
				m, err := mail.ReadMessage(bytes.NewReader(l.data))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, m.Header.Get("Message-Id"))
			}
			if ids[0] == "" || ids[0] != ids[1] {
				t.Errorf("Message-IDs %q", ids)
			}
			if err := s.Handle(t.Context(), job, letterTo(t, "a@b.fr")); err != nil || len(p.got()) != 0 {
				t.Errorf("a third time: %v", err)
			}
		})
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	p := newPost(t, tlsNever)
	s, _ := newSender(t, "smtp://"+p.address)
	good := Message{To: guichet.Mailbox{Address: "a@b.fr"}, Subject: "x", Text: "x", HTML: "x"}
	for _, poison := range []string{"\r\nBcc: victim@evil.example", "\nBcc: victim@evil.example", "\rBcc: victim@evil.example"} {
		m := good
		m.Subject += poison
		if err := s.Send(t.Context(), "id@b.fr", m); !errors.Is(err, ErrBadHeader) {
			t.Errorf("subject %q: %v", poison, err)
		}
		m = good
		m.To.Address += poison
		if err := s.Send(t.Context(), "id@b.fr", m); !errors.Is(err, ErrBadAddress) {
			t.Errorf("address %q: %v", poison, err)
		}
		m = good
		m.To.Name = "x" + poison
		m.Text, m.HTML = "x\r\n.\r\nMAIL FROM:<x@evil.example>\r\n", "x"
		if err := s.Send(t.Context(), "id@b.fr", m); err != nil {
			t.Errorf("name %q: %v", poison, err)
		}
		for _, l := range p.got() {
			head, err := mail.ReadMessage(bytes.NewReader(l.data))
			if err != nil || head.Header.Get("Bcc") != "" || l.to != "a@b.fr" {
				t.Errorf("name %q: arrived with %v, %v", poison, head.Header, err)
			}
		}
	}
}

func TestServerAddresses(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"smtp://mail.example":                          "mail.example:587 required",
		"smtp://mail.example:25/":                      "mail.example:25 required",
		"smtp://mail.example?tls=optional":             "mail.example:587 optional",
		"smtp://mail.example?tls=none":                 "mail.example:587 none",
		"smtp://localhost:25":                          "localhost:25 none",
		"smtp://u:p@localhost:25":                      "localhost:25 none",
		"smtp://[::1]:25":                              "[::1]:25 none",
		"smtp://localhost?tls=required":                "localhost:587 required",
		"smtp://user:p%40ss@mail.example?tls=required": "mail.example:587 required",
		"smtps://user:pass@mail.example":               "mail.example:465 smtps",
	} {
		s, err := parseServer(guichet.Secret(address))
		if got := fmt.Sprint(s.address(), " ", s.tls); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", address, got, err, want)
		}
	}
	for _, address := range []string{
		"", "mail.example", "mail.example:25", "http://mail.example", "smtp://", "smtp://:25", "smtp://mail.example:0", "smtp://mail.example:65536",
		"smtp://mail.example:x", "smtp://mail.example/path", "smtp://mail.example#x", "smtp://mail.example?tls=maybe", "smtp://mail.example?TLS=none",
		"smtps://mail.example?tls=none", "smtp://user@mail.example", "smtp://:hunter22@mail.example", "smtp://user:hunter22@mail.example?tls=none",
		"smtp://user:hunter22@mail.example?tls=optional", "smtp://user:hunter22@mail.example:port", "smtp://user:hunter22%zz@mail.example",
		"smtp://user:hunter22@mail.example?x=%zz", "smtp://mail.example?ca=/does/not/exist", "smtp://mail.example?ca=" + ca,
	} {
		_, err := NewSender(guichet.Secret(address), guichet.Mailbox{Address: "a@b.fr"}, guichet.Clock{}, nil)
		if !errors.Is(err, ErrBadServer) {
			t.Errorf("%s: %v, want %v", address, err, ErrBadServer)
		} else if strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: the error holds the password: %v", address, err)
		}
	}
	s, err := NewSender("smtps://user:hunter22@mail.example", guichet.Mailbox{Address: "a@b.fr"}, guichet.Clock{}, nil)
	if err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v", s, s, *s), "hunter22") {
		t.Errorf("a sender prints its password, or %v", err)
	}
}
