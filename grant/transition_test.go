package grant

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	noon  = time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)
	terms = Terms{Now: noon.Add(time.Minute), Definition: "api_entreprise", PurgeAfter: 720 * time.Hour, PurgeRefusedAfter: -1}
)

// sample is a request in a situation, as a history would have left it.
func sample(s Situation) Request {
	r := Request{
		ID: "r", Provider: "api_entreprise", ExternalID: "1", Title: "old", Scopes: []string{"old"},
		Contacts: []Contact{{Role: Applicant, Email: "old@valmont.fr"}, {Role: TechnicalContact, Email: "tech@valmont.fr"}},
		Last:     Moment{noon.Add(-time.Hour), 0}, Version: 1,
	}
	live := Token{ID: "t1", Authorization: "70"}
	blocked := Token{ID: "t0", Authorization: "60", BlockedAt: noon.Add(-24 * time.Hour)}
	later := Token{ID: "t2", Authorization: "", BlockAt: noon.Add(48 * time.Hour)}
	switch s {
	case Unknown:
		return Request{Provider: r.Provider, ExternalID: r.ExternalID}
	case NeverValidated:
		r.Status = Submitted
	case IsValidated:
		r.Status, r.ValidatedAt, r.LastGrant = Validated, noon.Add(-2*time.Hour), Moment{noon.Add(-2 * time.Hour), 1}
		r.Tokens = []Token{blocked, live, later}
	case IsRevoked:
		r.Status, r.RevokedAt, r.LastGrant = Revoked, noon.Add(-2*time.Hour), Moment{noon.Add(-2 * time.Hour), 3}
		r.ValidatedAt = noon.Add(-3 * time.Hour)
		r.Tokens = []Token{blocked}
	case IsArchived:
		r.Status, r.ArchivedAt = Archived, noon.Add(-2*time.Hour)
	}
	return r
}

func sampleEvent(name Name, status Status) Event {
	return Event{
		Provider: "api_entreprise", ExternalID: "1", Name: name, Sent: string(name), FiredAt: noon, Format: V2,
		Payload: Payload{
			Status: status, Title: "new", Scopes: []string{"new", "open_data_x"}, SIRET: "21730065600011",
			Contacts: []Contact{{Role: Applicant, Email: "new@valmont.fr"}},
		},
	}
}

// variants are the ways a revoke can be told, and the traps of other events.
func variants(name Name) map[string]func(*Event) {
	own := func(id, state string, revoked bool) Authorization {
		return Authorization{ID: id, Definition: "api_entreprise", State: state, Revoked: revoked}
	}
	switch name {
	case Revoke:
		return map[string]func(*Event){
			"no list": func(e *Event) { e.Payload.Status = "" },
			"none active": func(e *Event) {
				e.Payload.Status, e.Payload.Listed = Draft, true
				e.Payload.Authorizations = []Authorization{own("60", "obsolete", true), own("70", "revoked", true)}
			},
			"other definition active": func(e *Event) {
				e.Payload.Status, e.Payload.Listed = Validated, true
				e.Payload.Authorizations = []Authorization{own("70", "revoked", true), {ID: "71", Definition: "france_connect", State: "active"}}
			},
			"one still active": func(e *Event) {
				e.Payload.Status, e.Payload.Listed = Validated, true
				e.Payload.Authorizations = []Authorization{own("60", "obsolete", true), own("70", "active", false)}
			},
			"the token's own, one active": func(e *Event) {
				e.Payload.Status, e.Payload.Listed = Validated, true
				e.Payload.Authorizations = []Authorization{own("70", "revoked", true), own("80", "active", false)}
			},
			"active but state revoked": func(e *Event) {
				e.Payload.Status, e.Payload.Listed = Revoked, true
				e.Payload.Authorizations = []Authorization{own("70", "active", false)}
			},
			"late": func(e *Event) { e.FiredAt = noon.Add(-5 * time.Hour) },
		}
	case Approve:
		return map[string]func(*Event){
			"":                           func(*Event) {},
			"late":                       func(e *Event) { e.FiredAt = noon.Add(-5 * time.Hour) },
			"before a newer description": func(e *Event) { e.FiredAt = noon.Add(-90 * time.Minute) },
			"without token":              func(e *Event) { e.Payload.NoToken = true },
			"listed": func(e *Event) {
				e.Payload.Listed = true
				e.Payload.Authorizations = []Authorization{own("70", "obsolete", false), {
					ID: "80", Definition: "api_entreprise", State: "active", Scopes: []string{"from_authorization"},
				}}
			},
		}
	case Refuse, CancelReopening, Update:
		return map[string]func(*Event){
			"":                func(e *Event) { e.Payload.Status = Refused },
			"state validated": func(e *Event) { e.Payload.Status = Validated },
			"late":            func(e *Event) { e.FiredAt = noon.Add(-5 * time.Hour) },
		}
	}
	return map[string]func(*Event){"": func(*Event) {}, "late": func(e *Event) { e.FiredAt = noon.Add(-5 * time.Hour) }}
}

