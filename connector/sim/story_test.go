package simconnector

import (
	"bytes"
	"context"
	"image/png"
	"strings"
	"testing"
	"time"

	"guichet/bank"
	simbank "guichet/sim/bank"
)

func TestStoriesThatNeedNoAnswer(t *testing.T) {
	_, address := open(t)
	for login, kind := range map[string]bank.OutcomeKind{
		"simple":      bank.OK,
		"unheard-of":  bank.OK,
		"wrongpass":   bank.BadCredentials,
		"expiredpass": bank.CredentialsExpired,
		"banned":      bank.Locked,
		"terms":       bank.ActionRequired,
		"outage":      bank.BankUnavailable,
		"garbage":     bank.ConnectorError,
	} {
		for _, present := range []bool{true, false} {
			d := newDesk(t, address, login)
			got := d.run(t.Context(), func(o *bank.Run) { o.Present = present }).Outcome
			if got.Kind != kind {
				t.Errorf("%s: %+v, want %s", login, got, kind)
			}
			if kind.Class() != bank.Done && len(d.sink.accounts)+d.sink.count() > 0 {
				t.Errorf("%s: %s and yet data", login, kind)
			}
			switch kind {
			case bank.BadCredentials, bank.CredentialsExpired:
				if len(got.BadFields) == 0 || got.Text == "" {
					t.Errorf("%s does not say what is wrong: %+v", login, got)
				}
			case bank.Locked, bank.ActionRequired:
				if got.Text == "" {
					t.Errorf("%s does not say why: %+v", login, got)
				}
			case bank.BankUnavailable:
				if !got.RetryAfter.Equal(noon.Add(2 * time.Minute)) {
					t.Errorf("%s: again at %v", login, got.RetryAfter)
				}
			}
		}
	}
}

func TestCodeThenNothingForHalfAYear(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "otp-claire")
	q := want(t, d.logIn(), bank.Asks, bank.OTPSent).Question
	if !strings.HasPrefix(q.Medium, "06 •• •• •• ") || q.MediumType != "sms" || !q.Resendable || q.TriesLeft != -1 ||
		!q.Deadline.Equal(noon.Add(5*time.Minute)) || len(q.Fields) != 1 || q.Fields[0].ID != FieldCode || q.Prompt == "" {
		t.Errorf("question %+v", q)
	}
	want(t, d.answer(FieldCode, " 123456 "), bank.OK, "")
	if d.sink.count() == 0 {
		t.Error("no operation came with the answer")
	}
	result := d.run(t.Context(), func(o *bank.Run) { o.Present = false })
	want(t, result.Outcome, bank.OK, "")
	if !result.StateExpires.Equal(noon.Add(180 * 24 * time.Hour)) {
		t.Errorf("the device is trusted until %v", result.StateExpires)
	}
	got := site.Counters("otp-claire")
	if got.Logins != 2 || got.CodesSent != 1 || got.CodesTried != 1 || got.LoginsTrusted != 1 || got.Logouts != 2 {
		t.Errorf("the bank saw %+v", got)
	}
	site.Advance(180 * 24 * time.Hour)
	want(t, d.alone(), bank.InteractionRequired, "")
}

// Nobody is there: whatever the bank would ask, no phone rings.
func TestNightDisturbsNobody(t *testing.T) {
	site, address := open(t)
	for login, reason := range map[string]string{"otp": "sca", "app": "sca", "app-otp": "sca", "captcha": "sca", "choice": "sca", "redirect": "redirect"} {
		got := want(t, newDesk(t, address, login).alone(), bank.InteractionRequired, "")
		if got.Reason != reason {
			t.Errorf("%s: reason %q", login, got.Reason)
		}
	}
	if got := site.Counters(""); got.CodesSent != 0 || got.AppAsked != 0 || got.Logins != 6 {
		t.Errorf("the bank saw %+v", got)
	}
}

