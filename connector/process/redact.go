package process

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"guichet/bank"
)

// A redactor takes the secrets of a run out of what a child says: the bank, a
// module or a traceback may repeat what they were given.
type redactor struct{ replace *strings.Replacer }

// The lengths from which a secret is looked for; a shorter one is in every other
// word. A login is no secret, yet nobody needs to read it in a log or in what a
// bank said; and what a session is made of is long.
const (
	shortest        = 3
	shortestLogin   = 6
	shortestSession = 12
)

// What of a session is looked for: more than that no line of a worker holds.
const (
	longestSession = 16 << 10
	sessionParts   = 200
)

// newRedactor knows what is secret of a run: what was answered, the form, and the
// session with the texts it is made of.
func newRedactor(run bank.Run, masked map[string]bool) *redactor {
	var forms []string
	for id, value := range run.Credentials {
		if s := value.Reveal(); masked[id] && len(s) >= shortest || len(s) >= shortestLogin {
			forms = append(forms, disguises(s)...)
		}
	}
	if run.Answer != nil {
		for _, value := range run.Answer.Fields {
			if s := value.Reveal(); len(s) >= shortest {
				forms = append(forms, disguises(s)...)
			}
		}
	}
	for _, s := range session(run.State.Reveal()) {
		forms = append(forms, disguises(s)...)
	}
	// The longest first: a part of a secret must not spoil the whole.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, "•••")
	}
	return &redactor{strings.NewReplacer(pairs...)}
}

// session is a session and the texts in it, when it is JSON.
func session(state string) (parts []string) {
	add := func(s string) {
		if len(s) >= shortestSession && len(s) <= longestSession && len(parts) < sessionParts {
			parts = append(parts, s)
		}
	}
	add(state)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if !strings.Contains(v, " ") { // words for people have spaces
				add(v)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	var whole any
	if json.Unmarshal([]byte(state), &whole) == nil {
		walk(whole)
	}
	return parts
}

// disguises are how a value may come back: as it is, or as programs write it.
func disguises(s string) []string {
	var bytesRepr strings.Builder // b'caf\xc3\xa9', as Python shows bytes
	for _, b := range []byte(s) {
		if b < 0x20 || b >= 0x7f {
			bytesRepr.WriteString(`\x` + hex.EncodeToString([]byte{b}))
		} else {
			bytesRepr.WriteByte(b)
		}
	}
	ascii := strconv.QuoteToASCII(s)
	quoted := strconv.Quote(s)
	return []string{
		s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s), bytesRepr.String(), ascii[1 : len(ascii)-1], quoted[1 : len(quoted)-1],
		base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)),
	}
}

func (r *redactor) text(s string) string { return r.replace.Replace(s) }
