package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"guichet/grant"
	"guichet/keyring"
)

// providerFile is one table of GUICHET_PROVIDERS_FILE.
type providerFile struct {
	Title      string  `toml:"title"`
	Definition string  `toml:"definition_id"`
	Source     string  `toml:"source_url"`
	Algorithm  string  `toml:"algorithm"`
	Shared     string  `toml:"shared_secret"`
	Mails      *bool   `toml:"mails"`
	API        apiFile `toml:"api"`
	Secrets    []struct {
		Value string    `toml:"value"`
		File  string    `toml:"file"`
		Until time.Time `toml:"until"`
	} `toml:"secrets"`
}

var providerName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// titles are the names people know, for the providers that DataPass serves.
var titles = map[string]string{"api_entreprise": "API Entreprise", "api_particulier": "API Particulier"}

// sourceOf is where the people of a provider's requests change them: DataPass, for
// the providers it serves.
func sourceOf(name, told string) string {
	if _, known := titles[name]; known && told == "" {
		return "https://datapass.api.gouv.fr"
	}
	return strings.TrimSuffix(told, "/")
}

// loadProviders reads the file of providers, then the short form, whose secrets
// are added.
func loadProviders(path, short string) (map[string]provider, error) {
	all := map[string]provider{}
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, configError("providers_file", "The file cannot be read.")
		}
		var tables map[string]providerFile
		if err := toml.Unmarshal(b, &tables); err != nil {
			// the text of the error may quote a secret
			return nil, configError("providers_file", "The file is not TOML as docs/configuration.md says.")
		}
		for name, f := range tables {
			p, err := f.provider(name)
			if err != nil {
				return nil, err
			}
			all[name] = p
		}
	}
	if short == "" {
		return all, nil
	}
	for _, part := range strings.Split(short, ",") {
		name, secrets, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !providerName.MatchString(name) {
			return nil, configError("datapass_secrets", "This is like api_entreprise=secret1|secret2,api_particulier=secret.")
		}
		p, known := all[name]
		if !known {
			p = provider{Provider: grant.Provider{Name: name, Title: titleOf(name), Mails: true, Source: sourceOf(name, "")}, Algorithm: keyring.EdDSA}
		}
		for _, s := range strings.Split(secrets, "|") {
			if s == "" {
				return nil, configError("datapass_secrets", fmt.Sprintf("A secret of %s is empty.", name))
			}
			p.Secrets = append(p.Secrets, providerSecret{Value: keyring.Secret(s)})
		}
		all[name] = p
	}
	return all, nil
}

func titleOf(name string) string {
	if t, ok := titles[name]; ok {
		return t
	}
	return name
}

func (f providerFile) provider(name string) (provider, error) {
	fail := func(reason string) (provider, error) {
		return provider{}, configError("providers_file", fmt.Sprintf("Provider %q: %s", name, reason))
	}
	if !providerName.MatchString(name) {
		return fail("a name has lower-case letters, digits and _.")
	}
	p := provider{
		Provider:  grant.Provider{Name: name, Title: f.Title, Definition: f.Definition, Mails: f.Mails == nil || *f.Mails, Source: sourceOf(name, f.Source)},
		Algorithm: keyring.Algorithm(f.Algorithm), Shared: keyring.Secret(f.Shared),
	}
	if p.Title == "" {
		p.Title = titleOf(name)
	}
	switch p.Algorithm {
	case "":
		p.Algorithm = keyring.EdDSA
	case keyring.EdDSA, keyring.ES256:
	case keyring.HS256:
		if p.Shared == "" {
			return fail("HS256 needs shared_secret, which the gateways have too.")
		}
	default:
		return fail("algorithm is EdDSA, ES256 or HS256.")
	}
	var problem string
	if p.API, problem = f.API.read(); problem != "" {
		return fail(problem)
	}
	for _, s := range f.Secrets {
		value := s.Value
		if s.File != "" {
			b, err := os.ReadFile(s.File)
			if err != nil {
				return fail("the file of a secret cannot be read.")
			}
			value = strings.TrimSpace(string(b))
		}
		if value == "" {
			return fail("a secret is empty.")
		}
		p.Secrets = append(p.Secrets, providerSecret{Value: keyring.Secret(value), Until: s.Until})
	}
	return p, nil
}

// active gives the secrets that are accepted at an instant.
func (p provider) active(now time.Time) []keyring.Secret {
	var out []keyring.Secret
	for _, s := range p.Secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			out = append(out, s.Value)
		}
	}
	return out
}
