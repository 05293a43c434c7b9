package web

import (
	"errors"
	"net/http"
	"strings"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/web/view"
)

// accesses lists every access, and the creations that failed a moment ago, so
// that nothing ends without a word.
func (s *Server) accesses(v visit) error {
	cases, first, err := v.cases()
	if err != nil {
		return err
	}
	var page view.AccessList
	if page.Lines, err = v.lines(cases, first); err != nil {
		return err
	}
	failed, err := v.recentCreations()
	if err != nil {
		return err
	}
	for _, a := range failed {
		page.Lines = append(page.Lines, v.notOpenedLine(a))
	}
	if v.partial() {
		Render(v.w, v.r, http.StatusOK, view.AccessLines(page))
		return nil
	}
	v.show(http.StatusOK, func(f view.Frame) component { return view.AccessesPage(f, page) })
	return nil
}

// accessLine is one line of the list, while it moves. An access that was not
// opened is gone; its line then says why.
func (s *Server) accessLine(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	ctx := v.r.Context()
	c, err := s.Bank.Access(ctx, v.by(), id)
	if errors.Is(err, bank.ErrNoAccess) {
		failed, err := v.recentCreations()
		if err != nil {
			return err
		}
		for _, a := range failed {
			if a.AccessID == id {
				Render(v.w, v.r, http.StatusOK, view.AccessLineOf(v.notOpenedLine(a)))
				return nil
			}
		}
	}
	if err != nil {
		return v.gone(err)
	}
	names, err := s.institutions(ctx)
	if err != nil {
		return err
	}
	_, first, err := v.cases()
	if err != nil {
		return err
	}
	Render(v.w, v.r, http.StatusOK, view.AccessLineOf(v.line(c, names, first)))
	return nil
}

// notOpenedLine is what is left of an access that was not opened: why, and its
// form.
func (v visit) notOpenedLine(a bank.Attempt) view.AccessLine {
	return view.AccessLine{
		ID: a.AccessID.String(), Institution: v.institutionOf(a), Label: a.Label, State: view.AccessNotOpened, Outcome: outcomeWord(a.Outcome), BankSays: a.Text,
		Main: &view.Action{Label: v.words("access.edit"), URL: withParameter(view.PathNewAccess, "attempt", a.ID.String()), Tone: view.Plain},
	}
}

// access is the page of one access.
func (s *Server) access(v visit) error {
	page, err := v.accessPage()
	if err != nil {
		return err
	}
	v.showAccess(http.StatusOK, page)
	return nil
}

func (v visit) showAccess(status int, page view.AccessDetail) {
	v.show(status, func(f view.Frame) component { return view.AccessPage(f, page) })
}

func (v visit) accessPage() (page view.AccessDetail, err error) {
	ctx, s := v.r.Context(), v.s
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return page, err
	}
	c, err := s.Bank.Access(ctx, v.by(), id)
	if err != nil {
		return page, err
	}
	names, err := s.institutions(ctx)
	if err != nil {
		return page, err
	}
	_, first, err := v.cases()
	if err != nil {
		return page, err
	}
	byFile := c.State() == bank.AccessImported
	page = view.AccessDetail{
		Line: v.line(c, names, first), SaveURL: accessURL(id), RefreshURL: accessURL(id, "refresh"), Lent: c.Access.Lent,
		Ask:    c.Access.Credentials == nil && c.Access.HasAccounts && !c.Attempt.State.Live() && !byFile,
		NoBank: byFile,
		Label:  view.Field{Name: "label", Label: v.words("access.label"), Value: c.Access.Label, MaxLength: 100, Required: true, Autocomplete: "off"},
	}
	page.Line.URL = "" // here it is
	if inst, err := s.institution(ctx, c.Access.Institution); err == nil {
		page.Credentials = form(inst, nil)
	}
	page.Disabled = c.Access.Disabled && !c.Attempt.State.Live()
	if c.Access.HasAccounts && !c.Access.Disabled && !byFile {
		page.Disable = &view.Action{
			Label: v.words("access.disable"), URL: accessURL(id), Post: true, Tone: view.Danger, Hidden: []view.Hidden{{Name: "disabled", Value: "yes"}},
			Confirm: &view.Confirm{ID: "disable-" + id.String(), Title: v.words("access.disable_confirm", "Access", c.Access.Label), Says: v.words("access.disable_says")},
		}
	}
	if c.Access.HasAccounts && !c.Access.Lent && !c.Access.Disabled && !byFile {
		page.NightOff = c.Access.NightOff
		night := view.Action{Label: v.words("access.night_pause"), URL: accessURL(id), Post: true, Hidden: []view.Hidden{{Name: "night_off", Value: "yes"}}}
		if page.NightOff {
			night.Label, night.Hidden[0].Value = v.words("access.night_resume"), "no"
		}
		page.Night = &night
	}
	page.Delete, err = v.deleteAction(c)
	return page, err
}

