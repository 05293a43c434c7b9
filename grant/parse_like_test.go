package grant

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// usual are the names that Parse asks for, each with the text of values that often
// stand there; "{", "[{" and "[" are an object, a list of objects, a list.
var usual = map[string][]string{
	"event": {`"approve"`, `"revoke"`, `"submit"`, `"a new name"`, `""`}, "test": {"true", `"true"`}, "fired_at": {"1777880000", `"1777880000"`},
	"model_type": {`"x"`}, "model_id": {"51234", `"51234"`, `" 51234 "`, "1.0"}, "data": {"{", "{", "{", "null", "[1]"}, "id": {"7", `""`, `" "`},
	"pass": {"{", "{", "{"}, "status": {`"validated"`}, "state": {`"validated"`, `"revoked"`, `"active"`}, "siret": {`"21730065600011"`},
	"intitule": {`"Écoles\u0000 \"<é>\" \\"`}, "description": {`"\ud83d\ude00\n"`}, "copied_from_enrollment_id": {"12"},
	"team_members": {"[{"}, "type": {`"demandeur"`, `"contact_metier"`, `"contact_technique"`, `"responsable_technique"`}, "job": {"null"},
	"email": {`"Claire@Valmont.fr"`, `"claire"`, `"c @x.fr"`, `" a.b@c.fr "`}, "given_name": {`" Lou "`}, "phone_number": {"479000001", `"+33"`},
	"events": {"[{"}, "name": {`"approve"`, `"revoke"`, `"VALMONT"`}, "comment": {`"Fin"`}, "external_token_id": {`"t"`}, "form_uid": {`"f"`},
	"authorizations": {"[{", "[{", "null", `"none"`}, "definition_id": {`"p"`}, "revoked": {"true", "false", "null", `"no"`},
	"created_at": {`"2026-05-04T09:33:19.870+02:00"`, `"2026-05-04 07:33:19 UTC"`, `"soon"`}, "organization": {"{"}, "raison_sociale": {`"V"`},
	"applicant": {"{", "{"}, "scopes": {"[", "{", `"one"`}, "modalities": {"[", `["params"]`, `[]`, "null"}, "reason": {`"Because"`},
	"contact_metier_email": {`"m@x.fr"`}, "contact_technique_email": {`"t@x.fr"`}, "public_id": {`"5f0c"`}, "params": {"true"}, "open_data_x": {"true"},
}

// within are the names that are usually in the object of a name, or of its list.
var within = map[string][]string{
	"": {"event", "fired_at", "model_type", "model_id", "data"},
	"data": {
		"id", "public_id", "state", "form_uid", "reason", "data", "organization", "applicant", "authorizations", "pass", "external_token_id",
		"intitule", "description", "scopes", "modalities", "contact_metier_email", "contact_technique_email",
	},
	"pass":           {"id", "intitule", "description", "status", "siret", "scopes", "team_members", "events", "copied_from_enrollment_id"},
	"applicant":      {"email", "given_name", "phone_number"},
	"organization":   {"name", "siret", "raison_sociale"},
	"authorizations": {"id", "definition_id", "state", "revoked", "created_at", "data"},
	"team_members":   {"type", "email", "given_name", "job"},
	"events":         {"name", "comment"},
	"scopes":         {"params", "open_data_x"},
}

// odd are names whose order and escapes are not plain.
var odd = []string{"", "a", "a!", "a\"", "a\\", "a\n", "é", "e\u0301", "\ufb01", "\U0001f600", "\U0001f601", "ab", "\x00", "EVENT", "\u2028"}

// Bodies that nearly make sense, written in every way: Parse reads each as the
// library would, whatever is missing, of another type, twice, or not in order.
func TestParseReadsAsTheLibrary(t *testing.T) {
	names := make([]string, 0, len(usual)+len(odd))
	for name := range usual {
		names = append(names, name)
	}
	slices.Sort(names)
	names = append(names, odd...)
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t, names: names, twice: rapid.IntRange(0, 9).Draw(t, "twice") == 0}
		w.object("", 0)
		body := []byte(w.b.String())
		for _, format := range []Format{V1, V2} {
			e, err := Parse("p", format, body)
			if diff := differs(format, body, e, err); diff != "" {
				t.Fatalf("%s\n%s", body, diff)
			}
		}
	})
}

// A writer writes JSON of some sense.
type writer struct {
	t     *rapid.T
	names []string
	twice bool // a name of the first object that has any comes twice
	b     strings.Builder
}

func (w *writer) one(of ...string) string { return rapid.SampledFrom(of).Draw(w.t, "one") }

func (w *writer) space() { w.b.WriteString(w.one("", "", "", " ", "\n\t ")) }

// quoted writes a string, now and then with other escapes than it needs.
func (w *writer) quoted(s string) {
	if rapid.IntRange(0, 5).Draw(w.t, "escapes") > 0 {
		q, _ := jsontext.AppendQuote(nil, s)
		w.b.Write(q)
		return
	}
	w.b.WriteByte('"')
	for _, r := range s {
		if r > 0xffff {
			w.b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&w.b, `\u%04x`, r)
	}
	w.b.WriteByte('"')
}

// object writes the object of a name: what is usually in it, and others.
func (w *writer) object(of string, depth int) {
	w.b.WriteByte('{')
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(w.names), 0, 3, rapid.ID).Draw(w.t, "names")
	for _, name := range within[of] {
		if !slices.Contains(names, name) && rapid.IntRange(0, 7).Draw(w.t, "there") > 0 {
			names = append(names, name)
		}
	}
	if w.twice && len(names) > 0 {
		names, w.twice = append(names, names[0]), false
	}
	for i, name := range names {
		if i > 0 {
			w.b.WriteByte(',')
		}
		w.space()
		w.quoted(name)
		w.space()
		w.b.WriteByte(':')
		w.value(name, usual[name], depth+1)
	}
	w.space()
	w.b.WriteByte('}')
}

func (w *writer) value(of string, likely []string, depth int) {
	w.space()
	defer w.space()
	if len(likely) == 0 || rapid.IntRange(0, 15).Draw(w.t, "unusual") == 0 {
		likely = []string{"{", "[", "[{", "null", "true", "false", "-0", "1e5", "12", `""`, `"a\/b"`, `"params"`}
	}
	switch text := w.one(likely...); {
	case depth > 4:
		w.b.WriteString("1")
	case text == "{":
		w.object(of, depth)
	case text == "[{":
		w.items(of, depth, []string{"{", "{", "{", "{", "null"})
	case text == "[":
		w.items("", depth, []string{`"params"`, `"open_data_x"`, "1", "null"})
	default:
		w.b.WriteString(text)
	}
}

func (w *writer) items(of string, depth int, likely []string) {
	w.b.WriteByte('[')
	for i := range rapid.IntRange(0, 3).Draw(w.t, "items") {
		if i > 0 {
			w.b.WriteByte(',')
		}
		w.value(of, likely, depth+1)
	}
	w.b.WriteByte(']')
}
