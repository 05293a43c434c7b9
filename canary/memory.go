package canary

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"guichet"
)

// memory is every secret that this test program has heard of, and those that the
// processes it started have.
var memory = struct {
	known   sync.Map // of values, so that a second time costs little
	scanner Scanner

	mu     sync.Mutex
	record string // of other processes
	read   int64  // how far it was read
}{}

// A test program hears of its secrets from the beginning; benchmarks and the
// programs of bench, which also use storetest, do not.
func init() {
	if !testing.Testing() {
		return
	}
	beRecorded()
	guichet.WatchSecrets(func(value string) {
		if _, known := memory.known.LoadOrStore(value, true); !known {
			remember(revealer(), value)
		}
	})
}

// revealer is the line of the program that a secret was revealed by.
func revealer() string {
	var pcs [8]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, "guichet.") {
			return fmt.Sprintf("a secret of %s:%d", within(f.File), f.Line)
		}
	}
}

// within is a file by its place in the module: the folder above its own tells two
// packages of one name apart.
func within(file string) string {
	parts := strings.Split(filepath.ToSlash(file), "/")
	return strings.Join(parts[max(0, len(parts)-3):], "/")
}

// Remember makes every later scan look for what is a secret without being a
// guichet.Secret: a cookie, a password that a file holds.
func Remember(kind, value string) {
	if _, known := memory.known.LoadOrStore(value, true); !known {
		remember(kind, value)
	}
}

func remember(kind, value string) {
	record(kind, value)
	learn(kind, value)
}

// learn adds what can be found by itself. An address is no secret, the password in
// it is.
func learn(kind, value string) {
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.User != nil {
		if password, ok := u.User.Password(); ok {
			Remember("password of "+kind, password)
		}
		return
	}
	if strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") == 2 {
		kind = "a JWT, " + kind
	}
	if len(value) > longest {
		value = value[len(value)-longest:] // the end of a JWT is its signature
	}
	if len(value) >= Least && distinct(value) >= 5 && public(value) == "" {
		memory.scanner.Add(fmt.Sprintf("%s (%.4s…, %d)", kind, strings.ToValidUTF8(value, "?"), len(value)), value)
	}
}

// longest is what of a secret is looked for: more would find less.
const longest = 200

func distinct(value string) int {
	var seen [256]bool
	n := 0
	for i := range len(value) {
		if !seen[value[i]] {
			seen[value[i]] = true
			n++
		}
	}
	return n
}

// Look finds every secret that was heard of until now in what came out somewhere.
func Look(place string, data []byte) []Find {
	if err := gather(); err != nil {
		return []Find{{Kind: "no record of a process could be read: " + err.Error(), Place: place}}
	}
	return memory.scanner.Look(place, data)
}

// Known tells how much is looked for and was looked at.
func Known() string {
	secrets, needles, read := memory.scanner.Size()
	return fmt.Sprintf("%d secrets, %d needles, %.1f MB looked at", secrets, needles, float64(read)/1e6)
}

// heard is a line of the record that another process of ours keeps.
type heard struct {
	Kind  string
	Value []byte
}

// gather learns what other processes of ours have heard of since.
func gather() error {
	if recordFolder == "" {
		return nil
	}
	name := filepath.Join(recordFolder, secretsOf)
	memory.mu.Lock()
	defer memory.mu.Unlock()
	if memory.record != name {
		memory.record, memory.read = name, 0
	}
	info, err := os.Stat(name)
	if os.IsNotExist(err) {
		return nil // no process has begun
	}
	if err != nil || info.Size() == memory.read {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(memory.read, 0); err != nil {
		return err
	}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil // half a line is one that is being written
		}
		memory.read += int64(len(line))
		var h heard
		if err := json.Unmarshal(line, &h); err != nil {
			continue // an end before a beginning, or the last words of a process that was killed: it gave the secret to nobody
		}
		if _, known := memory.known.LoadOrStore(string(h.Value), true); !known {
			learn(h.Kind, string(h.Value))
		}
	}
}
