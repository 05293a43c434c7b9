package simconnector

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"guichet"
	"guichet/bank"
)

// A session is our browser at the bank: cookies, and the question it was left
// at. Saved, it is a text that another process goes on from.
type session struct {
	cookies *cookies
	step    step
	token   string // hidden in the form that answers it
	id      string // of a demand in the application
}

// A step is the question a session was left at.
type step string

const (
	stepNone     step = ""
	stepChoice   step = "choice"
	stepCode     step = "code"
	stepApp      step = "app"
	stepCaptcha  step = "captcha"
	stepRedirect step = "redirect"
)

// saved is how a session is written. Fields may be added, never changed: a text
// of another version is taken for no session at all.
type saved struct {
	Version int               `json:"v"`
	Cookies map[string]cookie `json:"cookies"`
	Step    step              `json:"step,omitempty"`
	Token   string            `json:"token,omitempty"`
	ID      string            `json:"id,omitempty"`
}

const (
	savedVersion = 1
	maxSaved     = 64 << 10
)

// openSession goes on from the state of the run. Whatever cannot be read is
// forgotten: the worst that follows is a question asked again.
func openSession(order bank.Run) *session {
	s := &session{cookies: &cookies{now: order.Now, kept: map[string]cookie{}}}
	text := order.State.Reveal()
	var old saved
	if text == "" || len(text) > maxSaved || json.Unmarshal([]byte(text), &old) != nil || old.Version != savedVersion {
		return s
	}
	for name, k := range old.Cookies {
		s.cookies.keep(name, k)
	}
	if order.Answer == nil {
		// A new login begins in a new browser on the same device.
		s.cookies.only("device")
		return s
	}
	s.step, s.token, s.id = old.Step, old.Token, old.ID
	return s
}

func (s *session) save() guichet.Secret {
	text, err := json.Marshal(saved{savedVersion, s.cookies.kept, s.step, s.token, s.id})
	if err != nil {
		return "" // strings and times: cannot fail
	}
	return guichet.Secret(text)
}

// forgetQuestion leaves what outlives a login.
func (s *session) forgetQuestion() {
	s.step, s.token, s.id = stepNone, "", ""
	s.cookies.only("device")
}

// cookies is a jar for one host, which can be written down.
type cookies struct {
	mu   sync.Mutex // the HTTP client may use a jar from several goroutines
	now  time.Time
	kept map[string]cookie
}

type cookie struct {
	Value string    `json:"value"`
	Until time.Time `json:"until,omitzero"` // zero: as long as the session
}

// A bank that sets more, or longer ones, is not followed.
const (
	maxCookies   = 32
	maxCookieLen = 4 << 10
)

func (j *cookies) keep(name string, c cookie) {
	if _, known := j.kept[name]; !known && len(j.kept) >= maxCookies || len(name)+len(c.Value) > maxCookieLen {
		return
	}
	if !c.Until.IsZero() && !c.Until.After(j.now) {
		delete(j.kept, name)
		return
	}
	j.kept[name] = c
}

// SetCookies keeps what the bank set; the client never asks another host.
func (j *cookies) SetCookies(_ *url.URL, set []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range set {
		k := cookie{Value: c.Value, Until: c.Expires}
		switch {
		case c.MaxAge < 0:
			k.Until = j.now
		case c.MaxAge > 0:
			k.Until = j.now.Add(time.Duration(min(c.MaxAge, 400*24*3600)) * time.Second)
		}
		j.keep(c.Name, k)
	}
}

// Cookies are all of them: one host, one path.
func (j *cookies) Cookies(*url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]*http.Cookie, 0, len(j.kept))
	for name, c := range j.kept {
		list = append(list, &http.Cookie{Name: name, Value: c.Value})
	}
	return list
}

func (j *cookies) only(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, ok := j.kept[name]
	clear(j.kept)
	if ok {
		j.kept[name] = c
	}
}

func (j *cookies) until(name string) time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept[name].Until
}
