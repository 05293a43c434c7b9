package api_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// The seed's matrix through HTTP: five usages × success, failure and the four
// interruptions. Each cell is a test by its name, as in TestMatrix/U1/I3s/sqlite.

// A purpose is what a person was doing.
type purpose struct {
	creates bool
	others  int    // accesses that are there besides
	address string // of a fetch; %s is the access, or its first account
}

var matrixUsages = map[string]purpose{
	"U1": {creates: true},            // the first access
	"U2": {creates: true, others: 1}, // another one
	"U3": {address: "/api/accesses/%s/fetch/accounts"},
	"U4": {address: "/api/accesses/%s/fetch/operations"},
	"U5": {address: "/api/accounts/%s/resync-balance"},
}

var matrixOutcomes = map[string]func(*scene){
	"S":   (*scene).success,
	"F":   (*scene).failure,
	"I1":  (*scene).codeTooLate,
	"I2":  (*scene).pageReloaded,
	"I3c": (*scene).browserDied,
	"I3s": (*scene).serverDied,
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var played []string
	for name, u := range matrixUsages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for outcome, play := range matrixOutcomes {
				t.Run(outcome, func(t *testing.T) {
					t.Parallel()
					storetest.Each(t, func(t *testing.T, db *storetest.DB) {
						play(newScene(t, db, name, u))
						mu.Lock()
						defer mu.Unlock()
						played = append(played, name+"/"+outcome+"/"+string(db.Engine()))
					})
				})
			}
		})
	}
	t.Cleanup(func() { // after all of them
		if t.Failed() || flag.Lookup("test.run").Value.String() != "" {
			return // only some were asked for
		}
		var want []string
		for cell := range strings.FieldsSeq("U1/S U1/F U1/I1 U1/I2 U1/I3c U1/I3s U2/S U2/F U2/I1 U2/I2 U2/I3c U2/I3s U3/S U3/F U3/I1 U3/I2 U3/I3c U3/I3s U4/S U4/F U4/I1 U4/I2 U4/I3c U4/I3s U5/S U5/F U5/I1 U5/I2 U5/I3c U5/I3s") {
			want = append(want, cell+"/postgres", cell+"/sqlite")
		}
		slices.Sort(played)
		if diff := cmp.Diff(slices.Sorted(slices.Values(want)), played); diff != "" {
			t.Errorf("not every cell was played:\n%s", diff)
		}
	})
}

// A scene is a usage on its way, seen by a client that has nothing but HTTP.
type scene struct {
	*counter
	purpose
	name   string
	access string // being created or refreshed
	fetch  string // where a fetch of it is asked for
}

func newScene(t *testing.T, db *storetest.DB, name string, u purpose) *scene {
	t.Helper()
	s := &scene{counter: newCounter(t, db), purpose: u, name: name}
	if u.others > 0 {
		s.create("simple")
		s.settle()
	}
	if u.creates {
		return s
	}
	made := s.create("otp")
	s.access = made.text("access.id")
	s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", answering("123456")).is(200, "")
	s.fetch = fmt.Sprintf(u.address, s.access)
	if name == "U5" {
		s.fetch = fmt.Sprintf(u.address, s.accountsOf(s.access)[0]["id"])
	}
	// Days have passed, and the bank has forgotten the device. It has also opened
	// an account that we do not know.
	db.Clock.Advance(5 * 24 * time.Hour)
	db.SQL("UPDATE accesses SET session = '' WHERE id = $1", s.access)
	db.SQL("DELETE FROM transactions WHERE account_id IN (SELECT id FROM accounts WHERE access_id = $1 AND label = 'Livret A')", s.access)
	db.SQL("DELETE FROM accounts WHERE access_id = $1 AND label = 'Livret A'", s.access)
	return s
}

// settle waits until nothing moves any more.
func (s *scene) settle() {
	s.t.Helper()
	for _, a := range s.all("accesses") {
		s.call("GET", "/api/attempts/"+at(a, "attempt", "id").(string)+"?wait=30", "").is(200, "")
	}
}

// begin asks for what the usage is about; the bank asks for a code.
func (s *scene) begin(login string) said {
	s.t.Helper()
	if !s.creates {
		return s.call("PUT", s.fetch+"?wait=30", "")
	}
	made := s.call("POST", "/api/accesses?wait=30", opening(login))
	if a, ok := made.at("attempt.access_id").(string); ok {
		s.access = a
	}
	return made
}

