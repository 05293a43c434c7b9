package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Showing is a place where secrets may stand, and which.
type Showing struct {
	Place, Kind *regexp.Regexp
	Reason      string
}

// A Suite is the tests of a package that starts processes of its own program. When
// they are over, every secret is looked for in how each process was started and in
// all it wrote, and in the command lines and environments of the processes that
// those started, which were looked at all the while.
type Suite struct {
	Tests interface{ Run() int }
	// Prefix is that of the program's settings.
	Prefix string
	// Inputs are the settings by which an operator gives secrets to the program.
	Inputs []string
	Shown  []Showing
}

// Run runs the tests; its result is that of the tests, or 1 when there is a find.
func (s Suite) Run() int {
	folder, _, _ := strings.Cut(os.Getenv("PATH"), string(filepath.ListSeparator))
	recordFolder = filepath.Join(filepath.Dir(folder), recordName)
	if err := os.Mkdir(recordFolder, 0o700); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	w := watcher{seen: map[string]bool{}}
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	code := s.Tests.Run()
	stop()
	watching.Wait()
	found, processes, err := s.scan(recordFolder)
	found = append(found, w.scan()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		return 1
	}
	for _, f := range found {
		fmt.Fprintln(os.Stderr, "canary:", f)
	}
	fmt.Fprintf(os.Stderr, "canary: %s, in what %d processes were given and wrote and %d others\n", Known(), processes, len(w.seen)/2)
	if len(found) > 0 && code == 0 {
		return 1
	}
	return code
}

// scan looks into the records of processes.
func (s Suite) scan(folder string) (found []Find, processes int, err error) {
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return found, processes, err
		}
		_, command, _ := strings.Cut(filepath.Base(name), " ")
		var finds []Find
		switch {
		case strings.HasSuffix(name, startOf):
			processes++
			var how started
			if err := json.Unmarshal(data, &how); err != nil {
				return found, processes, err
			}
			command = strings.TrimSuffix(command, startOf)
			finds = Look("command line of "+command, []byte(strings.Join(how.Args, "\x00")))
			finds = append(finds, Look("environment of "+command, []byte(strings.Join(s.withoutInputs(how.Environ), "\x00")))...)
		case strings.HasSuffix(name, outputOf):
			finds = Look("output of "+strings.TrimSuffix(command, outputOf), data)
		}
		for _, f := range finds {
			if !s.shown(f) {
				found = append(found, f)
			}
		}
	}
	return found, processes, err
}

func (s Suite) shown(f Find) bool {
	for _, w := range s.Shown {
		if w.Place.MatchString(f.Place) && w.Kind.MatchString(f.Kind) {
			return true
		}
	}
	return false
}

// withoutInputs is the environment of a process without what the operator gave it,
// and without the variables of a script, which its commands inherit.
func (s Suite) withoutInputs(environ []string) (kept []string) {
	for _, setting := range environ {
		name, _, _ := strings.Cut(setting, "=")
		_, everybodys := os.LookupEnv(name)
		if !slices.Contains(s.Inputs, name) && (everybodys || strings.HasPrefix(name, s.Prefix)) {
			kept = append(kept, setting)
		}
	}
	return kept
}

// A watcher looks at the processes that our processes start.
type watcher struct {
	seen map[string]bool // place, zero byte, text
}

func (w *watcher) watch(ctx context.Context) {
	for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		w.look()
	}
}

func (w *watcher) scan() (found []Find) {
	for what := range w.seen {
		place, text, _ := strings.Cut(what, "\x00")
		found = append(found, Look(place, []byte(text))...)
	}
	return found
}

// look notes the command line and the environment of each process that came from
// one of ours. Ours tell how they were started by themselves.
func (w *watcher) look() {
	ours, parents := map[string]bool{}, map[string]string{}
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = proc.Close() }()
	names, _ := proc.Readdirnames(-1)
	for _, pid := range names {
		if pid[0] < '0' || pid[0] > '9' {
			continue
		}
		program, err := os.Readlink("/proc/" + pid + "/exe")
		if err != nil {
			continue // gone, or no program: the kernel's own
		}
		if strings.HasPrefix(program, filepath.Dir(recordFolder)) {
			ours[pid] = true
		} else {
			parents[pid] = ""
		}
	}
	if len(ours) == 0 {
		return
	}
	for pid := range parents {
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
			if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 {
				parents[pid] = fields[1]
			}
		}
	}
	for grew := true; grew; {
		grew = false
		for pid, parent := range parents {
			if ours[pid] || !ours[parent] {
				continue
			}
			ours[pid], grew = true, true
			at := "/proc/" + pid
			if program, err := os.Readlink(at + "/exe"); err != nil || strings.HasPrefix(program, filepath.Dir(recordFolder)) {
				continue // ours: it tells by itself, or is about to be another program
			}
			line, _ := os.ReadFile(at + "/cmdline")
			environ, _ := os.ReadFile(at + "/environ")
			name := filepath.Base(string(bytes.SplitN(line, []byte{0}, 2)[0]))
			w.seen["command line of "+name+"\x00"+string(line)] = true
			w.seen["environment of "+name+"\x00"+string(environ)] = true
		}
	}
}
