// Package connectortest is what every connector passes, wherever it runs: the
// promises of package bank, kept against the real pages of the simulated bank.
package connectortest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	simbank "guichet/sim/bank"
)

// A Subject is the connector to be examined.
type Subject struct {
	// New makes a connector to the simulated bank at an address. It is called for
	// every run: nothing may survive in one but what the run returned.
	New func(t testing.TB, address string) bank.Connector
	// Institution is the simulated bank's id.
	Institution string
	// Form is what a person types to log in there.
	Form func(address, login, password string) map[string]guichet.Secret
}

// Password is what the suite logs in with, and looks for where it must not be.
const Password = "sésame-ouvre-toi/24" //nolint:gosec // opens nothing

// An Account is what came of one account.
type Account struct {
	ledger.Account
	Transactions []ledger.Transaction
}

// A House is a simulated bank with one customer, seen through a connector; it
// keeps between two runs what the database would: the state.
type House struct {
	t       testing.TB
	subject Subject
	Site    *simbank.Site
	Address string
	Login   string

	state    guichet.Secret
	question *bank.Question
}

// Open builds a simulated bank for a customer whose login chooses the story.
func Open(t testing.TB, s Subject, login string) *House {
	t.Helper()
	site := simbank.New(guichet.Clock{Now: guichet.SystemClock().Now, Rand: rand.Reader})
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return &House{t: t, subject: s, Site: site, Address: server.URL, Login: login}
}

// As is the same customer of the same bank through another connector.
func (h *House) As(s Subject) *House {
	return &House{t: h.t, subject: s, Site: h.Site, Address: h.Address, Login: h.Login}
}

// Run makes one run. change, when given, changes the order first.
func (h *House) Run(ctx context.Context, change func(*bank.Run)) (bank.Result, []Account) {
	h.t.Helper()
	order := bank.Run{
		Institution: h.subject.Institution, Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now(), Locale: "fr", State: h.state,
		Credentials: h.subject.Form(h.Address, h.Login, Password),
	}
	if change != nil {
		change(&order)
	}
	sink := &notes{t: h.t}
	result := h.subject.New(h.t, h.Address).Run(ctx, order, sink)
	h.check(order, result)
	if result.State != "" {
		h.state = result.State
	}
	if result.Outcome.Kind == bank.Asks {
		h.question = result.Outcome.Question
	}
	return result, sink.finish()
}

// check holds what is true of every result.
func (h *House) check(order bank.Run, r bank.Result) {
	h.t.Helper()
	o := r.Outcome
	if !slices.Contains(bank.OutcomeKinds(), o.Kind) {
		h.t.Errorf("the outcome %q is unknown", o.Kind)
	}
	if (o.Kind == bank.Asks) != (o.Question != nil) {
		h.t.Errorf("%s with question %v", o.Kind, o.Question)
	}
	secrets := []string{Password, url.QueryEscape(Password)}
	if order.Answer != nil {
		for _, s := range order.Answer.Fields {
			secrets = append(secrets, s.Reveal())
		}
	}
	said := fmt.Sprintf("%+v %+v", o, o.Question)
	for _, s := range secrets {
		if len(s) > 5 && (strings.Contains(said, s) || strings.Contains(r.State.Reveal(), s)) {
			h.t.Errorf("a secret is in what comes back: %s", o.Kind)
		}
	}
	replaces := o.Kind == bank.Asks || o.Kind.Class() == bank.Done
	if replaces != (r.State != "") {
		h.t.Errorf("%s returns a session: %v", o.Kind, r.State != "")
	}
	if o.Kind == bank.Asks && !order.Present {
		h.t.Error("it asks, and nobody is there")
	}
}

// LogIn is a first run, with a person there.
func (h *House) LogIn() bank.Outcome {
	h.t.Helper()
	r, _ := h.Run(h.t.Context(), nil)
	return r.Outcome
}

// Alone is a run of the night.
func (h *House) Alone() bank.Outcome {
	h.t.Helper()
	r, _ := h.Run(h.t.Context(), func(o *bank.Run) { o.Present = false })
	return r.Outcome
}

