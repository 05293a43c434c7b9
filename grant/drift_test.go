package grant_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
	"guichet/grant"
)

// The two sides of a comparison: what stands here, and how it stands there.
var (
	driftNow   = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	driftTerms = grant.DriftTerms{
		Terms: grant.Terms{Now: driftNow, Definition: "api_entreprise", PurgeAfter: time.Hour, PurgeRefusedAfter: -1}, Provider: "api_entreprise",
		Since: driftNow.AddDate(-1, 0, 0), Settle: 5 * time.Minute,
	}
	form = []byte(`{"intitule":"Aides","scopes":["b","a"]}`)
)

func oursAt(status grant.Status, tokens int) grant.Request {
	r := grant.Request{
		ID: "r", Provider: "api_entreprise", ExternalID: "7", Status: status, Scopes: []string{"a", "b"}, CreatedAt: driftNow.AddDate(0, -1, 0),
		Contacts: []grant.Contact{{Role: grant.Applicant, Email: "claire@valmont.example"}},
	}
	if status == "" {
		r.ID = ""
	}
	if tokens > 0 || status == grant.Validated || status == grant.Revoked {
		r.ValidatedAt = driftNow.AddDate(0, 0, -3)
		r.LastGrant = grant.Moment{FiredAt: r.ValidatedAt, Rank: 1}
		r.Last = r.LastGrant
	}
	for i := range tokens {
		r.Tokens = append(r.Tokens, grant.Token{ID: guichet.ID(fmt.Sprintf("t%d", i)), Authorization: "1"})
	}
	return r
}

// history is a request whose source says word, and its history up to there.
func history(word grant.Status) (s grant.SourceRequest, events []grant.SourceEvent) {
	s = grant.SourceRequest{ExternalID: "7", Status: word, Form: form, CreatedAt: driftNow.AddDate(0, 0, -9)}
	names := map[grant.Status][]string{
		grant.Draft: {"create"}, grant.Submitted: {"create", "submit"}, grant.ChangesRequested: {"create", "submit", "request_changes"}, grant.Refused: {"create", "submit", "refuse"},
		grant.Validated: {"create", "submit", "approve"}, grant.Revoked: {"create", "submit", "approve", "revoke"}, grant.Archived: {"create", "submit", "approve", "revoke", "archive"},
	}[word]
	days := map[string]int{"create": 9, "submit": 8, "request_changes": 7, "refuse": 7, "approve": 3, "revoke": 2, "archive": 1}
	for i, name := range names {
		s.SubmittedAt = driftNow.AddDate(0, 0, -8)
		at := driftNow.AddDate(0, 0, -days[name])
		if days[name] == 3 {
			s.ValidatedAt = at
			s.Authorizations = []grant.SourceAuthorization{{ID: "1", Definition: "api_entreprise", State: "active", CreatedAt: at, Form: form}}
		}
		if name == "revoke" {
			s.Authorizations[0].State, s.Authorizations[0].Revoked = "revoked", true
		}
		events = append(events, grant.SourceEvent{ID: fmt.Sprint(i), Sent: name, At: at, By: grant.Contact{Email: "claire@valmont.example"}})
	}
	return s, events
}

// journalOf is the deliveries of the events, without those that were lost.
func journalOf(events []grant.SourceEvent, lost string) (journal []grant.Delivery) {
	for _, e := range events {
		if e.Sent != lost {
			journal = append(journal, grant.Delivery{ID: guichet.ID(e.ID), Event: e.Sent, FiredAt: e.At, Effect: grant.Applied})
		}
	}
	return journal
}

