package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet"
	simdatapass "guichet/sim/datapass"
	"guichet/store/storetest"
)

const (
	stormRequests = 2_300 // each approved, and every other one revoked
	stormCopies   = 6     // of each delivery, at least; the source counts what was not answered as lost
	stormKills    = 200
	stormSenders  = 16
)

// Twenty thousand deliveries, each several times and in no order, to a server that
// is killed two hundred times meanwhile: none that was answered is lost, none is
// applied twice, and every request ends as if they had come one by one.
func TestStorm(t *testing.T) {
	t.Parallel()
	program := built(t)
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: t.TempDir()}
		s.deliveries = s.script()
		s.start()
		var senders sync.WaitGroup
		for range stormSenders {
			senders.Go(func() { s.send(func(i int) bool { return s.deliver(s.deliveries[i]) }) })
		}
		for range stormKills {
			s.wait(len(s.deliveries) / (stormKills + 1))
			s.kill()
			s.start()
		}
		senders.Wait()
		s.kill()
		s.verify()
	})
}

// programs are those that tests build, each once. Their folder is no test's: what
// they are made of is ours, and no secret is looked for in it.
var programs struct {
	sync.Mutex
	folder string
	made   map[string]string // by name and arguments of go
}

// builders are tests that may build programs.
type builders struct{ *testing.M }

// beside is how many tests run beside each other where nobody says it: more than
// there are processors, for most wait most of the time. Those that measure memory,
// or a second, come before, each alone.
const beside = "8"

// Run runs the tests and takes the programs away.
func (b builders) Run() int {
	if err := flag.Set("test.parallel", beside); err != nil {
		panic(err)
	}
	flag.Parse()
	folder, err := os.MkdirTemp("", "guichet-built-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	programs.folder, programs.made = folder, map[string]string{}
	return b.M.Run()
}

// built is the program as people run it, where the one of these tests may carry
// the race detector, which costs memory and time.
func built(t *testing.T, flags ...string) string {
	t.Helper()
	return made(t, "", "guichet", append([]string{"build"}, flags...)...)
}

// undetected is a command of these tests without the race detector, in its place
// beside the others, so that it is recorded as they are.
func undetected(t *testing.T, command string) string {
	t.Helper()
	beside, err := exec.LookPath("guichet")
	if err != nil {
		t.Fatal(err)
	}
	return made(t, filepath.Dir(beside), command, "test", "-c", "-vet=off")
}

// made is what go makes of this package, once: a program of that name in the folder,
// or else in one of its own.
func made(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	key := name + " " + strings.Join(args, " ")
	if program, ok := programs.made[key]; ok {
		return program
	}
	if folder == "" {
		folder = filepath.Join(programs.folder, strconv.Itoa(len(programs.made)))
	}
	program := filepath.Join(folder, name)
	if err := os.RemoveAll(program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(args, "-o", program, ".")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	programs.made[key] = program
	return program
}

type storm struct {
	t          *testing.T
	program    string
	address    string
	folder     string
	env        []string // beside the usual
	mu         sync.Mutex
	complaints []string
	db         *storetest.DB
	server     *exec.Cmd
	deliveries []string // bodies, shuffled
	next       atomic.Int64
	answered   atomic.Int64
	again      atomic.Int64 // sent again after no answer
}

// script makes the bodies, from a seed that is printed.
func (s *storm) script() (all []string) {
	seed := uint64(time.Now().UnixNano())
	s.t.Logf("seed %d", seed)
	for i := range stormRequests {
		for range stormCopies {
			all = append(all, delivery("approve", 1_777_880_000, i))
			if i%2 == 1 {
				all = append(all, delivery("revoke", 1_777_880_001, i))
			}
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func delivery(event string, firedAt, id int) string {
	state := map[string]string{"approve": "validated", "revoke": "revoked"}[event]
	return fmt.Sprintf(`{"event":%q,"fired_at":%d,"model_type":"authorization_request/api_entreprise","model_id":%d,"data":{"state":%q,
"data":{"intitule":"Marchés","scopes":["open_data"]},"applicant":{"email":"claire@valmont.fr","family_name":"Morel"}}}`, event, firedAt, id, state)
}

func (s *storm) settings() []string {
	return []string{
		"GUICHET_DATABASE=" + s.db.Source, "GUICHET_ADDR=" + s.address, "GUICHET_ADMIN_ADDR=127.0.0.1:0",
		"GUICHET_KEY_FILE=" + filepath.Join(s.folder, "key"), "GUICHET_DATAPASS_SECRETS=api_entreprise=storm",
	}
}

// start starts the server and returns when it is ready.
func (s *storm) start() {
	s.t.Helper()
	s.server = exec.Command(s.program, "serve")
	s.server.Env = append(os.Environ(), s.settings()...)
	s.server.Env = append(s.server.Env, s.env...)
	log, err := s.server.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func(server *os.Process) func() { return func() { _ = server.Kill() } }(s.server.Process)) // when the test gives up
	lines := bufio.NewScanner(log)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), `"msg":"ready"`) {
			go s.listen(lines)
			return
		}
	}
	s.t.Fatalf("the server ended before it was ready: %s", strings.Join(said, "\n"))
}

// listen keeps what the server complains of, for whoever finds something wrong.
func (s *storm) listen(lines *bufio.Scanner) {
	for lines.Scan() {
		if text := lines.Text(); !strings.Contains(text, `"level":"INFO"`) {
			s.mu.Lock()
			s.complaints = append(s.complaints, text)
			s.mu.Unlock()
		}
	}
}

// complained is what the server said last.
func (s *storm) complained() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.complaints[max(0, len(s.complaints)-5):], "\n")
}

