package simbank

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How a customer's phone answers demands in the application.
const (
	DecisionAuto    = "auto"    // yes, 3 seconds after the demand
	DecisionApprove = "approve" // yes, at once
	DecisionDeny    = "deny"
	DecisionHold    = "hold" // says nothing: the demand expires
)

// Reset forgets all: customers, sessions, devices, counters, faults, and how
// far the clock was moved.
func (s *Site) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.reset()
}

// Advance moves the bank's clock forward, on top of the one it was given.
func (s *Site) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.ahead += d
}

// AddFaults makes requests go wrong from now on; all of them or, when one makes
// no sense, none.
func (s *Site) AddFaults(faults ...Fault) error {
	for _, f := range faults {
		if err := f.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		f.Seen, f.Login = 0, canonical(f.Login)
		s.world.faults = append(s.world.faults, &f)
	}
	return nil
}

// ClearFaults makes the bank well again, stories apart.
func (s *Site) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.faults = nil
}

// Faults lists those set, with how many requests each matched.
func (s *Site) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Fault, 0, len(s.world.faults))
	for _, f := range s.world.faults {
		list = append(list, *f)
	}
	return list
}

// Decide says how a customer's phone answers, the demand in progress included.
func (s *Site) Decide(login, decision string) error {
	switch decision {
	case DecisionAuto:
		decision = ""
	case DecisionApprove, DecisionDeny, DecisionHold:
	default:
		return fmt.Errorf("no such decision: %q; there are auto, approve, deny, hold", decision)
	}
	login = canonical(login)
	if login == "" {
		return fmt.Errorf("a decision needs a login")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.customer(login).decision = decision
	for _, open := range s.world.sessions {
		if open.login == login && open.approval != nil {
			open.approval.decision = decision
		}
	}
	return nil
}

// CaptchaAnswer reads the image last shown to a customer, as a person would.
func (s *Site) CaptchaAnswer(login string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *session
	for _, open := range s.world.sessions {
		if open.login == canonical(login) && open.digits != "" && (last == nil || open.used.After(last.used)) {
			last = open
		}
	}
	if last == nil {
		return ""
	}
	return last.digits
}

func (s *Site) adminRoutes() {
	s.mux.HandleFunc("GET /_sim", s.adminPage)
	s.mux.HandleFunc("GET /_sim/{$}", s.adminPage)
	s.mux.HandleFunc("GET /_sim/counters", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, s.Counters(r.URL.Query().Get("login")))
	})
	s.mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"faults": s.Faults()})
	})
	s.mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		answerJSON(w, map[string]any{"faults": s.Faults()})
	})
	s.mux.HandleFunc("GET /_sim/captcha", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]string{"answer": s.CaptchaAnswer(r.URL.Query().Get("login"))})
	})
	s.mux.HandleFunc("GET /_sim/clock", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.clockNow()) })
	s.order("POST /_sim/reset", func(*orderForm) (any, error) { s.Reset(); return map[string]bool{"reset": true}, nil })
	s.order("POST /_sim/faults", s.setFaults)
	s.order("POST /_sim/clock", func(f *orderForm) (any, error) {
		s.Advance(time.Duration(f.AdvanceSeconds * float64(time.Second)))
		return s.clockNow(), nil
	})
	s.order("POST /_sim/app", func(f *orderForm) (any, error) {
		return map[string]string{"login": f.Login, "decision": f.Decision}, s.Decide(f.Login, f.Decision)
	})
}

// orderForm is what the side door takes, as JSON or as a form.
type orderForm struct {
	Fault
	Faults         *[]Fault `json:"faults"` // replaces the whole list
	AdvanceSeconds float64  `json:"advance_seconds"`
	Decision       string   `json:"decision"`
}

// setFaults takes one fault, added to the others, or a list, which replaces
// them; an empty list clears.
func (s *Site) setFaults(f *orderForm) (any, error) {
	add := []Fault{f.Fault}
	if f.Faults != nil {
		add = *f.Faults
		for _, fault := range add {
			if err := fault.check(); err != nil {
				return nil, err
			}
		}
		s.ClearFaults()
	}
	if err := s.AddFaults(add...); err != nil {
		return nil, err
	}
	return map[string]any{"faults": s.Faults()}, nil
}

func (s *Site) clockNow() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"now": s.now().UTC().Format(time.RFC3339), "advanced_seconds": s.world.ahead.Seconds()}
}

// order wires a verb of the side door: JSON in, JSON out; or a form in, and back
// to the page of buttons.
func (s *Site) order(pattern string, do func(*orderForm) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		var f orderForm
		person := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
		var err error
		switch {
		case person:
			err = f.read(r)
		case r.ContentLength != 0:
			err = decodeOrder(r, &f)
		}
		var answer any
		if err == nil {
			answer, err = do(&f)
		}
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case person:
			http.Redirect(w, r, "/_sim", http.StatusSeeOther)
		default:
			answerJSON(w, answer)
		}
	})
}

// decodeOrder also takes a bare list, for faults.
func decodeOrder(r *http.Request, f *orderForm) error {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		return err
	}
	if len(raw) > 0 && raw[0] == '[' {
		f.Faults = &[]Fault{}
		return json.Unmarshal(raw, f.Faults)
	}
	return json.Unmarshal(raw, f)
}

func (f *orderForm) read(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	number := func(name string) float64 {
		n, err := strconv.ParseFloat(r.PostForm.Get(name), 64)
		if err != nil {
			return 0 // an empty box
		}
		return n
	}
	f.PathPrefix, f.Login, f.Kind = r.PostForm.Get("path_prefix"), r.PostForm.Get("login"), r.PostForm.Get("kind")
	f.After, f.Times, f.Seconds = int(number("after")), int(number("times")), number("seconds")
	f.AdvanceSeconds, f.Decision = number("advance_seconds"), r.PostForm.Get("decision")
	if r.PostForm.Get("clear") != "" {
		f.Faults = &[]Fault{}
	}
	return nil
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no concern of the bank
}
