package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/keyring"
)

// A gateway for ten million tokens, of which one in a hundred is blocked, stays
// under 64 MiB, all of the process. The list is served as Guichet serves it; to
// make it in a database would take longer than everything else.
func TestTenMillionTokens(t *testing.T) {
	const most, size, blocked = 64 << 20, 1 << 25, 100_000
	r := rand.New(rand.NewPCG(1, 2))
	lines := make([]blocklist.Line, blocked)
	for i := range lines {
		lines[i] = blocklist.Line{Seq: int64(i) + 1, Token: guichet.ID(fmt.Sprint("token-", i)), Index: r.Int64N(size)}
	}
	set, err := blocklist.Empty(1).Resize(size).Apply(lines...)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.NewSigningKey(keyring.EdDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := keyring.JWKS(key.Key())
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/snapshot") {
			if err := set.Write(w); err != nil {
				t.Error(err)
			}
			return
		}
		q := r.URL.Query()
		a := blocklist.Answer{Nonce: q.Get("nonce"), Head: set.Head(), Keys: "k", JWKS: jwks, Lines: []blocklist.Line{}, Reset: q.Get("epoch") != "1"}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(upstream.Close)
	t.Setenv("PATH", filepath.Dir(built(t))+":"+os.Getenv("PATH"))
	edge := runEdge(t, freeAddress(t), []string{"GUICHET_GATEWAY_TOKEN=ggw_any"}, "--upstream", upstream.URL, "--state", t.TempDir())
	t.Cleanup(func() { edge.stop(syscall.SIGKILL) })
	jwt := func(index int64) string {
		text, err := key.Sign(keyring.Claims{ID: "x", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour), Status: keyring.StatusAt("http://guichet.test", index)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	until(t, 30*time.Second, "the list is there", func() bool { return status(edge, jwt(lines[7].Index)) == 401 })
	good := int64(0)
	for at := range int64(1000) {
		if b, _ := set.Index(at); !b {
			good = at
		}
	}
	if got := status(edge, jwt(good)); got != 204 {
		t.Errorf("a good token: %d", got)
	}
	if got := status(edge, jwt(size)); got != 401 {
		t.Errorf("an index beyond the list: %d", got)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", edge.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	figure := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in %s", name, text)
		}
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n << 10
	}
	t.Logf("%d MiB now, %d at the most", figure("VmRSS")>>20, figure("VmHWM")>>20)
	if figure("VmHWM") > most {
		t.Errorf("the process took %d bytes", figure("VmHWM"))
	}
}
