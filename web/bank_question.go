package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/web/view"
)

// newFields is the page of the question of a creation while its person has no
// account. Its address names nothing, so it is the same after a reload, in
// another browser, and after whatever happened to this process.
func (s *Server) newFields(v visit) error {
	cases, first, err := v.cases()
	if err != nil {
		return err
	}
	named := v.r.URL.Query().Get("attempt") // when several creations wait
	var asked bank.Case
	for _, c := range cases { // the latest wins
		if c.Attempt.State.Live() && c.Attempt.Purpose == bank.Create && (named == "" || named == c.Attempt.ID.String()) {
			asked = c
		}
	}
	switch {
	case asked.Attempt.ID != "" && !first:
		return v.redirect(v.toQuestion(asked.Attempt.ID, false))
	case asked.Attempt.ID != "":
		Render(v.w, v.r, http.StatusOK, view.QuestionPage(v.ask(asked, "")))
		return nil
	case !first:
		return v.redirect(view.PathAccesses)
	}
	// Nothing waits. Whoever was here before learns what became of it.
	recent, err := v.recentCreations()
	if err != nil {
		return err
	}
	if len(recent) > 0 {
		return v.redirect(withParameter(view.PathNewAccess, "attempt", recent[len(recent)-1].ID.String()))
	}
	return v.redirect(view.PathNewAccess)
}

// recent is for how long a creation that failed is still spoken of.
const recent = 15 * time.Minute

// recentCreations are the creations that failed a moment ago and were not begun
// anew, the oldest first.
func (v visit) recentCreations() ([]bank.Attempt, error) {
	moved, err := v.s.Bank.Store.Moved(v.r.Context(), v.me.ID, v.s.Clock.Now().Add(-recent))
	if err != nil {
		return nil, err
	}
	var failed []bank.Attempt
	for _, a := range moved {
		failed = slices.DeleteFunc(failed, func(before bank.Attempt) bool { return before.Fingerprint == a.Fingerprint })
		if a.Purpose == bank.Create && (a.State == bank.AttemptFailed || a.State == bank.AttemptExpired) {
			failed = append(failed, a)
		}
	}
	return failed, nil
}

// question is the question of an attempt, as a piece of the page or, without our
// script, as a page; when the attempt has ended, it leads to what came of it.
func (s *Server) question(v visit) error {
	id, err := v.id(bank.ErrNoAttempt)
	if err != nil {
		return err
	}
	c, err := s.Bank.Attempt(v.r.Context(), v.by(), id)
	if err != nil {
		return v.gone(err)
	}
	if q := c.Question(); v.partial() && q != nil && q.Typed() && q.Answerable(s.Clock.Now()) && v.r.URL.Query().Get("seen") == seenAs(*q) {
		v.w.WriteHeader(http.StatusNoContent) // someone may be typing
		return nil
	}
	return v.box(http.StatusOK, c, "")
}

// gone is for a piece of a page that asks for itself again, when what it is about
// is not there any more: the page around it is read anew.
func (v visit) gone(err error) error {
	if v.partial() && guichet.KindOf(err) == guichet.NotFound {
		v.w.Header().Set("HX-Refresh", "true")
	}
	return err
}

