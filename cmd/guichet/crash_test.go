package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/people"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// What a person finds after the server was killed at each point of a creation and
// of a refresh that ask for a code, and what the bank saw when they had then
// brought it to its end: "logins/codes sent/codes tried".
//
// A second login is always one that the person asked for. The bank never hears a
// code twice unless the person typed it twice.
var afterCrash = map[string]struct{ creation, refresh, bank string }{
	"before the commit of: attempt queued": {"nothing", "as it was", "1/1/1"},
	// A worker comes, however late: nobody has spoken to the bank yet.
	"after the commit of: attempt queued":   {"the question, 2 tries", "the question, 2 tries", "1/1/1"},
	"before the commit of: attempt running": {"the question, 2 tries", "the question, 2 tries", "1/1/1"},
	// Nobody knows whether the bank sent a code: only the person may ask for another.
	"after the commit of: attempt running":                      {"nothing", "told", "1/1/1"},
	"before the bank hears the login":                           {"nothing", "told", "1/1/1"},
	"after the bank heard the login":                            {"nothing", "told", "2/2/1"},
	"before the commit of: attempt waiting, question open":      {"nothing", "told", "2/2/1"},
	"after the commit of: attempt waiting, question open":       {"the question, 2 tries", "the question, 2 tries", "1/1/1"},
	"before the commit of: attempt running, question answering": {"the question, 2 tries", "the question, 2 tries", "1/1/1"},
	// The try is counted, whether the bank saw it or not.
	"after the commit of: attempt running, question answering": {"the question, 1 tries", "the question, 1 tries", "1/1/1"},
	"before the bank hears the answer":                         {"the question, 1 tries", "the question, 1 tries", "1/1/1"},
	"in the middle of the bank's data":                         {"the question, 1 tries", "the question, 1 tries", "1/1/1"},
	// We had said goodbye to the bank: its code was good once, and it says so.
	"after the bank heard the answer":                                   {"the question, 1 tries, then question_expired", "the question, 1 tries, then question_expired", "2/2/2"},
	"before the commit of: attempt succeeded, question resolved, money": {"the question, 1 tries, then question_expired", "the question, 1 tries, then question_expired", "2/2/2"},
	"after the commit of: attempt succeeded, question resolved, money":  {"done", "done", "1/1/1"},
}

func TestCrashPoints(t *testing.T) {
	t.Parallel()
	for _, creates := range []bool{true, false} {
		name := map[bool]string{true: "creation", false: "refresh"}[creates]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				w := newMortal(t, db, creates)
				// The whole walk once, to learn its points.
				w.start("")
				if !creates {
					w.settle("otp-0")
					w.site.Reset() // the bank forgets this device, and its own figures
				}
				w.arm()
				w.walk("otp-0")
				if found := w.look("otp-0"); found != "done" {
					t.Fatalf("undisturbed, it ends: %s", found)
				}
				points := w.points()
				if diff := cmp.Diff(slices.Sorted(maps.Keys(afterCrash)), slices.Sorted(slices.Values(points))); diff != "" {
					t.Errorf("the points of the walk are not those of the table:\n%s", diff)
				}
				w.disarm()
				w.kill()
				w.start(points[0])
				for i, point := range points {
					w.dieAt(i+1, point, append(points, "")[i+1])
				}
			})
		})
	}
}

// A mortal is a person with a program, before a server that dies again and again.
type mortal struct {
	t       *testing.T
	db      *storetest.DB
	creates bool
	site    *simbank.Site
	folder  string
	env     []string
	url     string
	token   string
	server  *exec.Cmd
	ended   chan struct{}
	lives   int
}

