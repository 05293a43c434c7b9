package web_test

import (
	"regexp"

	"guichet/canary"
)

// Where pages show a secret on purpose, to whom it is for.
var shown = []canary.Showing{}

func showing(place, kind, reason string) canary.Showing {
	return canary.Showing{Place: regexp.MustCompile(place), Kind: regexp.MustCompile(kind), Reason: reason}
}
