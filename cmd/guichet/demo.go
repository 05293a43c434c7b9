package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/people"
	simbank "guichet/sim/bank"
	simdatapass "guichet/sim/datapass"
)

type demoCmd struct {
	Addr     string `help:"Address to listen on." default:"127.0.0.1:8080"`
	Admin    string `help:"Address for operators." default:"127.0.0.1:8081"`
	BankAddr string `help:"Address of the simulated bank." default:"127.0.0.1:8090"`
	Keep     string `help:"Keep the data in this folder; a temporary one that goes at the end when not given." placeholder:"FOLDER"`
}

// Whoever runs the demo is told these; they open nothing else.
const (
	demoEmail    = "demo@guichet.test"
	demoPassword = "guichet-de-demonstration"
	demoSecret   = "secret-de-demonstration"
)

// Run starts everything a visitor wants to see: the server on an empty database,
// a simulated bank, and a history sent by a simulated DataPass.
func (d demoCmd) Run(ctx context.Context, t terminal, _ *cli) error {
	folder := d.Keep
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "guichet-demo-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(folder) }()
	}
	bankListener, err := net.Listen("tcp", d.BankAddr)
	if err != nil {
		return err
	}
	c, err := d.config(folder, "http://"+bankListener.Addr().String())
	if err != nil {
		return err
	}
	p, err := openProgram(ctx, c, newLog("warn", t.err))
	if err != nil {
		return errors.Join(err, bankListener.Close())
	}
	me, err := p.people.AddPerson(ctx, guichet.System("demo"), people.NewPerson{
		Email: demoEmail, Name: "Camille Démo", Role: people.Operator, Password: demoPassword,
	})
	if err != nil && !errors.Is(err, people.ErrEmailTaken) {
		return errors.Join(err, p.store.Close())
	}
	fresh := err == nil
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- serveSim(ctx, bankListener, simbank.New(p.clock)) }()
	go func() { failed <- p.serve(ctx) }()
	if fresh {
		err = p.waitUntilServed(ctx)
		if err == nil {
			err = p.fillDemo(ctx, me)
		}
	} else {
		err = nil
	}
	if err == nil {
		_, _ = fmt.Fprintf(t.out, "\nGuichet   %s\nSign in   %s   %s\nBank      %s (any login; \"otp\" asks for the code 123456)\nData      %s\nCtrl-C ends it.\n\n",
			c.URL, demoEmail, demoPassword, c.SimBank, folder)
		err = <-failed
	}
	stop()
	return errors.Join(err, <-failed, p.store.Close())
}

func (d demoCmd) config(folder, bankURL string) (config, error) {
	for name, value := range map[string]string{
		"GUICHET_ADDR": d.Addr, "GUICHET_ADMIN_ADDR": d.Admin, "GUICHET_DATABASE": "sqlite:" + filepath.Join(folder, "guichet.db"),
		"GUICHET_KEY_FILE": filepath.Join(folder, "guichet.key"), "GUICHET_SIM_BANK": bankURL,
		"GUICHET_DATAPASS_SECRETS": "api_entreprise=" + demoSecret + ",api_particulier=" + demoSecret,
	} {
		if err := os.Setenv(name, value); err != nil {
			return config{}, err
		}
	}
	return loadConfig("")
}

