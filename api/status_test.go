package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	"guichet/api"
	"guichet/grant"
	"guichet/keyring"
	"guichet/store/storetest"
)

// answer is what one address said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// fetch asks without any help of the client: no decompression, no redirection.
func (c *window) fetch(method, path string, body io.Reader, headers ...string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, c.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, all}
}

// python reads bits of a list with the independent reader.
func (c *window) python(list []byte, uri string, indices ...int64) string {
	c.t.Helper()
	args := []string{"testdata/statuslist.py", uri, strconv.FormatInt(c.db.Clock.Now().Unix(), 10)}
	for _, i := range indices {
		args = append(args, strconv.FormatInt(i, 10))
	}
	cmd := exec.Command("python3", args...)
	cmd.Stdin = bytes.NewReader(list)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func (c *window) standing(token string) grant.Standing {
	c.t.Helper()
	s, err := c.desk.Store.Standing(c.t.Context(), guichet.ID(token))
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// A block is in the list of its token at the next request, as a reader written
// from the draft finds it; nobody else's bit is set.
func TestStatusList(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		blocked, other := c.standing(c.send("approve", noon, 1)), c.standing(c.send("approve", noon, 2))
		list, index := blocked.StatusIndex/keyring.StatusShard, blocked.StatusIndex%keyring.StatusShard
		path, uri := fmt.Sprintf("/status/%d", list), fmt.Sprintf("http://guichet.test/status/%d", list)
		before := c.fetch("GET", path, nil)
		if before.status != 200 || before.header.Get("Content-Type") != "application/statuslist+jwt" || before.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("%d %v", before.status, before.header)
		}
		if got := c.python(before.body, uri, index, keyring.StatusShard-1, 0); got != "0 0 0" {
			t.Errorf("before: %s", got)
		}
		c.send("revoke", noon+1, 1)
		after := c.fetch("GET", path, nil)
		if got := c.python(after.body, uri, index); got != "1" {
			t.Errorf("after the revoke: %s", got)
		}
		otherList, otherIndex := other.StatusIndex/keyring.StatusShard, other.StatusIndex%keyring.StatusShard
		is := c.fetch("GET", fmt.Sprintf("/status/%d", otherList), nil)
		if got := c.python(is.body, fmt.Sprintf("http://guichet.test/status/%d", otherList), otherIndex); got != "0" {
			t.Errorf("the other token: %s", got)
		}
		if got := c.python(after.body, uri, keyring.StatusShard); !strings.HasPrefix(got, "reject") {
			t.Errorf("out of range: %s", got)
		}
		if got := c.python(after.body, uri+"0", index); !strings.HasPrefix(got, "reject") {
			t.Errorf("another address: %s", got)
		}
		if before.header.Get("ETag") == after.header.Get("ETag") {
			t.Error("two lists of one ETag")
		}
		c.signedByUs(after.body)
		// Another process, over the same database, says the same.
		late := api.NewStatuses("http://guichet.test", c.db.Clock.Clock(), c.db.Open().Grant(), func() *keyring.SigningKey { return c.key })
		mux := http.NewServeMux()
		(&api.Server{Clock: c.db.Clock.Clock(), Grant: c.desk, Statuses: late}).Routes(mux)
		two := &window{Server: c.Server, db: c.db, desk: c.desk, key: c.key, t: t}
		two.Config.Handler = mux
		if got := c.python(two.fetch("GET", path, nil).body, uri, index); got != "1" {
			t.Errorf("at another process: %s", got)
		}
	})
}

// signedByUs verifies a list with the published key: its typ replaced, so that our
// verifier looks at it at all, it must fail, and as it stands it must be refused.
func (c *window) signedByUs(list []byte) {
	c.t.Helper()
	keys, err := keyring.ParseJWKS(c.fetch("GET", "/.well-known/jwks.json", nil).body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := keyring.VerifyStatusList(string(list), keys...); err != nil {
		c.t.Errorf("the signature of the list: %v", err)
	}
	parts := strings.Split(string(list), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		c.t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(`"ttl":10`), []byte(`"ttl":11`), 1))
	if keyring.VerifyStatusList(strings.Join(parts, "."), keys...) == nil {
		c.t.Error("a changed list verifies")
	}
}

