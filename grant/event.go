package grant

import "time"

// A Name is the name of an event, in today's vocabulary.
type Name string

// The events a source can send.
const (
	Create          Name = "create"
	Update          Name = "update"
	Submit          Name = "submit"
	RequestChanges  Name = "request_changes"
	Notify          Name = "notify"
	Refuse          Name = "refuse"
	Approve         Name = "approve"
	Reopen          Name = "reopen"
	CancelReopening Name = "cancel_reopening"
	Transfer        Name = "transfer"
	Revoke          Name = "revoke"
	Archive         Name = "archive"
	Delete          Name = "delete"

	Ping         Name = "ping"    // the source tries the address
	UnknownEvent Name = "unknown" // whatever nobody knows
)

// Names lists every event the transition table has a row for.
func Names() []Name {
	return []Name{
		Create, Update, Submit, RequestChanges, Notify, Refuse, Approve, Reopen, CancelReopening, Transfer,
		Revoke, Archive, Delete, UnknownEvent,
	}
}

// nameOf reads an event name as sent by either version of DataPass, today or
// years ago.
func nameOf(sent string) Name {
	switch sent {
	case "create", "created", "create_by_api":
		return Create
	case "update", "updated", "team_member_updated", "update_by_api":
		return Update
	case "submit", "send_application":
		return Submit
	case "request_changes", "review_application":
		return RequestChanges
	case "notify":
		return Notify
	case "refuse", "refuse_application":
		return Refuse
	case "approve", "validate", "validate_application":
		return Approve
	case "reopen":
		return Reopen
	case "cancel_reopening":
		return CancelReopening
	case "transfer":
		return Transfer
	case "revoke":
		return Revoke
	case "archive":
		return Archive
	case "delete":
		return Delete
	}
	return UnknownEvent
}

// rank orders events fired in the same second: what takes an entitlement away
// wins over what gives it.
func (n Name) rank() int {
	switch n {
	case Revoke:
		return 3
	case Archive:
		return 2
	case Approve:
		return 1
	}
	return 0
}

// grants tells whether the event decides the entitlement, and so moves
// Request.LastGrant.
func (n Name) grants() bool { return n.rank() > 0 }

// A Format is a version of the source's payload.
type Format string

// The formats.
const (
	V1 Format = "v1"
	V2 Format = "v2"
	// TokenFile is what Import journals: tokens that another service had issued. No
	// source sends it.
	TokenFile Format = "tokens"
	// SourceAPI is what a reconciliation journals: an event that never came, rebuilt
	// from what the source tells when asked. It reads like V2, and no source sends it.
	SourceAPI Format = "api"
)

// An Event is a delivery that was understood.
type Event struct {
	Provider   string
	Format     Format
	Name       Name
	Sent       string // the name as the source wrote it
	ExternalID string
	ModelType  string
	FiredAt    time.Time
	Identity   [32]byte // equal for two deliveries of the same event, however written
	Payload    Payload
}

// Moment places the event in order.
func (e Event) Moment() Moment { return Moment{FiredAt: e.FiredAt, Rank: e.Name.rank()} }

// A Payload is what the source said of the request when the event was fired.
type Payload struct {
	Status         Status // empty: not told, or a word nobody knows
	PublicID       string
	Title          string
	Description    string
	Procedure      string
	SIRET          string
	Organization   string
	PreviousID     string
	Scopes         []string
	Contacts       []Contact
	Authorizations []Authorization // in the source's order
	Listed         bool            // authorizations were told at all; v1 and old v2 do not
	LegacyTokenID  string
	Reason         string // why, when someone wrote it
	NoToken        bool   // the modalities asked for need no token
}
