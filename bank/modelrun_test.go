package bank_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"guichet"
	"guichet/bank"
	"guichet/store"
	"guichet/store/storetest"
)

// A modelWorld is the real thing beside its model.
type modelWorld struct {
	*rapid.T
	m        model
	db       *storetest.DB
	sealer   bank.Sealer
	person   guichet.Actor
	login    string
	replicas []*replica
	dead     []*replica
	arrived  chan *call
	pending  []*call
	access   guichet.ID
	attempt  guichet.ID
	seen     *reached
	steps    int
}

var modelPersons atomic.Int64

// reached counts what the runs of the test came to, so that a model which never
// gets anywhere is noticed.
type reached struct {
	mu sync.Mutex
	n  map[string]int
}

// all fails the test when something was never come to that a run of the test comes
// to a dozen times and more.
func (r *reached) all(t *testing.T) {
	t.Helper()
	t.Log(r.n)
	want := []string{
		"a second question", "a zombie lands", "sent again", "asks for a code, of an answer", "rejects the answer, of an answer", "gives its data",
		"is down", "says it is too late", "refuses the password", "(the connector dies)", "attempt queued", "attempt running", "attempt waiting",
		"attempt succeeded", "attempt failed", "attempt cancelled", "attempt expired", "question open", "question answering", "question cancelled",
		"question expired", "question declined", "refused: changed_meanwhile", "refused: field_invalid",
	}
	for _, what := range want {
		if r.n[what] == 0 {
			t.Errorf("never: %s", what)
		}
	}
}

func (r *reached) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[what]++
}

// TestModel plays anything that can happen to an access, in any order, on two
// processes, and compares what is stored with the model after each step. No
// heartbeat comes and no job is done by itself: leases end when the clock is moved,
// and workers come when the test sends them, so that a run can be played again.
func TestModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		sealer := testSealer(t)
		seen := &reached{n: map[string]int{}}
		rapid.Check(t, func(rt *rapid.T) {
			n := modelPersons.Add(1)
			w := &modelWorld{
				T: rt, db: db, sealer: sealer, login: fmt.Sprintf("someone-%d", n), arrived: make(chan *call, 100), seen: seen,
				person: guichet.Actor{Kind: guichet.ByPerson, ID: db.Clock.Clock().NewID(), Name: "someone@example.org"},
			}
			defer w.close()
			for range 2 {
				w.replicas = append(w.replicas, w.replica())
			}
			rt.Repeat(map[string]func(*rapid.T){
				"":     func(t *rapid.T) { w.T = t; w.compare() },
				"step": func(t *rapid.T) { w.T = t; w.step() },
			})
		})
		seen.all(t)
	})
}

// step does one thing: often what leads on from here, sometimes anything.
func (w *modelWorld) step() {
	w.Helper()
	question, queued := w.m.attempt != nil && w.m.attempt.question != nil, w.m.live() && w.m.attempt.state == bank.AttemptQueued
	open := question && w.m.live() && w.m.attempt.question.status == bank.StatusOpen
	often := func(yes bool) int { return map[bool]int{true: 8}[yes] }
	// Somebody is believed dead who may still speak to the bank.
	suspect := w.m.live() && w.m.attempt.call != nil && !w.now().Before(w.m.attempt.lease)
	w.draw([]command{
		{"start", 1 + often(!w.m.live()), (*modelWorld).start},
		{"work", 1 + often(queued || open && w.m.attempt.question.phone), (*modelWorld).work},
		{"bank", often(len(w.pending) > 0), (*modelWorld).bankSays},
		{"answer", map[bool]int{true: 1}[question] + often(open), (*modelWorld).answer},
		{"cancel", 1, (*modelWorld).cancel},
		{"discard", 1, (*modelWorld).discard},
		{"reload", 2, (*modelWorld).reload},
		{"sweep", 2 + often(suspect), (*modelWorld).sweep},
		{"wait", 2 + often(!suspect && w.m.live() && w.m.attempt.call != nil)/2, (*modelWorld).wait},
		{"crash", 1, (*modelWorld).crash},
		{"night", map[bool]int{true: 1}[!w.m.live()] + often(w.m.opened && !w.m.live()), (*modelWorld).night},
	})
}

type command struct {
	name   string
	weight int
	do     func(*modelWorld, *replica)
}