// Every way to stand here, against every way to stand there, when all was
// delivered and when the last event was lost. The golden file is the contract:
// go test ./grant -run DriftMatrix -update writes it again.
func TestDriftMatrix(t *testing.T) {
	var out strings.Builder
	out.WriteString("# here | there | the last event | drifts: kind event repair\n")
	for _, here := range append([]grant.Status{""}, grant.Statuses()...) {
		for _, tokens := range []int{0, 1} {
			if tokens == 1 && (here == "" || here == grant.Draft || here == grant.Submitted || here == grant.ChangesRequested || here == grant.Refused || here == grant.Revoked) {
				continue // the rules make none of these
			}
			for _, there := range grant.Statuses() {
				theirs, events := history(there)
				for _, came := range []string{"came", "lost"} {
					lost := ""
					if came == "lost" {
						lost = events[len(events)-1].Sent
					}
					journal := journalOf(events, lost)
					if here == "" {
						journal = nil
					}
					var told []string
					for _, f := range grant.Compare(oursAt(here, tokens), journal, theirs, events, driftTerms) {
						told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Kind, f.Event, f.Repair)))
					}
					name := string(here)
					if here == "" {
						name = "unknown"
					}
					fmt.Fprintf(&out, "%s+%d | %s | %s | %s\n", name, tokens, there, came, strings.Join(told, ", "))
				}
			}
		}
	}
	const golden = "testdata/drift.golden"
	if flag.Lookup("update").Value.String() == "true" { // the flag of the other golden file
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("the matrix changed (go test ./grant -run DriftMatrix -update writes it again):\n%s", diff)
	}
}

// Whatever the two sides are: what agrees is no drift, a comparison changes
// nothing, a grant is never proposed for what the source does not grant, and a
// token that works under what the source took back is always a drift.
func TestDriftProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		here := rapid.SampledFrom(append([]grant.Status{""}, grant.Statuses()...)).Draw(t, "here")
		there := rapid.SampledFrom(grant.Statuses()).Draw(t, "there")
		tokens := 0
		if here != "" && here != grant.Revoked {
			tokens = rapid.IntRange(0, 3).Draw(t, "tokens")
		}
		ours := oursAt(here, tokens)
		theirs, events := history(there)
		var journal []grant.Delivery
		for _, d := range journalOf(events, "") {
			if rapid.Bool().Draw(t, "came") {
				journal = append(journal, d)
			}
		}
		before := fmt.Sprintf("%+v %+v", ours, theirs)
		found := grant.Compare(ours, journal, theirs, events, driftTerms)
		if fmt.Sprintf("%+v %+v", ours, theirs) != before {
			t.Fatal("a comparison changed what it compares")
		}
		alive := false
		seen := map[string]bool{}
		for _, f := range found {
			key := string(f.Kind) + f.What
			if seen[key] {
				t.Fatalf("twice: %+v", found)
			}
			seen[key] = true
			alive = alive || f.Kind == grant.DriftTokenAlive
			if f.Event == grant.Approve && there != grant.Validated {
				t.Fatalf("%s there, and an approval is proposed: %+v", there, f)
			}
			if f.Repair == grant.RepairRevoke && there == grant.Validated {
				t.Fatalf("validated there, and a revocation is proposed: %+v", f)
			}
			if (f.Repair == grant.RepairReplay) != (f.Event != "") {
				t.Fatalf("%+v", f)
			}
		}
		if must := tokens > 0 && there != grant.Validated; must != alive {
			t.Fatalf("%s with %d tokens here, %s there: %+v", here, tokens, there, found)
		}
		if len(journal) == len(events) && here == there && (tokens > 0) == (there == grant.Validated) && len(found) > 0 {
			t.Fatalf("both sides agree: %+v", found)
		}
		// What is written again is read as what it was.
		for _, e := range events {
			body := grant.Rebuilt(theirs, e, events, ours, "api_entreprise")
			event, err := grant.Parse("api_entreprise", grant.SourceAPI, body)
			if err != nil || event.Name != e.Name() || event.ExternalID != "7" || event.FiredAt.Unix() != e.At.Unix() || !event.Payload.Listed {
				t.Fatalf("%s: %+v %v", body, event, err)
			}
		}
	})
}

// A form that is not JSON, or is hostile, never stops a revocation.
func TestRebuiltTakesAnyForm(t *testing.T) {
	for _, form := range [][]byte{nil, []byte(`{`), []byte(`[1]`), []byte(`"x"`), []byte(`{"intitule":{"a":1},"scopes":7}`), bytes.Repeat([]byte(`[`), 50), []byte(`null`)} {
		theirs, events := history(grant.Revoked)
		theirs.Form, theirs.Authorizations[0].Form = form, form
		body := grant.Rebuilt(theirs, events[3], events, grant.Request{}, "api_entreprise")
		if event, err := grant.Parse("api_entreprise", grant.SourceAPI, body); err != nil || event.Name != grant.Revoke || !json.Valid(body) {
			t.Errorf("%s: %+v %v", form, event, err)
		}
	}
}
