package simbank

import (
	"net/http"
	"time"
)

// How long things last at this bank, by its clock.
const (
	codeLife    = 5 * time.Minute      // a code sent
	appDelay    = 3 * time.Second      // until a customer's phone says yes
	appLife     = 5 * time.Minute      // a demand in the application
	grantLife   = 15 * time.Minute     // a demand of authorisation, and its code
	deviceLife  = 180 * 24 * time.Hour // a device the bank trusts
	lockLife    = 24 * time.Hour       // an access locked by wrong codes
	sessionLife = 20 * time.Minute     // a session nobody uses
)

// How often one may be wrong.
const (
	maxWrongCodes    = 3 // in a row, over all sessions: the third locks
	maxWrongCaptchas = 5 // in one session, which then ends
)

const (
	rightCode = "123456"
	maxLogin  = 64 // bytes
)

// world is all the bank remembers. It is guarded by the site's lock.
type world struct {
	ahead     time.Duration // how far tests moved the clock
	sessions  map[string]*session
	customers map[string]*customer
	grants    map[string]*grant
	faults    []*Fault
	total     Counters
	books     bookshelf
}

func (w *world) reset() {
	*w = world{
		sessions:  map[string]*session{},
		customers: map[string]*customer{},
		grants:    map[string]*grant{},
		books:     bookshelf{},
	}
}

// A customer is someone whose login was seen.
type customer struct {
	login       string
	story       Story
	seen        Counters
	wrongCodes  int // in a row
	lockedUntil time.Time
	devices     map[string]time.Time // token → until when it is trusted
	renewed     bool
	accepted    bool
	decision    string // how the phone answers from now on; see Decide
}

// A session is one browser, known by its sid cookie.
type session struct {
	id       string
	login    string // empty before the password
	step     step
	next     []step // after the current one
	factor   bool   // a second factor was given in this session
	token    string // of the form last shown; good once
	used     time.Time
	codeSent time.Time // zero while no code was asked for
	way      string    // how it is sent; empty: by SMS
	approval *approval // nil while the application was not asked
	digits   string    // of the captcha shown
	wrong    int       // captchas
}

// An approval is one demand shown on the customer's phone.
type approval struct {
	id       string
	asked    time.Time
	decision string
}

// A grant is one demand of authorisation, which another browser may carry.
type grant struct {
	id, sid, login string
	asked          time.Time
	code           string // once authorised; the grant goes when it is used
}

// customer finds someone, or meets them.
func (w *world) customer(login string) *customer {
	c := w.customers[login]
	if c == nil {
		c = &customer{login: login, story: StoryOf(login), devices: map[string]time.Time{}}
		w.customers[login] = c
	}
	return c
}

func (c *customer) locked(now time.Time) bool { return now.Before(c.lockedUntil) }

// session finds a live session and notes that it is used.
func (w *world) session(sid string, now time.Time) *session {
	s := w.sessions[sid]
	if s == nil {
		return nil
	}
	if now.Sub(s.used) > sessionLife {
		w.forget(s)
		return nil
	}
	s.used = now
	return s
}

// forget ends a session and what hangs on it.
func (w *world) forget(s *session) {
	delete(w.sessions, s.id)
	for id, g := range w.grants {
		if g.sid == s.id {
			delete(w.grants, id)
		}
	}
}

// sweep forgets the sessions nobody uses any more, now and then, so that a bank
// that runs for weeks does not grow.
func (w *world) sweep(now time.Time) {
	if len(w.sessions)%256 != 255 {
		return
	}
	for _, s := range w.sessions {
		if now.Sub(s.used) > sessionLife {
			w.forget(s)
		}
	}
}

// open gives the browser a new session, in place of the one it had: an id seen
// before the password is never the one after it.
func (v *visit) open() *session {
	if v.session != nil {
		v.world.forget(v.session)
	}
	v.world.sweep(v.now)
	s := &session{id: v.site.clock.NewSecret().Reveal(), step: stepPassword, used: v.now}
	v.world.sessions[s.id] = s
	v.session = s
	v.setCookie("sid", s.id, 0)
	return s
}

// freshToken makes the one-shot token of the form about to be shown; the one
// before is void.
func (v *visit) freshToken() string {
	v.session.token = v.site.clock.NewSecret().Reveal()
	return v.session.token
}

// spendToken tells whether the form sent is the one last shown to this session,
// and makes sure it cannot be sent again.
func (v *visit) spendToken() bool {
	if v.session == nil || v.session.token == "" || v.request.PostForm.Get("jeton") != v.session.token {
		return false
	}
	v.session.token = ""
	return true
}

// at tells whether the session is at that step. When it is not, the reply leads
// to where it should be.
func (v *visit) at(s step) (reply, bool) {
	switch {
	case v.session == nil:
		return goTo("/login?expired=1"), false
	case v.customer != nil && v.customer.locked(v.now):
		return v.throwOut(lockedPage()), false
	case v.session.step != s:
		return goTo(v.session.step.address()), false
	}
	return reply{}, true
}

// throwOut ends the session and shows why.
func (v *visit) throwOut(why reply) reply {
	if v.session != nil {
		v.world.forget(v.session)
		v.session = nil
	}
	v.setCookie("sid", "", -1)
	return why
}

// pass ends the current step. Whoever gave a second factor and reaches the
// accounts has a device the bank trusts from then on.
func (v *visit) pass() reply {
	s := v.session
	if len(s.next) > 0 {
		s.step, s.next = s.next[0], s.next[1:]
		return goTo(s.step.address())
	}
	s.step = stepIn
	if s.factor {
		token := v.site.clock.NewSecret().Reveal()
		v.customer.devices[token] = v.now.Add(deviceLife)
		v.setCookie("device", token, deviceLife)
		v.count(func(c *Counters) { c.DevicesTrusted++ })
	}
	return goTo("/accounts")
}

// trusted tells whether the browser shows a device this customer confirmed.
func (v *visit) trusted(c *customer) bool {
	cookie, err := v.request.Cookie("device")
	return err == nil && v.now.Before(c.devices[cookie.Value])
}

func (v *visit) setCookie(name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	switch {
	case life < 0:
		c.MaxAge = -1
	case life > 0:
		c.MaxAge = int(life / time.Second)
	}
	v.cookies = append(v.cookies, c)
}

func sidOf(r *http.Request) string {
	c, err := r.Cookie("sid")
	if err != nil {
		return ""
	}
	return c.Value
}