// What caches rest on.
func TestStatusListCaching(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		first := c.fetch("GET", "/status/0", nil)
		tag := first.header.Get("ETag")
		if first.header.Get("Cache-Control") != "public, max-age=5" || tag == "" || first.header.Get("Vary") != "Accept, Accept-Encoding" {
			t.Errorf("%v", first.header)
		}
		again := c.fetch("GET", "/status/0", nil, "If-None-Match", tag)
		if again.status != 304 || len(again.body) != 0 || again.header.Get("Cache-Control") != "public, max-age=5" || again.header.Get("ETag") != tag {
			t.Errorf("the same: %d %v", again.status, again.header)
		}
		head := c.fetch("HEAD", "/status/0", nil)
		if head.status != 200 || len(head.body) != 0 || head.header.Get("ETag") != tag || head.header.Get("Content-Length") != strconv.Itoa(len(first.body)) {
			t.Errorf("HEAD: %d %v", head.status, head.header)
		}
		small := c.fetch("GET", "/status/0", nil, "Accept-Encoding", "br, gzip")
		if small.header.Get("Content-Encoding") != "gzip" || small.header.Get("ETag") == tag {
			t.Errorf("gzip: %v", small.header)
		}
		z, err := gzip.NewReader(bytes.NewReader(small.body))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, first.body) {
			t.Errorf("gzip holds something else: %v", err)
		}
		if plain := c.fetch("GET", "/status/0", nil, "Accept-Encoding", "gzip;q=0"); plain.header.Get("Content-Encoding") != "" {
			t.Error("gzip for someone who refuses it")
		}
		// It is signed anew before its end comes near, and when another key signs.
		c.db.Clock.Advance(61 * time.Second)
		renewed := c.fetch("GET", "/status/0", nil, "If-None-Match", tag)
		if renewed.status != 200 || renewed.header.Get("ETag") == tag {
			t.Errorf("a minute later: %d", renewed.status)
		}
		other, err := keyring.NewSigningKey(keyring.EdDSA, c.db.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		*c.key = *other
		if rotated := c.fetch("GET", "/status/0", nil); rotated.header.Get("ETag") == renewed.header.Get("ETag") {
			t.Error("signed by a key that signs no more")
		}
		for path, want := range map[string]int{
			"/status/8": 404, "/status/00": 404, "/status/-1": 404, "/status/x": 404, "/status/+1": 404, "/status/99999999999999999999": 404,
			"/status/7": 200, "/status/0?time=1700000000": 501,
		} {
			if got := c.fetch("GET", path, nil); got.status != want {
				t.Errorf("%s: %d, want %d", path, got.status, want)
			}
		}
		for accept, want := range map[string]int{
			"application/statuslist+jwt": 200, "application/statuslist+cwt": 200, "application/statuslist+cwt;q=0": 406, "text/html, */*;q=0.1": 200, "application/statuslist+jwt;q=0": 406,
		} {
			if got := c.fetch("GET", "/status/0", nil, "Accept", accept); got.status != want {
				t.Errorf("%s: %d, want %d", accept, got.status, want)
			}
		}
		var all struct {
			Lists []string `json:"status_lists"`
		}
		if err := json.Unmarshal(c.fetch("GET", "/status", nil).body, &all); err != nil || len(all.Lists) != 8 || all.Lists[7] != "http://guichet.test/status/7" {
			t.Errorf("%v %v", all, err)
		}
	})
}

// A database that does not answer is not a list without blocks.
func TestStatusListFailsClosed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := open(t, db)
		if got := c.fetch("GET", "/status/0", nil); got.status != 200 {
			t.Fatal(got.status)
		}
		db.SQL("ALTER TABLE blocklist RENAME TO blocklist_gone")
		defer db.SQL("ALTER TABLE blocklist_gone RENAME TO blocklist")
		if got := c.fetch("GET", "/status/0", nil); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %v", got.status, got.header)
		}
	})
}

// A database restored from a backup has another epoch: bits of the history that
// was lost go, those of the present one are there.
func TestStatusListAfterARestore(t *testing.T) {
	t.Parallel()
	source := &memory{head: grant.Head{Epoch: 1}}
	for i := range int64(2500) { // more than two pages
		source.block(i * 7)
	}
	key, lists := boardOf(t, source)
	if got := bitsOf(t, lists, key, 0); !set(got, 7*2499%keyring.StatusShard) || set(got, 1) {
		t.Fatal("the first history is not in the list")
	}
	source.head, source.lines = grant.Head{Epoch: 2}, nil
	source.block(1)
	if got := bitsOf(t, lists, key, 0); !set(got, 1) || set(got, 7) {
		t.Error("the list holds two histories")
	}
	source.block(40 * keyring.StatusShard) // of a token that came with a wider range
	if got := bitsOf(t, lists, key, 40); !set(got, 0) {
		t.Error("the range did not grow")
	}
}

// memory is a blocklist without a database, for lists of a size no test would wait
// for.
type memory struct {
	mu      sync.Mutex
	head    grant.Head
	lines   []grant.Blocked
	highest int64
	asked   atomic.Int64
}

func (m *memory) block(index int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head.Seq++
	m.lines = append(m.lines, grant.Blocked{Seq: m.head.Seq, StatusIndex: index})
}

// Blocklist implements api.StatusSource.
func (m *memory) Blocklist(_ context.Context, after int64, limit int) ([]grant.Blocked, grant.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.Add(1)
	from := min(after, int64(len(m.lines)))
	return m.lines[from:min(from+int64(limit), int64(len(m.lines)))], m.head, nil
}

// HighestIndex implements api.StatusSource.
func (m *memory) HighestIndex(context.Context) (int64, error) { return m.highest, nil }

func boardOf(t testing.TB, source api.StatusSource) (*keyring.SigningKey, http.Handler) {
	t.Helper()
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	clock := storetest.NewClock().Clock()
	mux := http.NewServeMux()
	lists := api.NewStatuses("https://guichet.example.org", clock, source, func() *keyring.SigningKey { return key })
	(&api.Server{Clock: clock, Grant: &grant.Desk{}, Statuses: lists}).Routes(mux)
	return key, mux
}

func set(bits []byte, i int64) bool { return bits[i/8]>>(i%8)&1 == 1 }

// fill draws indices as store.Issue does, for so many tokens, and blocks some.
func (m *memory) fill(tokens, blocked int) {
	const window, tries = 4096, 8
	random := rand.New(rand.NewSource(1))
	taken, all := make([]bool, 4*tokens), make([]int64, 0, tokens)
	for at, try := int64(0), 0; len(all) < tokens; {
		i := at*window + random.Int63n(window)
		if taken[i] {
			if try++; try == tries {
				at, try = at+1, 0
			}
			continue
		}
		taken[i], all, try, m.highest = true, append(all, i), 0, max(m.highest, i)
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, i := range all[:blocked] {
		m.block(i)
	}
}