// waitUntilServed asks until the server answers: it is about to.
func (p *program) waitUntilServed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.config.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(r); err == nil {
			return response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// fillDemo makes a history: requests by signed deliveries over HTTP, as DataPass
// sends them, and two accesses at the simulated bank.
func (p *program) fillDemo(ctx context.Context, me people.Person) error {
	for i, story := range demoStories {
		for j, event := range story.events {
			body, err := story.body(50_000+37*i, event, time.Now().Add(-time.Duration(len(demoStories)-i)*31*time.Hour).Add(time.Duration(j)*5*time.Hour))
			if err != nil {
				return err
			}
			s := simdatapass.Sender{URL: p.config.URL, Provider: story.provider, Format: "v2", Secret: demoSecret}
			if answer, err := s.Send(ctx, body); err != nil || !answer.Received() {
				return fmt.Errorf("the demo's delivery was not received: %v, %w", answer, err)
			}
		}
	}
	for login, label := range map[string]string{"simple-camille": "Compte courant", "otp-camille": "Compte joint"} {
		_, _, err := p.bank.Open(ctx, me.Actor(), bank.Opening{
			Institution: "sim", Label: label, Locale: "fr", Fields: map[string]guichet.Secret{"login": guichet.Secret(login), "password": "demonstration"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A demoStory is one request and what happened to it.
type demoStory struct {
	provider, title, organization, siret string
	events                               []string
	scopes                               []string
}

var demoStories = []demoStory{
	{"api_entreprise", "Subventions aux associations", "DÉPARTEMENT DE LA MARNE-HAUTE", "22520001900017", []string{"create", "submit", "refuse"}, []string{"associations"}},
	{"api_entreprise", "Portail des marchés", "MÉTROPOLE D’ARMOR", "24350013500189", []string{"create", "submit", "approve"}, []string{"attestation_fiscale_dgfip", "open_data_unites_legales"}},
	{"api_particulier", "Carte jeunes", "RÉGION CENTRE-EST", "23450002300028", []string{"create", "submit"}, []string{"cnaf_quotient_familial"}},
	{"api_particulier", "Tarification de la cantine", "VILLE DE PORT-NEUF", "21170300900013", []string{"create", "submit", "approve", "reopen", "submit"}, []string{"cnaf_quotient_familial", "dgfip_avis"}},
	{"api_entreprise", "Aides aux commerces", "COMMUNAUTÉ DE COMMUNES DU LAC", "24740056700011", []string{"create", "submit", "approve", "archive"}, []string{"attestation_sociale_urssaf", "bilans_bdf"}},
	{"api_entreprise", "Vérification des fournisseurs", "SYNDICAT DES EAUX DU VAL", "25690003100042", []string{"create", "submit", "request_changes"}, []string{"open_data_etablissements"}},
	{"api_particulier", "Bourses scolaires", "VILLE DE MONTCLAIR", "21310390100015", []string{"create", "archive"}, []string{"dgfip_avis"}},
	{"api_entreprise", "Marchés publics de Valmont", "COMMUNE DE VALMONT", "21730065600011", []string{"create", "submit", "approve", "revoke"}, []string{"attestation_fiscale_dgfip", "open_data_numero_tva_dgfip"}},
	{"api_particulier", "Guichet des familles", "COMMUNE DE SAINT-AUBIN", "21490267400019", []string{"create", "submit", "approve"}, []string{"cnaf_quotient_familial", "msa_quotient"}},
}

func (s demoStory) body(number int, event string, at time.Time) ([]byte, error) {
	person := func(role, given, family, email string) map[string]any {
		return map[string]any{
			role + "_given_name": given, role + "_family_name": family, role + "_email": email, role + "_phone_number": "0400000000",
		}
	}
	form := map[string]any{"intitule": s.title, "description": "Donnée de démonstration.", "scopes": s.scopes}
	for _, contact := range []map[string]any{
		person("contact_metier", "Lou", "Perrin", "lou.perrin@exemple.test"), person("contact_technique", "Idir", "Benali", "idir.benali@exemple.test"),
	} {
		for k, v := range contact {
			form[k] = v
		}
	}
	var authorizations []map[string]any
	if event == "approve" || event == "revoke" || event == "archive" || event == "reopen" {
		revoked := event == "revoke"
		state := map[bool]string{true: "revoked", false: "active"}[revoked]
		authorizations = append(authorizations, map[string]any{
			"id": number + 20_000, "definition_id": s.provider, "state": state, "revoked": revoked, "created_at": at.Format(time.RFC3339), "data": form,
		})
	}
	all := map[string]any{
		"event": "", "fired_at": at.Unix(), "model_type": "authorization_request/" + s.provider, "model_id": number,
		"data": map[string]any{
			"id": number, "public_id": fmt.Sprintf("5f0c9d52-3f0e-4a53-8d0b-%012d", number), "state": "draft", "form_uid": "demonstration", "data": form,
			"organization":   map[string]any{"id": number, "name": s.organization, "siret": s.siret},
			"applicant":      map[string]any{"id": number, "uid": strconv.Itoa(number), "email": "claire.morel@exemple.test", "given_name": "Claire", "family_name": "Morel"},
			"authorizations": authorizations,
		},
	}
	if event == "revoke" {
		all["data"].(map[string]any)["reason"] = "Fin de la convention"
	}
	body, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return simdatapass.As(body, event, at)
}
