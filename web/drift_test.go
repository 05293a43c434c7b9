package web_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/connector/datapass"
	"guichet/grant"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
)

// received gives what the simulated DataPass sends to the desk, without a wire.
type received struct{ desk *grant.Desk }

func (d received) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if _, err := d.desk.Receive(r.Context(), "api_entreprise", grant.V2, body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewBufferString("{}")), Request: r}, nil
}

// source gives an office a DataPass of its own.
func (o *office) source(db *storetest.DB) *simdatapass.Site {
	o.t.Helper()
	site := simdatapass.New(simdatapass.Options{
		Clock: db.Clock.Clock(), Receiver: "http://guichet.test", ClientID: "guichet", ClientSecret: "s3cret", Client: &http.Client{Transport: received{o.desk}},
		Providers: []simdatapass.Provider{{Name: "api_entreprise", Secrets: []guichet.Secret{"k"}}},
	})
	web := httptest.NewServer(site)
	o.t.Cleanup(web.Close)
	o.drifts.Sources["api_entreprise"] = &datapass.Client{
		URL: web.URL + "/api/v1", ClientID: "guichet", Secret: "s3cret", Definition: "api_entreprise", Webhook: "api_entreprise", Clock: db.Clock.Clock(),
	}
	return site
}

// The page of drifts: nothing configured, nothing found, a lost revocation found,
// left as it is with a reason, another one repaired. Members see none of it.
func TestDriftsPage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		v.get("/drifts").is(200, "/drifts", "Rien à comparer pour l’instant")
		site := o.source(db)
		v.get("/drifts").says("Jamais lu", "Comparer maintenant", "Les deux côtés disent la même chose")
		for range 2 {
			n, err := site.Create(simdatapass.Draft{Provider: "api_entreprise", Title: "Cantines <script>alert(1)</script>"})
			if err != nil {
				t.Fatal(err)
			}
			site.Step(t.Context())
			for _, event := range []string{"submit", "approve", "revoke"} {
				db.Clock.Advance(time.Minute)
				if event == "revoke" {
					_ = site.Fault(simdatapass.FaultDrop, 1)
				}
				if err := site.Do(n, event); err != nil {
					t.Fatal(err)
				}
				site.Step(t.Context())
			}
		}
		if p := v.post("/drifts/now", "provider", "api_entreprise"); !strings.Contains(p.body, "La lecture commence") {
			t.Errorf("%d %s", p.status, p.body)
		}
		if n := db.Value("SELECT COUNT(*) FROM jobs WHERE kind = 'reconcile' AND job_key = 'api_entreprise'"); n != "1" {
			t.Errorf("%s jobs", n)
		}
		if _, err := o.drifts.Run(t.Context(), "api_entreprise", nil); err != nil {
			t.Fatal(err)
		}
		p := v.get("/drifts").says("Lu en entier", "2 demandes lues", "Un jeton fonctionne que DataPass n’accorde plus", "Habilitation révoquée", "1 jeton fonctionne encore", "Voir dans DataPass")
		v.get("/alerts").says("DataPass et Guichet ne disent pas la même chose", "Écarts")
		v.get(v.get("/alerts").link("Examiner")).is(200, "/drifts", "Écarts")
		if n := db.Value("SELECT COUNT(*) FROM tokens WHERE blocked_at <> 0"); n != "0" {
			t.Errorf("%s tokens blocked by looking", n)
		}
		drifts, err := db.Drifts().Drifts(t.Context(), grant.DriftFilter{})
		if err != nil || len(drifts) != 2 {
			t.Fatal(drifts, err)
		}
		left, repaired := "/drifts/"+drifts[0].ID.String(), "/drifts/"+drifts[1].ID.String()
		if !strings.Contains(p.body, left+"/dismiss") || !strings.Contains(p.body, repaired+"/repair") {
			t.Error("the cards have no buttons")
		}
		if p := v.post(left+"/dismiss", "reason", " "); p.status != http.StatusUnprocessableEntity {
			t.Errorf("dismissed without a reason: %d", p.status)
		}
		v.post(left+"/dismiss", "reason", "erreur de saisie <b>").is(200, "/drifts", "Laissé ainsi")
		v.post(repaired+"/repair").is(200, "/drifts", "les deux côtés disent de nouveau la même chose", "Les deux côtés disent la même chose")
		if n := db.Value("SELECT COUNT(*) FROM tokens WHERE blocked_at <> 0"); n != "1" {
			t.Errorf("%s tokens blocked by the repair", n)
		}
		if p := v.post(repaired + "/repair"); p.status != http.StatusConflict {
			t.Errorf("repaired twice: %d", p.status)
		}
		v.get("/drifts?state=dismissed").says("erreur de saisie <b>", "Laissé ainsi par nora@guichet.example")
		v.get("/drifts?state=repaired").says("Réparé par nora@guichet.example")
		v.get("/requests/api_entreprise/"+drifts[1].ExternalID).says("Habilitation révoquée", "Écart réparé", "nora@guichet.example")
		if p := v.post("/drifts/now", "provider", "nobody"); p.status != http.StatusConflict {
			t.Errorf("%d", p.status)
		}
		for _, path := range []string{"/drifts/x/repair", "/drifts/00000000-0000-0000-0000-000000000000/repair"} {
			if p := v.post(path); p.status != http.StatusNotFound {
				t.Errorf("%s: %d", path, p.status)
			}
		}
		if err := site.Fault(simdatapass.FaultAPIDown, 9); err != nil {
			t.Fatal(err)
		}
		if _, err := o.drifts.Run(t.Context(), "api_entreprise", nil); err == nil {
			t.Fatal("the source was down")
		}
		v.get("/drifts").says("Échec", "La source ne répond pas")
		if p := v.get("/drifts?before=x"); p.status != http.StatusUnprocessableEntity {
			t.Errorf("%d", p.status)
		}
	})
}

