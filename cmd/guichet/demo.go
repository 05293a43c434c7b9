package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	DataPass string `help:"Address of the simulated DataPass." default:"127.0.0.1:8091" name:"datapass-addr"`
	Keep     string `help:"Keep the data in this folder; a temporary one that goes at the end when not given." placeholder:"FOLDER"`
}

// Whoever runs the demo is told these; they open nothing else.
const (
	demoEmail    = "demo@guichet.test"
	demoPassword = "entrez-sans-frapper"
	demoSecret   = "secret-de-demonstration"
	demoNext     = "secret-suivant-de-demonstration" // the page of the simulated DataPass can go on to it
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
	// Whoever holds our address would be sent the history of this demo.
	for _, address := range []string{d.Addr, d.Admin} {
		free, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		if err := free.Close(); err != nil {
			return err
		}
	}
	bankListener, err := net.Listen("tcp", d.BankAddr)
	if err != nil {
		return err
	}
	sourceListener, err := net.Listen("tcp", d.DataPass)
	if err != nil {
		return errors.Join(err, bankListener.Close())
	}
	c, err := d.config(folder, "http://"+bankListener.Addr().String(), "http://"+sourceListener.Addr().String())
	if err != nil {
		return errors.Join(err, bankListener.Close(), sourceListener.Close())
	}
	p, err := openProgram(ctx, c, newLog("warn", t.err))
	if err != nil {
		return errors.Join(err, bankListener.Close(), sourceListener.Close())
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
	source := simSource(c, p.clock, c.URL, nil)
	if err := source.KeepIn(filepath.Join(folder, "datapass.json")); err != nil {
		return errors.Join(err, p.store.Close())
	}
	failed := make(chan error, 3)
	go func() { failed <- serveSim(ctx, bankListener, simbank.New(p.clock)) }()
	filled := make(chan struct{})
	go func() {
		// Whoever compares with a history that is being made finds drifts that are none:
		// they wait in the queue of the listener.
		select {
		case <-filled:
		case <-ctx.Done():
		}
		failed <- serveSim(ctx, sourceListener, source)
	}()
	go func() { failed <- p.serve(ctx) }()
	// Also what an earlier demo had not delivered goes to a server that is there.
	if err = p.waitUntilServed(ctx); err == nil && fresh {
		err = p.fillDemo(ctx, me, source)
	}
	close(filled)
	if err == nil {
		go source.Run(ctx)
		_, _ = fmt.Fprintf(t.out, "\nGuichet   %s\nSign in   %s   %s\nBank      %s (any login; \"otp\" asks for the code 123456)\nDataPass  http://%s (validate, revoke, lose a delivery…)\nData      %s\nCtrl-C ends it.\n\n",
			c.URL, demoEmail, demoPassword, c.SimBank, sourceListener.Addr(), folder)
		err = <-failed
	}
	stop()
	return errors.Join(err, <-failed, <-failed, p.store.Close())
}

func (d demoCmd) config(folder, bankURL, sourceURL string) (config, error) {
	providers := filepath.Join(folder, "providers.toml")
	var text strings.Builder
	for _, name := range []string{"api_entreprise", "api_particulier"} {
		_, _ = fmt.Fprintf(&text, "[%s]\nsource_url = %q\n[%s.api]\nurl = %q\nclient_id = %q\nsecret = %q\nwebhook = %q\nsettle = \"20s\"\n",
			name, sourceURL, name, sourceURL+"/api/v1", simClient, simClientSecret, name)
	}
	if err := os.WriteFile(providers, []byte(text.String()), 0o600); err != nil {
		return config{}, err
	}
	for name, value := range map[string]string{
		"GUICHET_ADDR": d.Addr, "GUICHET_ADMIN_ADDR": d.Admin, "GUICHET_DATABASE": "sqlite:" + filepath.Join(folder, "guichet.db"),
		"GUICHET_KEY_FILE": filepath.Join(folder, "guichet.key"), "GUICHET_SIM_BANK": bankURL, "GUICHET_PROVIDERS_FILE": providers,
		"GUICHET_DATAPASS_SECRETS": "api_entreprise=" + demoSecret + "|" + demoNext + ",api_particulier=" + demoSecret + "|" + demoNext,
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

// fillDemo makes a history: requests that happened at the simulated DataPass, which
// delivers them over HTTP, and two accesses at the simulated bank.
func (p *program) fillDemo(ctx context.Context, me people.Person, source *simdatapass.Site) error {
	for i, story := range demoStories {
		at := p.clock.Now().Add(-time.Duration(len(demoStories)-i) * 31 * time.Hour)
		number, err := source.Create(simdatapass.Draft{
			Provider: story.provider, Title: story.title, Organization: story.organization, SIRET: story.siret, Scopes: story.scopes, At: at,
		})
		if err != nil {
			return err
		}
		for _, event := range story.events {
			source.Step(ctx)
			name, lost := strings.CutPrefix(event, "-")
			if at = at.Add(5 * time.Hour); lost {
				err = source.Fault(simdatapass.FaultDrop, 1)
			}
			if err = errors.Join(err, source.DoAt(number, name, at)); err != nil {
				return err
			}
		}
		source.Step(ctx)
	}
	for login, label := range map[string]string{"simple-camille": "Compte courant", "otp-camille": "Compte joint"} {
		_, _, err := p.bank.Open(ctx, me.Actor(), bank.Opening{
			Institution: "sim", Label: label, Locale: "fr", Fields: map[string]guichet.Secret{"login": guichet.Secret(login), "password": "fleur-de-sel"},
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
	events                               []string // "-" before one: its delivery is lost
	scopes                               []string
}

var demoStories = []demoStory{
	{"api_entreprise", "Subventions aux associations", "DÉPARTEMENT DE LA MARNE-HAUTE", "22520001900017", []string{"submit", "refuse"}, []string{"associations"}},
	{"api_entreprise", "Portail des marchés", "MÉTROPOLE D’ARMOR", "24350013500189", []string{"submit", "approve"}, []string{"attestation_fiscale_dgfip", "open_data_unites_legales"}},
	{"api_particulier", "Carte jeunes", "RÉGION CENTRE-EST", "23450002300028", []string{"submit"}, []string{"cnaf_quotient_familial"}},
	{"api_particulier", "Tarification de la cantine", "VILLE DE PORT-NEUF", "21170300900013", []string{"submit", "approve", "reopen", "submit"}, []string{"cnaf_quotient_familial", "dgfip_avis"}},
	// Its revocation was lost on the way: an alert now, a drift at the next reconciliation.
	{"api_entreprise", "Aides aux commerces", "COMMUNAUTÉ DE COMMUNES DU LAC", "24740056700011", []string{"submit", "approve", "-revoke", "archive"}, []string{"attestation_sociale_urssaf", "bilans_bdf"}},
	{"api_entreprise", "Vérification des fournisseurs", "SYNDICAT DES EAUX DU VAL", "25690003100042", []string{"submit", "request_changes"}, []string{"open_data_etablissements"}},
	{"api_particulier", "Bourses scolaires", "VILLE DE MONTCLAIR", "21310390100015", []string{"archive"}, []string{"dgfip_avis"}},
	{"api_entreprise", "Marchés publics de Valmont", "COMMUNE DE VALMONT", "21730065600011", []string{"submit", "approve", "revoke"}, []string{"attestation_fiscale_dgfip", "open_data_numero_tva_dgfip"}},
	{"api_particulier", "Guichet des familles", "COMMUNE DE SAINT-AUBIN", "21490267400019", []string{"submit", "approve"}, []string{"cnaf_quotient_familial", "msa_quotient"}},
}
