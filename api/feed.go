package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"guichet/blocklist"
	"guichet/grant"
)

const (
	feedEvery = 200 * time.Millisecond // other processes block too: their commits wake nobody here
	feedLimit = 5 * time.Second        // for one look at the database
	feedPage  = 1000
	mostTail  = 1 << 13
)

// feedState is the blocklist as it was read at one instant. It never changes.
type feedState struct {
	set  *blocklist.Set
	tail []blocklist.Line // the last lines, with their sums
	keys string           // names the public keys
	jwks []byte
}

// after gives the lines that follow a version; ok is false when they are not kept,
// or when the version is not one of this list.
func (s *feedState) after(v blocklist.Version) (lines []blocklist.Line, ok bool) {
	head := s.set.Version()
	missing := head.Seq - v.Seq
	if v.Epoch != head.Epoch || missing < 0 || missing > int64(len(s.tail)) {
		return nil, false
	}
	return s.tail[int64(len(s.tail))-missing:], true
}

// A feed reads the blocklist once for everybody who waits for it. Whoever asks
// where the list stands is answered from a look that began after he asked: that is
// what a lease rests on. One goroutine owns it.
type feed struct {
	list    grant.Reader
	jwks    func() ([]byte, error)
	changed func() <-chan struct{} // closed at the next commit of this process that blocks

	packing sync.Mutex
	packed  struct {
		of   blocklist.Head
		text []byte
	}

	asks  chan chan<- error
	state atomic.Pointer[feedState]
	news  atomic.Pointer[chan struct{}] // closed when the state is another
}

func newFeed(list grant.Reader, jwks func() ([]byte, error), changed func() <-chan struct{}) *feed {
	f := &feed{list: list, jwks: jwks, changed: changed, asks: make(chan chan<- error)}
	f.state.Store(&feedState{set: blocklist.Empty(0)})
	news := make(chan struct{})
	f.news.Store(&news)
	return f
}

// snapshot gives the list in one piece, as it is now or was when somebody else last
// wanted it and nothing was blocked since. It is made once for all who begin anew at
// the same moment: after a restore that is every gateway.
func (f *feed) snapshot() (blocklist.Version, []byte, error) {
	f.packing.Lock()
	defer f.packing.Unlock()
	set := f.state.Load().set
	if f.packed.text == nil || f.packed.of != set.Head() {
		var text bytes.Buffer
		if err := set.Write(&text); err != nil {
			return blocklist.Version{}, nil, err
		}
		f.packed.of, f.packed.text = set.Head(), text.Bytes()
	}
	return f.packed.of.Version, f.packed.text, nil
}

// run reads whenever something was blocked, somebody asks, or time has passed,
// until stop is closed.
func (f *feed) run(stop <-chan struct{}) {
	every := time.NewTicker(feedEvery)
	defer every.Stop()
	var asked []chan<- error
	for {
		changed := f.changed() // before looking, so that nothing falls between
		asked = f.gather(asked)
		err := f.read()
		for _, a := range asked {
			a <- err
		}
		asked = nil
		select {
		case <-stop:
			return
		case <-changed:
		case <-every.C:
		case first := <-f.asks:
			asked = append(asked, first)
		}
	}
}

// gather takes everybody who asks at this moment: one look answers all.
func (f *feed) gather(asked []chan<- error) []chan<- error {
	for {
		select {
		case a := <-f.asks:
			asked = append(asked, a)
		default:
			return asked
		}
	}
}

// now is the list from a look that begins after the call.
func (f *feed) now(ctx context.Context) (*feedState, error) {
	done := make(chan error, 1)
	select {
	case f.asks <- done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-done:
		return f.state.Load(), err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read brings the state to where the database is.
func (f *feed) read() error {
	ctx, cancel := context.WithTimeout(context.Background(), feedLimit)
	defer cancel()
	old := f.state.Load()
	next := *old
	for {
		rows, head, err := f.list.Blocklist(ctx, next.set.Version().Seq, feedPage)
		if err != nil {
			return err
		}
		if have := next.set.Version(); head.Epoch != have.Epoch || head.Seq < have.Seq {
			next.set, next.tail = blocklist.Empty(head.Epoch), nil // another list: from its beginning
			if head.Seq > 0 {
				continue
			}
		}
		next.set = next.set.Resize(sizeFor(head.LastIndex))
		lines := make([]blocklist.Line, len(rows))
		for i, r := range rows {
			lines[i] = blocklist.Line{Seq: r.Seq, Token: r.TokenID, Index: r.StatusIndex}
		}
		var added []blocklist.Line
		if next.set, added, err = next.set.Extend(lines); err != nil {
			return err
		}
		next.tail = append(next.tail, added...) // beyond what older states look at
		if next.set.Version().Seq >= head.Seq {
			break
		}
	}
	if len(next.tail) > 2*mostTail {
		next.tail = append([]blocklist.Line(nil), next.tail[len(next.tail)-mostTail:]...)
	}
	jwks, err := f.jwks()
	if err != nil {
		return err
	}
	if string(jwks) != string(next.jwks) {
		sum := sha256.Sum256(jwks)
		next.jwks, next.keys = jwks, hex.EncodeToString(sum[:8])
	}
	if next.set.Head() == old.set.Head() && next.keys == old.keys {
		return nil
	}
	f.state.Store(&next)
	news := make(chan struct{})
	close(*f.news.Swap(&news))
	return nil
}

// sizeFor is how many bits the status list has for its last index: a power of two,
// so that it does not tell how many tokens there are.
func sizeFor(last int64) int64 {
	size := int64(blocklist.LeastSize)
	for size <= last {
		size *= 2
	}
	return size
}
