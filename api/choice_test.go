package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// A bank that offers several ways to confirm: the person chooses, then the
// question of that way follows. Whatever happens between the two, the bank sends
// what was chosen, once.
var choices = map[string]func(*scene){
	"code by SMS":       (*scene).chooseSMS,
	"code by mail":      (*scene).chooseMail,
	"app":               (*scene).chooseApp,
	"reload between":    (*scene).choiceReloaded,
	"crash between":     (*scene).choiceCrashed,
	"refresh":           (*scene).choiceOfRefresh,
	"not offered":       (*scene).chooseWhatIsNotOffered,
	"two tabs":          (*scene).choiceInTwoTabs,
	"stale tab":         (*scene).choiceInAStaleTab,
	"double click":      (*scene).choiceTwice,
	"answer lost":       (*scene).choiceLost,
	"outage":            (*scene).choiceAtAnOutage,
	"too late":          (*scene).choiceTooLate,
	"cancelled between": (*scene).choiceCancelled,
}

func TestChoiceOfMethod(t *testing.T) {
	t.Parallel()
	for name, play := range choices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				play(&scene{counter: newCounter(t, db), name: "U1", purpose: matrixUsages["U1"]})
			})
		})
	}
}

// offered opens an access and is asked how to confirm. Nothing was sent.
func (s *scene) offered() said {
	s.t.Helper()
	q := s.begin("choice").is(map[bool]int{true: 201, false: 202}[s.creates], "")
	if q.text("attempt.state") != "waiting" || q.text("attempt.challenge.method") != "choice" {
		s.t.Fatalf("no choice: %s", q.raw)
	}
	field := q.at("attempt.challenge.fields").([]any)[0].(map[string]any)
	var values []string
	for _, c := range field["choices"].([]any) {
		values = append(values, c.(map[string]any)["value"].(string))
	}
	if field["id"] != "way" || !slices.Equal(values, []string{"sms", "app", "mail"}) {
		s.t.Fatalf("offered %v", field)
	}
	return q
}

func choosing(way string) string { return fmt.Sprintf(`{"fields":{"way":%q}}`, way) }

func (s *scene) choose(way string) said {
	s.t.Helper()
	return s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", choosing(way))
}

// sent compares what the bank did with what one choice is worth.
func (s *scene) sent(codes, mailed, rings int) {
	s.t.Helper()
	if n := s.site.Counters("choice"); n.CodesSent != codes || n.CodesMailed != mailed || n.AppAsked != rings || n.Logins != 1 {
		s.t.Errorf("the bank saw %+v, wanted %d codes, %d of them by mail, %d rings, 1 login", n, codes, mailed, rings)
	}
}

// asksCode checks the question that follows a choice.
func (s *scene) asksCode(q said, medium string) said {
	s.t.Helper()
	at := "attempt.challenge." // or the attempt is all there is
	if q.at("attempt") == nil {
		at = "challenge."
	}
	if q.text(at+"method") != "otp_sent" || q.text(at+"medium_type") != medium || q.text(at+"medium") == "" {
		s.t.Fatalf("not a code by %s: %s", medium, q.raw)
	}
	return q
}

func (s *scene) chooseSMS() {
	s.offered()
	s.sent(0, 0, 0)
	s.asksCode(s.choose("sms").is(202, ""), "sms")
	wrong := s.code("000000").is(422, "answer_rejected")
	if wrong.at("attempt.challenge.tries_left") != float64(1) { // the choice was no try of the code
		s.t.Errorf("%s", wrong.raw)
	}
	s.code("123456").is(200, "")
	s.sent(1, 0, 0)
}

func (s *scene) chooseMail() {
	s.offered()
	s.asksCode(s.choose("mail").is(202, ""), "mail")
	s.code("123456").is(200, "")
	s.sent(1, 1, 0)
}

func (s *scene) chooseApp() {
	q := s.offered()
	then := s.choose("app").is(202, "")
	if then.text("attempt.challenge.method") != "decoupled" || then.text("attempt.challenge.medium") == "" {
		s.t.Fatalf("%s", then.raw)
	}
	// A reload, and "I have validated", ring no phone.
	s.call("GET", "/api/all", "").is(200, "")
	s.call("POST", s.answerURL(then), `{"fields":{}}`).is(202, "")
	s.db.Clock.Advance(4 * time.Second)
	if done := s.call("GET", "/api/attempts/"+q.text("attempt.id")+"?wait=30", "").is(200, ""); done.text("state") != "succeeded" {
		s.t.Errorf("%s", done.raw)
	}
	s.sent(0, 0, 1)
}

func (s *scene) choiceReloaded() {
	q := s.offered()
	for range 3 {
		if _, question := s.standing(); question != q.text("attempt.challenge.id") {
			s.t.Errorf("a reload shows another question: %q", question)
		}
	}
	s.sent(0, 0, 0)
	code := s.asksCode(s.choose("sms").is(202, ""), "sms")
	for range 3 {
		if _, question := s.standing(); question != code.text("attempt.challenge.id") {
			s.t.Errorf("a reload shows another question: %q", question)
		}
	}
	s.sent(1, 0, 0)
	s.code("123456").is(200, "")
}

