package grant

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

type v1Person struct {
	Type       text `json:"type"`
	Email      text `json:"email"`
	GivenName  text `json:"given_name"`
	FamilyName text `json:"family_name"`
	Phone      text `json:"phone_number"`
	Job        text `json:"job"`
	UID        text `json:"uid"`
}

type v1Event struct {
	Name    text `json:"name"`
	Comment text `json:"comment"`
}

type v1Data struct {
	Pass object[struct {
		ID          text           `json:"id"`
		Intitule    text           `json:"intitule"`
		Description text           `json:"description"`
		Demarche    text           `json:"demarche"`
		Status      text           `json:"status"`
		SIRET       text           `json:"siret"`
		Scopes      scopeSet       `json:"scopes"`
		CopiedFrom  text           `json:"copied_from_enrollment_id"`
		Team        list[v1Person] `json:"team_members"`
		Events      list[v1Event]  `json:"events"`
	}] `json:"pass"`
	ExternalTokenID text `json:"external_token_id"`
}

// readV1 reads the format of DataPass v1: the request is data.pass, its people a
// team, its history a list of events.
func (e *Event) readV1(body []byte) error {
	var env envelope[v1Data]
	if err := json.Unmarshal(body, &env, trusted); err != nil {
		return err
	}
	more, problem := openEnvelope(e, env)
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
		role, ok := map[text]Role{
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
