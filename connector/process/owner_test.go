package process

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// This program, started anew, is then the guichet that is killed.
const ownerArgument = "-guichet-owner"

// idle is a sink for runs whose data nobody wants.
type idle struct{ began chan struct{} }

func (idle) Progress(bank.Phase, int, int)                   {}
func (s idle) Account(ledger.Account) error                  { close(s.began); return nil }
func (idle) Transactions(string, []ledger.Transaction) error { return nil }
func (idle) Warn(string, string)                             {}

func chaosRun(login string) bank.Run {
	return bank.Run{
		Institution: "chaos", Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now(), State: "canari-session",
		Credentials: map[string]guichet.Secret{"login": guichet.Secret(login), "password": canary},
	}
}

func chaosConnector(env ...string) *Connector {
	return New(Config{
		Name: "chaos", Command: []string{os.Args[0], chaosArgument}, Env: env, Clock: guichet.SystemClock(),
		Limits: Limits{Memory: math.MaxInt64, Hello: time.Minute, Quiet: time.Minute},
	})
}

// own runs a worker that starts a family, says so, and waits to be killed.
func own() {
	s := idle{make(chan struct{})}
	go chaosConnector().Run(context.Background(), chaosRun("lives-with-a-family"), s)
	<-s.began
	fmt.Println("ready")
	select {}
}

// TestWorkersDieWithTheirOwner: guichet is killed without a word. Its worker goes
// with it, what the worker started goes with the next guichet, and no folder is
// left.
func TestWorkersDieWithTheirOwner(t *testing.T) {
	place, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", place)
	owner := exec.Command(os.Args[0], ownerArgument)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	family := func() (n int, workers int) {
		for pid, s := range processes() {
			if s.dead || pid == os.Getpid() || pid == owner.Process.Pid || !isIn(pid, filepath.Join(place, homes)) {
				continue
			}
			n++
			if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(line), chaosArgument) {
				workers++
			}
		}
		return n, workers
	}
	if n, workers := family(); n != 3 || workers != 1 {
		t.Fatalf("%d processes, %d workers", n, workers)
	}
	// Another guichet begins while the first one lives: it leaves its runs alone.
	other := chaosConnector()
	if _, err := other.home.run(); err != nil {
		t.Fatal(err)
	}
	if n, _ := family(); n != 3 {
		t.Fatalf("%d processes are left beside another guichet", n)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	eventually(t, "the worker is gone", func() bool { _, workers := family(); return workers == 0 })
	next := chaosConnector()
	if _, err := next.home.run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are gone", func() bool { n, _ := family(); return n == 0 })
	for _, c := range []*Connector{other, next} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(place, "*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestNothingSecretIsSeen: what others on the machine can read of a run, and what
// the worker finds around it.
func TestNothingSecretIsSeen(t *testing.T) {
	t.Setenv("GUICHET_SMTP", "smtp://user:"+canary+"@host")
	c := chaosConnector("GUICHET_DECLARED=yes")
	defer func() { _ = c.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	s := idle{make(chan struct{})}
	ended := make(chan bank.Result)
	go func() { ended <- c.Run(ctx, chaosRun("hangs-before-asking"), s) }()
	<-s.began
	pids := running(c)
	if len(pids) != 1 {
		t.Fatalf("%d processes", len(pids))
	}
	at := fmt.Sprintf("/proc/%d/", pids[0])
	line, err := os.ReadFile(at + "cmdline")
	if err != nil || strings.TrimRight(string(line), "\x00") != os.Args[0]+"\x00"+chaosArgument {
		t.Errorf("command line %q, %v", line, err)
	}
	environ, err := os.ReadFile(at + "environ")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, pair := range strings.Split(strings.TrimRight(string(environ), "\x00"), "\x00") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"GUICHET_DECLARED", "HOME", "LANG", "PATH", "TMPDIR"}, names); diff != "" {
		t.Errorf("its environment:\n%s", diff)
	}
	if strings.Contains(string(environ), canary) {
		t.Error("the environment holds a secret")
	}
	if core, err := os.ReadFile(at + "limits"); err != nil || !strings.Contains(string(core), "Max core file size        0                    0") {
		t.Errorf("its memory can be dumped: %s %v", core, err)
	}
	err = filepath.WalkDir(c.home.at, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			t.Errorf("%s holds something", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	stop()
	if r := <-ended; r.Outcome.Kind != bank.Cancelled {
		t.Errorf("%+v", r.Outcome)
	}
}

func TestMoneyIsExact(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 100, "-1": -100, "1.5": 150, "1.50": 150, "1.500": 150, "-0.01": -1, "92233720368547757.00": 9223372036854775700,
	} {
		if got, err := parseMoney(text, "EUR"); err != nil || got != (ledger.Money{Minor: want, Currency: "EUR"}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if got, err := parseMoney("1500", "JPY"); err != nil || got.Minor != 1500 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "-", ".", "1.", ".5", "+1", "--1", "1,5", "1 000", "1e3", "NaN", "Infinity", "0x10", "1.005", "٣", "92233720368547759", strings.Repeat("9", 99)} {
		if got, err := parseMoney(bad, "EUR"); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
	for _, bad := range []string{"", "eur", "EURO", "€"} {
		if _, err := parseMoney("1", bad); err == nil {
			t.Errorf("%q is a currency", bad)
		}
	}
}

func TestRedactorKnowsDisguises(t *testing.T) {
	const secret = `sés"ame & <7>`
	run := bank.Run{
		Credentials: map[string]guichet.Secret{"login": "claire-claire", "password": secret, "pin": "12"},
		Answer:      &bank.Answer{Fields: map[string]guichet.Secret{"code": "424242"}},
		State:       `{"cookies":[{"name":"sid","value":"0123456789abcdef"}],"url":"https://bank.example/?s=42"}`,
	}
	hide := newRedactor(run, map[string]bool{"password": true, "pin": true, "login": false})
	for _, form := range append(disguises(secret), "424242", "claire-claire", run.State.Reveal(), "0123456789abcdef") {
		if got := hide.text("before " + form + " after"); strings.Contains(got, form) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%q comes through as %q", form, got)
		}
	}
	if got := hide.text("Claire, 12 rue, sid 42"); got != "Claire, 12 rue, sid 42" {
		t.Errorf("what is not secret is hidden: %q", got)
	}
	if got := newRedactor(run, nil).text("claire-claire"); strings.Contains(got, "claire") {
		t.Error("without the form, everything counts")
	}
}

// TestOurPartOfARun: from the decision to run until the worker has been given its
// order. What it does with it, and how long it takes to start, is its own.
func TestOurPartOfARun(t *testing.T) {
	c := chaosConnector()
	defer func() { _ = c.Close() }()
	line := []byte(`{"type":"run","v":1,"run":"x","op":"all","credentials":{"login":"well-behaved"}}` + "\n")
	var took []time.Duration
	for range 60 {
		began := guichet.SystemClock().Now()
		k, err := c.start()
		if err != nil {
			t.Fatal(err)
		}
		k.tell(line)
		took = append(took, guichet.SystemClock().Now().Sub(began))
		k.end()
	}
	slices.Sort(took)
	t.Logf("until the order is given: half within %v, all within %v", took[len(took)/2], took[len(took)-1])
	if half := took[len(took)/2]; half > 250*time.Millisecond { // some milliseconds, on a quiet machine
		t.Errorf("half of them take %v and more", half)
	}
}
