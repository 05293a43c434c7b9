// Command testreport reads the events of "go test -json" on standard input and
// writes what a person wants to see of them: the closing line of each package,
// all that a failed test said, the slowest tests, and how many passed, failed
// and were skipped. With -no-skip a skipped test is a failure.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	noSkip := flag.Bool("no-skip", false, "a skipped test is a failure")
	slowest := flag.Int("slowest", 10, "how many of the slowest tests to list")
	flag.Parse()
	ok, err := report(os.Stdin, os.Stdout, *noSkip, *slowest)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64
	Output     string
}

// test is one test of one package; a package itself has no name.
type test struct{ pkg, name string }

func (t test) String() string { return strings.TrimPrefix(t.pkg, "guichet/") + " " + t.name }

type slow struct {
	test
	seconds float64
}

// report copies what matters of the events and tells whether all is well: at
// least one test ran, none failed and, when asked, none was skipped.
func report(in io.Reader, out io.Writer, noSkip bool, slowest int) (bool, error) {
	said := map[test][]string{}
	built := map[string][]string{} // what the compiler said, by package
	running := map[test]bool{}
	race := map[string]bool{} // packages in the midst of the report of a race
	var skipped, failed []test
	var slows []slow
	passed, broken := 0, 0
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				_, _ = out.Write(line) // go itself speaks, of a module for instance
				continue
			}
			t := test{e.Package, e.Test}
			switch e.Action {
			case "build-output":
				built[e.ImportPath] = append(built[e.ImportPath], e.Output)
			case "build-fail":
				_, _ = fmt.Fprint(out, strings.Join(built[e.ImportPath], ""))
			case "run":
				running[t] = true
			case "output":
				said[t] = append(said[t], e.Output)
				// The detector of races writes where it can: what it says is printed at
				// once, for the test that it stands under may well be a good one.
				if race[e.Package] = race[e.Package] || strings.HasPrefix(e.Output, "WARNING: DATA RACE"); race[e.Package] {
					_, _ = fmt.Fprint(out, e.Output)
					race[e.Package] = !strings.HasPrefix(e.Output, "=====")
				}
				if e.Test == "" && closing(e.Output) {
					_, _ = fmt.Fprint(out, e.Output)
				}
			case "pass", "skip", "fail":
				if e.Test == "" {
					if e.Action == "fail" {
						broken++
						_, _ = fmt.Fprint(out, strings.Join(said[t], ""))
						// It ended in the midst of these: one of them hung, or brought it down.
						for _, t := range spoken(running, said, e.Package) {
							failed = append(failed, t)
							_, _ = fmt.Fprintf(out, "=== %s, which never ended\n%s", t, strings.Join(said[t], ""))
						}
					}
					break
				}
				slows = append(slows, slow{t, e.Elapsed})
				switch e.Action {
				case "pass":
					passed++
				case "skip":
					skipped = append(skipped, t)
				case "fail":
					failed = append(failed, t)
					_, _ = fmt.Fprintf(out, "=== %s\n%s", t, strings.Join(said[t], ""))
				}
				delete(said, t)
				delete(running, t)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	slices.SortStableFunc(slows, func(a, b slow) int { return int(1000*b.seconds) - int(1000*a.seconds) })
	if slowest = min(slowest, len(slows)); slowest > 0 {
		_, _ = fmt.Fprintln(out, "\nThe slowest tests:")
		for _, s := range slows[:slowest] {
			_, _ = fmt.Fprintf(out, "%8.2f s  %s\n", s.seconds, s.test)
		}
	}
	for _, t := range skipped {
		_, _ = fmt.Fprintf(out, "skipped: %s\n", t)
	}
	for _, t := range failed {
		_, _ = fmt.Fprintf(out, "failed: %s\n", t)
	}
	_, _ = fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", passed, len(failed), len(skipped))
	switch {
	case passed == 0:
		_, _ = fmt.Fprintln(out, "no test ran")
	case noSkip && len(skipped) > 0:
		_, _ = fmt.Fprintln(out, "a skipped test is a failure here")
	default:
		return broken == 0 && len(failed) == 0, nil
	}
	return false, nil
}

// spoken are the tests of a package that run still, and said more than that they do.
func spoken(running map[test]bool, said map[test][]string, pkg string) (all []test) {
	for t := range running {
		if t.pkg == pkg && slices.ContainsFunc(said[t], func(line string) bool { return !strings.HasPrefix(line, "=== ") }) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return all
}

// closing tells whether a line is the one go test ends a package with. A package
// without tests has nothing to say.
func closing(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "panic: ")
}
