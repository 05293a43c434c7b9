package datapass

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/grant"
)

// text reads a string or a number as text, and anything else as nothing.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case len(b) > 0 && b[0] == '"':
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		s = string(b)
	}
	*t = text(strings.TrimSpace(strings.ReplaceAll(s, "\x00", "\uFFFD")))
	return nil
}

func (t text) instant() time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST"} {
		if at, err := time.Parse(layout, string(t)); err == nil {
			return at.UTC().Truncate(time.Microsecond)
		}
	}
	return time.Time{}
}

type requestRow struct {
	ID           text            `json:"id"`
	PublicID     text            `json:"public_id"`
	Type         text            `json:"type"`
	State        text            `json:"state"`
	FormUID      text            `json:"form_uid"`
	Data         json.RawMessage `json:"data"`
	CreatedAt    text            `json:"created_at"`
	SubmittedAt  text            `json:"last_submitted_at"`
	ValidatedAt  text            `json:"last_validated_at"`
	Organisation struct {
		SIRET text `json:"siret"`
		Name  text `json:"raison_sociale"`
	} `json:"organisation"`
	Habilitations []authorizationRow `json:"habilitations"`
}

type authorizationRow struct {
	ID        text            `json:"id"`
	State     text            `json:"state"`
	Revoked   bool            `json:"revoked"`
	CreatedAt text            `json:"created_at"`
	Data      json.RawMessage `json:"data"`
	Class     text            `json:"authorization_request_class"`
}

// request reads a row, and tells whether it is of this client's provider.
func (c *Client) request(raw json.RawMessage) (r grant.SourceRequest, ours bool, err error) {
	var row requestRow
	if err := json.Unmarshal(raw, &row); err != nil {
		return r, false, fmt.Errorf("a request that is not as documented")
	}
	if row.ID == "" || row.Type == "" || !utf8.Valid(raw) {
		return r, false, fmt.Errorf("a request without number or type")
	}
	r = grant.SourceRequest{
		ExternalID: string(row.ID), PublicID: string(row.PublicID), Status: status(string(row.State)), Procedure: string(row.FormUID),
		SIRET: string(row.Organisation.SIRET), Organization: string(row.Organisation.Name), Form: row.Data,
		CreatedAt: row.CreatedAt.instant(), SubmittedAt: row.SubmittedAt.instant(), ValidatedAt: row.ValidatedAt.instant(),
	}
	for _, h := range row.Habilitations {
		r.Authorizations = append(r.Authorizations, grant.SourceAuthorization{
			ID: string(h.ID), Definition: c.definition(string(h.Class)), State: string(h.State), Revoked: h.Revoked, CreatedAt: h.CreatedAt.instant(), Form: h.Data,
		})
	}
	return r, c.definition(string(row.Type)) == c.Definition, nil
}

// definition is what a class of DataPass's code is called in its deliveries:
// AuthorizationRequest::APIEntreprise is api_entreprise. Where its words begin
// cannot be told, so names are compared without what separates words.
func (c *Client) definition(class string) string {
	name := class[strings.LastIndexByte(class, ':')+1:]
	if plain(name) == plain(c.Definition) {
		return c.Definition
	}
	var snake strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			snake.WriteByte('_')
		}
		snake.WriteRune(r)
	}
	return strings.ToLower(snake.String())
}

func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func status(word string) grant.Status {
	if s := grant.Status(word); slices.Contains(grant.Statuses(), s) {
		return s
	}
	return ""
}

type eventRow struct {
	ID        text `json:"id"`
	Name      text `json:"name"`
	CreatedAt text `json:"created_at"`
	Entity    struct {
		Reason text `json:"reason"`
	} `json:"entity"`
	User struct {
		UID    text `json:"uid"`
		Email  text `json:"email"`
		Given  text `json:"given_name"`
		Family text `json:"family_name"`
		Phone  text `json:"phone_number"`
		Job    text `json:"job_title"`
	} `json:"user"`
}

func (row eventRow) event() (grant.SourceEvent, error) {
	at := row.CreatedAt.instant()
	if row.Name == "" || at.IsZero() {
		return grant.SourceEvent{}, fmt.Errorf("an event without name or instant")
	}
	u := row.User
	return grant.SourceEvent{
		ID: string(row.ID), Sent: string(row.Name), At: at, Reason: string(row.Entity.Reason),
		By: grant.Contact{UID: string(u.UID), Email: string(u.Email), GivenName: string(u.Given), Surname: string(u.Family), Phone: string(u.Phone), JobTitle: string(u.Job)},
	}, nil
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
