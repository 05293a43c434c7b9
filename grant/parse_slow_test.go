package grant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// slowParse reads a signed body. On ErrUnusable the event still holds what could be
// read, so that the journal can say what it was about.
func slowParse(provider string, format Format, body []byte) (Event, error) {
	event := Event{Provider: provider, Format: format, Name: UnknownEvent}
	sorted, err := slowCanonical(body)
	if err != nil {
		return event, ErrNotJSON.Because(err)
	}
	switch format {
	case V1:
		err = event.slowV1(sorted)
	case V2, SourceAPI:
		err = event.slowV2(sorted)
	default:
		return event, fmt.Errorf("grant: no format %q", format)
	}
	event.Identity = slowIdentity(event, sorted)
	if err != nil {
		return event, ErrUnusable.Because(err)
	}
	return event, nil
}

// slowCanonical writes the same JSON value always in the same bytes: members in
// order, strings with the same escapes, numbers as they came. It refuses what
// two readers could understand differently: duplicate names, invalid UTF-8,
// anything after the value.
func slowCanonical(body []byte) ([]byte, error) {
	out, err := jsontext.AppendFormat(nil, body, jsontext.ReorderRawObjects(true))
	if err != nil {
		return nil, err
	}
	if len(out) == 0 || out[0] != '{' {
		return nil, fmt.Errorf("not an object")
	}
	if bytes.Count(out, []byte("{"))+bytes.Count(out, []byte("[")) <= maxDepth {
		return out, nil // nothing real has more
	}
	depth, inString := 0, false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return nil, fmt.Errorf("more than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return out, nil
}

// slowIdentity makes a retry and a manual replay of one event the same, although
// their bytes and signatures differ. Each part is preceded by its length so that
// no two events share one.
func slowIdentity(e Event, sorted []byte) [32]byte {
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{e.Provider, string(e.Format), e.ExternalID, e.Sent, strconv.FormatInt(e.FiredAt.Unix(), 10)} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	h.Write(sorted)
	return [32]byte(h.Sum(nil))
}

// slowText reads a string or a number as slowText, and anything else as nothing: a
// telephone number sent as a number must not stop a revocation.
type slowText string

func (t *slowText) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		*t = slowText(tok.String())
		return nil
	case '0':
		v, err := d.ReadValue()
		*t = slowText(v)
		return err
	default:
		return d.SkipValue()
	}
}

// clean takes the spaces around away, and the character that no PostgreSQL keeps.
func (t slowText) clean() string {
	return strings.TrimSpace(strings.ReplaceAll(string(t), "\x00", "\uFFFD"))
}

// slowList reads an array of T, and anything else as nothing.
type slowList[T any] []T

func (l *slowList[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '[' {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, (*[]T)(l))
}

// slowObject reads an slowObject into T, and anything else as nothing.
type slowObject[T any] struct{ Value T }

func (o *slowObject[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, &o.Value)
}

// slowScopes reads scopes as v1 sends them (an slowObject of flags) and as v2 does
// (an array of names).
type slowScopes []string

func (s *slowScopes) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '[':
		var names slowList[slowText]
		if err := json.UnmarshalDecode(d, &names); err != nil {
			return err
		}
		for _, n := range names {
			*s = append(*s, n.clean())
		}
		return nil
	case '{':
		var flags map[string]jsontext.Value
		if err := json.UnmarshalDecode(d, &flags); err != nil {
			return err
		}
		for name, on := range flags {
			if string(on) == "true" {
				*s = append(*s, name)
			}
		}
		return nil
	default:
		return d.SkipValue()
	}
}

// slowEnvelope is what both formats have around their data.
type slowEnvelope[T any] struct {
	Event     slowText       `json:"event"`
	FiredAt   slowText       `json:"fired_at"`
	ModelType slowText       `json:"model_type"`
	ModelID   slowText       `json:"model_id"`
	Test      jsontext.Value `json:"test"`
	Data      slowObject[T]  `json:"data"`
}

