package grant

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"

	"guichet"
)

// What Parse refuses. A body that is not JSON is the sender's mistake; one that
// is JSON but cannot be used is quarantined, because the sender would repeat it
// for ever.
var (
	ErrNotJSON  = &guichet.Error{Kind: guichet.Invalid, Code: "not_json", Reason: "The body is signed but is not one strict JSON object."}
	ErrUnusable = &guichet.Error{Kind: guichet.Invalid, Code: "unusable", Reason: "The delivery is signed but cannot be used."}
)

// Parse reads a signed body. On ErrUnusable the event still holds what could be
// read, so that the journal can say what it was about.
func Parse(provider string, format Format, body []byte) (Event, error) {
	event := Event{Provider: provider, Format: format, Name: UnknownEvent}
	d, err := open(body)
	defer d.close()
	if err != nil {
		return event, ErrNotJSON.Because(err)
	}
	switch format {
	case V1:
		err = event.readV1(d.root())
	case V2, SourceAPI:
		err = event.readV2(d.root())
	default:
		return event, fmt.Errorf("grant: no format %q", format)
	}
	event.Identity = identity(event, d)
	if err != nil {
		return event, ErrUnusable.Because(err)
	}
	return event, nil
}

// identity makes a retry and a manual replay of one event the same, although
// their bytes and signatures differ. Each part is preceded by its length so that
// no two events share one.
func identity(e Event, d *document) [32]byte {
	all := d.scratch[:0]
	for _, part := range []string{e.Provider, string(e.Format), e.ExternalID, e.Sent, strconv.FormatInt(e.FiredAt.Unix(), 10)} {
		all = binary.BigEndian.AppendUint64(all, uint64(len(part)))
		all = append(all, part...)
	}
	d.scratch = d.root().sorted(all)
	return sha256.Sum256(d.scratch)
}

// cut keeps the beginning of a name.
func cut(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// scopes reads scopes as v1 sends them (an object of flags) and as v2 does (an
// array of names).
func (v value) scopes() (all []string) {
	switch v.kind() {
	case '[':
		for name := range v.each() {
			all = append(all, name.clean())
		}
	case '{':
		for flag := range v.each() {
			if flag.raw() == "true" {
				all = append(all, unquote(flag.name()))
			}
		}
	}
	return all
}

// readEnvelope reads what both formats have around their data and tells whether
// there is more: a ping has nothing else.
func (e *Event) readEnvelope(body value) (more bool, err error) {
	sent := body.at("event")
	if sent.text() == "" && body.at("test").raw() == "true" {
		e.Name, e.Sent = Ping, string(Ping)
		return false, nil
	}
	e.Sent, e.ModelType = sent.clean(), body.at("model_type").clean()
	e.Name = nameOf(e.Sent)
	// What is kept of a name that nobody knows must fit in an index; the body has it all.
	e.Sent, e.ModelType = cut(e.Sent), cut(e.ModelType)
	if e.Sent == "" {
		return false, fmt.Errorf("no event name")
	}
	seconds, err := strconv.ParseInt(body.at("fired_at").text(), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<36 {
		return true, fmt.Errorf("fired_at is not a number of seconds")
	}
	e.FiredAt = time.Unix(seconds, 0).UTC()
	return true, nil
}

// objects are the items of a list, which must be objects or nothing.
func (v value) objects() (all []value, err error) {
	if v.kind() != '[' {
		return nil, nil
	}
	for item := range v.each() {
		if k := item.kind(); k != '{' && k != 'n' {
			return nil, fmt.Errorf("%s is a list of something else than objects", v.name())
		}
		all = append(all, item)
	}
	return all, nil
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
	if p.Contacts == nil {
		p.Contacts = make([]Contact, 0, 3)
	}
	p.Contacts = append(p.Contacts, c)
}

func validEmail(s string) bool {
	if len(s) <= 254 && plainEmail(s) {
		return true
	}
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && strings.Contains(s[strings.LastIndexByte(s, '@'):], ".")
}

// plainEmail tells whether an address is as nearly all are, and need not be looked
// at more closely: letters, digits and _+- in words with dots between, around one @.
func plainEmail(s string) bool {
	at, dotted, last := false, false, byte('.') // a dot cannot come first, nor after a dot
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', c == '_', c == '+', c == '-':
		case c == '.' && last != '.':
			dotted = true
		case c == '@' && last != '.' && !at:
			at, dotted, c = true, false, '.'
		default:
			return false
		}
		last = c
	}
	return at && dotted && last != '.'
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

func instant(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
