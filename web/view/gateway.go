package view

import "time"

// How a gateway stands.
var (
	GatewayNew     = State{Waiting, "gateway.state.new"}
	GatewayCurrent = State{Good, "gateway.state.current"}
	GatewayLate    = State{Warning, "gateway.state.late"}
	GatewaySilent  = State{Stopped, "gateway.state.silent"}
	GatewayRevoked = State{Neutral, "gateway.state.revoked"}
)

// A GatewayList is the gateways, and the credential of one that was just made.
type GatewayList struct {
	Rows  []GatewayLine
	Fresh *Secret
	Add   Field // its name
}

// A GatewayLine is one gateway, and what can be done about it.
type GatewayLine struct {
	Name       string
	State      State
	Version    string // of the list it had at its last contact
	Behind     int64
	Contact    time.Time // zero: never
	StaleAfter string
	Software   string
	Actions    []Action
}
