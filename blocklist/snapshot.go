package blocklist

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A snapshot is, one after the other: a line that names the format, a line of JSON
// (header), the status list compressed by zlib, the 16 first bytes of the SHA-256
// of each blocked token's id in rising order, and the SHA-256 of all of that, by
// which a snapshot that was cut or bent is known.
const snapshotFormat = "guichet blocklist 1\n"

// MediaType is that of a snapshot.
const MediaType = "application/vnd.guichet.blocklist"

type header struct {
	Head
	Blocked  int64 `json:"blocked"`
	Deflated int64 `json:"deflated"` // bytes of the compressed status list
}

const mostHeader = 1 << 12

// Write writes the set as a snapshot.
func (s *Set) Write(w io.Writer) error {
	bits, err := s.deflate()
	if err != nil {
		return err
	}
	head, err := json.Marshal(header{Head: s.Head(), Blocked: s.count, Deflated: int64(len(bits))})
	if err != nil {
		return err
	}
	digest := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest), 1<<16)
	for _, part := range [][]byte{[]byte(snapshotFormat), append(head, '\n'), bits} {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	for i := range shards {
		for _, k := range s.ids.list(byte(i)) {
			if _, err := out.Write(k[:]); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = w.Write(digest.Sum(nil))
	return err
}

func (s *Set) deflate() ([]byte, error) {
	var bits bytes.Buffer
	z, err := zlib.NewWriterLevel(&bits, zlib.BestSpeed)
	if err != nil {
		return nil, err
	}
	var zero page
	for n := int64(0); n*pageBits < s.size; n++ {
		p := &zero
		if n < int64(len(s.pages)) && s.pages[n] != nil {
			p = s.pages[n]
		}
		if _, err := z.Write(p[:min(pageBytes, (s.size-n*pageBits)/8)]); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return bits.Bytes(), nil
}

// ReadSnapshot reads what Write wrote, and refuses anything else with
// ErrUnreadable.
func ReadSnapshot(r io.Reader) (*Set, error) {
	s, err := readSnapshot(r)
	if err != nil {
		return nil, ErrUnreadable.Because(err)
	}
	return s, nil
}

func readSnapshot(r io.Reader) (*Set, error) {
	in := &digesting{r: bufio.NewReaderSize(r, 1<<16), h: sha256.New()}
	h, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	s := &Set{head: h.Version, size: h.Size, count: h.Blocked}
	if b, err := hex.DecodeString(h.Sum); err != nil || copy(s.sum[:], b) != len(s.sum) || len(b) != len(s.sum) {
		return nil, errors.New("the sum is not one")
	}
	compressed := io.LimitReader(in, h.Deflated)
	z, err := zlib.NewReader(compressed)
	if err != nil {
		return nil, err
	}
	if s.pages, err = readPages(z, h.Size); err != nil {
		return nil, err
	}
	if rest, err := io.Copy(io.Discard, compressed); err != nil || rest != 0 {
		return nil, errors.New("something follows the status list")
	}
	if err := s.readIDs(in); err != nil {
		return nil, err
	}
	want := in.h.Sum(nil)
	got := make([]byte, len(want)+1)
	if n, err := io.ReadFull(in.r, got); n != len(want) || !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got[:n], want) {
		return nil, errors.New("the digest is wrong")
	}
	return s, nil
}

func readHeader(in *digesting) (h header, err error) {
	format := make([]byte, len(snapshotFormat))
	if _, err := io.ReadFull(in, format); err != nil || string(format) != snapshotFormat {
		return h, errors.New("not a snapshot of this format")
	}
	var line []byte
	for one := make([]byte, 1); ; line = append(line, one[0]) {
		if _, err := io.ReadFull(in, one); err != nil {
			return h, err
		}
		if one[0] == '\n' {
			break
		}
		if len(line) > mostHeader {
			return h, errors.New("the header is too long")
		}
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, err
	}
	if h.Epoch < 0 || h.Seq < 0 || h.Size < LeastSize || h.Size > MostSize || h.Size%8 != 0 || h.Blocked < 0 || h.Blocked > h.Size ||
		h.Deflated < 0 || h.Deflated > h.Size/4+1024 {
		return h, fmt.Errorf("the header cannot be: %s", line)
	}
	return h, nil
}

// readPages keeps no page that is all zero.
func readPages(r io.Reader, size int64) ([]*page, error) {
	var pages []*page
	var zero, p page
	for at := int64(0); at < size; at += pageBits {
		part := p[:min(pageBytes, (size-at)/8)]
		clear(p[:])
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		if p == zero {
			pages = append(pages, nil)
			continue
		}
		kept := p
		pages = append(pages, &kept)
	}
	if n, err := r.Read(p[:1]); n != 0 || !errors.Is(err, io.EOF) { // also checks zlib's own sum
		return nil, errors.New("the status list is longer than it says")
	}
	return pages, nil
}

// readIDs reads all ids into one piece of memory, of which each shard is a part.
func (s *Set) readIDs(r io.Reader) error {
	all := make([]key, 0, min(s.count, 1<<16)) // it grows with what really comes
	for range s.count {
		var k key
		if _, err := io.ReadFull(r, k[:]); err != nil {
			return err
		}
		if len(all) > 0 && compareKeys(all[len(all)-1], k) >= 0 {
			return errors.New("the ids are not in order")
		}
		all = append(all, k)
	}
	for len(all) > 0 {
		shard, n := all[0][0], 1
		for n < len(all) && all[n][0] == shard {
			n++
		}
		s.ids.set(shard, all[:n:n])
		all = all[n:]
	}
	return nil
}

// digesting sums up all that is read.
type digesting struct {
	r *bufio.Reader
	h hash.Hash
}

// Read implements io.Reader.
func (d *digesting) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.h.Write(p[:n])
	return n, err
}
