// Package grant is the window of API teams: requests for access that are
// instructed elsewhere, the tokens they give, and the blocklist that takes
// tokens back. Rules are pure functions over values; [Desk] is the verbs. It
// knows nothing of sockets, databases or banks.
package grant

import (
	"net/url"
	"slices"
	"time"

	"guichet"
)

// A Status is where a request stands. It is a word, so that stored values do
// not depend on an order.
type Status string

// The statuses of a request, each with who acts next.
const (
	Draft            Status = "draft"             // the applicant writes; ends in submitted or archived
	Submitted        Status = "submitted"         // the instructor reads; ends in validated, refused or changes_requested
	ChangesRequested Status = "changes_requested" // the applicant corrects; ends in submitted or archived
	Refused          Status = "refused"           // over, but may be archived
	Validated        Status = "validated"         // entitled, also while a re-opening is instructed; ends in revoked
	Revoked          Status = "revoked"           // over: no token lives; may only be archived
	Archived         Status = "archived"          // put away by the applicant or the instructor
)

// Statuses lists them all.
func Statuses() []Status {
	return []Status{Draft, Submitted, ChangesRequested, Refused, Validated, Revoked, Archived}
}

// A Situation is what the rules look at: the statuses of someone who never had
// a token are one, and not knowing the request is one.
type Situation string

// The situations of a request.
const (
	Unknown        Situation = "unknown"
	NeverValidated Situation = "never_validated"
	IsValidated    Situation = "validated"
	IsRevoked      Situation = "revoked"
	IsArchived     Situation = "archived"
)

// Situations lists them all.
func Situations() []Situation {
	return []Situation{Unknown, NeverValidated, IsValidated, IsRevoked, IsArchived}
}

// A Request is one demand for access, as far as Guichet needs to know it, with
// the tokens it gave.
type Request struct {
	ID         guichet.ID // empty: not known here
	Provider   string
	ExternalID string // its number at the source
	PublicID   string

	Status           Status
	Title            string
	Description      string
	Procedure        string // the form it was made with
	SIRET            string
	Organization     string
	PreviousID       string // the request it was copied from
	Scopes           []string
	Contacts         []Contact
	Authorizations   []Authorization
	FirstSubmittedAt time.Time
	ValidatedAt      time.Time
	RevokedAt        time.Time
	ArchivedAt       time.Time // may be set on a validated request: noted, without effect
	DeletedAtSource  time.Time
	PurgeAt          time.Time // when the personal data is due to go
	PurgedAt         time.Time
	Tombstone        bool // made by a revoke of a request we never saw

	// Last is the newest event that was applied, LastGrant the newest of those
	// that give or take the entitlement. Two clocks, because an approval that
	// arrives after a later re-opening still grants.
	Last, LastGrant Moment

	Tokens    []Token // oldest first
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64 // 0: no row yet
}

// Subject names the request in alerts and audit entries.
func (r Request) Subject() string { return r.Provider + "/" + r.ExternalID }

// Situation of the request, as the rules see it.
func (r Request) Situation() Situation {
	switch {
	case r.ID == "":
		return Unknown
	case r.Status == Validated:
		return IsValidated
	case r.Status == Revoked:
		return IsRevoked
	case r.Status == Archived:
		return IsArchived
	default:
		return NeverValidated
	}
}

// Live lists the tokens that are not blocked, newest last.
func (r Request) Live() []Token {
	var live []Token
	for _, t := range r.Tokens {
		if t.BlockedAt.IsZero() {
			live = append(live, t)
		}
	}
	return live
}

// current is the token that people use now: the newest live one, but rather one
// that no operator means to block.
func (r Request) current() (token Token, ok bool) {
	for _, t := range r.Live() {
		if !ok || t.BlockAt.IsZero() || !token.BlockAt.IsZero() {
			token, ok = t, true
		}
	}
	return token, ok
}

// Current is the token that people use now, as long as the request is validated.
func (r Request) Current() (token Token, ok bool) {
	if r.Status != Validated {
		return Token{}, false
	}
	return r.current()
}

// Contact finds the first contact with the role.
func (r Request) Contact(role Role) (Contact, bool) {
	i := slices.IndexFunc(r.Contacts, func(c Contact) bool { return c.Role == role })
	if i < 0 {
		return Contact{}, false
	}
	return r.Contacts[i], true
}