func TestWrongCodeIsNotAWrongPassword(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "otp")
	want(t, d.logIn(), bank.Asks, bank.OTPSent)
	for _, malformed := range []string{"", "12345", "1234567", "abcdef", "12 456", "１２３４５６"} {
		before := site.Counters("").Requests
		if got := want(t, d.answer(FieldCode, malformed), bank.AnswerRejected, ""); got.Reason != "format" || site.Counters("").Requests != before {
			t.Errorf("%q went to the bank: %+v", malformed, got)
		}
	}
	if got := want(t, d.answer(FieldCode, "000000"), bank.AnswerRejected, ""); got.TriesLeft != 2 || got.Text == "" || got.Reason != "" {
		t.Errorf("first wrong code: %+v", got)
	}
	if got := want(t, d.answer(FieldCode, "000001"), bank.AnswerRejected, ""); got.TriesLeft != 1 {
		t.Errorf("second wrong code: %+v", got)
	}
	want(t, d.answer(FieldCode, "123456"), bank.OK, "")
	if got := site.Counters("otp"); got.CodesSent != 1 || got.CodesTried != 3 || got.Logins != 1 {
		t.Errorf("the bank saw %+v", got)
	}
}

func TestThirdWrongCodeLocks(t *testing.T) {
	_, address := open(t)
	d := newDesk(t, address, "otp")
	d.logIn()
	d.answer(FieldCode, "000000")
	d.answer(FieldCode, "000000")
	want(t, d.answer(FieldCode, "000000"), bank.Locked, "")
	want(t, d.logIn(), bank.Locked, "")
}

func TestCodeTooLate(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "otp")
	d.logIn()
	site.Advance(5 * time.Minute)
	want(t, d.answer(FieldCode, "123456"), bank.ChallengeExpired, "")
	site.Advance(20 * time.Minute) // the session ends too
	site.Advance(time.Minute)
	want(t, d.answer(FieldCode, "123456"), bank.ChallengeExpired, "")
	if got := site.Counters("otp"); got.CodesSent != 1 || got.CodesWrong != 0 {
		t.Errorf("the bank saw %+v", got)
	}
}

func TestCodeIsSentAgainOnlyWhenAsked(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "otp")
	d.logIn()
	old := d.state
	site.Advance(4 * time.Minute)
	q := want(t, d.resend(), bank.Asks, bank.OTPSent).Question
	if !q.Deadline.Equal(noon.Add(5 * time.Minute)) {
		t.Errorf("the new code is good until %v", q.Deadline)
	}
	site.Advance(4 * time.Minute)
	d.state = old // the form of before the resend is out of date: the bank gives another
	want(t, d.resend(), bank.Asks, bank.OTPSent)
	want(t, d.answer(FieldCode, "123456"), bank.OK, "")
	if got := site.Counters("otp"); got.CodesSent != 3 || got.Resends != 2 || got.CodesTried != 1 || got.Logins != 1 {
		t.Errorf("the bank saw %+v", got)
	}
}

// We died, or the connection did, after the bank took the code: giving it again
// from the same saved session finds the door open.
func TestAnswerLostOnItsWayBack(t *testing.T) {
	for login, path := range map[string]string{"otp": "/otp", "otp-2": "/accounts"} {
		site, address := open(t)
		d := newDesk(t, address, login)
		d.logIn()
		if err := site.AddFaults(simbank.Fault{PathPrefix: path, Kind: simbank.FaultReset, Times: 1}); err != nil {
			t.Fatal(err)
		}
		want(t, d.answer(FieldCode, "123456"), bank.BankUnavailable, "")
		want(t, d.answer(FieldCode, "123456"), bank.OK, "")
		if got := site.Counters(login); got.CodesTried != 1 || got.CodesSent != 1 || got.Logins != 1 {
			t.Errorf("the bank saw %+v", got)
		}
	}
}

func TestOutageWhileAnswering(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "otp")
	d.logIn()
	if err := site.AddFaults(simbank.Fault{PathPrefix: "/otp", Kind: simbank.FaultUnavailable, Times: 1}); err != nil {
		t.Fatal(err)
	}
	want(t, d.answer(FieldCode, "123456"), bank.BankUnavailable, "")
	want(t, d.answer(FieldCode, "123456"), bank.OK, "")
}