func newMortal(t *testing.T, db *storetest.DB, creates bool) *mortal {
	t.Helper()
	site := simbank.New(guichet.SystemClock())
	sim := httptest.NewServer(site)
	t.Cleanup(sim.Close)
	w := &mortal{t: t, db: db, creates: creates, site: site, folder: t.TempDir()}
	address := freeAddress(t)
	w.url = "http://" + address
	far := (time.Now().UTC().Hour() + 12) % 23 // the night is not now
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.folder, "GUICHET_DATABASE=" + db.Source, "GUICHET_KEY_FILE=" + filepath.Join(w.folder, "key"),
		"GUICHET_ADDR=" + address, "GUICHET_ADMIN_ADDR=127.0.0.1:0", "GUICHET_SIM_BANK=" + sim.URL, "GUICHET_WINDOWS=bank",
		"TZ=UTC", fmt.Sprintf("GUICHET_POLL_WINDOW=%02d:00-%02d:59", far, far),
		"TEST_ARMED=" + filepath.Join(w.folder, "armed"), "TEST_SEEN=" + filepath.Join(w.folder, "seen"),
	}
	desk := &people.Desk{Store: db.People(), Clock: guichet.SystemClock(), Hasher: people.NewHasher(people.Params{Time: 1, MemoryKiB: 64, Threads: 1})}
	me, err := desk.AddPerson(t.Context(), guichet.System("test"), people.NewPerson{Email: "claire@guichet.test", Role: people.Member, Password: "une longue phrase de passe"})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := desk.IssueAPIToken(t.Context(), guichet.System("test"), me.ID, "test")
	if err != nil {
		t.Fatal(err)
	}
	w.token = token.Reveal()
	return w
}

