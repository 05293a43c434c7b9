package grant

import (
	"slices"
	"time"

	"guichet"
)

// An Effect is what a delivery did, as the journal tells it.
type Effect string

// The effects of a delivery.
const (
	Applied     Effect = "applied"
	Duplicate   Effect = "duplicate"   // the same event again: same answer, no effect
	Late        Effect = "late"        // older than what was applied: kept, no effect on the state
	Held        Effect = "held"        // an operator decides
	Quarantined Effect = "quarantined" // signed but unusable: an operator repairs and replays
	NotKnown    Effect = "unknown"     // an event name nobody knows
	Pinged      Effect = "ping"
)

// Effects lists them all.
func Effects() []Effect {
	return []Effect{Applied, Duplicate, Late, Held, Quarantined, NotKnown, Pinged}
}

// A Note says in one word what changed, for the timeline.
type Note string

// The notes of a timeline.
const (
	NoteCreated          Note = "created"
	NoteUpdated          Note = "updated"
	NoteRefused          Note = "refused"
	NoteIssued           Note = "token_issued"
	NoteProlonged        Note = "token_prolonged"
	NoteApproved         Note = "approved_without_token" // the modalities need none
	NoteReopening        Note = "reopening"              // the re-opening goes on; nothing changes here
	NoteReopeningRefused Note = "reopening_refused"
	NoteTransferred      Note = "transferred"
	NoteRevoked          Note = "revoked"
	NotePartlyRevoked    Note = "partly_revoked"
	NoteTombstone        Note = "tombstone"
	NoteArchived         Note = "archived"
	NoteArchiveNoted     Note = "archive_noted"
	NoteDeletedAtSource  Note = "deleted_at_source"
	NoteImported         Note = "imported" // tokens that another service had issued
	NoteNothing          Note = "nothing"
)

// An AlertKind is something that should not happen and that a person must see.
type AlertKind string

// The alerts of this window.
const (
	AlertUnknownEvent     AlertKind = "unknown_event" // once per name
	AlertQuarantined      AlertKind = "quarantined"
	AlertRevokeUnknown    AlertKind = "revoke_of_unknown_request"
	AlertRevokeUnexpected AlertKind = "revoke_without_validation"
	AlertRevokeArchived   AlertKind = "revoke_after_archive"
	AlertPartialRevoke    AlertKind = "partial_revocation"
	AlertLateRevoke       AlertKind = "late_revoke"
	AlertLateApproval     AlertKind = "late_approval"
	AlertHeldApproval     AlertKind = "held_approval"
	AlertArchiveValidated AlertKind = "archive_without_revoke"
	AlertAfterRevoke      AlertKind = "event_after_revoke"
	AlertAfterArchive     AlertKind = "event_after_archive"
	AlertDelete           AlertKind = "deleted_at_source"
)

// AlertKinds lists them all.
func AlertKinds() []AlertKind {
	return []AlertKind{
		AlertUnknownEvent, AlertQuarantined, AlertRevokeUnknown, AlertRevokeUnexpected, AlertRevokeArchived,
		AlertPartialRevoke, AlertLateRevoke, AlertLateApproval, AlertHeldApproval, AlertArchiveValidated,
		AlertAfterRevoke, AlertAfterArchive, AlertDelete,
	}
}

// A LetterKind is a mail to the people of the request.
type LetterKind string

// The letters of this window.
const (
	LetterApproved LetterKind = "request_approved"
	LetterRevoked  LetterKind = "request_revoked"
)

// Terms are what the rules need beside the request and the event.
type Terms struct {
	Now               time.Time
	Definition        string // definition of the provider's authorizations
	ScopeNames        map[string]string
	PurgeAfter        time.Duration // how long an archived request that never had a token keeps its data; negative: for ever
	PurgeRefusedAfter time.Duration // the same for a refused one
}

