package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// version of the protocol. A worker of another one is refused at its first word.
const version = 1

// An order is the one line a child is given. Secrets are in it, and nowhere else.
type order struct {
	Type        string            `json:"type"`
	V           int               `json:"v"`
	Run         string            `json:"run"`
	Op          string            `json:"op"` // all, balance or describe
	Institution string            `json:"institution,omitempty"`
	Account     string            `json:"account,omitempty"`
	Credentials map[string]string `json:"credentials,omitempty"`
	Present     bool              `json:"present"`
	Answer      *answer           `json:"answer,omitempty"`
	State       string            `json:"state,omitempty"`
	Since       string            `json:"since,omitempty"`
	Now         *time.Time        `json:"now,omitempty"`
	Deadline    *time.Time        `json:"deadline,omitempty"`
	Locale      string            `json:"locale,omitempty"`
}

type answer struct {
	Method string            `json:"method"`
	Fields map[string]string `json:"fields"`
	Resend bool              `json:"resend,omitempty"`
}

func newOrder(run bank.Run, id string, deadline time.Time) order {
	o := order{
		Type: "run", V: version, Run: id, Op: string(run.Op), Institution: run.Institution, Account: run.AccountRef,
		Credentials: reveal(run.Credentials), Present: run.Present, State: run.State.Reveal(), Since: string(run.Since), Locale: run.Locale,
	}
	if now := run.Now.UTC(); !now.IsZero() {
		o.Now = &now
	}
	if at := deadline.UTC(); !at.IsZero() {
		o.Deadline = &at
	}
	if a := run.Answer; a != nil {
		o.Answer = &answer{Method: string(a.Method), Fields: reveal(a.Fields), Resend: a.Resend}
	}
	return o
}

func reveal(secrets map[string]guichet.Secret) map[string]string {
	plain := make(map[string]string, len(secrets))
	for id, s := range secrets {
		plain[id] = s.Reveal()
	}
	return plain
}

// A reception gives to the sink what a run brings.
type reception struct{ sink bank.Sink }

type accountMessage struct {
	Ref      string    `json:"ref"`
	Label    string    `json:"label"`
	Number   string    `json:"number"`
	IBAN     string    `json:"iban"`
	Kind     string    `json:"kind"`
	Subtype  string    `json:"subtype"`
	Parent   string    `json:"parent"`
	Balance  string    `json:"balance"`
	Currency string    `json:"currency"`
	AsOf     time.Time `json:"as_of"`
}

type transactionsMessage struct {
	Account string            `json:"account"`
	Items   []transactionItem `json:"items"`
}

type transactionItem struct {
	Ref              string `json:"ref"`
	Status           string `json:"status"`
	Type             string `json:"type"`
	RawLabel         string `json:"raw_label"`
	Label            string `json:"label"`
	Amount           string `json:"amount"`
	Currency         string `json:"currency"`
	OriginalAmount   string `json:"original_amount"`
	OriginalCurrency string `json:"original_currency"`
	BookedOn         string `json:"booked_on"`
	DoneOn           string `json:"done_on"`
	ValueOn          string `json:"value_on"`
}

// hear implements listener. What it does not know is passed over: a newer worker
// may say more.
func (r *reception) hear(kind string, line []byte) error {
	switch kind {
	case "progress":
		var m struct {
			Phase string `json:"phase"`
			Done  int    `json:"done"`
			Total int    `json:"total"`
		}
		if err := read(line, &m); err != nil {
			return err
		}
		r.sink.Progress(bank.Phase(m.Phase), m.Done, m.Total)
	case "warning":
		var m struct {
			Code    string `json:"code"`
			Account string `json:"account"`
		}
		if err := read(line, &m); err != nil {
			return err
		}
		r.sink.Warn(m.Code, m.Account)
	case "account":
		var m accountMessage
		if err := read(line, &m); err != nil {
			return err
		}
		return r.account(m)
	case "transactions":
		var m transactionsMessage
		if err := read(line, &m); err != nil {
			return err
		}
		return r.transactions(m)
	}
	return nil
}

