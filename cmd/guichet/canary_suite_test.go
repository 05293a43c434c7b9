package main

import (
	"regexp"

	"guichet/canary"
)

// The settings by which an operator gives a secret to the program. What it starts
// gets none of them.
var inputs = []string{
	"GUICHET_DATABASE", "GUICHET_DATAPASS_SECRETS", "GUICHET_SMTP", "GUICHET_GATEWAY_TOKEN", "GUICHET_OIDC_CLIENT_SECRET", "GUICHET_SENTRY_DSN", "GUICHET_ALERT_URLS",
}

// What our processes say that is a secret, once, to whoever runs the command that
// makes it.
var shown = []canary.Showing{
	showing(`^output of guichet token show( |$)`, `^a JWT`, "the token, to the operator who asks for it"),
	showing(`^output of guichet client add( |$)`, `/grant/client.go|\(gcc_`, "the secret of an OAuth client that was just made"),
	showing(`^output of guichet gateway (add|rotate)( |$)`, `/grant/gateway.go|\(ggw_`, "the credential of a gateway that was just made"),
	showing(`^output of guichet user add( |$)`, `/people/apitoken.go|\(gch_`, "the personal API token that was asked for with --api-token"),
	showing(`^output of guichet demo( |$)`, `/people/password.go`, "how to sign in to the demonstration"),
	showing(`^output of guichet serve( |$)`, `/people/desk.go`, "the setup code, as long as nobody has an account"),
}

func showing(place, kind, reason string) canary.Showing {
	return canary.Showing{Place: regexp.MustCompile(place), Kind: regexp.MustCompile(kind), Reason: reason}
}
