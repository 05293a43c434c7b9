package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"guichet"
	"guichet/api"
	"guichet/bank"
	"guichet/canary"
	simconnector "guichet/connector/sim"
	"guichet/job"
	"guichet/people"
	simbank "guichet/sim/bank"
	"guichet/store"
	"guichet/store/storetest"
	"guichet/web"
	"guichet/web/view"
)

// A house is the pages of the bank window with all that they have in production:
// a database, the job runner, and the web site of a bank.
type house struct {
	*process
	t      *testing.T
	db     *storetest.DB
	site   *simbank.Site
	sim    string
	sealer bank.Sealer
	// discard is the seed's literal rule for unfinished creations.
	discard bool
	// firstWord is how long a form waits for the bank: on a busy machine every bank is slow.
	firstWord time.Duration
}

// A process is what dies when a server dies.
type process struct {
	desk   *bank.Desk
	people *people.Desk
	web    *httptest.Server
	logs   *logBook
	die    context.CancelFunc
	dead   *sync.WaitGroup
	// stopping, when closed, ends the streams.
	stopping chan struct{}
}

func newHouse(t *testing.T, db *storetest.DB) *house {
	t.Helper()
	return newHurriedHouse(t, db, 20*time.Second)
}

// newHurriedHouse is one in which a form waits so long for the bank, and no longer.
func newHurriedHouse(t *testing.T, db *storetest.DB, firstWord time.Duration) *house {
	t.Helper()
	// Sessions of browsers live by the machine's clock.
	db.Clock.Advance(time.Until(db.Clock.Now()) * -1)
	site := simbank.New(db.Clock.Clock())
	sim := httptest.NewServer(site)
	t.Cleanup(sim.Close)
	h := &house{t: t, db: db, site: site, sim: sim.URL, sealer: testSealer(t), firstWord: firstWord}
	h.process = h.start(db.Store)
	return h
}

// start is a process on the database, before the bank.
func (h *house) start(s *store.Store) *process {
	h.t.Helper()
	connector, err := simconnector.New(h.sim)
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{logs: &logBook{}, dead: &sync.WaitGroup{}}
	door := canary.NewDoor(h.t, shown...)
	log := door.Log(p.logs)
	clock := h.db.Clock.Clock()
	p.desk = &bank.Desk{
		Store: s.Bank(), Clock: clock, Sealer: h.sealer, Connectors: map[string]bank.Connector{"sim": connector}, Log: log, DiscardUnfinished: h.discard,
		Limits: bank.Limits{Beat: 20 * time.Millisecond, Grace: 200 * time.Millisecond},
	}
	p.people = &people.Desk{Store: s.People(), Clock: clock, Hasher: people.NewHasher(people.Params{Time: 1, MemoryKiB: 64, Threads: 1})}
	var ctx context.Context
	ctx, p.die = context.WithCancel(context.Background())
	runner := &job.Runner{
		Store: s.Jobs(), Clock: clock, Log: log, Poll: 20 * time.Millisecond,
		Handlers: map[string]job.Handler{bank.JobRun: func(ctx context.Context, c job.Claimed) error {
			var args bank.RunArgs
			if err := json.Unmarshal(c.Args, &args); err != nil {
				return job.Permanent(err)
			}
			return p.desk.Perform(ctx, args.Attempt)
		}},
	}
	p.dead.Go(func() { runner.Run(ctx) })
	p.stopping = make(chan struct{})
	p.web = httptest.NewUnstartedServer(nil)
	pages := &web.Server{
		Clock: clock, Log: log, URL: "http://" + p.web.Listener.Addr().String(), Zone: time.UTC, Windows: view.Windows{Bank: true},
		People: p.people, Bank: p.desk, Alerts: s.Alerts(), Sessions: s.Sessions(), Stopping: p.stopping, FirstWord: h.firstWord,
	}
	nobody := func(*http.Request) (guichet.Actor, string, error) { return guichet.Actor{}, "", nil }
	handler, err := pages.Handler((&api.Bank{Desk: p.desk, Log: log, Identify: nobody}).Handler())
	if err != nil {
		h.t.Fatal(err)
	}
	p.web.Config.Handler = door.Handler(handler)
	p.web.Start()
	h.t.Cleanup(func() {
		if p.stopping != nil {
			close(p.stopping)
		}
		p.web.Close()
		p.die()
		p.dead.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := p.desk.Stop(ctx); err != nil {
			h.t.Errorf("a run did not end: %v", err)
		}
		h.noSecrets(p.logs.String(), "the log")
		if strings.Contains(p.logs.String(), "level=ERROR") {
			h.t.Errorf("errors were logged:\n%s", p.logs)
		}
	})
	return p
}

