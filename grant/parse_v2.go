package grant

import "fmt"

// readV2 reads the format of DataPass v2: the request is data, what was written
// in its form is data.data, and each approval is in data.authorizations.
func (e *Event) readV2(body value) error {
	data := body.at("data")
	listed := data.at("authorizations")
	authorizations, err := listed.objects()
	if err != nil {
		return err
	}
	for _, a := range authorizations {
		if k := a.at("revoked").kind(); k != none && k != 't' && k != 'f' && k != 'n' {
			return fmt.Errorf("revoked is neither true nor false")
		}
	}
	more, problem := e.readEnvelope(body)
	if !more {
		return problem
	}
	e.ExternalID = body.at("model_id").clean()
	if e.ExternalID == "" {
		e.ExternalID = data.at("id").clean()
	}
	form, organization, applicant := data.at("data"), data.at("organization"), data.at("applicant")
	e.Payload = Payload{
		Status:       statusOf(data.at("state").clean()),
		PublicID:     data.at("public_id").clean(),
		Title:        form.at("intitule").clean(),
		Description:  form.at("description").clean(),
		Procedure:    data.at("form_uid").clean(),
		SIRET:        organization.at("siret").clean(),
		Organization: organization.at("name").clean(),
		Scopes:       form.at("scopes").scopes(),
		Reason:       data.at("reason").clean(),
		Listed:       listed.kind() != none && listed.kind() != 'n',
		NoToken:      form.at("modalities").excludes("params"),
	}
	if e.Payload.Organization == "" {
		e.Payload.Organization = organization.at("raison_sociale").clean()
	}
	e.Payload.addContact(Contact{
		Role: Applicant, Email: applicant.at("email").text(), GivenName: applicant.at("given_name").clean(),
		Surname: applicant.at("family_name").clean(), Phone: applicant.at("phone_number").clean(),
		JobTitle: applicant.at("job_title").clean(), UID: applicant.at("uid").clean(),
	})
	e.Payload.addContact(Contact{
		Role: BusinessContact, Email: form.at("contact_metier_email").text(), GivenName: form.at("contact_metier_given_name").clean(),
		Surname: form.at("contact_metier_family_name").clean(), Phone: form.at("contact_metier_phone_number").clean(),
		JobTitle: form.at("contact_metier_job_title").clean(),
	})
	e.Payload.addContact(Contact{
		Role: TechnicalContact, Email: form.at("contact_technique_email").text(), GivenName: form.at("contact_technique_given_name").clean(),
		Surname: form.at("contact_technique_family_name").clean(), Phone: form.at("contact_technique_phone_number").clean(),
		JobTitle: form.at("contact_technique_job_title").clean(),
	})
	for _, a := range authorizations {
		written := a.at("data")
		e.Payload.Authorizations = append(e.Payload.Authorizations, Authorization{
			ID: a.at("id").clean(), Definition: a.at("definition_id").clean(), State: a.at("state").clean(),
			Revoked: a.at("revoked").kind() == 't', CreatedAt: instant(a.at("created_at").clean()),
			Scopes: Scopes(written.at("scopes").scopes()), Title: written.at("intitule").clean(),
		})
	}
	if problem != nil {
		return problem
	}
	return e.check()
}

// excludes tells whether the value is a list without this word.
func (v value) excludes(word string) bool {
	for item := range v.each() {
		if item.text() == word {
			return false
		}
	}
	return v.kind() == '['
}
