package people

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"guichet"
)

func TestCheckEmail(t *testing.T) {
	for typed, kept := range map[string]string{
		"claire.morel@valmont.example":     "claire.morel@valmont.example",
		"  Claire.Morel@VALMONT.example\n": "claire.morel@valmont.example",
		"o'neil+x@b.fr":                    "o'neil+x@b.fr",
	} {
		if got, err := CheckEmail(typed); err != nil || got != kept {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, kept)
		}
	}
	for _, typed := range []string{
		"", "x", "@", "a@", "@b.fr", "a b@c.fr", "a@b.fr\r\nx: y", "a@b.fr, c@d.fr", "Claire <a@b.fr>", "<a@b.fr>", "é@b.fr",
		strings.Repeat("a", 260) + "@b.fr", "hunter22 is my password",
	} {
		_, err := CheckEmail(typed)
		if !errors.Is(err, ErrBadEmail) {
			t.Errorf("%q: %v", typed, err)
		}
		if len(typed) > 2 && strings.Contains(err.Error(), typed) {
			t.Errorf("the error quotes %q", typed)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"", "Claire Morel", "  Zoé ", strings.Repeat("é", 100)} {
		if got, err := checkName(name); err != nil || got != strings.TrimSpace(name) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"a\nb", "a\x00", "\u202eb", "a\u2028b", "\xff", strings.Repeat("é", 101)} {
		if _, err := checkName(name); !errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPersonHidesTheHash(t *testing.T) {
	p := Person{Email: "a@b.fr", PasswordHash: "$argon2id$hunter22"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
		if text := fmt.Sprintf(verb, p); strings.Contains(text, "hunter22") || strings.Contains(text, fmt.Sprintf("%x", "hunter22")) {
			t.Errorf("%s shows the hash: %s", verb, text)
		}
	}
	if a := p.Actor(); a.Kind != guichet.ByPerson || a.Name != "a@b.fr" {
		t.Errorf("actor %+v", a)
	}
}
