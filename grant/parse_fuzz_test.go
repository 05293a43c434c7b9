package grant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// No body makes the parser panic; it reads every body as a slower one does, which
// leaves all of it to a library; and what it accepts it accepts again with its
// names sorted, as the same event.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"v1_revoke.json", "v2_approve.json"} {
		f.Add(example(f, name), name[:2] == "v1")
	}
	for _, body := range []string{
		`{"test":true}`,
		`{"event":"revoke","fired_at":1,"model_id":"x","data":{"authorizations":[{"revoked":"x"}]}}`,
		`{"event":"revoke","fired_at":1,"model_id":"x","data":{"authorizations":[{"revoked":null,"created_at":"2026-05-04 07:33:19 UTC"},null]}}`,
		`{"event":"revoke","fired_at":"1","model_id":-0,"data":{"authorizations":[[]],"data":{"modalities":[],"scopes":{"b":true,"a":true}}}}`,
		`{"event":"r\u00e9\"\\","fired_at":1e0,"test":true,"data":{"pass":{"id":"","events":[{}],"team_members":[{"type":"demandeur"}]}}}`,
		"{\"\ufb01\":1,\"\U0001f600\":{\"\\\\\":[],\"\\\"\":{}},\"\\u0000\":[[],{},1,\"\"]}",
		strings.Repeat(`{"a":`, 64) + "[1]" + strings.Repeat("}", 64),
		strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64),
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, v1 bool) {
		format := V2
		if v1 {
			format = V1
		}
		e, err := Parse("p", format, body)
		if diff := differs(format, body, e, err); diff != "" {
			t.Fatal(diff)
		}
		if errors.Is(err, ErrNotJSON) {
			return
		}
		d, openErr := open(body)
		if openErr != nil {
			t.Fatalf("accepted, and then not: %v", openErr)
		}
		again, err2 := Parse("p", format, d.root().sorted(nil))
		if (err == nil) != (err2 == nil) || again.Identity != e.Identity {
			t.Fatalf("another event once sorted: %v / %v", err, err2)
		}
		if err == nil && e.Name != Ping && e.Name != UnknownEvent && !externalID.MatchString(e.ExternalID) {
			t.Fatalf("number %q", e.ExternalID)
		}
	})
}

// differs tells where the slower parser does not read a body as this event. The
// order of an object of flags is the chance of a map there.
func differs(format Format, body []byte, e Event, err error) string {
	slow, slowErr := slowParse(e.Provider, format, body)
	for _, known := range []error{ErrNotJSON, ErrUnusable} {
		if errors.Is(err, known) != errors.Is(slowErr, known) {
			return fmt.Sprintf("%v, and more slowly %v", err, slowErr)
		}
	}
	slices.Sort(slow.Payload.Scopes)
	e.Payload.Scopes = slices.Sorted(slices.Values(e.Payload.Scopes))
	return cmp.Diff(slow, e)
}
