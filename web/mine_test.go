package web_test

import (
	"net/http"
	"strings"
	"testing"

	"guichet/grant"
	"guichet/store/storetest"
)

// Who is what: the applicant and the technical contact have the token, the
// business contact does not, others see nothing at all, and none is an operator.
func TestApplicants(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		id := o.send("approve", 1, "Marchés")
		own := "/compte/jetons/" + id.String()
		for email, holds := range map[string]bool{applicant: true, technical: true, business: false} {
			v := o.visitor(email)
			p := v.get("/compte").is(200, "/compte", "Marchés", "COMMUNE DE VALMONT")
			if holds {
				p := v.get(own).is(200, own, "Jeton à donner").saysNot("jwt-of-")
				if body := p.submit("/reveal").body; !strings.Contains(body, "jwt-of-"+id.String()) {
					t.Errorf("%s does not get the token", email)
				}
			} else {
				p.says("Le demandeur et le contact technique voient le jeton").saysNot(string(id[32:]))
				for _, path := range []string{own, own + "/prolong"} {
					v.get(path).is(404, path)
				}
				for _, path := range []string{own + "/reveal", own + "/hand-over", own + "/prolong"} {
					v.post(path, "step", "in_charge", "answer", "yes").is(404, path)
				}
			}
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries WHERE deed = 'token.revealed'"); n != "2" {
			t.Errorf("%s reveals in the audit", n)
		}
		stranger := o.visitor("someone@else.example")
		stranger.get("/compte").is(200, "/compte", "Aucune demande ne vous mentionne")
		for _, path := range []string{own, "/requests", "/requests.csv", "/requests/api_entreprise/1", "/journal", "/journal.jsonl", "/journal/" + db.Value("SELECT MIN(id) FROM deliveries"), "/tokens", "/tokens/" + id.String(), "/alerts", "/statistics", "/purge"} {
			stranger.get(path).is(404, path)
		}
		for _, path := range []string{own + "/hand-over", "/tokens/" + id.String() + "/block", "/tokens/" + id.String() + "/prolong", "/journal/verify", "/journal/" + db.Value("SELECT MIN(id) FROM deliveries") + "/replay", "/requests/api_entreprise/1/revoke"} {
			stranger.post(path, "reason", "x").is(404, path)
		}
		nobody := &visitor{house: o.house, t: t, client: &http.Client{}}
		nobody.get(own).is(200, "/sign-in")
	})
}

// A token given by a link: once, without an account, and noted.
func TestHandOverPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		id := o.send("approve", 1, "Marchés")
		own := "/compte/jetons/" + id.String()
		v := o.visitor(applicant)
		link := func() string {
			t.Helper()
			p := v.get(own).submit("/hand-over", "to", "Dev@Editeur.example").is(200, own+"/hand-over", "Lien à usage unique")
			_, rest, _ := strings.Cut(p.body, "http://guichet.test/transmission/")
			secret, _, _ := strings.Cut(rest, `"`)
			return "/transmission/" + secret
		}
		at := link()
		nobody := &visitor{house: o.house, t: t, client: &http.Client{}}
		for range 3 { // programs that read mails look too
			nobody.get(at).is(200, at, "Voir le jeton").saysNot("jwt-of-")
		}
		if body := nobody.get(at).submit("/transmission/").body; !strings.Contains(body, "jwt-of-"+id.String()) {
			t.Error("the link does not give the token")
		}
		if p := nobody.post(at); p.status != http.StatusGone || strings.Contains(p.body, "jwt-of-") {
			t.Errorf("the link works twice: %d", p.status)
		}
		dies := link()
		o.send("revoke", 1, "Marchés")
		if p := nobody.post(dies); p.status != http.StatusGone {
			t.Errorf("a link outlives its token: %d", p.status)
		}
		if p := v.post(own+"/hand-over", "to", "not an address"); p.status != 422 {
			t.Errorf("%d", p.status)
		}
		o.operator("nora@guichet.example").get("/requests/api_entreprise/1").says("Lien de transmission", "reçu par un lien")
	})
}

// The wizard keeps its answers, honours "no longer in charge", leads to the
// source when something changed, and prolongs by a POST only.
func TestProlongPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		id := o.send("approve", 1, "Marchés")
		own := "/compte/jetons/" + id.String()
		token, err := o.desk.Store.Standing(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		// As if it had been issued long ago: sessions live by the machine's clock.
		soon := db.Clock.Now().AddDate(0, 0, 20)
		err = o.desk.Store.Update(t.Context(), func(tx grant.Tx) error {
			late := token.Token // a transaction may run twice
			late.ExpiresAt = soon
			return tx.Amend(&late)
		})
		if err != nil {
			t.Fatal(err)
		}
		v := o.visitor(applicant)
		ends := func() string { return db.Value("SELECT CAST(expires_at AS TEXT) FROM tokens") }
		before := ends()
		o.visitor(technical).get(own).says("Morel (claire@valmont.example) peut le prolonger").saysNot("Vous pouvez le prolonger")
		v.get(own).says("Vous pouvez le prolonger")
		page := own + "/prolong"
		answer := func(step, value string) *seen { return v.post(page, "step", step, "answer", value) }
		v.get(page).is(200, page, "Êtes-vous toujours en charge", "Étape 1 sur 4")
		if p := answer("in_charge", ""); p.status != 422 {
			t.Errorf("no answer: %d", p.status)
		}
		answer("in_charge", "no").is(200, page, "Quelqu’un d’autre doit prolonger", "Transférer dans DataPass")
		if p := answer("confirm", ""); p.status != http.StatusConflict {
			t.Errorf("prolonged by someone who is not in charge: %d", p.status)
		}
		v.get(page).submit("/prolong", "step", "again").says("Étape 1 sur 4")
		answer("in_charge", "soon").says("Étape 2 sur 4")
		o.browser(v.me).get(page).says("Étape 2 sur 4") // another device goes on
		p := answer("purpose", "no").says("DataPass doit d’abord connaître")
		if to := p.link("Rouvrir la demande dans DataPass"); to != "https://datapass.example/demandes/1/reopen-from-external" {
			t.Errorf("what changed leads to %s", to)
		}
		answer("purpose", "yes").says("Étape 3 sur 4", technical)
		answer("contacts", "yes").says("Rien n’a changé", "Étape 4 sur 4")
		v.get(page)
		if ends() != before {
			t.Error("looking prolonged the token")
		}
		answer("confirm", "").says("Le jeton est prolongé")
		if ends() == before {
			t.Error("the token is not prolonged")
		}
		v.get(page).says("Le jeton est prolongé")
		if p := answer("in_charge", "yes"); p.status != http.StatusConflict {
			t.Errorf("asked again at once: %d", p.status)
		}
	})
}
