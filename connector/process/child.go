package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"guichet/bank"
)

// A child is one worker process, the leader of a process group of its own.
type child struct {
	connector *Connector
	cmd       *exec.Cmd
	folder    string   // its home: private, empty at first, gone at the end
	stdin     *os.File // our ends of the pipes
	stdout    *os.File
	errors    *tail
	program   *os.File // our end of descriptor 3; nil without a program

	exited  chan struct{} // closed when the process has ended; its number is still taken
	release chan struct{} // closed to have it reaped
	gone    chan struct{} // closed when nothing of it is left for us to wait for
	told    atomic.Bool   // it has been given its line, all of it
	writers sync.WaitGroup
}

// The search path is the same on every machine: ours may name folders of a
// person.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start begins a child that waits for its line. The error is a failure.
func (c *Connector) start() (*child, error) {
	folder, err := c.home.run()
	if err != nil {
		c.config.Log.Error("no private folder for a worker", "connector", c.config.Name, "error", err)
		return nil, failed(bank.ReasonCrash, "a private folder cannot be made")
	}
	k := &child{
		connector: c, folder: folder, errors: &tail{limit: c.limits.Errors},
		exited: make(chan struct{}), release: make(chan struct{}), gone: make(chan struct{}),
	}
	if err := k.open(); err != nil {
		k.closeAll()
		c.home.remove(folder)
		return nil, failed(bank.ReasonMissing, "the worker cannot be started: "+err.Error())
	}
	return k, nil
}

// open makes the pipes and the process.
func (k *child) open() error {
	c := k.connector
	if len(c.config.Command) == 0 {
		return errors.New("there is no command")
	}
	var theirs []*os.File // the child's ends: ours to close once it has them
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	pipe := func(reads bool) (ours, its *os.File, err error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		if ours, its = w, r; !reads {
			ours, its = r, w
		}
		theirs = append(theirs, its)
		return ours, its, nil
	}
	// Its life is the run's: end kills it, with all that it started.
	k.cmd = exec.Command(c.config.Command[0], c.config.Command[1:]...)
	k.cmd.Dir = k.folder
	k.cmd.Env = append([]string{"PATH=" + path, "LANG=C.UTF-8", "HOME=" + k.folder, "TMPDIR=" + k.folder}, c.config.Env...)
	var stdin, stdout, stderr, program, errorsFrom *os.File
	var err error
	if k.stdin, stdin, err = pipe(true); err != nil {
		return err
	}
	if k.stdout, stdout, err = pipe(false); err != nil {
		return err
	}
	if errorsFrom, stderr, err = pipe(false); err != nil {
		return err
	}
	k.errors.from = errorsFrom
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = stdin, stdout, stderr
	if c.config.Program != nil {
		if k.program, program, err = pipe(true); err != nil {
			return err
		}
		k.cmd.ExtraFiles = []*os.File{program}
	}
	k.cmd.SysProcAttr = ownGroup()
	return k.fork()
}

// fork starts the process from a thread that lives as long as the process: on
// Linux a child dies with the thread that made it, which is how it dies with us.
func (k *child) fork() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := k.cmd.Start()
		if err == nil {
			bound(k.cmd.Process.Pid, k.connector.limits)
		}
		started <- err
		if err != nil {
			return
		}
		reaped := awaitExit(k.cmd)
		close(k.exited)
		<-k.release
		killAll(k.cmd.Process.Pid, k.folder)
		if !reaped {
			_ = k.cmd.Wait() // how it ended says nothing that its words did not
		}
		close(k.gone)
	}()
	if err := <-started; err != nil {
		return err
	}
	k.writers.Go(k.errors.read)
	if k.program != nil {
		k.writers.Go(func() {
			_, _ = k.program.Write(k.connector.config.Program)
			_ = k.program.Close()
		})
	}
	return nil
}

// tell gives the child its one line. Its input stays open: that it ends is how a
// worker learns that we are gone.
func (k *child) tell(line []byte) {
	if _, err := k.stdin.Write(line); err == nil {
		k.told.Store(true)
	}
}

// cancel tells the child to stop, in both ways that there are: a line, and a
// signal where there are signals. One that reads neither is killed soon.
func (k *child) cancel() {
	if k.told.Load() {
		k.writers.Go(func() { _, _ = io.WriteString(k.stdin, `{"type":"cancel"}`+"\n") }) // ends with our end of the pipe
	}
	terminate(k.cmd.Process)
}

// end kills whatever is left of the child and of what it started, waits until it
// is gone, and removes its folder.
func (k *child) end() {
	select {
	case <-k.exited:
	default:
		kill(k.cmd.Process, k.folder)
	}
	close(k.release)
	<-k.gone
	k.closeAll()
	k.writers.Wait()
	k.connector.home.remove(k.folder)
}

func (k *child) closeAll() {
	for _, f := range []*os.File{k.stdin, k.stdout, k.errors.from, k.program} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// A tail is the end of what a child writes on standard error.
type tail struct {
	from  *os.File
	limit int

	mu   sync.Mutex
	kept []byte
}

// read takes all there is, and keeps little: a child must not wait for us to
// read its complaints.
func (t *tail) read() {
	part := make([]byte, 32<<10)
	for {
		n, err := t.from.Read(part)
		t.mu.Lock()
		t.kept = append(t.kept, part[:n]...)
		if over := len(t.kept) - t.limit; over > 0 {
			t.kept = slices.Delete(t.kept, 0, over)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
