package api_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/store/storetest"
)

// A boundListener knows which of its connections may be read for ever, in the order
// in which they came.
type boundListener struct {
	net.Listener
	mu      sync.Mutex
	unbound []bool
}

func (l *boundListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unbound = append(l.unbound, false)
	return &boundConn{c, l, len(l.unbound) - 1}, err
}

func (l *boundListener) lifted(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n < len(l.unbound) && l.unbound[n]
}

type boundConn struct {
	net.Conn
	l *boundListener
	n int
}

func (c *boundConn) SetReadDeadline(at time.Time) error {
	c.l.mu.Lock()
	c.l.unbound[c.n] = at.IsZero()
	c.l.mu.Unlock()
	return c.Conn.SetReadDeadline(at)
}

// Who asks to wait for a bank waits as long as they ask, not as long as a request may
// take to be read: when that is over, a server of net/http gives up what it answers.
func TestWaitOutlastsTheReading(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, "sqlite"))
	server := httptest.NewUnstartedServer(c.server.Config.Handler)
	bounds := &boundListener{Listener: server.Listener}
	server.Listener, server.Config.ReadTimeout = bounds, 30*time.Second
	server.Start()
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, path, body string) <-chan int {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+camille)
		r.Header.Set("Content-Type", "application/json")
		status := make(chan int, 1)
		go func() {
			answer, err := client.Do(r)
			if err != nil {
				t.Error(err)
				close(status)
				return
			}
			_ = answer.Body.Close()
			status <- answer.StatusCode
		}()
		return status
	}
	until := func(connection int) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(20 * time.Second); !bounds.lifted(connection); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("connection %d is given up while it waits", connection)
			}
		}
	}
	made := ask(http.MethodPost, "/api/accesses?wait=60", strings.Replace(opening("hang"), `"sim"`, `"odd"`, 1))
	<-c.odd.here
	until(0)
	ids := regexp.MustCompile(`"accesses":\[\{"id":"([^"]+)".*"attempt":\{"id":"([^"]+)"`).FindStringSubmatch(c.call(http.MethodGet, "/api/all", "").is(200, "").raw)
	seen := ask(http.MethodGet, "/api/attempts/"+ids[2]+"?wait=60", "")
	until(1)
	fetched := ask(http.MethodPut, "/api/accesses/"+ids[1]+"/fetch/accounts?wait=60", "") // without a body
	until(2)
	c.call(http.MethodPost, "/api/attempts/"+ids[2]+"/cancel", "").is(200, "")
	if a, b, c := <-made, <-seen, <-fetched; a == 0 || b != http.StatusOK || c == 0 || c == http.StatusAccepted {
		t.Errorf("%d, %d and %d", a, b, c)
	}
}

// A creation that says nothing of waiting waits two seconds for the bank's first word.
func TestCreationWaitsForTheFirstWord(t *testing.T) {
	t.Parallel()
	c := newCounter(t, storetest.New(t, "sqlite"))
	began := time.Now()
	made := c.call(http.MethodPost, "/api/accesses", strings.Replace(opening("hang"), `"sim"`, `"odd"`, 1)).is(201, "")
	if took := time.Since(began); took < 2*time.Second || made.text("attempt.outcome") != "" {
		t.Errorf("after %v: %s", took, made.raw)
	}
	c.call(http.MethodPost, "/api/attempts/"+made.text("attempt.id")+"/cancel", "").is(200, "")
}
