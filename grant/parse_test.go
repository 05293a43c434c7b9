package grant

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func example(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseV2Example(t *testing.T) {
	e, err := Parse("api_entreprise", V2, example(t, "v2_approve.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		Provider: "api_entreprise", Format: V2, Name: Approve, Sent: "approve", ExternalID: "51234",
		ModelType: "authorization_request/api_entreprise", FiredAt: time.Unix(1777880000, 0).UTC(), Identity: e.Identity,
		Payload: Payload{
			Status: Validated, PublicID: "5f0c9d52-3f0e-4a53-8d0b-2f6f5be3a1c7", Title: "Marchés publics de Valmont",
			Description: "Vérifier la régularité des candidats", Procedure: "api-entreprise-marches-publics", SIRET: "21730065600011",
			Organization: "COMMUNE DE VALMONT", Listed: true,
			Scopes: []string{"attestation_fiscale_dgfip", "open_data_numero_tva_dgfip", "unites_legales_etablissements_insee"},
			Contacts: []Contact{
				{Applicant, "claire.morel@valmont.fr", "Claire", "Morel", "0479000001", "Cheffe de service", "18233"},
				{BusinessContact, "achats@valmont.fr", "Lou", "Perrin", "0479000003", "Acheteuse", ""},
				{TechnicalContact, "dsi@valmont.fr", "Idir", "Benali", "0679000002", "DSI", ""},
			},
			Authorizations: []Authorization{
				{
					ID: "70111", Definition: "api_entreprise", State: "obsolete", Scopes: []string{"unites_legales_etablissements_insee"},
					Title: "Marchés publics de Valmont", CreatedAt: time.Date(2025, 1, 20, 10, 0, 0, 0, time.UTC),
				},
				{
					ID: "75590", Definition: "api_entreprise", State: "active", Title: "Marchés publics de Valmont",
					Scopes:    []string{"attestation_fiscale_dgfip", "open_data", "unites_legales_etablissements_insee"},
					CreatedAt: time.Date(2026, 5, 4, 7, 33, 19, 870e6, time.UTC),
				},
			},
		},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if id, scopes := e.Payload.Entitlement("api_entreprise"); id != "75590" || len(scopes) != 3 {
		t.Errorf("entitled to %s %v", id, scopes)
	}
}

func TestParseV1Example(t *testing.T) {
	e, err := Parse("api_entreprise", V1, example(t, "v1_revoke.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		Provider: "api_entreprise", Format: V1, Name: Revoke, Sent: "revoke", ExternalID: "30412",
		ModelType: "enrollment/api_entreprise", FiredAt: time.Unix(1681804512, 0).UTC(), Identity: e.Identity,
		Payload: Payload{
			Status: Revoked, Title: "Instruction des aides du fonds Vallée Verte", SIRET: "21730065600011",
			Description: "Préremplir les dossiers d'aide déposés par les entreprises", Procedure: "aides_publiques", PreviousID: "28770",
			Reason: "Fin de la convention", Scopes: []string{"entreprises", "etablissements", "attestations_fiscales"},
			Contacts: []Contact{
				{Applicant, "claire.morel@valmont.fr", "Claire", "Morel", "0479000001", "Cheffe de service", "18233"},
				{TechnicalContact, "dsi@valmont.fr", "Idir", "Benali", "0679000002", "DSI", ""},
				{BusinessContact, "aides@valmont.fr", "Lou", "Perrin", "0479000003", "Chargée de mission", ""},
			},
		},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
}

func TestOldNames(t *testing.T) {
	for sent, want := range map[string]Name{
		"created": Create, "updated": Update, "team_member_updated": Update, "send_application": Submit, "review_application": RequestChanges,
		"refuse_application": Refuse, "validate_application": Approve, "validate": Approve, "create_by_api": Create, "Approve": UnknownEvent,
		"start_next_stage": UnknownEvent,
	} {
		if got := nameOf(sent); got != want {
			t.Errorf("%s: %s instead of %s", sent, got, want)
		}
	}
	for sent, want := range map[string]Status{
		"pending": Draft, "modification_pending": ChangesRequested, "sent": Submitted, "deleted": "", "validated": Validated,
	} {
		if got := statusOf(sent); got != want {
			t.Errorf("%s: %s instead of %s", sent, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"empty":               {``, ErrNotJSON},
		"array":               {`[]`, ErrNotJSON},
		"two values":          {`{"event":"approve"}{}`, ErrNotJSON},
		"duplicate key":       {`{"event":"approve","event":"revoke","fired_at":1777880000,"model_id":1,"data":{}}`, ErrNotJSON},
		"nested duplicate":    {`{"event":"revoke","fired_at":1777880000,"model_id":1,"data":{"state":"a","state":"b"}}`, ErrNotJSON},
		"escaped duplicate":   {`{"event":"revoke","\u0065vent":"approve","fired_at":1777880000,"model_id":1}`, ErrNotJSON},
		"invalid UTF-8":       {"{\"event\":\"rev\xffoke\",\"fired_at\":1777880000,\"model_id\":1}", ErrNotJSON},
		"lone surrogate":      {`{"event":"\ud800","fired_at":1777880000,"model_id":1}`, ErrNotJSON},
		"too deep":            {deep, ErrNotJSON},
		"byte order mark":     {"\ufeff{}", ErrNotJSON},
		"no event":            {`{"fired_at":1777880000,"model_id":1}`, ErrUnusable},
		"case-folded event":   {`{"EVENT":"revoke","fired_at":1777880000,"model_id":1}`, ErrUnusable},
		"no number":           {`{"event":"revoke","fired_at":1777880000}`, ErrUnusable},
		"case-folded number":  {`{"event":"revoke","fired_at":1777880000,"MODEL_ID":1}`, ErrUnusable},
		"kelvin sign":         {"{\"event\":\"revo\u212ae\",\"fired_at\":1777880000,\"model_id\":\"\u212a\"}", nil}, // an unknown name
		"number with a point": {`{"event":"revoke","fired_at":1777880000,"model_id":1.5}`, ErrUnusable},
		"number of traversal": {`{"event":"revoke","fired_at":1777880000,"model_id":"../1"}`, ErrUnusable},
		"no clock":            {`{"event":"revoke","model_id":1}`, ErrUnusable},
		"clock as text":       {`{"event":"revoke","fired_at":"yesterday","model_id":1}`, ErrUnusable},
		"huge clock":          {`{"event":"revoke","fired_at":1e400,"model_id":1}`, ErrUnusable},
		"negative clock":      {`{"event":"revoke","fired_at":-5,"model_id":1}`, ErrUnusable},
		"no applicant":        {`{"event":"approve","fired_at":1777880000,"model_id":1,"data":{}}`, ErrUnusable},
		"bad applicant":       {`{"event":"approve","fired_at":1777880000,"model_id":1,"data":{"applicant":{"email":"claire"}}}`, ErrUnusable},
		"e-mail with newline": {`{"event":"approve","fired_at":1777880000,"model_id":1,"data":{"applicant":{"email":"a@b.fr\r\nBcc: c@d.fr"}}}`, ErrUnusable},
		"revoke of nothing":   {`{"event":"revoke","fired_at":1777880000,"model_type":"x","model_id":51234,"data":{}}`, nil},
		"revoke, odd data":    {`{"event":"revoke","fired_at":1777880000,"model_id":51234,"data":[1]}`, nil},
		"ping":                {`{"test":true,"timestamp":"2026-05-04T09:12:31+02:00"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("api_entreprise", V2, []byte(c.body))
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Dirty but readable e-mails are cleaned; an unreadable contact is passed over.
func TestContactsAreCleaned(t *testing.T) {
	e, err := Parse("api_entreprise", V2, []byte(`{"event":"approve","fired_at":1777880000,"model_id":"7","data":{
		"applicant":{"email":"  Claire.MOREL@Valmont.fr ","phone_number":479000001},
		"data":{"contact_metier_email":null,"contact_technique_email":"nobody"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Contact{{Role: Applicant, Email: "claire.morel@valmont.fr", Phone: "479000001"}}, e.Payload.Contacts); diff != "" {
		t.Error(diff)
	}
}

// A replay by hand has its keys in another order, other escapes and another
// signature: it is the same event all the same. Anything else is another event.
func TestIdentity(t *testing.T) {
	base := `{"event":"revoke","fired_at":1777880000,"model_id":1,"data":{"state":"revoked","data":{"intitule":"a<b é"}}}`
	one, err := Parse("api_entreprise", V2, []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	for body, same := range map[string]bool{
		`{"data":{"data":{"intitule":"a\u003cb \u00e9"},"state":"revoked"},"model_id":1, "fired_at":1777880000,"event":"revoke"}`: true,
		`{"event":"revoke","fired_at":1777880001,"model_id":1,"data":{"state":"revoked","data":{"intitule":"a<b é"}}}`:            false,
		`{"event":"revoke","fired_at":1777880000,"model_id":2,"data":{"state":"revoked","data":{"intitule":"a<b é"}}}`:            false,
		`{"event":"revoke","fired_at":1777880000,"model_id":1,"data":{"state":"revoked","data":{"intitule":"a<b e"}}}`:            false,
	} {
		other, err := Parse("api_entreprise", V2, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if (other.Identity == one.Identity) != same {
			t.Errorf("same=%v: %s", same, body)
		}
	}
	if other, _ := Parse("api_particulier", V2, []byte(base)); other.Identity == one.Identity {
		t.Error("the provider is not part of the identity")
	}
}

func TestEmailsAreOneMailbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-z ,<>@."\r\n\\]{0,20}`).Draw(t, "address")
		if validEmail(s) && (strings.Count(s, "@") != 1 || strings.ContainsAny(s, " \r\n<>,")) {
			t.Fatal(fmt.Sprintf("%q", s))
		}
	})
}

// What is taken for a plain address would be found right if it were looked at.
func TestPlainEmailsAreEmails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[aZ0_+\-.@]{0,12}(@[aZ0_+\-.]{0,8}\.[a-z]{0,2})?`).Draw(t, "address")
		if plainEmail(s) != slowEmail(s) {
			t.Fatalf("%q: %v", s, plainEmail(s))
		}
	})
}
