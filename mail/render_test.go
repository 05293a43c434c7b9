package mail

import (
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
)

var update = flag.Bool("update", false, "write testdata/ again")

var reader = guichet.Mailbox{Name: "Claire Morel", Address: "claire.morel@valmont.example"}

// data picks the data of a template: the required ones, and the optional ones
// when full.
func data(t Template, full bool) map[string]string {
	out := map[string]string{}
	for _, name := range t.Required {
		out[name] = samples[name]
	}
	for _, name := range t.Optional {
		if full && name != "no_token" && name != "reopening" {
			out[name] = samples[name]
		}
	}
	return out
}

func write(t *testing.T, template, language string, data map[string]string) Message {
	t.Helper()
	to := reader
	to.Language = language
	m, err := Render(guichet.Letter{Template: template, Data: data}, to)
	if err != nil {
		t.Fatalf("%s in %s: %v", template, language, err)
	}
	return m
}

// Every letter in every language, as its reader sees it. After a change of
// words: go test ./mail -run Golden -update, and read the difference.
func TestGoldenLetters(t *testing.T) {
	written := map[string]bool{}
	for _, language := range slices.Sorted(maps.Keys(languages)) {
		for _, template := range Templates() {
			for name, full := range map[string]bool{"full": true, "short": false} {
				m := write(t, template.Name, language, data(template, full))
				for ending, got := range map[string]string{".txt": m.Subject + "\n\n" + m.Text, ".html": m.HTML} {
					file := filepath.Join("testdata", language, template.Name+"."+name+ending)
					written[file] = true
					compare(t, file, got)
				}
			}
		}
	}
	err := filepath.WalkDir(filepath.Join("testdata"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !written[path] && !strings.Contains(path, "fuzz") {
			t.Errorf("%s belongs to no letter", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-kept +written):\n%s", file, diff)
	}
}

// A template that exists in one language exists in the other, and in both forms;
// none lies about that nobody writes.
func TestEveryLanguageHasEveryFile(t *testing.T) {
	want := []string{"footer.html", "footer.txt"}
	for _, template := range Templates() {
		want = append(want, template.Name+".html", template.Name+".txt")
	}
	slices.Sort(want)
	folders, err := files.ReadDir("template")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		if _, known := languages[folder.Name()]; !known {
			t.Errorf("template/%s is no language", folder.Name())
		}
	}
	for code, l := range languages {
		entries, err := files.ReadDir("template/" + code)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("template/%s (-wanted +there):\n%s", code, diff)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(languages["fr"].alerts)), slices.Sorted(maps.Keys(l.alerts))); diff != "" {
			t.Errorf("alerts in %s (-fr +%s):\n%s", code, code, diff)
		}
	}
	if KnowsAlert("never_heard_of") || !KnowsAlert("archive_without_revoke") {
		t.Error("KnowsAlert does not tell what it knows")
	}
}

// What a template asks for it needs, and what it is given it says, in both parts.
func TestDataAreNeededAndSaid(t *testing.T) {
	said := map[string]string{ // how a datum shows, when not as it is
		"at": "2026", "expires_at": "2027", "blocked": "2", "replaced": "", "kind": "", "scopes": "open_data", "reopening": "",
	}
	for language := range languages {
		for _, template := range Templates() {
			for _, name := range template.Required {
				for _, missing := range []string{"", " ", "\n"} {
					d := data(template, true)
					d[name] = missing
					_, err := Render(guichet.Letter{Template: template.Name, Data: d}, reader)
					var e *guichet.Error
					if !errors.Is(err, ErrIncomplete) || !errors.As(err, &e) || e.Field != name || !Permanent(err) {
						t.Errorf("%s without %s: %v", template.Name, name, err)
					}
				}
			}
			m := write(t, template.Name, language, data(template, true))
			for name := range data(template, true) {
				want, special := said[name]
				if !special {
					want = samples[name]
				}
				if !strings.Contains(m.Subject+m.Text, want) || !strings.Contains(m.HTML, want) {
					t.Errorf("%s in %s does not say its %s", template.Name, language, name)
				}
			}
		}
	}
}

func TestDataOfTheWrongFormAreRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"url": {
			"javascript:alert(1)", "//evil.example", "/compte", "https://", "https://user:pass@guichet.example/",
			"mailto:a@b.fr", "data:text/html,x", "https://a b.example",
		},
		"at":         {"yesterday", "2026-05-04", "1777880000"},
		"expires_at": {"soon"},
		"blocked":    {"two", "-1", "1.5"},
		"days":       {"-1", "x"},
	} {
		for _, template := range Templates() {
			if !slices.Contains(template.Required, name) {
				continue
			}
			for _, value := range values {
				d := data(template, true)
				d[name] = value
				if _, err := Render(guichet.Letter{Template: template.Name, Data: d}, reader); !errors.Is(err, ErrIncomplete) {
					t.Errorf("%s with %s %q: %v", template.Name, name, value, err)
				}
			}
		}
	}
	if _, err := Render(guichet.Letter{Template: "../layout"}, reader); !errors.Is(err, ErrUnknownTemplate) {
		t.Errorf("a letter nobody knows: %v", err)
	}
}

func TestWordings(t *testing.T) {
	template, _ := find("request_revoked")
	for _, c := range []struct{ language, blocked, want string }{
		{"fr", "0", "Aucun jeton de cette demande n’était en service."},
		{"fr", "1", "Son jeton est bloqué."},
		{"fr", "2", "Ses 2 jetons sont bloqués."},
		{"en", "0", "No token of this request was in use."},
		{"en", "1", "Its token is blocked."},
		{"en", "12", "Its 12 tokens are blocked."},
		{"de", "2", "Ses 2 jetons sont bloqués."}, // a language we do not have
		{"", "2", "Ses 2 jetons sont bloqués."},
	} {
		d := data(template, true)
		d["blocked"] = c.blocked
		if m := write(t, template.Name, c.language, d); !strings.Contains(m.Text, c.want) || !strings.Contains(m.HTML, c.want) {
			t.Errorf("%s, %s blocked: no %q in\n%s", c.language, c.blocked, c.want, m.Text)
		}
	}
	for _, c := range []struct{ language, at, want string }{
		{"fr", "2026-05-04T07:33:21Z", "4 mai 2026 à 09:33 (heure de Paris)"},
		{"fr", "2026-01-31T23:30:00Z", "1er février 2026 à 00:30 (heure de Paris)"}, // already tomorrow in Paris
		{"en", "2026-12-31T22:59:59Z", "31 December 2026 at 23:59 (Paris time)"},
		{"en", "2026-05-04T09:33:21+02:00", "4 May 2026 at 09:33 (Paris time)"},
	} {
		if got, err := languages[c.language].moment(c.at); err != nil || got != c.want {
			t.Errorf("%s in %s: %q, %v; want %q", c.at, c.language, got, err, c.want)
		}
	}
	approved, _ := find("request_approved")
	d := data(approved, true)
	d["no_token"] = "yes"
	if m := write(t, approved.Name, "fr", d); strings.Contains(m.Text, "jeton lui-même") || !strings.Contains(m.Text, d["url"]) {
		t.Errorf("an approval without a token speaks of one:\n%s", m.Text)
	}
	unknown := write(t, "alert", "fr", map[string]string{"kind": "x_y", "subject": "s", "at": samples["at"], "url": samples["url"]})
	if !strings.Contains(unknown.Text, "situation inhabituelle") || !strings.Contains(unknown.Text, "x_y") {
		t.Errorf("an alert of an unknown kind says:\n%s", unknown.Text)
	}
}

// No letter has an image, a script, a form, or a link other than the one given.
func TestLettersCarryNothingElse(t *testing.T) {
	links := regexp.MustCompile(`(?i)(?:href|src|action)="([^"]*)"`)
	for language := range languages {
		for _, template := range Templates() {
			m := write(t, template.Name, language, data(template, true))
			for _, forbidden := range []string{"<img", "<script", "<form", "<link", "<iframe", "@import", "url("} {
				if strings.Contains(strings.ToLower(m.HTML), forbidden) {
					t.Errorf("%s in %s has %q", template.Name, language, forbidden)
				}
			}
			for _, link := range links.FindAllStringSubmatch(m.HTML, -1) {
				if link[1] != samples["url"] && link[1] != samples["source_url"] {
					t.Errorf("%s in %s links to %s", template.Name, language, link[1])
				}
			}
			if !strings.Contains(m.HTML, `<html lang="`+language+`">`) || !strings.Contains(m.HTML, m.Subject) {
				t.Errorf("%s in %s: the layout is not there", template.Name, language)
			}
		}
	}
}

