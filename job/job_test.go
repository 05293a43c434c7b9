package job_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"guichet"
	"guichet/grant"
	"guichet/job"
	"guichet/store"
	"guichet/store/storetest"
)

// TestMain lets the test program be a worker of its own, to be killed.
func TestMain(m *testing.M) {
	if source := os.Getenv("JOB_TEST_WORKER"); source != "" {
		worker(source)
		return
	}
	os.Exit(m.Run())
}

// worker takes jobs, says so, and never ends one.
func worker(source string) {
	s, err := store.Open(context.Background(), source, store.Options{Clock: guichet.SystemClock()})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	(&job.Runner{
		Store: s.Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Lease: 300 * time.Millisecond,
		Handlers: map[string]job.Handler{"work": func(_ context.Context, c job.Claimed) error {
			fmt.Println("claimed", c.Key, c.Attempt)
			select {}
		}},
	}).Run(context.Background())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func enqueue(t testing.TB, db *storetest.DB, jobs ...guichet.Job) {
	t.Helper()
	err := db.Grant().Update(t.Context(), func(tx grant.Tx) error {
		for _, j := range jobs {
			if err := tx.Enqueue(j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func work(n int) []guichet.Job {
	jobs := make([]guichet.Job, n)
	for i := range jobs {
		jobs[i] = guichet.Job{Kind: "work", Key: fmt.Sprint(i), Args: []byte("{}")}
	}
	return jobs
}

// start runs a runner until the test ends.
func start(t testing.TB, r *job.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func left(db *storetest.DB) string {
	return db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs")
}

// Several workers of two processes do each job once.
func TestSeveralWorkers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const n = 200
		var mu sync.Mutex
		done := map[string]int{}
		all := make(chan struct{})
		handler := func(_ context.Context, c job.Claimed) error {
			mu.Lock()
			defer mu.Unlock()
			if done[c.Key]++; len(done) == n && done[c.Key] == 1 {
				close(all)
			}
			return nil
		}
		enqueue(t, db, work(n)...)
		var stops []func()
		for range 4 {
			stops = append(stops, start(t, &job.Runner{
				Store: db.Open().Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Poll: 5 * time.Millisecond, Workers: 3,
				Handlers: map[string]job.Handler{"work": handler},
			}))
		}
		<-all
		for _, stop := range stops {
			stop()
		}
		for key, times := range done {
			if times != 1 {
				t.Errorf("job %s was done %d times", key, times)
			}
		}
		if n := left(db); n != "0" {
			t.Errorf("%s jobs are left", n)
		}
	})
}

// A worker killed with SIGKILL in the middle of its jobs loses none: another one
// does them when the leases are over.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		enqueue(t, db, work(4)...)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "JOB_TEST_WORKER="+db.Source)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		claimed := map[string]bool{}
		for lines := bufio.NewScanner(out); len(claimed) < 4 && lines.Scan(); {
			if fields := strings.Fields(lines.Text()); fields[0] == "claimed" {
				claimed[fields[1]] = true
			}
		}
		if err := cmd.Process.Kill(); err != nil || len(claimed) != 4 {
			t.Fatalf("the worker had %d jobs when it was killed: %v", len(claimed), err)
		}
		_ = cmd.Wait()
		again := make(chan job.Claimed, 16)
		start(t, &job.Runner{
			Store: db.Open().Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Poll: 5 * time.Millisecond,
			Handlers: map[string]job.Handler{"work": func(_ context.Context, c job.Claimed) error { again <- c; return nil }},
		})
		for range 4 {
			c := <-again
			if !claimed[c.Key] || c.Attempt != 2 {
				t.Errorf("job %s, attempt %d", c.Key, c.Attempt)
			}
			delete(claimed, c.Key)
		}
	})
}

// A worker that was paused longer than its lease says things about a job that is
// no longer its own: they have no effect.
func TestFence(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, jobs := t.Context(), db.Jobs()
		enqueue(t, db, work(1)...)
		claim := func(worker string) job.Claimed {
			now := db.Clock.Now()
			c, err := jobs.Claim(ctx, worker, now, now.Add(time.Second), 5, nil)
			if err != nil || len(c) != 1 {
				t.Fatalf("%s claimed %v, %v", worker, c, err)
			}
			return c[0]
		}
		old := claim("old")
		if c, err := jobs.Claim(ctx, "other", db.Clock.Now(), db.Clock.Now(), 5, nil); err != nil || len(c) != 0 {
			t.Fatalf("a job that runs was claimed again: %v, %v", c, err)
		}
		db.Clock.Advance(2 * time.Second)
		if n, err := jobs.Free(ctx, db.Clock.Now()); err != nil || n != 1 {
			t.Fatalf("freed %d, %v", n, err)
		}
		fresh := claim("new")
		for name, say := range map[string]func() (bool, error){
			"extend": func() (bool, error) { return jobs.Extend(ctx, old, db.Clock.Now()) },
			"finish": func() (bool, error) { return jobs.Finish(ctx, old) },
			"retry":  func() (bool, error) { return jobs.Retry(ctx, old, db.Clock.Now(), "x", true) },
		} {
			if mine, err := say(); mine || err != nil {
				t.Errorf("%s by a worker that lost its lease: %v, %v", name, mine, err)
			}
		}
		if mine, err := jobs.Finish(ctx, fresh); !mine || err != nil {
			t.Errorf("finish: %v, %v", mine, err)
		}
	})
}

