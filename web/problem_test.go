package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"guichet/grant"
	"guichet/store/storetest"
)

// Why a delivery cannot be used is told in French on a French page: each reason that
// reading one can end with, and that the desk adds. The journal itself keeps the
// sentence, which no French page may show.
func TestProblemsOfDeliveriesSpeakFrench(t *testing.T) {
	t.Parallel()
	o := newOffice(t, storetest.New(t, "sqlite"))
	ours := o.desk.Providers["api_entreprise"]
	ours.Environment = "production"
	o.desk.Providers["api_entreprise"] = ours
	v := o.operator("ops@example.org")
	of := func(format string, args ...any) string {
		return `{"event":"approve","fired_at":1777880000,"model_id":1,` + fmt.Sprintf(format, args...)
	}
	for body, want := range map[string]string{
		of(`"data":{}}`): "il n’a pas de demandeur avec une adresse valide",
		of(`"data":{"authorizations":[{"revoked":"no"}]}}`):               "« revoked » n’est ni vrai ni faux",
		of(`"data":{"authorizations":[1]}}`):                              "« authorizations » est une liste d’autre chose que des objets",
		`{"fired_at":1777880000,"model_id":1}`:                            "son événement n’a pas de nom",
		`{"event":"revoke","fired_at":"yesterday","model_id":1}`:          "« fired_at » n’est pas un nombre de secondes",
		`{"event":"revoke","fired_at":1777880000}`:                        "il n’a pas de numéro de demande utilisable",
		`{"event":"revoke","fired_at":66666666666,"model_id":1,"data":1}`: "« fired_at » est dans l’avenir",
		`[]`: "ce n’est pas un objet JSON",
		strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70):                     "il a plus de 64 niveaux",
		`{"event":"revoke","fired_at":1777880000,"data":{"pass":{"status":"revoked"}}}`: "il n’a pas de numéro de demande utilisable",
		`{"event":"approve"}{}`: "ce n’est pas du JSON strict (",
		`{"event":"revoke","fired_at":1777880000,"model_id":1,"data":{"state":"revoked"}}`: "il vient de l’environnement « sandbox »",
	} {
		environment := ""
		if strings.Contains(want, "environnement") {
			environment = "sandbox"
		}
		format := grant.V2
		if strings.Contains(body, `"pass"`) {
			format = grant.V1
		}
		_, err := o.desk.ReceiveFrom(t.Context(), "api_entreprise", format, environment, []byte(body))
		if err != nil && !errors.Is(err, grant.ErrNotJSON) {
			t.Fatal(err)
		}
		row := o.db.Column("SELECT id FROM deliveries ORDER BY rowid DESC")[0]
		sentence := o.db.Value("SELECT problem FROM deliveries WHERE id = '" + row + "'")
		page := v.get("/journal/" + row)
		text := strings.ReplaceAll(page.body, "\u00a0", " ")
		if page.status != http.StatusOK || strings.Count(text, want) != 1 {
			t.Errorf("%s: %d, %q is not told as %q, once", body, page.status, sentence, want)
		}
		if !strings.Contains(want, "(") && strings.Contains(text, sentence) {
			t.Errorf("%s: the French page says %q", body, sentence)
		}
	}
}
