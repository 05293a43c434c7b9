package web

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/web/view"
)

// standing is how an access stands in words, and the outcome that explains it,
// when one does.
func standing(c bank.Case) (state view.State, outcome string) {
	outcome = outcomeWord(c.Attempt.Outcome)
	switch c.State() {
	case bank.AccessFetching:
		return view.AccessRunning, ""
	case bank.AccessWaiting:
		switch c.Challenge.Question.Method {
		case bank.OTPSent, bank.OTPDevice:
			return view.AccessAsksCode, ""
		case bank.Decoupled:
			return view.AccessAsksApp, ""
		case bank.Redirect:
			return view.AccessAsksSite, ""
		default:
			return view.AccessAsks, ""
		}
	case bank.AccessUnfinished:
		return view.AccessUnfinished, outcome
	case bank.AccessPaused:
		return view.AccessPaused, outcome
	case bank.AccessBroken:
		return view.AccessFailed, outcome
	case bank.AccessFailing:
		return view.AccessRetrying, outcome
	case bank.AccessDisabled:
		return view.AccessDisabled, ""
	case bank.AccessImported:
		return view.AccessImported, ""
	}
	switch {
	case c.Access.NightOff:
		return view.AccessOff, ""
	case outcome != "": // it went well, but for something
		return view.AccessPartial, outcome
	}
	return view.AccessFresh, ""
}

// outcomeWord is the outcome under the name that pages have words for; empty for
// those that explain nothing: all is well, or a question says it better.
func outcomeWord(k bank.OutcomeKind) string {
	switch k {
	case bank.OK, bank.Asks, "":
		return ""
	default:
		return string(k)
	}
}

// urgency orders accesses: what waits for a person first, what is well last.
func urgency(s view.State) int {
	return slices.Index([]view.Meaning{view.Waiting, view.Stopped, view.Warning, view.Neutral, view.Good}, s.Meaning)
}

func accessURL(id guichet.ID, verb ...string) string {
	return strings.Join(append([]string{view.PathAccesses, id.String()}, verb...), "/")
}

func attemptURL(id guichet.ID, verb string) string { return "/attempts/" + id.String() + "/" + verb }

// line is one access in a list: how it stands, and the one thing to do about it.
// names are those of the institutions; first tells that nothing exists yet, and
// the question has a page of its own.
func (v visit) line(c bank.Case, names map[string]string, first bool) view.AccessLine {
	a := c.Access
	l := view.AccessLine{
		ID: a.ID.String(), URL: accessURL(a.ID), Institution: cmp.Or(names[a.Institution], a.Institution), Label: a.Label, LastSuccess: a.LastSuccess,
	}
	l.State, l.Outcome = standing(c)
	if l.Outcome != "" {
		l.BankSays = c.Attempt.Text
	}
	switch c.State() {
	case bank.AccessFetching:
		l.Progress, l.StatusURL = progress(c.Attempt), accessURL(a.ID, "line")
		l.More = []view.Action{v.giveUp(c)}
	case bank.AccessWaiting:
		l.Deadline = c.Challenge.Deadline
		if !c.Challenge.Typed() {
			l.StatusURL = accessURL(a.ID, "line") // it goes on by itself
		}
		l.Main = &view.Action{Label: v.words("access.answer"), URL: v.questionURL(c, first), Tone: view.Primary}
		if !a.HasAccounts {
			l.Main.Label = v.words("access.resume")
			l.More = []view.Action{v.giveUp(c)}
		}
	case bank.AccessUnfinished: // the next page load removes it
		l.Main = &view.Action{Label: v.words("access.discard"), URL: accessURL(a.ID, "discard"), Post: true}
	case bank.AccessPaused:
		l.Main = v.refreshAction(a, view.Plain)
	case bank.AccessBroken:
		l.Main = v.refreshAction(a, view.Plain)
		switch c.Attempt.Outcome {
		case bank.BadCredentials, bank.CredentialsExpired, bank.ConfigInvalid:
			l.Main = &view.Action{Label: v.words("access.edit"), URL: accessURL(a.ID)}
		}
	case bank.AccessFailing:
		l.RetryAt = a.NextPoll
		l.Main = v.refreshAction(a, view.Quiet)
	case bank.AccessReady:
		l.NextPoll, l.TrustedUntil = a.NextPoll, a.TrustedUntil
		l.Main = v.refreshAction(a, view.Quiet)
		if _, soon := v.s.Bank.TrustEnds(a); soon {
			l.TrustEnds = true
		}
	case bank.AccessDisabled:
		l.Main = &view.Action{Label: v.words("access.enable"), URL: accessURL(a.ID), Tone: view.Quiet}
	}
	return l
}

