package bank

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a reviewed file: go test ./bank -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; when the change is meant, run go test ./bank -update and review it:\n%s", path, diff)
	}
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func describe(to string, effects []Effect, err error) string {
	if err != nil {
		return "refused: " + guichet.CodeOf(err)
	}
	words := []string{"-> " + to}
	for _, e := range effects {
		words = append(words, string(e))
	}
	return strings.Join(words, " ")
}

func TestAttemptMatrix(t *testing.T) {
	var b strings.Builder
	b.WriteString("# state × event, for an attempt; where a poll differs from a person, both are shown\n")
	for _, state := range AttemptStates() {
		if allRefused := refusesAll(state); allRefused != "" {
			fmt.Fprintf(&b, "\n%s\n  %-15s %s\n", state, "anything", allRefused)
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", state)
		for _, event := range AttemptEvents() {
			line := func(trigger Trigger) string {
				a, effects, err := Attempt{State: state, Trigger: trigger}.Apply(event, noon)
				return describe(string(a.State), effects, err)
			}
			person, poll := line(ByPerson), line(ByPoll)
			if person == poll {
				fmt.Fprintf(&b, "  %-15s %s\n", event, person)
				continue
			}
			fmt.Fprintf(&b, "  %-15s person %s\n  %-15s poll   %s\n", event, person, event, poll)
		}
	}
	golden(t, "attempt", b.String())
}

// refusesAll tells the one refusal of a state that refuses everything.
func refusesAll(state AttemptState) string {
	var all string
	for _, event := range AttemptEvents() {
		for _, trigger := range []Trigger{ByPerson, ByPoll} {
			a, effects, err := Attempt{State: state, Trigger: trigger}.Apply(event, noon)
			line := describe(string(a.State), effects, err)
			if err == nil || all != "" && line != all {
				return ""
			}
			all = line
		}
	}
	return all
}

func TestChallengeMatrix(t *testing.T) {
	type variant struct {
		name string
		c    Challenge
		now  time.Time
	}
	intime, late := noon, noon.Add(time.Hour)
	base := Challenge{Max: 2, Deadline: noon.Add(time.Minute), Question: Question{Method: OTPSent, Resendable: true}, Session: []byte("x")}
	with := func(change func(*Challenge)) Challenge { c := base; change(&c); return c }
	first := with(func(c *Challenge) { c.Used = 1 })
	last := with(func(c *Challenge) { c.Used = 2 })
	app := with(func(c *Challenge) { c.Question.Method = Decoupled })
	again := with(func(c *Challenge) { c.Used, c.Resending = 1, true })
	variants := []variant{
		{"code, first try", first, intime},
		{"code, last try", last, intime},
		{"code, too late", first, late},
		{"app", app, intime},
		{"app, too late", app, late},
		{"resending", again, intime},
	}
	var b strings.Builder
	b.WriteString("# status × event, for a question; one line per variant unless all agree\n")
	for _, status := range ChallengeStates() {
		fmt.Fprintf(&b, "\n%s\n", status)
		if !status.Live() {
			lines := map[string]bool{}
			for _, event := range ChallengeEvents() {
				for _, v := range variants {
					c := v.c
					c.Status = status
					c2, effects, err := c.Apply(event, v.now)
					lines[describe(string(c2.Status), effects, err)] = true
				}
			}
			fmt.Fprintf(&b, "  %-13s %s\n", "anything", strings.Join(slices.Sorted(maps.Keys(lines)), " or "))
			continue
		}
		for _, event := range ChallengeEvents() {
			lines := make([]string, len(variants))
			same := true
			for i, v := range variants {
				c := v.c
				c.Status = status
				if status == StatusOpen && c.Used > 0 {
					c.Used-- // the try under way is counted only while it is under way
				}
				c2, effects, err := c.Apply(event, v.now)
				lines[i] = describe(string(c2.Status), effects, err)
				if err == nil && c2.Status.Live() {
					lines[i] += fmt.Sprintf(" used=%d/%d", c2.Used, c2.Max)
				}
				same = same && lines[i] == lines[0]
			}
			if same {
				fmt.Fprintf(&b, "  %-13s %s\n", event, lines[0])
				continue
			}
			for i, v := range variants {
				fmt.Fprintf(&b, "  %-13s %-16s %s\n", event, v.name, lines[i])
			}
		}
	}
	golden(t, "challenge", b.String())
}

func TestSettlementMatrix(t *testing.T) {
	type situation struct {
		name string
		a    Attempt
		c    Challenge
		now  time.Time
	}
	asked := func(method Method, used int, resending bool) Challenge {
		return Challenge{
			ID: "q", Status: StatusAnswering, Max: 2, Used: used, Resending: resending,
			Deadline: noon.Add(time.Minute), Question: Question{Method: method, Resendable: true},
		}
	}
	running := Attempt{State: AttemptRunning, Trigger: ByPerson}
	waiting := Attempt{State: AttemptWaiting, Trigger: ByPerson}
	poll := Attempt{State: AttemptRunning, Trigger: ByPoll}
	situations := []situation{
		{"a person starts", running, Challenge{}, noon},
		{"the night starts", poll, Challenge{}, noon},
		{"first code", running, asked(OTPSent, 1, false), noon},
		{"last code", running, asked(OTPSent, 2, false), noon},
		{"code, too late", running, asked(OTPSent, 1, false), noon.Add(time.Hour)},
		{"app", waiting, asked(Decoupled, 0, false), noon},
		{"resend", running, asked(OTPSent, 0, true), noon},
	}
	var outcomes []Outcome
	for _, kind := range OutcomeKinds() {
		switch kind {
		case Asks:
			outcomes = append(outcomes, Outcome{Kind: Asks, Question: &Question{Method: OTPSent}}, Outcome{Kind: Asks, Reason: "no question"})
		case AnswerRejected:
			outcomes = append(outcomes, Outcome{Kind: kind}, Outcome{Kind: kind, Reason: ReasonFormat})
		case Cancelled:
			outcomes = append(outcomes, Outcome{Kind: kind, Reason: ReasonUser}, Outcome{Kind: kind, Reason: ReasonDeadline}, Outcome{Kind: kind, Reason: ReasonShutdown})
		case ConnectorError:
			outcomes = append(outcomes, Outcome{Kind: kind, Reason: "bug"}, Outcome{Kind: kind, Reason: ReasonCrash})
		default:
			outcomes = append(outcomes, Outcome{Kind: kind})
		}
	}
	outcomes = append(outcomes, Outcome{Kind: "a lie"})

	var b strings.Builder
	b.WriteString("# outcome of a run × situation: attempt, question, session, nightly fetch\n")
	for _, o := range outcomes {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(string(o.Kind)+" "+o.Reason))
		for _, at := range situations {
			s := Settle(o, at.a, at.c, at.now)
			a, _, err := at.a.Apply(s.Attempt, at.now)
			if err != nil {
				t.Errorf("%s %s, %s: the attempt refuses %s: %v", o.Kind, o.Reason, at.name, s.Attempt, err)
			}
			question := "-"
			if at.c.ID != "" {
				c, _, err := at.c.Apply(s.Challenge, at.now)
				if err != nil {
					t.Errorf("%s %s, %s: the question refuses %s: %v", o.Kind, o.Reason, at.name, s.Challenge, err)
				}
				question = string(c.Status)
				if c.Status == StatusOpen {
					question += fmt.Sprintf(" %d/%d", c.Used, c.Max)
				}
				if (c.Status == StatusOpen) != (a.State == AttemptWaiting && s.Outcome.Kind != Asks) {
					t.Errorf("%s %s, %s: attempt %s but question %s", o.Kind, o.Reason, at.name, a.State, c.Status)
				}
			}
			night := string(s.Retry)
			if s.Pause != "" {
				night += ", " + string(s.Pause)
			}
			if s.Resume {
				night += ", pauses end"
			}
			as := ""
			if s.Outcome.Kind != o.Kind {
				as = " as " + string(s.Outcome.Kind)
			}
			fmt.Fprintf(&b, "  %-16s %-10s %-12s session %-9s %s%s\n", at.name, a.State, question, s.Session, night, as)
		}
	}
	golden(t, "settlement", b.String())
}
