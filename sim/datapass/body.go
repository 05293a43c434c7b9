package simdatapass

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// model is what DataPass calls a request of the definition in its own code:
// api_entreprise is AuthorizationRequest::APIEntreprise.
func model(definition string) string {
	name := ""
	for part := range strings.SplitSeq(definition, "_") {
		if part == "api" {
			part = "API"
		}
		if part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		name += part
	}
	return "AuthorizationRequest::" + name
}

// stamp is an instant as DataPass writes it, in the time of Paris; nil: never.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(paris).Format("2006-01-02T15:04:05.000-07:00")
}

// form is what is written in the form of a request.
func form(title string, scopes []string) map[string]any {
	f := map[string]any{"intitule": title, "description": "Donnée simulée.", "scopes": slices.Clone(scopes), "cadre_juridique_nature": "Simulation"}
	for role, who := range map[string]person{"contact_metier": {0, "lou.perrin@exemple.test", "Lou", "Perrin"}, "contact_technique": {0, "idir.benali@exemple.test", "Idir", "Benali"}} {
		f[role+"_type"], f[role+"_email"], f[role+"_given_name"], f[role+"_family_name"] = "person", who.Email, who.Given, who.Family
		f[role+"_phone_number"], f[role+"_job_title"] = "0400000000", "Simulation"
	}
	return f
}

func (p person) json() map[string]any {
	return map[string]any{"id": p.ID, "uid": "uid-" + p.Email, "email": p.Email, "given_name": p.Given, "family_name": p.Family, "phone_number": "0479000001", "job_title": "Simulation"}
}

func (r *request) form() map[string]any {
	f := form(r.Title, r.Scopes)
	if r.Connect {
		f["modalities"] = []string{"params", "france_connect"}
	}
	return f
}

// bodyV2 is a delivery of today's DataPass.
func (r *request) bodyV2(name string, at time.Time) map[string]any {
	authorizations := []map[string]any{}
	for _, a := range r.Authorizations {
		one := a.json()
		one["definition_id"] = a.Definition
		authorizations = append(authorizations, one)
	}
	data := map[string]any{
		"id": r.Number, "public_id": r.PublicID, "type": model(r.Provider), "state": r.State, "form_uid": strings.ReplaceAll(r.Provider, "_", "-"),
		"created_at": stamp(r.CreatedAt), "last_submitted_at": stamp(r.SubmittedAt), "last_validated_at": stamp(r.ValidatedAt),
		"data":         r.form(),
		"organization": map[string]any{"id": r.Number, "name": r.Organization, "siret": r.SIRET, "insee_payload": map[string]any{"etablissement": map[string]any{"siret": r.SIRET}}},
		"applicant":    r.Applicant.json(), "service_provider": nil, "authorizations": authorizations,
	}
	return map[string]any{"event": name, "fired_at": at.Unix(), "model_type": "authorization_request/" + r.Provider, "model_id": r.Number, "data": data}
}

func (a authorization) json() map[string]any {
	return map[string]any{
		"id": a.ID, "slug": "simulation", "revoked": a.Revoked, "state": a.State, "created_at": stamp(a.CreatedAt),
		"data": form(a.Title, a.Scopes), "authorization_request_class": model(a.Definition),
	}
}

// bodyV1 is a delivery of the former DataPass.
func (r *request) bodyV1(name string, at time.Time) map[string]any {
	scopes := map[string]bool{}
	for _, s := range r.Scopes {
		scopes[s] = true
	}
	member := func(p person, role string) map[string]any {
		m := p.json()
		m["type"], m["job"] = role, "Simulation"
		delete(m, "job_title")
		return m
	}
	events := []map[string]any{}
	for _, e := range r.Events {
		by := e.By.json()
		by["job"] = "Simulation"
		events = append(events, map[string]any{"id": e.ID, "name": e.Name, "comment": e.Reason, "created_at": stamp(e.At), "user": by})
	}
	return map[string]any{
		"event": name, "fired_at": at.Unix(), "model_type": "enrollment/" + r.Provider,
		"data": map[string]any{"pass": map[string]any{
			"id": r.Number, "intitule": r.Title, "description": "Donnée simulée.", "demarche": nil, "status": r.State, "siret": r.SIRET, "scopes": scopes,
			"previous_enrollment_id": nil, "copied_from_enrollment_id": nil, "events": events,
			"team_members": []map[string]any{
				member(r.Applicant, "demandeur"), member(person{1, "idir.benali@exemple.test", "Idir", "Benali"}, "responsable_technique"),
				member(person{2, "lou.perrin@exemple.test", "Lou", "Perrin"}, "contact_metier"),
			},
		}},
	}
}

// write gives the bytes of a body; it cannot fail on what bodies are made of.
func write(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("simdatapass: " + err.Error())
	}
	return text
}

// reordered writes the same JSON with its keys in another order, as a replay by
// hand does: the source keeps what it sent as JSON, not as bytes.
func reordered(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return body
	}
	var out bytes.Buffer
	writeBackwards(&out, v)
	return out.Bytes()
}

func writeBackwards(out *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		out.WriteByte('{')
		keys := slices.Sorted(maps.Keys(v))
		slices.Reverse(keys)
		for i, k := range keys {
			if i > 0 {
				out.WriteByte(',')
			}
			out.Write(write(k))
			out.WriteByte(':')
			writeBackwards(out, v[k])
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			writeBackwards(out, e)
		}
		out.WriteByte(']')
	default:
		out.Write(write(v))
	}
}
