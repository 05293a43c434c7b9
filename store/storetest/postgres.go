package storetest

import (
	"context"
	"database/sql"
	"errors"
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
	return Postgres(roomInMemory())
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
	return name, migrate(fmt.Sprintf(address, name))
})

// migrate brings an empty database to where every test begins: the migrations
// run once for each engine and test program, and each test gets a copy.
func migrate(source string) error {
	s, err := store.Open(context.Background(), source, store.Options{Clock: guichet.SystemClock()})
	if err != nil {
		return err
	}
	_, err = s.Migrate(context.Background())
	return errors.Join(err, s.Close())
}

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
	// Files copied as they are; the other way, through the log, costs three times as much.
	if _, err := admin.ExecContext(t.Context(), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s STRATEGY FILE_COPY", name, from)); err != nil {
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

// Postgres starts a server of our own in a temporary folder, under the one that is
// given or else where such folders usually are. It ends, and its folder goes, when
// this process ends in whatever way: it watches our end of a pipe. The address has
// %s in place of the database.
func Postgres(under string) (address string, err error) {
	bin, err := postgresBin()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(under, "guichet-postgres-")
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
	port, err := freePort()
	if err != nil {
		return "", err
	}
	// The script's input is our pipe: its end is our end.
	script := `"$0" -D "$1" -p "$2" -k "$3" -h 127.0.0.1 -c fsync=off -c full_page_writes=off -c max_connections=400 \
-c shared_buffers=64MB -c max_wal_size=256MB -c wal_level=minimal -c max_wal_senders=0 -c logging_collector=off >"$3/log" 2>&1 & pid=$!; cat >/dev/null; \
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

// freePort is one that nobody listens on, and that the system gives to no connection
// of its own until the server listens there.
func freePort() (port int, err error) {
	for n := range 100 {
		port = 10_000 + (os.Getpid()+n*61)%5_000 // processes that start at once begin elsewhere
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// roomInMemory is a folder in memory for the files of a server, where there is
// room for them; else the usual one. A database is some thousand files, which a
// file system on a disk makes ten times slower. Nothing that a test proves needs a
// disk: the server runs without fsync anyway, and it is never the one that is killed.
func roomInMemory() string {
	const memory, room = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < room {
		return ""
	}
	return memory
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
