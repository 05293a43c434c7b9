package main

import (
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"guichet/a"}
{"Action":"run","Package":"guichet/a","Test":"TestGood"}
{"Action":"output","Package":"guichet/a","Test":"TestGood","Output":"quiet\n"}
{"Action":"pass","Package":"guichet/a","Test":"TestGood","Elapsed":1.5}
{"Action":"output","Package":"guichet/a","Output":"ok  \tguichet/a\t1.6s\n"}
{"Action":"pass","Package":"guichet/a","Elapsed":1.6}
`

const skip = `{"Action":"output","Package":"guichet/b","Test":"TestOff","Output":"--- SKIP: TestOff\n"}
{"Action":"skip","Package":"guichet/b","Test":"TestOff","Elapsed":0}
`

const fail = `{"Action":"output","Package":"guichet/c","Test":"TestBad/deep","Output":"why it failed\n"}
{"Action":"fail","Package":"guichet/c","Test":"TestBad/deep","Elapsed":0}
{"Action":"output","Package":"guichet/c","Output":"FAIL\tguichet/c\t0.1s\n"}
{"Action":"fail","Package":"guichet/c","Elapsed":0.1}
`

const build = `{"ImportPath":"guichet/d","Action":"build-output","Output":"d.go:1:1: not Go\n"}
{"ImportPath":"guichet/d","Action":"build-fail"}
{"Action":"start","Package":"guichet/d"}
{"Action":"output","Package":"guichet/d","Output":"FAIL\tguichet/d [build failed]\n"}
{"Action":"fail","Package":"guichet/d","Elapsed":0,"FailedBuild":"guichet/d"}
`

const hang = `{"Action":"run","Package":"guichet/f","Test":"TestWaits"}
{"Action":"output","Package":"guichet/f","Test":"TestWaits","Output":"=== RUN   TestWaits\n"}
{"Action":"run","Package":"guichet/f","Test":"TestEnded"}
{"Action":"pass","Package":"guichet/f","Test":"TestEnded","Elapsed":0}
{"Action":"output","Package":"guichet/f","Test":"TestEnded","Output":"quiet, and late\n"}
{"Action":"run","Package":"guichet/f","Test":"TestHangs/deep"}
{"Action":"output","Package":"guichet/f","Test":"TestHangs/deep","Output":"=== RUN   TestHangs/deep\n"}
{"Action":"output","Package":"guichet/f","Test":"TestHangs/deep","Output":"panic: test timed out after 30m0s\n"}
{"Action":"output","Package":"guichet/f","Output":"FAIL\tguichet/f\t1800s\n"}
{"Action":"fail","Package":"guichet/f","Elapsed":1800}
`

const race = `{"Action":"output","Package":"guichet/e","Test":"TestBeside","Output":"==================\n"}
{"Action":"output","Package":"guichet/e","Test":"TestBeside","Output":"WARNING: DATA RACE\n"}
{"Action":"output","Package":"guichet/e","Test":"TestBeside","Output":"Write at 0x00c000012345\n"}
{"Action":"output","Package":"guichet/e","Test":"TestBeside","Output":"==================\n"}
{"Action":"output","Package":"guichet/e","Test":"TestBeside","Output":"quiet again\n"}
{"Action":"pass","Package":"guichet/e","Test":"TestBeside","Elapsed":0}
`

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		noSkip bool
		ok     bool
		want   []string
	}{
		"good":          {events, true, true, []string{"ok  \tguichet/a\t1.6s\n", "1.50 s  a TestGood", "\n1 passed, 0 failed, 0 skipped\n"}},
		"skip allowed":  {events + skip, false, true, []string{"skipped: b TestOff", "1 passed, 0 failed, 1 skipped"}},
		"skip refused":  {events + skip, true, false, []string{"a skipped test is a failure here"}},
		"failure":       {events + fail, false, false, []string{"why it failed", "FAIL\tguichet/c", "failed: c TestBad/deep", "1 passed, 1 failed, 0 skipped"}},
		"hang":          {events + hang, false, false, []string{"which never ended\n=== RUN   TestHangs/deep\npanic: test timed out", "failed: f TestHangs/deep", "2 passed, 1 failed, 0 skipped"}},
		"build failure": {events + build, false, false, []string{"d.go:1:1: not Go", "guichet/d [build failed]"}},
		"race":          {race + events, true, true, []string{"WARNING: DATA RACE\nWrite at 0x00c000012345\n=="}},
		"nothing ran":   {"", false, false, []string{"no test ran"}},
		"go speaks":     {"go: no such module\n" + events, false, true, []string{"go: no such module"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			ok, err := report(strings.NewReader(c.in), &out, c.noSkip, 3)
			if err != nil || ok != c.ok {
				t.Errorf("ok %v, error %v", ok, err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), "quiet") {
				t.Error("it repeats what a good test said")
			}
		})
	}
}