// slowOpen reads what is around the data and tells whether there is more: a
// ping has nothing else.
func slowOpen[T any](e *Event, env slowEnvelope[T]) (more bool, err error) {
	if string(env.Test) == "true" && env.Event == "" {
		e.Name, e.Sent = Ping, string(Ping)
		return false, nil
	}
	e.Sent, e.ModelType = env.Event.clean(), env.ModelType.clean()
	e.Name = nameOf(e.Sent)
	// What is kept of a name that nobody knows must fit in an index; the body has it all.
	e.Sent, e.ModelType = cut(e.Sent), cut(e.ModelType)
	if e.Sent == "" {
		return false, fmt.Errorf("no event name")
	}
	seconds, err := strconv.ParseInt(string(env.FiredAt), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<36 {
		return true, fmt.Errorf("fired_at is not a number of seconds")
	}
	e.FiredAt = time.Unix(seconds, 0).UTC()
	return true, nil
}

func slowEmail(s string) bool {
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && strings.Contains(s[strings.LastIndexByte(s, '@'):], ".")
}

func slowInstant(s slowText) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST"} {
		if t, err := time.Parse(layout, s.clean()); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// slowTrusted: slowCanonical has refused these already.
var slowTrusted = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

type slowV1Person struct {
	Type       slowText `json:"type"`
	Email      slowText `json:"email"`
	GivenName  slowText `json:"given_name"`
	FamilyName slowText `json:"family_name"`
	Phone      slowText `json:"phone_number"`
	Job        slowText `json:"job"`
	UID        slowText `json:"uid"`
}

type slowV1Event struct {
	Name    slowText `json:"name"`
	Comment slowText `json:"comment"`
}

type slowV1Data struct {
	Pass slowObject[struct {
		ID          slowText               `json:"id"`
		Intitule    slowText               `json:"intitule"`
		Description slowText               `json:"description"`
		Demarche    slowText               `json:"demarche"`
		Status      slowText               `json:"status"`
		SIRET       slowText               `json:"siret"`
		Scopes      slowScopes             `json:"scopes"`
		CopiedFrom  slowText               `json:"copied_from_enrollment_id"`
		Team        slowList[slowV1Person] `json:"team_members"`
		Events      slowList[slowV1Event]  `json:"events"`
	}] `json:"pass"`
	ExternalTokenID slowText `json:"external_token_id"`
}

// slowV1 reads the format of DataPass v1: the request is data.pass, its people a
// team, its history a slowList of events.
func (e *Event) slowV1(body []byte) error {
	var env slowEnvelope[slowV1Data]
	if err := json.Unmarshal(body, &env, slowTrusted); err != nil {
		return err
	}
	more, problem := slowOpen(e, env)
	if !more {
		return problem
	}
	pass := env.Data.Value.Pass.Value
	e.ExternalID = pass.ID.clean()
	e.Payload = Payload{
		Status:        statusOf(pass.Status.clean()),
		Title:         pass.Intitule.clean(),
		Description:   pass.Description.clean(),
		Procedure:     pass.Demarche.clean(),
		SIRET:         pass.SIRET.clean(),
		PreviousID:    pass.CopiedFrom.clean(),
		Scopes:        pass.Scopes,
		LegacyTokenID: env.Data.Value.ExternalTokenID.clean(),
	}
	for _, m := range pass.Team {
		role, ok := map[slowText]Role{
			"demandeur": Applicant, "contact_metier": BusinessContact,
			"responsable_technique": TechnicalContact, "contact_technique": TechnicalContact,
		}[m.Type]
		if ok {
			e.Payload.addContact(Contact{
				Role: role, Email: string(m.Email), GivenName: m.GivenName.clean(), Surname: m.FamilyName.clean(),
				Phone: m.Phone.clean(), JobTitle: m.Job.clean(), UID: m.UID.clean(),
			})
		}
	}
	for _, past := range pass.Events { // oldest first; the last of this name is this event
		if nameOf(past.Name.clean()) == e.Name {
			e.Payload.Reason = past.Comment.clean()
		}
	}
	if problem != nil {
		return problem
	}
	if pass.ID == "" && e.Name != UnknownEvent {
		return fmt.Errorf("no data.pass.id")
	}
	return e.check()
}

type slowV2Person struct {
	UID        slowText `json:"uid"`
	Email      slowText `json:"email"`
	GivenName  slowText `json:"given_name"`
	FamilyName slowText `json:"family_name"`
	Phone      slowText `json:"phone_number"`
	JobTitle   slowText `json:"job_title"`
}

type slowV2Form struct {
	Intitule    slowText           `json:"intitule"`
	Description slowText           `json:"description"`
	Scopes      slowScopes         `json:"scopes"`
	Modalities  slowList[slowText] `json:"modalities"`

	BusinessEmail  slowText `json:"contact_metier_email"`
	BusinessGiven  slowText `json:"contact_metier_given_name"`
	BusinessFamily slowText `json:"contact_metier_family_name"`
	BusinessPhone  slowText `json:"contact_metier_phone_number"`
	BusinessJob    slowText `json:"contact_metier_job_title"`

	TechnicalEmail  slowText `json:"contact_technique_email"`
	TechnicalGiven  slowText `json:"contact_technique_given_name"`
	TechnicalFamily slowText `json:"contact_technique_family_name"`
	TechnicalPhone  slowText `json:"contact_technique_phone_number"`
	TechnicalJob    slowText `json:"contact_technique_job_title"`
}

type slowV2Authorization struct {
	ID         slowText               `json:"id"`
	Definition slowText               `json:"definition_id"`
	State      slowText               `json:"state"`
	Revoked    bool                   `json:"revoked"`
	CreatedAt  slowText               `json:"created_at"`
	Data       slowObject[slowV2Form] `json:"data"`
}

type slowV2Data struct {
	ID           slowText               `json:"id"`
	PublicID     slowText               `json:"public_id"`
	State        slowText               `json:"state"`
	FormUID      slowText               `json:"form_uid"`
	Reason       slowText               `json:"reason"`
	Form         slowObject[slowV2Form] `json:"data"`
	Organization slowObject[struct {
		Name   slowText `json:"name"`
		Legacy slowText `json:"raison_sociale"`
		SIRET  slowText `json:"siret"`
	}] `json:"organization"`
	Applicant      slowObject[slowV2Person]       `json:"applicant"`
	Authorizations *slowList[slowV2Authorization] `json:"authorizations"`
}

// slowV2 reads the format of DataPass v2: the request is data, what was written
// in its form is data.data, and each approval is in data.authorizations.
func (e *Event) slowV2(body []byte) error {
	var env slowEnvelope[slowV2Data]
	if err := json.Unmarshal(body, &env, slowTrusted); err != nil {
		return err
	}
	more, problem := slowOpen(e, env)
	if !more {
		return problem
	}
	e.ExternalID = env.ModelID.clean()
	d := env.Data.Value
	if e.ExternalID == "" {
		e.ExternalID = d.ID.clean()
	}
	form, org := d.Form.Value, d.Organization.Value
	e.Payload = Payload{
		Status:       statusOf(d.State.clean()),
		PublicID:     d.PublicID.clean(),
		Title:        form.Intitule.clean(),
		Description:  form.Description.clean(),
		Procedure:    d.FormUID.clean(),
		SIRET:        org.SIRET.clean(),
		Organization: org.Name.clean(),
		Scopes:       form.Scopes,
		Reason:       d.Reason.clean(),
		Listed:       d.Authorizations != nil,
		NoToken:      form.Modalities != nil && !slices.Contains(form.Modalities, "params"),
	}
	if e.Payload.Organization == "" {
		e.Payload.Organization = org.Legacy.clean()
	}
	a := d.Applicant.Value
	e.Payload.addContact(Contact{
		Role: Applicant, Email: string(a.Email), GivenName: a.GivenName.clean(), Surname: a.FamilyName.clean(),
		Phone: a.Phone.clean(), JobTitle: a.JobTitle.clean(), UID: a.UID.clean(),
	})
	e.Payload.addContact(Contact{
		Role: BusinessContact, Email: string(form.BusinessEmail), GivenName: form.BusinessGiven.clean(),
		Surname: form.BusinessFamily.clean(), Phone: form.BusinessPhone.clean(), JobTitle: form.BusinessJob.clean(),
	})
	e.Payload.addContact(Contact{
		Role: TechnicalContact, Email: string(form.TechnicalEmail), GivenName: form.TechnicalGiven.clean(),
		Surname: form.TechnicalFamily.clean(), Phone: form.TechnicalPhone.clean(), JobTitle: form.TechnicalJob.clean(),
	})
	if d.Authorizations != nil {
		for _, a := range *d.Authorizations {
			e.Payload.Authorizations = append(e.Payload.Authorizations, Authorization{
				ID: a.ID.clean(), Definition: a.Definition.clean(), State: a.State.clean(), Revoked: a.Revoked,
				CreatedAt: slowInstant(a.CreatedAt), Scopes: Scopes(a.Data.Value.Scopes), Title: a.Data.Value.Intitule.clean(),
			})
		}
	}
	if problem != nil {
		return problem
	}
	return e.check()
}
