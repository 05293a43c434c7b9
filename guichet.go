// Package guichet holds the words that every part of Guichet shares: who asks
// ([Actor]), when and with which randomness ([Clock]), what must be told to
// people ([Alert], [Letter]), what must be remembered ([AuditEntry]), what must
// be done later ([Job]), and how something is refused ([Error]).
//
// It imports the standard library only; everything else may import it.
package guichet

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"
)

// An ID names a row for ever: a UUID of version 7 in lower case, so that ids
// made later sort later.
type ID string

// String returns the id as it is written everywhere.
func (id ID) String() string { return string(id) }

// ParseID accepts exactly the form that [Clock.NewID] makes: 36 characters,
// lower case, dashes in place. Anything else is refused, so that an id has one
// spelling only.
func ParseID(s string) (ID, error) {
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		digits := 0
		for i := range len(s) {
			if c := s[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
				digits++
			}
		}
		if digits == 32 {
			return ID(s), nil
		}
	}
	return "", &Error{Kind: Invalid, Code: "invalid_id", Reason: "This is not an identifier of ours."}
}

// A Clock is the only source of time and of randomness in the domain, so that a
// test can be at any instant and make the same ids again.
type Clock struct {
	Now  func() time.Time
	Rand io.Reader
}

// SystemClock is the clock of a running program. Instants are kept to the
// microsecond because that is what both databases store.
func SystemClock() Clock {
	return Clock{
		Now:  func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		Rand: rand.Reader,
	}
}

// NewID makes a fresh UUIDv7 whose first 60 bits of time go down to the quarter
// of a microsecond, so that ids made one after the other sort so. It panics when
// the system has no randomness left, because nothing safe can be done then.
func (c Clock) NewID() ID {
	var b [16]byte
	c.read(b[8:])
	us := uint64(c.Now().UnixMicro())
	ms, fraction := us/1000, us%1000*4096/1000
	binary.BigEndian.PutUint32(b[0:], uint32(ms>>16))
	binary.BigEndian.PutUint16(b[4:], uint16(ms))
	binary.BigEndian.PutUint16(b[6:], 0x7000|uint16(fraction))
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return ID(s[:])
}

// NewSecret makes 160 bits of randomness as 32 characters that survive being
// read aloud, pasted, and put in a URL: no vowels, no look-alikes.
func (c Clock) NewSecret() Secret {
	const alphabet = "23456789bcdfghjkmnpqrstvwxzBCDFG" // 32 characters: five bits each, no bias
	var b [32]byte
	c.read(b[:])
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	secret := Secret(b[:])
	if watch != nil {
		watch(string(secret)) // its prefix comes later, and is no secret
	}
	return secret
}

// Intn returns a number in [0, n) for n up to 2^32; its bias is below 2^-31.
func (c Clock) Intn(n int64) int64 {
	var b [8]byte
	c.read(b[:])
	return int64(binary.BigEndian.Uint64(b[:])>>1) % n
}

func (c Clock) read(b []byte) {
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		panic("guichet: no randomness: " + err.Error())
	}
}

// Who may act.
const (
	ByPerson ActorKind = "person" // someone signed in, or at the command line
	BySource ActorKind = "source" // an instruction system, by a signed delivery
	BySystem ActorKind = "system" // Guichet itself: a job, a sweeper
	ByClient ActorKind = "client" // a program, by its OAuth credentials
)

// ActorKind tells what an [Actor] is.
type ActorKind string

// An Actor is whoever asks. Every verb takes one and every [AuditEntry] names it.
type Actor struct {
	Kind ActorKind
	ID   ID     // of the person; empty otherwise
	Name string // e-mail, provider or job, as shown in the journal
}

// System is Guichet acting by itself, in the named part.
func System(part string) Actor { return Actor{Kind: BySystem, Name: part} }

// An AuditEntry remembers one deed. It is written in the transaction of the
// deed and is never changed.
type AuditEntry struct {
	ID      ID
	At      time.Time
	Actor   Actor
	Deed    string // past tense, stable: "request.revoked"
	Subject string // "api_entreprise/51234", "access/ID"
	Detail  string // JSON, without any secret
}

// An Alert asks a person to look at something that should not happen.
type Alert struct {
	ID             ID
	Kind           string // stable, translated for people: "archive_without_revoke"
	Subject        string // what it is about: "api_entreprise/51234", "access/ID"
	Detail         string // JSON, without any secret
	Once           string // when not empty: at most one alert, ever, with this key
	OpenedAt       time.Time
	AcknowledgedAt time.Time // zero while it waits for someone
	AcknowledgedBy string
	AssignedTo     string // who sees to it; empty: nobody yet
}

// A Job is work to do after the commit that recorded it. It is done at least
// once, so a worker must bear being run again.
type Job struct {
	Kind        string
	Key         string // at most one job per kind and key waits or runs; empty: no limit
	Args        []byte // JSON, without any secret
	RunAt       time.Time
	MaxAttempts int // 0: the default of the queue
}

// A Letter is a mail to write: which template, to whom, about what. Words and
// layout belong to the mail package.
type Letter struct {
	Template string            `json:"template"`
	To       []Mailbox         `json:"to"`
	Data     map[string]string `json:"data,omitempty"`
}

// A Post is the letters that one deed causes. They share its data, to which each
// letter may add; nobody is in two of them.
type Post struct {
	Letters []Letter          `json:"letters"`
	Data    map[string]string `json:"data"`
}

// A Mailbox is a person's address and the language they read.
type Mailbox struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Language string `json:"language"` // "fr" or "en"
}

// An Outbox collects what a transaction tells the rest of the world. All of it
// is durable exactly when the transaction commits; nothing leaves before.
type Outbox interface {
	Alert(Alert) error
	Audit(AuditEntry) error
	Enqueue(Job) error
}

// ErrNoAlert is returned for an alert that does not exist.
var ErrNoAlert = &Error{Kind: NotFound, Code: "unknown_alert", Reason: "No alert has this identifier."}

// An AlertFilter narrows a list of alerts; zero fields do not.
type AlertFilter struct {
	Open     bool
	Subject  string
	BeforeAt time.Time // the end of the page before
	BeforeID ID
	Limit    int
}
