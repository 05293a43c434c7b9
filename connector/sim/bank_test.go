package simconnector

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	simbank "guichet/sim/bank"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const password = "sésame-ouvre-toi"

// open starts the real simulated bank.
func open(t *testing.T) (*simbank.Site, string) {
	t.Helper()
	site := simbank.New(guichet.Clock{Now: func() time.Time { return noon }, Rand: rand.Reader})
	server := httptest.NewServer(site)
	t.Cleanup(server.Close)
	return site, server.URL
}

// A desk is who starts runs: it keeps, between two of them, nothing but the
// state they return, as the database does.
type desk struct {
	t       *testing.T
	address string
	login   string
	state   guichet.Secret
	sink    *notes
	waiting func() // called each time a run looks at the phone
}

func newDesk(t *testing.T, address, login string) *desk {
	t.Helper()
	return &desk{t: t, address: address, login: login}
}

// run makes one run with a connector of its own: nothing can survive but the
// state.
func (d *desk) run(ctx context.Context, change func(*bank.Run)) bank.Result {
	d.t.Helper()
	c, err := New(d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	c.poll = time.Millisecond
	order := bank.Run{
		Institution: Institution, Op: bank.FetchAll, Present: true, Now: noon, Locale: "fr", State: d.state,
		Credentials: map[string]guichet.Secret{FieldLogin: guichet.Secret(d.login), FieldPassword: password},
	}
	if change != nil {
		change(&order)
	}
	d.sink = &notes{t: d.t, waiting: d.waiting, transactions: map[string][]ledger.Transaction{}}
	result := c.Run(ctx, order, d.sink)
	for _, secret := range []string{password, "123456"} {
		if strings.Contains(fmt.Sprintf("%+v", result), secret) || strings.Contains(result.State.Reveal(), secret) {
			d.t.Errorf("a secret is in the result: %+v", result.Outcome)
		}
	}
	switch result.Outcome.Kind {
	case bank.OK, bank.Partial, bank.NoAccounts, bank.Asks:
		if result.State == "" {
			d.t.Errorf("%s returns no session", result.Outcome.Kind)
		}
		d.state = result.State
	default:
		if result.State != "" {
			d.t.Errorf("%s replaces the session", result.Outcome.Kind)
		}
	}
	return result
}

func (d *desk) logIn() bank.Outcome {
	d.t.Helper()
	return d.run(d.t.Context(), nil).Outcome
}

func (d *desk) alone() bank.Outcome {
	d.t.Helper()
	return d.run(d.t.Context(), func(o *bank.Run) { o.Present = false }).Outcome
}

func (d *desk) answer(field, value string) bank.Outcome {
	d.t.Helper()
	return d.run(d.t.Context(), func(o *bank.Run) {
		o.Answer = &bank.Answer{Fields: map[string]guichet.Secret{field: guichet.Secret(value)}}
	}).Outcome
}

func (d *desk) resend() bank.Outcome {
	d.t.Helper()
	return d.run(d.t.Context(), func(o *bank.Run) { o.Answer = &bank.Answer{Method: bank.OTPSent, Resend: true} }).Outcome
}

// poll is the run that watches the phone.
func (d *desk) poll(ctx context.Context) bank.Outcome {
	d.t.Helper()
	return d.run(ctx, func(o *bank.Run) { o.Answer = &bank.Answer{Method: bank.Decoupled} }).Outcome
}

func want(t *testing.T, got bank.Outcome, kind bank.OutcomeKind, method bank.Method) bank.Outcome {
	t.Helper()
	if got.Kind != kind || (kind == bank.Asks) != (got.Question != nil) || got.Question != nil && got.Question.Method != method {
		t.Fatalf("outcome %+v, want %s %s", got, kind, method)
	}
	return got
}

// notes are a sink that remembers.
type notes struct {
	t            *testing.T
	waiting      func()
	phases       []bank.Phase
	accounts     []ledger.Account
	transactions map[string][]ledger.Transaction
	warnings     []string
	full         error // returned by Transactions
}

func (n *notes) Progress(p bank.Phase, done, total int) {
	n.phases = append(n.phases, p)
	if p == bank.WaitingUser && n.waiting != nil {
		n.waiting()
	}
	if done > total {
		n.t.Errorf("%s: %d of %d", p, done, total)
	}
}

func (n *notes) Account(a ledger.Account) error {
	n.accounts = append(n.accounts, a)
	return nil
}

func (n *notes) Transactions(ref string, ts []ledger.Transaction) error {
	if len(ts) > 1000 || len(n.accounts) == 0 || n.accounts[len(n.accounts)-1].Ref != ref {
		n.t.Errorf("%d operations of %q out of order", len(ts), ref)
	}
	n.transactions[ref] = append(n.transactions[ref], ts...)
	return n.full
}

func (n *notes) Warn(code, ref string) { n.warnings = append(n.warnings, code+" "+ref) }

func (n *notes) count() (total int) {
	for _, ts := range n.transactions {
		total += len(ts)
	}
	return total
}

// authorize does what the customer does in a browser of their own, and returns
// the address that the bank sends them back to.
func authorize(t *testing.T, address, decision string) string {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(address + "&state=nonce&redirect_uri=" + url.QueryEscape("http://guichet.test/retour"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("authorise page: %d %v", response.StatusCode, err)
	}
	fields := url.Values{"decision": {decision}}
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(string(page), -1) {
		fields.Set(m[1], m[2])
	}
	response, err = browser.PostForm(address[:strings.Index(address, "?")], fields)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	back := response.Header.Get("Location")
	if !strings.HasPrefix(back, "http://guichet.test/retour?") {
		t.Fatalf("the bank sends back to %q", back)
	}
	return back
}

func secret(s string) guichet.Secret { return guichet.Secret(s) }
