package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"guichet"
	"guichet/grant"
)

// What is particular to API Particulier, and to providers that are configured
// apart, as it comes over HTTP.

const particulierV2, particulierV1 = "/api/datapass/v2/api_particulier/webhook", "/api/datapass/api_particulier/webhook"

// particulier is a v2 delivery of API Particulier, with what its form has.
func particulier(name string, firedAt, id int, state, form, authorizations string) string {
	return fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_particulier","model_id":%d,"data":{"state":%q,
"data":{"intitule":"Cantine","scopes":["cnaf_quotient_familial"]%s},"organization":{"name":"VALMONT","siret":"21730065600011"},
"applicant":{"email":"claire@valmont.fr","given_name":"Claire","family_name":"Morel"}%s}}`, name, firedAt, id, state, form, authorizations)
}

// deliver sends a delivery of a provider and gives the token answered.
func (c *window) deliver(path, with, body string, headers ...string) string {
	c.t.Helper()
	status, answer := c.post(path, with, body, headers...)
	var told map[string]string
	if err := json.Unmarshal([]byte(answer), &told); status != 200 || err != nil {
		c.t.Fatalf("%d %s %v", status, answer, err)
	}
	return told["token_id"]
}

// A request that asks for the form of the family quotient only needs no token;
// one that says nothing, or names params among others, does.
func TestParticulierModalitiesWithoutParams(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		for i, row := range []struct {
			form  string
			token bool
		}{
			{"", true},
			{`,"modalities":["params"]`, true},
			{`,"modalities":["params","formulaire_qf"]`, true},
			{`,"modalities":["formulaire_qf"]`, false},
			{`,"modalities":["formulaire_qf","france_connect"]`, false},
			{`,"modalities":[]`, false},
		} {
			got := c.deliver(particulierV2, particul, particulier("approve", noon, 100+i, "validated", row.form, ""))
			if (got != "") != row.token {
				t.Errorf("%s: token %q", row.form, got)
			}
			if r, err := c.desk.Store.Request(t.Context(), "api_particulier", fmt.Sprint(100+i)); err != nil || r.Status != grant.Validated {
				t.Errorf("%s: %v %v", row.form, r.Status, err)
			}
		}
		if n := c.rows("tokens"); n != "3" {
			t.Errorf("%s tokens", n)
		}
		// Asking for params later gives the token, once.
		first := c.deliver(particulierV2, particul, particulier("approve", noon+10, 103, "validated", `,"modalities":["params"]`, ""))
		again := c.deliver(particulierV2, particul, particulier("approve", noon+20, 103, "validated", `,"modalities":["params"]`, ""))
		if first == "" || first != again {
			t.Errorf("%q, then %q", first, again)
		}
	})
}

// With FranceConnect DataPass sends two revokes: in the first the child is active
// still, and the request says it is validated. Ours is over all the same.
func TestParticulierFranceConnectDoubleRevoke(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		list := func(own, child string) string {
			return fmt.Sprintf(`,"authorizations":[{"id":1,"state":%q,"revoked":%t,"definition_id":"api_particulier","created_at":"2026-01-01T00:00:00Z"},
{"id":2,"state":%q,"revoked":%t,"definition_id":"france_connect","created_at":"2026-01-01T00:00:01Z"}]`, own, own == "revoked", child, child == "revoked")
		}
		form := `,"modalities":["params","france_connect"],"france_connect_authorization_id":"2"`
		id := c.deliver(particulierV2, particul, particulier("approve", noon, 7, "validated", form, list("active", "active")))
		jwt := c.jwt(id)
		if status, _, _ := c.ask("/check", "X-Api-Key", jwt); status != 204 {
			t.Fatalf("before: %d", status)
		}
		c.deliver(particulierV2, particul, particulier("revoke", noon+1, 7, "validated", form, list("revoked", "active")))
		if status, _, _ := c.ask("/check", "X-Api-Key", jwt); status != 401 {
			t.Errorf("after the first revoke: %d", status)
		}
		r, err := c.desk.Store.Request(t.Context(), "api_particulier", "7")
		if err != nil || r.Status != grant.Revoked {
			t.Errorf("after the first revoke: %s %v", r.Status, err)
		}
		mails := c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail'")
		c.deliver(particulierV2, particul, particulier("revoke", noon+2, 7, "revoked", form, list("revoked", "revoked")))
		if n := c.rows("blocklist"); n != "1" {
			t.Errorf("%s blocks", n)
		}
		if now := c.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail'"); now != mails {
			t.Errorf("the second revoke wrote to people again: %s jobs, then %s", mails, now)
		}
		// The child alone, revoked, takes nothing away.
		other := c.deliver(particulierV2, particul, particulier("approve", noon, 8, "validated", form, list("active", "active")))
		c.deliver(particulierV2, particul, particulier("revoke", noon+1, 8, "validated", form, list("active", "revoked")))
		if status, _, _ := c.ask("/check", "X-Api-Key", c.jwt(other)); status != 204 {
			t.Errorf("the child of another request was revoked: %d", status)
		}
	})
}

// A token that replaces one of the earlier service carries its identifier, for
// as long as it lives.
func TestParticulierLegacyTokenID(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		body := func(event string, at int, legacy string) string {
			return fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"Pass","data":{"pass":{"id":30412,"intitule":"Aides","status":"validated","siret":"21730065600011",
"scopes":{"dgfip_adresse":true,"cnaf_enfants":false},"team_members":[{"type":"demandeur","email":"claire@valmont.fr","family_name":"Morel"}]}%s}}`, event, at, legacy)
		}
		id := c.deliver(particulierV1, particul, body("validate", noon, `,"external_token_id":"over-9000"`))
		standing, err := c.desk.Store.Standing(t.Context(), guichet.ID(id))
		if err != nil || standing.LegacyID != "over-9000" || strings.Join(standing.Scopes, " ") != "dgfip_adresse" {
			t.Errorf("%+v %v", standing.Token, err)
		}
		if again := c.deliver(particulierV1, particul, body("validate", noon+60, "")); again != id {
			t.Errorf("prolonged as %s", again)
		}
		if standing, err = c.desk.Store.Standing(t.Context(), guichet.ID(id)); err != nil || standing.LegacyID != "over-9000" {
			t.Errorf("after a prolongation: %q %v", standing.LegacyID, err)
		}
	})
}

