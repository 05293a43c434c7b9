// Package people knows who may sign in: persons with their passwords, and the
// API tokens their programs use instead. [Desk] has the verbs; rules that need
// nothing else are plain functions: [CheckEmail], [CheckPassword], [Delay].
//
// A password is kept as an argon2id hash, an API token and the setup code as a
// SHA-256 of 160 random bits. None of the three can be shown again.
package people

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guichet"
)

// A Role is what a person may do.
type Role string

// The roles.
const (
	Operator Role = "operator" // runs Guichet: sees requests, alerts, other persons
	Member   Role = "member"   // sees what is theirs
)

// A Person may sign in, unless DisabledAt is set.
type Person struct {
	ID            guichet.ID
	Email         string // trimmed, lower case, nobody else's
	Name          string
	Role          Role
	Language      string         // "fr" or "en"
	PasswordHash  guichet.Secret // PHC text; empty: no password, so none fits
	PasswordSetAt time.Time      // a session older than this has ended
	CreatedAt     time.Time
	DisabledAt    time.Time // zero: may sign in
	Version       int64     // 0: not stored yet
}

// Actor is the person as whoever asks.
func (p Person) Actor() guichet.Actor {
	return guichet.Actor{Kind: guichet.ByPerson, ID: p.ID, Name: p.Email}
}

// An APIToken lets a program act for a person, unless RevokedAt is set.
type APIToken struct {
	ID         guichet.ID
	PersonID   guichet.ID
	Name       string   // what the person calls it
	Hash       [32]byte // SHA-256 of the whole token
	CreatedAt  time.Time
	LastUsedAt time.Time // to the hour; zero: never
	RevokedAt  time.Time // zero: in force
	Version    int64     // 0: not stored yet
}

// A Setup is how the first person comes in: whoever reads the console of a fresh
// Guichet has its code. There is one row, and once Done it stays so.
type Setup struct {
	Hash      [32]byte // SHA-256 of the code; zero: no code was made yet
	CreatedAt time.Time
	Done      bool  // somebody exists
	Version   int64 // 0: not stored yet
}

// Errors of the desk.
var (
	ErrNoPerson = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_person", Reason: "Nobody has this identifier or e-mail."}
	ErrNoToken  = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_api_token", Reason: "No API token has this identifier."}
	ErrChanged  = &guichet.Error{Kind: guichet.Conflict, Code: "changed_meanwhile", Reason: "Someone else changed this at the same time. Please look again and try again."}

	ErrEmailTaken = &guichet.Error{Kind: guichet.Conflict, Code: "email_taken", Field: "email", Reason: "Somebody has this e-mail already."}
	ErrBadEmail   = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_email", Field: "email", Reason: "This is not an e-mail address."}
	ErrBadName    = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_name", Field: "name", Reason: "A name has 1 to 100 characters on one line."}
	ErrBadRole    = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_role", Field: "role", Reason: "A role is operator or member."}

	ErrNotAllowed = &guichet.Error{Kind: guichet.Forbidden, Code: "not_allowed", Reason: "Only an operator may do this, or the person concerned."}
	ErrYourself   = &guichet.Error{Kind: guichet.Forbidden, Code: "not_yourself", Reason: "Nobody can disable their own account or give up their own role: another operator can."}

	ErrSetupOver = &guichet.Error{Kind: guichet.Gone, Code: "setup_over", Reason: "Somebody has already set Guichet up. Please sign in."}
	ErrSetupCode = &guichet.Error{Kind: guichet.Unauthorized, Code: "invalid_setup_code", Field: "code", Reason: "This is not the code that Guichet printed when it last started."}

	ErrSignIn     = &guichet.Error{Kind: guichet.Unauthorized, Code: "sign_in_refused", Reason: "This e-mail and this password do not go together."}
	ErrTooMany    = &guichet.Error{Kind: guichet.TooMany, Code: "too_many_attempts", Reason: "Too many attempts failed. Please wait before trying again."}
	ErrBadAPICall = &guichet.Error{Kind: guichet.Unauthorized, Code: "invalid_api_token", Reason: "This API token is unknown or revoked."}
)

// NormalEmail is the one spelling of an e-mail that is kept and compared. What is
// not text becomes some that is nobody's: databases refuse it.
func NormalEmail(email string) string {
	const instead = "\uFFFD"
	email = strings.ToValidUTF8(strings.ReplaceAll(email, "\x00", instead), instead)
	return strings.ToLower(strings.TrimSpace(email))
}

// CheckEmail gives the e-mail as it is kept, or ErrBadEmail.
func CheckEmail(email string) (string, error) {
	email = NormalEmail(email)
	for i := range len(email) {
		if c := email[i]; c <= ' ' || c >= 0x7f {
			return "", ErrBadEmail
		}
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || parsed.Name != "" || len(email) > 254 {
		return "", ErrBadEmail // without err: it quotes what was typed, which may be a password
	}
	return email, nil
}

// maxName is in characters.
const maxName = 100

// checkName accepts one line of words; empty is the caller's to judge.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if utf8.RuneCountInString(name) > maxName || !utf8.ValidString(name) {
		return "", ErrBadName
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return "", ErrBadName
		}
	}
	return name, nil
}

// language keeps a language we have; French is for everyone else.
func language(code string) string {
	if code == "en" {
		return "en"
	}
	return "fr"
}