// Answer gives a value to the one field of the question that was asked.
func (h *House) Answer(value string) bank.Outcome {
	h.t.Helper()
	r, _ := h.Run(h.t.Context(), h.answering(value))
	return r.Outcome
}

func (h *House) answering(value string) func(*bank.Run) {
	if h.question == nil {
		h.t.Fatal("nothing was asked")
	}
	return func(o *bank.Run) {
		o.Answer = &bank.Answer{Method: h.question.Method, Fields: map[string]guichet.Secret{}}
		if len(h.question.Fields) > 0 {
			o.Answer.Fields[h.question.Fields[0].ID] = guichet.Secret(value)
		}
	}
}

// want stops the test unless the outcome is of a kind, and its question of a
// method.
func (h *House) want(o bank.Outcome, kind bank.OutcomeKind, method bank.Method) bank.Outcome {
	h.t.Helper()
	if o.Kind != kind || o.Question != nil && o.Question.Method != method {
		h.t.Fatalf("outcome %+v, want %s %s", o, kind, method)
	}
	return o
}

func (h *House) seen() simbank.Counters { return h.Site.Counters(h.Login) }

// notes is a sink that remembers, and holds its user to the promises of a Sink.
type notes struct {
	t testing.TB

	mu       sync.Mutex
	order    []string
	accounts map[string]*Account
	warnings []string
	waited   chan struct{} // closed when the phone is looked at
	refuse   error
	done     bool
}

func (n *notes) Progress(p bank.Phase, _, _ int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.after()
	if p == bank.WaitingUser && n.waited != nil {
		close(n.waited)
		n.waited = nil
	}
}

func (n *notes) Account(a ledger.Account) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.after()
	if n.accounts == nil {
		n.accounts = map[string]*Account{}
	}
	if a.Ref == "" || n.accounts[a.Ref] != nil || !ledger.ValidCurrency(a.Balance.Currency) {
		n.t.Errorf("an account cannot be used: %q in %q", a.Ref, a.Balance.Currency)
	}
	n.order = append(n.order, a.Ref)
	n.accounts[a.Ref] = &Account{Account: a}
	return n.refuse
}

func (n *notes) Transactions(ref string, ts []ledger.Transaction) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.after()
	a := n.accounts[ref]
	if a == nil || len(ts) > 1000 {
		n.t.Errorf("%d operations of %q, which was not listed or are too many at once", len(ts), ref)
		return n.refuse
	}
	for _, t := range ts {
		if _, err := ledger.ParseDate(string(t.BookedOn)); err != nil || t.RawLabel == "" || t.Amount.Currency == "" {
			n.t.Errorf("an operation of %q cannot be used", ref)
		}
	}
	a.Transactions = append(a.Transactions, ts...)
	return n.refuse
}

func (n *notes) Warn(code, ref string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.after()
	n.warnings = append(n.warnings, code+" "+ref)
}

func (n *notes) after() {
	if n.done {
		n.t.Error("something is said after the run has returned")
	}
}

func (n *notes) finish() (all []Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = true
	for _, ref := range n.order {
		all = append(all, *n.accounts[ref])
	}
	return all
}

// authorize does at the bank what a person does in a browser of their own, and
// returns the address that the bank sends them back to.
func (h *House) authorize(address, decision string) string {
	h.t.Helper()
	browser := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       10 * time.Second,
	}
	ask := func(method, address string, form url.Values) *http.Response {
		r, err := http.NewRequestWithContext(h.t.Context(), method, address, strings.NewReader(form.Encode()))
		if err != nil {
			h.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := browser.Do(r)
		if err != nil {
			h.t.Fatal(err)
		}
		return response
	}
	response := ask(http.MethodGet, address+"&state=nonce&redirect_uri="+url.QueryEscape("http://guichet.test/retour"), nil)
	page, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		h.t.Fatal(err)
	}
	fields := url.Values{"decision": {decision}}
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		fields.Set(m[1], m[2])
	}
	response = ask(http.MethodPost, address[:strings.Index(address, "?")], fields)
	_ = response.Body.Close()
	return response.Header.Get("Location")
}
