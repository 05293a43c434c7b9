package grant

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"guichet"
)

// A Source is an instruction system that can be asked what it knows of one
// provider's requests. Its errors are ErrSource…; whoever gets one concludes
// nothing about the requests.
type Source interface {
	// List gives a page of requests from a place on, and where the next one
	// begins; 0: there is none. No order is promised, and a page may repeat a
	// request or pass over one.
	List(ctx context.Context, offset int) (page []SourceRequest, next int, err error)
	// Get gives one request, or ErrNotAtSource.
	Get(ctx context.Context, externalID string) (SourceRequest, error)
	// Events gives the whole history of a request, the oldest first.
	Events(ctx context.Context, externalID string) ([]SourceEvent, error)
	// Attempts names the requests whose deliveries were sent to us since an
	// instant, received or not; none when the source was not told to show them.
	Attempts(ctx context.Context, since time.Time) (externalIDs []string, err error)
	// Revoked names the authorizations that were taken back, of any request: their
	// list does not say of which. We know under which one a token was given.
	Revoked(ctx context.Context) (authorizations []string, err error)
}

// Errors of a source.
var (
	ErrNotAtSource      = &guichet.Error{Kind: guichet.NotFound, Code: "not_at_source", Reason: "The source has no request of this number."}
	ErrSourceDown       = &guichet.Error{Kind: guichet.Unavailable, Code: "source_unreachable", Reason: "The source does not answer. Nothing was concluded."}
	ErrSourceBusy       = &guichet.Error{Kind: guichet.TooMany, Code: "source_rate_limited", Reason: "The source asks us to wait. Nothing was concluded."}
	ErrSourceRefuses    = &guichet.Error{Kind: guichet.Unavailable, Code: "source_refuses", Reason: "The source refuses our credentials, or what they are allowed to read."}
	ErrSourceUnreadable = &guichet.Error{Kind: guichet.Unavailable, Code: "source_unreadable", Reason: "What the source answers cannot be read. Nothing was concluded."}
	ErrImplausible      = &guichet.Error{Kind: guichet.Unavailable, Code: "source_implausible", Reason: "The source's list lacks too many of the requests that have tokens here. It is taken for a fault of the source; nothing was concluded."}
)

// A SourceRequest is a request as its source tells it when asked.
type SourceRequest struct {
	ExternalID, PublicID     string
	Status                   Status // empty: a word nobody knows
	Procedure                string
	SIRET, Organization      string
	Form                     []byte // what is written in it now, perhaps never approved: JSON
	Authorizations           []SourceAuthorization
	CreatedAt                time.Time
	SubmittedAt, ValidatedAt time.Time // last submitted, last validated
}

// A SourceAuthorization is one approval, with what was written when it was given.
type SourceAuthorization struct {
	ID, Definition, State string
	Revoked               bool
	CreatedAt             time.Time
	Form                  []byte // JSON
}

// A SourceEvent is one line of a request's history.
type SourceEvent struct {
	ID     string
	Sent   string // the name as the source writes it
	At     time.Time
	Reason string
	By     Contact // without role
}

// Name is the event in our vocabulary.
func (e SourceEvent) Name() Name { return nameOf(e.Sent) }

// Word says how the request stands at its source, in our words: what is granted
// stays granted while a re-opening is instructed, and what lost its last
// authorization of this definition is revoked, whatever its state is called.
func (s SourceRequest) Word(definition string) Status {
	own := s.own(definition)
	active := slices.ContainsFunc(own, SourceAuthorization.active)
	taken := slices.ContainsFunc(own, func(a SourceAuthorization) bool { return a.Revoked || a.State == "revoked" })
	switch {
	case s.Status == Archived, s.Status == Revoked, s.Status == "":
		return s.Status
	case active, s.Status == Validated && len(own) == 0:
		return Validated
	case taken, s.Status == Validated:
		return Revoked
	}
	return s.Status
}

func (s SourceRequest) own(definition string) (own []SourceAuthorization) {
	for _, a := range s.Authorizations {
		if a.Definition == definition {
			own = append(own, a)
		}
	}
	return own
}

func (a SourceAuthorization) active() bool { return a.State == "active" && !a.Revoked }

// newest is the authorization that entitles: the newest active one of the
// definition; nil: none does.
func (s SourceRequest) newest(definition string) *SourceAuthorization {
	var newest *SourceAuthorization
	for _, a := range s.own(definition) {
		if a.active() && (newest == nil || newer(Authorization{ID: a.ID, CreatedAt: a.CreatedAt}, Authorization{ID: newest.ID, CreatedAt: newest.CreatedAt})) {
			newest = &a
		}
	}
	return newest
}

// Rebuilt writes the delivery that the source should have sent for an event, from
// what it tells now. The state is that of today, so older events of a request are
// judged by the rules as late. What was approved is taken from the authorization,
// never from a draft. Applicants are not told by the source's API: the one we
// know is kept, or else whoever wrote the request there.
func Rebuilt(s SourceRequest, e SourceEvent, events []SourceEvent, ours Request, definition string) []byte {
	form, state := s.Form, string(s.Status)
	if e.Name() == Approve {
		state = string(Validated)
		if a := s.newest(definition); a != nil {
			form = a.Form
		}
	}
	authorizations := []map[string]any{}
	for _, a := range s.Authorizations {
		authorizations = append(authorizations, map[string]any{
			"id": a.ID, "definition_id": a.Definition, "state": a.State, "revoked": a.Revoked, "created_at": a.CreatedAt.UTC().Format(time.RFC3339Nano), "data": jsonOr(a.Form),
		})
	}
	data := map[string]any{
		"id": s.ExternalID, "public_id": s.PublicID, "state": state, "form_uid": s.Procedure, "data": jsonOr(form), "authorizations": authorizations,
		"organization": map[string]string{"name": s.Organization, "siret": s.SIRET},
	}
	if a := applicantOf(e, events, ours); a.Email != "" {
		data["applicant"] = map[string]string{
			"uid": a.UID, "email": a.Email, "given_name": a.GivenName, "family_name": a.Surname, "phone_number": a.Phone, "job_title": a.JobTitle,
		}
	}
	if e.Reason != "" {
		data["reason"] = e.Reason
	}
	body, err := json.Marshal(map[string]any{
		"event": e.Sent, "fired_at": e.At.Unix(), "model_type": "authorization_request/" + definition, "model_id": s.ExternalID, "data": data,
	})
	if err != nil {
		panic(err) // maps of words, and JSON that was checked
	}
	return body
}

// jsonOr keeps what is JSON and drops what is not: a form that cannot be read
// must not stop a revocation.
func jsonOr(text []byte) any {
	if !json.Valid(text) {
		return struct{}{}
	}
	return json.RawMessage(text)
}

func applicantOf(e SourceEvent, events []SourceEvent, ours Request) Contact {
	if known, ok := ours.Contact(Applicant); ok && e.Name() != Transfer {
		return known
	}
	var by Contact
	for _, old := range events {
		switch old.Name() {
		case Create, Submit, Transfer:
			if old.By.Email != "" && !old.At.After(e.At) {
				by = old.By
			}
		}
	}
	return by
}
