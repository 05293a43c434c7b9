package simbank

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The kinds of faults. Before the bank does anything: 503, 429, slow, hang,
// expire_session. After it did, and only its answer suffers: reset, truncate,
// layout, garbage.
const (
	FaultUnavailable = "503"
	FaultTooMany     = "429"
	FaultSlow        = "slow"           // answers after Seconds, 2 when zero
	FaultHang        = "hang"           // never answers
	FaultExpire      = "expire_session" // forgets the session, then answers
	FaultReset       = "reset"          // cuts the connection in the middle of the answer
	FaultTruncate    = "truncate"       // half a page that pretends to be whole
	FaultLayout      = "layout"         // the page after its redesign: same words, other elements
	FaultGarbage     = "garbage"        // broken bytes and half the page
)

var faultKinds = []string{
	FaultUnavailable, FaultTooMany, FaultSlow, FaultHang, FaultExpire, FaultReset, FaultTruncate, FaultLayout, FaultGarbage,
}

// A Fault strikes the requests that match it: those whose path begins with
// PathPrefix, of that login (any when empty), with that method (any when empty).
// The first After of them pass; then Times of them are struck, all when zero.
type Fault struct {
	PathPrefix string  `json:"path_prefix"`
	Login      string  `json:"login"`
	Method     string  `json:"method,omitempty"`
	Kind       string  `json:"kind"`
	After      int     `json:"after"`
	Times      int     `json:"times"`
	Seconds    float64 `json:"seconds,omitempty"`
	Seen       int     `json:"seen"` // how many requests matched so far
}

func (f Fault) check() error {
	if !slices.Contains(faultKinds, f.Kind) {
		return fmt.Errorf("no such kind of fault: %q; there are %s", f.Kind, strings.Join(faultKinds, ", "))
	}
	if f.After < 0 || f.Times < 0 || f.Seconds < 0 {
		return errors.New("after, times and seconds of a fault are not negative")
	}
	return nil
}

func (f Fault) delay() time.Duration {
	if f.Seconds <= 0 {
		return 2 * time.Second
	}
	return time.Duration(f.Seconds * float64(time.Second))
}

func (f *Fault) matches(r *http.Request, login string) bool {
	return strings.HasPrefix(r.URL.Path, f.PathPrefix) &&
		(f.Login == "" || f.Login == login) && (f.Method == "" || f.Method == r.Method)
}

// strikes counts a request that matches and tells whether it is struck.
func (f *Fault) strikes() bool {
	f.Seen++
	return f.Seen > f.After && (f.Times == 0 || f.Seen <= f.After+f.Times)
}

// meet notes that a request came and decides what goes wrong with it: a fault
// set by a test first, else what the customer's story has in store.
func (s *Site) meet(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	login := ""
	current := s.world.session(sidOf(r), now)
	if current != nil {
		login = current.login
	}
	signingIn := r.Method == http.MethodPost && r.URL.Path == "/login"
	if signingIn {
		if login = canonical(r.PostForm.Get("identifiant")); len(login) > maxLogin {
			login = "" // nobody's
		}
	}
	s.world.count(login, func(c *Counters) {
		c.Requests++
		if signingIn {
			c.Logins++
		}
	})
	fault := s.world.fault(r, login, current)
	if fault.Kind != "" {
		s.world.count(login, func(c *Counters) { c.Faults++ })
	}
	if fault.Kind == FaultExpire && current != nil {
		s.world.forget(current)
	}
	return fault
}

func (w *world) fault(r *http.Request, login string, current *session) Fault {
	for _, f := range w.faults {
		if f.matches(r, login) && f.strikes() {
			return *f
		}
	}
	if login == "" {
		return Fault{}
	}
	story := StoryOf(login)
	if story.garbled && current != nil && current.step == stepIn {
		return Fault{Kind: FaultGarbage}
	}
	return Fault{Kind: story.always}
}

// redesign turns tables into blocks and renames every class.
var redesign = strings.NewReplacer(
	"<table", "<section", "</table>", "</section>", "<thead", "<header", "</thead>", "</header>",
	"<tbody", "<div", "</tbody>", "</div>", "<tr", "<article", "</tr>", "</article>",
	"<th ", "<span ", "<th>", "<span>", "</th>", "</span>", "<td", "<p", "</td>", "</p>",
	"<h1", "<h2", "</h1>", "</h2>", `class="`, `class="v2-`, `id="`, `id="v2-`,
)

func newLayout(page []byte) []byte { return []byte(redesign.Replace(string(page))) }

// garble keeps two thirds of a page, with digits lost, tags left open and bytes
// that are no text.
func garble(page []byte) []byte {
	page = bytes.Clone(page[:len(page)*2/3])
	for i := range page {
		switch {
		case i%7 == 3 && page[i] >= '0' && page[i] <= '9':
			page[i] = 0xff
		case i%5 == 2 && page[i] == '>':
			page[i] = ' '
		}
	}
	return append(page, "<td class=\"montant\">12,"...)
}