func (v visit) words(key string, pairs ...any) string { return view.Say(v.r.Context(), key, pairs...) }

// questionURL leads to the question of an access from a list of accesses.
func (v visit) questionURL(c bank.Case, first bool) string {
	if first {
		return withParameter(view.PathNewFields, "attempt", c.Attempt.ID.String())
	}
	return withParameter(cmp.Or(v.back(), view.PathAccesses), "question", c.Attempt.ID.String())
}

// refreshAction fetches. Where the credentials are not kept, they are asked for
// first.
func (v visit) refreshAction(a bank.Access, tone view.Tone) *view.Action {
	if a.Credentials == nil {
		return &view.Action{Label: v.words("access.refresh"), URL: accessURL(a.ID) + "?ask=1", Tone: tone}
	}
	return &view.Action{Label: v.words("access.refresh"), URL: accessURL(a.ID, "refresh"), Post: true, Tone: tone, Hidden: v.from()}
}

// from is the page to come back to.
func (v visit) from() []view.Hidden {
	if back := v.back(); back != "" {
		return []view.Hidden{{Name: "back", Value: back}}
	}
	return nil
}

// giveUp stops an attempt; that of a creation, which erases it, is asked twice.
func (v visit) giveUp(c bank.Case) view.Action {
	a := view.Action{Label: v.words("access.stop"), URL: attemptURL(c.Attempt.ID, "cancel"), Post: true, Tone: view.Quiet, Hidden: v.from()}
	if !c.Access.HasAccounts {
		a.Label = v.words("question.give_up_erase")
		a.Confirm = &view.Confirm{
			ID: "give-up-line-" + c.Attempt.ID.String(), Title: v.words("question.give_up_title", "Access", c.Access.Label), Says: v.words("question.give_up_says"),
		}
	}
	return a
}

// progress is how far an attempt is.
func progress(a bank.Attempt) *view.Progress {
	return &view.Progress{Phase: string(cmp.Or(a.Phase, bank.Starting)), Done: a.Done, Total: a.Total}
}

// lines are accesses as a list shows them.
func (v visit) lines(all []bank.Case, first bool) ([]view.AccessLine, error) {
	names, err := v.s.institutions(v.r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]view.AccessLine, len(all))
	for i, c := range all {
		out[i] = v.line(c, names, first)
	}
	slices.SortStableFunc(out, func(a, b view.AccessLine) int { return cmp.Compare(urgency(a.State), urgency(b.State)) })
	return out, nil
}

// resendAfter is how long a code is given to arrive before another is offered.
const resendAfter = 30 * time.Second

