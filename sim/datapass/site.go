package simdatapass

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // DataPass writes the time of Paris

	"guichet"
)

var paris = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		panic(err) // embedded above
	}
	return zone
}()

// A Provider is one webhook of the source: who receives, in which format, signed
// with what.
type Provider struct {
	Name    string
	Format  string           // v1 or v2; empty: v2
	Secrets []guichet.Secret // the first signs; a rotation goes on to the next
}

// Options are what a Site needs to know.
type Options struct {
	Clock     guichet.Clock
	Receiver  string // address of the server that receives the webhooks
	Providers []Provider
	Client    *http.Client // of the webhooks; nil: one with a time-out
	// ClientID and ClientSecret open the source's own API.
	ClientID     string
	ClientSecret guichet.Secret
}

// A Site is the instruction system: its requests, its deliveries, its API, and a
// page with buttons. All methods may be called concurrently.
type Site struct {
	clock        guichet.Clock
	receiver     string
	client       *http.Client
	clientID     string
	clientSecret guichet.Secret
	pages        *template.Template
	mux          *http.ServeMux
	wake         chan struct{}

	sending sync.Mutex // held while deliveries are sent: one after the other

	mu        sync.Mutex // guards what follows
	providers map[string]*Provider
	memory    memory
	file      string               // where the memory is kept; empty: nowhere
	access    map[string]time.Time // tokens of the API, and their ends
	unkept    error                // why the memory could not be written the last time
	said      string               // for the next page
}

// New builds a source with no request yet.
func New(o Options) *Site {
	s := &Site{
		clock: o.Clock, receiver: strings.TrimSuffix(o.Receiver, "/"), client: o.Client, clientID: o.ClientID, clientSecret: o.ClientSecret,
		pages: parsePages(), mux: http.NewServeMux(), wake: make(chan struct{}, 1),
		providers: map[string]*Provider{}, access: map[string]time.Time{}, memory: memory{IDs: 70_000, Turns: map[string]int{}},
	}
	for _, p := range o.Providers {
		p.Format, p.Secrets = cmp.Or(p.Format, "v2"), slices.Clone(p.Secrets)
		s.providers[p.Name] = &p
	}
	s.pageRoutes()
	s.apiRoutes()
	return s
}

// ServeHTTP serves the page and the API.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Site) id() int {
	s.memory.IDs++
	return s.memory.IDs
}

func (s *Site) sender(provider string) Sender {
	p := s.providers[provider]
	sender := Sender{URL: s.receiver, Provider: provider, Format: p.Format, Client: s.client}
	if n := len(p.Secrets); n > 0 {
		sender.Secret = p.Secrets[s.memory.Turns[provider]%n]
	}
	return sender
}

// A Draft is what a new request is about.
type Draft struct {
	Provider, Title, Organization, SIRET string
	Scopes                               []string
	Connect                              bool // made with a FranceConnect authorization beside

	At time.Time // when it was made; zero: now
}

// Create makes a request and its first delivery; it returns its number. Nothing
// is sent before Step or Run.
func (s *Site) Create(d Draft) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.providers[d.Provider] == nil {
		return 0, fmt.Errorf("aucun fournisseur « %s »", d.Provider)
	}
	if d.SIRET != "" && (len(d.SIRET) != 14 || strings.Trim(d.SIRET, "0123456789") != "") {
		return 0, fmt.Errorf("un SIRET a quatorze chiffres")
	}
	now := d.At
	if now.IsZero() {
		now = s.clock.Now()
	}
	r := &request{
		Number: 50_001 + len(s.memory.Requests), Provider: d.Provider, Title: cmp.Or(d.Title, "Demande sans titre"), Organization: cmp.Or(d.Organization, "COMMUNE DE VALMONT"),
		SIRET: cmp.Or(d.SIRET, "21730065600011"), Scopes: d.Scopes, Applicant: people[0], Connect: d.Connect, State: "draft", CreatedAt: now,
	}
	if len(r.Scopes) == 0 {
		r.Scopes = []string{"attestation_fiscale_dgfip", "open_data_unites_legales"}
	}
	r.PublicID = fmt.Sprintf("5f0c9d52-3f0e-4a53-8d0b-%012d", r.Number)
	r.Events = append(r.Events, event{s.id(), "create", now, r.Applicant, ""})
	s.memory.Requests = append(s.memory.Requests, r)
	s.fire(r, "create", now)
	s.keep()
	return r.Number, nil
}

// Do makes an event happen to a request, if its state allows it. It is an error
// of the caller when it does not.
func (s *Site) Do(number int, name string) error { return s.DoAt(number, name, s.clock.Now()) }

// DoAt is Do at another instant, for a history that happened before.
func (s *Site) DoAt(number int, name string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.request(number)
	if r == nil {
		return fmt.Errorf("aucune demande %d", number)
	}
	defer s.keep()
	return r.move(name, s.providers[r.Provider].Format, now, s.id, func(name string) { s.fire(r, name, now) })
}

