package api_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/grant"
	"guichet/keyring"
)

// read fetches a list and gives its document and what is in it.
func read(t testing.TB, lists http.Handler, n int64, headers ...string) (document []byte, packed string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/status/%d", n), nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	lists.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("list %d: %d %s", n, w.Code, w.Body)
	}
	document = w.Body.Bytes()
	if w.Header().Get("Content-Encoding") != "" {
		return document, ""
	}
	var said struct {
		List struct {
			Lst string `json:"lst"`
		} `json:"status_list"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(document), ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &said)
	}
	if err != nil {
		t.Fatal(err)
	}
	return document, said.List.Lst
}

func bitsOf(t testing.TB, lists http.Handler, key *keyring.SigningKey, n int64) []byte {
	t.Helper()
	document, packed := read(t, lists, n)
	if err := keyring.VerifyStatusList(string(document), key.Key()); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if len(bits) != keyring.StatusShard/8 {
		t.Fatalf("the list has %d bytes: its length tells something", len(bits))
	}
	return bits
}

// The size and the time of the lists of a million tokens with one in a hundred
// blocked, their indices drawn as the store draws them. 10 000 bits among two
// million hold 11 kB of surprise: no encoding does with less.
func TestStatusListsOfAMillion(t *testing.T) {
	t.Parallel()
	source := &memory{head: grant.Head{Epoch: 1}}
	source.fill(1_000_000, 10_000)
	_, lists := boardOf(t, source)
	count := source.highest/keyring.StatusShard + 1
	raw, documents, sent, largest, cwt := 0, 0, 0, 0, 0
	for n := range count {
		document, packed := read(t, lists, n)
		small, _ := read(t, lists, n, "Accept-Encoding", "gzip")
		raw, documents, sent, largest = raw+len(packed)*3/4, documents+len(document), sent+len(small), max(largest, len(small))
		cwt += len(inCBOR(t, lists, n))
	}
	t.Logf("%d lists: %d bytes of zlib, %d as JWT, %d as sent with gzip; the largest %d; %d as CWT", count, raw, documents, sent, largest, cwt)
	if cwt > 20_000 {
		t.Errorf("all lists are sent as %d bytes, want 20 000 at the most", cwt)
	}
	if raw > 20_000 {
		t.Errorf("%d bytes of compressed bits, want 20 000 at the most", raw)
	}
	if largest > 4_000 {
		t.Errorf("one list is sent as %d bytes", largest)
	}

	// One more block: the list it is in is made again; the others are as they were.
	unchanged, _ := read(t, lists, 1)
	best := time.Hour // of five, because the machine does other things too
	for i := range int64(5) {
		source.block(i)
		began := time.Now()
		read(t, lists, 0)
		best = min(best, time.Since(began))
	}
	t.Logf("after a block: %v", best)
	if best > time.Second {
		t.Errorf("it took %v to make the list again", best)
	}
	if again, _ := read(t, lists, 1); !bytes.Equal(again, unchanged) {
		t.Error("a list without a new block was made again")
	}
}

// Many readers at once make a list once.
func TestOneBuilder(t *testing.T) {
	t.Parallel()
	source := &memory{head: grant.Head{Epoch: 1}}
	source.fill(10_000, 1_000)
	_, lists := boardOf(t, source)
	var all sync.WaitGroup
	documents := make([]string, 50)
	for i := range documents {
		all.Go(func() {
			document, _ := read(t, lists, 2)
			documents[i] = string(document)
		})
	}
	all.Wait()
	for _, d := range documents { // the clock moves at each reading: two signatures would differ in nothing else
		if d != documents[0] {
			t.Fatal("two documents of one state")
		}
	}
	if asked := source.asked.Load(); asked < 50 {
		t.Errorf("%d looks at the head for 50 requests: somebody got an old list", asked)
	}
}

func BenchmarkStatusList(b *testing.B) {
	source := &memory{head: grant.Head{Epoch: 1}}
	source.fill(1_000_000, 10_000)
	_, lists := boardOf(b, source)
	read(b, lists, 0)
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			read(b, lists, 0)
		}
	})
	b.Run("after a block", func(b *testing.B) {
		index := int64(0)
		for b.Loop() {
			source.block(index)
			index = (index + 1) % keyring.StatusShard
			read(b, lists, 0)
		}
	})
}
