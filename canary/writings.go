package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

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

// every writes each byte in a form, from a table: a test may make ten thousand
// secrets, in eight such forms.
func every(plain []byte, form string) string {
	made, ok := tables.Load(form)
	if !ok {
		var t [256]string
		for c := range t {
			t[c] = fmt.Sprintf(form, c)
		}
		made, _ = tables.LoadOrStore(form, &t)
	}
	table := made.(*[256]string)
	var b strings.Builder
	b.Grow(len(plain) * len(table[255]))
	for _, c := range plain {
		b.WriteString(table[c])
	}
	return b.String()
}

var tables sync.Map // by form

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