// fire writes the delivery of an event, if the format has one for it.
func (s *Site) fire(r *request, name string, at time.Time) {
	s.memory.Touches++
	r.Touched = s.memory.Touches
	body := r.bodyV2(name, at)
	if s.providers[r.Provider].Format == "v1" {
		if name == "archive" || name == "reopen" {
			return // v1 tells nobody
		}
		if name == "approve" {
			name = "validate"
		}
		body = r.bodyV1(name, at)
	}
	s.enqueue(r.Provider, r.Number, name, write(body))
}

func (s *Site) enqueue(provider string, number int, name string, body []byte) {
	now := s.clock.Now()
	s.memory.Deliveries = append(s.memory.Deliveries, &delivery{
		ID: len(s.memory.Deliveries) + 1, Provider: provider, Number: number, Event: name, Body: body, At: now, Next: now, Held: s.memory.Hold, State: "waiting",
	})
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Ping sends what the source sends when somebody tries the address.
func (s *Site) Ping(provider string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.providers[provider] == nil {
		return fmt.Errorf("aucun fournisseur « %s »", provider)
	}
	s.enqueue(provider, 0, "ping", write(map[string]any{"test": true, "timestamp": s.clock.Now().In(paris).Format(time.RFC3339)}))
	s.keep()
	return nil
}

// Rotate goes on to the provider's next secret, and from the last to the first.
func (s *Site) Rotate(provider string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.providers[provider]
	if p == nil || len(p.Secrets) < 2 {
		return fmt.Errorf("« %s » n’a pas d’autre secret", provider)
	}
	s.memory.Turns[provider]++
	s.keep()
	return nil
}

// Replay sends a delivery again by hand: the same event, its keys in another
// order.
func (s *Site) Replay(ctx context.Context, id int) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	if id < 1 || id > len(s.memory.Deliveries) {
		s.mu.Unlock()
		return fmt.Errorf("aucun envoi %d", id)
	}
	d := s.memory.Deliveries[id-1]
	sender, body := s.sender(d.Provider), reordered(d.Body)
	s.mu.Unlock()
	answer, err := sender.Send(ctx, body)
	if err != nil && ctx.Err() != nil {
		return err // whoever asked went away: that is no broken connection
	}
	s.note(d, answer, err, true)
	return nil
}

// Hold keeps deliveries back; letting go sends them, the newest first.
func (s *Site) Hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.Hold = on
	if !on {
		s.release()
	}
	s.keep()
}

func (s *Site) request(number int) *request {
	if i := number - 50_001; i >= 0 && i < len(s.memory.Requests) {
		return s.memory.Requests[i]
	}
	return nil
}

func (s *Site) providerNames() []string { return slices.Sorted(maps.Keys(s.providers)) }

// The faults that a test or a visitor can ask for.
const (
	FaultDrop       = "drop"        // the next delivery never arrives: v2 does not try again
	FaultLoseAnswer = "lose_answer" // it arrives, and the answer is lost
	FaultDuplicate  = "duplicate"   // it arrives twice

	FaultAPIDown    = "api_down"    // the API answers 503
	FaultAPILimit   = "api_limit"   // the API answers 429
	FaultAPIEmpty   = "api_empty"   // lists come back empty, as if there was nothing
	FaultAPIGarbage = "api_garbage" // what comes back is cut short
	FaultAPIExpired = "api_expired" // the access token is over before its time
)

// faultKinds lists them with what people read.
var faultKinds = []struct{ Kind, Says string }{
	{FaultDrop, "Perdre l’envoi"},
	{FaultLoseAnswer, "Perdre la réponse"},
	{FaultDuplicate, "Envoyer deux fois"},
	{FaultAPIDown, "API en panne"},
	{FaultAPILimit, "API : trop d’appels"},
	{FaultAPIEmpty, "API : listes vides"},
	{FaultAPIGarbage, "API : réponse coupée"},
	{FaultAPIExpired, "API : jeton expiré"},
}

// A fault meets what comes next, so many times.
type fault struct {
	Kind string
	Left int
}

// Fault makes the next times of something go wrong; 0 forgets it.
func (s *Site) Fault(kind string, times int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for _, k := range faultKinds {
		known = known || k.Kind == kind
	}
	if !known || times < 0 || times > 1000 {
		return fmt.Errorf("aucune panne « %s » %s fois", kind, strconv.Itoa(times))
	}
	s.memory.Faults = slices.DeleteFunc(s.memory.Faults, func(f *fault) bool { return f.Kind == kind })
	if times > 0 {
		s.memory.Faults = append(s.memory.Faults, &fault{kind, times})
	}
	s.keep()
	return nil
}

// meet gives the first fault of the kinds that is left, and counts it.
func (s *Site) meet(kinds ...string) string {
	for _, f := range s.memory.Faults {
		if slices.Contains(kinds, f.Kind) {
			if f.Left--; f.Left == 0 {
				s.memory.Faults = slices.DeleteFunc(s.memory.Faults, func(f *fault) bool { return f.Left == 0 })
			}
			return f.Kind
		}
	}
	return ""
}
