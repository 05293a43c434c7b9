package store

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// plainSearchText says what searchText does, a step at a time.
func plainSearchText(parts ...string) string {
	words := strings.ToLower(strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(words))
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	if got := searchText("51234", "  Marchés\tpublics ", "", "CAFÉ de  l'Ouest", "a@b.fr"); got != "51234 marches publics cafe de l'ouest a@b.fr" {
		t.Errorf("%q", got)
	}
	word := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09@.-é ÉçÔœßİΣ\t\n  한")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(word, 0, 6).Draw(t, "parts")
		if got, want := searchText(parts...), plainSearchText(parts...); got != want {
			t.Fatalf("%q became %q, not %q", parts, got, want)
		}
	})
}