// A Decision is everything an event does. It is a value: nothing has happened
// yet. The desk carries it out in one transaction or not at all.
type Decision struct {
	Effect  Effect
	Note    Note
	Request Request // as it will be, its tokens aside
	Changed bool    // the request's row must be written

	Issue   bool         // a new token, with the scopes and the authorization of the request
	Prolong guichet.ID   // this token lives longer, with the scopes and the authorization of the request
	Block   []guichet.ID // these tokens are refused from the commit on
	Grant   string       // the authorization a token issued or prolonged is bound to
	Alerts  []AlertKind
	Letters []LetterKind
}

// Apply is the whole transition table: what an event does to a request in each
// situation. The golden matrix in testdata/ is its contract; the reasons are in
// docs/requests.md.
func Apply(r Request, e Event, t Terms) Decision {
	d := Decision{Effect: Applied, Note: NoteNothing, Request: r}
	d.Request.Tokens = nil
	if e.Name == UnknownEvent {
		d.Effect = NotKnown
		return d
	}
	situation := r.Situation()
	if situation != Unknown && late(r, e) {
		return d.late(r, e)
	}
	switch e.Name {
	case Revoke:
		d.revoke(r, e, t)
	case Archive:
		d.archive(r, e, t)
	case Delete:
		d.alert(AlertDelete)
		if situation != Unknown {
			d.Note, d.Changed = NoteDeletedAtSource, true
			d.Request.DeletedAtSource = e.FiredAt
		}
	case Approve:
		d.approve(r, e, t)
	case Transfer:
		d.transfer(r, e)
	case Reopen, CancelReopening:
		d.reopen(r, e)
	case Refuse:
		d.describe(r, e, NoteReopeningRefused, NoteRefused)
		if d.Note == NoteRefused || d.Note == NoteCreated {
			d.Request.Status = Refused
			if t.PurgeRefusedAfter >= 0 {
				d.Request.PurgeAt = t.Now.Add(t.PurgeRefusedAfter)
			}
		}
	default: // create, update, submit, request_changes, notify
		d.describe(r, e, NoteReopening, NoteUpdated)
	}
	if d.Changed || d.Effect == Applied && situation != Unknown {
		d.stamp(r, e, t)
	}
	return d
}

// late tells whether something newer was already applied. What gives or takes
// the entitlement is compared with its own kind only: a re-opening that came
// after an approval does not undo it.
func late(r Request, e Event) bool {
	if e.Name == Approve || e.Name == Revoke {
		return e.Moment().Before(r.LastGrant)
	}
	return e.Moment().Before(r.Last)
}

func (d Decision) late(r Request, e Event) Decision {
	d.Effect = Late
	switch {
	case e.Name == Revoke && r.Situation() != IsRevoked:
		d.alert(AlertLateRevoke) // something newer entitles; a person must look
	case e.Name == Approve && r.Situation() == IsRevoked:
		d.alert(AlertLateApproval)
	case e.Name == Archive && r.Situation() == IsValidated:
		d.alert(AlertArchiveValidated)
	case e.Name == Delete:
		d.alert(AlertDelete)
	}
	return d
}

// describe is the column of events that grant nothing: they describe a request
// that is being written or instructed, or a re-opening that changes nothing.
func (d *Decision) describe(r Request, e Event, reopening, otherwise Note) {
	switch r.Situation() {
	case IsValidated:
		d.Note = reopening
	case IsRevoked:
		d.alert(AlertAfterRevoke)
	case IsArchived:
		d.alert(AlertAfterArchive) // someone at the source repaired by hand
		d.Note = otherwise
		d.take(r, e)
		d.Request.ArchivedAt, d.Request.PurgeAt, d.Request.PurgedAt = time.Time{}, time.Time{}, time.Time{}
	default:
		d.Note = otherwise
		if r.Situation() == Unknown {
			d.Note = NoteCreated
		}
		d.take(r, e)
		d.Request.PurgeAt = time.Time{}
	}
}

func (d *Decision) reopen(r Request, e Event) {
	if r.Situation() == IsArchived {
		d.alert(AlertAfterArchive)
		return
	}
	d.describe(r, e, NoteReopening, NoteUpdated)
}

