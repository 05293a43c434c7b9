// Package mail writes and sends the letters of Guichet: [Render] turns a
// guichet.Letter into words, from the templates of each language, and a
// [Sender] gives them to an SMTP server.
//
// A letter never logs anyone in and never asks for a code or a password. Its
// data come from outside and are cleaned of whatever could pretend to be more
// than a word in a sentence.
package mail

import (
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"guichet"
)

// A Template is a letter that can be written. Required data must be there and
// not empty; optional ones change or remove a sentence.
type Template struct {
	Name     string
	Required []string
	Optional []string
}

// Some data have a form, told by their name: "url" is a link; "at" and
// "expires_at" are instants of RFC 3339; "blocked" and "days" are whole numbers;
// "scopes" is a list with commas or spaces; "no_token", "replaced" and "reopening"
// say yes by being there; "token" and "tokens" are the ends of identifiers. A title or a reason is only ever optional: that someone left one
// empty must not keep the news of a revocation from its reader.
var templates = []Template{
	{
		Name:     "request_approved", // to the people of a request: a token waits for them
		Required: []string{"external_id", "provider", "url"},
		Optional: []string{"title", "organization", "scopes", "expires_at", "contact", "no_token", "token"},
	},
	{
		Name:     "request_approved_technical", // to the technical contact
		Required: []string{"external_id", "provider", "url"},
		Optional: []string{"title", "organization", "scopes", "contact", "token", "applicant"},
	},
	{
		Name:     "request_approved_business", // to the business contact, who never has the token
		Required: []string{"external_id", "provider"},
		Optional: []string{"title", "organization", "scopes", "contact", "applicant"},
	},
	{
		Name:     "request_updated", // to the people of a request that was validated already
		Required: []string{"external_id", "provider", "url"},
		Optional: []string{"title", "organization", "scopes", "contact", "token"},
	},
	{
		Name:     "request_received", // to the applicant
		Required: []string{"external_id", "provider"},
		Optional: []string{"title", "organization", "contact", "source_url", "reopening"},
	},
	{
		Name:     "changes_requested", // to the applicant: it is their turn
		Required: []string{"external_id", "provider"},
		Optional: []string{"title", "organization", "reason", "contact", "source_url", "reopening"},
	},
	{
		Name:     "changes_waiting", // to the applicant, some time later
		Required: []string{"external_id", "provider", "at"},
		Optional: []string{"title", "organization", "reason", "contact", "source_url"},
	},
	{
		Name:     "draft_waiting", // to the applicant, who began and did not send
		Required: []string{"external_id", "provider", "at"},
		Optional: []string{"title", "organization", "contact", "source_url"},
	},
	{
		Name:     "request_refused", // to the applicant
		Required: []string{"external_id", "provider", "at"},
		Optional: []string{"title", "organization", "reason", "contact", "source_url", "reopening"},
	},
	{
		Name:     "request_reported", // to whoever holds the data that is asked for
		Required: []string{"external_id", "provider", "at"},
		Optional: []string{"title", "organization", "scopes", "source_url"},
	},
	{
		Name:     "request_revoked", // to the people of a request: its tokens are refused
		Required: []string{"external_id", "provider", "at", "blocked"},
		Optional: []string{"title", "organization", "reason", "contact", "tokens"},
	},
	{
		Name:     "token_taken_over", // to those who have the token: somebody used a link
		Required: []string{"external_id", "provider", "token", "at", "url"},
		Optional: []string{"title", "organization", "by", "to", "contact"},
	},
	{
		Name:     "token_expires", // to the people of a request: a token ends soon
		Required: []string{"external_id", "provider", "days", "expires_at", "url"},
		Optional: []string{"title", "organization", "token", "contact"},
	},
	{
		Name:     "token_blocked", // to the people of a request: an operator blocked one token
		Required: []string{"external_id", "provider", "at", "url"},
		Optional: []string{"title", "organization", "token", "reason", "replaced", "contact"},
	},
	{
		Name:     "alert", // to operators: something that should not happen
		Required: []string{"kind", "subject", "at", "url"},
	},
	{
		Name:     "access_waiting", // to the owner of a bank access: the bank asks them something
		Required: []string{"institution", "label", "url"},
		Optional: []string{"at"},
	},
	{
		Name:     "access_trust", // to the owner of a bank access: the bank will soon ask again
		Required: []string{"institution", "label", "days", "expires_at", "url"},
	},
	{
		Name:     "password_changed", // to a person: their password is another one now
		Required: []string{"email", "at", "url"},
	},
}

// Templates lists the letters that can be written, so that whoever makes
// letters can test that theirs are among them.
func Templates() []Template { return append([]Template(nil), templates...) }

