package canary_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"guichet"
	"guichet/canary"
)

// A scanner is worth what it finds: every kind in every writing, alone, in the
// midst of other things, compressed, and compressed twice.
func TestScannerFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"a word": "cnry-word-8h2kq0zx", "a sentence": "une longue phrase, \"à\" <elle> & moi", "random bytes": "\x00\xff\x17\x8b\x1f\x80\xc3\x28\x0a\x0d\xfe\x01\x99",
		"a JWT": "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiIxIn0.c2ln-_X", "a key": strings.Repeat("k\x80", 16),
	}
	pack := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		return b.Bytes()
	}
	var s canary.Scanner
	for kind, secret := range secrets {
		s.Add(kind, secret)
	}
	for kind, secret := range secrets {
		for writing, texts := range canary.Writings([]byte(secret)) {
			for i, text := range texts {
				for how, data := range map[string][]byte{
					"alone": text, "among": slices.Concat([]byte("xx\x00before"), text, []byte("after\x00")),
					"compressed": slices.Concat([]byte("head"), pack(text)), "twice": pack(slices.Concat([]byte("y"), pack(text))),
					"at the seam of two blocks": slices.Concat(make([]byte, canary.Block-len(text)/2), text),
				} {
					if !slices.ContainsFunc(s.Look("there", data), func(f canary.Find) bool { return f.Kind == kind }) {
						t.Errorf("%s, %s %d, %s: not found in %.60q", kind, writing, i, how, data)
					}
				}
			}
		}
	}
	for _, padding := range []string{"", "a", "ab", "abc"} { // base64 of more than the secret, at any offset, folded as mails are
		var s canary.Scanner
		s.Add("a word", secrets["a word"])
		encoded := base64.StdEncoding.EncodeToString([]byte(padding + secrets["a word"] + "and more"))
		if len(s.Look("mail", []byte(encoded[:9]+"\r\n"+encoded[9:20]+"\r\n"+encoded[20:]))) == 0 {
			t.Errorf("not found in folded base64 after %q", padding)
		}
	}
	if found := s.Look("elsewhere", []byte("cnry-word-8h2kq0z, une longue phrase, eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiIxIn0")); len(found) != 0 {
		t.Errorf("found what is not there: %v", found)
	}
}

// What is revealed, or made, is looked for from then on, and what the law lets be
// read is not.
func TestMemory(t *testing.T) {
	t.Parallel()
	made := guichet.SystemClock().NewSecret()
	for name, try := range map[string]struct {
		tell  func()
		text  string
		found bool
	}{
		"made":                   {func() {}, string(made), true},
		"revealed":               {func() { guichet.Secret("a-secret-that-was-revealed").Reveal() }, "a-secret-that-was-revealed", true},
		"never revealed":         {func() {}, "a-secret-that-is-not-revealed", false},
		"a cookie":               {func() { canary.Remember("a cookie", "cookie-of-somebody-7") }, "cookie-of-somebody-7", true},
		"password of an address": {func() { guichet.Secret("smtp://u:cnry-hidden-word@mail.test").Reveal() }, "cnry-hidden-word", true},
		"the address itself":     {func() { guichet.Secret("smtp://u:cnry-hidden-word@mail2.test").Reveal() }, "u@mail2.test", false},
		"too short":              {func() { guichet.Secret("471182").Reveal() }, "471182", false},
		"all the same":           {func() { guichet.Secret(strings.Repeat("\x00", 1<<12)).Reveal() }, strings.Repeat("\x00", 1<<12), false},
		"a hash":                 {func() { guichet.Secret("$argon2id$v=19$m=8,t=1$c2FsdA$aGFzaA").Reveal() }, "$argon2id$v=19$m=8,t=1$c2FsdA$aGFzaA", false},
		"the end of a long one":  {func() { guichet.Secret(strings.Repeat("eyJ0", 200) + strings.Repeat("c2ln-_X", 40)).Reveal() }, strings.Repeat("c2ln-_X", 40), true},
	} {
		try.tell()
		found := canary.Look("there", []byte("... "+try.text+" ..."))
		if (len(found) > 0) != try.found {
			t.Errorf("%s: %v", name, found)
		}
		for _, f := range found {
			if strings.Contains(f.String(), try.text) {
				t.Errorf("the find says the secret itself: %s", f)
			}
		}
	}
	found := canary.Look("there", []byte("a-secret-that-was-revealed"))
	if len(found) != 1 || !strings.Contains(found[0].Kind, "canary/canary_test.go:") {
		t.Errorf("not told who revealed it: %v", found)
	}
}

// Files are found by what they hold, by their names, also when they have none any
// more; what was given to the program by a file is not looked for in that file.
func TestFolder(t *testing.T) {
	t.Parallel()
	secret := guichet.SystemClock().NewSecret().Reveal()
	folder := t.TempDir()
	write := func(name, text string) *os.File {
		t.Helper()
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, f := range []*os.File{
		write("a/left.tmp", "... "+secret), write("given/key", secret), write("b/"+secret, "nothing in it"), write("c", "nothing"),
	} {
		_ = f.Close()
	}
	unnamed := write("unnamed", secret)
	defer func() { _ = unnamed.Close() }()
	if err := os.Remove(unnamed.Name()); err != nil {
		t.Fatal(err)
	}
	found, held, err := canary.Folder(folder, func(path string) bool { return filepath.Base(path) == "given" })
	if err != nil {
		t.Fatal(err)
	}
	held.Close()
	var places []string
	for _, f := range append(found, canary.Deleted()...) {
		places = append(places, f.Place)
	}
	if want := []string{"file left.tmp", "file " + secret, "file without a name, once unnamed"}; !slices.Equal(places, want) {
		t.Errorf("found in %q, want %q", places, want)
	}
}

func BenchmarkLook(b *testing.B) {
	var s canary.Scanner
	for range 1000 {
		s.Add("a secret", guichet.SystemClock().NewSecret().Reveal())
	}
	data := bytes.Repeat([]byte("INSERT INTO requests VALUES ('Aides aux commerces', 42);"), 1<<14)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s.Look("there", data)
	}
}
