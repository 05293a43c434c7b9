package grant

import (
	"time"

	"guichet"
)

// A Delivery is one signed message as it was received. The journal keeps all of
// them, in chains that show any tampering: one chain per request, one per
// provider for what names no request.
type Delivery struct {
	ID         guichet.ID
	Provider   string
	Format     Format
	ExternalID string // empty: none was readable
	Event      string // as the source wrote it
	ModelType  string
	FiredAt    time.Time
	ReceivedAt time.Time
	Identity   [32]byte
	Body       []byte   // wiped by a purge; BodyHash stays
	BodyHash   [32]byte // SHA-256 of the bytes received

	Effect   Effect
	Note     Note
	Before   Status // of the request; empty: unknown
	After    Status
	TokenID  guichet.ID // what was answered, and is answered again to the same event
	Refused  bool       // answered with 400: it was not JSON
	Problem  string     // why it could not be used
	Blocked  int        // how many tokens it blocked
	Mails    int        // to how many people it wrote
	ReplayOf guichet.ID
	Resolved time.Time // when an operator settled what was held or quarantined
	Actor    guichet.Actor

	N    int64 // place in its chain, from 1
	Prev [32]byte
	Hash [32]byte
}

// Chain names the chain the delivery belongs to.
func (d Delivery) Chain() string { return d.Provider + "/" + d.ExternalID }

// An Answer is what the source is told.
type Answer struct {
	TokenID guichet.ID
}

// A Break is a place where a chain of the journal does not hold.
type Break struct {
	Chain    string     `json:"chain"`
	N        int64      `json:"n"`
	Delivery guichet.ID `json:"delivery"`
	Problem  string     `json:"problem"`
}
