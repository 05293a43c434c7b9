package blocklist_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"guichet"
	"guichet/blocklist"
)

func id(n int64) guichet.ID { return guichet.ID(fmt.Sprintf("0190b6e4-0000-7000-8000-%012x", n)) }

// grow makes a set that blocks tokens at these indices.
func grow(t testing.TB, s *blocklist.Set, indices ...int64) *blocklist.Set {
	t.Helper()
	for _, i := range indices {
		var err error
		if s, err = s.Apply(s.Line(id(i), i)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// The first index is the least significant bit of the first byte: the example of
// the Token Status List has the sixteen values below in the bytes b9 a3.
func TestBitsAreOrderedAsTheStandardSays(t *testing.T) {
	s := blocklist.Empty(1)
	for i, v := range []int{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1} {
		if v == 1 {
			s = grow(t, s, int64(i))
		}
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b.Bytes(), []byte("\n"))
	_, rest, _ = bytes.Cut(rest, []byte("\n"))
	z, err := zlib.NewReader(bytes.NewReader(rest))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(z)
	if err != nil || len(bits) != blocklist.LeastSize/8 || bits[0] != 0xb9 || bits[1] != 0xa3 {
		t.Fatalf("%d bytes, the first are % x, %v", len(bits), bits[:2], err)
	}
}

func TestOutOfRangeIsNotKnown(t *testing.T) {
	s := grow(t, blocklist.Empty(1), 5)
	for _, i := range []int64{-1, blocklist.LeastSize, blocklist.LeastSize + 5, blocklist.MostSize, 1 << 62} {
		if blocked, known := s.Index(i); blocked || known {
			t.Errorf("index %d: blocked %v, known %v", i, blocked, known)
		}
	}
	if blocked, known := s.Index(blocklist.LeastSize - 1); blocked || !known {
		t.Errorf("the last index: blocked %v, known %v", blocked, known)
	}
	if blocked, known := s.Resize(blocklist.LeastSize * 2).Index(blocklist.LeastSize + 5); blocked || !known {
		t.Errorf("in the longer list: blocked %v, known %v", blocked, known)
	}
	if _, err := s.Apply(blocklist.Line{Seq: 2, Token: id(2), Index: blocklist.MostSize}); !errors.Is(err, blocklist.ErrUnreadable) {
		t.Errorf("an index beyond all: %v", err)
	}
}

func TestLinesFollowOneAnother(t *testing.T) {
	empty := blocklist.Empty(1)
	one := empty.Line(id(1), 1)
	two := grow(t, empty, 1).Line(id(2), 2)
	if _, err := empty.Apply(two); !errors.Is(err, blocklist.ErrGap) {
		t.Errorf("with a gap: %v", err)
	}
	s, err := empty.Apply(one, one, two, one)
	if err != nil || s.Version() != (blocklist.Version{Epoch: 1, Seq: 2}) || s.Count() != 2 {
		t.Fatalf("%v, %v", s, err)
	}
	if empty.Count() != 0 || empty.Token(id(1)) || !s.Token(id(1)) || s.Token(id(3)) {
		t.Error("a set changed, or does not have what it was given")
	}
	other := grow(t, empty, 7) // another past of the same length
	if _, err := other.Apply(two); !errors.Is(err, blocklist.ErrDiverged) {
		t.Errorf("on another past: %v", err)
	}
	if u := s.Union(other); u.Version() != s.Version() || u.Head().Sum != s.Head().Sum || !u.Token(id(7)) || !u.Token(id(2)) || u.Count() != 3 {
		t.Errorf("union: %v", u)
	}
}

// Against a model: a set is a sequence of distinct tokens.
func TestSetAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.SliceOfNDistinct(rapid.Int64Range(0, 3<<20), 0, 60, func(i int64) int64 { return i })
		mine, others := draw.Draw(t, "mine"), draw.Draw(t, "others")
		build := func(indices []int64) *blocklist.Set {
			s := blocklist.Empty(3)
			for len(indices) > 0 {
				n := rapid.IntRange(1, len(indices)).Draw(t, "n")
				var lines []blocklist.Line
				ahead := s
				for _, i := range indices[:n] {
					l := ahead.Line(id(i), i)
					ahead, _ = ahead.Apply(l)
					lines = append(lines, l)
				}
				var err error
				if s, err = s.Apply(lines...); err != nil || s.Head() != ahead.Head() {
					t.Fatalf("%v: %v, %v", err, s.Head(), ahead.Head())
				}
				indices = indices[n:]
			}
			return s
		}
		s := build(mine)
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := blocklist.ReadSnapshot(&b)
		if err != nil || again.Head() != s.Head() || again.Count() != s.Count() {
			t.Fatalf("read again: %v, %v", again, err)
		}
		both := again.Union(build(others))
		have := map[int64]int{}
		for _, i := range mine {
			have[i] |= 1
		}
		for _, i := range others {
			have[i] |= 2
		}
		for _, i := range append(append([]int64{0, 1, 1 << 20}, mine...), others...) {
			blocked, _ := again.Index(i)
			either, _ := both.Index(i)
			if blocked != (have[i]&1 != 0) || again.Token(id(i)) != blocked || either != (have[i] != 0) || both.Token(id(i)) != either {
				t.Fatalf("index %d: %v %v, model %d", i, blocked, either, have[i])
			}
		}
	})
}

