package canary

import (
	"regexp"
	"slices"
	"strings"
)

// What is a guichet.Secret and may be read by others all the same, each with its
// reason. Everything else is nowhere.
var law = []struct {
	reason string
	is     func(value string) bool
}{
	{"the hash of a password is what is stored instead of it", func(v string) bool { return strings.HasPrefix(v, "$argon2id$") }},
	{"an identifier, which tests try as a secret: none that Guichet makes or asks for has this form", identifier.MatchString},
	{"where a server of a test listens, which a form for a bank asks for", address.MatchString},
	{"people.TestPeople tries the address of a person as password, which is refused", is("claire@valmont.example")},
}

var address = regexp.MustCompile(`^http://127\.0\.0\.1:[0-9]+$`)

var identifier = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// public gives the reason why a secret may be read by others, if there is one.
func public(value string) string {
	for _, l := range law {
		if l.is(value) {
			return l.reason
		}
	}
	return ""
}

func is(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}