func TestApplication(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "app")
	q := want(t, d.logIn(), bank.Asks, bank.Decoupled).Question
	if q.MediumType != "app" || q.Medium == "" || !q.Deadline.Equal(noon.Add(5*time.Minute)) || len(q.Fields) != 0 {
		t.Errorf("question %+v", q)
	}
	looks := 0
	d.waiting = func() {
		if looks++; looks == 3 {
			site.Advance(3 * time.Second)
		}
	}
	want(t, d.poll(t.Context()), bank.OK, "")
	if looks < 3 || site.Counters("app").AppAsked != 1 {
		t.Errorf("%d looks, the bank saw %+v", looks, site.Counters("app"))
	}
	want(t, d.alone(), bank.OK, "")
}

func TestApplicationRefusedOrForgotten(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "app")
	d.logIn()
	if err := site.Decide("app", simbank.DecisionDeny); err != nil {
		t.Fatal(err)
	}
	if got := want(t, d.poll(t.Context()), bank.ChallengeDeclined, ""); got.Text == "" {
		t.Errorf("%+v", got)
	}
	want(t, d.logIn(), bank.ChallengeDeclined, "") // before we had even read that it asks
	if err := site.Decide("app", simbank.DecisionHold); err != nil {
		t.Fatal(err)
	}
	want(t, d.logIn(), bank.Asks, bank.Decoupled)
	d.waiting = func() { site.Advance(time.Minute) }
	want(t, d.poll(t.Context()), bank.ChallengeExpired, "")
	d.waiting = nil
	want(t, d.logIn(), bank.Asks, bank.Decoupled)
	site.Advance(21 * time.Minute)
	want(t, d.poll(t.Context()), bank.ChallengeExpired, "")
}

// A run that watches the phone stops at once, and another goes on from the same
// session.
func TestWatchingThePhoneStopsAndResumes(t *testing.T) {
	site, address := open(t)
	if err := site.Decide("app", simbank.DecisionHold); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, address, "app")
	d.logIn()
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	d.waiting = func() {
		if looks++; looks == 5 {
			cancel()
		}
	}
	if got := want(t, d.poll(ctx), bank.Cancelled, ""); got.Reason != "shutdown" || looks != 5 {
		t.Errorf("%+v after %d looks", got, looks)
	}
	if err := site.Decide("app", simbank.DecisionApprove); err != nil {
		t.Fatal(err)
	}
	d.waiting = nil
	saved := d.state
	want(t, d.poll(t.Context()), bank.OK, "")
	if site.Counters("app").AppAsked != 1 {
		t.Errorf("the phone rang again: %+v", site.Counters("app"))
	}
	d.state = saved // a run that died after the bank took the validation, but logged out
	want(t, d.poll(t.Context()), bank.ChallengeExpired, "")
}

func TestApplicationThenCode(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "app-otp")
	want(t, d.logIn(), bank.Asks, bank.Decoupled)
	site.Advance(3 * time.Second)
	want(t, d.poll(t.Context()), bank.Asks, bank.OTPSent)
	want(t, d.answer(FieldCode, "000000"), bank.AnswerRejected, "")
	want(t, d.answer(FieldCode, "123456"), bank.OK, "")
	want(t, d.alone(), bank.OK, "")
	if got := site.Counters("app-otp"); got.AppAsked != 1 || got.CodesSent != 1 || got.Logins != 2 {
		t.Errorf("the bank saw %+v", got)
	}
}

func TestCaptcha(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "captcha")
	first := want(t, d.logIn(), bank.Asks, bank.Captcha).Question
	if _, err := png.Decode(bytes.NewReader(first.Image)); err != nil {
		t.Fatalf("image: %v", err)
	}
	if got := want(t, d.answer(FieldDigits, ""), bank.AnswerRejected, ""); got.Reason != "format" {
		t.Errorf("%+v", got)
	}
	second := want(t, d.answer(FieldDigits, "99999999"), bank.Asks, bank.Captcha).Question
	if bytes.Equal(first.Image, second.Image) || second.Prompt == "" {
		t.Error("a wrong answer is asked about the same image")
	}
	want(t, d.answer(FieldDigits, site.CaptchaAnswer("captcha")), bank.OK, "")
	want(t, d.alone(), bank.OK, "")

	d = newDesk(t, address, "captcha-robot")
	d.logIn()
	for range 4 {
		want(t, d.answer(FieldDigits, "99999999"), bank.Asks, bank.Captcha)
	}
	want(t, d.answer(FieldDigits, "99999999"), bank.Blocked, "")
}