// A refusal that is older than the day we began to listen is no missed event, and
// explains the difference all the same: the card says so, and what it offers makes
// both sides agree. Where somebody decided by hand nothing is offered.
func TestDriftExplainsWhatItOffers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		o := newOffice(t, db)
		v := o.operator("nora@guichet.example")
		site, now := o.source(db), db.Clock.Now()
		request := func(events ...string) string {
			t.Helper()
			at := now.Add(-72 * time.Hour)
			n, err := site.Create(simdatapass.Draft{Provider: "api_entreprise", Title: "Subventions", At: at})
			for _, event := range events {
				site.Step(t.Context())
				name, lost := strings.CutPrefix(event, "-")
				if at = at.Add(5 * time.Hour); lost {
					err = errors.Join(err, site.Fault(simdatapass.FaultDrop, 1))
				}
				err = errors.Join(err, site.DoAt(n, name, at))
			}
			if site.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			return strconv.Itoa(n)
		}
		refused, byHand := request("submit", "-refuse"), request("submit", "approve")
		if _, err := o.desk.Revoke(t.Context(), guichet.Actor{Kind: guichet.ByPerson, ID: "o", Name: "nora@guichet.example"}, "api_entreprise", byHand, "doute"); err != nil {
			t.Fatal(err)
		}
		card := func(number string) string {
			t.Helper()
			if _, err := o.drifts.Run(t.Context(), "api_entreprise", nil); err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(v.get("/drifts").body, "API Entreprise · "+number)
			before, _, _ := strings.Cut(after, "API Entreprise · ")
			return before
		}
		offers, nothing := card(refused), card(byHand)
		if !strings.Contains(offers, "n’a rien changé ici") || !strings.Contains(offers, "/repair") || strings.Contains(offers, "Aucun événement perdu") {
			t.Errorf("the older refusal: %s", offers)
		}
		if !strings.Contains(nothing, "Aucun événement perdu ne l’explique") || strings.Contains(nothing, "/repair") {
			t.Errorf("revoked by hand: %s", nothing)
		}
		drifts, err := db.Drifts().Drifts(t.Context(), grant.DriftFilter{})
		if err != nil || len(drifts) != 2 {
			t.Fatal(drifts, err)
		}
		for _, d := range drifts {
			if d.ExternalID == refused {
				v.post("/drifts/"+d.ID.String()+"/repair").is(200, "/drifts", "les deux côtés disent de nouveau la même chose")
			}
		}
		if got := db.Value("SELECT status FROM requests WHERE external_id = $1", refused); got != "refused" {
			t.Errorf("after the repair the request is %s", got)
		}
	})
}
