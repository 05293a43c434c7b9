package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

// How long a status list may be kept. A cache on the way keeps it for statusAge, a
// reader for statusTTL more: together a block is seen after 15 seconds at the
// latest by whoever follows both. A reader cut off from us believes the last list
// until statusLife is over, and nothing after.
const (
	statusAge  = 5 * time.Second
	statusTTL  = 10 * time.Second
	statusLife = 5 * time.Minute
	// statusResign is how old a list may be when it is served: it is signed anew
	// even if nothing was blocked, so that its reader has most of its life before it.
	statusResign = time.Minute
	// fewestLists is how many there are before there is any token: half a million
	// fit, and whoever has fewer has as many lists.
	fewestLists = (1 << 20) / keyring.StatusShard
)

// A StatusSource is what status lists are made of. Both always read the database
// that decides.
type StatusSource interface {
	// Blocklist gives blocks after a sequence, oldest first, and the present head.
	Blocklist(ctx context.Context, after int64, limit int) ([]grant.Blocked, grant.Head, error)
	// HighestIndex is the highest bit that a token has.
	HighestIndex(ctx context.Context) (int64, error)
}

// Statuses makes the status lists of all tokens and keeps them in memory, each
// until a block changes it. What it serves was compared with the head of the
// blocklist after it was asked: it is never older than the request. One goroutine
// at a time looks and builds; the others wait for it, and then find the list made.
type Statuses struct {
	url    string
	clock  guichet.Clock
	source StatusSource
	key    func() *keyring.SigningKey

	turn  chan struct{} // holds one value: whoever has it may touch what follows
	head  grant.Head
	lists []*statusList
}

// A statusList is one list: its bits, and the documents made of them.
type statusList struct {
	bits     []byte
	packed   string // empty: the bits have changed
	kid      string
	signedAt time.Time
	documents
}

// documents are the forms of one list; without plain, the bits have changed.
type documents struct {
	plain   []byte // the JWT
	gzipped []byte // the same, compressed
	cwt     []byte // in CBOR, without base64
}

// NewStatuses makes the lists of the tokens of an address. The key is asked for at
// each signature: it may be another by then.
func NewStatuses(url string, clock guichet.Clock, source StatusSource, key func() *keyring.SigningKey) *Statuses {
	return &Statuses{url: url, clock: clock, source: source, key: key, turn: make(chan struct{}, 1)}
}

func (s *Statuses) uri(n int64) string { return fmt.Sprintf("%s/status/%d", s.url, n) }

var errNoList = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_status_list", Reason: "There is no status list of this number."}

// get gives a list as it is now, in all its forms.
func (s *Statuses) get(ctx context.Context, n int64) (documents, error) {
	done, err := s.take(ctx)
	if err != nil {
		return documents{}, err
	}
	defer done()
	if err := s.catchUp(ctx, n); err != nil {
		return documents{}, err
	}
	if n >= int64(len(s.lists)) {
		return documents{}, errNoList
	}
	l := s.lists[n]
	key, now := s.key(), s.clock.Now()
	if age := now.Sub(l.signedAt); l.plain == nil || l.kid != key.KID || age < 0 || age > statusResign {
		if err := l.sign(s, n, key, now); err != nil {
			return documents{}, err
		}
	}
	return l.documents, nil
}

func (s *Statuses) take(ctx context.Context) (done func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, &guichet.Error{Kind: guichet.Unavailable, Code: "status_list_busy", Reason: "The status list is being made. Please try again.", Cause: ctx.Err()}
	}
}

const blocklistPage = 1000

// catchUp sets the bits of what was blocked since it last looked. A head that went
// back, or another epoch, is another history: all is read again.
func (s *Statuses) catchUp(ctx context.Context, wanted int64) error {
	for {
		lines, head, err := s.source.Blocklist(ctx, s.head.Seq, blocklistPage)
		if err != nil {
			return err
		}
		if s.lists == nil || head.Epoch != s.head.Epoch || head.Seq < s.head.Seq {
			again := s.lists != nil && s.head.Seq > 0
			s.head, s.lists = grant.Head{Epoch: head.Epoch}, nil
			s.grow(fewestLists)
			if again {
				continue
			}
		}
		for _, b := range lines {
			s.set(b.StatusIndex)
			s.head.Seq = b.Seq
		}
		if len(lines) < blocklistPage {
			break
		}
	}
	if wanted < int64(len(s.lists)) {
		return nil
	}
	highest, err := s.source.HighestIndex(ctx)
	if err != nil {
		return err
	}
	s.grow(highest/keyring.StatusShard + 1)
	return nil
}