// choiceCrashed: the server dies before the choice and between choice and code.
// What it dies in the middle of is cmd/guichet.TestKilledAroundAChoice.
func (s *scene) choiceCrashed() {
	q := s.offered()
	s.crash()
	if _, question := s.standing(); question != q.text("attempt.challenge.id") {
		s.t.Fatal("the choice did not survive")
	}
	code := s.asksCode(s.choose("mail").is(202, ""), "mail")
	s.crash()
	if _, question := s.standing(); question != code.text("attempt.challenge.id") {
		s.t.Fatal("the code did not survive")
	}
	s.code("123456").is(200, "")
	s.sent(1, 1, 0)
}

func (s *scene) choiceOfRefresh() {
	s.offered()
	s.choose("sms").is(202, "")
	s.code("123456").is(200, "")
	s.purpose, s.name, s.fetch = matrixUsages["U3"], "U3", fmt.Sprintf(matrixUsages["U3"].address, s.access)
	s.db.Clock.Advance(24 * time.Hour)
	s.db.SQL("UPDATE accesses SET session = ''")
	s.site.Reset()
	before := s.picture()
	s.offered()
	s.unchanged(before)
	s.asksCode(s.choose("mail").is(202, ""), "mail")
	s.code("123456").is(200, "")
	s.sent(1, 1, 0)
}

func (s *scene) chooseWhatIsNotOffered() {
	s.offered()
	for way, refusal := range map[string]string{"pigeon": "field_invalid", "SMS": "field_invalid", "": "field_required"} {
		s.choose(way).is(422, refusal)
	}
	s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts", answering("123456")).is(422, "")
	if n := s.site.Counters("choice"); n.CodesTried != 0 || n.Choices != 0 {
		s.t.Errorf("the bank saw %+v", n)
	}
	s.asksCode(s.choose("sms").is(202, ""), "sms")
	s.sent(1, 0, 0)
}

// choiceInTwoTabs: two ways at the same moment. One is sent; the other tab is told
// how it stands.
func (s *scene) choiceInTwoTabs() {
	q := s.offered()
	version := header{"If-Match": q.header.Get("ETag")}
	var mu sync.Mutex
	var got []int
	var tabs sync.WaitGroup
	for _, way := range []string{"sms", "mail"} {
		tabs.Go(func() {
			a := s.call("POST", s.answerURL(q)+"?wait=30", choosing(way), version)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, a.status)
			if a.status == http.StatusConflict && a.at("attempt.state") == nil {
				s.t.Errorf("the loser is not told how it stands: %s", a.raw)
			}
		})
	}
	tabs.Wait()
	slices.Sort(got)
	if !slices.Equal(got, []int{202, 409}) {
		s.t.Errorf("answers %v", got)
	}
	n := s.site.Counters("choice")
	s.sent(1, n.CodesMailed, 0)
	s.code("123456").is(200, "")
}

// choiceInAStaleTab: a tab that still shows the choice sends another one later.
func (s *scene) choiceInAStaleTab() {
	q := s.offered()
	s.choose("sms").is(202, "")
	late := s.call("POST", s.answerURL(q)+"?wait=30", choosing("app")).is(409, "question_over")
	s.asksCode(late, "sms")
	s.sent(1, 0, 0)
	// The address that the seed names takes answers to what stands, which is a code.
	s.choose("app").is(422, "")
	s.sent(1, 0, 0)
	s.code("123456").is(200, "")
}

func (s *scene) choiceTwice() {
	q := s.offered()
	key := header{"Idempotency-Key": "one click"}
	for range 2 {
		s.asksCode(s.call("POST", s.answerURL(q)+"?wait=30", choosing("sms"), key).is(202, ""), "sms")
	}
	s.sent(1, 0, 0)
}

// choiceLost: the bank took the choice, and what it said got lost. Another choice
// finds what was sent.
func (s *scene) choiceLost() {
	q := s.offered()
	if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/choice", Method: "POST", Kind: simbank.FaultReset, Times: 1}); err != nil {
		s.t.Fatal(err)
	}
	lost := s.choose("sms").is(422, "unavailable")
	if lost.text("attempt.challenge.id") != q.text("attempt.challenge.id") || lost.at("attempt.challenge.tries_left") != float64(2) {
		s.t.Errorf("%s", lost.raw)
	}
	s.asksCode(s.choose("app").is(202, ""), "sms")
	s.code("123456").is(200, "")
	s.sent(1, 0, 0)
}

func (s *scene) choiceAtAnOutage() {
	s.offered()
	if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/", Kind: simbank.FaultUnavailable}); err != nil {
		s.t.Fatal(err)
	}
	for range 3 { // costs no try, however often
		s.choose("sms").is(422, "unavailable")
	}
	s.sent(0, 0, 0)
	s.site.ClearFaults()
	s.asksCode(s.choose("sms").is(202, ""), "sms")
	s.code("123456").is(200, "")
	s.sent(1, 0, 0)
}

func (s *scene) choiceTooLate() {
	s.offered()
	s.db.Clock.Advance(16 * time.Minute)
	s.choose("sms").is(410, "question_expired")
	s.sent(0, 0, 0)
	if state, _ := s.standing(); state != "" {
		s.t.Errorf("the access is %s", state)
	}
}

func (s *scene) choiceCancelled() {
	s.offered()
	code := s.choose("sms").is(202, "")
	s.cancel(code)
	if state, _ := s.standing(); state != "" {
		s.t.Errorf("the access is %s", state)
	}
	s.call("POST", s.answerURL(code), answering("123456")).is(409, "question_over")
	s.sent(1, 0, 0)
}
