package simconnector

import (
	"context"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"guichet/bank"
)

// A bank that offers more is not followed.
const maxWays = 20

var sensibleWay = regexp.MustCompile(`^[a-z0-9_-]{1,40}$`)

// ways are the means of confirming that the page offers, as the bank words them:
// all of them, or none.
func (p page) ways() ([]bank.Choice, error) {
	var ways []bank.Choice
	seen := map[string]bool{}
	for f := range elements(p.doc, "form", "") {
		if attribute(f, "action") != "/choice" {
			continue
		}
		for label := range elements(f, "label", "") {
			w := bank.Choice{Value: attribute(radio(label), "value"), Label: clip(text(label))}
			if !sensibleWay.MatchString(w.Value) || w.Label == "" || seen[w.Value] {
				return nil, misreadf("a way to confirm that cannot be used: %q", clip(w.Label))
			}
			seen[w.Value] = true
			if ways = append(ways, w); len(ways) > maxWays {
				return nil, errTooMuch
			}
		}
	}
	if ways == nil {
		return nil, misreadf("a choice without ways to confirm")
	}
	return ways, nil
}

// radio is what a label of the choice ticks; an empty element when it ticks
// nothing of it.
func radio(label *html.Node) *html.Node {
	for i := range elements(label, "input", "") {
		if attribute(i, "type") == "radio" && attribute(i, "name") == "moyen" {
			return i
		}
	}
	return &html.Node{}
}

// answerChoice tells the bank which way was chosen, upon which it sends a code
// or rings a phone. When an earlier choice was taken and its answer lost, our
// form is out of date and the bank leads to where the session is: what it sent
// then is what is asked about, and nothing is sent again.
func (r *run) answerChoice(ctx context.Context, answer bank.Answer) (bank.Outcome, error) {
	chosen := answer.Fields[FieldWay].Reveal()
	if !sensibleWay.MatchString(chosen) {
		return bank.Outcome{Kind: bank.AnswerRejected, Reason: "format", BadFields: []string{FieldWay}, TriesLeft: -1}, nil
	}
	fields := url.Values{"jeton": {r.session.token}, "moyen": {chosen}}
	p, err := r.post(ctx, "/choice", fields)
	if err == nil && p.place() == placeChoice && p.isStale() {
		hidden := p.forms["/choice"]
		fields.Set("jeton", hidden["jeton"])
		p, err = r.post(ctx, "/choice", fields)
	}
	switch {
	case err != nil:
		return bank.Outcome{}, err
	case p.place() != placeChoice:
		return r.follow(ctx, p)
	case strings.TrimSpace(p.alert()) == "":
		return bank.Outcome{}, misreadf("a choice asked again without a word")
	}
	return bank.Outcome{Kind: bank.AnswerRejected, Text: p.alert(), BadFields: []string{FieldWay}, TriesLeft: -1}, nil
}
