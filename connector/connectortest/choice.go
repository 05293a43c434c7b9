package connectortest

import (
	"slices"
	"testing"

	"guichet/bank"
	simbank "guichet/sim/bank"
)

// choose logs in to a bank that offers several ways to confirm, and chooses one.
func (h *House) choose(way string) bank.Outcome {
	h.t.Helper()
	q := h.want(h.LogIn(), bank.Asks, bank.Pick).Question
	if len(q.Fields) != 1 || !slices.ContainsFunc(q.Fields[0].Choices, func(c bank.Choice) bool { return c.Value == way && c.Label != "" }) {
		h.t.Fatalf("question %+v", q)
	}
	if n := h.seen(); n.CodesSent != 0 || n.AppAsked != 0 {
		h.t.Errorf("something was sent before the choice: %+v", n)
	}
	return h.Answer(way)
}

// choice: the bank sends what was chosen, once, and asks what belongs to it.
func choice(t *testing.T, s Subject) {
	for way, medium := range map[string]string{"sms": "sms", "mail": "mail"} {
		h := Open(t, s, "choice-"+way)
		q := h.want(h.choose(way), bank.Asks, bank.OTPSent).Question
		if q.MediumType != medium || q.Medium == "" || q.Deadline.IsZero() {
			t.Errorf("%s: question %+v", way, q)
		}
		h.want(h.Answer("000000"), bank.AnswerRejected, "")
		h.want(h.Answer("123456"), bank.OK, "")
		h.want(h.Alone(), bank.OK, "")
		if n := h.seen(); n.CodesSent != 1 || n.CodesTried != 2 || n.AppAsked != 0 || (n.CodesMailed == 1) != (way == "mail") {
			t.Errorf("%s: the bank saw %+v", way, n)
		}
	}
	h := Open(t, s, "choice-app")
	if err := h.Site.Decide("choice-app", simbank.DecisionApprove); err != nil {
		t.Fatal(err)
	}
	h.want(h.choose("app"), bank.Asks, bank.Decoupled)
	h.want(h.Answer(""), bank.OK, "")
	if n := h.seen(); n.AppAsked != 1 || n.CodesSent != 0 || n.Logins != 1 {
		t.Errorf("app: the bank saw %+v", n)
	}
}

// choiceLost: the bank took the choice and its answer was lost, or we died. What
// is chosen next, from the session of before, finds what was sent and sends
// nothing.
func choiceLost(t *testing.T, s Subject) {
	for _, next := range []string{"sms", "app"} {
		h := Open(t, s, "choice")
		h.faults(simbank.Fault{PathPrefix: "/choice", Method: "POST", Kind: simbank.FaultReset, Times: 1})
		h.want(h.choose("sms"), bank.BankUnavailable, "")
		asked := h.want(h.Answer(next), bank.Asks, bank.OTPSent).Question
		if asked.MediumType != "sms" {
			t.Errorf("then %s: question %+v", next, asked)
		}
		h.want(h.Answer("123456"), bank.OK, "")
		if n := h.seen(); n.CodesSent != 1 || n.AppAsked != 0 || n.Choices != 1 || n.Logins != 1 {
			t.Errorf("then %s: the bank saw %+v", next, n)
		}
	}
}

// choiceInvalid: what the bank does not offer is not chosen, and what it offers
// still is.
func choiceInvalid(t *testing.T, s Subject) {
	h := Open(t, s, "choice")
	h.want(h.LogIn(), bank.Asks, bank.Pick)
	for _, way := range []string{"pigeon", "", "SMS au 06"} {
		h.want(h.Answer(way), bank.AnswerRejected, "")
	}
	if n := h.seen(); n.CodesSent != 0 || n.AppAsked != 0 || n.Choices != 0 {
		t.Errorf("the bank saw %+v", n)
	}
	h.want(h.Answer("sms"), bank.Asks, bank.OTPSent)
	if n := h.seen(); n.CodesSent != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}