func (s *storm) kill() {
	s.t.Helper()
	if err := s.server.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	_ = s.server.Wait()
}

// wait returns when so many more were answered, or all.
func (s *storm) wait(more int) {
	until := min(s.answered.Load()+int64(more), int64(len(s.deliveries)))
	for s.answered.Load() < until {
		<-time.After(time.Millisecond)
	}
}

// send delivers until all is answered, as DataPass does: what is not answered is
// sent again.
func (s *storm) send(deliver func(i int) (answered bool)) {
	for {
		i := int(s.next.Add(1)) - 1
		if i >= len(s.deliveries) {
			return
		}
		for !deliver(i) {
			s.again.Add(1)
			<-time.After(5 * time.Millisecond)
		}
		s.answered.Add(1)
	}
}

func (s *storm) deliver(body string) bool {
	status, _ := s.post("/api/datapass/v2/api_entreprise/webhook", body, http.Header{
		"X-Hub-Signature-256": {simdatapass.Sign(guichet.Secret("storm"), []byte(body))},
	})
	return status == http.StatusOK
}

var stormClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second}

// post gives the status of an answer that came whole, else zero.
func (s *storm) post(path, body string, header http.Header) (status int, answer string) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	r.Header = header
	response, err := stormClient.Do(r)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

func (s *storm) verify() {
	s.t.Helper()
	s.t.Logf("%d deliveries answered, %d sent again after a kill", s.answered.Load(), s.again.Load())
	if s.again.Load() < stormKills/2 {
		s.t.Errorf("only %d deliveries met a kill: the storm was none", s.again.Load())
	}
	revoked := stormRequests / 2
	for query, want := range map[string]int{
		"SELECT COUNT(*) FROM requests":                                                                                      stormRequests,
		"SELECT COUNT(*) FROM requests WHERE status = 'revoked'":                                                             revoked,
		"SELECT COUNT(*) FROM requests WHERE status = 'validated'":                                                           stormRequests - revoked,
		"SELECT COUNT(*) FROM tokens JOIN requests ON requests.id = request_id WHERE status = 'validated'":                   stormRequests - revoked,
		"SELECT COUNT(*) FROM tokens JOIN requests ON requests.id = request_id WHERE blocked_at = 0":                         stormRequests - revoked,
		"SELECT COUNT(*) FROM deliveries WHERE event = 'revoke' AND effect = 'applied'":                                      revoked,
		"SELECT COUNT(*) FROM deliveries WHERE event = 'approve' AND effect NOT IN ('duplicate', 'applied', 'held', 'late')": 0,
	} {
		if got := s.db.Value(strings.Replace(query, "COUNT(*)", "CAST(COUNT(*) AS TEXT)", 1)); got != fmt.Sprint(want) {
			s.t.Errorf("%s: %s, want %d", query, got, want)
		}
	}
	kept := 0
	if _, err := fmt.Sscan(s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries"), &kept); err != nil || int64(kept) < s.answered.Load() {
		s.t.Errorf("%d deliveries were answered and %d are in the journal (%v)", s.answered.Load(), kept, err)
	}
}
