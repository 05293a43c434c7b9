package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/bank"
	simbank "guichet/sim/bank"
	"guichet/store/storetest"
)

// What people and banks do beside the thirty cells, each by its name.
var interruptions = map[string]func(*scene){
	"cancel a creation":            (*scene).cancelCreation,
	"cancel a refresh":             (*scene).cancelRefresh,
	"cancel while at the bank":     (*scene).cancelAtTheBank,
	"hide":                         (*scene).hide,
	"two tabs":                     (*scene).twoTabs,
	"second device":                (*scene).secondDevice,
	"double click":                 (*scene).doubleClick,
	"wrong code then right code":   (*scene).wrongThenRight,
	"code after expiry":            (*scene).codeAfterExpiry,
	"outage while waiting":         (*scene).outageWhileWaiting,
	"second question":              (*scene).secondQuestion,
	"validation in the app":        (*scene).application,
	"app then code":                (*scene).applicationThenCode,
	"redirect":                     (*scene).redirect,
	"captcha image":                (*scene).captchaImage,
	"choice of method":             (*scene).chooseMail,
	"concurrent on one access":     (*scene).concurrentOnOneAccess,
	"concurrent on one bank login": (*scene).concurrentOnOneLogin,
	"resend":                       (*scene).resend,
	"unfinished is discarded":      (*scene).unfinishedIsDiscarded,
}

func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, play := range interruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *storetest.DB) {
				play(&scene{counter: newCounter(t, db), name: "U1", purpose: matrixUsages["U1"]})
			})
		})
	}
}

// refreshing turns the scene into a refresh of an access that has its accounts.
func (s *scene) refreshing() {
	s.t.Helper()
	made := s.create("otp")
	s.access = made.text("access.id")
	s.code("123456").is(200, "")
	s.purpose, s.name, s.fetch = matrixUsages["U3"], "U3", fmt.Sprintf(matrixUsages["U3"].address, s.access)
	s.others = 0
	s.db.Clock.Advance(24 * time.Hour)
	s.db.SQL("UPDATE accesses SET session = ''")
}

func (s *scene) cancel(q said) said {
	s.t.Helper()
	return s.call("POST", "/api/attempts/"+q.text("attempt.id")+"/cancel", "").is(200, "")
}

func (s *scene) answerURL(q said) string {
	s.t.Helper()
	return "/api/challenges/" + q.text("attempt.challenge.id") + "/answer"
}

func (s *scene) cancelCreation() {
	before := s.picture()
	q := s.asked()
	if gone := s.cancel(q); gone.text("state") != "cancelled" {
		s.t.Errorf("%s", gone.raw)
	}
	s.over(before)
	s.cancel(q) // twice is once
	s.call("POST", s.answerURL(q), answering("123456")).is(409, "question_over")
	if n := s.site.Counters("otp"); n.CodesTried != 0 {
		s.t.Errorf("the bank saw %+v", n)
	}
}

func (s *scene) cancelRefresh() {
	s.refreshing()
	before := s.picture()
	s.cancel(s.asked())
	s.over(before)
}

// cancelAtTheBank: the connector is told at once, and nothing of it is kept.
func (s *scene) cancelAtTheBank() {
	before := s.picture()
	made := s.call("POST", "/api/accesses?wait=0", strings.Replace(opening("hang"), `"sim"`, `"odd"`, 1)).is(201, "")
	s.access = made.text("access.id")
	<-s.odd.here
	began := time.Now()
	s.cancel(made)
	<-s.odd.gone
	if took := time.Since(began); took > time.Second {
		s.t.Errorf("the connector went on for %v", took)
	}
	s.over(before)
}

// hide: whoever sets a question aside finds it again, to resume or to discard.
func (s *scene) hide() {
	before := s.picture()
	q := s.asked()
	if state, _ := s.standing(); state != "waiting" {
		s.t.Errorf("set aside: %s", state)
	}
	again := s.call("POST", "/api/accesses/"+s.access+"/resume", "").is(200, "")
	if again.text("attempt.challenge.id") != q.text("attempt.challenge.id") {
		s.t.Errorf("%s", again.raw)
	}
	s.call("POST", "/api/accesses/"+s.access+"/discard", "").is(204, "")
	s.over(before)
	s.refreshing()
	s.asked()
	s.call("POST", "/api/accesses/"+s.access+"/discard", "").is(409, "access_has_accounts") // that would be its history
	s.code("123456").is(200, "")
}

