package view

import "time"

// MyRequests are the requests of whoever looks, with their tokens.
type MyRequests struct {
	Requests []MyRequest
}

// A MyRequest is one request as its people see it.
type MyRequest struct {
	ExternalID   string
	Title        string
	Organisation string
	Provider     string
	Role         string // one of [ContactRoles]
	State        State
	Tokens       []TokenLine // empty for those who may not have them
	Withheld     string      // why there are none, in words
	SourceURL    string      // the request at its source
}

// A HandedOver is the link by which a token is given away.
type HandedOver struct {
	Token   TokenLine
	Link    Secret
	Until   time.Time
	BackURL string
}

// A TakeOver is the page of such a link, for whoever has it.
type TakeOver struct {
	URL     string
	Secret  *Secret // the token, once it was asked for
	Expires time.Time
	For     string // what the token is for
}

// A Prolong is one step of asking for more time.
type Prolong struct {
	Token     TokenLine
	Number    string
	Title     string // of the request
	Step      string // one of [ProlongSteps]
	N         int    // of how many
	URL       string // takes the answers
	BackURL   string // of the token
	Facts     []Fact // what the question is about
	Contacts  []Contact
	SourceURL string
	Until     time.Time
	Error     string
}

// ProlongSteps lists the questions and the ends of a prolongation. The keys of
// each are "prolong." and itself, then "title" and "says".
func ProlongSteps() []string {
	return []string{"in_charge", "purpose", "contacts", "confirm", "leave", "changed", "done"}
}

// answers are what one may answer to a step, and how the words of each begin.
func (p Prolong) answers() []string {
	switch p.Step {
	case "in_charge":
		return []string{"yes", "soon", "no"}
	case "purpose", "contacts":
		return []string{"yes", "no"}
	}
	return nil
}
