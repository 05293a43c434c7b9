package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"guichet"
	"guichet/bank"
	"guichet/people"
	"guichet/store"
	"guichet/store/storetest"
)

const (
	manyWaiting   = 10_000
	waitingPeople = 20
)

// An askingBank asks everyone for a code, and remembers how often it was spoken to.
type askingBank struct{ runs atomic.Int64 }

func (*askingBank) Institutions(context.Context) ([]bank.Institution, error) {
	return []bank.Institution{{ID: "sim", Name: "Banque des Tests", Fields: []bank.Field{
		{ID: "login", Label: "Identifiant", Required: true}, {ID: "password", Label: "Mot de passe", Masked: true, Required: true},
	}}}, nil
}

func (b *askingBank) Run(_ context.Context, run bank.Run, _ bank.Sink) bank.Result {
	b.runs.Add(1)
	return bank.Result{
		State: guichet.Secret(strings.Repeat("cookie=0123456789abcdef; ", 8)),
		Outcome: bank.Outcome{Kind: bank.Asks, TriesLeft: -1, Question: &bank.Question{
			Method: bank.OTPSent, Prompt: "Saisissez le code que nous venons d’envoyer par SMS.", MediumType: "sms", Medium: "06 •• •• •• 12",
			Deadline: run.Now.Add(29 * time.Minute), TriesLeft: 3, Resendable: true,
			Fields: []bank.Field{{ID: "code", Label: "Code reçu par SMS", Pattern: `[0-9]{6}`, Required: true}},
		}},
	}
}

// Ten thousand questions wait in a database, and nowhere else. The server that is
// started on it is ready at once, holds hardly more than one with nothing to
// wait for, shows every question to whom it is for, and asks no bank anything.
func TestManyWaitingQuestions(t *testing.T) {
	t.Parallel()
	program := built(t)
	var spoken atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		spoken.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(site.Close)

	empty, _ := askMany(t, site.URL, 0)
	began := time.Now()
	full, tokens := askMany(t, site.URL, manyWaiting)
	t.Logf("%d questions asked in %v", manyWaiting, time.Since(began))
	idle := empty.serve(t, program)
	began = time.Now()
	server := full.serve(t, program)
	ready := time.Since(began)
	if ready > 3*time.Second {
		t.Errorf("ready after %v", ready)
	}
	until(t, time.Minute, "a sweep looked at every question", func() bool { return swept(t, full) && swept(t, empty) })
	each := (full.size(t) - empty.size(t)) / manyWaiting
	if each > 4096 {
		t.Errorf("%d bytes on the disk for each", each)
	}
	more := resident(t, server, "VmRSS") - resident(t, idle, "VmRSS")
	if more > 20<<20 {
		t.Errorf("%d MiB more than one with nothing to wait for", more>>20)
	}
	seen := 0
	for _, token := range tokens {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.address+"/api/all", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(response.Body)
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", response.StatusCode, err)
		}
		seen += strings.Count(string(said), `"status":"open"`)
	}
	if seen != manyWaiting {
		t.Errorf("%d questions are shown", seen)
	}
	if most := resident(t, server, "VmHWM"); most > 150<<20 {
		t.Errorf("%d MiB at the most", most>>20)
	}
	if n := spoken.Load(); n != 0 {
		t.Errorf("the bank was spoken to %d times after the restart", n)
	}
	t.Logf("ready in %v, %d MiB more, %d at the most, %d bytes each", ready, more>>20, resident(t, server, "VmHWM")>>20, each)
}

// A waitingRoom is a database after the program that made it has gone.
type waitingRoom struct {
	db   *storetest.DB
	env  []string
	made time.Time
}

// askMany opens accesses through the desk of a real program, and takes it away
// when the bank has asked of all of them.
func askMany(t *testing.T, bankURL string, n int) (room waitingRoom, tokens []string) {
	t.Helper()
	db := storetest.New(t, store.SQLite)
	p := openedProgram(t, db, map[string]string{"GUICHET_SIM_BANK": bankURL})
	asking := &askingBank{}
	p.bank.Connectors = map[string]bank.Connector{"sim": asking}
	var owners []guichet.Actor
	for i := range waitingPeople {
		person, err := p.people.AddPerson(t.Context(), atCommandLine(), people.NewPerson{Email: fmt.Sprintf("p%d@guichet.test", i), Role: people.Member})
		if err != nil {
			t.Fatal(err)
		}
		_, token, err := p.people.IssueAPIToken(t.Context(), atCommandLine(), person.ID, "test")
		if err != nil {
			t.Fatal(err)
		}
		owners, tokens = append(owners, person.Actor()), append(tokens, token.Reveal())
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(48)
	for i := range n {
		group.Go(func() error {
			by := owners[i%waitingPeople]
			c, _, err := p.bank.Open(ctx, by, bank.Opening{Institution: "sim", Fields: map[string]guichet.Secret{
				"login": guichet.Secret(fmt.Sprintf("login-%d", i)), "password": "demonstration",
			}})
			if err == nil {
				err = p.bank.Perform(ctx, c.Attempt.ID)
			}
			if err == nil {
				c, err = p.bank.Wait(ctx, by, c.Attempt.ID, func(c bank.Case) bool { return c.Attempt.State == bank.AttemptWaiting })
			}
			if err == nil && c.Question() == nil {
				err = fmt.Errorf("it is %s", c.Attempt.State)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := asking.runs.Load(); got != int64(n) {
		t.Errorf("the bank was spoken to %d times for %d", got, n)
	}
	db.SQL("DELETE FROM jobs WHERE kind = '" + bank.JobRun + "'") // done, and not by a worker: that would take ten thousand more commits
	if err := p.bank.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	room = waitingRoom{db: db, made: time.Now()}
	room.env = append(os.Environ(), "GUICHET_ADMIN_ADDR=127.0.0.1:0", "GUICHET_DATABASE="+db.Source, "GUICHET_KEY_FILE="+p.config.KeyFile, "GUICHET_SIM_BANK="+bankURL)
	return room, tokens
}

// size is how many bytes of the database are in use.
func (w waitingRoom) size(t *testing.T) int64 {
	t.Helper()
	pages := func(pragma string) int64 {
		v, err := strconv.ParseInt(w.db.Value("SELECT CAST("+pragma+" AS TEXT) FROM pragma_"+pragma), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return (pages("page_count") - pages("freelist_count")) * pages("page_size")
}

// serve starts the real program in the room.
func (w waitingRoom) serve(t *testing.T, program string) *waitingServer {
	t.Helper()
	s := &waitingServer{address: freeAddress(t), cmd: exec.Command(program, "serve")}
	s.cmd.Env = append(w.env, "GUICHET_ADDR="+s.address)
	log, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGKILL)
		_ = s.cmd.Wait()
	})
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), `"msg":"ready"`) {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return s
		}
	}
	t.Fatal("the server ended before it was ready")
	return nil
}

type waitingServer struct {
	address string
	cmd     *exec.Cmd
}

// swept tells whether the sweeper has come and gone since the room was made.
func swept(t *testing.T, w waitingRoom) bool {
	t.Helper()
	made := fmt.Sprint(w.made.UnixMicro())
	return w.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM job_slots WHERE kind = '"+bank.JobSweep+"' AND made_at > "+made) != "0" &&
		w.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = '"+bank.JobSweep+"'") == "0"
}

// resident is a figure of a process, in bytes.
func resident(t *testing.T, s *waitingServer, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s", name)
	}
	kB, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