// A failure comes back later, for a while, then waits for a person; a panic is a
// failure; a permanent one is not tried again.
func TestRetries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		enqueue(t, db,
			guichet.Job{Kind: "fails", Key: "1", Args: []byte("{}"), MaxAttempts: 3},
			guichet.Job{Kind: "panics", Key: "1", Args: []byte("{}"), MaxAttempts: 2},
			guichet.Job{Kind: "hopeless", Key: "1", Args: []byte("{}")},
			guichet.Job{Kind: "stranger", Key: "1", Args: []byte("{}"), MaxAttempts: 1},
		)
		tried := make(chan string, 100)
		start(t, &job.Runner{
			Store: db.Jobs(), Clock: db.Clock.Clock(), Log: quiet(), Poll: time.Millisecond,
			Lease: 1000 * time.Hour, // the clock is moved by hours while jobs run: none may seem dead
			Handlers: map[string]job.Handler{
				"fails":  func(context.Context, job.Claimed) error { tried <- "fails"; return errors.New("not now") },
				"panics": func(context.Context, job.Claimed) error { tried <- "panics"; panic("oh") },
				"hopeless": func(context.Context, job.Claimed) error {
					tried <- "hopeless"
					return job.Permanent(errors.New("never"))
				},
			},
		})
		count := map[string]int{}
		look := time.NewTicker(2 * time.Millisecond)
		defer look.Stop()
		for range 3 + 2 + 1 {
			count[<-tried]++
			for db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE state = 'running'") != "0" {
				<-look.C // until it is put off: an hour is counted from then
			}
			db.Clock.Advance(time.Hour)
		}
		if count["fails"] != 3 || count["panics"] != 2 || count["hopeless"] != 1 {
			t.Errorf("tried %v", count)
		}
	})
}

// A handler that runs when the program is asked to stop may end; nothing new is
// begun.
func TestStopIsGraceful(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		enqueue(t, db, work(2)...)
		began, end := make(chan string, 2), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		r := &job.Runner{
			Store: db.Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Workers: 1,
			Handlers: map[string]job.Handler{"work": func(ctx context.Context, c job.Claimed) error {
				began <- c.Key
				<-end
				return ctx.Err()
			}},
		}
		go func() { r.Run(ctx); close(ended) }()
		<-began
		cancel()
		close(end)
		<-ended
		if n := left(db); n != "1" || len(began) != 0 {
			t.Errorf("%s jobs are left, %d more were begun", n, len(began))
		}
	})
}

// A job is recorded with its transaction or not at all; one of the same key that
// waits stands for the second; a slot makes one job however many tick.
func TestEnqueue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		lost := errors.New("changed my mind")
		err := db.Grant().Update(t.Context(), func(tx grant.Tx) error {
			return errors.Join(tx.Enqueue(work(1)[0]), lost)
		})
		if !errors.Is(err, lost) || left(db) != "0" {
			t.Fatalf("%v, and %s jobs", err, left(db))
		}
		enqueue(t, db, work(1)...)
		enqueue(t, db, work(1)...)
		if left(db) != "1" {
			t.Errorf("%s jobs with one key", left(db))
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := db.Jobs().Tick(t.Context(), "2026-11-22", guichet.Job{Kind: "night", Key: "2026-11-22", Args: []byte("{}")}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE kind = 'night'"); n != "1" {
			t.Errorf("%s jobs of one night", n)
		}
	})
}

func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 100).Draw(t, "failures")
		d := job.Backoff(n, rapid.Int64Range(0, 1<<40).Draw(t, "jitter"))
		least := min(time.Hour, time.Second<<min(n, 20)) * 3 / 4
		if d < least || d > least*5/3+1 {
			t.Fatalf("after %d failures: %s", n, d)
		}
	})
}

