package connectortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet"
	"guichet/bank"
	simbank "guichet/sim/bank"
)

// Run examines a connector. Each promise is a test by name.
func Run(t *testing.T, s Subject) {
	for name, examine := range map[string]func(t *testing.T, s Subject){
		"lists its institution without asking it":  lists,
		"brings all data in one login":             brings,
		"brings one balance":                       bringsBalance,
		"code, then nothing for half a year":       code,
		"a wrong code is not a wrong password":     wrongCode,
		"a malformed code never reaches the bank":  malformedCode,
		"the third wrong code locks":               thirdCode,
		"a code that is too late":                  lateCode,
		"application, killed, and asked once":      application,
		"application refused, or forgotten":        applicationRefused,
		"application, then code":                   applicationThenCode,
		"choice of method":                         choice,
		"choice whose answer is lost":              choiceLost,
		"choice of what is not offered":            choiceInvalid,
		"redirect":                                 redirect,
		"captcha":                                  captcha,
		"the night disturbs nobody":                night,
		"what a person must do":                    persons,
		"outage before, and while answering":       outage,
		"too many requests":                        tooMany,
		"a session that ends while it is read":     sessionEnds,
		"pages that are broken":                    brokenPages,
		"an answer without its session":            orphan,
		"a state that is none":                     oddStates,
		"an institution and an operation unknown":  unknown,
		"cancel is obeyed at once":                 cancel,
		"a deadline is obeyed at once":             deadline,
		"a cancelled run never speaks to the bank": cancelledBefore,
		"a sink that refuses ends the run":         refusal,
		"many at once are as many alone":           atOnce,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			examine(t, s)
		})
	}
}

func lists(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	list, err := s.New(t, h.Address).Institutions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	masked := 0
	for _, i := range list {
		if i.ID != s.Institution {
			continue
		}
		for _, f := range i.Fields {
			if f.Masked {
				masked++
			}
		}
		if err := bank.CheckFields(i.Fields, s.Form(h.Address, "simple", Password)); err != nil {
			t.Errorf("its own form is refused: %v", err)
		}
	}
	if masked == 0 || h.Site.Counters("").Requests != 0 {
		t.Errorf("%d masked fields, %d requests: %+v", masked, h.Site.Counters("").Requests, list)
	}
}

func brings(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	r, accounts := h.Run(t.Context(), nil)
	h.want(r.Outcome, bank.OK, "")
	if len(accounts) != 4 {
		t.Fatalf("%d accounts", len(accounts))
	}
	for _, a := range accounts {
		if len(a.Transactions) == 0 || a.Label == "" || a.Number == "" {
			t.Errorf("%s %q has %d operations", a.Ref, a.Label, len(a.Transactions))
		}
	}
	if n := h.seen(); n.Logins != 1 {
		t.Errorf("%d logins", n.Logins)
	}
	// A month of it, for those that were there before.
	few, fewer := h.Run(t.Context(), func(o *bank.Run) { o.Since = accounts[0].Transactions[10].BookedOn })
	h.want(few.Outcome, bank.OK, "")
	if len(fewer) != 4 || len(fewer[0].Transactions) >= len(accounts[0].Transactions) || len(fewer[0].Transactions) < 10 {
		t.Errorf("since a day: %d operations of %d", len(fewer[0].Transactions), len(accounts[0].Transactions))
	}
}

func bringsBalance(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	_, all := h.Run(t.Context(), nil)
	r, accounts := h.Run(t.Context(), func(o *bank.Run) { o.Op, o.AccountRef = bank.FetchBalance, all[1].Ref })
	h.want(r.Outcome, bank.OK, "")
	if len(accounts) != 1 || accounts[0].Ref != all[1].Ref || accounts[0].Balance != all[1].Balance || len(accounts[0].Transactions) != 0 {
		t.Errorf("%+v", accounts)
	}
	r, accounts = h.Run(t.Context(), func(o *bank.Run) { o.Op, o.AccountRef = bank.FetchBalance, "closed" })
	h.want(r.Outcome, bank.Partial, "")
	if len(accounts) != 0 {
		t.Errorf("%+v", accounts)
	}
}