// TestTransitionMatrix compares every cell of the table with the golden file,
// which is reviewed like a contract: go test ./grant -run Matrix -update.
func TestTransitionMatrix(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What each event does in each situation. Written by: go test ./grant -run Matrix -update\n")
	b.WriteString("# The validated sample has three tokens: t0 blocked, t1 of authorization 70, t2 to be blocked in two days.\n")
	for _, name := range Names() {
		fmt.Fprintf(&b, "\n%s\n", name)
		ways := variants(name)
		for _, way := range slices.Sorted(mapsKeys(ways)) {
			for _, s := range Situations() {
				e := sampleEvent(name, Draft)
				ways[way](&e)
				cell := string(s)
				if way != "" {
					cell += " (" + way + ")"
				}
				fmt.Fprintf(&b, "  %-52s %s\n", cell, describe(sample(s), Apply(sample(s), e, terms)))
			}
		}
	}
	golden := "testdata/transitions.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the table changed (-golden +now):\n%s", diff)
	}
}

func mapsKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func describe(before Request, d Decision) string {
	words := []string{string(d.Effect), string(d.Note)}
	after := d.Request
	if !d.Changed {
		after = before
	}
	status := string(after.Status)
	if status == "" {
		status = "-"
	}
	words = append(words, "→ "+status)
	if d.Issue {
		words = append(words, "ISSUE "+strings.Join(after.Scopes, ","))
	}
	if d.Prolong != "" {
		words = append(words, "PROLONG "+d.Prolong.String()+" "+strings.Join(after.Scopes, ","))
	}
	if len(d.Block) > 0 {
		words = append(words, "BLOCK "+strings.Join(idStrings(d.Block), ","))
	}
	if after.Title != before.Title || len(after.Contacts) != len(before.Contacts) {
		words = append(words, "described anew")
	}
	if a, _ := after.Contact(Applicant); before.ID != "" && a.Email == "new@valmont.fr" && after.Title == before.Title {
		words = append(words, "applicant changed")
	}
	for name, at := range map[string]time.Time{
		"purge": after.PurgeAt, "archived_at": after.ArchivedAt, "deleted_at_source": after.DeletedAtSource,
	} {
		if !at.IsZero() && d.Changed {
			words = append(words, name)
		}
	}
	slices.Sort(words[min(3, len(words)):])
	if after.Tombstone {
		words = append(words, "tombstone")
	}
	for _, a := range d.Alerts {
		words = append(words, "ALERT "+string(a))
	}
	for _, l := range d.Letters {
		words = append(words, "MAIL "+string(l))
	}
	return strings.Join(words, " · ")
}

var anyEvent = rapid.Custom(func(t *rapid.T) Event {
	e := sampleEvent(rapid.SampledFrom(Names()).Draw(t, "name"), rapid.SampledFrom(append(Statuses(), "")).Draw(t, "status"))
	e.FiredAt = noon.Add(time.Duration(rapid.IntRange(-10, 10).Draw(t, "minutes")) * time.Minute)
	if e.Payload.Listed = rapid.Bool().Draw(t, "listed"); e.Payload.Listed {
		for i := range rapid.IntRange(0, 3).Draw(t, "authorizations") {
			e.Payload.Authorizations = append(e.Payload.Authorizations, Authorization{
				ID: fmt.Sprint(i), Definition: rapid.SampledFrom([]string{"api_entreprise", "france_connect"}).Draw(t, "definition"),
				State: rapid.SampledFrom([]string{"active", "obsolete", "revoked"}).Draw(t, "state"), Revoked: rapid.Bool().Draw(t, "revoked"),
			})
		}
	}
	return e
})