// crash takes the process away without a word, and starts another one on the
// same database, as the house is set by now: two that are set otherwise, and run,
// would take each other's jobs. Browsers keep their cookies.
func (h *house) crash() {
	h.t.Helper()
	h.die()
	h.dead.Wait()
	h.web.CloseClientConnections()
	h.process = h.start(h.db.Open())
}

type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What no page and no log may ever hold.
const (
	bankPassword = "canary-password-5yx"
	rightCode    = "123456"
	wrongCode    = "000000"
)

func (h *house) noSecrets(text, where string) {
	h.t.Helper()
	if h.site == nil {
		return // there is no bank in this house
	}
	for _, secret := range []string{bankPassword, rightCode, wrongCode} {
		if strings.Contains(text, secret) {
			h.t.Errorf("%s holds %q", where, secret)
		}
	}
}

// A visitor is one browser of one person, without script.
type visitor struct {
	*house
	t      *testing.T
	client *http.Client
	me     people.Person
	htmx   string // what the next request says it is on; empty: it is a whole page
}

const signInPassword = "correct horse battery"

// visitor adds a person and signs them in.
func (h *house) visitor(email string) *visitor {
	h.t.Helper()
	me, err := h.people.AddPerson(h.t.Context(), guichet.System("test"), people.NewPerson{Email: email, Role: people.Member, Password: signInPassword})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.browser(me)
}

// browser signs a person in once more, in a browser of its own.
func (h *house) browser(me people.Person) *visitor {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	v := &visitor{house: h, t: h.t, me: me, client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
	if p := v.post("/sign-in", "email", me.Email, "password", signInPassword); p.url.Path != "/" && p.url.Path != "/compte" {
		h.t.Fatalf("not signed in: at %s", p.url)
	}
	return v
}

// A seen page is what an address answered, after the redirections.
type seen struct {
	v      *visitor
	status int
	url    *url.URL
	header http.Header
	body   string
	doc    *html.Node
}

func (v *visitor) get(address string) *seen { return v.send(http.MethodGet, address, nil) }

func (v *visitor) post(address string, pairs ...string) *seen {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.send(http.MethodPost, address, form)
}

func (v *visitor) send(method, address string, form url.Values) *seen {
	v.t.Helper()
	if !strings.HasPrefix(address, "http") {
		address = v.web.URL + address // which is another one once a server has died
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept-Language", "fr")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.htmx != "" {
		r.Header.Set("HX-Request", "true")
		r.Header.Set("HX-Current-URL", v.web.URL+v.htmx)
	}
	response, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	p := &seen{v: v, status: response.StatusCode, url: response.Request.URL, header: response.Header, body: string(body)}
	v.noSecrets(p.body, fmt.Sprintf("%s %s", method, address))
	if strings.Contains(p.body, "[error.") || strings.Contains(p.body, "[outcome.") || strings.Contains(p.body, "[access.") || strings.Contains(p.body, "[question.") {
		v.t.Errorf("%s %s shows a key without words", method, address)
	}
	if p.doc, err = html.Parse(strings.NewReader(p.body)); err != nil {
		v.t.Fatal(err)
	}
	return p
}

// in makes what follows ask for pieces of the page at an address.
func (v *visitor) in(page string) *visitor {
	inside := *v
	inside.htmx = page
	return &inside
}

// is fails the test unless the page is where and what it should be.
func (p *seen) is(status int, path string, says ...string) *seen {
	p.v.t.Helper()
	if p.status != status || p.url.Path != path {
		p.v.t.Fatalf("%d at %s, not %d at %s\n%s", p.status, p.url, status, path, p.words())
	}
	return p.says(says...)
}

func (p *seen) says(all ...string) *seen {
	p.v.t.Helper()
	words := p.words()
	for _, s := range all {
		if !strings.Contains(words, s) {
			p.v.t.Errorf("%s does not say %q:\n%s", p.url, s, words)
		}
	}
	return p
}

func (p *seen) saysNot(all ...string) *seen {
	p.v.t.Helper()
	words := p.words()
	for _, s := range all {
		if strings.Contains(words, s) {
			p.v.t.Errorf("%s says %q:\n%s", p.url, s, words)
		}
	}
	return p
}

// words is the text of a page, with its spaces made simple.
func (p *seen) words() string {
	var b strings.Builder
	for n := range p.doc.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// form finds the form whose action has something in it, with the values it would
// send as it stands.
func (p *seen) form(in string) (action string, values url.Values) {
	p.v.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || !strings.Contains(attribute(n, "action"), in) {
			continue
		}
		values = url.Values{}
		for i := range n.Descendants() {
			if i.Type == html.ElementNode && i.Data == "input" && (attribute(i, "type") != "checkbox" || hasAttribute(i, "checked")) {
				values.Set(attribute(i, "name"), attribute(i, "value"))
			}
		}
		return attribute(n, "action"), values
	}
	p.v.t.Fatalf("%s has no form to %s:\n%s", p.url, in, p.words())
	return "", nil
}

func hasAttribute(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// has tells whether the page has a form whose action has something in it.
func (p *seen) has(in string) bool {
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.Contains(attribute(n, "action"), in) {
			return true
		}
	}
	return false
}

// submit fills a form of the page and sends it.
func (p *seen) submit(in string, pairs ...string) *seen {
	p.v.t.Helper()
	action, values := p.form(in)
	for i := 0; i < len(pairs); i += 2 {
		if _, ok := values[pairs[i]]; !ok {
			p.v.t.Fatalf("the form to %s has no field %s", action, pairs[i])
		}
		values.Set(pairs[i], pairs[i+1])
	}
	return p.v.send(http.MethodPost, action, values)
}

// link finds the address of a link by its words.
func (p *seen) link(words string) string {
	p.v.t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && n.FirstChild != nil && strings.TrimSpace(n.FirstChild.Data) == words {
			return attribute(n, "href")
		}
	}
	p.v.t.Fatalf("%s has no link %q", p.url, words)
	return ""
}