// A snapshot that was cut, bent or made up is refused, whole, without a panic.
func TestBadSnapshots(t *testing.T) {
	var b bytes.Buffer
	if err := grow(t, blocklist.Empty(1), 1, 9, 70000).Write(&b); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	for n := range len(good) {
		if _, err := blocklist.ReadSnapshot(bytes.NewReader(good[:n])); !errors.Is(err, blocklist.ErrUnreadable) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		bent := bytes.Clone(good)
		bent[n] ^= 0x10
		if _, err := blocklist.ReadSnapshot(bytes.NewReader(bent)); !errors.Is(err, blocklist.ErrUnreadable) {
			t.Fatalf("bent at %d: %v", n, err)
		}
	}
	if _, err := blocklist.ReadSnapshot(io.MultiReader(bytes.NewReader(good), strings.NewReader("x"))); !errors.Is(err, blocklist.ErrUnreadable) {
		t.Errorf("with something after it: %v", err)
	}
}

// tenMillion is a list for ten million tokens of which one in a hundred is blocked.
func tenMillion(t testing.TB) *blocklist.Set {
	t.Helper()
	s, r := blocklist.Empty(1).Resize(1<<25), rand.New(rand.NewPCG(1, 2))
	lines := make([]blocklist.Line, 100_000)
	for i := range lines {
		lines[i] = blocklist.Line{Seq: int64(i) + 1, Token: id(int64(i)), Index: r.Int64N(1 << 25)}
	}
	s, err := s.Apply(lines...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTenMillionTokensAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC() //nolint:revive // what is alive is measured
	runtime.ReadMemStats(&before)
	s := tenMillion(t)
	runtime.GC() //nolint:revive // as above
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 12<<20 {
		t.Errorf("%d bytes", used)
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil || b.Len() > 4<<20 {
		t.Errorf("a snapshot of %d bytes, %v", b.Len(), err)
	}
	runtime.KeepAlive(s)
}

func BenchmarkIndex(b *testing.B) {
	s := tenMillion(b)
	r := rand.New(rand.NewPCG(3, 4))
	at := make([]int64, 1<<16)
	for i := range at {
		at[i] = r.Int64N(1 << 25)
	}
	n := 0
	for i := 0; b.Loop(); i++ {
		if blocked, _ := s.Index(at[i&(len(at)-1)]); blocked {
			n++
		}
	}
	if b.N > len(at) && n == 0 {
		b.Fatal("nothing is blocked")
	}
}

func BenchmarkToken(b *testing.B) {
	s, tokens := tenMillion(b), make([]guichet.ID, 1<<10)
	for i := range tokens {
		tokens[i] = id(int64(i) * 1000)
	}
	for i := 0; b.Loop(); i++ {
		s.Token(tokens[i&(len(tokens)-1)])
	}
}

func BenchmarkApply(b *testing.B) {
	s := tenMillion(b)
	for i := int64(1); b.Loop(); i++ {
		next, err := s.Apply(blocklist.Line{Seq: s.Version().Seq + 1, Token: id(1_000_000 + i), Index: i})
		if err != nil {
			b.Fatal(err)
		}
		s = next
	}
}
