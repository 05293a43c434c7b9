package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite" of the references

	"guichet/keyring"
)

const secret = "bench-secret"

// reference is a server to compare with. It says where it listens, then serves.
func reference(kind, folder string) error {
	var h http.Handler
	switch kind {
	case "204": // read the body, answer 204
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	case "commit": // read, verify, keep the body durably in a shared commit, answer 200
		db, err := openReference(folder)
		if err != nil {
			return err
		}
		insert, err := db.Prepare("INSERT INTO kept (body) VALUES ($1)")
		if err != nil {
			return err
		}
		h = verified(grouped(db, []*sql.Stmt{insert}, func(body []byte) [][]any { return [][]any{{body}} }))
	case "rows": // read, verify, write the rows of an approval durably in a shared commit, answer 200
		keep, err := sameRows(folder)
		if err != nil {
			return err
		}
		h = verified(keep)
	case "commit-each": // the same, each in a commit of its own
		db, err := openReference(folder)
		if err != nil {
			return err
		}
		h = verified(func(body []byte) error {
			_, err := db.Exec("INSERT INTO kept (body) VALUES ($1)", body)
			return err
		})
	default:
		return fmt.Errorf("no reference %q", kind)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("address", l.Addr())
	return http.Serve(l, h) //nolint:gosec // a reference on this machine, for as long as a benchmark
}

func verified(keep func([]byte) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if _, ok := keyring.VerifyMAC([]keyring.Secret{secret}, r.Header.Values("X-Hub-Signature-256"), body); !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := keep(body); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
}

func openReference(folder string) (*sql.DB, error) {
	db, err := openReferenceFile(filepath.Join(folder, "reference.db"))
	if err != nil {
		return nil, err
	}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
	return db, err
}

func openReferenceFile(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// grouped gives each body its rows, one by each statement: those that wait share a
// transaction.
func grouped(db *sql.DB, inserts []*sql.Stmt, rowsOf func(body []byte) [][]any) func([]byte) error {
	type waiting struct {
		rows [][]any
		done chan error
	}
	queue := make(chan waiting, 512)
	go func() {
		for first := range queue {
			batch := []waiting{first}
		drain:
			for len(batch) < 512 {
				select {
				case w := <-queue:
					batch = append(batch, w)
				default:
					break drain
				}
			}
			tx, err := db.Begin()
			for i, insert := range inserts {
				if err != nil {
					break
				}
				insert = tx.Stmt(insert)
				for _, w := range batch {
					if err == nil {
						_, err = insert.Exec(w.rows[i]...)
					}
				}
			}
			if err == nil {
				err = tx.Commit()
			}
			for _, w := range batch {
				w.done <- err
			}
		}
	}()
	return func(body []byte) error {
		w := waiting{rowsOf(body), make(chan error, 1)}
		queue <- w
		return <-w.done
	}
}

// process is a server that runs beside the load.
type process struct {
	cmd     *exec.Cmd
	address string
	folder  string
	env     []string // what its commands are told too
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.folder)
}

// cpu is the processor time the server has spent so far.
func (p *process) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0 // not on this system: the figure is zero, the ratios stand
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of a hundredth
}

// load runs a closed loop on the server and counts its processor time.
func (p *process) load(ctx context.Context, connections int, calls []call, want int) (result, error) {
	before := p.cpu()
	r, err := closedLoop(ctx, p.address, connections, calls, want)
	r.cpu = (p.cpu() - before) / time.Duration(len(calls))
	return r, err
}

// start runs a server and waits until it says where it listens.
func start(ctx context.Context, said func(line string) (address string), errPipe bool, env []string, name string, args ...string) (*process, error) {
	folder, err := os.MkdirTemp("", "guichet-bench-")
	if err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FOLDER", folder)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = os.Environ()
	for _, e := range env {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(e, "FOLDER", folder))
	}
	pipe := cmd.StdoutPipe
	if errPipe {
		pipe = cmd.StderrPipe
	}
	out, err := pipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address := said(lines.Text()); address != "" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &process{cmd, address, folder, cmd.Env[len(cmd.Env)-len(env):]}, nil
		}
	}
	return nil, errors.Join(errors.New("the server ended before it listened"), cmd.Wait())
}

func (b bench) reference(kind string) (*process, error) { return b.referenceIn(kind, "FOLDER") }

func (b bench) referenceIn(kind, folder string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(b.ctx, func(line string) string {
		address, _ := strings.CutPrefix(line, "address ")
		return address
	}, false, nil, self, "-serve", kind, folder)
}

func (b bench) guichet() (*process, error) { return b.guichetOn("sqlite:FOLDER/guichet.db") }

func (b bench) guichetOn(database string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	// A mail server that never answers: letters become jobs, as they do in
	// production, and how fast another server takes them is not in the figure.
	mails, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	context.AfterFunc(b.ctx, func() { _ = mails.Close() })
	return start(b.ctx, func(line string) string {
		if strings.Contains(line, `"msg":"ready"`) {
			return address
		}
		return ""
	}, true, []string{
		"GUICHET_ADDR=" + address, "GUICHET_URL=http://" + address, "GUICHET_ADMIN_ADDR=127.0.0.1:0", "GUICHET_DATABASE=" + database, "GUICHET_KEY_FILE=FOLDER/guichet.key",
		"GUICHET_DATAPASS_SECRETS=api_entreprise=" + secret, "GUICHET_SMTP=smtp://" + mails.Addr().String() + "?tls=none",
	}, b.program, "serve")
}
