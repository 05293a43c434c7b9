package people

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"
)

// Failures counts the failed sign-ins of one e-mail or one address. An attempt
// is counted before its password is looked at, and taken back when it was right:
// so attempts made at the same time are counted too, and dying between the two
// costs the person one attempt and an attacker nothing.
type Failures struct {
	Key    string // "email/…" or "ip/…"
	Count  int64
	LastAt time.Time // of the last one counted
}

// The law of delays.
const (
	freeFailures = 5
	firstDelay   = 30 * time.Second
	longestDelay = 15 * time.Minute
	// ForgetAfter is how long after the last failure all are forgotten.
	ForgetAfter = 24 * time.Hour
)

// Delay is how long to wait after the n-th failure in a row: nothing up to the
// fourth, 30 s after the fifth, then twice as long each time, up to 15 min. So
// nobody tries more than some hundred passwords a day, and nobody is locked out
// for longer than it takes to make coffee.
func Delay(failures int64) time.Duration {
	if failures < freeFailures {
		return 0
	}
	doublings := failures - freeFailures
	if doublings > 10 {
		return longestDelay
	}
	return min(firstDelay<<doublings, longestDelay)
}

// RetryAt is when the next attempt is let in, asked at now.
func (f Failures) RetryAt(now time.Time) time.Time {
	until := f.LastAt.Add(Delay(f.Count))
	if Delay(f.Count) == 0 || f.stale(now) || until.Before(now) {
		return now
	}
	return until
}

// counted counts an attempt made at now.
func (f Failures) counted(now time.Time) Failures {
	if f.stale(now) {
		f.Count = 0
	}
	f.Count, f.LastAt = f.Count+1, now
	return f
}

// takenBack takes one attempt back.
func (f Failures) takenBack() Failures {
	f.Count = max(0, f.Count-1)
	return f
}

// stale tells that these failures no longer count: they are old, or from a
// future that a clock set wrong had invented, which must not lock anyone out
// until it comes.
func (f Failures) stale(now time.Time) bool {
	age := now.Sub(f.LastAt)
	return age >= ForgetAfter || age < -longestDelay
}

// emailKey hides the e-mail: people also type their password there.
func emailKey(email string) string {
	sum := sha256.Sum256([]byte("sign-in\n" + email))
	return "email/" + hex.EncodeToString(sum[:16])
}

// addressKey counts an IPv6 network as one: its user has all of it. An unknown
// address has no key.
func addressKey(from netip.Addr) string {
	if !from.IsValid() {
		return ""
	}
	from = from.Unmap().WithZone("")
	if from.Is4() {
		return "ip/" + from.String()
	}
	network, err := from.Prefix(64)
	if err != nil {
		return ""
	}
	return "ip/" + network.String()
}

// A Wait is the cause of ErrTooMany.
type Wait struct{ Until time.Time }

// Error says until when, for the log.
func (w *Wait) Error() string { return "until " + w.Until.UTC().Format(time.RFC3339) }

// RetryAt tells until when an ErrTooMany asks to wait.
func RetryAt(err error) (until time.Time, ok bool) {
	var w *Wait
	if !errors.As(err, &w) {
		return time.Time{}, false
	}
	return w.Until, true
}