// draw does one of the commands, on one of the processes.
func (w *modelWorld) draw(commands []command) {
	w.Helper()
	var names []string
	by := map[string]func(*modelWorld, *replica){}
	for _, c := range commands {
		by[c.name] = c.do
		for range c.weight {
			names = append(names, c.name)
		}
	}
	by[rapid.SampledFrom(names).Draw(w.T, "command")](w, w.replicas[rapid.IntRange(0, len(w.replicas)-1).Draw(w.T, "process")])
}

func (w *modelWorld) replica() *replica {
	r := &replica{w: w, updates: make(chan struct{}, 1000)}
	r.Desk = &bank.Desk{
		Store: heard{w.db.Bank(), r.updates}, Clock: w.db.Clock.Clock(), Sealer: w.sealer, Connectors: map[string]bank.Connector{"fake": r},
		Log: slog.New(slog.DiscardHandler), Limits: bank.Limits{Beat: time.Hour, Grace: 10 * time.Second, History: 100_000 * time.Hour},
	}
	return r
}

// close ends what a run of the test left, so that the next one has the database
// for itself.
func (w *modelWorld) close() {
	for _, r := range append(w.replicas, w.dead...) {
		if err := r.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	}
	if w.access == "" {
		return
	}
	if err := w.replicas[0].Delete(context.Background(), w.person, w.access); err != nil && !errors.Is(err, bank.ErrNoAccess) {
		w.Error(err)
	}
}

func (w *modelWorld) now() time.Time { return w.db.Clock.Now() }

// comes waits for a worker of ours at the bank.
func (w *modelWorld) comes(r *replica) {
	w.Helper()
	select {
	case c := <-w.arrived:
		if c.at != r {
			w.Fatalf("another process went to the bank")
		}
		c.attempt = w.attempt
		w.stopped(r, w.attempt) // an earlier run of this process, which had lost its lease
		w.pending = append(w.pending, c)
		w.m.attempt.call = c
	case <-time.After(20 * time.Second):
		w.Fatalf("nobody came to the bank")
	}
}

// stopped waits for the connector that a verb of this process must have stopped.
func (w *modelWorld) stopped(r *replica, attempt guichet.ID) {
	w.Helper()
	for i, c := range slices.Backward(w.pending) {
		if c.at == r && c.attempt == attempt {
			select {
			case <-c.left:
			case <-time.After(5 * time.Second): // I12
				w.Fatalf("the connector of an attempt that ended is still at the bank")
			}
			w.pending = slices.Delete(w.pending, i, i+1)
			return
		}
	}
}

func (w *modelWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v", err)
	}
}

func (w *modelWorld) start(r *replica) {
	opens := !w.m.access || !w.m.opened
	want := w.m.start(w.now())
	var c bank.Case
	var started bool
	var err error
	if opens {
		c, started, err = r.Open(context.Background(), w.person, bank.Opening{Institution: "fake", Fields: form(w.login)})
	} else {
		c, started, err = r.Fetch(context.Background(), w.person, bank.Refresh{Access: w.access, Purpose: bank.RefreshAccounts})
	}
	w.must(err)
	if started != want {
		w.Fatalf("started %v, want %v", started, want)
	}
	if started {
		w.access, w.attempt = c.Access.ID, c.Attempt.ID
	} else if c.Attempt.ID != w.attempt {
		w.Fatalf("another attempt")
	}
}

func (w *modelWorld) work(r *replica) {
	if w.attempt == "" {
		return
	}
	goes := w.m.work(w.now())
	w.must(r.Perform(context.Background(), w.attempt))
	if goes {
		w.comes(r)
	}
}

