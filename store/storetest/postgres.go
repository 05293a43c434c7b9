package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet"
	"guichet/store"
)

// server is the PostgreSQL of this test program: GUICHET_TEST_POSTGRES when it
// is set, else one of our own, started at the first need and gone with us.
var server = sync.OnceValues(func() (string, error) {
	if address := os.Getenv("GUICHET_TEST_POSTGRES"); address != "" {
		return address, nil
	}
	return Postgres()
})

// template is a migrated database that each test gets a copy of.
var template = sync.OnceValues(func() (string, error) {
	address, err := server()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("guichet_template_%d_%d", os.Getpid(), time.Now().UnixNano())
	admin, err := sql.Open("pgx", fmt.Sprintf(address, "postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = admin.Close() }()
	if _, err := admin.ExecContext(context.Background(), "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	s, err := store.Open(context.Background(), fmt.Sprintf(address, name), store.Options{Clock: guichet.SystemClock()})
	if err != nil {
		return "", err
	}
	if _, err := s.Migrate(context.Background()); err != nil {
		return "", err
	}
	return name, s.Close()
})

var (
	databases atomic.Int64
	copying   sync.Mutex // a template can be copied by one at a time
)

// postgres makes a database of this test alone.
func postgres(t testing.TB) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatalf("PostgreSQL (install Debian's postgresql, or set GUICHET_TEST_POSTGRES to an address with %%s for the database): %v", err)
	}
	address, _ := server()
	name := fmt.Sprintf("%s_%d", from, databases.Add(1))
	admin, err := sql.Open("pgx", fmt.Sprintf(address, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	copying.Lock()
	defer copying.Unlock()
	if _, err := admin.ExecContext(t.Context(), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, from)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", fmt.Sprintf(address, "postgres"))
		if err == nil {
			_, _ = admin.ExecContext(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			_ = admin.Close()
		}
	})
	return fmt.Sprintf(address, name)
}

// leashes keep our end of the pipe of each server open as long as we live; a
// forgotten pipe would be closed by the garbage collector.
var leashes struct {
	sync.Mutex
	all []io.WriteCloser
}

// Postgres starts a server of our own in a temporary folder. It ends, and its
// folder goes, when this process ends in whatever way: it watches our end of a
// pipe. The address has %s in place of the database.
func Postgres() (address string, err error) {
	bin, err := postgresBin()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "guichet-postgres-")
	if err != nil {
		return "", err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "guichet", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	// The script's input is our pipe: its end is our end.
	script := `"$0" -D "$1" -p "$2" -k "$3" -h 127.0.0.1 -c fsync=off -c full_page_writes=off -c max_connections=400 \
-c shared_buffers=64MB -c logging_collector=off >"$3/log" 2>&1 & pid=$!; cat >/dev/null; \
kill -CONT $pid; pkill -CONT -P $pid; kill -INT $pid; wait $pid; rm -rf "$3"`
	cmd := exec.Command("sh", "-c", script, filepath.Join(bin, "postgres"), data, strconv.Itoa(port), dir)
	cmd.SysProcAttr, cmd.Dir = attr, dir
	leash, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	leashes.Lock()
	leashes.all = append(leashes.all, leash)
	leashes.Unlock()
	if err := cmd.Start(); err != nil {
		return "", err
	}
	address = fmt.Sprintf("postgres://guichet@127.0.0.1:%d/%%s?sslmode=disable", port)
	db, err := sql.Open("pgx", fmt.Sprintf(address, "postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err = db.PingContext(context.Background()); err == nil {
			own.Store(fmt.Sprintf("127.0.0.1:%d", port), dir)
			return address, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return "", fmt.Errorf("postgres does not answer: %w: %s", err, log)
		}
		<-time.After(20 * time.Millisecond) // a server of the outside world is starting
	}
}

func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		path, err := exec.LookPath("initdb")
		return filepath.Dir(path), err
	}
	return found[len(found)-1], nil
}

// unprivileged runs the server as another user when we are root, because
// PostgreSQL refuses to run as root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, uid, gid)
}
