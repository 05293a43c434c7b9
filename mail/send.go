package mail

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"guichet"
)

// Why a message was not taken. The first two may be mended by time or by an
// operator: the job tries again. The third will not.
var (
	ErrServer = &guichet.Error{
		Kind: guichet.Unavailable, Code: "mail_server_unavailable",
		Reason: "The mail server cannot be reached, or does not let us send.",
	}
	ErrLater = &guichet.Error{
		Kind: guichet.Unavailable, Code: "mail_postponed",
		Reason: "The mail server asks to send this letter later.",
	}
	ErrRefused = &guichet.Error{
		Kind: guichet.Invalid, Code: "mail_refused",
		Reason: "The mail server refuses this letter or its address.",
	}
)

// Permanent tells whether sending again would fail in the same way.
func Permanent(err error) bool {
	return guichet.KindOf(err) == guichet.Invalid
}

// A Register remembers which messages the mail server has taken, so that a
// letter to several readers, sent again because one failed, goes only to those
// who have not had it. Its user is Sender.Handle; store keeps it.
type Register interface {
	// Taken tells whether this message was noted.
	Taken(ctx context.Context, messageID string) (bool, error)
	// Note remembers the message, durably when it returns nil. Noting it again is
	// no error.
	Note(ctx context.Context, messageID string) error
}

// A Sender sends letters through one SMTP server. Each message has a connection
// of its own. Safe for concurrent use.
type Sender struct {
	From     guichet.Mailbox
	Clock    guichet.Clock
	Register Register
	Timeout  time.Duration // to connect, and then for each exchange; 0: 30 s

	server server
}

// NewSender makes a sender for the server at address (see parseServer for its
// form: GUICHET_SMTP). It connects only when it sends.
func NewSender(address guichet.Secret, from guichet.Mailbox, clock guichet.Clock, register Register) (*Sender, error) {
	s, err := parseServer(address)
	if err != nil {
		return nil, err
	}
	if err := checkAddress(from.Address); err != nil {
		return nil, err
	}
	from.Name = clean(from.Name)
	return &Sender{From: from, Clock: clock, Register: register, server: s}, nil
}

// String names the server and hides the password.
func (s Sender) String() string { return "mail through " + s.server.address() }

// Format hides the password, whatever the verb: fmt reads unexported fields.
func (s Sender) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue hides the password.
func (s Sender) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Handle sends the letters of a job: args is a guichet.Post in JSON, or a single
// guichet.Letter, and each mailbox gets a message of its own.
//
// It may be run again, after an error or a crash, with the same job and args. A
// message is noted in the Register when the server has taken it, and is then
// never sent again. Only if we die between the server's answer and the note does
// a reader get a message twice, under the same Message-ID, by which mail programs
// know it. A mailbox that fails does not keep the others from their letter; an
// error that is Permanent says that none of those left can ever have theirs.
func (s *Sender) Handle(ctx context.Context, job guichet.ID, args []byte) error {
	letters, err := lettersOf(args)
	if err != nil {
		return err
	}
	var later, never []error
	done := map[string]bool{}
	for _, letter := range letters {
		for i, to := range letter.To {
			id := s.messageID(job, to)
			if done[id] { // one person in two roles
				continue
			}
			done[id] = true
			err := s.sendOnce(ctx, id, letter, to)
			switch {
			case err == nil:
			case Permanent(err):
				never = append(never, fmt.Errorf("%s, mailbox %d of %d: %w", letter.Template, i+1, len(letter.To), err))
			default:
				later = append(later, fmt.Errorf("%s, mailbox %d of %d: %w", letter.Template, i+1, len(letter.To), err))
			}
			if ctx.Err() != nil {
				return ErrServer.Because(ctx.Err())
			}
		}
	}
	// What must be tried again comes first: the job asks whether the error is permanent.
	return errors.Join(append(later, never...)...)
}

// lettersOf reads the letters of a job, each with the data they share.
func lettersOf(args []byte) ([]guichet.Letter, error) {
	var job struct {
		guichet.Letter
		Letters []guichet.Letter `json:"letters"`
	}
	if err := json.Unmarshal(args, &job); err != nil {
		return nil, ErrIncomplete.Because(errors.New("the job does not hold a letter"))
	}
	if len(job.Letters) == 0 {
		job.Letters = []guichet.Letter{{Template: job.Template, To: job.To}}
	}
	for i, l := range job.Letters {
		if len(l.To) == 0 {
			return nil, ErrIncomplete.Because(errors.New("the letter has no reader"))
		}
		data := maps.Clone(job.Data)
		if data == nil {
			data = l.Data
		} else {
			maps.Copy(data, l.Data)
		}
		job.Letters[i].Data = data
	}
	return job.Letters, nil
}