func (s *scene) asked() said {
	s.t.Helper()
	q := s.begin("otp").is(map[bool]int{true: 201, false: 202}[s.creates], "")
	if q.text("attempt.state") != "waiting" || q.text("attempt.challenge.method") != "otp_sent" || q.text("attempt.challenge.medium") == "" {
		s.t.Fatalf("no question: %s", q.raw)
	}
	return q
}

// code sends what a person typed, to the address the seed names for it.
func (s *scene) code(value string) said {
	s.t.Helper()
	if s.creates {
		return s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", answering(value))
	}
	return s.call("PUT", s.fetch+"?wait=30", answering(value))
}

// all reads one of the lists of /api/all, as a page that is loaded does.
func (s *scene) all(list string) (rows []map[string]any) {
	s.t.Helper()
	for _, row := range s.call("GET", "/api/all", "").is(200, "").at(list).([]any) {
		rows = append(rows, row.(map[string]any))
	}
	return rows
}

func at(row map[string]any, path ...string) any {
	for _, step := range path[:len(path)-1] {
		row, _ = row[step].(map[string]any)
	}
	return row[path[len(path)-1]]
}

func (s *scene) accountsOf(access string) (rows []map[string]any) {
	s.t.Helper()
	for _, a := range s.all("accounts") {
		if a["access_id"] == access {
			rows = append(rows, a)
		}
	}
	return rows
}

// state of the access of the scene as a page load shows it; "" when it is gone.
func (s *scene) standing() (state, question string) {
	s.t.Helper()
	for _, a := range s.all("accesses") {
		if a["id"] == s.access {
			question, _ = at(a, "attempt", "challenge", "id").(string)
			return a["state"].(string), question
		}
	}
	return "", ""
}

// picture is what no failure and no interruption may change.
func (s *scene) picture() map[string]any {
	s.t.Helper()
	p := map[string]any{
		"accounts": s.all("accounts"), "latest": s.all("transactions"), "stored": s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions"),
	}
	for _, a := range s.all("accesses") {
		if a["last_success"] != nil {
			p["success of "+a["id"].(string)] = a["last_success"]
		}
	}
	return p
}

func (s *scene) unchanged(before map[string]any) {
	s.t.Helper()
	if diff := cmp.Diff(before, s.picture()); diff != "" {
		s.t.Errorf("something changed:\n%s", diff)
	}
}

// over: a creation that did not succeed left nothing; an access that has accounts
// is there, the night leaves it alone, and the next fetch starts clean.
func (s *scene) over(before map[string]any) {
	s.t.Helper()
	s.unchanged(before)
	state, question := s.standing()
	if s.creates {
		if n := s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM accesses"); state != "" || n != fmt.Sprint(s.others) {
			s.t.Errorf("the access is still there: %s, %s in all", state, n)
		}
		if n := s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM challenges WHERE LENGTH(session) > 0"); n != "0" {
			s.t.Errorf("%s sessions are still there", n)
		}
		return
	}
	if state == "" || question != "" {
		s.t.Errorf("the access is %q, question %q", state, question)
	}
	if n, err := s.desk.Poll(s.t.Context()); err != nil || s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM attempts WHERE trigger_kind = 'poll' AND access_id = '"+s.access+"'") != "0" {
		s.t.Errorf("the night went to it (%d polled, %v)", n, err)
	}
	s.settle()
	s.asked()
	s.code("123456").is(200, "")
}

func (s *scene) success() {
	before := s.picture()
	s.asked()
	if s.creates {
		s.unchanged(before) // nothing of it is seen before its end
	}
	known, stored := s.accountsOf(s.access), s.stored()
	done := s.code("123456").is(200, "")
	if done.text("attempt.state") != "succeeded" || done.text("access.state") != "ready" || done.at("attempt.challenge") != nil {
		s.t.Errorf("%s", done.raw)
	}
	now := s.accountsOf(s.access)
	more := s.stored() - stored
	switch s.name {
	case "U1", "U2":
		if len(now) != 4 || more < 100 {
			s.t.Errorf("%d accounts, %d operations", len(now), more)
		}
	case "U3":
		if len(now) != len(known)+1 || more < 2 {
			s.t.Errorf("%d accounts after %d, %d new operations", len(now), len(known), more)
		}
	case "U4":
		if len(now) != len(known) || more < 1 {
			s.t.Errorf("%d accounts after %d, %d new operations", len(now), len(known), more)
		}
	case "U5":
		if len(now) != len(known) || more != 0 {
			s.t.Errorf("%d accounts after %d, %d new operations", len(now), len(known), more)
		}
		for i := range now {
			if moved := now[i]["balance"] != known[i]["balance"]; moved != (i == 0) {
				s.t.Errorf("the balance of %v: %v, before %v", now[i]["label"], now[i]["balance"], known[i]["balance"])
			}
		}
	}
	if n := len(s.all("accesses")); n != s.others+1 {
		s.t.Errorf("%d accesses", n)
	}
}

