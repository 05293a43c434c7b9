package simconnector

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"guichet/bank"
)

func TestChoiceIsAskedInTheBanksWords(t *testing.T) {
	site, address := open(t)
	d := newDesk(t, address, "choice")
	q := want(t, d.logIn(), bank.Asks, bank.Pick).Question
	if !strings.Contains(q.Prompt, "Comment voulez-vous confirmer") || !q.Deadline.IsZero() || q.Resendable || q.TriesLeft != -1 {
		t.Errorf("question %+v", q)
	}
	shown := ""
	for _, c := range q.Fields[0].Choices {
		shown += c.Value + ": " + c.Label[:strings.IndexByte(c.Label, ' ')] + "\n"
	}
	if diff := cmp.Diff("sms: Code\napp: Validation\nmail: Code\n", shown); diff != "" {
		t.Error(diff)
	}
	site.Advance(21 * time.Minute) // the session ends, and the choice with it
	want(t, d.answer(FieldWay, "sms"), bank.ChallengeExpired, "")
	if got := site.Counters("choice"); got.CodesSent != 0 || got.Logins != 1 {
		t.Errorf("the bank saw %+v", got)
	}
}

// A page of the choice is understood whole or not at all: what a person would
// tick and what is sent must be the same.
func TestOddChoicesAreNotRead(t *testing.T) {
	label := func(value, words string) string {
		return `<label><input type="radio" name="moyen" value="` + value + `"> ` + words + `</label>`
	}
	many := ""
	for i := range maxWays + 1 {
		many += label(fmt.Sprint("w", i), "Moyen")
	}
	var misread *misread
	for name, inside := range map[string]string{
		"nothing":           ``,
		"no words":          label("sms", ""),
		"no value":          label("", "Code par SMS"),
		"a value of others": label(`"><script>`, "Code par SMS"),
		"twice":             label("sms", "Code par SMS") + label("sms", "Code par SMS"),
		"another field":     `<label><input type="radio" name="autre" value="sms"> Code par SMS</label>`,
		"not a choice":      `<label><input type="text" name="moyen" value="sms"> Code par SMS</label>`,
		"too many":          many,
	} {
		doc, err := parsePage([]byte(`<html><body><form method="post" action="/choice">` + inside + `</form></body></html>`))
		if err != nil {
			t.Fatal(err)
		}
		ways, err := page{"/choice", doc, readForms(doc)}.ways()
		if ways != nil || !errors.As(err, &misread) && !errors.Is(err, errTooMuch) {
			t.Errorf("%s: %v, %v", name, ways, err)
		}
	}
}