// carry does to a request in memory what the desk does to rows.
func carry(r Request, d Decision, n *int) Request {
	tokens := slices.Clone(r.Tokens)
	if d.Changed {
		r = d.Request
	}
	if r.ID == "" && d.Changed {
		r.ID = "r"
	}
	if d.Issue {
		*n++
		tokens = append(tokens, Token{ID: guichet.ID(fmt.Sprint("t", *n)), Authorization: d.Grant})
	}
	for i, t := range tokens {
		if t.ID == d.Prolong {
			tokens[i].Authorization = d.Grant
		}
		if slices.Contains(d.Block, t.ID) {
			tokens[i].BlockedAt = terms.Now
		}
	}
	r.Tokens = tokens
	return r
}

// Whatever a source sends, in whatever order: no token lives under a revoked
// request, only a revoke blocks, nothing is unblocked or forgotten, and an
// approval gives one token at most.
func TestTransitionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, n := sample(Unknown), 0
		for _, e := range rapid.SliceOfN(anyEvent, 1, 25).Draw(t, "history") {
			d := Apply(r, e, terms)
			after := carry(r, d, &n)
			switch {
			case len(d.Block) > 0 && e.Name != Revoke:
				t.Fatalf("%s blocked %v", e.Name, d.Block)
			case d.Issue && (e.Name != Approve || len(r.Live()) > 0):
				t.Fatalf("%s issued a token beside %v", e.Name, r.Live())
			case after.Status == Revoked && len(after.Live()) > 0:
				t.Fatalf("after %s, tokens live under a revoked request: %v", e.Name, after.Live())
			case len(after.Tokens) < len(r.Tokens):
				t.Fatalf("%s lost a token", e.Name)
			case d.Effect == Late && (d.Changed || d.Issue || d.Prolong != "" || len(d.Block) > 0):
				t.Fatalf("a late %s changed something", e.Name)
			case after.ID != "" && after.Situation() == NeverValidated && e.Name != Approve && r.Situation() == IsValidated:
				t.Fatalf("%s took a validation away", e.Name)
			case len(after.Tokens) > 0 && !after.PurgeAt.IsZero():
				t.Fatalf("%s foresees to purge a request that has a token", e.Name)
			}
			again := Apply(after, e, terms)
			if e.Name == Revoke && again.Effect == Applied && len(again.Block) > 0 {
				t.Fatalf("the same revoke blocks twice: %v", again.Block)
			}
			r = after
		}
	})
}

func TestScopes(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"open_data_associations", "entreprises", "open_data_x"}, []string{"entreprises", "open_data"}},
		{[]string{"b", "a", "b", ""}, []string{"a", "b"}},
		{nil, []string{}},
		{[]string{"open_data"}, []string{"open_data"}},
	} {
		if diff := cmp.Diff(c.want, Scopes(c.in)); diff != "" {
			t.Errorf("%v: %s", c.in, diff)
		}
	}
}

func TestExpiryStaysInItsMonth(t *testing.T) {
	for from, want := range map[string]string{
		"2026-08-31T12:00:00+02:00": "2028-02-29T12:00:00+01:00",
		"2025-08-31T12:00:00+02:00": "2027-02-28T12:00:00+01:00",
		"2026-05-04T09:33:20+02:00": "2027-11-04T09:33:20+01:00",
		"2026-11-30T23:30:00+01:00": "2028-05-30T23:30:00+02:00",
		"2026-08-31T23:30:00Z":      "2028-03-01T01:30:00+01:00", // already 1 September in Paris
	} {
		at, err := time.Parse(time.RFC3339, from)
		if err != nil {
			t.Fatal(err)
		}
		if got := ExpiryFrom(at).In(paris).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s instead of %s", from, got, want)
		}
	}
}
