package bank_test

import (
	"context"

	"guichet"
	"guichet/bank"
)

// A verdict is what the bank of the model says when it is asked to say something.
type verdict string

const (
	bankGives           verdict = "gives its data"
	bankAsksCode        verdict = "asks for a code"
	bankAsksPhone       verdict = "asks on the phone"
	bankRejects         verdict = "rejects the answer"
	bankIsDown          verdict = "is down"
	bankRefusesPassword verdict = "refuses the password"
	bankIsTooLate       verdict = "says it is too late"
	phoneSaysNo         verdict = "hears no from the phone"
	connectorDies       verdict = "(the connector dies)"
)

var verdicts = []verdict{bankAsksCode, bankAsksCode, bankAsksCode, bankAsksPhone, bankGives, bankRejects, bankGives, bankAsksCode, bankAsksPhone, bankRejects, bankIsDown, bankRefusesPassword, bankIsTooLate, phoneSaysNo, connectorDies}

// A call is one run that is at the bank.
type call struct {
	at      *replica
	attempt guichet.ID
	run     bank.Run
	says    chan verdict
	left    chan struct{} // closed when the connector came back
}

// A replica is one process: a desk, and the bank as it reaches it.
type replica struct {
	*bank.Desk
	w       *modelWorld
	updates chan struct{} // one for each transaction
}

// Institutions implements bank.Connector.
func (r *replica) Institutions(context.Context) ([]bank.Institution, error) {
	return newFakeBank().Institutions(context.Background())
}

// Run implements bank.Connector: it holds the run until the test says what the
// bank says, or until it is told to stop.
func (r *replica) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	c := &call{at: r, run: run, says: make(chan verdict), left: make(chan struct{})}
	defer close(c.left)
	r.w.arrived <- c
	var v verdict
	select {
	case v = <-c.says:
	case <-ctx.Done():
		return bank.Result{Outcome: bank.Outcome{Kind: bank.Cancelled}}
	}
	q := bank.Question{Method: bank.OTPSent, TriesLeft: -1, Resendable: true, Fields: []bank.Field{{ID: "code", Label: "Code", Pattern: codePattern, Required: true}}}
	o := bank.Outcome{TriesLeft: -1}
	switch v {
	case bankGives:
		accounts, lists := oneAccount()
		if sink.Account(accounts[0]) != nil || sink.Transactions("a1", lists["a1"]) != nil {
			o.Kind = bank.ConnectorError
			break
		}
		o.Kind = bank.OK
	case bankAsksCode:
		o.Kind, o.Question = bank.Asks, &q
	case bankAsksPhone:
		o.Kind, o.Question = bank.Asks, &bank.Question{Method: bank.Decoupled, TriesLeft: -1}
	case connectorDies:
		panic(canaryPassword)
	default:
		o.Kind = map[verdict]bank.OutcomeKind{
			bankRejects: bank.AnswerRejected, bankIsDown: bank.BankUnavailable, bankRefusesPassword: bank.BadCredentials,
			bankIsTooLate: bank.ChallengeExpired, phoneSaysNo: bank.ChallengeDeclined,
		}[v]
	}
	return bank.Result{Outcome: o, State: canarySession}
}

// heard is a store that tells of each transaction.
type heard struct {
	bank.Store
	updates chan struct{}
}

func (s heard) Update(ctx context.Context, fn func(bank.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	s.updates <- struct{}{}
	return err
}
