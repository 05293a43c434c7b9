package main

import (
	"database/sql"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet"
	simdatapass "guichet/sim/datapass"
	"guichet/store"
	"guichet/store/storetest"
)

// How long another program holds the lock; at least until each delivery was
// refused once, whatever this says. Nearly all of it is waiting: the test runs
// beside others.
var lockedFor = flag.Duration("locked", time.Minute, "how long TestLockedDatabase holds the lock at least")

// Another program holds what a delivery needs: all of SQLite, or the row of one
// request on PostgreSQL. Each delivery is refused with 503 within a bound, none is
// lost, tokens are checked all the while; on PostgreSQL other requests go on.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	program := built(t)
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: t.TempDir()}
		s.start()
		defer s.kill()
		const many = 60 // more than there are connections to PostgreSQL
		if status, _ := s.timed(delivery("approve", 1_777_880_000, 0)); status != http.StatusOK {
			t.Fatal(status)
		}
		release := hold(t, db)
		begin := time.Now()
		var all sync.WaitGroup
		var slowest, refusals atomic.Int64
		onceRefused := make(chan struct{}, many)
		for i := range many {
			all.Go(func() {
				id := 0 // on PostgreSQL all are about the request that is held
				if db.Engine() == store.SQLite {
					id = i
				}
				body, first := delivery("update", 1_777_880_001+i, id), true
				for {
					sent := time.Now()
					status, _ := s.timed(body)
					if took := time.Since(sent).Microseconds(); took > slowest.Load() {
						slowest.Store(took)
					}
					if status != http.StatusOK && status != http.StatusServiceUnavailable {
						t.Errorf("delivery %d: %d", i, status)
					}
					if first {
						first = false
						if status == http.StatusOK {
							t.Errorf("delivery %d was taken while the lock was held", i)
						}
						onceRefused <- struct{}{}
					}
					if status == http.StatusOK {
						return
					}
					refusals.Add(1)
				}
			})
		}
		others := 0
		for refused := 0; refused < many || time.Since(begin) < *lockedFor; {
			if db.Engine() == store.PostgreSQL {
				// others go on, one after the other
				others++
				if status, took := s.timed(delivery("approve", 1_777_880_000, 1000+others)); status != http.StatusOK || took > 5*time.Second {
					t.Fatalf("another request waits: %d after %s", status, took)
				}
			}
			select {
			case <-onceRefused:
				refused++
			case <-time.After(100 * time.Millisecond):
			}
			if status := s.alive(); status != http.StatusUnauthorized {
				t.Fatalf("/check of an unknown token: %d", status)
			}
		}
		held := time.Since(begin)
		memory := s.peak()
		release()
		all.Wait()
		t.Logf("held %s: %d refusals, the slowest answer after %s, %d others taken, at most %d MiB", held.Round(time.Second), refusals.Load(),
			(time.Duration(slowest.Load()) * time.Microsecond).Round(time.Millisecond), others, memory>>20)
		if held < *lockedFor {
			t.Errorf("held for %s only", held)
		}
		if slowest.Load() > (25 * time.Second).Microseconds() {
			t.Errorf("an answer took %d µs", slowest.Load())
		}
		if memory > 200<<20 {
			t.Errorf("%d MiB", memory>>20)
		}
		if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries WHERE event = 'update' AND effect IN ('applied', 'late')"); n != strconv.Itoa(many) {
			t.Errorf("%s of %d deliveries were kept", n, many)
		}
	})
}

// hold takes the lock as another program would.
func hold(t *testing.T, db *storetest.DB) (release func()) {
	t.Helper()
	driver, source, lock := "pgx", db.Source, "SELECT 1 FROM chains WHERE chain = 'api_entreprise/0' FOR UPDATE"
	if db.Engine() == store.SQLite {
		driver, source, lock = "sqlite", "file:"+strings.TrimPrefix(db.Source, "sqlite:")+"?_txlock=immediate&_pragma=busy_timeout(10000)", "DELETE FROM job_slots WHERE 1 = 0"
	}
	raw, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := raw.Begin()
	if err == nil {
		_, err = holder.Exec(lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := holder.Rollback(); err != nil {
			t.Error(err)
		}
		_ = raw.Close()
	}
}

// timed delivers once, and tells how long the answer took.
func (s *storm) timed(body string) (status int, took time.Duration) {
	begin := time.Now()
	status, _ = s.post("/api/datapass/v2/api_entreprise/webhook", body, http.Header{
		"X-Hub-Signature-256": {simdatapass.Sign(guichet.Secret("storm"), []byte(body))},
	})
	return status, time.Since(begin)
}

// alive asks about a token that nobody issued: an answer means that tokens are checked.
func (s *storm) alive() int {
	response, err := http.Get("http://" + s.address + "/check")
	if err != nil {
		s.t.Error(err)
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

// peak is the most memory the server ever had.
func (s *storm) peak() (bytes int64) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.server.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		s.t.Fatal(err)
	}
	return bytes << 10
}

// The file of the database may not grow any more, as on a full disk: deliveries
// are refused with 503, the server lives, and what was answered is kept. With room
// again, everything goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	program := built(t)
	db := storetest.New(t, store.SQLite)
	s := &storm{t: t, program: program, address: freeAddress(t), db: db, folder: t.TempDir()}
	s.start()
	s.limit(2 << 20)
	answered, refused := 0, 0
	padding := strings.Repeat("é", 20_000)
	for i := 0; refused < 20; i++ {
		body := strings.Replace(delivery("approve", 1_777_880_000, i), "Marchés", "Marchés"+padding, 1)
		switch status, _ := s.timed(body); status {
		case http.StatusOK:
			answered++
		case http.StatusServiceUnavailable:
			refused++
		default:
			t.Fatalf("delivery %d: %d", i, status)
		}
	}
	if status := s.alive(); status != http.StatusUnauthorized || answered == 0 {
		t.Errorf("/check: %d, after %d deliveries", status, answered)
	}
	s.limit(1 << 40)
	if status, _ := s.timed(delivery("revoke", 1_777_880_001, 0)); status != http.StatusOK {
		t.Errorf("with room again: %d", status)
	}
	if n := db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries"); n != strconv.Itoa(answered+1) {
		t.Errorf("%d were answered, %s are kept", answered+1, n)
	}
	s.kill()
}

// limit is ulimit -f for the server that runs.
func (s *storm) limit(bytes uint64) {
	s.t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.server.Process.Pid), fmt.Sprintf("--fsize=%d:unlimited", bytes)).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}
