package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/web/view"
)

// bankRoutes are the pages of the bank window. Whatever changes something is a
// form: with our script its answer is put into the page, without it the browser
// is sent to the page that tells what came of it.
func (s *Server) bankRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+view.PathNewAccess, s.page(s.newAccess))
	mux.Handle("POST "+view.PathNewAccess, s.page(s.open))
	mux.Handle("GET "+view.PathNewFields, s.page(s.newFields))
	mux.Handle("GET "+view.PathReturn, s.part(s.comeBack)) // the bank sends people here

	mux.Handle("GET /accesses", s.page(s.accesses))
	mux.Handle("GET /accesses/{id}", s.page(s.access))
	mux.Handle("GET /accesses/{id}/line", s.part(s.accessLine))
	mux.Handle("POST /accesses/{id}", s.page(s.amend))
	mux.Handle("POST /accesses/{id}/refresh", s.page(s.refresh))
	mux.Handle("POST /accesses/{id}/resume", s.page(s.resume))
	mux.Handle("POST /accesses/{id}/discard", s.page(s.discard))
	mux.Handle("POST /accesses/{id}/delete", s.page(s.deleteAccess))

	mux.Handle("GET /attempts/{id}/question", s.part(s.question))
	mux.Handle("GET /attempts/{id}/asked", s.part(s.asked)) // the script, when the stream told of the attempt
	mux.Handle("POST /attempts/{id}/cancel", s.page(s.cancel))
	mux.Handle("POST /attempts/{id}/restart", s.page(s.restart))
	mux.Handle("POST /challenges/{id}/answer", s.page(s.answer))
	mux.Handle("POST /challenges/{id}/resend", s.page(s.resend))
	mux.Handle("GET /challenges/{id}/picture", s.part(s.picture))

	mux.Handle("GET "+view.PathAccounts, s.page(s.accounts))
	mux.Handle("POST /accounts/{id}/refresh", s.page(s.refreshBalance))
	mux.Handle("GET "+view.PathOperations, s.page(s.operations))
	mux.Handle("GET "+view.PathEvents, s.part(s.events))
}

// firstWord is how long a form waits for the bank unless FirstWord says otherwise:
// most have answered by then, and the page that follows needs not change under the
// reader's eyes.
const firstWord = 2 * time.Second

// bankArrive puts right what a person left behind. When unfinished creations are
// discarded at a page load, the page that a form leads to does not count: it is
// the first to show the question.
func (s *Server) bankArrive(v visit) error {
	ctx := v.r.Context()
	if s.session.PopBool(ctx, "asking") {
		return nil
	}
	_, err := s.Bank.Sweep(ctx, v.me.ID)
	return err
}

// toQuestion is where the question of an attempt is answered: over the page one
// was on, or on a page of its own while the person has no account.
func (v visit) toQuestion(attempt guichet.ID, first bool) string {
	if v.s.Bank.DiscardUnfinished {
		v.s.session.Put(v.r.Context(), "asking", true)
	}
	if first {
		return view.PathNewFields
	}
	return withParameter(cmp.Or(v.back(), view.PathAccesses), "question", attempt.String())
}

// cases are the accesses of who asks, and whether none has an account yet.
func (v visit) cases() (all []bank.Case, first bool, err error) {
	all, err = v.s.Bank.Store.Cases(v.r.Context(), v.me.ID)
	return all, !slices.ContainsFunc(all, func(c bank.Case) bool { return c.Access.HasAccounts }), err
}

// institutions names what can be reached.
func (s *Server) institutions(ctx context.Context) (map[string]string, error) {
	all, err := s.Bank.Institutions(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(all)+1)
	for _, i := range all {
		names[i.ID] = i.Name
	}
	names[bank.ByFile] = view.Say(ctx, "access.by_file")
	return names, nil
}

// id reads the id of the path; what cannot be one names nothing.
func (v visit) id(missing error) (guichet.ID, error) {
	id, err := guichet.ParseID(v.r.PathValue("id"))
	if err != nil {
		return "", missing
	}
	return id, nil
}

// challenge is a case by one of its questions, for its owner only.
func (v visit) challenge(id guichet.ID) (bank.Case, error) {
	c, err := v.s.Bank.Store.Case(v.r.Context(), bank.Ref{Challenge: id})
	if err == nil && c.Challenge.Owner != v.me.ID {
		err = bank.ErrNoQuestion
	}
	if err != nil {
		return bank.Case{}, err
	}
	return c, nil
}

// wait gives the bank a moment before the page that follows is chosen.
func (v visit) wait(c bank.Case) (bank.Case, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), cmp.Or(v.s.FirstWord, firstWord))
	defer cancel()
	return v.s.Bank.Wait(ctx, v.by(), c.Attempt.ID, bank.AtRest)
}

// typed is what was typed into the fields of the bank. Its values are secrets
// from here on, whatever they are.
func (v visit) typed() map[string]guichet.Secret {
	fields := map[string]guichet.Secret{}
	for name, values := range v.r.PostForm {
		if id, ok := strings.CutPrefix(name, "fields."); ok && len(values) > 0 {
			fields[id] = guichet.Secret(values[0])
		}
	}
	return fields
}

// back is the page that a form or a piece of a page was on, without the question
// over it; empty when there is none to go back to.
func (v visit) back() string {
	from := v.r.URL.RequestURI()
	if v.r.Method == http.MethodPost || v.partial() {
		from = v.r.PostFormValue("back")
		if current, err := url.Parse(v.r.Header.Get("HX-Current-URL")); from == "" && err == nil && current.Path != "" {
			from = current.RequestURI()
		}
	}
	return backFrom(from)
}

func backFrom(from string) string {
	if from == "" {
		return ""
	}
	from = Local(from)
	for _, place := range []string{"/init/", "/attempts/", "/challenges/"} {
		if strings.HasPrefix(from, place) {
			return "" // it led here, and has nothing to show any more
		}
	}
	return withParameter(from, "question", "")
}

// leave goes to another page, also when only a piece of this one was asked for.
func (v visit) leave(to string) error {
	if v.partial() {
		v.w.Header().Set("HX-Redirect", to)
		v.w.Header().Set("Cache-Control", "no-store")
		v.w.WriteHeader(http.StatusOK)
		return nil
	}
	return v.redirect(to)
}

// tell keeps a sentence for the next page, as say does, when it is already said.
func (v visit) tell(text string) { v.s.session.Put(v.r.Context(), "toast", text) }

// withParameter sets a parameter of an address of ours, or removes it.
func withParameter(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		return view.PathHome
	}
	q := u.Query()
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// bankFrame adds what waits at banks to the frame of a page, and the question
// that its address names: it is asked over the page.
func (v visit) bankFrame(f *view.Frame) {
	ctx := v.r.Context()
	f.Events = view.EventsURL(ctx)
	cases, _, err := v.cases()
	if err != nil {
		if ctx.Err() == nil { // the page itself says so better, when it needs them
			v.s.Log.ErrorContext(ctx, "what waits at banks", "error", err)
		}
		return
	}
	id := v.r.URL.Query().Get("question")
	for _, c := range cases {
		if waits(c) {
			f.Waits[view.Accesses]++
		}
		if v.r.Method == http.MethodGet && id == c.Attempt.ID.String() && c.Attempt.State.Live() {
			q := v.ask(c, "")
			f.Question = &q
		}
	}
}

// waits tells whether an access needs its person.
func waits(c bank.Case) bool {
	switch c.State() {
	case bank.AccessWaiting, bank.AccessUnfinished, bank.AccessPaused, bank.AccessBroken:
		return true
	default:
		return false
	}
}
