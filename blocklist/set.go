package blocklist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"guichet"
)

const (
	// LeastSize is how many bits a status list has at least, so that a short list
	// does not tell how few tokens there are.
	LeastSize = 1 << 20
	// MostSize is more bits than anyone has tokens, and bounds what a broken peer
	// can make us allocate.
	MostSize = 1 << 33

	pageBytes = 1024
	pageBits  = pageBytes * 8
	shards    = 256
	groupSize = 16
)

// ErrGap is returned for a line that does not follow what the set has.
var ErrGap = &guichet.Error{Kind: guichet.Conflict, Code: "blocklist_gap", Reason: "Lines of the blocklist are missing before this one."}

// ErrDiverged is returned for a line that follows, but another past than ours: the
// database was restored from a backup and nobody raised its epoch.
var ErrDiverged = &guichet.Error{Kind: guichet.Conflict, Code: "blocklist_diverged", Reason: "The blocklist does not continue the one we have."}

// ErrUnreadable is returned for what is no line, no set.
var ErrUnreadable = &guichet.Error{Kind: guichet.Invalid, Code: "blocklist_unreadable", Reason: "This is not a blocklist."}

type (
	page = [pageBytes]byte
	key  = [16]byte // of a token id, whatever its form
	sum  = [16]byte
)

func keyOf(id guichet.ID) key {
	h := sha256.Sum256([]byte(id))
	return key(h[:16])
}

// A Set is the whole list at one version. It never changes: what adds to it makes
// another that shares most of its memory, so that readers need no lock. A set may
// refuse more than its version has: see Union.
type Set struct {
	head  Version
	sum   sum
	size  int64
	count int64   // of the ids
	pages []*page // a missing page is all zero
	ids   idTable
}

// An idTable is ids in sorted lists, by their first byte, in two levels so that a
// change copies little. A missing group has none.
type (
	idTable [shards / groupSize]*idGroup
	idGroup [groupSize][]key
)

func (t *idTable) list(n byte) []key {
	if g := t[n/groupSize]; g != nil {
		return g[n%groupSize]
	}
	return nil
}

// set replaces a list, in a group of its own.
func (t *idTable) set(n byte, list []key) {
	var fresh idGroup
	if g := t[n/groupSize]; g != nil {
		fresh = *g
	}
	fresh[n%groupSize] = list
	t[n/groupSize] = &fresh
}

// Empty is the list before its first line.
func Empty(epoch int64) *Set {
	return &Set{head: Version{Epoch: epoch}, size: LeastSize}
}

// Version is how much of the list the set has.
func (s *Set) Version() Version { return s.head }

// Head is where the set ends.
func (s *Set) Head() Head {
	return Head{Version: s.head, Sum: hex.EncodeToString(s.sum[:]), Size: s.size}
}

// Count is how many tokens the set refuses.
func (s *Set) Count() int64 { return s.count }

// Memory is about how many bytes the set takes.
func (s *Set) Memory() int64 { return s.size/8 + s.count*int64(len(key{})) }

// Index tells whether the token with this bit of the status list is blocked, and
// whether there is such a bit at all.
func (s *Set) Index(index int64) (blocked, known bool) {
	if !inRange(index, s.size) {
		return false, false
	}
	n := index / pageBits
	if n >= int64(len(s.pages)) || s.pages[n] == nil {
		return false, true
	}
	at := index % pageBits
	return s.pages[n][at/8]&mask(at) != 0, true
}

// Token tells whether the token of this id is blocked. It is for tokens that do
// not say which bit is theirs.
func (s *Set) Token(id guichet.ID) bool {
	k := keyOf(id)
	_, found := slices.BinarySearchFunc(s.ids.list(k[0]), k, compareKeys)
	return found
}

func compareKeys(a, b key) int { return bytes.Compare(a[:], b[:]) }

// Resize is the set with a longer status list; none gets shorter.
func (s *Set) Resize(size int64) *Set {
	if size <= s.size || size > MostSize {
		return s
	}
	next := *s
	next.size = size
	return &next
}

// Apply is the set with the lines that follow it. Lines it has already are passed
// over. On ErrGap and ErrDiverged the set is returned as it was.
func (s *Set) Apply(lines ...Line) (*Set, error) {
	next, _, err := s.apply(lines)
	return next, err
}

