package locale

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Both languages have the same keys, and their words speak of the same things.
func TestEveryKeyIsInEveryLanguage(t *testing.T) {
	french, err := Keys(French)
	if err != nil {
		t.Fatal(err)
	}
	english, err := Keys(English)
	if err != nil {
		t.Fatal(err)
	}
	if len(french) < 100 {
		t.Fatalf("only %d keys were found", len(french))
	}
	fr, en := slices.Sorted(maps.Keys(french)), slices.Sorted(maps.Keys(english))
	if d := cmp.Diff(fr, en); d != "" {
		t.Errorf("keys of French (-) and English (+):\n%s", d)
	}
	for _, key := range fr {
		for _, s := range append(french[key], english[key]...) {
			if strings.TrimSpace(s) == "" {
				t.Errorf("%s has no words", key)
			}
		}
		if len(french[key]) != len(english[key]) {
			t.Errorf("%s changes with a number in one language only", key)
		}
		if a, b := params(french[key]), params(english[key]); !cmp.Equal(a, b) {
			t.Errorf("%s speaks of %v in French and of %v in English", key, a, b)
		}
	}
}

var param = regexp.MustCompile(`\{\{\.([A-Za-z]+)\}\}`)

// params lists what the words speak of, except the number, which one form may
// leave out ("its token").
func params(forms []string) []string {
	var all []string
	for _, s := range forms {
		for _, m := range param.FindAllStringSubmatch(s, -1) {
			if m[1] != "Count" {
				all = append(all, m[1])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// French has its spaces and its apostrophe; neither language shouts.
func TestTypography(t *testing.T) {
	french, err := Keys(French)
	if err != nil {
		t.Fatal(err)
	}
	english, err := Keys(English)
	if err != nil {
		t.Fatal(err)
	}
	badFrench := regexp.MustCompile(`[^\x{202f}][;?]|[^\x{a0}]:|«[^\x{a0}]|[^\x{a0}]»|'`)
	for key, forms := range french {
		for _, s := range forms {
			if bad := badFrench.FindString(s); bad != "" {
				t.Errorf("%s: %q has %q", key, s, bad)
			}
			if strings.Contains(s, "!") {
				t.Errorf("%s: %q shouts", key, s)
			}
		}
	}
	for key, forms := range english {
		for _, s := range forms {
			if strings.ContainsAny(s, `!'`) {
				t.Errorf("%s: %q shouts or has a typewriter apostrophe", key, s)
			}
		}
	}
}

func TestSay(t *testing.T) {
	fr, en := In(French, nil), In(English, nil)
	for _, c := range []struct{ got, want string }{
		{fr.Say("request.state.revoked"), "Habilitation révoquée"},
		{en.Say("request.state.revoked"), "Authorisation revoked"},
		{fr.Say("question.title", "Institution", "Banque <b>"), "Banque <b> demande une confirmation"},
		{fr.Count("home.waits", 0), "0 chose vous attend"},
		{fr.Count("home.waits", 1), "1 chose vous attend"},
		{fr.Count("home.waits", 2), "2 choses vous attendent"},
		{fr.Count("home.waits", 1_000_000), "1\u202f000\u202f000 choses vous attendent"},
		{en.Count("home.waits", 0), "0 things wait for you"},
		{en.Count("home.waits", 1200), "1,200 things wait for you"},
		{fr.Say("no.such.key"), "[no.such.key]"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if fr.Has("no.such.key") || !fr.Has("nav.home") || !fr.Has("alert.kind.partial_revocation.detail") {
		t.Error("Has is wrong")
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct{ cookie, header, want string }{
		{"", "", "fr"},
		{"", "en-GB,en;q=0.9", "en"},
		{"", "de,en;q=0.5", "en"},
		{"", "fr-CH,en;q=0.9", "fr"},
		{"", "ja", "fr"},
		{"", "*", "fr"},
		{"", "not a header;;;q=", "fr"},
		{"en", "fr", "en"},
		{"fr", "en", "fr"},
		{"xx", "en", "en"},
	} {
		if got := Choose(c.cookie, c.header); got != c.want {
			t.Errorf("Choose(%q, %q) = %q, want %q", c.cookie, c.header, got, c.want)
		}
	}
}
