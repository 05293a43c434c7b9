package grant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"guichet"
)

// What Parse refuses. A body that is not JSON is the sender's mistake; one that
// is JSON but cannot be used is quarantined, because the sender would repeat it
// for ever.
var (
	ErrNotJSON  = &guichet.Error{Kind: guichet.Invalid, Code: "not_json", Reason: "The body is signed but is not one strict JSON object."}
	ErrUnusable = &guichet.Error{Kind: guichet.Invalid, Code: "unusable", Reason: "The delivery is signed but cannot be used."}
)

const maxDepth = 64

// Parse reads a signed body. On ErrUnusable the event still holds what could be
// read, so that the journal can say what it was about.
func Parse(provider string, format Format, body []byte) (Event, error) {
	event := Event{Provider: provider, Format: format, Name: UnknownEvent}
	canonical, err := canonical(body)
	if err != nil {
		return event, ErrNotJSON.Because(err)
	}
	switch format {
	case V1:
		err = event.readV1(canonical)
	case V2, SourceAPI:
		err = event.readV2(canonical)
	default:
		return event, fmt.Errorf("grant: no format %q", format)
	}
	event.Identity = identity(event, canonical)
	if err != nil {
		return event, ErrUnusable.Because(err)
	}
	return event, nil
}

// canonical writes the same JSON value always in the same bytes: members in
// order, strings with the same escapes, numbers as they came. It refuses what
// two readers could understand differently: duplicate names, invalid UTF-8,
// anything after the value.
func canonical(body []byte) ([]byte, error) {
	out, err := jsontext.AppendFormat(nil, body, jsontext.ReorderRawObjects(true))
	if err != nil {
		return nil, err
	}
	if len(out) == 0 || out[0] != '{' {
		return nil, fmt.Errorf("not an object")
	}
	if bytes.Count(out, []byte("{"))+bytes.Count(out, []byte("[")) <= maxDepth {
		return out, nil // nothing real has more
	}
	depth, inString := 0, false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return nil, fmt.Errorf("more than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return out, nil
}

// identity makes a retry and a manual replay of one event the same, although
// their bytes and signatures differ. Each part is preceded by its length so that
// no two events share one.
func identity(e Event, canonical []byte) [32]byte {
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{e.Provider, string(e.Format), e.ExternalID, e.Sent, strconv.FormatInt(e.FiredAt.Unix(), 10)} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	h.Write(canonical)
	return [32]byte(h.Sum(nil))
}

// text reads a string or a number as text, and anything else as nothing: a
// telephone number sent as a number must not stop a revocation.
type text string

func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		*t = text(tok.String())
		return nil
	case '0':
		v, err := d.ReadValue()
		*t = text(v)
		return err
	default:
		return d.SkipValue()
	}
}

// clean takes the spaces around away, and the character that no PostgreSQL keeps.
func (t text) clean() string {
	return strings.TrimSpace(strings.ReplaceAll(string(t), "\x00", "\uFFFD"))
}

// cut keeps the beginning of a name.
func cut(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// list reads an array of T, and anything else as nothing.
type list[T any] []T

func (l *list[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '[' {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, (*[]T)(l))
}

// object reads an object into T, and anything else as nothing.
type object[T any] struct{ Value T }

func (o *object[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	return json.UnmarshalDecode(d, &o.Value)
}

// scopeSet reads scopes as v1 sends them (an object of flags) and as v2 does
// (an array of names).
type scopeSet []string

func (s *scopeSet) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '[':
		var names list[text]
		if err := json.UnmarshalDecode(d, &names); err != nil {
			return err
		}
		for _, n := range names {
			*s = append(*s, n.clean())
		}
		return nil
	case '{':
		var flags map[string]jsontext.Value
		if err := json.UnmarshalDecode(d, &flags); err != nil {
			return err
		}
		for name, on := range flags {
			if string(on) == "true" {
				*s = append(*s, name)
			}
		}
		return nil
	default:
		return d.SkipValue()
	}
}

// envelope is what both formats have around their data.
type envelope[T any] struct {
	Event     text           `json:"event"`
	FiredAt   text           `json:"fired_at"`
	ModelType text           `json:"model_type"`
	ModelID   text           `json:"model_id"`
	Test      jsontext.Value `json:"test"`
	Data      object[T]      `json:"data"`
}

// openEnvelope reads what is around the data and tells whether there is more: a
// ping has nothing else.
func openEnvelope[T any](e *Event, env envelope[T]) (more bool, err error) {
	if string(env.Test) == "true" && env.Event == "" {
		e.Name, e.Sent = Ping, string(Ping)
		return false, nil
	}
	e.Sent, e.ModelType = env.Event.clean(), env.ModelType.clean()
	e.Name = nameOf(e.Sent)
	// What is kept of a name that nobody knows must fit in an index; the body has it all.
	e.Sent, e.ModelType = cut(e.Sent), cut(e.ModelType)
	if e.Sent == "" {
		return false, fmt.Errorf("no event name")
	}
	seconds, err := strconv.ParseInt(string(env.FiredAt), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<36 {
		return true, fmt.Errorf("fired_at is not a number of seconds")
	}
	e.FiredAt = time.Unix(seconds, 0).UTC()
	return true, nil
}

var externalID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// check is what every event that is about a request must have. Taking an
// entitlement away asks for nothing but to know from whom.
func (e *Event) check() error {
	if e.Name == UnknownEvent {
		return nil
	}
	if !externalID.MatchString(e.ExternalID) {
		return fmt.Errorf("no usable request number")
	}
	switch e.Name {
	case Revoke, Archive, Delete:
		return nil
	}
	for _, c := range e.Payload.Contacts {
		if c.Role == Applicant {
			return nil
		}
	}
	return fmt.Errorf("no applicant with a valid e-mail")
}

// addContact keeps a contact that can be written to and passes over the others:
// an empty contact is common and harms nobody.
func (p *Payload) addContact(c Contact) {
	c.Email = strings.ToLower(strings.TrimSpace(c.Email))
	if _, known := (Request{Contacts: p.Contacts}).Contact(c.Role); known || !validEmail(c.Email) {
		return
	}
	p.Contacts = append(p.Contacts, c)
}

func validEmail(s string) bool {
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && strings.Contains(s[strings.LastIndexByte(s, '@'):], ".")
}

func statusOf(sent string) Status {
	switch sent {
	case "draft", "pending":
		return Draft
	case "submitted", "sent":
		return Submitted
	case "changes_requested", "modification_pending":
		return ChangesRequested
	case "refused":
		return Refused
	case "validated":
		return Validated
	case "revoked":
		return Revoked
	case "archived":
		return Archived
	}
	return ""
}

func instant(s text) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST"} {
		if t, err := time.Parse(layout, s.clean()); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// trusted: canonical has refused these already.
var trusted = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