// A Role is what a person is to a request.
type Role string

// The roles of contacts.
const (
	Applicant        Role = "applicant"
	BusinessContact  Role = "business_contact"
	TechnicalContact Role = "technical_contact"
)

// A Contact is a person of a request.
type Contact struct {
	Role      Role   `json:"role"`
	Email     string `json:"email"` // trimmed, lower case
	GivenName string `json:"given_name"`
	Surname   string `json:"family_name"`
	Phone     string `json:"phone,omitempty"`
	JobTitle  string `json:"job_title,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Name is how the person is addressed.
func (c Contact) Name() string {
	switch {
	case c.GivenName == "":
		return c.Surname
	case c.Surname == "":
		return c.GivenName
	}
	return c.GivenName + " " + c.Surname
}

// An Authorization is one approval of a request. A request re-opened and
// approved again has several; the newest active one is what it is entitled to.
type Authorization struct {
	ID         string    `json:"id"`
	Definition string    `json:"definition_id"`
	State      string    `json:"state"` // active, obsolete, revoked
	Revoked    bool      `json:"revoked"`
	CreatedAt  time.Time `json:"created_at"`
	Scopes     []string  `json:"scopes,omitempty"`
	Title      string    `json:"title,omitempty"`
}

// Active tells whether the authorization entitles to something now.
func (a Authorization) Active() bool { return a.State == "active" && !a.Revoked }

// A Token is a row that can never be deleted: it says what was issued, to whose
// request, and whether it is blocked. The JWT itself is computed when shown.
type Token struct {
	ID            guichet.ID
	RequestID     guichet.ID
	Authorization string // the authorization that gave it; empty: not told
	StatusIndex   int64  // its bit in the status list, for ever
	Scopes        []string
	Title         string // the subject of the JWT
	LegacyID      string // extra_info.legacy_token_id of migrated tokens
	IssuedAt      time.Time
	ExpiresAt     time.Time
	BlockAt       time.Time // a block foreseen for later; a job carries it out
	BlockedAt     time.Time // zero: not blocked; never goes back to zero
	BlockReason   string
	Reminders     []int // days before the end already announced
	Limit         guichet.Limit
	Version       int64
}

// A Moment orders events: by second, then by what they do.
type Moment struct {
	FiredAt time.Time
	Rank    int
}

// Before tells whether m is strictly older than o.
func (m Moment) Before(o Moment) bool {
	if !m.FiredAt.Equal(o.FiredAt) {
		return m.FiredAt.Before(o.FiredAt)
	}
	return m.Rank < o.Rank
}

// Reopened tells whether a validated request is being instructed again, from what
// its source told of it: the newest event that begins such an instruction or ends one
// says so. A transfer does neither, nor a revoke, which took a part only. That is for
// people: it changes nothing, so the request itself does not keep it.
func Reopened(events []SourceEvent) (reopened bool) {
	var newest Moment
	for _, e := range events {
		moment := Moment{FiredAt: e.At, Rank: e.Name().rank()}
		if moment.Before(newest) {
			continue
		}
		switch e.Name() {
		case Create, Update, Submit, RequestChanges, Notify, Reopen:
			newest, reopened = moment, true
		case Approve, Refuse, CancelReopening, Archive, Delete:
			newest, reopened = moment, false
		}
	}
	return reopened
}

// A Provider is one API whose requests are received: its own path, secrets and
// mails.
type Provider struct {
	Name       string // in the path: api_entreprise
	Title      string // for people: API Entreprise
	Definition string // definition_id of its authorizations; empty: Name
	Mails      bool
	Source     string // address of the instruction system, for links; empty: none
	// Environment is the one its source says it is of, in X-App-Environment; empty:
	// whatever it says is accepted.
	Environment string
	ScopeNames  map[string]string // of the source, to those of tokens; an empty one is left out
	Mail        []MailRule        // who is written to about what; nil: DefaultMails
	Notify      []NoticeType      // what the provider's own systems are told of
}

// SourceURL is where people change the request at its source; empty: nobody knows.
func (p Provider) SourceURL(externalID string) string {
	if p.Source == "" {
		return ""
	}
	return p.Source + "/demandes/" + url.PathEscape(externalID)
}

// DefinitionID is what authorizations of this provider carry.
func (p Provider) DefinitionID() string {
	if p.Definition != "" {
		return p.Definition
	}
	return p.Name
}
