package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"guichet"
	simbank "guichet/sim/bank"
)

// A counter is the real program before the simulated bank, with people who hold
// personal tokens. Its database survives it.
type counter struct {
	b      bench
	folder string
	site   *simbank.Site
	bank   *httptest.Server
	env    []string
	people []string // tokens
	client *http.Client
	*process
}

// openCounter starts a program on a new database, with so many people, before a
// bank that is watched by watch.
func (b bench) openCounter(people int, watch func(http.Handler) http.Handler) (*counter, error) {
	folder, err := os.MkdirTemp("", "guichet-bench-")
	if err != nil {
		return nil, err
	}
	c := &counter{b: b, folder: folder, site: simbank.New(guichet.SystemClock()), client: newClient(256)}
	c.bank = httptest.NewServer(watch(c.site))
	c.env = append(
		os.Environ(), "GUICHET_DATABASE=sqlite:"+folder+"/guichet.db", "GUICHET_KEY_FILE="+folder+"/guichet.key",
		"GUICHET_ADMIN_ADDR=127.0.0.1:0", "GUICHET_WINDOWS=bank", "GUICHET_SIM_BANK="+c.bank.URL)
	if err := c.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	secret := regexp.MustCompile(`"api_token": "([^"]+)"`)
	for i := range people {
		add := exec.CommandContext(b.ctx, b.program, "user", "add", "--email", fmt.Sprintf("p%d@guichet.test", i), "--password-stdin", "--api-token", "--json")
		add.Env, add.Stdin = c.env, strings.NewReader("une longue phrase de passe\n")
		out, err := add.Output()
		m := secret.FindSubmatch(out)
		if err != nil || m == nil {
			return nil, fmt.Errorf("user add: %w", err)
		}
		c.people = append(c.people, string(m[1]))
	}
	return c, nil
}

// start starts the program on the folder, and returns when it is ready.
func (c *counter) start() error {
	address, err := freePort()
	if err != nil {
		return err
	}
	c.process, err = start(c.b.ctx, func(line string) string {
		if strings.Contains(line, `"msg":"ready"`) {
			return address
		}
		return ""
	}, true, append(c.env[len(os.Environ()):], "GUICHET_ADDR="+address, "GUICHET_URL=http://"+address), c.b.program, "serve")
	return err
}

// kill takes the program away without a word; what it kept stays.
func (c *counter) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
	_ = os.RemoveAll(c.process.folder) // its own, which it did not use
	c.client.CloseIdleConnections()
}

func (c *counter) close() {
	c.stop()
	c.bank.CloseClientConnections()
	c.bank.Close()
	_ = os.RemoveAll(c.folder)
}

// call speaks to the JSON API in a person's name.
func (c *counter) call(ctx context.Context, person int, method, path string, body any) (said []byte, status int, err error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, 0, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, &b)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+c.people[person])
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	said, err = io.ReadAll(response.Body)
	return said, response.StatusCode, err
}

// An opened is what the API says of an attempt that waits.
type opened struct {
	Access  struct{ ID string }
	Attempt struct {
		ID, State string
		Challenge *struct{ ID string }
	}
}

// open opens an access of a story. With wait it returns once the bank has spoken.
func (c *counter) open(ctx context.Context, person int, login string, wait int) (o opened, err error) {
	said, status, err := c.call(ctx, person, http.MethodPost, fmt.Sprintf("/api/accesses?wait=%d", wait), map[string]any{
		"institution": "sim", "fields": map[string]string{"login": login, "password": "demonstration"},
	})
	if err != nil {
		return o, err
	}
	if status != http.StatusCreated {
		return o, fmt.Errorf("%s was not opened: %d %s", login, status, said)
	}
	return o, json.Unmarshal(said, &o)
}

// openMany opens accesses of a story, so many at once, over all people.
func (c *counter) openMany(n, atOnce int, story string, wait int) ([]opened, error) {
	all := make([]opened, n)
	group, ctx := errgroup.WithContext(c.b.ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() (err error) {
			all[i], err = c.open(ctx, i%len(c.people), fmt.Sprintf("%s-%d", story, i), wait)
			return err
		})
	}
	return all, group.Wait()
}

// memory is what the program holds now, and held at the most, in MiB.
func (p *process) memory() (now, most float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0 // not on this system
	}
	figure := func(name string) float64 {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
		if m == nil {
			return 0
		}
		kB, _ := strconv.ParseFloat(string(m[1]), 64)
		return kB / 1024
	}
	return figure("VmRSS"), figure("VmHWM")
}

// disk is how many bytes of a database are in use, its journal folded in.
func disk(folder string) (int64, error) {
	db, err := openReferenceFile(filepath.Join(folder, "guichet.db"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var pages, free, size int64
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return 0, err
	}
	for pragma, to := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := db.QueryRow("PRAGMA " + pragma).Scan(to); err != nil {
			return 0, err
		}
	}
	return (pages - free) * size, nil
}

func (b bench) wait(d time.Duration) {
	select {
	case <-b.ctx.Done():
	case <-time.After(d):
	}
}
