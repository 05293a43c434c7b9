package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// A canary is a secret that must be seen where it is meant to be and nowhere else,
// in whatever writing.
type canary struct {
	kind  string
	plain []byte
}

// A find is a secret where it was found.
type find struct{ kind, writing, place string }

// A scanner looks for canaries in all writings.
type scanner struct {
	canaries []canary
	needles  []needle
	finds    map[find]int
	read     int64 // bytes
	places   map[string]int
}

type needle struct {
	kind, writing string
	text          []byte
}

func newScanner() *scanner { return &scanner{finds: map[find]int{}, places: map[string]int{}} }

// add makes the scanner look for a secret from now on.
func (s *scanner) add(kind string, plain string) {
	c := canary{kind, []byte(plain)}
	if len(c.plain) < 12 {
		panic("too short to be found by itself: " + kind)
	}
	s.canaries = append(s.canaries, c)
	for writing, texts := range writings(c.plain) {
		for _, text := range texts {
			if writing != "plain" && bytes.Equal(text, c.plain) {
				continue // this writing changes nothing of it
			}
			s.needles = append(s.needles, needle{kind, writing, text})
		}
	}
}

// writings is how a secret may be written. A needle of base64 is what is the same
// whatever stands before and after the secret.
func writings(plain []byte) map[string][][]byte {
	text := string(plain)
	w := map[string][][]byte{
		"plain":            {plain},
		"hex":              {[]byte(hex.EncodeToString(plain))},
		"HEX":              {[]byte(strings.ToUpper(hex.EncodeToString(plain)))},
		"URL":              {[]byte(url.QueryEscape(text)), []byte(url.PathEscape(text)), []byte(every(plain, "%%%02X")), []byte(every(plain, "%%%02x"))},
		"JSON":             {[]byte(every(plain, `\u%04x`)), []byte(every(plain, `\u%04X`)), jsonOf(text)},
		"HTML":             {[]byte(every(plain, "&#%d;")), []byte(every(plain, "&#x%x;"))},
		"quoted-printable": {[]byte(every(plain, "=%02X")), quoted(plain)},
		"reversed":         {backwards(plain)},
		"UTF-16":           {wide(text, 0), wide(text, 1)},
		"Go bytes":         {[]byte(strings.TrimPrefix(every(plain, " %d"), " "))},
		"base64":           {}, "base64 URL": {},
	}
	for shift := range 3 {
		padded := append(bytes.Repeat([]byte{'x'}, shift), plain...)
		first, last := (shift*8+5)/6, len(padded)*8/6 // whole letters that are the secret's alone
		w["base64"] = append(w["base64"], []byte(base64.RawStdEncoding.EncodeToString(padded)[first:last]))
		w["base64 URL"] = append(w["base64 URL"], []byte(base64.RawURLEncoding.EncodeToString(padded)[first:last]))
	}
	return w
}

func every(plain []byte, form string) string {
	var b strings.Builder
	for _, c := range plain {
		_, _ = fmt.Fprintf(&b, form, c)
	}
	return b.String()
}

func jsonOf(text string) []byte {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`)
	return []byte(r.Replace(text))
}

func quoted(plain []byte) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

func backwards(plain []byte) []byte {
	b := slices.Clone(plain)
	slices.Reverse(b)
	return b
}

func wide(text string, low int) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(u), byte(u >> 8)}
		b = append(b, pair[low], pair[1-low])
	}
	return b
}

// look scans bytes, and what is compressed in them.
func (s *scanner) look(place string, data []byte) {
	s.read += int64(len(data))
	s.places[strings.SplitN(place, " ", 2)[0]]++
	for _, n := range s.needles {
		if bytes.Contains(data, n.text) {
			s.finds[find{n.kind, n.writing, place}]++
		}
	}
	// Lines of a mail are folded, whatever their writing.
	if folded := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("=\r\n"), nil), []byte("\r\n"), nil); len(folded) != len(data) {
		for _, n := range s.needles {
			if bytes.Contains(folded, n.text) {
				s.finds[find{n.kind, n.writing, place}]++
			}
		}
	}
	magic := []byte{0x1f, 0x8b, 8}
	for at := bytes.Index(data, magic); at >= 0; {
		if r, err := gzip.NewReader(bytes.NewReader(data[at:])); err == nil {
			opened, _ := io.ReadAll(io.LimitReader(r, 64<<20)) // what comes before an error counts
			if len(opened) > 0 {
				s.look(place+" (gzip)", opened)
			}
		}
		next := bytes.Index(data[at+1:], magic)
		if next < 0 {
			break
		}
		at += 1 + next
	}
}

// The scanner is worth what it finds: every kind in every writing, alone, in the
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
	s := newScanner()
	for kind, secret := range secrets {
		s.add(kind, secret)
	}
	for kind, secret := range secrets {
		for writing, texts := range writings([]byte(secret)) {
			for i, text := range texts {
				for how, data := range map[string][]byte{
					"alone": text, "among": slices.Concat([]byte("xx\x00before"), text, []byte("after\x00")),
					"compressed": slices.Concat([]byte("head"), pack(text)), "twice": pack(slices.Concat([]byte("y"), pack(text))),
				} {
					clear(s.finds)
					s.look("there", data)
					if !slices.ContainsFunc(s.list(), func(f find) bool { return f.kind == kind }) {
						t.Errorf("%s, %s %d, %s: not found in %.60q", kind, writing, i, how, data)
					}
				}
			}
		}
	}
	for _, padding := range []string{"", "a", "ab", "abc"} { // base64 of more than the secret, at any offset, folded as mails are
		s := newScanner()
		s.add("a word", secrets["a word"])
		encoded := base64.StdEncoding.EncodeToString([]byte(padding + secrets["a word"] + "and more"))
		s.look("mail", []byte(encoded[:9]+"\r\n"+encoded[9:20]+"\r\n"+encoded[20:]))
		if len(s.finds) == 0 {
			t.Errorf("not found in folded base64 after %q", padding)
		}
	}
	clear(s.finds)
	s.look("elsewhere", []byte("cnry-word-8h2kq0z, une longue phrase, eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiIxIn0"))
	if len(s.finds) != 0 {
		t.Errorf("found what is not there: %v", s.finds)
	}
}

// list is what was found, in an order.
func (s *scanner) list() (all []find) {
	for f := range s.finds {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b find) int {
		return strings.Compare(a.place+a.kind+a.writing, b.place+b.kind+b.writing)
	})
	return all
}
