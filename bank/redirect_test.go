package bank_test

import (
	"net/url"
	"testing"

	"guichet"
	"guichet/bank"
	"guichet/store/storetest"
)

// TestReturn: what leaves with a person is what must come back, with our state or
// with the bank's own; on any process.
func TestReturn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		h := newHouse(t, db)
		const back = "https://guichet.test/return"
		for story, own := range map[string]string{"redirect": "", "redirect&state=theirs": "theirs"} {
			c := h.asked(h.open(story).Attempt.ID)
			to, err := h.Departure(c.Challenge, back)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(to)
			if err != nil || u.Query().Get("redirect_uri") != back || u.Query().Get("request") != "r" {
				t.Errorf("%s, %v", to, err)
			}
			state := u.Query().Get("state")
			if own != "" && state != own || own == "" && len(state) != 36+1+40 {
				t.Errorf("the state is %q", state)
			}
			other := guichet.Actor{Kind: guichet.ByPerson, ID: "0190b6e4-0000-7000-8000-000000000002", Name: "other@example.org"}
			for _, hostile := range []struct {
				who guichet.Actor
				at  string
			}{
				{h.person, back + "?code=" + canaryCode},
				{h.person, back + "?code=" + canaryCode + "&state=" + c.Challenge.ID.String()},
				{h.person, back + "?code=" + canaryCode + "&state=%zz"},
				{h.person, back + "?code=" + canaryCode + "&state=" + url.QueryEscape(state+"x")},
				{other, back + "?code=" + canaryCode + "&state=" + url.QueryEscape(state)},
				{guichet.Actor{Kind: guichet.ByPerson}, back + "?code=" + canaryCode + "&state=" + url.QueryEscape(state)},
			} {
				_, err := h.Return(t.Context(), hostile.who, hostile.at)
				codeOf(t, err, "return_refused")
			}
			_, err = h.Answer(t.Context(), h.person, bank.Reply{Challenge: c.Challenge.ID, Fields: code(back + "?code=" + canaryCode + "&state=another")})
			codeOf(t, err, "return_refused")
			if now := h.asked(c.Attempt.ID); now.Challenge.Version != c.Challenge.Version || now.Challenge.Used != 0 {
				t.Errorf("%s: %d tries were spent", story, now.Challenge.Used)
			}
			good := back + "?code=" + canaryCode + "&state=" + url.QueryEscape(state)
			if _, err := h.replica().Return(t.Context(), h.person, good); err != nil {
				t.Fatal(err)
			}
			h.ended(c.Attempt.ID, bank.AttemptSucceeded)
			if _, err := h.Return(t.Context(), h.person, good); err != nil && own == "" {
				t.Errorf("the same again: %v", err)
			}
		}
		if _, _, tried, _ := h.bank.snapshot(); tried != 2 {
			t.Errorf("the bank saw %d answers", tried)
		}
	})
}

// TestDeparture: an address that the bank has written whole is left alone.
func TestDeparture(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.New(t, "sqlite"))
	const whole = "https://bank.test/authorize?state=theirs&redirect_uri=https%3A%2F%2Felse"
	c := bank.Challenge{Question: bank.Question{Method: bank.Redirect, RedirectURL: whole}}
	if got, err := h.Departure(c, "https://us/back"); err != nil || got != whole {
		t.Errorf("%s, %v", got, err)
	}
}
