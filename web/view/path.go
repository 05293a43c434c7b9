package view

import "net/url"

// Where the pages are. The handlers are mounted on the same words.
const (
	PathHome        = "/"
	PathAccesses    = "/accesses"
	PathAccounts    = "/accounts"
	PathOperations  = "/transactions"
	PathRequests    = "/requests"
	PathTokens      = "/tokens"
	PathAlerts      = "/alerts"
	PathSettings    = "/settings"
	PathSignIn      = "/sign-in"
	PathSignOut     = "/sign-out"
	PathSetup       = "/setup"
	PathPreferences = "/preferences"
	PathNewAccess   = "/init/new-bank"
	PathNewFields   = "/init/new-bank/enter-new-fields"
	PathPassword    = "/settings/password"
	PathAPITokens   = "/settings/tokens"
	PathLicences    = "licences.txt" // an asset
)

// withQuery adds one parameter to an address of ours.
func withQuery(path, name, value string) string {
	return path + "?" + url.Values{name: {value}}.Encode()
}
