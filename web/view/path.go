package view

// Where the pages are. The handlers are mounted on the same words.
const (
	PathHome        = "/"
	PathAccesses    = "/accesses"
	PathAccounts    = "/accounts"
	PathOperations  = "/transactions"
	PathRequests    = "/requests"
	PathTokens      = "/tokens"
	PathAlerts      = "/alerts"
	PathJournal     = "/journal"
	PathPurge       = "/purge"
	PathFigures     = "/statistics"
	PathMine        = "/compte"
	PathMyTokens    = PathMine + "/jetons" // where the source and our mails send applicants
	PathTakeOver    = "/transmission"
	PathGateways    = "/gateways"
	PathProviders   = "/providers"
	PathDrifts      = "/drifts"
	PathSettings    = "/settings"
	PathSignIn      = "/sign-in"
	PathOpenID      = PathSignIn + "/openid"
	PathOpenIDBack  = PathOpenID + "/callback" // known to the issuer: it never changes
	PathSignOut     = "/sign-out"
	PathSetup       = "/setup"
	PathPreferences = "/preferences"
	PathNewAccess   = "/init/new-bank"
	PathNewFields   = "/init/new-bank/enter-new-fields"
	PathReturn      = "/init/new-bank/return" // where banks send people back to
	PathEvents      = "/events"
	PathPassword    = "/settings/password"
	PathAPITokens   = "/settings/tokens"
	PathLicences    = "licences.txt" // an asset
)