// asked is the question over a page, when there is one that its person can do
// something about, and nothing otherwise.
func (s *Server) asked(v visit) error {
	id, err := v.id(bank.ErrNoAttempt)
	if err != nil {
		return err
	}
	c, err := s.Bank.Attempt(v.r.Context(), v.by(), id)
	if err != nil {
		return err
	}
	_, first, err := v.cases()
	if err != nil {
		return err
	}
	open := c.Attempt.State == bank.AttemptWaiting && (c.Challenge.Status == bank.StatusOpen || !c.Challenge.Typed())
	if !open || first { // the first question of all has a page of its own
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	Render(v.w, v.r, http.StatusOK, view.QuestionDialog(v.ask(c, "")))
	return nil
}

// box shows how a question stands, in place, or on a page of its own.
func (v visit) box(status int, c bank.Case, problem string) error {
	if !c.Attempt.State.Live() && (c.Attempt.State != bank.AttemptExpired || !v.partial()) {
		return v.leave(v.over(c))
	}
	q := v.ask(c, problem)
	if v.partial() {
		Render(v.w, v.r, status, view.QuestionBox(q))
		return nil
	}
	_, first, err := v.cases()
	if err != nil {
		return err
	}
	if first {
		Render(v.w, v.r, status, view.QuestionPage(q))
		return nil
	}
	v.show(status, func(f view.Frame) component { return view.FramedQuestion(f, q) })
	return nil
}

// over says what became of an attempt and gives the page that shows it.
func (v visit) over(c bank.Case) string {
	ctx, a := v.r.Context(), c.Attempt
	back, created := v.back(), a.Purpose == bank.Create
	if end := a.ID.String(); v.s.session.GetString(ctx, "over") != end {
		v.s.session.Put(ctx, "over", end)
		defer v.tellEnd(c) // once: the page and the answer may both come here
	}
	switch a.State {
	case bank.AttemptSucceeded, bank.AttemptPartial:
		if created {
			return view.PathAccounts
		}
	case bank.AttemptCancelled:
		if _, first, err := v.cases(); created && err == nil && first {
			return view.PathNewAccess
		}
	default:
		if created && c.Access.ID == "" {
			return withParameter(view.PathNewAccess, "attempt", a.ID.String())
		}
	}
	return cmp.Or(back, view.PathAccesses)
}

// tellEnd keeps for the next page what became of an attempt. A creation that
// failed needs none: its form says why.
func (v visit) tellEnd(c bank.Case) {
	ctx, a := v.r.Context(), c.Attempt
	created := a.Purpose == bank.Create
	switch {
	case a.State == bank.AttemptSucceeded || a.State == bank.AttemptPartial:
		key, n := "access.fetched_toast", a.Counts.Added
		if created {
			key, n = "access.opened_toast", a.Counts.Accounts
		}
		v.tell(view.Count(ctx, key, n, "Access", a.Label))
	case a.State == bank.AttemptCancelled && created:
		v.say("access.given_up_toast", "Access", a.Label)
	case a.State == bank.AttemptCancelled:
		v.say("access.stopped_toast", "Access", a.Label)
	case !created || c.Access.ID != "":
		v.say("access.failed_toast", "Access", a.Label, "Reason", reasonWords(ctx, a))
	}
}

// next goes to what comes after an attempt was started or moved: its question,
// its end, or the page one was on, where it goes on in place.
func (v visit) next(c bank.Case) error {
	_, first, err := v.cases()
	switch {
	case err != nil:
		return err
	case !c.Attempt.State.Live():
		return v.leave(v.over(c))
	case c.Attempt.State == bank.AttemptWaiting, first:
		return v.leave(v.toQuestion(c.Attempt.ID, first))
	}
	if back := v.back(); back != "" {
		return v.leave(back)
	}
	return v.leave(view.PathAccesses)
}

// answer gives a code, a choice, an address to the bank.
func (s *Server) answer(v visit) error {
	id, err := v.id(bank.ErrNoQuestion)
	if err != nil {
		return err
	}
	return v.reply(bank.Reply{Challenge: id, Fields: v.typed()})
}

// resend asks the bank for the code again.
func (s *Server) resend(v visit) error {
	id, err := v.id(bank.ErrNoQuestion)
	if err != nil {
		return err
	}
	return v.reply(bank.Reply{Challenge: id, Resend: true})
}

// reply gives what a form says to the desk, and shows where the question then
// stands: here, with what is wrong, or gone on.
func (v visit) reply(r bank.Reply) error {
	r.Version, _ = strconv.ParseInt(v.r.PostFormValue("version"), 10, 64) // without it: as it stands
	r.Key = v.r.PostFormValue("key")
	c, err := v.s.Bank.Answer(v.r.Context(), v.by(), r)
	return v.replied(c, err)
}

// replied shows what came of an answer.
func (v visit) replied(c bank.Case, err error) error {
	ctx := v.r.Context()
	var refused *guichet.Error
	switch {
	case err == nil:
		if c, err = v.wait(c); err != nil {
			return err
		}
		if v.partial() {
			return v.box(http.StatusOK, c, "")
		}
		return v.next(c)
	case errors.Is(err, bank.ErrQuestionExpired) && c.Attempt.ID != "":
		return v.box(http.StatusGone, c, "")
	case errors.Is(err, bank.ErrChanged), errors.Is(err, bank.ErrQuestionBusy), errors.Is(err, bank.ErrQuestionOver), errors.Is(err, bank.ErrAttemptOver):
		// Another page was first. What it did, and what came of it, is what counts.
		if c.Attempt.ID == "" {
			return err
		}
		if c, err = v.s.Bank.Attempt(ctx, v.by(), c.Attempt.ID); err != nil {
			return err
		}
		return v.box(http.StatusConflict, c, "other_answer")
	case errors.As(err, &refused) && refused.Field != "" && c.Attempt.ID != "":
		return v.box(http.StatusUnprocessableEntity, c, "format")
	default:
		return err
	}
}

// comeBack is where a bank sends people back to after they agreed, or refused, on
// its own site. What it says is the answer to the question that sent them.
func (s *Server) comeBack(v visit) error {
	c, err := s.Bank.Return(v.r.Context(), v.by(), s.URL+v.r.URL.RequestURI())
	return v.replied(c, err)
}

// picture is what a bank wants read. It is the bank's bytes: a browser is told
// what they are, and to believe nothing else of them.
func (s *Server) picture(v visit) error {
	id, err := v.id(bank.ErrNoQuestion)
	if err != nil {
		return err
	}
	c, err := v.challenge(id)
	if err != nil {
		return err
	}
	if len(c.Challenge.Question.Image) == 0 {
		return bank.ErrNoQuestion
	}
	h := v.w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	_, _ = v.w.Write(c.Challenge.Question.Image)
	return nil
}

// cancel gives up an attempt. A creation goes with all its secrets.
func (s *Server) cancel(v visit) error {
	id, err := v.id(bank.ErrNoAttempt)
	if err != nil {
		return err
	}
	c, err := s.Bank.Cancel(v.r.Context(), v.by(), id)
	if err != nil {
		return err
	}
	return v.leave(v.over(c))
}

// restart begins again after a question nobody answered in time. A creation has
// to be typed again but for what the form kept: its secrets went with it.
func (s *Server) restart(v visit) error {
	id, err := v.id(bank.ErrNoAttempt)
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	if _, err := s.Bank.Sweep(ctx, v.me.ID); err != nil {
		return err
	}
	c, err := s.Bank.Attempt(ctx, v.by(), id)
	switch {
	case err != nil:
		return err
	case c.Attempt.State.Live():
		return v.next(c)
	case c.Access.ID == "":
		return v.leave(withParameter(view.PathNewAccess, "attempt", id.String()))
	}
	return v.fetch(bank.Refresh{Access: c.Access.ID, Purpose: bank.RefreshAccounts})
}
