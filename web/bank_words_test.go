package web

import (
	"strings"
	"testing"

	"guichet"
	"guichet/bank"
	"guichet/web/locale"
	"guichet/web/view"
)

// Whatever an access can be, a list has words, a meaning and a place for it.
func TestEveryStandingHasWords(t *testing.T) {
	languages := map[string]*locale.Words{}
	for _, lang := range locale.Languages() {
		languages[lang] = locale.In(lang, nil)
	}
	has := func(key string) {
		t.Helper()
		for lang, words := range languages {
			if !words.Has(key) {
				t.Errorf("%s has no words for %s", key, lang)
			}
		}
	}
	seen := map[bank.AccessState]bool{}
	for _, state := range bank.AttemptStates() {
		for _, kind := range append(bank.OutcomeKinds(), "") {
			for _, method := range bank.Methods() {
				for _, pause := range []bank.Pause{"", bank.PausedForAnswer, bank.PausedForFix} {
					for _, flags := range []bank.Access{{}, {HasAccounts: true}, {HasAccounts: true, Disabled: true}, {HasAccounts: true, NightOff: true}, {HasAccounts: true, Failures: 1}, {HasAccounts: true, Connector: bank.ByFile}} {
						flags.Pause = pause
						c := bank.Case{Access: flags, Attempt: bank.Attempt{State: state, Outcome: kind}, Challenge: bank.Challenge{Question: bank.Question{Method: method}}}
						seen[c.State()] = true
						standing, outcome := standing(c)
						has(standing.Word)
						if outcome != "" {
							has("outcome." + outcome)
						}
						if urgency(standing) < 0 {
							t.Errorf("%s has no place in the order", standing.Word)
						}
					}
				}
			}
		}
	}
	for _, state := range bank.AccessStates() {
		if !seen[state] {
			t.Errorf("no case of this test is %s", state)
		}
	}
	// What waits for a person looks so.
	for _, c := range []struct {
		method bank.Method
		want   view.State
	}{
		{bank.OTPSent, view.AccessAsksCode},
		{bank.OTPDevice, view.AccessAsksCode},
		{bank.Decoupled, view.AccessAsksApp},
		{bank.Redirect, view.AccessAsksSite},
		{bank.Pick, view.AccessAsks},
		{bank.Other, view.AccessAsks},
		{bank.Captcha, view.AccessAsks},
	} {
		got, _ := standing(bank.Case{Attempt: bank.Attempt{State: bank.AttemptWaiting}, Challenge: bank.Challenge{Question: bank.Question{Method: c.method}}})
		if got != c.want {
			t.Errorf("%s looks like %s", c.method, got.Word)
		}
	}
}

// Every refusal of the window, every phase and every problem has words.
func TestEveryRefusalHasWords(t *testing.T) {
	refusals := []*guichet.Error{
		bank.ErrNoAccess, bank.ErrNoAttempt, bank.ErrNoQuestion, bank.ErrNoAccount, bank.ErrLoginBusy, bank.ErrChanged, bank.ErrNoneWaiting,
		bank.ErrNoInstitution, bank.ErrCredentialsNeeded, bank.ErrNotKept, bank.ErrBadReturn, bank.ErrHasAccounts, bank.ErrAttemptBusy, bank.ErrAttemptOver,
		bank.ErrQuestionExpired, bank.ErrQuestionOver, bank.ErrQuestionBusy, bank.ErrNoResend, errCursor,
	}
	keys := []string{"error.field_required", "error.field_invalid", "error.field_unknown"}
	for _, r := range refusals {
		keys = append(keys, "error."+r.Code)
	}
	for _, p := range []bank.Phase{bank.Starting, bank.Authenticating, bank.WaitingUser, bank.Listing, bank.Fetching, bank.Finishing} {
		keys = append(keys, "phase."+string(p))
	}
	for _, m := range bank.Methods() {
		keys = append(keys, "question.method."+string(m))
	}
	for _, kind := range bank.OutcomeKinds() {
		if p := problemOf(bank.Challenge{LastOutcome: kind}, bank.Attempt{}); p != "" {
			keys = append(keys, "question.problem."+p, "question.choice_problem."+p)
		}
	}
	for _, m := range []string{"sms", "mail", "call", "app", "device", ""} {
		keys = append(keys, "question.sent."+medium(m), "question.sent_to."+medium(m))
	}
	for _, lang := range locale.Languages() {
		words := locale.In(lang, nil)
		for _, key := range keys {
			if !words.Has(key) {
				t.Errorf("%s has no words for %s", key, lang)
			}
		}
	}
}

// A bank's pattern becomes a keyboard and a length, never a rule of the browser.
func TestField(t *testing.T) {
	for pattern, want := range map[string]view.Field{
		`[0-9]{6}`: {InputMode: "numeric", MaxLength: 6}, `\d{4,8}`: {InputMode: "numeric", MaxLength: 8}, `[0-9]+`: {InputMode: "numeric"},
		`[A-Z0-9]{6}`: {InputMode: "text"}, ``: {}, `(`: {InputMode: "text"}, `[0-9]{6}x`: {InputMode: "text"},
	} {
		got := field(bank.Field{Pattern: pattern})
		if got.InputMode != want.InputMode || got.MaxLength != want.MaxLength || got.Pattern != "" {
			t.Errorf("%s: %+v", pattern, got)
		}
	}
}

// Where a form goes back to is always a page of ours that still has something to
// show.
func TestBack(t *testing.T) {
	for address, want := range map[string]string{
		"/accesses?question=x&a=1": "/accesses?a=1", "/transactions?account=7": "/transactions?account=7", "/": "/", "": "",
		"https://evil.test/": "/", "//evil.test/": "/", "/init/new-bank/enter-new-fields": "", "/attempts/1/question": "", `/\evil`: "/",
	} {
		if got := backFrom(address); got != want {
			t.Errorf("%q goes back to %q, not %q", address, got, want)
		}
	}
}

// Searches take no notice of case and accents.
func TestPlain(t *testing.T) {
	if got := plain("  Épicerie DU Château "); got != "epicerie du chateau" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(plain("Crédit d’Essai"), plain("CREDIT")) {
		t.Error("not found")
	}
}
