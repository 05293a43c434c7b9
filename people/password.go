package people

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"guichet"
)

// Bounds of a password, in characters.
const (
	MinPassword = 12
	MaxPassword = 200
)

// Why a password is refused. There is no rule of composition: length is what
// counts, and not being the first one anybody tries.
var (
	ErrShortPassword  = &guichet.Error{Kind: guichet.Invalid, Code: "password_too_short", Field: "password", Reason: "A password has 12 characters at least. Four words you remember make a good one."}
	ErrLongPassword   = &guichet.Error{Kind: guichet.Invalid, Code: "password_too_long", Field: "password", Reason: "A password has 200 characters at most."}
	ErrEmailPassword  = &guichet.Error{Kind: guichet.Invalid, Code: "password_is_email", Field: "password", Reason: "This password is the e-mail itself. Please choose another."}
	ErrCommonPassword = &guichet.Error{Kind: guichet.Invalid, Code: "password_too_common", Field: "password", Reason: "This password is among the first that anybody tries. Please choose another."}
)

// CheckPassword tells whether a password may be chosen by the owner of an e-mail.
func CheckPassword(password guichet.Secret, email string) error {
	text := password.Reveal()
	switch n := utf8.RuneCountInString(text); {
	case n < MinPassword:
		return ErrShortPassword
	case n > MaxPassword:
		return ErrLongPassword
	}
	plain := strings.ToLower(strings.TrimSpace(text))
	email = NormalEmail(email)
	local, _, _ := strings.Cut(email, "@")
	switch {
	case plain == email, plain == local:
		return ErrEmailPassword
	case common(plain):
		return ErrCommonPassword
	}
	return nil
}

// common tells whether a password is one of the commonest: a walk along the keys,
// or a known word, repeated or not, with a few digits and signs around it.
func common(plain string) bool {
	if runs(plain) {
		return true
	}
	core := strings.Trim(plain, "0123456789!?.*@#$-_ ")
	around := strings.Replace(plain, core, "", 1)
	if core == "" || (len(around) > 6 && !runs(around)) {
		return false // the digits count for something
	}
	if len(core) >= 8 && runs(core) {
		return true
	}
	for _, word := range commonWords {
		if strings.ReplaceAll(core, word, "") == "" {
			return true
		}
	}
	return false
}

// commonWords begin the lists of leaked passwords, in French and in English.
var commonWords = []string{
	"password", "passw0rd", "p@ssw0rd", "p@ssword", "motdepasse", "motdepass", "azerty", "azertyuiop", "qwerty", "qwertyuiop",
	"qwertz", "letmein", "welcome", "bienvenue", "bonjour", "soleil", "doudou", "loulou", "chouchou", "iloveyou", "jetaime",
	"monkey", "dragon", "football", "baseball", "superman", "batman", "princess", "princesse", "sunshine", "marseille", "paris",
	"admin", "administrator", "administrateur", "root", "guichet", "changeme", "secret", "default", "test", "abc", "coucou",
}

// runs tells whether a text is a walk along the keys or a short piece repeated:
// "123456789012", "aaaaaaaaaaaa", "abcabcabcabc".
func runs(text string) bool {
	for _, walk := range []string{"0123456789012345678901234567890", "9876543210987654321098765432109", "abcdefghijklmnopqrstuvwxyz", "azertyuiopqsdfghjklmwxcvbn", "qwertyuiopasdfghjklzxcvbnm"} {
		if strings.Contains(walk, text) {
			return true
		}
	}
	for period := 1; period <= 4 && period < len(text); period++ {
		if text[period:] == text[:len(text)-period] {
			return true
		}
	}
	return false
}

// Params are the cost of a hash.
type Params struct {
	Time      uint32
	MemoryKiB uint32
	Threads   uint8
}

// DefaultParams is argon2id with 19 MiB, two passes, one thread.
var DefaultParams = Params{Time: 2, MemoryKiB: 19456, Threads: 1}

const (
	saltBytes = 16
	hashBytes = 32
)

// A Hasher hashes passwords, no more at once than there are processors: beyond
// that they would only wait for each other, holding their memory. Safe for
// concurrent use.
type Hasher struct {
	params Params
	slots  chan struct{}
}

// NewHasher makes a hasher of this cost.
func NewHasher(p Params) *Hasher {
	return &Hasher{params: p, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Hash gives the PHC text of a password with a fresh salt. It fails only when
// ctx ends while it waits for its turn, or without randomness.
func (h *Hasher) Hash(ctx context.Context, random io.Reader, password guichet.Secret) (guichet.Secret, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	sum, err := h.sum(ctx, h.params, salt, hashBytes, password)
	if err != nil {
		return "", err
	}
	return encodePHC(h.params, salt, sum), nil
}

// Verify tells whether the password fits the PHC text, and whether the text is
// stale: made with another cost than that of now. For an empty text, of someone
// who does not exist or has no password, it takes as long and nothing fits.
func (h *Hasher) Verify(ctx context.Context, phc, password guichet.Secret) (fits, stale bool, err error) {
	nobody := phc == ""
	if nobody {
		phc = encodePHC(h.params, make([]byte, saltBytes), make([]byte, hashBytes))
	}
	params, salt, want, err := decodePHC(phc)
	if err != nil {
		return false, false, err
	}
	sum, err := h.sum(ctx, params, salt, uint32(len(want)), password)
	if err != nil {
		return false, false, err
	}
	fits = subtle.ConstantTimeCompare(sum, want) == 1 && !nobody
	return fits, params != h.params || len(salt) != saltBytes || len(want) != hashBytes, nil
}

func (h *Hasher) sum(ctx context.Context, p Params, salt []byte, size uint32, password guichet.Secret) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password.Reveal()), salt, p.Time, p.MemoryKiB, p.Threads, size), nil
}

// ErrBadHash tells that a stored hash cannot be read.
var ErrBadHash = &guichet.Error{Kind: guichet.Internal, Code: "invalid_password_hash", Reason: "The stored hash of this password cannot be read. An operator can set a new password."}

// encodePHC writes "$argon2id$v=19$m=19456,t=2,p=1$salt$hash".
func encodePHC(p Params, salt, sum []byte) guichet.Secret {
	return guichet.Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum)))
}

// decodePHC reads what encodePHC wrote, of any cost that is sane: a text that
// asks for more memory than that is a mistake or an attack.
func decodePHC(phc guichet.Secret) (p Params, salt, sum []byte, err error) {
	parts := strings.Split(phc.Reveal(), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Params{}, nil, nil, ErrBadHash
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return Params{}, nil, nil, ErrBadHash
	}
	memory, ok1 := cost(costs[0], "m=", 8, 1<<20)
	passes, ok2 := cost(costs[1], "t=", 1, 64)
	threads, ok3 := cost(costs[2], "p=", 1, 64)
	strict := base64.RawStdEncoding.Strict()
	salt, err1 := strict.DecodeString(parts[4])
	sum, err2 := strict.DecodeString(parts[5])
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return Params{}, nil, nil, ErrBadHash
	}
	return Params{Time: uint32(passes), MemoryKiB: uint32(memory), Threads: uint8(threads)}, salt, sum, nil
}

func cost(text, name string, least, most uint64) (uint64, bool) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, ok && err == nil && n >= least && n <= most && strconv.FormatUint(n, 10) == digits
}
