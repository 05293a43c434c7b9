package grant

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// The rules of mails that Guichet has: those of API Particulier, and those of
// every other provider.
//
//go:embed mails
var mailFiles embed.FS

var defaultMails = sync.OnceValue(func() map[string][]MailRule {
	all := map[string][]MailRule{}
	for _, name := range []string{"default", "api_particulier"} {
		text, err := mailFiles.ReadFile("mails/" + name + ".toml")
		if err == nil {
			all[name], err = ReadMails(text)
		}
		if err != nil {
			panic("grant: mails/" + name + ".toml: " + err.Error()) // it is in this program
		}
	}
	return all
})

// DefaultMails are the rules of a provider that has no file of its own.
func DefaultMails(provider string) []MailRule {
	if rules, own := defaultMails()[provider]; own {
		return rules
	}
	return defaultMails()["default"]
}

var (
	mailName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	mailHead = regexp.MustCompile(`^\s*\[\[\s*mail\s*\]\]`)
)

// ReadMails reads a file of rules. What is wrong is told with its line and key:
// a mail that is misspelt is a person who is not told.
func ReadMails(text []byte) ([]MailRule, error) {
	var file struct {
		Mail []MailRule `toml:"mail"`
	}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&file); err != nil {
		var missing *toml.StrictMissingError
		var wrong *toml.DecodeError
		switch {
		case errors.As(err, &missing) && len(missing.Errors) > 0:
			row, _ := missing.Errors[0].Position()
			return nil, fmt.Errorf("line %d: there is no key %q", row, strings.Join(missing.Errors[0].Key(), "."))
		case errors.As(err, &wrong):
			row, _ := wrong.Position()
			return nil, fmt.Errorf("line %d: key %q: %w", row, keyOn(text, row), wrong)
		}
		return nil, err
	}
	names := map[string]bool{}
	for i, m := range file.Mail {
		key, problem := m.check()
		if problem == "" && names[m.Name] {
			key, problem = "name", "another mail has this name"
		}
		if problem != "" {
			return nil, fmt.Errorf("line %d: mail %q: key %q: %s", lineOf(text, i, key), m.Name, key, problem)
		}
		names[m.Name] = true
	}
	return file.Mail, nil
}

// check tells which key of a rule is wrong, and why.
func (m MailRule) check() (key, problem string) {
	_, delayed := parseDelay(m.After)
	switch {
	case !mailName.MatchString(m.Name):
		return "name", "a name has lower-case letters, digits and _"
	case !slices.Contains(MailCauses(), m.On):
		return "on", fmt.Sprintf("%q is none of %v", m.On, MailCauses())
	case !slices.Contains(LetterKinds(), m.Template):
		return "template", fmt.Sprintf("%q is none of %v", m.Template, LetterKinds())
	case (m.On == MailTokenBlocked || m.On == MailTokenExpires || m.On == MailTokenTakenOver) != m.Template.aboutOneToken(m.On):
		return "template", fmt.Sprintf("%q cannot be written about %q", m.Template, m.On)
	case len(m.To) == 0:
		return "to", "nobody is named"
	case m.Reopening != ReopeningNo && m.Reopening != ReopeningAlso && m.Reopening != ReopeningOnly:
		return "reopening", `this is "also" or "only", or is left out`
	case !delayed:
		return "after", "this is like 14d or 36h, two years at most"
	case m.After != "" && m.On.aboutTokens():
		return "after", "what is about one token does not wait"
	}
	for _, who := range m.To {
		if !isRole(who) && !validEmail(who) {
			return "to", fmt.Sprintf("%q is neither a role (applicant, technical_contact, business_contact) nor an e-mail address", who)
		}
	}
	for _, c := range m.If {
		if _, known := condition(c, occasion{}); !known {
			return "if", fmt.Sprintf(`%q is not a condition: "technical_contact is applicant", "… is not …", "… is missing", "token", "no token"`, c)
		}
	}
	return "", ""
}

// aboutOneToken tells whether a letter is the one that is written about the cause.
func (k LetterKind) aboutOneToken(c MailCause) bool {
	if c.aboutTokens() {
		return string(k) == string(c)
	}
	return k == "token_blocked" || k == "token_expires" || k == "token_taken_over"
}

// keyOn is the key that stands on a line.
func keyOn(text []byte, row int) string {
	lines := bytes.Split(text, []byte("\n"))
	if row < 1 || row > len(lines) {
		return ""
	}
	key, _, _ := bytes.Cut(lines[row-1], []byte("="))
	return strings.TrimSpace(string(key))
}

// lineOf finds the line of a key in the n-th mail of a file; the line the mail
// begins on when it has no such key.
func lineOf(text []byte, n int, key string) int {
	begins, seen := 0, -1
	for i, line := range strings.Split(string(text), "\n") {
		if mailHead.MatchString(line) {
			if seen++; seen == n {
				begins = i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if seen == n && ok && strings.TrimSpace(name) == key {
			return i + 1
		}
	}
	return begins
}