// grow makes room for n lists. Their number is a power of two: it tells how many
// digits the number of tokens has, and no more.
func (s *Statuses) grow(n int64) {
	for room := int64(fewestLists); int64(len(s.lists)) < n; room *= 2 {
		for int64(len(s.lists)) < room {
			s.lists = append(s.lists, &statusList{bits: make([]byte, keyring.StatusShard/8)})
		}
	}
}

func (s *Statuses) set(index int64) {
	n, bit := index/keyring.StatusShard, index%keyring.StatusShard
	s.grow(n + 1)
	l := s.lists[n]
	l.bits[bit/8] |= 1 << (bit % 8)
	l.packed, l.plain = "", nil
}

func (l *statusList) sign(s *Statuses, n int64, key *keyring.SigningKey, now time.Time) (err error) {
	if l.packed == "" {
		if l.packed, err = keyring.PackBits(l.bits); err != nil {
			return err
		}
	}
	list := keyring.StatusList{
		URI: s.uri(n), Issuer: s.url, Packed: l.packed, IssuedAt: now, ExpiresAt: now.Add(statusLife), TTL: statusTTL, All: s.url + "/status",
	}
	document, err := key.SignStatusList(list)
	if err != nil {
		return err
	}
	cwt, err := key.SignStatusListCWT(list)
	if err != nil {
		return err
	}
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	if _, err := w.Write([]byte(document)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	l.documents, l.kid, l.signedAt = documents{[]byte(document), small.Bytes(), cwt}, key.KID, now
	return nil
}

// all gives the addresses of all lists.
func (s *Statuses) all(ctx context.Context) ([]byte, error) {
	done, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	highest, err := s.source.HighestIndex(ctx)
	if err != nil {
		return nil, err
	}
	s.grow(highest/keyring.StatusShard + 1)
	uris := make([]string, len(s.lists))
	for n := range uris {
		uris[n] = s.uri(int64(n))
	}
	return json.Marshal(map[string][]string{"status_lists": uris})
}

const statusType = "application/" + keyring.TypeStatusList

// status serves one list. Who calls: whoever has a token and can poll, and caches
// on their way.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("n")
	n, err := strconv.ParseInt(name, 10, 40)
	if err != nil || strconv.FormatInt(n, 10) != name || n < 0 { // one list has one address
		return errNoList
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	if r.URL.Query().Has("time") {
		refuse(w, http.StatusNotImplemented, errHistory)
		return nil
	}
	accept := r.Header.Values("Accept")
	jwt := len(accept) == 0 || accepts(accept, statusType, "application/*", "*/*")
	if !jwt && !accepts(accept, keyring.TypeStatusListCWT) {
		refuse(w, http.StatusNotAcceptable, errNotThatForm)
		return nil
	}
	list, err := s.Statuses.get(r.Context(), n)
	if err != nil {
		return err
	}
	document := list.plain
	h.Set("Content-Type", statusType)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(statusAge/time.Second)))
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case !jwt: // its bits are compressed, and nothing else is long
		h.Set("Content-Type", keyring.TypeStatusListCWT)
		document = list.cwt
	case accepts(r.Header.Values("Accept-Encoding"), "gzip"):
		h.Set("Content-Encoding", "gzip")
		document = list.gzipped
	}
	serveTagged(w, r, document)
	return nil
}

// statuses serves the addresses of all lists.
func (s *Server) statuses(w http.ResponseWriter, r *http.Request) error {
	document, err := s.Statuses.all(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	serveTagged(w, r, document)
	return nil
}

// What a status list is not.
var (
	errHistory     = &guichet.Error{Kind: guichet.Invalid, Code: "no_history", Field: "time", Reason: "Status lists of the past are not kept: ask without time."}
	errNotThatForm = &guichet.Error{Kind: guichet.Invalid, Code: "not_acceptable", Field: "Accept", Reason: "A status list is application/statuslist+jwt or application/statuslist+cwt here."}
)

// refuse writes a problem whose status is not that of its kind.
func refuse(w http.ResponseWriter, status int, err error) {
	p := ProblemOf(err)
	p.Status, p.Title = status, http.StatusText(status)
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, "application/problem+json", p.Status, p)
}
