package grant

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"guichet"
)

// An IssuedToken is one line of a file of tokens that another service issued.
type IssuedToken struct {
	Line      int        `json:"-"` // in the file, from 1
	ID        guichet.ID `json:"id"`
	Request   string     `json:"request"` // its number at the source
	IssuedAt  time.Time  `json:"iat"`
	ExpiresAt time.Time  `json:"exp"`
	Scopes    []string   `json:"scopes"`
	BlockedAt time.Time  `json:"blocked_at,omitzero"` // zero: not blocked; in the future: foreseen
	Owner     string     `json:"owner"`               // e-mail of the applicant
	Title     string     `json:"title,omitempty"`     // of the request
}

// ErrTokenFile tells that a line of a file of tokens cannot be used. Its Field
// names the line and the column.
var ErrTokenFile = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_token_file", Reason: "The file of tokens cannot be read."}

func badLine(line int, column, reason string) error {
	e := *ErrTokenFile
	e.Field, e.Reason = fmt.Sprintf("line %d", line), reason
	if column != "" {
		e.Field += ", " + column
	}
	return &e
}

// The columns of a file. A file that lacks a needed one, or has one more, is
// refused: a misspelt blocked_at would let a blocked token live.
var (
	neededColumns   = []string{"id", "request", "iat", "exp", "scopes", "blocked_at", "owner"}
	optionalColumns = []string{"title"}
)

// ReadTokenFile reads a file of tokens: CSV with a line of names, or a JSON list of
// objects. The first line that cannot be used is an error, and nothing is
// returned.
func ReadTokenFile(file []byte) ([]IssuedToken, error) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	if !utf8.Valid(file) {
		return nil, badLine(1, "", "The file is not in UTF-8.")
	}
	read := readCSV
	if text := bytes.TrimLeft(file, " \t\r\n"); len(text) > 0 && text[0] == '[' {
		read = readJSON
	}
	var all []IssuedToken
	seen := map[guichet.ID]int{}
	err := read(file, func(line int, fields map[string]string) error {
		t, err := issuedToken(line, fields)
		if err != nil {
			return err
		}
		if first, twice := seen[t.ID]; twice {
			return badLine(line, "id", fmt.Sprintf("The token of line %d is here again.", first))
		}
		seen[t.ID] = line
		all = append(all, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func readCSV(file []byte, take func(int, map[string]string) error) error {
	r := csv.NewReader(bytes.NewReader(file))
	names, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return badLine(1, "", "The file is empty: its first line names the columns.")
	case err != nil:
		return csvError(err)
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	if err := checkColumns(1, names); err != nil {
		return err
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return csvError(err)
		}
		line, _ := r.FieldPos(0)
		fields := map[string]string{}
		for i, name := range names {
			fields[name] = row[i]
		}
		if err := take(line, fields); err != nil {
			return err
		}
	}
}

// csvError says where, and not what: the text of the error may quote the file.
func csvError(err error) error {
	var e *csv.ParseError
	switch {
	case !errors.As(err, &e):
		return ErrTokenFile.Because(err)
	case errors.Is(e.Err, csv.ErrFieldCount):
		return badLine(e.Line, "", "This line has not as many columns as the first.")
	}
	return badLine(e.Line, "", "This is not CSV: a quote is not where it may be.")
}

func checkColumns(line int, names []string) error {
	for i, name := range names {
		switch {
		case slices.Contains(names[:i], name):
			return badLine(line, name, "This column is there twice.")
		case !slices.Contains(neededColumns, name) && !slices.Contains(optionalColumns, name):
			return badLine(line, "", "A column has another name than "+strings.Join(neededColumns, ", ")+", "+strings.Join(optionalColumns, ", ")+".")
		}
	}
	for _, name := range neededColumns {
		if !slices.Contains(names, name) {
			return badLine(line, name, "This column is missing.")
		}
	}
	return nil
}

func readJSON(file []byte, take func(int, map[string]string) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(file))
	lineAt := func(offset int64) int { return 1 + bytes.Count(file[:offset], []byte("\n")) }
	fail := func() error { // what cannot be read begins after what was read
		rest := file[d.InputOffset():]
		begins := len(rest) - len(bytes.TrimLeft(rest, ", \t\r\n"))
		return badLine(lineAt(d.InputOffset()+int64(begins)), "", "This is not JSON: a list of objects, each name once.")
	}
	if _, err := d.ReadToken(); err != nil {
		return fail()
	}
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil {
			return fail()
		}
		line := lineAt(d.InputOffset() - int64(len(value)))
		var members map[string]jsontext.Value
		if value.Kind() != '{' || json.Unmarshal(value, &members) != nil {
			return badLine(line, "", "This is not an object.")
		}
		if err := checkColumns(line, slices.Sorted(maps.Keys(members))); err != nil {
			return err
		}
		fields := map[string]string{}
		for name, v := range members {
			text, ok := plainText(name, v)
			if !ok {
				return badLine(line, name, "This is neither text nor a number; scopes may be a list of texts.")
			}
			fields[name] = text
		}
		if err := take(line, fields); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return fail()
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return fail()
	}
	return nil
}

// plainText reads a member as CSV would have it.
func plainText(name string, v jsontext.Value) (text string, ok bool) {
	switch v.Kind() {
	case 'n':
		return "", true
	case '"':
		return text, json.Unmarshal(v, &text) == nil
	case '0':
		return v.String(), true
	case '[':
		var list []string
		if name != "scopes" || json.Unmarshal(v, &list) != nil {
			return "", false
		}
		return strings.Join(list, " "), true
	}
	return "", false
}

func issuedToken(line int, fields map[string]string) (t IssuedToken, err error) {
	get := func(name string) string { return strings.TrimSpace(fields[name]) }
	t = IssuedToken{Line: line, Request: get("request"), Title: get("title")}
	if t.ID, err = guichet.ParseID(get("id")); err != nil {
		return t, badLine(line, "id", "This is not a UUID in lower case.")
	}
	if !externalID.MatchString(t.Request) {
		return t, badLine(line, "request", "This is not the number of a request: letters, digits, - and _, 64 at the most.")
	}
	for _, at := range []struct {
		name   string
		needed bool
		to     *time.Time
	}{{"iat", true, &t.IssuedAt}, {"exp", true, &t.ExpiresAt}, {"blocked_at", false, &t.BlockedAt}} {
		text := get(at.name)
		if text == "" && !at.needed {
			continue
		}
		if *at.to, err = readInstant(text); err != nil {
			return t, badLine(line, at.name, "This is not an instant: seconds since 1970, or like 2026-05-04T07:33:20Z.")
		}
	}
	if !t.IssuedAt.Before(t.ExpiresAt) {
		return t, badLine(line, "exp", "The token ended before it was issued.")
	}
	t.Scopes = Scopes(strings.FieldsFunc(get("scopes"), func(r rune) bool { return r == ' ' || r == ',' || r == '|' || r == ';' }))
	if t.Owner = strings.ToLower(get("owner")); !validEmail(t.Owner) {
		return t, badLine(line, "owner", "This is not an e-mail address.")
	}
	return t, nil
}

var errInstant = errors.New("not an instant")

// readInstant reads seconds since 1970 as JWTs have them, RFC 3339, and what
// databases print, which is taken for UTC.
func readInstant(text string) (time.Time, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n <= 0 || n > 253402300799 { // the end of year 9999
			return time.Time{}, errInstant
		}
		return time.Unix(n, 0).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1970 {
			return at.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, errInstant
}
