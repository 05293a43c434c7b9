package simbank

import (
	"net/http"
	"slices"
	"time"
)

type adminData struct {
	frame
	Now, Ahead string
	Stories    []Story
	Customers  []adminCustomer
	Decisions  []string
	Faults     []Fault
	Kinds      []string
}

type adminCustomer struct {
	Login  string // empty: all of them
	Locked bool
	Seen   Counters
}

// adminPage is the side door for people: stories, counters and buttons.
func (s *Site) adminPage(w http.ResponseWriter, r *http.Request) {
	out := s.render(reply{page: "admin", data: s.adminData()})
	out.send(w, r, "")
}

func (s *Site) adminData() adminData {
	faults := s.Faults()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	data := adminData{
		frame: frame{Title: "Porte de service"}, Now: now.UTC().Format("02/01/2006 15:04:05"),
		Stories: stories, Faults: faults, Kinds: faultKinds,
		Decisions: []string{DecisionAuto, DecisionApprove, DecisionDeny, DecisionHold},
		Customers: []adminCustomer{{Seen: s.world.total}},
	}
	if s.world.ahead != 0 {
		data.Ahead = s.world.ahead.Round(time.Second).String()
	}
	var logins []string
	for login := range s.world.customers {
		logins = append(logins, login)
	}
	slices.Sort(logins)
	for _, login := range logins[:min(len(logins), 200)] { // a page, not a dump
		c := s.world.customers[login]
		data.Customers = append(data.Customers, adminCustomer{Login: login, Locked: c.locked(now), Seen: c.seen})
	}
	return data
}
