package grant

import (
	"slices"

	"github.com/go-json-experiment/json"
)

type v2Person struct {
	UID        text `json:"uid"`
	Email      text `json:"email"`
	GivenName  text `json:"given_name"`
	FamilyName text `json:"family_name"`
	Phone      text `json:"phone_number"`
	JobTitle   text `json:"job_title"`
}

type v2Form struct {
	Intitule    text       `json:"intitule"`
	Description text       `json:"description"`
	Scopes      scopeSet   `json:"scopes"`
	Modalities  list[text] `json:"modalities"`

	BusinessEmail  text `json:"contact_metier_email"`
	BusinessGiven  text `json:"contact_metier_given_name"`
	BusinessFamily text `json:"contact_metier_family_name"`
	BusinessPhone  text `json:"contact_metier_phone_number"`
	BusinessJob    text `json:"contact_metier_job_title"`

	TechnicalEmail  text `json:"contact_technique_email"`
	TechnicalGiven  text `json:"contact_technique_given_name"`
	TechnicalFamily text `json:"contact_technique_family_name"`
	TechnicalPhone  text `json:"contact_technique_phone_number"`
	TechnicalJob    text `json:"contact_technique_job_title"`
}

type v2Authorization struct {
	ID         text           `json:"id"`
	Definition text           `json:"definition_id"`
	State      text           `json:"state"`
	Revoked    bool           `json:"revoked"`
	CreatedAt  text           `json:"created_at"`
	Data       object[v2Form] `json:"data"`
}

type v2Data struct {
	ID           text           `json:"id"`
	PublicID     text           `json:"public_id"`
	State        text           `json:"state"`
	FormUID      text           `json:"form_uid"`
	Reason       text           `json:"reason"`
	Form         object[v2Form] `json:"data"`
	Organization object[struct {
		Name   text `json:"name"`
		Legacy text `json:"raison_sociale"`
		SIRET  text `json:"siret"`
	}] `json:"organization"`
	Applicant      object[v2Person]       `json:"applicant"`
	Authorizations *list[v2Authorization] `json:"authorizations"`
}

// readV2 reads the format of DataPass v2: the request is data, what was written
// in its form is data.data, and each approval is in data.authorizations.
func (e *Event) readV2(body []byte) error {
	var env envelope[v2Data]
	if err := json.Unmarshal(body, &env, trusted); err != nil {
		return err
	}
	more, problem := openEnvelope(e, env)
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
				CreatedAt: instant(a.CreatedAt), Scopes: Scopes(a.Data.Value.Scopes), Title: a.Data.Value.Intitule.clean(),
			})
		}
	}
	if problem != nil {
		return problem
	}
	return e.check()
}
