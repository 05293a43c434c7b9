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
func (s Secret) Reveal() string { return string(s) }

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