func (d *Decision) transfer(r Request, e Event) {
	switch r.Situation() {
	case IsRevoked, IsArchived:
		return
	case Unknown:
		d.Note = NoteCreated
		d.take(r, e)
		return
	}
	// The payload is the current draft, perhaps never approved: only who applies
	// and for which organization may be taken from it.
	d.Note, d.Changed = NoteTransferred, true
	d.Request.PurgedAt = time.Time{}
	if applicant, ok := (Request{Contacts: e.Payload.Contacts}).Contact(Applicant); ok {
		others := slices.DeleteFunc(slices.Clone(r.Contacts), func(c Contact) bool { return c.Role == Applicant })
		d.Request.Contacts = append([]Contact{applicant}, others...)
	}
	if e.Payload.SIRET != "" {
		d.Request.SIRET, d.Request.Organization = e.Payload.SIRET, e.Payload.Organization
	}
}

func (d *Decision) approve(r Request, e Event, t Terms) {
	situation := r.Situation()
	if situation == IsRevoked || situation == IsArchived {
		d.Effect = Held
		d.alert(AlertHeldApproval)
		return
	}
	d.take(r, e)
	if e.Moment().Before(r.Last) {
		// What came since is a re-opening, which changes nothing until it is approved;
		// or a transfer, which does: people and organization stay as it told them.
		d.Request.Contacts, d.Request.SIRET, d.Request.Organization = r.Contacts, r.SIRET, r.Organization
	}
	d.grant(r, e, t)
}

// grant is what an approval gives, once it is decided that it gives something.
func (d *Decision) grant(r Request, e Event, t Terms) {
	d.Request.Status = Validated
	d.Request.PurgeAt, d.Request.PurgedAt = time.Time{}, time.Time{}
	if e.FiredAt.After(d.Request.ValidatedAt) {
		d.Request.ValidatedAt = e.FiredAt
	}
	d.Grant, d.Request.Scopes = e.Payload.Entitlement(t.Definition)
	d.Request.Scopes = renamed(d.Request.Scopes, t.ScopeNames)
	if e.Payload.Listed {
		d.Request.Authorizations = e.Payload.Authorizations
	}
	d.Letters = append(d.Letters, LetterApproved)
	if e.Payload.NoToken {
		d.Note = NoteApproved
		return
	}
	if token, ok := r.current(); ok {
		d.Note, d.Prolong = NoteProlonged, token.ID
		return
	}
	d.Note, d.Issue = NoteIssued, true
}

func (d *Decision) revoke(r Request, e Event, t Terms) {
	if r.Situation() == IsRevoked {
		// Nothing more, unless a token lives where none should.
		for _, token := range r.Live() {
			d.Block = append(d.Block, token.ID)
		}
		return
	}
	if revoked, partial := partial(e.Payload, t.Definition); partial && r.Situation() == IsValidated {
		d.Note, d.Changed = NotePartlyRevoked, true
		d.alert(AlertPartialRevoke)
		d.Request.Authorizations = e.Payload.Authorizations
		for _, token := range r.Live() {
			// A token whose authorization was never told is refused too: a wrong
			// refusal is seen within minutes, a wrong acceptance is not.
			if token.Authorization == "" || slices.Contains(revoked, token.Authorization) {
				d.Block = append(d.Block, token.ID)
			}
		}
		return
	}
	d.Note, d.Changed = NoteRevoked, true
	switch r.Situation() {
	case Unknown:
		d.Note = NoteTombstone
		d.alert(AlertRevokeUnknown)
		d.take(r, e)
		d.Request.Tombstone = true
	case NeverValidated:
		d.alert(AlertRevokeUnexpected)
	case IsArchived:
		d.alert(AlertRevokeArchived)
	}
	d.Request.Status, d.Request.RevokedAt, d.Request.PurgeAt = Revoked, e.FiredAt, time.Time{}
	if r.ArchivedAt.After(e.FiredAt) { // the archive overtook the revoke
		d.Request.Status = Archived
	}
	if e.Payload.Listed {
		d.Request.Authorizations = e.Payload.Authorizations
	}
	for _, token := range r.Live() { // of every generation, blocks foreseen for later included
		d.Block = append(d.Block, token.ID)
	}
	if len(r.Tokens) > 0 || r.Situation() == IsValidated {
		d.Letters = append(d.Letters, LetterRevoked)
	}
}

