package canary_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"guichet"
	"guichet/canary"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "planted" {
		planted()
		return
	}
	os.Exit(m.Run())
}

// planted is a process that leaks what it can: it says a secret of its own, and
// gives one to a process that it starts.
func planted() {
	own := guichet.SystemClock().NewSecret().Reveal()
	_, _ = fmt.Fprintln(canary.Output(os.Stderr), "the secret is", own)
	worker := exec.Command("sh", "-c", "echo ready; read x", "worker", own)
	worker.Env = []string{"SESSION=" + own}
	worker.Stdin, worker.Stdout = os.Stdin, os.Stdout
	if err := worker.Run(); err != nil {
		os.Exit(1)
	}
}

// What a process is given and writes, and what it gives to others, is looked at:
// a secret in each of these places is found.
func TestPlantedInProcesses(t *testing.T) {
	folder := t.TempDir()
	records, program := filepath.Join(folder, canary.RecordName), filepath.Join(folder, "bin", "planted")
	for _, dir := range []string{records, filepath.Dir(program)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	canary.RecordIn(records)
	defer canary.RecordIn("")
	given := guichet.SystemClock().NewSecret().Reveal()
	cmd := exec.Command(program, "serve", given)
	cmd.Env = append(os.Environ(), "GUICHET_LEAK="+given, "GUICHET_INPUT="+given, "VARIABLE_OF_A_SCRIPT="+given)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	s := canary.Suite{Prefix: "GUICHET_", Inputs: []string{"GUICHET_INPUT"}}
	places := func() (all []string) {
		t.Helper()
		found, err := s.Scan()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			all = append(all, f.Place)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	want := []string{
		"command line of planted serve", "command line of sh", "environment of planted serve", "environment of sh", "output of planted serve",
	}
	if got := places(); !slices.Equal(got, want) {
		t.Errorf("found in %q, want %q", got, want)
	}
	s.Inputs = append(s.Inputs, "GUICHET_LEAK")
	s.Shown = []canary.Showing{{Place: regexp.MustCompile(`^output of planted`), Kind: regexp.MustCompile(`canary/process_test.go`), Reason: "it is its own"}}
	want = []string{"command line of planted serve", "command line of sh", "environment of sh"}
	if got := places(); !slices.Equal(got, want) {
		t.Errorf("with the law, found in %q, want %q", got, want)
	}
	_ = in.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("read said nothing of the end of its input") // sh's read fails at the end
	}
	if got := places(); !slices.Equal(got, want[:1]) {
		t.Errorf("after the end, found in %q", got)
	}
}

// A process that is killed in the middle of a line of the record hides nothing that
// others say after it, also to who has read up to there.
func TestHalfALineOfTheRecord(t *testing.T) {
	records := t.TempDir()
	canary.RecordIn(records)
	defer canary.RecordIn("")
	file, err := os.Create(filepath.Join(records, canary.SecretsOf))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	write := func(text string) {
		t.Helper()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	line := func(secret string) string {
		return fmt.Sprintf("\n{\"Kind\":\"a word\",\"Value\":%q}\n", base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	first, half, second := rand.Text(), rand.Text(), rand.Text()
	write(line(first))
	write(line(half)[:30])
	for _, c := range []struct {
		secret string
		found  int
	}{{first, 1}, {second, 0}} {
		if found := canary.Look("there", []byte(c.secret)); len(found) != c.found {
			t.Errorf("%s: %v", c.secret, found)
		}
	}
	write(line(second))
	for _, c := range []struct {
		secret string
		found  int
	}{{first, 1}, {half, 0}, {second, 1}} {
		if found := canary.Look("there", []byte(c.secret)); len(found) != c.found {
			t.Errorf("at the end, %s: %v", c.secret, found)
		}
	}
}