// start starts the server, some time after the one before it died, and returns
// when it is ready. Once armed, it dies at the point.
func (w *mortal) start(point string) {
	w.t.Helper()
	w.lives++
	// Without the race detector, whose reports nobody would read here: each is killed.
	cmd := exec.Command(undetected(w.t, "serve-and-die"))
	cmd.Env = append(slices.Clone(w.env), fmt.Sprintf("TEST_AHEAD=%d", 40*w.lives), "TEST_DIE_AT="+point)
	log, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.server, w.ended = cmd, make(chan struct{})
	ready, ended := make(chan bool, 1), w.ended
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"msg":"ready"`) {
				ready <- true
			} else if strings.Contains(lines.Text(), "ERROR") || strings.Contains(lines.Text(), "did not die") {
				w.t.Log(lines.Text())
			}
		}
		_ = cmd.Wait()
		close(ended)
		ready <- false
	}()
	if !<-ready {
		w.t.Fatal("the server ended before it was ready")
	}
	w.t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGKILL); <-ended })
}

func (w *mortal) kill() {
	w.t.Helper()
	_ = w.server.Process.Signal(syscall.SIGKILL)
	<-w.ended
}

func (w *mortal) arm() {
	w.t.Helper()
	_ = os.Remove(filepath.Join(w.folder, "seen"))
	if err := os.WriteFile(filepath.Join(w.folder, "armed"), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *mortal) disarm() {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.folder, "armed")); err != nil {
		w.t.Fatal(err)
	}
}

// points lists what was passed since the arming.
func (w *mortal) points() []string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.folder, "seen"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// dieAt walks until the server dies at the point; another one, which will die at
// the next, then finds what is left, and the person goes on from there.
func (w *mortal) dieAt(i int, point, next string) {
	w.t.Helper()
	login := fmt.Sprintf("otp-%d", i)
	if !w.creates {
		w.settle(login)
		w.site.Reset()
	}
	w.arm()
	w.walk(login)
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		w.t.Fatalf("%s: the server lives; passed: %q", point, w.points())
	}
	passed := w.points()
	if status, _ := w.server.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL || passed[len(passed)-1] != point {
		w.t.Fatalf("%s was not reached: %v after %q", point, w.server.ProcessState, passed)
	}
	w.disarm()
	w.start(next)
	found := w.look(login)
	if !w.creates && w.site.Counters(login).Logins == 0 && found == "done" {
		found = "as it was"
	}
	switch found {
	case "done":
	case "nothing", "told", "as it was":
		w.walk(login)
	default: // the question
		if refused := w.answer(login); refused != "" {
			found += ", then " + refused
			w.walk(login)
		}
	}
	if end := w.look(login); end != "done" {
		w.t.Errorf("%s: found %s, and in the end %s", point, found, end)
	}
	n := w.site.Counters(login)
	want, saw := afterCrash[point], fmt.Sprintf("%d/%d/%d", n.Logins, n.CodesSent, n.CodesTried)
	if expected := map[bool]string{true: want.creation, false: want.refresh}[w.creates]; found != expected || saw != want.bank {
		w.t.Errorf("%q: the person found %q, wanted %q; the bank saw %s, wanted %s", point, found, expected, saw, want.bank)
	}
	broken, err := w.db.Check(context.Background())
	if err != nil || len(broken) > 0 {
		w.t.Errorf("%s: broken %v, %v", point, broken, err)
	}
	for query, want := range map[string]string{
		"SELECT CAST(COUNT(*) AS TEXT) FROM accesses WHERE label = $1":                                                                                "1",
		"SELECT CAST(COUNT(*) AS TEXT) FROM accounts WHERE access_id IN (SELECT id FROM accesses WHERE label = $1)":                                   "4",
		"SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE label = $1 AND state IN ('queued', 'running', 'waiting')":                                  "0",
		"SELECT CAST(COUNT(*) AS TEXT) FROM challenges JOIN attempts ON attempts.id = attempt_id WHERE label = $1 AND LENGTH(challenges.session) > 0": "0",
	} {
		if got := w.db.Value(query, login); got != want {
			w.t.Errorf("%s: %s: %s, want %s", point, query, got, want)
		}
	}
}

// settle opens an access, undisturbed.
func (w *mortal) settle(login string) {
	w.t.Helper()
	w.create(login)
	w.answer(login)
	if found := w.look(login); found != "done" {
		w.t.Fatalf("%s is not there: %s", login, found)
	}
}

// walk is what the test is about, as far as the server lives.
func (w *mortal) walk(login string) {
	w.t.Helper()
	if w.creates {
		w.create(login)
	} else if row := w.row(login); row != nil {
		w.call("PUT", "/api/accesses/"+row["id"].(string)+"/fetch/accounts?wait=30", "")
	}
	w.answer(login)
}

func (w *mortal) create(login string) {
	w.t.Helper()
	w.call("POST", "/api/accesses?wait=30", fmt.Sprintf(`{"institution":"sim","label":%q,"fields":{"login":%q,"password":"demonstration"}}`, login, login))
}

// answer types the code, and returns why it was refused.
func (w *mortal) answer(login string) (refused string) {
	w.t.Helper()
	if row := w.row(login); row != nil {
		refused, _ = w.call("PUT", "/api/accesses/"+row["id"].(string)+"/fetch/accounts?wait=30", `{"fields":{"code":"123456"}}`)["code"].(string)
	}
	return refused
}

// row is the access as a page load shows it; nil when there is none.
func (w *mortal) row(login string) map[string]any {
	w.t.Helper()
	all, _ := w.call("GET", "/api/all", "")["accesses"].([]any)
	for _, a := range all {
		if row := a.(map[string]any); row["label"] == login {
			return row
		}
	}
	return nil
}

// look is what a person finds once nothing moves any more: nothing, the question,
// that it failed ("told"), or that it is done.
func (w *mortal) look(login string) string {
	w.t.Helper()
	row := w.row(login)
	if row == nil {
		return "nothing"
	}
	attempt := w.call("GET", "/api/attempts/"+row["attempt"].(map[string]any)["id"].(string)+"?wait=30", "")
	if row = w.row(login); row == nil {
		return "nothing"
	}
	switch attempt["state"] {
	case "waiting":
		return fmt.Sprintf("the question, %v tries", attempt["challenge"].(map[string]any)["tries_left"])
	case "succeeded":
		return "done"
	case "failed":
		if attempt["outcome"] == "cancelled" && attempt["reason"] == "shutdown" {
			return "told"
		}
	}
	return fmt.Sprintf("%v %v %v", attempt["state"], attempt["outcome"], attempt["reason"])
}

// call asks the server; nil when it died before it answered.
func (w *mortal) call(method, path, body string) (answer map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil
	}
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			w.t.Errorf("%s %s: %v: %.200s", method, path, err, raw)
		}
	}
	return answer
}