func (s *scene) stored() (n int) {
	s.t.Helper()
	if _, err := fmt.Sscan(s.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM transactions"), &n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// failure: an error instead of a question, and an error after it.
func (s *scene) failure() {
	before := s.picture()
	if s.creates {
		failed := s.begin("wrongpass").is(422, "bad_credentials")
		if failed.text("attempt.form.login") != "wrongpass" || failed.at("attempt.form.password") != nil || failed.at("access") != nil {
			s.t.Errorf("what was typed, secrets aside: %s", failed.raw)
		}
		s.over(before)
	} else {
		if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/", Kind: simbank.FaultUnavailable}); err != nil {
			s.t.Fatal(err)
		}
		s.begin("").is(422, "unavailable")
		s.unchanged(before)
		s.site.ClearFaults()
	}
	// The last code that we let through is wrong: the bank would lock at the next.
	s.asked()
	s.code("000000").is(422, "answer_rejected")
	s.code("000000").is(422, "answer_rejected")
	s.over(before)
	if n := s.site.Counters("otp"); n.Lockouts != 0 {
		s.t.Errorf("the bank locked the access: %+v", n)
	}
}

func (s *scene) codeTooLate() {
	before := s.picture()
	q := s.asked()
	tried := s.site.Counters("otp").CodesTried
	s.db.Clock.Advance(6 * time.Minute)
	s.code("123456").is(410, "question_expired")
	s.call("POST", "/api/challenges/"+q.text("attempt.challenge.id")+"/answer", answering("123456")).is(410, "question_expired")
	if n := s.site.Counters("otp"); n.CodesTried != tried {
		s.t.Error("the late code reached the bank")
	}
	told := s.call("GET", "/api/attempts/"+q.text("attempt.id"), "").is(200, "")
	if told.text("state") != "expired" {
		s.t.Errorf("%s", told.raw)
	}
	s.over(before)
}

func (s *scene) pageReloaded() {
	before := s.picture()
	q := s.asked()
	sent := s.site.Counters("otp").CodesSent
	for range 2 {
		if _, question := s.standing(); question != q.text("attempt.challenge.id") {
			s.t.Fatalf("another question: %s", question)
		}
	}
	s.unchanged(before)
	if n := s.site.Counters("otp"); n.CodesSent != sent {
		s.t.Errorf("a reload made the bank send %d codes", n.CodesSent-sent)
	}
	s.code("123456").is(200, "")
}

// browserDied: nobody comes back before the deadline; the timer puts it right.
func (s *scene) browserDied() {
	before := s.picture()
	q := s.asked()
	s.db.Clock.Advance(time.Hour)
	if swept, err := s.desk.Sweep(s.t.Context(), ""); err != nil || swept.Expired != 1 {
		s.t.Errorf("swept %+v, %v", swept, err)
	}
	if told := s.call("GET", "/api/attempts/"+q.text("attempt.id"), "").is(200, ""); told.text("state") != "expired" {
		s.t.Errorf("%s", told.raw)
	}
	s.over(before)
}

// serverDied: the next process has the rows, and the question stands.
func (s *scene) serverDied() {
	before := s.picture()
	q := s.asked()
	n := s.site.Counters("otp")
	s.crash()
	if state, question := s.standing(); question != q.text("attempt.challenge.id") {
		s.t.Fatalf("the question did not survive: %s", state)
	}
	s.unchanged(before)
	if now := s.site.Counters("otp"); now != n {
		s.t.Errorf("the restart spoke to the bank: %+v, before %+v", now, n)
	}
	s.code("123456").is(200, "")
	if now := s.site.Counters("otp"); now.Logins != n.Logins || now.CodesSent != n.CodesSent || now.CodesTried != n.CodesTried+1 {
		s.t.Errorf("the bank saw %+v, before %+v", now, n)
	}
}
