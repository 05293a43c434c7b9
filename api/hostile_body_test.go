package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"guichet/store"
	"guichet/store/storetest"
)

// Whoever knows the secret and sends nonsense: each is answered without a failure
// of ours, changes nothing, and takes no more memory than a few times its size.
func TestHostileBodies(t *testing.T) {
	good := event("approve", noon, 1)
	member := func(text string) string { return strings.Replace(good, `"event":`, text+`,"event":`, 1) }
	bodies := map[string]hostileBody{
		"nothing":                         {"", 400},
		"a byte order mark":               {"\ufeff" + good, 400},
		"not JSON":                        {"event=approve&model_id=1", 400},
		"two values":                      {good + good, 400},
		"a comment":                       {good + "// end", 400},
		"an array":                        {"[" + good + "]", 400},
		"a string":                        {`"approve"`, 400},
		"cut":                             {good[:len(good)-1], 400},
		"another quote":                   {strings.ReplaceAll(good, `"`, `'`), 400},
		"a duplicate key":                 {member(`"event":"revoke"`), 400},
		"a duplicate key by an escape":    {member(`"\u0065vent":"revoke"`), 400},
		"a duplicate key deep down":       {strings.Replace(good, `"scopes":`, `"scopes":["all"],"scopes":`, 1), 400},
		"keys in another case":            {strings.NewReplacer(`"event"`, `"Event"`, `"model_id"`, `"MODEL_ID"`).Replace(good), 200},
		"one key in another case":         {strings.Replace(good, `"fired_at"`, `"Fired_At"`, 1), 200},
		"invalid UTF-8 in a value":        {strings.Replace(good, "VALMONT", "VAL\xffMONT", 1), 400},
		"invalid UTF-8 in a key":          {member("\"\xc3\x28\":1"), 400},
		"an overlong NUL":                 {strings.Replace(good, "VALMONT", "VAL\xc0\x80", 1), 400},
		"half a surrogate":                {strings.Replace(good, "VALMONT", `\ud800`, 1), 400},
		"levels of arrays":                {member(`"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), 400},
		"levels of objects":               {member(`"x":` + strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000)), 400},
		"levels that never end":           {strings.Repeat("[", 1<<20), 400},
		"levels where scopes are":         {strings.Replace(good, `["a","open_data_x"]`, strings.Repeat("[", 65)+strings.Repeat("]", 65), 1), 400},
		"a date of a million digits":      {strings.Replace(good, fmt.Sprint(noon), strings.Repeat("9", 1_000_000), 1), 200},
		"a date before any":               {strings.Replace(good, fmt.Sprint(noon), "-1", 1), 200},
		"a date with a fraction":          {strings.Replace(good, fmt.Sprint(noon), "1777880000.5", 1), 200},
		"a number of a million digits":    {strings.Replace(good, `"model_id":1`, `"model_id":`+strings.Repeat("1", 1_000_000), 1), 200},
		"a number that climbs":            {strings.Replace(good, `"model_id":1`, `"model_id":"../../1"`, 1), 200},
		"no number":                       {strings.Replace(good, `"model_id":1`, `"model_id":null`, 1), 200},
		"an event that is a list":         {strings.Replace(good, `"approve"`, `["approve"]`, 1), 200},
		"an event of a million letters":   {strings.Replace(good, `approve`, strings.Repeat("a", 1_000_000), 1), 200},
		"data that is a list":             {`{"event":"approve","fired_at":1777880000,"model_id":1,"data":[]}`, 200},
		"an applicant with two addresses": {strings.Replace(good, "claire@valmont.fr", "claire@valmont.fr, a@b.fr", 1), 200},
		"a header in an address":          {strings.Replace(good, "claire@valmont.fr", `claire@valmont.fr\r\nBcc: all@valmont.fr`, 1), 200},
		"10 MiB":                          {good + strings.Repeat(" ", 10<<20), 413},
	}
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) { takeHostile(t, open(t, storetest.New(t, engine)), bodies) })
	}
}

type hostileBody struct {
	body   string
	status int
}

// takeHostile runs beside nothing else: what is allocated is counted.
func takeHostile(t *testing.T, c *window, bodies map[string]hostileBody) {
	for _, path := range []string{v1Path, v2Path} {
		for name, hostile := range bodies {
			before := allocated()
			status, answer := c.post(path, secret, hostile.body)
			if status != hostile.status {
				t.Errorf("%s at %s: %d %.100s, want %d", name, path, status, answer, hostile.status)
			}
			if used := allocated() - before; used > 64<<20+32*uint64(len(hostile.body)) {
				t.Errorf("%s at %s: %d MiB were allocated for %d bytes", name, path, used>>20, len(hostile.body))
			}
		}
	}
	if n := c.rows("requests") + c.rows("tokens") + c.rows("blocklist"); n != "000" {
		t.Errorf("hostile bodies had an effect: %s requests, tokens, blocks", n)
	}
	if c.send("approve", noon, 1) == "" {
		t.Error("a good delivery is not taken any more")
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Many senders, whom nobody knows yet, send large bodies and never end: what they
// have in memory stays within its limit, those beyond it are told to come later,
// and small deliveries are taken all the while.
func TestSlowBodies(t *testing.T) {
	db := storetest.New(t, "sqlite")
	c := open(t, db)
	const senders, size = 200, 1 << 20
	before := live()
	part := make([]byte, size-1)
	var sent sync.WaitGroup
	refused := make(chan struct{}, senders)
	wrong := atomic.Int64{}
	connections := make([]net.Conn, senders)
	for i := range senders {
		connection, err := net.Dial("tcp", c.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		connections[i] = connection
		sent.Go(func() {
			_, _ = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: %d\r\n\r\n", v2Path, size)
			_, _ = connection.Write(part)
		})
		go func() {
			r, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				return // ours, at the end
			}
			_ = r.Body.Close()
			if r.StatusCode != http.StatusServiceUnavailable {
				wrong.Add(1)
			}
			refused <- struct{}{}
		}()
	}
	for range senders - 66 { // at least so many do not fit in 64 MiB
		<-refused
	}
	if grown := live() - before; grown > 100<<20 {
		t.Errorf("%d MiB for bodies that never end", grown>>20)
	} else {
		t.Logf("%d MiB while %d senders hold on", grown>>20, 66)
	}
	if token := c.send("approve", noon, 1); token == "" {
		t.Error("a small delivery was not taken")
	}
	for _, connection := range connections {
		_ = connection.Close()
	}
	sent.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d were answered something else than 503", wrong.Load())
	}
	// their memory is given back: large deliveries are taken again
	large := strings.Replace(event("create", noon, 2), `"data":{`, `"padding":"`+strings.Repeat("x", size-2000)+`","data":{`, 1)
	for {
		status, _ := c.post(v2Path, secret, large)
		if status == http.StatusOK {
			break
		}
		if status != http.StatusServiceUnavailable { // until the server has seen that they are gone
			t.Fatalf("a large delivery: %d", status)
		}
	}
}

// live is the memory in use once what is dead is collected.
func live() uint64 {
	runtime.GC() //nolint:revive // what is measured is what is left
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