func read(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return failed(bank.ReasonProtocol, "a message has another shape")
	}
	return nil
}

// refused is data that the sink or we do not take. What it was is not repeated:
// it is about someone's money.
func refused(err error) error { return failed(bank.ReasonProtocol, err.Error()) }

func (r *reception) account(m accountMessage) error {
	balance, err := parseMoney(m.Balance, m.Currency)
	if err != nil {
		return refused(err)
	}
	if err := r.sink.Account(ledger.Account{
		Ref: m.Ref, Kind: ledger.AccountKind(m.Kind), Subtype: m.Subtype, Label: m.Label, IBAN: m.IBAN, Number: m.Number,
		Parent: m.Parent, Balance: balance, AsOf: m.AsOf,
	}); err != nil {
		return refused(err)
	}
	return nil
}

func (r *reception) transactions(m transactionsMessage) error {
	list := make([]ledger.Transaction, 0, len(m.Items))
	for _, i := range m.Items {
		t := ledger.Transaction{
			Ref: i.Ref, Status: ledger.Status(i.Status), Type: i.Type, RawLabel: i.RawLabel, Label: i.Label,
			BookedOn: ledger.Date(i.BookedOn), DoneOn: ledger.Date(i.DoneOn), ValueOn: ledger.Date(i.ValueOn),
		}
		var err error
		if t.Amount, err = parseMoney(i.Amount, i.Currency); err != nil {
			return refused(err)
		}
		if i.OriginalAmount != "" {
			if t.Original, err = parseMoney(i.OriginalAmount, i.OriginalCurrency); err != nil {
				return refused(err)
			}
		}
		list = append(list, t)
	}
	if err := r.sink.Transactions(m.Account, list); err != nil {
		return refused(err)
	}
	return nil
}

// A resultMessage is the last word of a run.
type resultMessage struct {
	Run          string         `json:"run"`
	Outcome      outcomeMessage `json:"outcome"`
	State        string         `json:"state"`
	StateExpires time.Time      `json:"state_expires"`

	tail string // the end of its standard error
}

type outcomeMessage struct {
	Kind       string           `json:"kind"`
	Reason     string           `json:"reason"`
	Text       string           `json:"text"`
	BadFields  []string         `json:"bad_fields"`
	RetryAfter time.Time        `json:"retry_after"`
	TriesLeft  *int             `json:"tries_left"`
	Question   *questionMessage `json:"question"`
}

type questionMessage struct {
	Method      string       `json:"method"`
	Prompt      string       `json:"prompt"`
	Fields      []bank.Field `json:"fields"`
	MediumType  string       `json:"medium_type"`
	Medium      string       `json:"medium"`
	Image       []byte       `json:"image"` // base64 of a PNG
	RedirectURL string       `json:"redirect_url"`
	Deadline    time.Time    `json:"deadline"`
	TriesLeft   *int         `json:"tries_left"`
	Resendable  bool         `json:"resendable"`
}

// reasons are the words that may say more of an outcome. Code branches on some of
// them; whatever else a child puts there is not kept.
var reasons = []string{
	"sca", "redirect", "consent_expired", // interaction_required
	"acknowledge", "fill_kyc", "enable_mfa", "perform_mfa", "payment", "contact", // action_required
	bank.ReasonFormat, "generic", // answer_rejected, challenge_declined
	bank.ReasonMissing, bank.ReasonCrash, bank.ReasonProtocol, "load", "bug", "unsupported", // connector_error
}

func reason(s string) string {
	if slices.Contains(reasons, s) {
		return s
	}
	return ""
}

func tries(n *int) int {
	if n == nil || *n < 0 {
		return -1
	}
	return *n
}

const maxState = 512 << 10

