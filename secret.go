package guichet

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// A Secret is a string that never prints itself: not by fmt with any verb, not
// in JSON, not in a log. Reveal is the only way to its value, so every use can
// be found by its name. It must not be the key of a map: encoding/json writes
// keys of a string kind as they are.
type Secret string

const hidden = "***"

// Reveal gives the value. Whoever calls it answers for where it goes.
func (s Secret) Reveal() string {
	if watch != nil {
		watch(string(s))
	}
	return string(s)
}

// watch is nil in the program, whatever happens.
var watch func(value string)

// WatchSecrets makes f hear of every secret that is revealed or made, so that tests
// can look for it where none may be. Only package canary calls it, in its init and
// in test programs only; the program does not link that package (TestNobodyWatches).
func WatchSecrets(f func(value string)) { watch = f }

// String hides the value.
func (Secret) String() string { return hidden }

// GoString hides the value.
func (Secret) GoString() string { return hidden }

// Format hides the value, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the value.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText hides the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
