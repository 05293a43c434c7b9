// Package file reads what banks and other programs let people take away: statements
// in OFX, CAMT.053, MT940, QIF and CSV, and the export of Kresus. It believes no
// file: whatever cannot be read exactly is an error that names its line, and then
// nothing is read at all.
package file

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// MostBytes is how large a file may be.
const MostBytes = 32 << 20

// Errors of files. The Field of ErrUnreadable names the line, and what of it.
var (
	ErrUnreadable = &guichet.Error{Kind: guichet.Invalid, Code: "unreadable_file", Reason: "The file cannot be read."}
	ErrUnknown    = &guichet.Error{Kind: guichet.Invalid, Code: "unknown_file_format", Field: "file", Reason: "The file is no OFX, CAMT.053, MT940, QIF, CSV, nor an export of Kresus."}
	ErrTooLarge   = &guichet.Error{Kind: guichet.Invalid, Code: "file_too_large", Field: "file", Reason: "The file is larger than 32 MiB."}
	ErrEncrypted  = &guichet.Error{Kind: guichet.Invalid, Code: "encrypted_export", Field: "file", Reason: "The export is encrypted. Export it again without a password."}
)

// Options are what a file may not tell.
type Options struct {
	Currency string         // of a file that names none; empty: EUR
	Name     string         // of the account, when the file does not tell which one it is of
	Zone     *time.Location // where the days of a file that has instants begin; nil: UTC
}

// Content is what a file holds.
type Content struct {
	Format     string // "ofx", "camt", "mt940", "qif", "csv", "kresus"
	Statements []bank.Statement
	Skipped    int // entries that are no transactions
}

// Read reads a file of any of the formats.
func Read(from io.Reader, o Options) (Content, error) {
	raw, err := io.ReadAll(io.LimitReader(from, MostBytes+1))
	if err != nil {
		return Content{}, err
	}
	if len(raw) > MostBytes {
		return Content{}, ErrTooLarge
	}
	if o.Currency == "" {
		o.Currency = "EUR"
	}
	if !ledger.ValidCurrency(o.Currency) {
		return Content{}, &guichet.Error{Kind: guichet.Invalid, Code: "invalid_currency", Field: "currency", Reason: "A currency is three capital letters, such as EUR."}
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	text, err := decode(raw)
	if err != nil {
		return Content{}, err
	}
	format, read := detect(text)
	if read == nil {
		return Content{}, ErrUnknown
	}
	c, err := read(text, o)
	if err != nil {
		return Content{}, err
	}
	c.Format = format
	for i := range c.Statements {
		if a := &c.Statements[i].Account; a.Ref == "" && o.Name != "" {
			a.Ref, a.Label = "name:"+o.Name, o.Name
		}
	}
	return c, nil
}

// decode makes text of bytes: UTF-8 when that is what they are, whatever the file
// says of itself; else the code page of French banks.
func decode(raw []byte) (string, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if bytes.IndexByte(raw, 0) >= 0 {
		return "", ErrUnknown // a picture, a sheet, UTF-16
	}
	if !utf8.Valid(raw) {
		var err error
		if raw, err = charmap.Windows1252.NewDecoder().Bytes(raw); err != nil {
			return "", ErrUnknown
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\r", "\n"), nil
}

type reader func(text string, o Options) (Content, error)

// detect tells the format by what only it begins with; a table comes last.
func detect(text string) (string, reader) {
	head := text[:min(len(text), 4096)]
	upper := strings.ToUpper(head)
	trimmed := strings.TrimSpace(head)
	switch {
	case strings.HasPrefix(trimmed, ":20:") || strings.HasPrefix(trimmed, "{1:") || strings.Contains(head, "\n:20:"):
		return "mt940", readMT940
	case strings.HasPrefix(trimmed, "{"):
		return "kresus", readKresus
	case strings.Contains(upper, "OFXHEADER") || strings.Contains(upper, "<OFX>"):
		return "ofx", readOFX
	case strings.HasPrefix(trimmed, "<"):
		return "camt", readCAMT
	case strings.HasPrefix(trimmed, "!"):
		return "qif", readQIF
	case strings.ContainsAny(head, ";,\t"):
		return "csv", readCSV
	}
	return "", nil
}

// bad is an error at a line; what names the thing that cannot be used.
func bad(line int, what, reason string, args ...any) error {
	e := *ErrUnreadable
	e.Field, e.Reason = fmt.Sprintf("line %d", line), fmt.Sprintf(reason, args...)
	if what != "" {
		e.Field += ", " + what
	}
	return &e
}

// clip makes what a file says fit for an error.
func clip(s string) string {
	const most = 40
	r := []rune(strings.ToValidUTF8(s, "?"))
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(r)
}

// day is the civil day of eight digits, 20260504.
func day(digits string) (ledger.Date, bool) {
	t, err := time.Parse("20060102", digits)
	if err != nil || t.Year() < 1900 || t.Year() > 2200 {
		return "", false
	}
	return ledger.DateOf(t), true
}

// joinLabel writes parts one after the other, without those that the others
// hold already.
func joinLabel(parts ...string) string {
	out := ""
	for _, p := range parts {
		p = strings.Join(strings.Fields(p), " ")
		switch {
		case p == "" || strings.Contains(out, p):
		case strings.Contains(p, out):
			out = p
		default:
			out += " " + p
		}
	}
	return out
}

// plainAmount makes "-1234,5" and "+10." plain decimals: one separator at the most,
// and no groups.
func plainAmount(s string) string {
	s = strings.Replace(strings.TrimSpace(s), ",", ".", 1)
	return strings.TrimSuffix(s, ".")
}

// tidyIBAN is an IBAN as we keep it, or nothing when it is none.
func tidyIBAN(s string) string {
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	if !ledger.ValidIBAN(s) {
		return ""
	}
	return s
}

// endOf is the last second of a day: a balance is that of its end.
func endOf(on ledger.Date) time.Time {
	t, err := time.Parse(time.DateOnly, string(on))
	if err != nil {
		return time.Time{}
	}
	return t.Add(24*time.Hour - time.Second)
}