func TestRedirect(t *testing.T) {
	_, address := open(t)
	d := newDesk(t, address, "redirect")
	q := want(t, d.logIn(), bank.Asks, bank.Redirect).Question
	if !strings.HasPrefix(q.RedirectURL, address+"/authorize?request=") {
		t.Fatalf("question %+v", q)
	}
	if got := want(t, d.answer(FieldURL, "http://guichet.test/retour?autre=1"), bank.AnswerRejected, ""); got.Reason != "format" {
		t.Errorf("%+v", got)
	}
	want(t, d.answer(FieldURL, "http://guichet.test/retour?code=invented"), bank.AnswerRejected, "")
	back := authorize(t, q.RedirectURL, "autoriser")
	saved := d.state
	want(t, d.answer(FieldURL, back), bank.OK, "")
	want(t, d.alone(), bank.OK, "")
	d.state = saved
	want(t, d.answer(FieldURL, back), bank.ChallengeExpired, "") // good once

	d = newDesk(t, address, "redirect-2")
	back = authorize(t, d.logIn().Question.RedirectURL, "refuser")
	want(t, d.answer(FieldURL, back), bank.ChallengeDeclined, "")
}

func TestRedirectByItsCodeAlone(t *testing.T) {
	_, address := open(t)
	d := newDesk(t, address, "redirect")
	back := authorize(t, d.logIn().Question.RedirectURL, "autoriser")
	_, rest, _ := strings.Cut(back, "code=")
	code, _, _ := strings.Cut(rest, "&")
	want(t, d.answer(FieldURL, code), bank.OK, "")
}

// An answer whose session is gone is late; nothing is asked again by itself.
func TestAnswerWithoutSessionAsksNobody(t *testing.T) {
	site, address := open(t)
	for _, state := range []string{"", "{", "[]", `{"v":99,"step":"code"}`, `{"v":1,"step":"autre"}`, strings.Repeat("x", 1<<20)} {
		d := newDesk(t, address, "otp")
		d.run(t.Context(), nil)
		before := site.Counters("")
		d.state = ""
		got := d.run(t.Context(), func(o *bank.Run) {
			o.Answer, o.State = &bank.Answer{}, secret(state)
		}).Outcome
		want(t, got, bank.ChallengeExpired, "")
		if site.Counters("") != before {
			t.Errorf("state %.20q: the bank was spoken to", state)
		}
	}
	d := newDesk(t, address, "simple")
	d.state = "not a session"
	want(t, d.logIn(), bank.OK, "")
}

func TestRunsThatCannotBe(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "simple")
	for name, c := range map[string]struct {
		change func(*bank.Run)
		want   bank.Outcome
	}{
		"another bank": {func(o *bank.Run) { o.Institution = "autre" }, bank.Outcome{Kind: bank.ConnectorError, Reason: "missing"}},
		"another deed": {func(o *bank.Run) { o.Op = "pay" }, bank.Outcome{Kind: bank.ConnectorError, Reason: "unsupported"}},
		"no login":     {func(o *bank.Run) { delete(o.Credentials, FieldLogin) }, bank.Outcome{Kind: bank.ConfigInvalid}},
		"no password":  {func(o *bank.Run) { delete(o.Credentials, FieldPassword) }, bank.Outcome{Kind: bank.ConfigInvalid}},
		"long login":   {func(o *bank.Run) { o.Credentials[FieldLogin] = secret(strings.Repeat("a", 65)) }, bank.Outcome{Kind: bank.ConfigInvalid}},
	} {
		got := d.run(t.Context(), c.change).Outcome
		if got.Kind != c.want.Kind || got.Reason != c.want.Reason || (got.Kind == bank.ConfigInvalid) != (len(got.BadFields) == 1) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := site.Counters("").Requests; got != 0 {
		t.Errorf("the bank was asked %d times", got)
	}
	for _, bad := range []string{"", "127.0.0.1:1", "ftp://x", "http://", "http://x/chemin", "http://u:p@x", "http://x?y", "://"} {
		if _, err := New(bad); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}