// deleteAction names what goes: it cannot be undone.
func (v visit) deleteAction(c bank.Case) (view.Action, error) {
	accounts, err := v.accountsOf(c.Access.ID)
	if err != nil {
		return view.Action{}, err
	}
	says := v.words("access.delete_empty")
	if len(accounts) > 0 {
		var names []string
		for _, a := range accounts {
			names = append(names, accountName(a))
		}
		says = view.Count(v.r.Context(), "access.delete_accounts", len(accounts), "Names", strings.Join(names, ", "))
	}
	return view.Action{
		Label: v.words("access.delete"), URL: accessURL(c.Access.ID, "delete"), Post: true, Tone: view.Danger,
		Confirm: &view.Confirm{ID: "delete-" + c.Access.ID.String(), Title: v.words("access.delete_confirm", "Access", c.Access.Label), Says: says},
	}, nil
}

func (v visit) accountsOf(access guichet.ID) ([]ledger.Account, error) {
	all, err := v.s.Bank.Store.Accounts(v.r.Context(), bank.AccountFilter{Owner: v.me.ID})
	if err != nil {
		return nil, err
	}
	var mine []ledger.Account
	for _, a := range all {
		if a.AccessID == access {
			mine = append(mine, a)
		}
	}
	return mine, nil
}

// amend changes what a form gives: the label, the nightly fetch, whether the
// access is to be used at all; or tries credentials, which replace those that are
// kept when the bank has let them in.
func (s *Server) amend(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	post, m := v.r.PostForm, bank.Amendment{}
	if post.Has("label") {
		label := post.Get("label")
		m.Label = &label
	}
	if typed := v.typed(); len(typed) > 0 {
		if !post.Has("back") {
			post.Set("back", accessURL(id))
		}
		return v.fetch(bank.Refresh{Access: id, Purpose: bank.RefreshAccounts, Credentials: typed})
	}
	if post.Has("night_off") {
		off := post.Get("night_off") == "yes"
		m.NightOff = &off
	}
	if post.Get("disabled") == "yes" {
		yes := true
		m.Disabled = &yes
	}
	if _, err := s.Bank.Amend(v.r.Context(), v.by(), id, m); err != nil {
		return v.accessRefused(err)
	}
	v.say("access.saved_toast")
	return v.redirect(accessURL(id))
}

// accessRefused shows the page of an access again with what is wrong in its
// form, when that is what the error is about.
func (v visit) accessRefused(err error) error {
	var refused *guichet.Error
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Field, "fields.") && refused.Code != bank.ErrAttemptBusy.Code {
		return err
	}
	page, perr := v.accessPage()
	if perr != nil {
		return perr
	}
	if words := errorWords(v.r.Context(), refused); !mark(page.Credentials, refused, words) {
		page.Problem = words
	}
	v.showAccess(Status(refused.Kind), page)
	return nil
}

// refresh fetches from an access: accounts and operations.
func (s *Server) refresh(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	return v.fetch(bank.Refresh{Access: id, Purpose: bank.RefreshAccounts, Credentials: v.typed()})
}

// refreshBalance fetches the balance of one account.
func (s *Server) refreshBalance(v visit) error {
	id, err := v.id(bank.ErrNoAccount)
	if err != nil {
		return err
	}
	account, err := s.Bank.Account(v.r.Context(), v.by(), id)
	if err != nil {
		return err
	}
	return v.fetch(bank.Refresh{Access: account.AccessID, Account: id, Purpose: bank.RefreshBalance})
}

func (v visit) fetch(r bank.Refresh) error {
	c, _, err := v.s.Bank.Fetch(v.r.Context(), v.by(), r)
	switch {
	case errors.Is(err, bank.ErrCredentialsNeeded):
		return v.leave(accessURL(r.Access)) // where they are asked for
	case err != nil && len(r.Credentials) > 0:
		return v.accessRefused(err)
	case err != nil:
		return err
	}
	if c, err = v.wait(c); err != nil {
		return err
	}
	return v.next(c)
}

// resume goes on with a creation that waits, or says that it is too late.
func (s *Server) resume(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	c, err := s.Bank.Resume(v.r.Context(), v.by(), id)
	if errors.Is(err, bank.ErrQuestionExpired) {
		if _, err := s.Bank.Sweep(v.r.Context(), v.me.ID); err != nil {
			return err
		}
		return v.leave(withParameter(view.PathNewAccess, "attempt", c.Attempt.ID.String()))
	}
	if err != nil {
		return err
	}
	return v.next(c)
}

// discard erases a creation that was not finished.
func (s *Server) discard(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	if err := s.Bank.Discard(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	v.say("access.discarded_toast")
	return v.leave(view.PathAccesses)
}

// deleteAccess removes an access with its accounts and operations.
func (s *Server) deleteAccess(v visit) error {
	id, err := v.id(bank.ErrNoAccess)
	if err != nil {
		return err
	}
	if err := s.Bank.Delete(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	v.say("access.deleted_toast")
	return v.leave(view.PathAccesses)
}