// Errors that no further try can mend.
var (
	ErrUnknownTemplate = &guichet.Error{
		Kind: guichet.Invalid, Code: "unknown_letter", Field: "template",
		Reason: "No letter has this name.",
	}
	ErrIncomplete = &guichet.Error{
		Kind: guichet.Invalid, Code: "incomplete_letter",
		Reason: "A datum of this letter is missing or has not the right form.",
	}
	ErrBadAddress = &guichet.Error{
		Kind: guichet.Invalid, Code: "invalid_address", Field: "address",
		Reason: "This is not an e-mail address a letter can be sent to.",
	}
	ErrBadHeader = &guichet.Error{
		Kind: guichet.Invalid, Code: "invalid_header",
		Reason: "A header of this letter is empty, too long, or holds a line end.",
	}
)

// samples has every datum of every template, for previews and tests.
var samples = map[string]string{ //nolint:gosec // "token" is the end of an identifier that nobody has
	"title": "Marchés publics de Valmont", "external_id": "51234", "provider": "API Entreprise",
	"organization": "Commune de Valmont", "scopes": "entreprises, open_data", "contact": "support@entreprise.example",
	"reason": "Fin de la convention", "at": "2026-05-04T07:33:21Z", "expires_at": "2027-11-01T22:59:59Z",
	"blocked": "2", "days": "14", "token": "2f6f…a1c7", "tokens": "2f6f…a1c7, 90b1…44e2", "replaced": "yes",
	"kind": "archive_without_revoke", "subject": "api_entreprise/51235", "institution": "Banque des Tests", "label": "Compte joint",
	"email": "claire.morel@valmont.example", "url": "https://guichet.example/compte/jetons/0196a1b2", "no_token": "yes",
	"source_url": "https://datapass.example/demandes/51234", "applicant": "Claire Morel", "reopening": "yes",
	"by": "claire.morel@valmont.example", "to": "dsi@valmont.example",
}

// Sample gives data to preview a template with: all it can say of a request that
// was made for the first time.
func Sample(template string) map[string]string {
	t, _ := find(template)
	out := map[string]string{}
	for _, name := range append(append([]string(nil), t.Required...), t.Optional...) {
		if name != "no_token" && name != "reopening" {
			out[name] = samples[name]
		}
	}
	return out
}

func find(name string) (Template, bool) {
	for _, t := range templates {
		if t.Name == name {
			return t, true
		}
	}
	return Template{}, false
}

// checked gives the data the template knows, cleaned, or says which is missing.
// Data it does not know are left out: they are no error, because one letter may
// be written for several templates.
func (t Template) checked(data map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(data))
	for _, name := range append(append([]string(nil), t.Required...), t.Optional...) {
		if value := clean(data[name]); value != "" {
			out[name] = value
		}
	}
	for _, name := range t.Required {
		if out[name] == "" {
			return nil, incomplete(name)
		}
	}
	for name, value := range out {
		if !wellFormed(name, value) {
			return nil, incomplete(name)
		}
	}
	return out, nil
}

func wellFormed(name, value string) bool {
	switch name {
	case "url", "source_url":
		return linkable(value)
	case "at", "expires_at":
		_, err := time.Parse(time.RFC3339, value)
		return err == nil
	case "blocked", "days":
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0
	}
	return true
}

func incomplete(name string) error {
	e := *ErrIncomplete
	e.Field = name
	return &e
}

func linkable(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && !strings.ContainsRune(link, ' ')
}

// maxDatum keeps a letter readable whatever someone wrote in a form.
const maxDatum = 1000

// clean makes one line of words of any text: line ends and other controls
// become spaces, characters that turn the direction of what follows disappear.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r) && r != '\u00a0' && r != '\u202f':
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
	if utf8.RuneCountInString(s) > maxDatum {
		s = string([]rune(s)[:maxDatum-1]) + "…"
	}
	return s
}

// checkAddress accepts a bare ASCII address, as SMTP carries it everywhere.
func checkAddress(address string) error {
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c >= 0x7f {
			return ErrBadAddress
		}
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || parsed.Name != "" || len(address) > 254 {
		return ErrBadAddress // without err: it quotes the text
	}
	return nil
}

// ParseMailbox reads an address as configuration has it: "a@b.fr" or
// "Guichet <a@b.fr>".
func ParseMailbox(text string) (guichet.Mailbox, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return guichet.Mailbox{}, ErrBadAddress
	}
	if err := checkAddress(parsed.Address); err != nil {
		return guichet.Mailbox{}, err
	}
	return guichet.Mailbox{Name: clean(parsed.Name), Address: parsed.Address}, nil
}
