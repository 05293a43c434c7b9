package bank

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"

	"guichet"
)

const maxFieldBytes = 8192 // an address that a bank sends back to can be long

// CheckFields tells the first thing that is wrong with what a person typed into
// a form, or nil. No value is ever in the error.
func CheckFields(form []Field, values map[string]guichet.Secret) error {
	known := make(map[string]bool, len(form))
	for _, f := range form {
		known[f.ID] = true
		if err := f.check(values[f.ID].Reveal()); err != nil {
			return err
		}
	}
	for id := range values {
		if !known[id] {
			return &guichet.Error{Kind: guichet.Invalid, Code: "field_unknown", Field: "fields." + printable(id, 64), Reason: "The bank does not ask for this."}
		}
	}
	return nil
}

func (f Field) check(value string) error {
	wrong := func(code, reason string) error {
		return &guichet.Error{Kind: guichet.Invalid, Code: code, Field: "fields." + f.ID, Reason: reason}
	}
	switch {
	case value == "" && f.Required:
		return wrong("field_required", "The bank needs this.")
	case value == "":
		return nil
	case len(value) > maxFieldBytes:
		return wrong("field_invalid", "This is too long.")
	case strings.ContainsFunc(value, unicode.IsControl):
		return wrong("field_invalid", "There is a character in it that nobody can type.")
	case len(f.Choices) > 0:
		for _, c := range f.Choices {
			if c.Value == value {
				return nil
			}
		}
		return wrong("field_invalid", "This is not one of the choices.")
	case f.Pattern == "":
		return nil
	}
	// A pattern that Go cannot read is the connector's business alone.
	if pattern, err := regexp.Compile(`^(?:` + f.Pattern + `)$`); err == nil && !pattern.MatchString(value) {
		return wrong("field_invalid", "This has not the form that the bank expects.")
	}
	return nil
}

// openFields are the values of a form that may be shown again.
func openFields(form []Field, values map[string]guichet.Secret) map[string]string {
	shown := map[string]string{}
	for _, f := range form {
		if v := values[f.ID]; !f.Masked && v != "" {
			shown[f.ID] = v.Reveal()
		}
	}
	return shown
}

// loginParts is what makes a login the same login: the institution and what is
// not secret in the form. When everything is secret, everything counts.
func loginParts(inst Institution, values map[string]guichet.Secret) []string {
	parts := []string{inst.Connector, inst.ID}
	for pass := range 2 {
		for _, f := range inst.Fields {
			if (!f.Masked || pass == 1) && values[f.ID] != "" {
				parts = append(parts, f.ID, strings.TrimSpace(values[f.ID].Reveal()))
			}
		}
		if len(parts) > 2 {
			break
		}
	}
	return parts
}

func marshalSecrets(values map[string]guichet.Secret) []byte {
	plain := make(map[string]string, len(values))
	for id, v := range values {
		plain[id] = v.Reveal()
	}
	return marshal(plain)
}

func unmarshalSecrets(b []byte) (map[string]guichet.Secret, error) {
	var plain map[string]string
	if err := json.Unmarshal(b, &plain); err != nil {
		return nil, err
	}
	values := make(map[string]guichet.Secret, len(plain))
	for id, v := range plain {
		values[id] = guichet.Secret(v)
	}
	return values, nil
}

// marshal writes JSON of types that always can be.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("bank: " + err.Error())
	}
	return b
}

// printable makes foreign text fit to be kept and shown: no control characters,
// no more than so many runes.
func printable(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if n == limit {
			break
		}
		if r == '\n' || r == '\t' {
			r = ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			continue // Cf: marks that turn the direction of text, or hide
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}