// The definition, the names of scopes and the environment are each provider's own.
func TestProvidersAreConfiguredApart(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		p := c.desk.Providers["api_particulier"]
		p.Definition, p.Environment, p.ScopeNames = "api_particulier_v3", "production", map[string]string{"cnaf_quotient_familial": "quotient", "unused": "x", "open_data": ""}
		c.desk.Providers["api_particulier"] = p
		list := `,"authorizations":[{"id":1,"state":"active","revoked":false,"definition_id":"api_particulier_v3","created_at":"2026-01-01T00:00:00Z","data":{"scopes":["cnaf_quotient_familial","open_data_x"]}},
{"id":2,"state":"active","revoked":false,"definition_id":"api_particulier","created_at":"2026-02-01T00:00:00Z","data":{"scopes":["everything"]}}]`
		id := c.deliver(particulierV2, particul, particulier("approve", noon, 9, "validated", "", list), "X-App-Environment", "production")
		standing, err := c.desk.Store.Standing(t.Context(), guichet.ID(id))
		if err != nil || strings.Join(standing.Scopes, " ") != "quotient" || standing.Authorization != "1" {
			t.Errorf("%v of %q, %v", standing.Scopes, standing.Authorization, err)
		}
		// From another environment it waits for a person and does nothing; a ping of it is answered.
		if got := c.deliver(particulierV2, particul, particulier("approve", noon, 10, "validated", "", list), "X-App-Environment", "sandbox"); got != "" {
			t.Errorf("a token from the sandbox: %s", got)
		}
		if effect, problem := c.last("effect"), c.last("problem"); effect != "quarantined" || !strings.Contains(problem, "sandbox") {
			t.Errorf("%s: %s", effect, problem)
		}
		c.deliver(particulierV2, particul, `{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`, "X-App-Environment", "sandbox")
		if effect := c.last("effect"); effect != "ping" {
			t.Errorf("a ping of the sandbox: %s", effect)
		}
		if n := c.rows("tokens"); n != "1" {
			t.Errorf("%s tokens", n)
		}
		// Another provider is not touched by any of it.
		own := c.send("approve", noon, 1)
		if standing, err = c.desk.Store.Standing(t.Context(), guichet.ID(own)); err != nil || strings.Join(standing.Scopes, " ") != "a open_data" {
			t.Errorf("%v %v", standing.Scopes, err)
		}
	})
}
