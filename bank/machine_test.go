package bank

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestChallengeLife throws any events, in any order, at one question and checks
// what must hold after each of them.
func TestChallengeLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		q := Question{
			Method:     rapid.SampledFrom(Methods()).Draw(t, "method"),
			Resendable: rapid.Bool().Draw(t, "resendable"),
			TriesLeft:  rapid.IntRange(-1, 5).Draw(t, "tries told"),
		}
		c := Ask("q", Attempt{ID: "a"}, q, Challenge{}, now)
		c.Session = []byte("sealed")
		sent := 0 // codes that may have reached the bank
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, fmt.Sprint("wait", i))) * time.Second)
			event := rapid.SampledFrom(ChallengeEvents()).Draw(t, fmt.Sprint("event", i))
			before := c
			after, effects, err := c.Apply(event, now)
			switch {
			case !before.Status.Live() && err == nil:
				t.Fatalf("%s happened to a question that was %s", event, before.Status)
			case err != nil && (after.Status != before.Status || after.Used != before.Used):
				t.Fatalf("%s was refused but changed something", event)
			case err != nil && len(effects) > 0:
				t.Fatalf("%s was refused with effects %v", event, effects)
			}
			if err != nil {
				continue
			}
			c = after
			if event == ChallengeAnswered && c.Status == StatusAnswering {
				if !now.Before(before.Deadline) {
					t.Fatal("an answer was taken after the deadline")
				}
				if c.Used != before.Used+1 {
					t.Fatal("the bank is about to be spoken to and the try is not counted")
				}
				sent++
			}
			if event == ChallengeOutage || event == ChallengeMisspelt {
				if before.Typed() && !before.Resending {
					sent--
				}
			}
			switch {
			case c.Used < 0 || c.Used > c.Max || sent > c.Max:
				t.Fatalf("%d tries counted, %d sent, of %d", c.Used, sent, c.Max)
			case c.Max > maxAnswers:
				t.Fatalf("%d tries allowed", c.Max)
			case before.Status == StatusAnswering && c.Status == StatusOpen && !now.Before(c.Deadline):
				t.Fatal("opened again after the deadline")
			case c.Status == StatusOpen && c.TriesLeft() == 0:
				t.Fatal("open without a try left")
			case c.Status.Live() == (c.Session == nil):
				t.Fatalf("%s with session %q", c.Status, c.Session)
			case c.Status.Live() != c.EndedAt.IsZero():
				t.Fatalf("%s ended at %v", c.Status, c.EndedAt)
			case c.Resending && c.Status == StatusOpen:
				t.Fatal("open, and the code is being asked again")
			}
		}
	})
}

// TestAttemptLife lets a hostile bank and an unlucky person play a whole
// attempt through the law of outcomes.
func TestAttemptLife(t *testing.T) {
	reasons := map[OutcomeKind][]string{
		AnswerRejected: {"", ReasonFormat},
		Cancelled:      {ReasonUser, ReasonDeadline, ReasonShutdown},
		ConnectorError: {"bug", ReasonCrash, ReasonProtocol},
	}
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		a := Attempt{ID: "a", State: AttemptQueued, Trigger: rapid.SampledFrom([]Trigger{ByPerson, ByPoll}).Draw(t, "trigger")}
		var questions []Challenge
		open := func() *Challenge {
			var found *Challenge
			for i := range questions {
				if questions[i].Status.Live() {
					if found != nil {
						t.Fatal("two live questions")
					}
					found = &questions[i]
				}
			}
			return found
		}
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		var err error
		a, _, err = a.Apply(AttemptBegins, now)
		must(err)
		rounds := rapid.IntRange(1, 40).Draw(t, "rounds")
		for i := 0; i < rounds && a.State.Live(); i++ {
			now = now.Add(time.Duration(rapid.IntRange(0, 240).Draw(t, fmt.Sprint("wait", i))) * time.Second)
			c := open()
			if a.State == AttemptWaiting && (c == nil || c.Status != StatusAnswering) {
				// A person's turn, or the phone's.
				if c == nil {
					t.Fatal("waiting without a question")
				}
				event, follows := ChallengeAnswered, AttemptAnswered
				switch {
				case !c.Typed():
					event, follows = ChallengePolled, AttemptWatches
				case c.Question.Resendable && c.Resends < maxResends && rapid.IntRange(0, 4).Draw(t, fmt.Sprint("resend", i)) == 0:
					event = ChallengeResent
				}
				if !now.Before(c.Deadline) {
					event, follows = ChallengeTimesOut, AttemptExpires
				}
				*c, _, err = c.Apply(event, now)
				must(err)
				a, _, err = a.Apply(follows, now)
				must(err)
				continue
			}
			kind := rapid.SampledFrom(OutcomeKinds()).Draw(t, fmt.Sprint("outcome", i))
			o := Outcome{Kind: kind}
			if r := reasons[kind]; r != nil {
				o.Reason = rapid.SampledFrom(r).Draw(t, fmt.Sprint("reason", i))
			}
			if kind == Asks {
				o.Question = &Question{Method: rapid.SampledFrom(Methods()).Draw(t, fmt.Sprint("method", i)), Resendable: true, TriesLeft: -1}
			}
			var answered Challenge
			if c != nil {
				answered = *c
			}
			s := Settle(o, a, answered, now)
			if c != nil {
				*c, _, err = c.Apply(s.Challenge, now)
				must(err)
				answered = *c
			}
			a, _, err = a.Apply(s.Attempt, now)
			must(err)
			if s.Attempt == AttemptAsks {
				if a.Trigger == ByPoll {
					t.Fatal("a poll asked a question")
				}
				questions = append(questions, Ask("q", a, *s.Outcome.Question, answered, now))
				questions[len(questions)-1].Session = []byte("sealed")
			}
			if s.Outcome.Kind.Class() != Done && s.Outcome.Kind.Class() != Wait && s.Outcome.Kind.Class() != Broken && s.Retry != RetryNever {
				t.Fatalf("%s would be fetched again at %s", s.Outcome.Kind, s.Retry)
			}
		}
		if c := open(); !a.State.Live() && c != nil {
			t.Fatalf("attempt %s, question %s", a.State, c.Status)
		} else if a.State == AttemptWaiting && c == nil {
			t.Fatal("waiting without a question")
		}
		for i, c := range questions {
			if c.Seq != i+1 {
				t.Fatalf("question %d has number %d", i, c.Seq)
			}
			if c.Resends > maxResends {
				t.Fatalf("code sent again %d times", c.Resends)
			}
		}
	})
}