// Whatever data hold, they stay words: no markup, no line of their own, no
// header, no control character.
func TestHostileDataStayWords(t *testing.T) {
	hostile := rapid.OneOf(
		rapid.SampledFrom([]string{
			"x\r\nBcc: victim@evil.example", "x\nSubject: y", `"><script>alert(1)</script>`, "</p><h1>x", "{{.url}}", "\u202egnp.exe",
			"a\u2028b", "a\u0085b", "\x00", "<a href=javascript:alert(1)>", "=?utf-8?q?=0d=0aBcc:_x?=", "a\x1b[31m", "\u2066x", "&lt;script&gt;",
		}),
		rapid.String(),
	)
	tags := regexp.MustCompile(`<[^>]*>`)
	rapid.Check(t, func(t *rapid.T) {
		template := rapid.SampledFrom(templates).Draw(t, "template")
		language := rapid.SampledFrom([]string{"fr", "en"}).Draw(t, "language")
		d, plain := data(template, true), data(template, true)
		changed := ""
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if form := slices.Contains([]string{"url", "source_url", "at", "expires_at", "blocked", "days", "scopes"}, name); form || !rapid.Bool().Draw(t, name) {
				continue
			}
			d[name] = "!" + hostile.Draw(t, "value") // something, so that it is not missing
			changed += d[name]
			plain[name] = "!"
		}
		to := reader
		to.Language, to.Name = language, hostile.Draw(t, "name")
		m, err := Render(guichet.Letter{Template: template.Name, Data: d}, to)
		if err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		want, err := Render(guichet.Letter{Template: template.Name, Data: plain}, to)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(m.Text, "\n") != strings.Count(want.Text, "\n") {
			t.Fatalf("another number of lines:\n%s", m.Text)
		}
		if a, b := tags.FindAllString(m.HTML, -1), tags.FindAllString(want.HTML, -1); !slices.Equal(a, b) {
			t.Fatalf("other tags: %v\n%v", a, b)
		}
		for _, r := range m.Subject + strings.ReplaceAll(m.Text+m.HTML, "\n", "") + m.To.Name {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' {
				t.Fatalf("%U is left, of %q", r, changed+to.Name)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	letter := guichet.Letter{Template: "password_changed", Data: samples}
	for _, bad := range []string{
		"", "x", "@valmont.example", "a@", "a b@c.fr", "a@b.fr\r\nBcc: x@evil.example", "a@b.fr\n", "\na@b.fr", " a@b.fr",
		"a@b.fr,c@d.fr", "a@b.fr;c@d.fr", "<a@b.fr>", "Claire <a@b.fr>", "a@b.fr>", "a\x00@b.fr", "é@b.fr", "a@é.fr", "a@b.fr (x)",
		strings.Repeat("x", 250) + "@b.fr", "a@b.fr ORCPT=x", `"a"@b.fr`,
	} {
		if m, err := Render(letter, guichet.Mailbox{Address: bad}); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%q: %+v, %v", bad, m.To, err)
		} else if bad != "" && len(bad) > 2 && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: the error quotes it", bad)
		}
	}
	for _, good := range []string{"a@b.fr", "A.B+c_d@sub.valmont.example", "o'neil@b.fr", "a@localhost"} {
		if _, err := Render(letter, guichet.Mailbox{Address: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for text, want := range map[string]guichet.Mailbox{
		"a@b.fr":                  {Address: "a@b.fr"},
		"Guichet <a@b.fr>":        {Name: "Guichet", Address: "a@b.fr"},
		`"Guichet, DSI" <a@b.fr>`: {Name: "Guichet, DSI", Address: "a@b.fr"},
	} {
		if got, err := ParseMailbox(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Guichet", "é@b.fr", "a@b.fr, c@d.fr", "<a@b.fr"} {
		if got, err := ParseMailbox(text); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	revoked, _ := find("request_revoked")
	d := data(revoked, true)
	d["title"], d["reason"] = strings.Repeat("é ", 5000), strings.Repeat("x", 1<<20)
	m := write(t, "request_revoked", "fr", d)
	if n := len([]rune(m.Subject)); n > maxSubject {
		t.Errorf("a subject of %d characters", n)
	}
	if len(m.Text) > 8*maxDatum {
		t.Errorf("a text of %d bytes", len(m.Text))
	}
	for _, bad := range []string{"", "a\nb", "a\rb", "a\x00b", "\xff", strings.Repeat("x", 1000)} {
		if err := checkHeader(bad); !errors.Is(err, ErrBadHeader) {
			t.Errorf("header %q passes", bad)
		}
	}
}
