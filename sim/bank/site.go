// Package simbank is a bank that does not exist: "Banque des Tests", a French
// retail bank's web site with logins, codes, validations in an application,
// outages and lock-outs. Connectors read its pages as they would read a real
// one's, and people can walk through it with a browser.
//
// It plays the outside world, so its state is in memory. The login chooses the
// story (see [Stories]); /_sim is the side door of tests and demonstrations:
// what the bank saw, faults, the clock. Nothing of it shows in the customers'
// pages.
package simbank

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"guichet"
)

// A Site is one bank. All methods may be called concurrently.
//
// Every time limit of the bank is a comparison with the clock when a page is
// asked for: no timer runs, so a test moves the clock and sees the effect at
// once. Only the faults "slow" and "hang" really wait, and stop waiting when
// the client goes away.
type Site struct {
	clock guichet.Clock
	pages *template.Template
	mux   *http.ServeMux

	mu    sync.Mutex // guards world
	world world
}

// New builds a bank with no customer yet; anyone may become one by logging in.
func New(clock guichet.Clock) *Site {
	s := &Site{clock: clock, pages: parsePages(), mux: http.NewServeMux()}
	s.world.reset()
	s.routes()
	return s
}

// ServeHTTP serves the bank's pages and, below /_sim, its side door.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

func (s *Site) routes() {
	s.mux.Handle("GET /asset/", assets())
	for pattern, h := range map[string]handler{
		"/":                          notFound,
		"GET /{$}":                   home,
		"GET /login":                 loginForm,
		"POST /login":                logIn,
		"GET /logout":                logOut,
		"POST /logout":               logOut,
		"GET /terms":                 termsForm,
		"POST /terms":                acceptTerms,
		"GET /password":              passwordForm,
		"POST /password":             renewPassword,
		"GET /choice":                choiceForm,
		"POST /choice":               choose,
		"GET /otp":                   codeForm,
		"POST /otp":                  tryCode,
		"POST /otp/send":             sendCode,
		"POST /otp/resend":           resendCode,
		"GET /app":                   appPage,
		"POST /app":                  askApp,
		"GET /app/status":            appStatus,
		"POST /app/finish":           finishApp,
		"GET /captcha":               captchaForm,
		"GET /captcha.png":           captchaImage,
		"POST /captcha":              tryCaptcha,
		"GET /redirect":              redirectPage,
		"GET /redirect/callback":     finishRedirect,
		"GET /authorize":             authorizeForm,
		"POST /authorize":            authorize,
		"GET /accounts":              accountsPage,
		"GET /accounts/{id}/history": historyPage,
		"GET /accounts/{id}/coming":  comingPage,
	} {
		s.mux.Handle(pattern, s.page(h))
	}
	s.adminRoutes()
}

// A handler decides what the bank answers. It runs with the site locked, so it
// reads and changes the world freely, and does nothing slow.
type handler func(v *visit) reply

// A visit is one request of a customer's browser.
type visit struct {
	site     *Site
	world    *world
	request  *http.Request
	form     url.Values
	now      time.Time
	session  *session  // nil when the browser has none that is alive
	customer *customer // nil before a login was accepted
	cookies  []*http.Cookie
}

// A reply is what a handler decided. Exactly one of page, goTo, json and png is
// set; rendering happens after the site is unlocked.
type reply struct {
	status     int // 200 when zero
	page       string
	data       any
	goTo       string
	json       any
	png        func() []byte
	retryAfter int // seconds
}

func goTo(address string) reply { return reply{goTo: address} }

// page wraps a handler with what happens around every page: the session, the
// counters, the story's and the tests' faults.
func (s *Site) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "Requête illisible.", http.StatusBadRequest)
			return
		}
		fault := s.meet(r)
		switch fault.Kind {
		case FaultHang:
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable) // heard by nobody
			return
		case FaultSlow:
			if !wait(r, fault.delay()) {
				return
			}
		}
		// Faults that come before the handler leave the bank unchanged (refused
		// and not done); those that come after have changed it (done, and the
		// answer lost).
		var answer reply
		var cookies []*http.Cookie
		switch fault.Kind {
		case FaultUnavailable:
			answer = outagePage()
		case FaultTooMany:
			answer = tooManyPage()
		default:
			answer, cookies = s.answer(h, r)
		}
		out := s.render(answer)
		out.cookies = cookies
		out.spoil(fault.Kind)
		out.send(w, r, fault.Kind)
	})
}

// answer runs the handler on the locked world.
func (s *Site) answer(h handler, r *http.Request) (reply, []*http.Cookie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &visit{site: s, world: &s.world, request: r, form: r.Form, now: s.now()}
	v.session = s.world.session(sidOf(r), v.now)
	if v.session != nil && v.session.login != "" {
		v.customer = s.world.customer(v.session.login)
	}
	return h(v), v.cookies
}

// now is the bank's instant: the injected clock plus what tests added to it.
// The caller holds the lock.
func (s *Site) now() time.Time { return s.clock.Now().Add(s.world.ahead) }

func wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// An output is a rendered answer, before a fault spoils it and the wire takes it.
type output struct {
	status  int
	header  http.Header
	body    []byte
	cookies []*http.Cookie
}

func (s *Site) render(a reply) *output {
	out := &output{status: a.status, header: http.Header{}}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	if a.retryAfter > 0 {
		out.header.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	out.header.Set("Cache-Control", "no-store")
	out.header.Set("X-Content-Type-Options", "nosniff")
	switch {
	case a.goTo != "":
		out.status = http.StatusSeeOther
		out.header.Set("Location", a.goTo)
	case a.json != nil:
		out.header.Set("Content-Type", "application/json")
		out.body, _ = json.Marshal(a.json) // plain structs and maps of strings: cannot fail
	case a.png != nil:
		out.header.Set("Content-Type", "image/png")
		out.body = a.png()
	default:
		out.header.Set("Content-Type", "text/html; charset=utf-8")
		out.header.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		var page bytes.Buffer
		if err := s.pages.ExecuteTemplate(&page, a.page, a.data); err != nil {
			// A template that does not fit its data is a defect of ours, which the
			// tests of every page find; the client sees a server error.
			out.status = http.StatusInternalServerError
			page.Reset()
			page.WriteString("Erreur interne.")
		}
		out.body = page.Bytes()
	}
	return out
}

// spoil damages the body as the fault says; the length announced is that of the
// damaged body, so that nothing but its content tells.
func (o *output) spoil(kind string) {
	switch kind {
	case FaultTruncate:
		o.body = o.body[:len(o.body)/2]
	case FaultLayout:
		o.body = newLayout(o.body)
	case FaultGarbage:
		o.body = garble(o.body)
	}
}

func (o *output) send(w http.ResponseWriter, r *http.Request, kind string) {
	if kind == FaultReset && len(o.body) == 0 {
		hangUp(w) // a redirection cut half way would still be understood
	}
	for name, values := range o.header {
		w.Header()[name] = values
	}
	for _, c := range o.cookies {
		http.SetCookie(w, c)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	w.WriteHeader(o.status)
	if r.Method == http.MethodHead {
		return
	}
	if kind == FaultReset {
		_, _ = w.Write(o.body[:len(o.body)/2])
		_ = http.NewResponseController(w).Flush()
		hangUp(w)
	}
	_, _ = w.Write(o.body) // a client that went away is no concern of the bank
}

// hangUp cuts the connection, with a TCP reset where there is a TCP connection.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
