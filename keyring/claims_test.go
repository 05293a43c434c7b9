package keyring

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"guichet"
)

func TestParseObject(t *testing.T) {
	for text, members := range map[string]int{
		`{}`: 0, ` { } `: 0, `{"":1}`: 1, `{"a":{},"b":[]}`: 2,
		`{"a":{"x":1,"x":2,"y":3},"b":[1,2,3]}`: 2, `{"a,":"b,\",","c\\":","}`: 2, `{"a":"}{][","b":"\\"}`: 2,
	} {
		if got, err := parseObject([]byte(text)); err != nil || len(got) != members {
			t.Errorf("%s: %d members, %v; want %d", text, len(got), err, members)
		}
	}
	for _, text := range []string{
		``, `null`, `[]`, `"x"`, `1`, `{`, `{}{}`, `{},`, `{"a":1,}`, `{a:1}`, "\ufeff{}", "{\"a\":\"\xff\"}",
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"a":"\"","b":1,"a":2}`, `{"":1,"":2}`, `{"a":1} x`,
	} {
		if got, err := parseObject([]byte(text)); err == nil {
			t.Errorf("%s: read as %v", text, got)
		}
	}
}

// Objects written member by member are read when no name comes twice, and only then.
func TestParseObjectSeesEveryDuplicate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", `"`, `\`, ",", "{", "]", ""})).Draw(t, "names")
		values := rapid.SampledFrom([]string{"1", `","`, `[1,{"a":2,"a":3}]`, `{"x":"},{"}`, "null", `"\\\""`})
		distinct, parts := map[string]bool{}, make([]string, 0, len(names))
		for _, name := range names {
			distinct[name] = true
			key, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, fmt.Sprintf("%s: %s", key, values.Draw(t, "value")))
		}
		text := "{ " + strings.Join(parts, " , ") + " }"
		got, err := parseObject([]byte(text))
		if twice := len(distinct) < len(names); (err != nil) != twice || (err == nil && len(got) != len(names)) {
			t.Fatalf("%s: %d members, %v", text, len(got), err)
		}
	})
}

// A limit is read back as it was written; one that is not clear is not "no limit".
func TestLimitsOfClaims(t *testing.T) {
	t.Parallel()
	limit, err := guichet.ParseLimit([]string{"192.0.2.0/24", "2001:db8::/32"}, 600)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Claims{ID: "x", Limit: limit})
	if err != nil || !strings.Contains(string(text), `"limits":{"from":["192.0.2.0/24","2001:db8::/32"],"per_minute":600}`) {
		t.Fatalf("%s, %v", text, err)
	}
	if c, err := parseClaims(text); err != nil || c.Limit.String() != limit.String() {
		t.Errorf("%v, %v", c.Limit, err)
	}
	if text, err = json.Marshal(Claims{ID: "x"}); err != nil || strings.Contains(string(text), "limits") {
		t.Errorf("%s, %v", text, err)
	}
	for text, want := range map[string]string{`{}`: "none", `null`: "none", `{"per_minute":7}`: "7/min", `{"from":["192.0.2.1"]}`: "192.0.2.1/32"} {
		if c, err := parseClaims([]byte(`{"limits":` + text + `}`)); err != nil || c.Limit.String() != want {
			t.Errorf("%s: %v, %v", text, c.Limit, err)
		}
	}
	for _, text := range []string{
		`[]`, `"x"`, `1`, `{"from":[]}`, `{"from":null}`, `{"from":"192.0.2.1"}`, `{"from":["x"]}`, `{"from":[null]}`, `{"per_minute":-1}`, `{"per_minute":1e2}`,
		`{"per_minute":null}`, `{"per_minute":"6"}`, `{"per_minute":9223372036854775808}`, `{"per_minute":4294967297}`, `{"From":["192.0.2.1"]}`, `{"per_hour":1}`,
		`{"per_minute":1,"per_minute":2}`,
	} {
		if c, err := parseClaims([]byte(`{"limits":` + text + `}`)); err == nil {
			t.Errorf("%s: read as %v", text, c.Limit)
		}
	}
}