// bankSays lets one of the runs at the bank hear something: the one whose attempt
// it is, or a zombie, of which nothing may come.
func (w *modelWorld) bankSays(*replica) {
	if len(w.pending) == 0 {
		return
	}
	c := w.pending[rapid.IntRange(0, len(w.pending)-1).Draw(w.T, "run")]
	likely := verdicts
	if c.run.Answer != nil {
		likely = append(slices.Clone(verdicts), bankRejects, bankRejects, bankRejects, bankIsDown, phoneSaysNo, bankIsTooLate)
	}
	v := rapid.SampledFrom(likely).Draw(w.T, "the bank")
	current := w.m.live() && w.m.attempt.call == c
	before := ""
	if !current {
		before = w.rows()
	}
	for len(c.at.updates) > 0 {
		<-c.at.updates
	}
	if current {
		w.seen.note(string(v))
		if c.run.Answer != nil {
			w.seen.note(string(v) + ", of an answer")
		}
		w.m.hears(v, w.now())
	} else {
		w.seen.note("a zombie lands")
	}
	c.says <- v
	select {
	case <-c.at.updates:
	case <-time.After(20 * time.Second):
		w.Fatalf("the run did not land")
	}
	w.pending = slices.DeleteFunc(w.pending, func(other *call) bool { return other == c })
	if current {
		return
	}
	if after := w.rows(); after != before {
		w.Fatalf("a run whose epoch is old wrote something:\n%s\nbefore:\n%s", after, before) // I13
	}
}

// rows is all that a run could write.
func (w *modelWorld) rows() string {
	var all []string
	for _, query := range []string{
		"SELECT id || ' ' || CAST(version AS TEXT) FROM accesses ORDER BY id", "SELECT id || ' ' || CAST(version AS TEXT) || state FROM attempts ORDER BY id",
		"SELECT id || ' ' || CAST(version AS TEXT) || status FROM challenges ORDER BY id", "SELECT CAST(COUNT(*) AS TEXT) FROM audit_entries",
		"SELECT CAST(COUNT(*) AS TEXT) FROM accounts", "SELECT CAST(COUNT(*) AS TEXT) FROM transactions",
	} {
		all = append(all, w.db.Column(query)...)
	}
	return strings.Join(all, "\n")
}

func (w *modelWorld) answer(r *replica) {
	if w.m.attempt == nil || w.m.attempt.question == nil {
		return
	}
	c, err := r.Store.Case(context.Background(), bank.Ref{Attempt: w.attempt})
	w.must(err)
	reply := bank.Reply{
		Challenge: c.Challenge.ID, Resend: rapid.IntRange(0, 4).Draw(w.T, "resend") == 0,
		Key: rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(w.T, "key"), Version: c.Challenge.Version,
	}
	stale := rapid.IntRange(0, 4).Draw(w.T, "stale") == 0 // the other tab
	if stale {
		reply.Version += 100
	}
	misspelt := rapid.IntRange(0, 4).Draw(w.T, "misspelt") == 0
	if !reply.Resend {
		reply.Fields = code(canaryCode)
		if misspelt {
			reply.Fields = code("12345")
		}
	}
	goes, refusal := w.m.answer(w.now(), reply.Key, stale, misspelt, reply.Resend)
	_, err = r.Answer(context.Background(), w.person, reply)
	w.seen.note("refused: " + refusal)
	if got := guichet.CodeOf(err); err != nil && got != refusal || err == nil && refusal != "" {
		w.Fatalf("answered: %v, want %q", err, refusal)
	}
	if goes {
		w.comes(r)
		if typed := w.pending[len(w.pending)-1].run.Answer; typed.Resend != reply.Resend || !typed.Resend && typed.Fields["code"] != canaryCode {
			w.Fatalf("the bank heard %+v", typed)
		}
	}
}

func (w *modelWorld) cancel(r *replica) {
	if w.attempt == "" {
		return
	}
	w.m.cancel(w.now())
	_, err := r.Cancel(context.Background(), w.person, w.attempt)
	w.must(err)
	w.stopped(r, w.attempt)
}

func (w *modelWorld) discard(r *replica) {
	if w.access == "" {
		return
	}
	want := ""
	switch {
	case !w.m.access:
		want = "unknown_access"
	case w.m.opened:
		want = "access_has_accounts"
	default:
		w.m.cancel(w.now())
	}
	err := r.Discard(context.Background(), w.person, w.access)
	if got := guichet.CodeOf(err); err != nil && got != want || err == nil && want != "" {
		w.Fatalf("discarded: %v, want %q", err, want)
	}
	if want == "" {
		w.stopped(r, w.attempt)
	}
}

// reload is a page load, which puts right and never destroys what can be answered.
func (w *modelWorld) reload(r *replica) {
	was := w.m.live()
	w.m.sweep(w.now())
	o, err := r.Overview(context.Background(), w.person)
	w.must(err)
	if was && !w.m.live() {
		w.stopped(r, w.attempt)
	}
	if shown := len(o.Cases); shown != 0 && !w.m.access || shown != 1 && w.m.access {
		w.Fatalf("%d accesses are shown, model %v", shown, w.m.access)
	}
}

