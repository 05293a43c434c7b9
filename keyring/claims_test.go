package keyring

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
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