// twoTabs: two answers at the same moment. One wins, the other is told.
func (s *scene) twoTabs() {
	q := s.asked()
	version := header{"If-Match": q.header.Get("ETag")}
	var mu sync.Mutex
	var got []int
	var tabs sync.WaitGroup
	for range 2 {
		tabs.Go(func() {
			a := s.call("POST", s.answerURL(q)+"?wait=30", answering("123456"), version)
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
	if !slices.Equal(got, []int{200, 409}) {
		s.t.Errorf("answers %v", got)
	}
	if n := s.site.Counters("otp"); n.CodesTried != 1 || n.Logins != 1 {
		s.t.Errorf("the bank saw %+v", n)
	}
}

// secondDevice: another process and another browser show the same question, and
// what one does the other sees.
func (s *scene) secondDevice() {
	q := s.asked()
	phone := &scene{counter: &counter{process: s.start(s.db.Open(), false), t: s.t, db: s.db, site: s.site, seen: s.seen}, purpose: s.purpose, access: s.access}
	if _, question := phone.standing(); question != q.text("attempt.challenge.id") {
		s.t.Errorf("the phone shows %q", question)
	}
	phone.code("000000").is(422, "answer_rejected")
	s.call("POST", s.answerURL(q), answering("123456"), header{"If-Match": q.header.Get("ETag")}).is(409, "changed_meanwhile")
	if now := s.call("GET", "/api/attempts/"+q.text("attempt.id"), "").is(200, ""); now.at("challenge.tries_left") != float64(1) {
		s.t.Errorf("%s", now.raw)
	}
	phone.code("123456").is(200, "")
	if state, _ := s.standing(); state != "ready" {
		s.t.Errorf("here it is %s", state)
	}
}

// doubleClick: the same form twice is one creation, the same answer twice is one
// answer, and a second click on refresh is the first.
func (s *scene) doubleClick() {
	q := s.asked()
	if again := s.begin("otp").is(200, ""); again.text("attempt.id") != q.text("attempt.id") {
		s.t.Errorf("two creations: %s", again.raw)
	}
	key := header{"Idempotency-Key": "one click"}
	s.call("POST", s.answerURL(q)+"?wait=30", answering("000000"), key).is(422, "answer_rejected")
	s.call("POST", s.answerURL(q)+"?wait=30", answering("000000"), key).is(422, "answer_rejected")
	if n := s.site.Counters("otp"); n.CodesTried != 1 || n.Logins != 1 || n.CodesSent != 1 {
		s.t.Errorf("the bank saw %+v", n)
	}
	s.cancel(q)
	s.refreshing()
	first, second := s.asked(), s.asked()
	if first.text("attempt.id") != second.text("attempt.id") {
		s.t.Error("two refreshes")
	}
	if n := s.site.Counters("otp"); n.CodesSent != 3 {
		s.t.Errorf("the bank saw %+v", n)
	}
}

func (s *scene) wrongThenRight() {
	s.asked()
	wrong := s.code("000000").is(422, "answer_rejected")
	if wrong.text("attempt.state") != "waiting" || wrong.at("attempt.challenge.tries_left") != float64(1) {
		s.t.Errorf("%s", wrong.raw)
	}
	s.code("123456").is(200, "")
	if n := s.site.Counters("otp"); n.CodesTried != 2 || n.Logins != 1 || n.CodesSent != 1 {
		s.t.Errorf("the bank saw %+v", n)
	}
}

// codeAfterExpiry: ours, and the bank's own that ends before ours.
func (s *scene) codeAfterExpiry() {
	before := s.picture()
	s.asked()
	s.db.Clock.Advance(6 * time.Minute)
	s.code("123456").is(410, "question_expired")
	s.over(before)
	s.asked()
	s.site.Advance(6 * time.Minute) // only the bank's clock: ours thinks there is time
	s.code("123456").is(410, "question_expired")
	s.over(before)
}

// outageWhileWaiting spends no try.
func (s *scene) outageWhileWaiting() {
	s.asked()
	if err := s.site.AddFaults(simbank.Fault{PathPrefix: "/", Kind: simbank.FaultUnavailable}); err != nil {
		s.t.Fatal(err)
	}
	for range 3 {
		down := s.code("123456").is(422, "unavailable")
		if down.text("attempt.state") != "waiting" || down.at("attempt.challenge.tries_left") != float64(2) {
			s.t.Errorf("%s", down.raw)
		}
	}
	s.site.ClearFaults()
	s.code("123456").is(200, "")
}

// odd opens an access at the bank that asks what the simulated one does not.
func (s *scene) oddly(login string) said {
	s.t.Helper()
	made := s.call("POST", "/api/accesses?wait=30", strings.Replace(opening(login), `"sim"`, `"odd"`, 1)).is(201, "")
	s.access = made.text("access.id")
	return made
}

func (s *scene) secondQuestion() {
	first := s.oddly("twice")
	second := s.code("123456").is(202, "")
	if second.text("attempt.challenge.id") == first.text("attempt.challenge.id") || second.text("attempt.challenge.method") != "otp_device" {
		s.t.Fatalf("%s", second.raw)
	}
	if fields := second.at("attempt.challenge.fields").([]any); len(fields) != 2 {
		s.t.Errorf("%d fields", len(fields))
	}
	s.crash() // between the two, the server dies
	s.call("POST", s.answerURL(first), answering("123456")).is(409, "question_over")
	s.code("654321").is(422, "field_required") // the other field
	s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", `{"fields":{"code":"654321","serial":"7"}}`).is(200, "")
}

func (s *scene) watched(login string) said {
	s.t.Helper()
	q := s.begin(login)
	for q.status == http.StatusCreated && q.at("attempt.challenge.status") != "answering" {
		now := s.call("GET", "/api/attempts/"+q.text("attempt.id"), "").is(200, "")
		q.body["attempt"] = now.body
	}
	if q.text("attempt.state") != "waiting" || q.text("attempt.challenge.method") != "decoupled" || q.text("attempt.challenge.medium") == "" {
		s.t.Fatalf("%s", q.raw)
	}
	return q
}

func (s *scene) application() {
	q := s.watched("app")
	s.call("POST", s.answerURL(q), `{"fields":{}}`).is(202, "") // "I have validated" is no answer of its own
	s.db.Clock.Advance(4 * time.Second)
	if done := s.call("GET", "/api/attempts/"+q.text("attempt.id")+"?wait=30", "").is(200, ""); done.text("state") != "succeeded" {
		s.t.Errorf("%s", done.raw)
	}
	before := s.picture()
	if err := s.site.Decide("app-2", simbank.DecisionDeny); err != nil {
		s.t.Fatal(err)
	}
	refused := s.call("POST", "/api/accesses?wait=0", opening("app-2")).is(201, "")
	told := s.call("GET", "/api/attempts/"+refused.text("attempt.id")+"?wait=30", "").is(200, "")
	if told.text("outcome") != string(bank.ChallengeDeclined) {
		s.t.Errorf("%s", told.raw)
	}
	s.unchanged(before)
}

func (s *scene) applicationThenCode() {
	q := s.watched("app-otp")
	s.db.Clock.Advance(4 * time.Second)
	then := s.call("GET", "/api/attempts/"+q.text("attempt.id")+"?wait=30", "").is(200, "")
	if then.text("challenge.method") != "otp_sent" {
		s.t.Fatalf("%s", then.raw)
	}
	s.code("123456").is(200, "")
}

// redirect: the person goes to the bank's own site with their browser and comes
// back with an address.
func (s *scene) redirect() {
	q := s.begin("redirect").is(201, "")
	if q.text("attempt.challenge.method") != "redirect" {
		s.t.Fatalf("%s", q.raw)
	}
	at, err := url.Parse(q.text("attempt.challenge.redirect_url"))
	if err != nil {
		s.t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page := fetched(s.t, browser, http.MethodGet, at.String(), nil)
	hidden := url.Values{"decision": {"autoriser"}}
	for _, m := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		if m[1] != "decision" {
			hidden.Set(m[1], m[2])
		}
	}
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page.body)
	if action == nil {
		s.t.Fatalf("no form: %s", page.body)
	}
	back := fetched(s.t, browser, http.MethodPost, at.Scheme+"://"+at.Host+action[1], hidden)
	field := q.at("attempt.challenge.fields").([]any)[0].(map[string]any)["id"].(string)
	value := back.location
	if value == "" {
		if m := regexp.MustCompile(`<p class="code">([^<]+)</p>`).FindStringSubmatch(back.body); m != nil {
			value = m[1]
		}
	}
	s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", fmt.Sprintf(`{"fields":{%q:%q}}`, field, value)).is(200, "")
	if n := s.site.Counters("redirect"); n.RedirectsDone != 1 || n.Logins != 1 {
		s.t.Errorf("the bank saw %+v", n)
	}
}

func (s *scene) captchaImage() {
	q := s.begin("captcha").is(201, "")
	if q.text("attempt.challenge.method") != "captcha" || !strings.HasPrefix(q.text("attempt.challenge.image"), "iVBOR") {
		s.t.Fatalf("%.300s", q.raw)
	}
	digits := s.site.CaptchaAnswer("captcha")
	s.call("PUT", "/api/accesses/"+s.access+"/fetch/accounts?wait=30", fmt.Sprintf(`{"fields":{"digits":%q}}`, digits)).is(200, "")
}

// concurrentOnOneAccess: eight requests at once are one attempt, and one code.
func (s *scene) concurrentOnOneAccess() {
	s.refreshing()
	sent := s.site.Counters("otp").CodesSent
	var mu sync.Mutex
	attempts := map[string]bool{}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			path := s.fetch
			if i%2 == 1 {
				path = "/api/accesses/" + s.access + "/fetch/operations"
			}
			a := s.call("PUT", path+"?wait=30", "")
			mu.Lock()
			defer mu.Unlock()
			if id, ok := a.at("attempt.id").(string); ok && a.status == http.StatusAccepted {
				attempts[id] = true
			} else if a.status != http.StatusConflict {
				s.t.Errorf("%d %s", a.status, a.raw)
			}
		})
	}
	all.Wait()
	if n := s.site.Counters("otp").CodesSent - sent; n != 1 || len(attempts) != 1 {
		s.t.Errorf("%d attempts, %d codes sent", len(attempts), n)
	}
	s.code("123456").is(200, "")
}

