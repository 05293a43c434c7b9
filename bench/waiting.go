package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	waitingQuestions = 10_000
	waitingPeople    = 20
	afterSweep       = 17 * time.Second // the sweeper comes every 15 s
)

// waiting opens ten thousand accesses at a bank that asks each for a code, takes
// the server away without a word, and looks at the one that comes after it.
func (b bench) waiting() error {
	empty, err := b.openCounter(waitingPeople, unwatched)
	if err != nil {
		return err
	}
	defer empty.close()
	if _, err := empty.openMany(64, 32, "otp", 60); err != nil { // its caches are warm too
		return err
	}
	full, err := b.openCounter(waitingPeople, unwatched)
	if err != nil {
		return err
	}
	defer full.close()
	began := time.Now()
	all, err := full.openMany(waitingQuestions, 48, "otp", 60)
	if err != nil {
		return err
	}
	made := time.Since(began)
	for _, c := range []*counter{empty, full} {
		c.kill()
	}
	smaller, err := disk(empty.folder)
	if err != nil {
		return err
	}
	larger, err := disk(full.folder)
	if err != nil {
		return err
	}
	seen := full.site.Counters("")
	if err := empty.start(); err != nil {
		return err
	}
	began = time.Now()
	if err := full.start(); err != nil {
		return err
	}
	ready := time.Since(began)
	b.wait(afterSweep)
	emptyNow, _ := empty.memory()
	fullNow, _ := full.memory()
	waiting, err := full.countWaiting()
	if err != nil {
		return err
	}
	emptyRead, _ := empty.memory()
	if _, err := empty.countWaiting(); err != nil {
		return err
	}
	fullRead, fullMost := full.memory()
	if again := full.site.Counters(""); again != seen {
		return fmt.Errorf("the bank was spoken to: %+v, then %+v", seen, again)
	}
	one := all[waitingQuestions/2]
	_, status, err := full.call(b.ctx, waitingQuestions/2%waitingPeople, http.MethodPost, "/api/challenges/"+one.Attempt.Challenge.ID+"/answer?wait=60",
		map[string]any{"fields": map[string]string{"code": "123456"}})
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("an answer after the restart: %d, %w", status, err)
	}
	each := float64(larger-smaller) / (waitingQuestions - 64) / 1024
	fmt.Printf("%d questions that wait, after a SIGKILL\n", waitingQuestions)
	fmt.Printf("  asked in %.0f s; the server after them was ready in %.2f s (at most 3)\n", made.Seconds(), ready.Seconds())
	fmt.Printf("  %d stand, %d codes were sent, none again; one was answered: %d\n", waiting, seen.CodesSent, status)
	fmt.Printf("  memory %.0f MiB, one with 64 questions %.0f: %.0f more (at most 20); all of them read: %.0f, at the most %.0f (at most 150; the other one %.0f)\n",
		fullNow, emptyNow, fullNow-emptyNow, fullRead, fullMost, emptyRead)
	fmt.Printf("  disk %.2f KiB each (at most 4), audit included\n\n", each)
	return nil
}

func unwatched(h http.Handler) http.Handler { return h }

// countWaiting reads everything of everyone and counts the questions that stand.
func (c *counter) countWaiting() (n int, err error) {
	for person := range c.people {
		said, _, err := c.call(c.b.ctx, person, http.MethodGet, "/api/all", nil)
		if err != nil {
			return n, err
		}
		n += strings.Count(string(said), `"method":"otp_sent"`)
	}
	return n, nil
}