// ask is the question of an attempt as pages show it: what the bank asks, or how
// far we are while it asks nothing. problem is one of view.Problems, when there
// is more to say than the question itself tells.
func (v visit) ask(c bank.Case, problem string) view.Question {
	a, ch := c.Attempt, c.Challenge
	q := view.Question{
		ID: a.ID.String(), Attempt: a.ID.String(), Institution: v.institutionOf(a), Access: a.Label, Creation: a.Purpose == bank.Create, Problem: problem,
		CancelURL: attemptURL(a.ID, "cancel"), RestartURL: attemptURL(a.ID, "restart"), StatusURL: attemptURL(a.ID, "question"), Hidden: v.from(),
	}
	if a.State != bank.AttemptWaiting {
		q.Checking = true
		if p := progress(a); ch.ID == "" || slices.Contains([]bank.Phase{bank.Listing, bank.Fetching, bank.Finishing}, a.Phase) {
			q.Progress = p
		}
	}
	if ch.ID == "" {
		return q
	}
	now := v.s.Clock.Now()
	q.ID = ch.ID.String()
	q.Method, q.MediumLabel, q.Prompt = view.QuestionMethod(ch.Question.Method), ch.Question.Medium, ch.Question.Prompt
	q.Medium = medium(ch.Question.MediumType)
	q.Deadline = ch.Deadline
	q.Expired = !a.State.Live() || ch.Status == bank.StatusOpen && !now.Before(ch.Deadline)
	q.TriesLeft = ch.TriesLeft()
	if problem == "" && ch.Status == bank.StatusOpen {
		q.Problem = problemOf(ch, a)
	}
	_, _, err := ch.Apply(bank.ChallengeResent, now)
	q.Resendable, q.ResendAt = err == nil, ch.CreatedAt.Add(resendAfter)
	q.AnswerURL, q.ResendURL = "/challenges/"+q.ID+"/answer", "/challenges/"+q.ID+"/resend"
	if len(ch.Question.Image) > 0 {
		q.Picture = "/challenges/" + q.ID + "/picture"
	}
	if ch.Question.Method == bank.Redirect {
		if q.RedirectURL, err = v.s.Bank.Departure(ch, v.s.URL+view.PathReturn); err != nil {
			v.s.Log.ErrorContext(v.r.Context(), "the way to a bank's site", "error", err)
		}
	}
	for _, f := range ch.Question.Fields {
		q.Fields = append(q.Fields, field(f))
	}
	q.StatusURL = withParameter(q.StatusURL, "seen", seenAs(ch))
	// The version makes two pages that answer one question know of each other; the
	// key makes one answer of a form that is sent twice.
	q.Hidden = append(q.Hidden,
		view.Hidden{Name: "version", Value: strconv.FormatInt(ch.Version, 10)},
		view.Hidden{Name: "key", Value: v.s.Clock.NewID().String()})
	return q
}

// seenAs names a question as a page shows it.
func seenAs(ch bank.Challenge) string {
	return ch.ID.String() + "." + strconv.FormatInt(ch.Version, 10)
}

// institutionOf names the bank of an attempt.
func (v visit) institutionOf(a bank.Attempt) string {
	names, err := v.s.institutions(v.r.Context())
	if err != nil {
		return a.Institution
	}
	return cmp.Or(names[a.Institution], a.Institution)
}

// medium is the way a code came, under the name that pages have words for.
func medium(kind string) string {
	switch kind {
	case "mail":
		return "email"
	case "sms", "call", "app", "device", "email":
		return kind
	default:
		return "unknown"
	}
}

// problemOf is what went wrong with the last answer to a question that stands
// again.
func problemOf(ch bank.Challenge, a bank.Attempt) string {
	switch ch.LastOutcome {
	case "", bank.OK, bank.Asks:
		return ""
	case bank.AnswerRejected:
		if a.Reason == bank.ReasonFormat {
			return "format"
		}
		return "wrong"
	case bank.BankUnavailable, bank.RateLimited:
		return "unavailable"
	default:
		return "unknown"
	}
}

// digits are the patterns of what is only figures.
var digits = regexp.MustCompile(`^(?:\[0-9\]|\\d)(?:[+*]|\{(?:\d+,)?(\d+)\})?$`)

// field is one thing that a bank wants typed. Its pattern is checked by us, not
// by the browser, which may not even know the dialect; what is only figures gets
// the keyboard for them.
func field(f bank.Field) view.Field {
	out := view.Field{Name: f.ID, Label: f.Label, Masked: f.Masked, Required: f.Required, Autocomplete: "off", InputMode: "text"}
	if m := digits.FindStringSubmatch(f.Pattern); m != nil {
		out.InputMode = "numeric"
		out.MaxLength, _ = strconv.Atoi(m[1])
	} else if f.Pattern == "" {
		out.InputMode = ""
	}
	for _, c := range f.Choices {
		out.Choices = append(out.Choices, view.Choice{Value: c.Value, Label: cmp.Or(c.Label, c.Value)})
	}
	return out
}

// reasonWords says in a sentence's end why an attempt ended.
func reasonWords(ctx context.Context, a bank.Attempt) string {
	if word := outcomeWord(a.Outcome); word != "" {
		return view.Say(ctx, "outcome."+word)
	}
	return view.Say(ctx, "outcome.cancelled")
}