// A kind that is full neither holds the workers of others nor hides what stands
// behind it, however much of it waits.
func TestLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		const held, free = 40, 20
		var jobs []guichet.Job
		for i := range held { // they come first
			jobs = append(jobs, guichet.Job{Kind: "slow", Key: fmt.Sprint(i), Args: []byte("{}"), RunAt: time.Unix(1, 0)})
		}
		for i := range free {
			jobs = append(jobs, guichet.Job{Kind: "quick", Key: fmt.Sprint(i), Args: []byte("{}"), RunAt: time.Unix(2, 0)})
		}
		enqueue(t, db, jobs...)
		release, quick, slow := make(chan struct{}), make(chan string, free), make(chan string, held)
		var mu sync.Mutex
		now, most := 0, 0
		start(t, &job.Runner{
			Store: db.Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Poll: 5 * time.Millisecond, Workers: 4, Limits: map[string]int{"slow": 2},
			Handlers: map[string]job.Handler{
				"slow": func(_ context.Context, c job.Claimed) error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					<-release
					mu.Lock()
					now--
					mu.Unlock()
					slow <- c.Key
					return nil
				},
				"quick": func(_ context.Context, c job.Claimed) error { quick <- c.Key; return nil },
			},
		})
		for range free {
			<-quick // while every slow one hangs
		}
		if n := len(slow); n != 0 {
			t.Errorf("%d slow ones ended", n)
		}
		close(release)
		for range held {
			<-slow
		}
		if most != 2 {
			t.Errorf("%d slow ones at once", most)
		}
	})
}

// A handler may say when it is tried again.
func TestLater(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		enqueue(t, db, work(1)...)
		began := time.Now()
		start(t, &job.Runner{
			Store: db.Jobs(), Clock: guichet.SystemClock(), Log: quiet(), Poll: 5 * time.Millisecond,
			Handlers: map[string]job.Handler{"work": func(context.Context, job.Claimed) error { return job.Later(errors.New("not now"), 40*time.Minute) }},
		})
		for state := ""; state != "ready not now"; {
			state = db.Value("SELECT state || ' ' || last_error FROM jobs")
		}
		if at, err := strconv.ParseInt(db.Value("SELECT CAST(run_at AS TEXT) FROM jobs"), 10, 64); err != nil || at < began.Add(40*time.Minute).UnixMicro() || at > began.Add(42*time.Minute).UnixMicro() {
			t.Errorf("again at %s, %v", time.UnixMicro(at), err)
		}
	})
}

// A job of several parts is tried again as long as that can mend any of them, when
// the most impatient asks; what is told is what all of them say.
func TestJoin(t *testing.T) {
	t.Parallel()
	plain, hopeless := errors.New("away"), job.Permanent(errors.New("refused"))
	later := func(minutes int) error { return job.Later(errors.New("busy"), time.Duration(minutes)*time.Minute) }
	for name, c := range map[string]struct {
		parts []error
		state string
		wait  time.Duration
		says  string
	}{
		"all done":               {[]error{nil, nil}, "", 0, ""},
		"one refused":            {[]error{nil, hopeless}, "dead", 0, "refused"},
		"both refused":           {[]error{hopeless, hopeless}, "dead", 0, "refused\nrefused"},
		"refused and away":       {[]error{hopeless, nil, plain}, "ready", 2 * time.Second, "away\nrefused"},
		"refused and busy":       {[]error{hopeless, later(40)}, "ready", 40 * time.Minute, "busy\nrefused"},
		"busy for long and less": {[]error{later(90), later(40), nil}, "ready", 40 * time.Minute, "busy\nbusy"},
		"busy and away":          {[]error{later(90), plain}, "ready", 2 * time.Second, "busy\naway"},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t, store.SQLite)
			enqueue(t, db, work(1)...)
			ended := make(chan struct{})
			stop := start(t, &job.Runner{
				Store: db.Jobs(), Clock: db.Clock.Clock(), Log: quiet(), Poll: time.Millisecond,
				Handlers: map[string]job.Handler{"work": func(context.Context, job.Claimed) error {
					defer close(ended)
					return job.Join(c.parts...)
				}},
			})
			<-ended
			stop()
			if c.state == "" {
				if n := left(db); n != "0" {
					t.Errorf("%s jobs are left", n)
				}
				return
			}
			if got := db.Value("SELECT state || ' ' || last_error FROM jobs"); got != c.state+" "+c.says {
				t.Errorf("%q", got)
			}
			at, err := strconv.ParseInt(db.Value("SELECT CAST(run_at AS TEXT) FROM jobs"), 10, 64)
			if wait := time.UnixMicro(at).Sub(db.Clock.Now()); err != nil || c.state == "ready" && (wait < c.wait*3/4 || wait > c.wait*5/4) {
				t.Errorf("again in %s, %v", wait, err)
			}
		})
	}
}
