package bank

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"guichet/ledger"
)

// A stage keeps in memory what a run brings, until it is committed whole or
// dropped whole. It is the [Sink] of the run, and it believes nothing.
type stage struct {
	limits Limits
	at     progress

	mu           sync.Mutex
	accounts     []ledger.Account
	index        map[string]int // of accounts, by the bank's reference
	transactions [][]ledger.Transaction
	warnings     []Warning
	count        int
	err          error
	closed       bool
}

func newStage(l Limits) *stage { return &stage{limits: l, index: map[string]int{}} }

var errStageClosed = errors.New("the run is over")

// close makes the stage refuse what a connector that did not stop still sends.
func (s *stage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// broken is the first promise that the run broke, if any.
func (s *stage) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Progress implements Sink.
func (s *stage) Progress(phase Phase, done, total int) {
	if i := slices.Index(phases, phase); i >= 0 {
		s.at.phase.Store(int64(i))
		s.at.done.Store(int64(max(0, done)))
		s.at.total.Store(int64(max(0, total)))
	}
}

func (s *stage) progress() (Phase, int, int) {
	return phases[s.at.phase.Load()], int(s.at.done.Load()), int(s.at.total.Load())
}

// Account implements Sink.
func (s *stage) Account(a ledger.Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.index[a.Ref]
	switch {
	case s.closed:
		return errStageClosed
	case a.Ref == "" || len(a.Ref) > 200:
		return s.fail("an account has no usable reference")
	case known:
		return s.fail("two accounts have the same reference")
	case len(s.accounts) >= s.limits.Accounts:
		return s.fail("there are too many accounts")
	case !ledger.ValidCurrency(a.Balance.Currency):
		return s.fail("a balance is in no currency")
	}
	a.ID, a.AccessID, a.Missing = "", "", false
	a.Subtype, a.Label, a.Number = printable(a.Subtype, 60), printable(a.Label, 200), printable(a.Number, 60)
	a.IBAN, a.Parent = printable(a.IBAN, 40), printable(a.Parent, 200)
	if !slices.Contains(ledger.AccountKinds(), a.Kind) {
		a.Kind = ledger.OtherKind
	}
	s.index[a.Ref] = len(s.accounts)
	s.accounts = append(s.accounts, a)
	s.transactions = append(s.transactions, nil)
	return nil
}

// Transactions implements Sink.
func (s *stage) Transactions(accountRef string, ts []ledger.Transaction) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.index[accountRef]
	switch {
	case s.closed:
		return errStageClosed
	case !known:
		return s.fail("transactions of an account that was not listed")
	case len(ts) > 1000:
		return s.fail("more than 1000 transactions at a time")
	case s.count+len(ts) > s.limits.Transaction:
		return s.fail("there are too many transactions")
	}
	for _, t := range ts {
		t, err := tidyTransaction(t)
		if err != nil {
			return s.fail(err.Error())
		}
		s.transactions[at] = append(s.transactions[at], t)
	}
	s.count += len(ts)
	return nil
}

// Warn implements Sink.
func (s *stage) Warn(code, accountRef string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && len(s.warnings) < 100 {
		s.warnings = append(s.warnings, Warning{Code: printable(code, 60), Account: printable(accountRef, 200)})
	}
}

// fail keeps the first broken promise; the run's data is worth nothing then.
func (s *stage) fail(text string) error {
	if s.err == nil {
		s.err = errors.New(text)
	}
	return s.err
}

// tidyTransaction refuses what no bank can mean and trims what is only long.
func tidyTransaction(t ledger.Transaction) (ledger.Transaction, error) {
	t.ID, t.AccountID, t.SeenOn = "", "", ""
	for _, day := range []ledger.Date{t.BookedOn, t.DoneOn, t.ValueOn} {
		if day == "" {
			continue
		}
		if _, err := ledger.ParseDate(string(day)); err != nil || day < "1900" || day > "2200" {
			return t, errors.New("a transaction has an impossible date")
		}
	}
	switch {
	case !ledger.ValidCurrency(t.Amount.Currency), t.Original != ledger.Money{} && !ledger.ValidCurrency(t.Original.Currency):
		return t, errors.New("an amount is in no currency")
	case t.Status != ledger.Booked && t.Status != ledger.Pending && t.Status != ledger.Scheduled:
		return t, fmt.Errorf("a transaction has the status %q", printable(string(t.Status), 20))
	case t.Status == ledger.Booked && t.BookedOn == "":
		return t, errors.New("a booked transaction has no day")
	case len(t.Ref) > 200:
		t.Ref = "" // no id is that long
	}
	t.RawLabel, t.Label, t.Type = printable(t.RawLabel, 500), printable(t.Label, 500), printable(t.Type, 40)
	if t.Label == "" {
		t.Label = t.RawLabel
	}
	return t, nil
}

// tidy makes a question of a bank fit to be kept and shown, or refuses it.
func (q *Question) tidy() error {
	if q == nil {
		return errors.New("a question is missing")
	}
	if !slices.Contains(Methods(), q.Method) {
		return errors.New("a question has an unknown method")
	}
	q.Prompt, q.Medium, q.MediumType = printable(q.Prompt, 500), printable(q.Medium, 100), printable(q.MediumType, 20)
	switch {
	case q.Method == Decoupled && len(q.Fields) > 0:
		return errors.New("a validation on the phone has fields")
	case q.Method != Decoupled && len(q.Fields) == 0:
		return errors.New("a question has no field")
	case len(q.Fields) > 20:
		return errors.New("a question has too many fields")
	case len(q.Image) > 256<<10:
		return errors.New("an image is too large")
	}
	if q.Method == Redirect {
		if u, err := url.Parse(q.RedirectURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(q.RedirectURL) > 8192 {
			return errors.New("a redirection goes nowhere")
		}
	} else {
		q.RedirectURL = ""
	}
	ids := map[string]bool{}
	for i := range q.Fields {
		f := &q.Fields[i]
		if f.ID == "" || len(f.ID) > 100 || ids[f.ID] || len(f.Choices) > 200 || len(f.Pattern) > 1000 {
			return errors.New("a field of a question cannot be used")
		}
		ids[f.ID] = true
		f.Label = printable(f.Label, 200)
		for j := range f.Choices {
			f.Choices[j].Label = printable(f.Choices[j].Label, 200)
		}
	}
	return nil
}
