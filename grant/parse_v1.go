package grant

import "fmt"

// readV1 reads the format of DataPass v1: the request is data.pass, its people a
// team, its history a list of events.
func (e *Event) readV1(body value) error {
	pass := body.at("data").at("pass")
	team, err := pass.at("team_members").objects()
	if err != nil {
		return err
	}
	events, err := pass.at("events").objects()
	if err != nil {
		return err
	}
	more, problem := e.readEnvelope(body)
	if !more {
		return problem
	}
	e.ExternalID = pass.at("id").clean()
	e.Payload = Payload{
		Status:        statusOf(pass.at("status").clean()),
		Title:         pass.at("intitule").clean(),
		Description:   pass.at("description").clean(),
		Procedure:     pass.at("demarche").clean(),
		SIRET:         pass.at("siret").clean(),
		PreviousID:    pass.at("copied_from_enrollment_id").clean(),
		Scopes:        pass.at("scopes").scopes(),
		LegacyTokenID: body.at("data").at("external_token_id").clean(),
	}
	for _, m := range team {
		if role, ok := roleV1(m.at("type").text()); ok {
			e.Payload.addContact(Contact{
				Role: role, Email: m.at("email").text(), GivenName: m.at("given_name").clean(), Surname: m.at("family_name").clean(),
				Phone: m.at("phone_number").clean(), JobTitle: m.at("job").clean(), UID: m.at("uid").clean(),
			})
		}
	}
	for _, past := range events { // oldest first; the last of this name is this event
		if nameOf(past.at("name").clean()) == e.Name {
			e.Payload.Reason = past.at("comment").clean()
		}
	}
	if problem != nil {
		return problem
	}
	if pass.at("id").text() == "" && e.Name != UnknownEvent {
		return fmt.Errorf("no data.pass.id")
	}
	return e.check()
}

func roleV1(kind string) (role Role, known bool) {
	switch kind {
	case "demandeur":
		return Applicant, true
	case "contact_metier":
		return BusinessContact, true
	case "responsable_technique", "contact_technique":
		return TechnicalContact, true
	}
	return "", false
}