// Extend is Apply for whoever writes the list: it gives the lines it added with
// their sums.
func (s *Set) Extend(lines []Line) (*Set, []Line, error) { return s.apply(lines) }

func (s *Set) apply(lines []Line) (_ *Set, added []Line, _ error) {
	next := *s
	owned := map[int64]bool{} // pages and shards that are ours to write to
	for _, l := range lines {
		switch {
		case l.Seq <= next.head.Seq:
			continue
		case l.Seq != next.head.Seq+1:
			return s, nil, ErrGap
		case l.Index < 0 || l.Index >= MostSize:
			return s, nil, ErrUnreadable
		}
		k := keyOf(l.Token)
		chained := chain(next.sum, l, k)
		text := hex.EncodeToString(chained[:])
		if l.Sum != "" && l.Sum != text {
			return s, nil, ErrDiverged
		}
		l.Sum = text
		if len(owned) == 0 {
			next.pages = slices.Clone(next.pages)
		}
		next.setBit(l.Index, owned)
		next.addID(k, owned)
		next.head.Seq, next.sum = l.Seq, chained
		added = append(added, l)
	}
	return &next, added, nil
}

func chain(before sum, l Line, k key) sum {
	var b [16 + 8 + 8 + 16]byte
	copy(b[:], before[:])
	binary.BigEndian.PutUint64(b[16:], uint64(l.Seq))
	binary.BigEndian.PutUint64(b[24:], uint64(l.Index))
	copy(b[32:], k[:])
	h := sha256.Sum256(b[:])
	return sum(h[:16])
}

func (s *Set) setBit(index int64, owned map[int64]bool) {
	n, at := index/pageBits, index%pageBits
	if missing := n + 1 - int64(len(s.pages)); missing > 0 {
		s.pages = append(s.pages, make([]*page, missing)...)
	}
	s.size = max(s.size, (n+1)*pageBits)
	if !owned[n] {
		fresh := new(page)
		if s.pages[n] != nil {
			*fresh = *s.pages[n]
		}
		s.pages[n], owned[n] = fresh, true
	}
	s.pages[n][at/8] |= mask(at)
}

func (s *Set) addID(k key, owned map[int64]bool) {
	n := -1 - int64(k[0]) // beside the pages' numbers
	list := s.ids.list(k[0])
	at, found := slices.BinarySearchFunc(list, k, compareKeys)
	if found {
		return
	}
	if !owned[n] {
		list, owned[n] = append(make([]key, 0, len(list)+1), list...), true
	}
	s.ids.set(k[0], slices.Insert(list, at, k))
	s.count++
}

// Line is the line that would come next, with its sum.
func (s *Set) Line(token guichet.ID, index int64) Line {
	l := Line{Seq: s.head.Seq + 1, Token: token, Index: index}
	chained := chain(s.sum, l, keyOf(token))
	l.Sum = hex.EncodeToString(chained[:])
	return l
}

// Union is the set at the version it has, refusing also what another refuses: a
// gateway goes on refusing what it has once refused, though a backup was restored
// that knows nothing of it.
func (s *Set) Union(o *Set) *Set {
	next := *s
	next.pages = make([]*page, max(len(s.pages), len(o.pages)))
	copy(next.pages, s.pages)
	for n, p := range o.pages {
		switch mine := next.pages[n]; {
		case p == nil, p == mine:
		case mine == nil:
			next.pages[n] = p
		default:
			both := *p
			for i, b := range mine {
				both[i] |= b
			}
			next.pages[n] = &both
		}
	}
	next.size = max(s.size, o.size)
	for i := range shards {
		n := byte(i)
		if theirs := o.ids.list(n); len(theirs) > 0 {
			both := slices.Concat(s.ids.list(n), theirs)
			slices.SortFunc(both, compareKeys)
			both = slices.Compact(both)
			next.count += int64(len(both) - len(s.ids.list(n)))
			next.ids.set(n, both)
		}
	}
	return &next
}

// String says which version it is and how many tokens it refuses.
func (s *Set) String() string { return fmt.Sprintf("%s (%d blocked)", s.head, s.count) }
