package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
	"guichet/notify"
)

// providerFile is one table of GUICHET_PROVIDERS_FILE.
type providerFile struct {
	Title      string  `toml:"title"`
	Definition string  `toml:"definition_id"`
	Source     string  `toml:"source_url"`
	Algorithm  string  `toml:"algorithm"`
	Shared     string  `toml:"shared_secret"`
	Mails      *bool   `toml:"mails"`
	MailsFile  string  `toml:"mails_file"`
	API        apiFile `toml:"api"`

	Environment string            `toml:"environment"`
	Scopes      map[string]string `toml:"scopes"`
	Secrets     []secretFile      `toml:"secrets"`
	Notify      *notifyFile       `toml:"notify"`
}

// secretFile is one secret of a provider, or where it is.
type secretFile struct {
	Value string    `toml:"value"`
	File  string    `toml:"file"`
	Until time.Time `toml:"until"`
}

// notifyFile is where a provider's own systems are told of what happens.
type notifyFile struct {
	URL     string             `toml:"url"`
	Events  []grant.NoticeType `toml:"events"`
	Private bool               `toml:"private_network"`
	Secrets []secretFile       `toml:"secrets"`
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
		if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&tables); err != nil {
			return nil, configError("providers_file", "The file is not TOML as docs/configuration.md says: "+where(b, err)+".")
		}
		for name, f := range tables {
			p, err := f.provider(name, filepath.Dir(path))
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
			p = provider{Provider: grant.Provider{Name: name, Title: titleOf(name), Mails: true, Source: sourceOf(name, ""), Mail: grant.DefaultMails(name)}, Algorithm: keyring.EdDSA}
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

// where tells the line and the key of what is wrong in a TOML file, and nothing
// else: the text of the error may quote a secret.
func where(text []byte, err error) string {
	var missing *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		row, _ := missing.Errors[0].Position()
		return fmt.Sprintf("line %d, there is no key %q", row, strings.Join(missing.Errors[0].Key(), "."))
	case errors.As(err, &wrong):
		row, _ := wrong.Position()
		if lines := bytes.Split(text, []byte("\n")); row >= 1 && row <= len(lines) {
			if key, _, ok := bytes.Cut(lines[row-1], []byte("=")); ok {
				return fmt.Sprintf("line %d, key %q", row, strings.TrimSpace(string(key)))
			}
		}
		return fmt.Sprintf("line %d", row)
	}
	return "it cannot be read"
}

func titleOf(name string) string {
	if t, ok := titles[name]; ok {
		return t
	}
	return name
}

func (f providerFile) provider(name, folder string) (provider, error) {
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
	var err error
	if p.Secrets, err = readSecrets(f.Secrets); err != nil {
		return fail(err.Error() + ".")
	}
	if !slices.Contains([]string{"", "production", "staging", "sandbox"}, f.Environment) {
		return fail("environment is production, staging or sandbox.")
	}
	p.Environment, p.ScopeNames = f.Environment, f.Scopes
	if p.Mail, err = readMails(name, f.MailsFile, folder); err != nil {
		return provider{}, err
	}
	var problem string
	if p.API, problem = f.API.read(); problem != "" {
		return fail(problem)
	}
	if f.Notify != nil {
		if err := f.Notify.read(&p); err != nil {
			return fail(err.Error() + ".")
		}
	}
	return p, nil
}

// readSecrets reads secrets where they are. Its errors are ends of a sentence.
func readSecrets(files []secretFile) (out []providerSecret, err error) {
	for _, s := range files {
		value := s.Value
		if s.File != "" {
			b, err := os.ReadFile(s.File)
			if err != nil {
				return nil, errors.New("the file of a secret cannot be read")
			}
			value = strings.TrimSpace(string(b))
		}
		if value == "" {
			return nil, errors.New("a secret is empty")
		}
		out = append(out, providerSecret{Value: keyring.Secret(value), Until: s.Until})
	}
	return out, nil
}

// readMails reads who is written to about what: the file of the provider, beside
// the file of providers unless its path is absolute, or what Guichet has for it.
func readMails(name, path, folder string) ([]grant.MailRule, error) {
	if path == "" {
		return grant.DefaultMails(name), nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, configError("providers_file", fmt.Sprintf("Provider %q: mails_file cannot be read.", name))
	}
	rules, err := grant.ReadMails(b)
	if err != nil {
		return nil, configError("providers_file", fmt.Sprintf("Provider %q: %s: %v", name, filepath.Base(path), err))
	}
	return rules, nil
}

// read checks where a provider's own systems listen. Its errors are ends of a sentence.
func (f notifyFile) read(p *provider) (err error) {
	p.Notify = f.Events
	if p.Notify == nil {
		p.Notify = grant.NoticeTypes()
	}
	for _, e := range f.Events {
		if !slices.Contains(grant.NoticeTypes(), e) {
			return fmt.Errorf("notify.events: there is no event %q", e)
		}
	}
	p.Endpoint = endpoint{URL: f.URL, Private: f.Private}
	if p.Endpoint.Secrets, err = readSecrets(f.Secrets); err != nil {
		return fmt.Errorf("notify.secrets: %w", err)
	}
	if len(p.Endpoint.Secrets) == 0 {
		return errors.New("notify needs a secret: whsec_ and 24 to 64 bytes in base64")
	}
	all := notify.Endpoint{URL: f.URL, Private: f.Private, Secrets: activeOf(p.Endpoint.Secrets, time.Time{})}
	var told *guichet.Error
	if errors.As(all.Check(), &told) {
		return fmt.Errorf("notify: %s", strings.TrimSuffix(told.Reason, "."))
	}
	return nil
}

// active gives the secrets that are accepted at an instant.
func (p provider) active(now time.Time) []keyring.Secret { return activeOf(p.Secrets, now) }

func activeOf(secrets []providerSecret, now time.Time) []keyring.Secret {
	var out []keyring.Secret
	for _, s := range secrets {
		if s.Until.IsZero() || now.Before(s.Until) {
			out = append(out, s.Value)
		}
	}
	return out
}
