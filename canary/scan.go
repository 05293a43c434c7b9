// Package canary looks for secrets where none may be. While tests run it hears of
// every guichet.Secret that is revealed or made, in this process and in the ones
// that it starts, and looks for each of them, in all its writings, in whatever the
// tests hand to it: files, rows, answers, logs, mails, command lines. No list of
// secrets is kept by hand. The program itself never links this package.
package canary

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"slices"
	"sync"
)

// Least is the number of bytes from which a secret can be found by itself: by
// chance, twelve letters of thirty-two are met once in 2^60 places.
const Least = 12

// A Find is a secret where it was found.
type Find struct {
	Kind    string // what it is, or the line of the program that revealed it
	Writing string
	Place   string
}

// String says what was found where, without the secret.
func (f Find) String() string { return f.Kind + ", written as " + f.Writing + ", is in: " + f.Place }

// A Scanner looks for many secrets in all writings at once: one pass over the
// bytes, however many they are. Any goroutine may use it at any time.
type Scanner struct {
	mu      sync.RWMutex
	needles []needle
	ends    map[uint64][]int32 // the needles that end in these eight bytes
	filter  []uint64           // a bit for each hash of such an end; nearly every place is passed by after one look
	secrets int
	read    int64
}

type needle struct {
	kind, writing string
	text          []byte
}

// The filter is looked at twice for each end: a test may make ten thousand secrets,
// which is a quarter of a million needles.
const filterBits = 23

func hash(end uint64) (one, other uint64) {
	h := end * 0x9e3779b97f4a7c15
	return h >> (64 - filterBits), h >> (64 - 2*filterBits) & (1<<filterBits - 1)
}

// Add makes the scanner look for a secret from now on.
func (s *Scanner) Add(kind, plain string) {
	if len(plain) < Least {
		panic("canary: too short to be found by itself: " + kind)
	}
	all := writings([]byte(plain))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends, s.filter = map[uint64][]int32{}, make([]uint64, 1<<filterBits/64)
	}
	s.secrets++
	for writing, texts := range all {
		for _, text := range texts {
			if writing != "plain" && string(text) == plain {
				continue // this writing changes nothing of it
			}
			end := endOf(text)
			s.ends[end] = append(s.ends[end], int32(len(s.needles)))
			one, other := hash(end)
			s.filter[one>>6] |= 1 << (one & 63)
			s.filter[other>>6] |= 1 << (other & 63)
			s.needles = append(s.needles, needle{kind, writing, text})
		}
	}
}

// endOf reads the last eight bytes as pass does, the last one highest.
func endOf(text []byte) (end uint64) {
	for _, c := range text[len(text)-8:] {
		end = end>>8 | uint64(c)<<56
	}
	return end
}

// Size tells how many secrets are looked for, by how many needles, and how many
// bytes were looked at.
func (s *Scanner) Size() (secrets, needles int, read int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.secrets, len(s.needles), s.read
}

// Look finds the secrets in what came out somewhere, and in what is folded or
// compressed in it: each once.
func (s *Scanner) Look(place string, data []byte) []Find {
	found := map[Find]bool{}
	s.look(place, data, found)
	all := make([]Find, 0, len(found))
	for f := range found {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Find) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Writing, b.Writing))
	})
	return all
}

var (
	newline = []byte("\r\n")
	gzipped = []byte{0x1f, 0x8b, 8}
)

func (s *Scanner) look(place string, data []byte, found map[Find]bool) {
	s.pass(place, data, found)
	if bytes.Contains(data, newline) { // lines of a mail are folded, whatever their writing
		room := rooms.Get().(*[]byte)
		*room = unfolded((*room)[:0], data)
		s.pass(place, *room, found)
		rooms.Put(room)
	}
	for at := bytes.Index(data, gzipped); at >= 0; {
		if r, err := gzip.NewReader(bytes.NewReader(data[at:])); err == nil {
			opened, _ := io.ReadAll(io.LimitReader(r, 64<<20)) // what comes before an error counts
			if len(opened) > 0 {
				s.look(place+" (gzip)", opened, found)
			}
		}
		next := bytes.Index(data[at+1:], gzipped)
		if next < 0 {
			break
		}
		at += 1 + next
	}
}

// unfolded adds data without the ends of its lines.
func unfolded(text, data []byte) []byte {
	text = slices.Grow(text, len(data))
	for {
		line, rest, more := bytes.Cut(data, newline)
		if !more {
			return append(text, line...)
		}
		text, data = append(text, bytes.TrimSuffix(line, []byte("="))...), rest
	}
}

// block is how much is looked at before others may add what they have learned.
const block = 1 << 20

func (s *Scanner) pass(place string, data []byte, found map[Find]bool) {
	s.mu.Lock()
	s.read += int64(len(data))
	s.mu.Unlock()
	var end uint64
	for from := 0; from < len(data); from += block {
		s.mu.RLock()
		if s.ends == nil {
			s.mu.RUnlock()
			return
		}
		stop := min(from+block, len(data))
		for at := from; at < stop; at++ {
			at, end = next(s.filter, data[:stop], at, end)
			if at == stop {
				break
			}
			for _, i := range s.ends[end] {
				n := s.needles[i]
				if bytes.HasSuffix(data[:at+1], n.text) {
					found[Find{n.kind, n.writing, place}] = true
				}
			}
		}
		s.mu.RUnlock()
	}
}

// next goes on from a place to the next one whose last eight bytes may be the end
// of a needle. The race detector would make it ten times slower, and it only
// reads, under the lock, what is written under it.
//
//go:norace
func next(filter []uint64, data []byte, at int, end uint64) (int, uint64) {
	for ; at < len(data); at++ {
		end = end>>8 | uint64(data[at])<<56
		if one, other := hash(end); filter[one>>6]&(1<<(one&63)) != 0 && filter[other>>6]&(1<<(other&63)) != 0 {
			return at, end
		}
	}
	return at, end
}