func code(t *testing.T, s Subject) {
	h := Open(t, s, "otp-claire")
	q := h.want(h.LogIn(), bank.Asks, bank.OTPSent).Question
	if q.MediumType != "sms" || !strings.HasPrefix(q.Medium, "06 •• ") || q.Prompt == "" || len(q.Fields) != 1 || q.Deadline.IsZero() {
		t.Errorf("question %+v", q)
	}
	r, accounts := h.Run(t.Context(), h.answering("123456"))
	h.want(r.Outcome, bank.OK, "")
	if len(accounts) == 0 || len(accounts[0].Transactions) == 0 {
		t.Error("no data came with the answer")
	}
	if left := r.StateExpires.Sub(guichet.SystemClock().Now()); left < 170*24*time.Hour || left > 190*24*time.Hour {
		t.Errorf("the device is trusted for %v", left)
	}
	h.want(h.Alone(), bank.OK, "")
	if n := h.seen(); n.CodesSent != 1 || n.CodesTried != 1 || n.Logins > 2 {
		t.Errorf("the bank saw %+v", n)
	}
	h.Site.Advance(181 * 24 * time.Hour)
	h.want(h.Alone(), bank.InteractionRequired, "")
	if n := h.seen(); n.CodesSent != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func wrongCode(t *testing.T, s Subject) {
	h := Open(t, s, "otp")
	h.want(h.LogIn(), bank.Asks, bank.OTPSent)
	for _, wrong := range []string{"000000", "000001"} {
		if o := h.want(h.Answer(wrong), bank.AnswerRejected, ""); o.Text == "" || o.Reason != "" {
			t.Errorf("%+v", o)
		}
	}
	h.want(h.Answer("123456"), bank.OK, "")
	if n := h.seen(); n.CodesSent != 1 || n.CodesTried != 3 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func malformedCode(t *testing.T, s Subject) {
	h := Open(t, s, "otp")
	h.want(h.LogIn(), bank.Asks, bank.OTPSent)
	before := h.seen()
	for _, malformed := range []string{"12345", "abcdef", "１２３４"} {
		if o := h.want(h.Answer(malformed), bank.AnswerRejected, ""); o.Reason != bank.ReasonFormat {
			t.Errorf("%q: %+v", malformed, o)
		}
	}
	if h.seen() != before {
		t.Errorf("the bank saw %+v", h.seen())
	}
	h.want(h.Answer(" 123456 "), bank.OK, "")
}

func thirdCode(t *testing.T, s Subject) {
	h := Open(t, s, "otp")
	h.want(h.LogIn(), bank.Asks, bank.OTPSent)
	h.Answer("000000")
	h.Answer("000000")
	h.want(h.Answer("000000"), bank.Locked, "")
	h.want(h.LogIn(), bank.Locked, "")
}

func lateCode(t *testing.T, s Subject) {
	h := Open(t, s, "otp")
	h.want(h.LogIn(), bank.Asks, bank.OTPSent)
	h.Site.Advance(6 * time.Minute)
	h.want(h.Answer("123456"), bank.ChallengeExpired, "")
	h.Site.Advance(30 * time.Minute) // the session has ended too
	h.want(h.Answer("123456"), bank.ChallengeExpired, "")
	if n := h.seen(); n.CodesSent != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

// application: the run that watches the phone is cut; another one, which knows
// only the state, goes on, and the phone rings once.
func application(t *testing.T, s Subject) {
	h := Open(t, s, "app")
	if err := h.Site.Decide("app", simbank.DecisionHold); err != nil {
		t.Fatal(err)
	}
	q := h.want(h.LogIn(), bank.Asks, bank.Decoupled).Question
	if len(q.Fields) != 0 || q.MediumType != "app" || q.Medium == "" {
		t.Errorf("question %+v", q)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	order := bank.Run{
		Institution: s.Institution, Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now(), State: h.state,
		Credentials: s.Form(h.Address, "app", Password), Answer: &bank.Answer{Method: bank.Decoupled},
	}
	waited := make(chan struct{})
	cut := make(chan bank.Result, 1)
	go func() { cut <- s.New(t, h.Address).Run(ctx, order, &notes{t: t, waited: waited}) }()
	<-waited
	stop()
	if r := <-cut; r.Outcome.Kind != bank.Cancelled || r.State != "" {
		t.Errorf("cut while it watches: %+v", r.Outcome)
	}
	if err := h.Site.Decide("app", simbank.DecisionApprove); err != nil {
		t.Fatal(err)
	}
	h.want(h.Answer(""), bank.OK, "")
	h.want(h.Alone(), bank.OK, "")
	if n := h.seen(); n.AppAsked != 1 || n.Logins > 2 {
		t.Errorf("the bank saw %+v", n)
	}
}

func applicationRefused(t *testing.T, s Subject) {
	h := Open(t, s, "app")
	h.want(h.LogIn(), bank.Asks, bank.Decoupled)
	if err := h.Site.Decide("app", simbank.DecisionDeny); err != nil {
		t.Fatal(err)
	}
	h.want(h.Answer(""), bank.ChallengeDeclined, "")
	if err := h.Site.Decide("app", simbank.DecisionHold); err != nil {
		t.Fatal(err)
	}
	h.want(h.LogIn(), bank.Asks, bank.Decoupled)
	h.Site.Advance(10 * time.Minute)
	h.want(h.Answer(""), bank.ChallengeExpired, "")
}

func applicationThenCode(t *testing.T, s Subject) {
	h := Open(t, s, "app-otp")
	if err := h.Site.Decide("app-otp", simbank.DecisionApprove); err != nil {
		t.Fatal(err)
	}
	h.want(h.LogIn(), bank.Asks, bank.Decoupled)
	h.want(h.Answer(""), bank.Asks, bank.OTPSent)
	h.want(h.Answer("123456"), bank.OK, "")
	if n := h.seen(); n.AppAsked != 1 || n.CodesSent != 1 || n.Logins != 1 {
		t.Errorf("the bank saw %+v", n)
	}
}

func redirect(t *testing.T, s Subject) {
	h := Open(t, s, "redirect")
	q := h.want(h.LogIn(), bank.Asks, bank.Redirect).Question
	if !strings.HasPrefix(q.RedirectURL, h.Address+"/authorize?request=") || len(q.Fields) != 1 {
		t.Fatalf("question %+v", q)
	}
	h.want(h.Answer("http://guichet.test/retour?code=invented"), bank.AnswerRejected, "")
	h.want(h.Answer(h.authorize(q.RedirectURL, "autoriser")), bank.OK, "")
	h.want(h.Alone(), bank.OK, "")

	h = Open(t, s, "redirect")
	back := h.authorize(h.LogIn().Question.RedirectURL, "refuser")
	h.want(h.Answer(back), bank.ChallengeDeclined, "")
}

func captcha(t *testing.T, s Subject) {
	h := Open(t, s, "captcha")
	q := h.want(h.LogIn(), bank.Asks, bank.Captcha).Question
	if len(q.Image) == 0 || len(q.Fields) != 1 {
		t.Fatalf("question %+v", q)
	}
	again := h.want(h.Answer("0000"), bank.Asks, bank.Captcha).Question // a new image
	if string(again.Image) == string(q.Image) {
		t.Error("the same image again")
	}
	h.want(h.Answer(h.Site.CaptchaAnswer("captcha")), bank.OK, "")
}

func night(t *testing.T, s Subject) {
	for login, reason := range map[string]string{"otp": "sca", "app": "sca", "app-otp": "sca", "captcha": "sca", "choice": "sca", "redirect": "redirect"} {
		h := Open(t, s, login)
		if o := h.want(h.Alone(), bank.InteractionRequired, ""); o.Reason != reason {
			t.Errorf("%s: %+v", login, o)
		}
		if n := h.seen(); n.CodesSent != 0 || n.AppAsked != 0 || n.Logins != 1 {
			t.Errorf("%s: the bank saw %+v", login, n)
		}
	}
}

func persons(t *testing.T, s Subject) {
	for login, kind := range map[string]bank.OutcomeKind{
		"wrongpass": bank.BadCredentials, "expiredpass": bank.CredentialsExpired, "banned": bank.Locked, "terms": bank.ActionRequired,
	} {
		h := Open(t, s, login)
		r, accounts := h.Run(t.Context(), nil)
		if o := h.want(r.Outcome, kind, ""); o.Text == "" || len(accounts) != 0 {
			t.Errorf("%s does not say why: %+v", login, o)
		}
		if n := h.seen(); n.Logins != 1 {
			t.Errorf("%s: %d logins", login, n.Logins)
		}
	}
}

func outage(t *testing.T, s Subject) {
	h := Open(t, s, "outage")
	now := guichet.SystemClock().Now()
	if o := h.want(h.LogIn(), bank.BankUnavailable, ""); !o.RetryAfter.After(now) || o.RetryAfter.After(now.Add(24*time.Hour)) {
		t.Errorf("again at %v", o.RetryAfter)
	}
	h = Open(t, s, "otp")
	h.want(h.LogIn(), bank.Asks, bank.OTPSent)
	kept := h.state
	for _, fault := range []string{simbank.FaultUnavailable, simbank.FaultReset} {
		h.faults(simbank.Fault{PathPrefix: "/otp", Kind: fault})
		h.want(h.Answer("123456"), bank.BankUnavailable, "")
		h.Site.ClearFaults()
		if fault == simbank.FaultUnavailable {
			h.state = kept
			h.want(h.Answer("123456"), bank.OK, "")
			h.Site.Advance(181 * 24 * time.Hour)
			h.state = ""
			h.want(h.LogIn(), bank.Asks, bank.OTPSent)
		}
	}
}

func (h *House) faults(f ...simbank.Fault) {
	h.t.Helper()
	if err := h.Site.AddFaults(f...); err != nil {
		h.t.Fatal(err)
	}
}

func tooMany(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	h.faults(simbank.Fault{PathPrefix: "/accounts", Kind: simbank.FaultTooMany})
	h.want(h.LogIn(), bank.RateLimited, "")
}

func sessionEnds(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	h.faults(simbank.Fault{PathPrefix: "/accounts/", Kind: simbank.FaultExpire, After: 3, Times: 1})
	h.want(h.LogIn(), bank.BankUnavailable, "")
	if n := h.seen(); n.Logins != 1 {
		t.Errorf("%d logins", n.Logins)
	}
}

func brokenPages(t *testing.T, s Subject) {
	for _, fault := range []string{simbank.FaultTruncate, simbank.FaultLayout, simbank.FaultGarbage} {
		for _, at := range []string{"/accounts", "/accounts/"} {
			h := Open(t, s, "simple")
			h.faults(simbank.Fault{PathPrefix: at, Kind: fault})
			if o := h.want(h.LogIn(), bank.ConnectorError, ""); o.Reason != "bug" {
				t.Errorf("%s at %s: %+v", fault, at, o)
			}
		}
	}
	h := Open(t, s, "garbage")
	h.want(h.LogIn(), bank.ConnectorError, "")
}

func orphan(t *testing.T, s Subject) {
	for _, state := range []string{"", "{", "[]", `{"v":99}`, "null", "\x00"} {
		h := Open(t, s, "otp")
		h.question = &bank.Question{Method: bank.OTPSent, Fields: []bank.Field{{ID: "code"}}}
		h.state = guichet.Secret(state)
		h.want(h.Answer("123456"), bank.ChallengeExpired, "")
		if h.Site.Counters("").Requests != 0 {
			t.Errorf("state %q: the bank was spoken to", state)
		}
	}
}

func oddStates(t *testing.T, s Subject) {
	for _, state := range []string{"not a session", "{}", `{"v":1}`, strings.Repeat("x", 200_000)} {
		h := Open(t, s, "simple")
		h.state = guichet.Secret(state)
		h.want(h.LogIn(), bank.OK, "")
	}
}

func unknown(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	for reason, change := range map[string]func(*bank.Run){
		bank.ReasonMissing: func(o *bank.Run) { o.Institution = "autre" },
		"unsupported":      func(o *bank.Run) { o.Op = "pay" },
	} {
		r, _ := h.Run(t.Context(), change)
		if o := h.want(r.Outcome, bank.ConnectorError, ""); o.Reason != reason {
			t.Errorf("%s: %+v", reason, o)
		}
	}
	if h.Site.Counters("").Requests != 0 {
		t.Error("the bank was spoken to")
	}
}

// atBank runs until the bank has had a request to which it never answers, then
// cancels.
func (h *House) atBank() bank.Result {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	ended := make(chan bank.Result, 1)
	go func() {
		r, _ := h.Run(ctx, nil)
		ended <- r
	}()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for h.seen().Faults == 0 {
		select {
		case <-look.C:
		case r := <-ended:
			h.t.Fatalf("it ended by itself: %+v", r.Outcome)
		}
	}
	began := guichet.SystemClock().Now()
	cancel()
	r := <-ended
	if took := guichet.SystemClock().Now().Sub(began); took > 2*time.Second {
		h.t.Errorf("it took %v to stop", took)
	}
	return r
}

func cancel(t *testing.T, s Subject) {
	h := Open(t, s, "hang")
	r := h.atBank()
	if o := h.want(r.Outcome, bank.Cancelled, ""); o.Reason != bank.ReasonShutdown {
		t.Errorf("%+v", o)
	}
}

func deadline(t *testing.T, s Subject) {
	h := Open(t, s, "hang")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := guichet.SystemClock().Now()
	r, _ := h.Run(ctx, nil)
	if o := h.want(r.Outcome, bank.Cancelled, ""); o.Reason != bank.ReasonDeadline {
		t.Errorf("%+v", o)
	}
	if took := guichet.SystemClock().Now().Sub(began); took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
}

func cancelledBefore(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, _ := h.Run(ctx, nil)
	h.want(r.Outcome, bank.Cancelled, "")
	if n := h.seen(); n.Logins != 0 {
		t.Errorf("the bank saw %+v", n)
	}
}

func refusal(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	n := &notes{t: t, refuse: errors.New("enough")}
	r := s.New(t, h.Address).Run(t.Context(), bank.Run{
		Institution: s.Institution, Op: bank.FetchAll, Present: true, Now: guichet.SystemClock().Now(),
		Credentials: s.Form(h.Address, "simple", Password),
	}, n)
	if r.Outcome.Kind.Class() == bank.Done || r.State != "" || len(n.accounts) > 1 {
		t.Errorf("%+v with %d accounts", r.Outcome, len(n.accounts))
	}
}

func atOnce(t *testing.T, s Subject) {
	h := Open(t, s, "simple")
	var all sync.WaitGroup
	for i := range 4 {
		other := &House{t: t, subject: s, Site: h.Site, Address: h.Address, Login: fmt.Sprint("simple-", i)}
		all.Go(func() {
			r, accounts := other.Run(t.Context(), nil)
			if r.Outcome.Kind != bank.OK || len(accounts) != 4 {
				t.Errorf("%s: %+v", other.Login, r.Outcome)
			}
		})
	}
	all.Wait()
	if n := h.Site.Counters(""); n.Logins != 4 {
		t.Errorf("the bank saw %+v", n)
	}
}
