// Package blocklist is the list of blocked tokens as it travels from Guichet to
// its gateways: the lines of the log ([Line]), where the log stands ([Head]),
// the whole of it as an immutable [Set], and how all three are written on the
// wire and on the disk. It sees no socket and no clock.
package blocklist

import (
	"encoding/json"
	"strconv"
	"strings"

	"guichet"
)

// A Version says how much of the list somebody has. The epoch rises when the
// database is restored from a backup, for the sequence then goes back.
type Version struct {
	Epoch int64 `json:"epoch"`
	Seq   int64 `json:"seq"`
}

// Before tells whether v is older than o.
func (v Version) Before(o Version) bool {
	return v.Epoch < o.Epoch || v.Epoch == o.Epoch && v.Seq < o.Seq
}

// String is the version as the id of an event of the stream: epoch-sequence.
func (v Version) String() string {
	return strconv.FormatInt(v.Epoch, 10) + "-" + strconv.FormatInt(v.Seq, 10)
}

// ParseVersion reads what String wrote.
func ParseVersion(s string) (v Version, ok bool) {
	epoch, seq, ok := strings.Cut(s, "-")
	if !ok {
		return v, false
	}
	var errs [2]error
	v.Epoch, errs[0] = strconv.ParseInt(epoch, 10, 64)
	v.Seq, errs[1] = strconv.ParseInt(seq, 10, 64)
	return v, errs[0] == nil && errs[1] == nil && v.Epoch >= 0 && v.Seq >= 0
}

// A Line is one block: from its commit on the token is refused. Sum covers this
// line and all before it; it is empty where whoever wrote the line had not read
// them all.
type Line struct {
	Seq   int64      `json:"seq"`
	Token guichet.ID `json:"token"`
	Index int64      `json:"index"`
	Sum   string     `json:"sum,omitempty"`
}

// A Head is where the list ends: its version, the sum of all its lines, and how
// many bits the status list has. A token with an index beyond them is none of ours.
type Head struct {
	Version
	Sum  string `json:"sum"`
	Size int64  `json:"size"`
}

// An Answer is what Guichet says to a gateway that asks where the list stands. It
// is computed from a state of the database read after the question came, so that
// whatever was committed before the question was sent is in it.
type Answer struct {
	Nonce string `json:"nonce,omitempty"` // the gateway's own, as it sent it
	Head
	Lines []Line          `json:"lines"`          // that follow what the gateway has
	More  bool            `json:"more,omitempty"` // lines are missing before the head: ask again
	Reset bool            `json:"reset,omitempty"`
	Keys  string          `json:"keys,omitempty"` // names the set of public keys that is in force
	JWKS  json.RawMessage `json:"jwks,omitempty"` // that set, for a gateway that named another
}

// A Pulse is what the stream says of the head while nothing is blocked.
type Pulse struct {
	Head
	Keys string `json:"keys,omitempty"`
}