// open fills the form of a new access.
func (v *visitor) open(login string) *seen {
	v.t.Helper()
	return v.get("/init/new-bank?institution=sim").submit("/init/new-bank", "fields.login", login, "fields.password", bankPassword)
}

// opened is a person's access that has its accounts.
func (v *visitor) opened(login string) {
	v.t.Helper()
	p := v.open(login)
	if strings.HasPrefix(login, "otp") {
		p = p.submit("/answer", "fields.code", rightCode)
	}
	v.eventually(p, "/accounts")
}

// eventually follows the pages, as their scripts do, until one is at an address.
func (v *visitor) eventually(p *seen, path string) *seen {
	v.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if p.url.Path == path {
			return p
		}
		c := v.cases()
		if len(c) > 0 {
			v.moved(c[len(c)-1].Attempt.ID)
			p = v.get("/attempts/" + c[len(c)-1].Attempt.ID.String() + "/question")
			continue
		}
		p = v.get(p.url.RequestURI())
	}
	v.t.Fatalf("never at %s; at %s:\n%s", path, p.url, p.words())
	return nil
}

// moved waits until an attempt needs somebody, or nobody.
func (v *visitor) moved(attempt guichet.ID) bank.Case {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	c, err := v.desk.Wait(ctx, v.me.Actor(), attempt, bank.Over)
	if err != nil || !bank.Over(c) {
		v.t.Fatalf("attempt %s: %s %s %v", attempt, c.Attempt.State, c.Challenge.Status, err)
	}
	return c
}

func (v *visitor) cases() []bank.Case {
	v.t.Helper()
	all, err := v.desk.Store.Cases(v.t.Context(), v.me.ID)
	if err != nil {
		v.t.Fatal(err)
	}
	return all
}

func (h *house) count(table string) string {
	h.t.Helper()
	return h.db.Value("SELECT CAST(COUNT(*) AS TEXT) FROM " + table)
}

// nothingLeft fails the test when anything of an access is still there.
func (h *house) nothingLeft() {
	h.t.Helper()
	if a, b, c := h.count("accesses"), h.count("accounts"), h.count("transactions"); a+b+c != "000" {
		h.t.Errorf("%s accesses, %s accounts, %s transactions are left", a, b, c)
	}
}
