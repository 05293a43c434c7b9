package canary

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Test programs start themselves again, under other names, as the processes of a
// session: server, worker, command. Each of those keeps a record beside the program
// that was started, which the test program reads: what secrets it heard of, how it
// was started, and all it wrote. The record is written before a secret is given to
// whoever asked for it, so that a process that is killed has told.
//
// What they heard of is one file for all, to which each appends whole lines: whoever
// looks for secrets need not look at the records of a thousand processes again.
const (
	recordName = "canary-record"
	secretsOf  = "secrets"
	startOf    = ".start"
	outputOf   = ".output"
)

// recordFolder is where records are, if there are any; recording is our own one, if
// we are such a process.
var (
	recordFolder string
	recording    struct {
		mu   sync.Mutex
		name string
		file *os.File
	}
)

// beRecorded finds out whether we are a process whose record is kept.
func beRecorded() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	folder := filepath.Join(filepath.Dir(filepath.Dir(program)), recordName)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return
	}
	command := filepath.Base(os.Args[0])
	for _, arg := range os.Args[1:min(len(os.Args), 4)] {
		if strings.HasPrefix(arg, "-") || strings.ContainsAny(arg, "/.: ") || len(arg) > 20 {
			break
		}
		command += " " + arg
	}
	recording.name = filepath.Join(folder, fmt.Sprintf("%d %s", os.Getpid(), command))
	if recording.file, err = os.OpenFile(filepath.Join(folder, secretsOf), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		panic("canary: the record of this process: " + err.Error())
	}
	start, err := json.Marshal(started{os.Args, os.Environ()})
	if err == nil {
		err = os.WriteFile(recording.name+startOf, start, 0o600)
	}
	if err != nil {
		panic("canary: the record of this process: " + err.Error())
	}
}

// started is how a process was started.
type started struct{ Args, Environ []string }

func record(kind, value string) {
	recording.mu.Lock()
	defer recording.mu.Unlock()
	if recording.file == nil {
		return
	}
	line, err := json.Marshal(heard{kind, []byte(value)})
	if err == nil {
		// A line begins with its end, too: another process may have been killed in the
		// middle of its own.
		_, err = recording.file.Write(slices.Concat([]byte("\n"), line, []byte("\n")))
	}
	if err != nil {
		panic("canary: the record of this process: " + err.Error())
	}
}

// Output is where a process of a session writes to: what it writes is also kept in
// its record.
func Output(to io.Writer) io.Writer {
	if recording.name == "" {
		return to
	}
	kept, err := os.OpenFile(recording.name+outputOf, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic("canary: the record of this process: " + err.Error())
	}
	return io.MultiWriter(kept, to)
}
