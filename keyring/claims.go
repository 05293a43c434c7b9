package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"guichet"
)

// Claims is what a token says. Absent claims are zero. Values given by a
// verifier may be shared between callers: read them, do not change them.
type Claims struct {
	Issuer    string
	Subject   string // title of the request
	ID        string // jti: the id of the token
	UID       string // the same id again, where older gateways look for it
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	Version   string
	ExtraInfo json.RawMessage // a JSON object
	Status    Status
	Limit     guichet.Limit

	// Only is not a claim: it is Key.Only of the key that verified the token.
	Only []string
}

// MayBeOf tells whether the key that signed the token may sign for a provider.
func (c Claims) MayBeOf(provider string) bool {
	return len(c.Only) == 0 || slices.Contains(c.Only, provider)
}

// Status says which bit of which status list tells that a token is blocked.
// A token without a status list has no URI.
type Status struct {
	Index int64
	URI   string
}

// Expired tells whether the token has ended at now. A token without an end has
// always ended: nobody of ours makes one.
func (c Claims) Expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }

type claimsJSON struct {
	Issuer    string          `json:"iss,omitempty"`
	Subject   string          `json:"sub,omitempty"`
	ID        string          `json:"jti,omitempty"`
	UID       string          `json:"uid,omitempty"`
	Scopes    []string        `json:"scopes"`
	IssuedAt  int64           `json:"iat,omitempty"`
	ExpiresAt int64           `json:"exp,omitempty"`
	Version   string          `json:"version,omitempty"`
	ExtraInfo json.RawMessage `json:"extra_info,omitempty"`
	Status    *statusJSON     `json:"status,omitempty"`
	Limits    *guichet.Limit  `json:"limits,omitempty"`
}

type statusJSON struct {
	StatusList statusListJSON `json:"status_list"`
}

type statusListJSON struct {
	Index int64  `json:"idx"`
	URI   string `json:"uri"`
}

// MarshalJSON writes the claims as a token carries them, always in the same
// order, so that the same claims under EdDSA or HS256 give the same token.
func (c Claims) MarshalJSON() ([]byte, error) {
	out := claimsJSON{
		Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, UID: c.UID, Scopes: c.Scopes,
		IssuedAt: unixOrZero(c.IssuedAt), ExpiresAt: unixOrZero(c.ExpiresAt),
		Version: c.Version, ExtraInfo: c.ExtraInfo,
	}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	if c.Status.URI != "" {
		out.Status = &statusJSON{statusListJSON{Index: c.Status.Index, URI: c.Status.URI}}
	}
	if !c.Limit.IsZero() {
		out.Limits = &c.Limit
	}
	return json.Marshal(out)
}

func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// parseClaims reads the payload of a token whose signature was checked. It is
// strict all the same: a name is read as written, twice the same name or the
// wrong type is refused, so that we and a gateway cannot read two meanings.
func parseClaims(payload []byte) (Claims, error) {
	members, err := parseObject(payload)
	if err != nil {
		return Claims{}, err
	}
	r := claimReader{members: members}
	c := Claims{
		Issuer:    r.text("iss"),
		Subject:   r.text("sub"),
		ID:        r.text("jti"),
		UID:       r.text("uid"),
		Scopes:    r.texts("scopes"),
		IssuedAt:  r.instant("iat"),
		ExpiresAt: r.instant("exp"),
		Version:   r.text("version"),
		ExtraInfo: r.object("extra_info"),
	}
	if status := r.object("status"); status != nil {
		c.Status = r.statusList(status)
	}
	if limits := r.object("limits"); limits != nil {
		c.Limit = r.limit(limits)
	}
	return c, r.err
}

// A claimReader keeps the first error, so that the list of claims above reads
// as a list.
type claimReader struct {
	members map[string]json.RawMessage
	err     error
}

func (r *claimReader) get(name string) json.RawMessage {
	raw := r.members[name]
	if string(raw) == "null" { // some issuers write what they do not have
		return nil
	}
	return raw
}

func (r *claimReader) fail(name, wanted string) {
	if r.err == nil {
		r.err = fmt.Errorf("claim %s is not %s", name, wanted)
	}
}

