package canary

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
)

// A Door is where something comes out of the program in a test: all that passes is
// kept, and when the test ends every secret is looked for in it. What is shown on
// purpose is named with the door.
type Door struct {
	shown []Showing
	mu    sync.Mutex
	kept  map[string][]byte // by place
	size  int
	found []Find
}

// most is how much a door keeps; more is looked at before the test ends, with the
// secrets that were heard of by then.
const most = 16 << 20

// NewDoor makes a door that fails its test for each secret that passed.
func NewDoor(t testing.TB, shown ...Showing) *Door {
	d := &Door{shown: shown, kept: map[string][]byte{}}
	t.Cleanup(func() {
		for _, f := range d.Close() {
			t.Errorf("%s", f)
		}
	})
	return d
}

// Close gives each secret that passed and was not to be shown.
func (d *Door) Close() []Find {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	return d.found
}

func (d *Door) look() {
	law := Suite{Shown: d.shown}
	for place, data := range d.kept {
		for _, f := range Look(place, data) {
			if !law.shown(f) {
				d.found = append(d.found, f)
			}
		}
	}
	clear(d.kept)
	d.size = 0
}

// Pass keeps what came out at a place.
func (d *Door) Pass(place string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept[place] = append(d.kept[place], data...)
	if d.size += len(data); d.size > most {
		d.look()
	}
}

// Log is a logger at the finest level whose lines pass the door; to may be nil.
func (d *Door) Log(to io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(through{d, to}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type through struct {
	door *Door
	to   io.Writer
}

func (w through) Write(b []byte) (int, error) {
	w.door.Pass("a log", b)
	if w.to != nil {
		return w.to.Write(b)
	}
	return len(b), nil
}

// Handler serves what next serves; each answer, with its status and headers, passes
// the door.
func (d *Door) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			var head bytes.Buffer
			_ = w.Header().Write(&head)
			d.Pass(fmt.Sprintf("answer %d to %s %s", a.status, r.Method, r.URL.Path), append(head.Bytes(), a.body.Bytes()...))
		}()
		next.ServeHTTP(a, r)
	})
}

// answer keeps what is answered.
type answer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap lets http.ResponseController find the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.body.Write(b)
	return a.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	if f, ok := a.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
