package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet/store/storetest"
)

// What a person finds after the server was killed at each point of the answer to
// a choice. They had chosen a code by SMS; where they are asked again they choose
// mail, and what the bank sent in all shows whether the first choice had reached
// it: "codes sent/of them by mail". It is always one.
var aroundChoice = []struct{ point, found, sent string }{
	{"before the commit of: attempt running, question answering", "choice, 2 tries", "1/1"},
	{"after the commit of: attempt running, question answering", "choice, 1 tries", "1/1"},
	{"before the bank hears the answer", "choice, 1 tries", "1/1"},
	// The bank has sent its SMS: choosing again finds that, whatever is chosen.
	{"after the bank heard the answer", "choice, 1 tries", "1/0"},
	{"before the commit of: attempt waiting, question open", "choice, 1 tries", "1/0"},
	{"after the commit of: attempt waiting, question open", "otp_sent, 2 tries", "1/0"},
}

func TestKilledAroundAChoice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		w := newMortal(t, db, true)
		w.start("")
		w.create("choice-0")
		w.arm()
		w.choose("choice-0", "sms")
		var points []string
		for _, c := range aroundChoice {
			points = append(points, c.point)
		}
		if diff := cmp.Diff(points, w.points()); diff != "" {
			t.Fatalf("the points of the walk are not those of the table:\n%s", diff)
		}
		w.disarm()
		w.kill()
		w.start(points[0])
		for i, c := range aroundChoice {
			login := fmt.Sprint("choice-", i+1)
			w.create(login)
			w.arm()
			w.choose(login, "sms")
			select {
			case <-w.ended:
			case <-time.After(time.Minute):
				t.Fatalf("%s: the server lives; passed: %q", c.point, w.points())
			}
			passed := w.points()
			if status, _ := w.server.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL || passed[len(passed)-1] != c.point {
				t.Fatalf("%s was not reached: %v after %q", c.point, w.server.ProcessState, passed)
			}
			w.disarm()
			w.start(slices.Concat(points, []string{""})[i+1])
			if found := w.asks(login); found != c.found {
				t.Errorf("%q: the person found %q, wanted %q", c.point, found, c.found)
			}
			w.choose(login, "mail") // refused where a code is what is asked
			if refused := w.answer(login); refused != "" {
				t.Errorf("%q: the code was refused: %s", c.point, refused)
			}
			n := w.site.Counters(login)
			if sent := fmt.Sprintf("%d/%d", n.CodesSent, n.CodesMailed); sent != c.sent || n.AppAsked != 0 || n.Logins != 1 || n.CodesTried != 1 {
				t.Errorf("%q: the bank saw %s, wanted %s: %+v", c.point, sent, c.sent, n)
			}
			if end := w.look(login); end != "done" {
				t.Errorf("%q: in the end %s", c.point, end)
			}
		}
	})
}

// choose answers the choice of a bank, as far as the server lives.
func (w *mortal) choose(login, way string) {
	w.t.Helper()
	if row := w.row(login); row != nil {
		w.call("PUT", "/api/accesses/"+row["id"].(string)+"/fetch/accounts?wait=30", fmt.Sprintf(`{"fields":{"way":%q}}`, way))
	}
}

// asks is the question that a person finds.
func (w *mortal) asks(login string) string {
	w.t.Helper()
	row := w.row(login)
	if row == nil {
		return "nothing"
	}
	attempt := w.call("GET", "/api/attempts/"+row["attempt"].(map[string]any)["id"].(string)+"?wait=30", "")
	challenge, _ := attempt["challenge"].(map[string]any)
	if attempt["state"] != "waiting" || challenge == nil {
		return fmt.Sprintf("%v %v", attempt["state"], attempt["outcome"])
	}
	return fmt.Sprintf("%v, %v tries", challenge["method"], challenge["tries_left"])
}
