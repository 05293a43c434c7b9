package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"guichet/grant"
)

// What the site that Guichet replaces got wrong and no scenario shows, by the
// numbers of docs/compared.md.
func TestDefects(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		letters := func(id int) string {
			return c.db.Value(fmt.Sprintf(`SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'mail' AND args LIKE '%%"external_id":"%d"%%'`, id))
		}
		// 6: people are written to when an update is approved, as the first time.
		c.send("approve", noon, 6)
		c.send("reopen", noon+1, 6)
		c.send("submit", noon+2, 6)
		before := letters(6)
		c.send("approve", noon+3, 6)
		if after := letters(6); before == "0" || after == before {
			t.Errorf("6: %s letters, then %s", before, after)
		}
		// 7: those of an editor's form too, whatever the second format calls it.
		c.deliver(v2Path, secret, say("approve", noon, 7, func(data map[string]any) { data["form_uid"] = "api-entreprise-editeur" }))
		if letters(7) == "0" {
			t.Error("7: an editor is not written to")
		}
		// 10: what is not signed is not read, not kept, and is refused as such.
		for name, body := range map[string]string{"no JSON": "{", "no request": `{"event":"revoke"}`, "no event": `{"data":{"pass":{}}}`} {
			for _, path := range []string{v1Path, v2Path} {
				if status, answer := c.post(path, "x", body); status != http.StatusUnauthorized || strings.TrimSpace(answer) != `{"error":"Unauthorized"}` {
					t.Errorf("10: %s: %d %s", name, status, answer)
				}
			}
		}
		// 12: an event of the second format keeps what only the first one tells.
		const v1 = `{"event":"validate","fired_at":1777880000,"data":{"pass":{"id":12,"copied_from_enrollment_id":11,"scopes":{"a":true},
"team_members":[{"type":"demandeur","email":"claire@valmont.fr","uid":"18233","family_name":"Morel"}]}}}`
		if c.deliver(v1Path, secret, v1) == "" {
			t.Error("9: the first format's approval tells no token")
		}
		c.deliver(v2Path, secret, say("approve", noon+1, 12, func(data map[string]any) { data["applicant"].(map[string]any)["uid"] = 18233 }))
		r := c.request("api_entreprise", 12)
		if applicant, _ := r.Contact(grant.Applicant); r.PreviousID != "11" || applicant.UID != "18233" {
			t.Errorf("12: previous %q, uid %q", r.PreviousID, applicant.UID)
		}
		// 13: a name that changed is changed.
		c.deliver(v2Path, secret, say("approve", noon+2, 12, func(data map[string]any) { data["applicant"].(map[string]any)["family_name"] = "Morel-Roche" }))
		r = c.request("api_entreprise", 12)
		if applicant, _ := r.Contact(grant.Applicant); applicant.Surname != "Morel-Roche" || len(r.Tokens) != 1 {
			t.Errorf("13: %+v", applicant)
		}
	})
}