// result says in the words of package bank how the run ended, or that it did not
// end in any way we know.
func (m *resultMessage) result(run bank.Run, hide *redactor) (bank.Result, error) {
	o := bank.Outcome{
		Kind: bank.OutcomeKind(m.Outcome.Kind), Reason: reason(m.Outcome.Reason), Text: hide.text(m.Outcome.Text),
		BadFields: m.Outcome.BadFields, RetryAfter: m.Outcome.RetryAfter, TriesLeft: tries(m.Outcome.TriesLeft),
	}
	bad := func(what string) (bank.Result, error) { return bank.Result{}, failed(bank.ReasonProtocol, what) }
	switch {
	case !slices.Contains(bank.OutcomeKinds(), o.Kind):
		return bad("an outcome that nobody knows")
	case len(m.State) > maxState:
		return bad("the session is too large")
	case o.Kind == bank.Cancelled:
		// Nobody told it to stop, or we would not be here.
		return bad("it says that it was cancelled")
	case o.Kind == bank.AnswerRejected && run.Answer == nil:
		return bad("it refuses an answer that nobody gave")
	case o.Kind == bank.Asks && !run.Present:
		// It should not have let the bank ask. Whoever comes next asks anew.
		return bank.Result{Outcome: bank.Outcome{Kind: bank.InteractionRequired, Reason: "sca", TriesLeft: -1}}, nil
	case o.Kind == bank.Asks:
		q, err := m.Outcome.Question.question(hide)
		if err != nil {
			return bank.Result{}, err
		}
		o.Question = q
	}
	result := bank.Result{Outcome: o}
	if o.Kind == bank.Asks || o.Kind.Class() == bank.Done {
		result.State, result.StateExpires = guichet.Secret(m.State), m.StateExpires
	}
	return result, nil
}

func (m *questionMessage) question(hide *redactor) (*bank.Question, error) {
	switch {
	case m == nil:
		return nil, failed(bank.ReasonProtocol, "it asks and says not what")
	case len(m.Image) > 0 && !bytes.HasPrefix(m.Image, []byte("\x89PNG\r\n\x1a\n")):
		return nil, failed(bank.ReasonProtocol, "an image that is none")
	}
	q := &bank.Question{
		Method: bank.Method(m.Method), Prompt: hide.text(m.Prompt), Fields: m.Fields, MediumType: m.MediumType, Medium: hide.text(m.Medium),
		Image: m.Image, RedirectURL: m.RedirectURL, Deadline: m.Deadline, TriesLeft: tries(m.TriesLeft), Resendable: m.Resendable,
	}
	for i := range q.Fields {
		q.Fields[i].Label = hide.text(q.Fields[i].Label)
	}
	return q, nil
}

// A description collects the institutions that a worker lists.
type description struct{ modules []Module }

// What a worker may list; more is no list of banks.
const (
	maxModules = 5000
	maxFields  = 50
)

var sensibleID = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

// hear implements listener.
func (d *description) hear(kind string, line []byte) error {
	if kind != "institution" {
		return nil
	}
	var m struct {
		ID      string       `json:"id"`
		Name    string       `json:"name"`
		Version string       `json:"version"`
		Problem string       `json:"problem"`
		Trusts  int64        `json:"trusts_seconds"`
		Fields  []bank.Field `json:"fields"`
	}
	if err := read(line, &m); err != nil {
		return err
	}
	known := slices.ContainsFunc(d.modules, func(o Module) bool { return o.ID == m.ID })
	switch {
	case !sensibleID.MatchString(m.ID), known:
		return failed(bank.ReasonProtocol, fmt.Sprintf("an institution cannot have the id %.80q", m.ID))
	case len(d.modules) >= maxModules || len(m.Fields) > maxFields:
		return failed(bank.ReasonProtocol, "it lists too much")
	}
	module := Module{
		Institution: bank.Institution{ID: m.ID, Name: m.Name, Fields: m.Fields, Trusts: time.Duration(max(0, min(m.Trusts, 400*24*3600))) * time.Second},
		Version:     m.Version, Problem: m.Problem,
	}
	if m.Name == "" {
		module.Name = m.ID
	}
	if module.Fields == nil {
		module.Fields = []bank.Field{}
	}
	d.modules = append(d.modules, module)
	return nil
}
