package simbank

// Counters are what the bank saw, of one customer or of all.
type Counters struct {
	Requests        int `json:"requests"`
	LoginPages      int `json:"login_pages"`    // login forms shown
	Logins          int `json:"logins"`         // login forms sent
	LoginsRefused   int `json:"logins_refused"` // wrong password, locked or banned
	LoginsTrusted   int `json:"logins_trusted"` // accepted from a device the bank trusts
	DevicesTrusted  int `json:"devices_trusted"`
	Choices         int `json:"choices"`      // of how to confirm
	CodesSent       int `json:"codes_sent"`   // resends included
	CodesMailed     int `json:"codes_mailed"` // of those sent, the ones by mail
	Resends         int `json:"resends"`
	CodesTried      int `json:"codes_tried"` // expired ones included
	CodesWrong      int `json:"codes_wrong"`
	CodesExpired    int `json:"codes_expired"`
	Lockouts        int `json:"lockouts"`
	AppAsked        int `json:"app_asked"`
	AppPolled       int `json:"app_polled"`
	CaptchasShown   int `json:"captchas_shown"`
	CaptchasWrong   int `json:"captchas_wrong"`
	RedirectsAsked  int `json:"redirects_asked"`
	RedirectsDone   int `json:"redirects_done"`
	RedirectsDenied int `json:"redirects_denied"`
	AccountsPages   int `json:"accounts_pages"`
	HistoryPages    int `json:"history_pages"`
	ComingPages     int `json:"coming_pages"`
	Logouts         int `json:"logouts"`
	Faults          int `json:"faults"` // requests struck by a fault, a story's own included
}

// count adds to the counters of all, and to those of a customer when known.
func (w *world) count(login string, add func(*Counters)) {
	add(&w.total)
	if login != "" {
		add(&w.customer(login).seen)
	}
}

func (v *visit) count(add func(*Counters)) {
	login := ""
	if v.customer != nil {
		login = v.customer.login
	}
	v.world.count(login, add)
}

// Counters tells what the bank saw of a customer, or of everyone when login is
// empty.
func (s *Site) Counters(login string) Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	if login == "" {
		return s.world.total
	}
	if c := s.world.customers[canonical(login)]; c != nil {
		return c.seen
	}
	return Counters{}
}
