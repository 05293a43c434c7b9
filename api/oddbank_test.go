package api_test

import (
	"context"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// An oddBank is a bank of the outside world that asks what the simulated one does
// not: one code after another, at its own pace. The login chooses; what it knows
// between two runs is in the session alone.
type oddBank struct {
	gone chan struct{} // closed when a run that hangs was told to stop
	here chan struct{} // closed when such a run is at the bank
}

func newOddBank() *oddBank {
	return &oddBank{gone: make(chan struct{}), here: make(chan struct{})}
}

func (b *oddBank) Institutions(context.Context) ([]bank.Institution, error) {
	return []bank.Institution{{ID: "odd", Name: "Une banque singulière", Fields: []bank.Field{
		{ID: "login", Label: "Identifiant", Required: true}, {ID: "password", Label: "Mot de passe", Masked: true, Required: true},
	}}}, nil
}

func (b *oddBank) Run(ctx context.Context, run bank.Run, sink bank.Sink) bank.Result {
	login := run.Credentials["login"].Reveal()
	ask := func(state string, q bank.Question) bank.Result {
		q.TriesLeft = -1
		return bank.Result{State: guichet.Secret(state), Outcome: bank.Outcome{Kind: bank.Asks, TriesLeft: -1, Question: &q}}
	}
	code := bank.Field{ID: "code", Label: "Code", Pattern: `\d{6}`, Required: true}
	switch at := run.State.Reveal(); {
	case login == "hang":
		close(b.here)
		<-ctx.Done()
		close(b.gone)
		return bank.Result{Outcome: bank.Outcome{Kind: bank.Cancelled}}
	case login == "twice" && at == "":
		return ask("first", bank.Question{Method: bank.OTPSent, MediumType: "sms", Medium: "06 •• •• •• 12", Fields: []bank.Field{code}})
	case login == "twice" && at == "first":
		return ask("second", bank.Question{Method: bank.OTPDevice, Prompt: "Code du boîtier", Fields: []bank.Field{code, {ID: "serial", Label: "Numéro du boîtier", Required: true}}})
	}
	if err := sink.Account(ledger.Account{Ref: "1", Kind: ledger.Cash, Label: "Compte", Balance: ledger.Money{Minor: 100, Currency: "EUR"}}); err != nil {
		return bank.Result{Outcome: bank.Outcome{Kind: bank.ConnectorError, Reason: "bug"}}
	}
	return bank.Result{Outcome: bank.Outcome{Kind: bank.OK}}
}