// concurrentOnOneLogin: two persons with one login at one bank. One goes on, the
// other is told to wait, and the bank sends one code.
func (s *scene) concurrentOnOneLogin() {
	var mu sync.Mutex
	var got []int
	var both sync.WaitGroup
	for _, who := range []string{camille, dominic} {
		both.Go(func() {
			a := s.call("POST", "/api/accesses?wait=30", opening("otp"), header{"Authorization": "Bearer " + who})
			mu.Lock()
			defer mu.Unlock()
			got = append(got, a.status)
			if a.status == http.StatusConflict && a.at("code") != "login_busy" {
				s.t.Errorf("%s", a.raw)
			}
		})
	}
	both.Wait()
	slices.Sort(got)
	if n := s.site.Counters("otp"); !slices.Equal(got, []int{201, 409}) || n.CodesSent != 1 || n.Logins != 1 {
		s.t.Errorf("answers %v; the bank saw %+v", got, n)
	}
}

func (s *scene) resend() {
	q := s.asked()
	s.call("POST", "/api/challenges/"+q.text("attempt.challenge.id")+"/resend?wait=30", "", header{"If-Match": q.header.Get("ETag"), "Idempotency-Key": "again"}).is(202, "")
	_, second := s.standing()
	if second == q.text("attempt.challenge.id") {
		s.t.Error("it is the same question")
	}
	s.call("POST", s.answerURL(q), answering("123456")).is(409, "question_over")
	if n := s.site.Counters("otp"); n.CodesSent != 2 || n.Resends != 1 || n.CodesTried != 0 {
		s.t.Errorf("the bank saw %+v", n)
	}
	s.code("123456").is(200, "")
}

// unfinishedIsDiscarded: the seed's literal rule, GUICHET_UNFINISHED=discard. A
// page load removes a creation that waits; the timer and a refresh are left alone.
func (s *scene) unfinishedIsDiscarded() {
	s.end()
	s.process = s.start(s.db.Open(), true)
	before := s.picture()
	q := s.asked()
	if swept, err := s.desk.Sweep(s.t.Context(), ""); err != nil || swept != (bank.Swept{}) {
		s.t.Errorf("the timer swept %+v, %v", swept, err)
	}
	s.over(before) // it loads a page
	s.call("POST", s.answerURL(q), answering("123456")).is(409, "question_over")
	s.refreshing()
	q = s.asked()
	if _, question := s.standing(); question != q.text("attempt.challenge.id") {
		s.t.Error("the question of a refresh went with a page load")
	}
	s.code("123456").is(200, "")
}

type fetchedPage struct{ body, location string }

func fetched(t *testing.T, client *http.Client, method, address string, form url.Values) fetchedPage {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fetchedPage{string(page), answer.Header.Get("Location")}
}