func (s *Sender) sendOnce(ctx context.Context, id string, letter guichet.Letter, to guichet.Mailbox) error {
	taken, err := s.Register.Taken(ctx, id)
	if err != nil || taken {
		return err
	}
	m, err := Render(letter, to)
	if err != nil {
		return err
	}
	if err := s.Send(ctx, id, m); err != nil {
		return err
	}
	// The server has it. If we die here it is sent once more, under the same id.
	return s.Register.Note(context.WithoutCancel(ctx), id)
}

// messageID is the same for the same job and reader, whenever it is asked.
func (s *Sender) messageID(job guichet.ID, to guichet.Mailbox) string {
	sum := sha256.Sum256([]byte(string(job) + "\n" + strings.ToLower(to.Address)))
	_, domain, _ := strings.Cut(s.From.Address, "@")
	return hex.EncodeToString(sum[:16]) + "@" + domain
}

// Send gives one message to the server. When it returns nil the server has taken
// it, durably.
func (s *Sender) Send(ctx context.Context, id string, m Message) error {
	message, err := s.compose(id, m)
	if err != nil {
		return err
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	var l line
	defer l.close()
	client, err := gomail.NewClient(s.server.host, s.options(ctx, timeout, &l)...)
	if err != nil {
		return ErrServer.Because(err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return ErrServer.Because(err)
	}
	err = client.SendWithSMTPClient(session, message)
	if message.IsDelivered() {
		_ = client.CloseWithSMTPClient(session) // a bad farewell changes nothing
		return nil
	}
	return classify(err)
}

// A line is the connection of one message. The client leaves its connection
// open when it fails to greet or to sign in, and forgets its context once it is
// connected; so it is closed here, at the end or when the context ends.
type line struct {
	conn net.Conn
	stop func() bool
}

func (l *line) close() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close()
	}
}

// options tells the client how to reach the server and to leave its connection
// in l.
func (s *Sender) options(ctx context.Context, timeout time.Duration, l *line) []gomail.Option {
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		var err error
		if s.server.tls == tlsAtOnce {
			conn, err = (&tls.Dialer{Config: s.server.tlsConfig()}).DialContext(dialing, network, address)
		} else {
			conn, err = (&net.Dialer{}).DialContext(dialing, network, address)
		}
		if err != nil {
			return nil, err
		}
		l.conn, l.stop = conn, context.AfterFunc(ctx, func() { _ = conn.Close() })
		return conn, nil
	}
	options := []gomail.Option{
		gomail.WithPort(s.server.port), gomail.WithTimeout(timeout), gomail.WithTLSConfig(s.server.tlsConfig()),
		gomail.WithDialContextFunc(dial), gomail.WithTLSPolicy(map[string]gomail.TLSPolicy{
			tlsStart: gomail.TLSMandatory, tlsIfAny: gomail.TLSOpportunistic,
			tlsNever: gomail.NoTLS, tlsAtOnce: gomail.NoTLS,
		}[s.server.tls]),
	}
	if s.server.user != "" {
		options = append(options,
			gomail.WithUsername(s.server.user.Reveal()), gomail.WithPassword(s.server.password.Reveal()),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5))
	}
	return options
}

// compose makes the MIME message. Nothing of a letter reaches a header but its
// subject and the reader's name, both checked here again.
func (s *Sender) compose(id string, m Message) (*gomail.Msg, error) {
	for _, err := range []error{checkAddress(m.To.Address), checkHeader(m.Subject)} {
		if err != nil {
			return nil, err
		}
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(
		message.FromFormat(s.From.Name, s.From.Address),
		message.AddToFormat(clean(m.To.Name), m.To.Address),
	); err != nil {
		return nil, ErrBadAddress
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(id)
	message.SetDateWithValue(s.Clock.Now())
	// So that no answering machine answers, and no loop begins (RFC 3834).
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("X-Auto-Response-Suppress", "All")
	if m.To.Language != "" {
		message.SetGenHeader("Content-Language", languageOf(m.To.Language).code)
	}
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}

// classify reads the answer of the server. Without one (the connection broke,
// perhaps after the message was taken) the message is sent again, under its id.
func classify(err error) error {
	if err == nil {
		return ErrServer.Because(errors.New("the message was not taken, without a reason"))
	}
	var sent *gomail.SendError
	if !errors.As(err, &sent) {
		return ErrServer.Because(err)
	}
	switch code := sent.ErrorCode(); {
	case code >= 500 && sent.Reason == gomail.ErrSMTPMailFrom:
		// It is our own address that is refused: an operator can mend that, and
		// every letter would be lost if we gave up.
		return ErrServer.Because(err)
	case code >= 500:
		return ErrRefused.Because(err)
	case code >= 400:
		return ErrLater.Because(err)
	default:
		return ErrServer.Because(err)
	}
}