// partial tells whether a revoke took only some authorizations away, and which
// are revoked. A payload that lists none, or says that the request itself is
// revoked, takes everything.
func partial(p Payload, definition string) (revoked []string, partial bool) {
	if !p.Listed || p.Status == Revoked {
		return nil, false
	}
	for _, a := range p.Authorizations {
		switch {
		case a.Definition != definition:
		case a.Active():
			partial = true
		case a.Revoked || a.State == "revoked":
			revoked = append(revoked, a.ID)
		}
	}
	return revoked, partial
}

func (d *Decision) archive(r Request, e Event, t Terms) {
	switch r.Situation() {
	case IsArchived:
		return
	case IsValidated: // DataPass forbids it: a revoke was lost
		d.Note, d.Changed = NoteArchiveNoted, true
		d.Request.ArchivedAt = e.FiredAt
		d.alert(AlertArchiveValidated)
		return
	case Unknown:
		d.take(r, e)
	}
	d.Note, d.Changed = NoteArchived, true
	d.Request.Status, d.Request.ArchivedAt, d.Request.PurgedAt = Archived, e.FiredAt, time.Time{}
	// What had a token, or was revoked, is kept for ever.
	if len(r.Tokens) == 0 && r.Situation() != IsRevoked && t.PurgeAfter >= 0 {
		d.Request.PurgeAt = t.Now.Add(t.PurgeAfter)
	}
}

// take copies what the payload says of the request. The status is taken only
// among those that grant and refuse nothing: the rest is decided by the table.
func (d *Decision) take(r Request, e Event) {
	p := e.Payload
	d.Changed = true
	d.Request.PurgedAt = time.Time{} // it knows people again
	d.Request.Provider, d.Request.ExternalID = e.Provider, e.ExternalID
	if p.PublicID != "" {
		d.Request.PublicID = p.PublicID
	}
	if p.PreviousID != "" {
		d.Request.PreviousID = p.PreviousID
	}
	d.Request.Title, d.Request.Description, d.Request.Procedure = p.Title, p.Description, p.Procedure
	d.Request.SIRET, d.Request.Organization = p.SIRET, p.Organization
	d.Request.Contacts = p.Contacts // a contact removed at the source is removed here
	if p.Listed {
		d.Request.Authorizations = p.Authorizations
	}
	d.Request.Scopes = Scopes(p.Scopes)
	d.Request.Status = described(r, e)
}

// described is the status an event leads to as long as nothing was granted.
func described(r Request, e Event) Status {
	switch e.Name {
	case Submit:
		return Submitted
	case RequestChanges:
		return ChangesRequested
	case Create:
		return Draft
	}
	switch p := e.Payload.Status; p {
	case Draft, Submitted, ChangesRequested, Refused:
		return p
	}
	switch r.Status {
	case Draft, Submitted, ChangesRequested, Refused:
		return r.Status
	}
	return Draft
}

// stamp moves the clocks of the request.
func (d *Decision) stamp(r Request, e Event, t Terms) {
	d.Changed = true
	if m := e.Moment(); r.Last.Before(m) {
		d.Request.Last = m
	}
	// An archive that was only noted decided nothing: the revoke that it overtook
	// must still be applied when it comes.
	if m := e.Moment(); e.Name.grants() && d.Effect == Applied && d.Note != NoteArchiveNoted && r.LastGrant.Before(m) {
		d.Request.LastGrant = m
	}
	if e.Name == Submit && d.Request.FirstSubmittedAt.IsZero() {
		d.Request.FirstSubmittedAt = e.FiredAt
	}
	d.Request.UpdatedAt = t.Now
}

func (d *Decision) alert(k AlertKind) { d.Alerts = append(d.Alerts, k) }