func (w *modelWorld) sweep(r *replica) {
	was := w.m.live()
	w.m.sweep(w.now())
	_, err := r.Sweep(context.Background(), "")
	w.must(err)
	if was && !w.m.live() {
		w.stopped(r, w.attempt)
	}
}

func (w *modelWorld) wait(*replica) {
	w.db.Clock.Advance(rapid.SampledFrom([]time.Duration{3100 * time.Millisecond, 11 * time.Second, 11 * time.Second, 11 * time.Second, 11 * time.Second, 301 * time.Second}).Draw(w.T, "time"))
}

// crash is the death of a process. What it had at the bank may still hear
// something: to us it is a zombie, of a machine that was only paused.
func (w *modelWorld) crash(r *replica) {
	w.dead = append(w.dead, r)
	w.replicas[slices.Index(w.replicas, r)] = w.replica()
}

// night comes two days later, so that whatever may be fetched is due.
func (w *modelWorld) night(r *replica) {
	w.db.Clock.Advance(50 * time.Hour)
	want := w.m.night(w.now())
	n, err := r.Poll(context.Background())
	w.must(err)
	if n != want {
		w.Fatalf("the night started %d, want %d", n, want)
	}
	if n == 1 {
		w.seen.note("a night")
		c, err := r.Access(context.Background(), w.person, w.access)
		w.must(err)
		w.attempt = c.Attempt.ID
	}
}

// modelView is what is compared.
type modelView struct {
	Access, Opened            bool
	Pause                     bank.Pause
	State                     bank.AttemptState
	Status                    bank.ChallengeStatus
	Seq, Used, Resends, Calls int
	Money                     string
}

func (w *modelWorld) compare() {
	w.Helper()
	// I10, I11 and the other invariants. They are the same text on both engines, and
	// each costs a journey to PostgreSQL: there, at every fourth step.
	if w.steps++; w.db.Engine() == store.SQLite || w.steps%4 == 0 {
		broken, err := w.db.Check(context.Background())
		w.must(err)
		if len(broken) > 0 {
			w.Fatalf("broken: %v", broken)
		}
	}
	want := modelView{Access: w.m.access, Opened: w.m.opened, Calls: len(w.pending), Money: "0 0"}
	if w.m.access {
		want.Pause = w.m.pause
	}
	if w.m.opened {
		want.Money = "1 3" // I14: all of it, once, however often it came
	}
	if a := w.m.attempt; a != nil {
		want.State = a.state
		if q := a.question; q != nil {
			want.Status, want.Seq, want.Used, want.Resends = q.status, q.seq, q.used, q.resends
		}
	}
	got := modelView{Calls: len(w.pending) + len(w.arrived)} // I23: nobody went to the bank unasked
	if w.attempt != "" {
		c, err := w.replicas[0].Store.Case(context.Background(), bank.Ref{Attempt: w.attempt})
		w.must(err)
		got.State, got.Access, got.Opened, got.Pause = c.Attempt.State, c.Access.ID != "", c.Access.HasAccounts, c.Access.Pause
		got.Status, got.Seq, got.Used, got.Resends = c.Challenge.Status, c.Challenge.Seq, c.Challenge.Used, c.Challenge.Resends
	}
	w.seen.note("attempt " + string(got.State))
	w.seen.note("question " + string(got.Status))
	if got.Used == 2 && got.Status == bank.StatusFailed {
		w.seen.note("no tries left")
	}
	if got.Resends > 0 {
		w.seen.note("sent again")
	}
	if got.Seq > 1 {
		w.seen.note("a second question")
	}
	accounts, err := w.replicas[0].Store.Accounts(context.Background(), bank.AccountFilter{Owner: w.person.ID})
	w.must(err)
	transactions := 0
	for _, a := range accounts {
		list, err := w.replicas[0].Store.Transactions(context.Background(), bank.TransactionFilter{Account: a.ID, Limit: 100})
		w.must(err)
		transactions += len(list)
	}
	got.Money = fmt.Sprint(len(accounts), " ", transactions)
	if diff := cmp.Diff(want, got); diff != "" {
		w.Fatalf("model and rows differ:\n%s", diff)
	}
}
