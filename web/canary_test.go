package web_test

import (
	"regexp"

	"guichet/canary"
)

// Where pages show a secret on purpose, to whom it is for.
var shown = []canary.Showing{
	showing(`^answer 200 to POST /compte/jetons/[^/]+/reveal$`, `/web/mine.go`, "the token, to its applicant or technical contact"),
	showing(`^answer 200 to POST /transmission/`, `/web/mine.go`, "the token, once, to whoever came by the link"),
	showing(`^answer 200 to POST /compte/jetons/[^/]+/hand-over$`, `/grant/applicant.go`, "the link, to who made it"),
	showing(`^answer \d+ to (GET|POST) /transmission/`, `/grant/applicant.go`, "the link, to whoever came by it"),
	showing(`^answer 200 to POST /settings/tokens$`, `/people/apitoken.go`, "the personal API token that was just made"),
	showing(`^answer \d+ to POST /gateways`, `/grant/gateway.go`, "the credential of a gateway that was just made"),
	showing(`^answer (303|403) to GET /init/new-bank/return$|^answer \d+ to (GET|POST) /sign-in$`, `sim/bank/redirect.go`,
		"the address by which a browser came back from its bank: it has it already, and signing in leads back to it"),
	showing(`^answer \d+ to (GET|POST) /(init/new-bank|accesses)`, `/bank/form.go.*\(redi`, "a login: the form of a failure keeps it, and asks for the secrets again"),
}

func showing(place, kind, reason string) canary.Showing {
	return canary.Showing{Place: regexp.MustCompile(place), Kind: regexp.MustCompile(kind), Reason: reason}
}