// resume measures our part of a resume: from the moment a client sends its answer
// until the bank is called with it. The code is wrong, so that nothing but that is
// done; the next answer is sent when the last one came back.
func (b bench) resume() error {
	const answers = 1000
	reached := make(chan time.Time, 1)
	c, err := b.openCounter(waitingPeople, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/otp" {
				reached <- time.Now()
			}
			h.ServeHTTP(w, r)
		})
	})
	if err != nil {
		return err
	}
	defer c.close()
	base, err := b.reference("commit-each")
	if err != nil {
		return err
	}
	defer base.stop()
	all, err := c.openMany(answers, 48, "otp", 60)
	if err != nil {
		return err
	}
	ours, commits := make([]time.Duration, 0, answers), make([]time.Duration, 0, answers)
	client := newClient(1)
	for i, o := range all {
		sent := time.Now()
		if err := send(b.ctx, client, base.address, deliveries(i, 1)[0], http.StatusOK); err != nil {
			return err
		}
		commits = append(commits, time.Since(sent))
		sent = time.Now()
		_, status, err := c.call(b.ctx, i%waitingPeople, http.MethodPost, "/api/challenges/"+o.Attempt.Challenge.ID+"/answer?wait=60",
			map[string]any{"fields": map[string]string{"code": "000000"}})
		if err != nil || status != http.StatusUnprocessableEntity {
			return fmt.Errorf("a wrong code: %d, %w", status, err)
		}
		ours = append(ours, (<-reached).Sub(sent))
	}
	r, ref := summary(ours, 0), summary(commits, 0)
	fmt.Printf("Our part of a resume: from the answer a client sends until the bank is called, %d answers one after the other\n", answers)
	fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms\n", "verify + one commit, answered (reference)", ms(ref.p50), ms(ref.p99))
	fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms   ratio %.2f (at most 5 ms p99)\n\n", "guichet: answer → the bank's server", ms(r.p50), ms(r.p99), float64(r.p50)/float64(ref.p50))
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// progress measures reads while two hundred attempts are at a bank that does not
// answer, then how long after a cancel the bank sees nobody any more.
func (b bench) progress() error {
	const attempts, reads, cancels = 200, 2000, 50
	var inside atomic.Int64
	left := make(chan time.Time, attempts)
	c, err := b.openCounter(4, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside.Add(1)
			defer inside.Add(-1)
			h.ServeHTTP(w, r)
			if r.Context().Err() != nil { // whoever asked has gone
				left <- time.Now()
			}
		})
	})
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.openMany(4, 4, "simple", 60); err != nil { // each has accounts to be shown
		return err
	}
	quiet, err := c.readAll(reads)
	if err != nil {
		return err
	}
	all, err := c.openMany(attempts, 32, "hang", 0)
	if err != nil {
		return err
	}
	for began := time.Now(); inside.Load() < attempts; b.wait(10 * time.Millisecond) {
		if time.Since(began) > time.Minute || b.ctx.Err() != nil {
			return fmt.Errorf("%d attempts are at the bank", inside.Load())
		}
	}
	cpu := c.cpu()
	began := time.Now()
	b.wait(3 * time.Second)
	idle := float64(c.cpu()-cpu) / float64(time.Since(began))
	busy, err := c.readAll(reads)
	if err != nil {
		return err
	}
	var gone []time.Duration
	for i, o := range all[:cancels] {
		sent := time.Now()
		if _, status, err := c.call(b.ctx, i%4, http.MethodPost, "/api/attempts/"+o.Attempt.ID+"/cancel", nil); err != nil || status != http.StatusOK {
			return fmt.Errorf("a cancel: %d, %w", status, err)
		}
		gone = append(gone, (<-left).Sub(sent))
	}
	slices.Sort(gone)
	fmt.Printf("%d attempts at once at a bank that does not answer\n", attempts)
	fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms\n", "GET /api/all with none (reference)", ms(quiet.p50), ms(quiet.p99))
	fmt.Printf("  %-46s p50 %7.2f ms   p99 %7.2f ms   ratio %.2f (at most 50 ms p99)\n", "GET /api/all meanwhile", ms(busy.p50), ms(busy.p99), float64(busy.p99)/float64(quiet.p99))
	fmt.Printf("  their heartbeats take %.0f %% of one processor\n", idle*100)
	fmt.Printf("  cancel: the bank is left after p50 %.1f ms, at the most %.1f ms (at most 1000)\n\n", ms(gone[len(gone)/2]), ms(gone[len(gone)-1]))
	return nil
}

// readAll reads everything of four people, over four connections.
func (c *counter) readAll(n int) (result, error) {
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(c.b.ctx)
	for person := range c.people {
		group.Go(func() error {
			for i := next.Add(1) - 1; int(i) < n; i = next.Add(1) - 1 {
				sent := time.Now()
				said, status, err := c.call(ctx, person, http.MethodGet, "/api/all", nil)
				if err != nil || status != http.StatusOK || !json.Valid(said) {
					return fmt.Errorf("GET /api/all: %d, %w", status, err)
				}
				latencies[i] = time.Since(sent)
			}
			return nil
		})
	}
	err := group.Wait()
	return summary(latencies, 0), err
}