func (r *claimReader) text(name string) (s string) {
	raw := r.get(name)
	if raw != nil && json.Unmarshal(raw, &s) != nil {
		r.fail(name, "a string")
		return ""
	}
	return s
}

func (r *claimReader) texts(name string) []string {
	raw := r.get(name)
	if raw == nil {
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		r.fail(name, "a list of strings")
		return nil
	}
	list := make([]string, len(items))
	for i, item := range items {
		// null in a list would read as an empty string: refuse what is not text.
		if item[0] != '"' || json.Unmarshal(item, &list[i]) != nil {
			r.fail(name, "a list of strings")
			return nil
		}
	}
	return list
}

// lastInstant is the end of year 9999, the last that RFC 3339 can write.
const lastInstant = 253402300799

func (r *claimReader) number(name string, raw json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || n > lastInstant {
		r.fail(name, "a whole number")
		return 0
	}
	return n
}

func (r *claimReader) instant(name string) time.Time {
	raw := r.get(name)
	if raw == nil {
		return time.Time{}
	}
	n := r.number(name, raw)
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func (r *claimReader) object(name string) json.RawMessage {
	raw := r.get(name)
	if raw != nil && raw[0] != '{' {
		r.fail(name, "an object")
		return nil
	}
	return raw
}

func (r *claimReader) statusList(status json.RawMessage) Status {
	outer, err := parseObject(status)
	if err != nil {
		r.fail("status", "a clear object")
		return Status{}
	}
	list, ok := outer["status_list"]
	if !ok {
		return Status{} // another mechanism than ours
	}
	inner, err := parseObject(list)
	if err != nil {
		r.fail("status.status_list", "a clear object")
		return Status{}
	}
	in := claimReader{members: inner}
	out := Status{Index: in.number("status.status_list.idx", inner["idx"]), URI: in.text("uri")}
	if in.err != nil || out.URI == "" {
		r.fail("status.status_list", "an index and an address")
		return Status{}
	}
	return out
}

// limit reads what narrows the token. A member that we do not know could narrow it
// further: it is refused, and the token with it.
func (r *claimReader) limit(limits json.RawMessage) guichet.Limit {
	inner, err := parseObject(limits)
	if err != nil {
		r.fail("limits", "a clear object")
		return guichet.Limit{}
	}
	for name := range inner {
		if name != "from" && name != "per_minute" {
			r.fail("limits", "one that we know")
			return guichet.Limit{}
		}
	}
	in, perMinute := claimReader{members: inner}, int64(0)
	if raw, ok := inner["per_minute"]; ok {
		perMinute = in.number("limits.per_minute", raw)
	}
	from := in.texts("from")
	if raw, ok := inner["from"]; ok && len(from) == 0 || in.err != nil || string(raw) == "null" {
		r.fail("limits", "networks and a number") // no network at all is not any network
		return guichet.Limit{}
	}
	l, err := guichet.ParseLimit(from, int(min(perMinute, guichet.MostPerMinute+1)))
	if err != nil {
		r.fail("limits", "networks and a number")
	}
	return l
}

// parseObject reads one JSON object, its values left as they are: valid UTF-8,
// no name twice. (encoding/json alone lets the last of two equal names win and
// repairs bad UTF-8.)
func parseObject(b []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	switch err := json.Unmarshal(b, &members); {
	case !utf8.Valid(b):
		return nil, errors.New("not UTF-8")
	case err != nil || members == nil: // nil: the text was null
		return nil, errors.New("not one JSON object")
	case len(members) != countMembers(b):
		return nil, errors.New("a name is there twice")
	}
	return members, nil
}

// countMembers counts the members of a valid JSON object as they are written:
// one more than the commas between them, none when nothing is between its braces.
func countMembers(object []byte) int {
	depth, commas, empty, inText := 0, 0, true, false
	for i := 0; i < len(object); i++ {
		c := object[i]
		switch {
		case inText && c == '\\':
			i++ // whatever follows does not end the text
		case c == '"':
			inText, empty = !inText, false
		case inText:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			commas++
		}
	}
	if empty { // an object with a member has at least the quotes of its name
		return 0
	}
	return commas + 1
}
