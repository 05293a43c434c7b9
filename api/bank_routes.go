package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
)

// register adds every operation. Who calls: pages of the house, programs of the
// person, and tests; always in a person's name.
func (b *Bank) register(api huma.API) {
	op := func(method, path, id, summary string) huma.Operation {
		return huma.Operation{
			Method: method, Path: "/api" + path, OperationID: id, Summary: summary, MaxBodyBytes: maxBankBody,
			BodyReadTimeout: 10 * time.Second, Middlewares: huma.Middlewares{b.identified},
			Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusGone},
		}
	}
	if b.Desk != nil {
		b.registerBank(api, op)
	}
	if b.Tokens != nil {
		b.registerTokens(api, op)
	}
	if b.Machines {
		describeMachines(api.OpenAPI())
	}
}

// registerBank adds those of the bank window.
func (b *Bank) registerBank(api huma.API, op func(method, path, id, summary string) huma.Operation) {
	huma.Register(api, op("GET", "/institutions", "institutions", "What can be reached, and the form each needs"), b.institutions)
	huma.Register(api, op("GET", "/all", "all", "Everything a client needs to start"), b.all)
	huma.Register(api, op("GET", "/transactions", "transactions", "One page of an account, newest first"), b.transactions)

	create := op("POST", "/accesses", "open", "Open an access")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, b.open)
	huma.Register(api, op("GET", "/accesses/{id}", "access", "One access"), b.access)
	huma.Register(api, op("PATCH", "/accesses/{id}", "amend", "Change label, nightly fetch or credentials, disable or enable"), b.amend)
	remove := op("DELETE", "/accesses/{id}", "delete", "Remove an access and everything below it")
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, b.delete)
	huma.Register(api, op("POST", "/accesses/{id}/resume", "resume", "The question of an unfinished creation"), b.resume)
	discard := op("POST", "/accesses/{id}/discard", "discard", "Give up an unfinished creation")
	discard.DefaultStatus = http.StatusNoContent
	huma.Register(api, discard, b.discard)

	for _, verb := range []string{"POST", "PUT"} {
		suffix := "_" + strings.ToLower(verb)
		huma.Register(api, op(verb, "/accesses/{id}/fetch/accounts", "fetch_accounts"+suffix, "Fetch accounts and operations, or answer"),
			b.fetch(bank.RefreshAccounts))
		huma.Register(api, op(verb, "/accesses/{id}/fetch/operations", "fetch_operations"+suffix, "Fetch operations of known accounts, or answer"),
			b.fetch(bank.RefreshOperations))
		huma.Register(api, op(verb, "/accounts/{id}/resync-balance", "resync_balance"+suffix, "Fetch one balance, or answer"),
			b.fetch(bank.RefreshBalance))
	}

	huma.Register(api, op("GET", "/attempts/{id}", "attempt", "An attempt, with its question"), b.attempt)
	huma.Register(api, op("POST", "/attempts/{id}/cancel", "cancel", "Give up an attempt"), b.cancel)
	huma.Register(api, op("POST", "/challenges/{id}/answer", "answer", "Answer the bank's question"), b.answer(false))
	huma.Register(api, op("POST", "/challenges/{id}/resend", "resend", "Ask the bank for the code again"), b.answer(true))
	describe(api.OpenAPI())
}

type pathID struct {
	ID string `path:"id" maxLength:"64"`
}

// secrets is what a person typed: never printed, whatever prints it.
type secrets map[string]guichet.Secret

type body[T any] struct{ Body T }

// caseBody is an access and its attempt, with how far it is.
type caseBody struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     struct {
		Access  *accessView `json:"access" doc:"Null when it did not outlive its attempt."`
		Attempt attemptView `json:"attempt"`
	}
}

func (b *Bank) caseBody(c bank.Case, status int) *caseBody {
	out := &caseBody{Status: status, Location: location(c), ETag: etag(c)}
	if c.Access.ID != "" {
		v := b.viewAccess(c)
		out.Body.Access = &v
	}
	out.Body.Attempt = b.viewAttempt(c)
	return out
}

// attemptBody is an attempt alone.
type attemptBody struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     attemptView
}

func (b *Bank) attemptBody(c bank.Case, status int) *attemptBody {
	return &attemptBody{Status: status, Location: location(c), ETag: etag(c), Body: b.viewAttempt(c)}
}

func location(c bank.Case) string { return "/api/attempts/" + c.Attempt.ID.String() }

// etag is the version that If-Match wants.
func etag(c bank.Case) string {
	if q := c.Question(); q != nil {
		return strconv.Quote(strconv.FormatInt(q.Version, 10))
	}
	return ""
}

type institutionsView struct {
	Institutions []institutionView `json:"institutions"`
}

func (b *Bank) institutions(ctx context.Context, _ *struct{}) (*body[institutionsView], error) {
	all, err := b.Desk.Institutions(ctx)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	return &body[institutionsView]{institutionsView{each(all, viewInstitution)}}, nil
}

type allView struct {
	User         userView          `json:"user"`
	Accesses     []accessView      `json:"accesses"`
	Accounts     []accountView     `json:"accounts"`
	Transactions []transactionView `json:"transactions"`
	Categories   []string          `json:"categories"`
	Alerts       []alertView       `json:"alerts"`
}

func (b *Bank) all(ctx context.Context, _ *struct{}) (*body[allView], error) {
	who := askerOf(ctx)
	o, err := b.Desk.Overview(ctx, who.Actor)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	v := allView{
		User: userView{who.ID, who.Name, who.role}, Accesses: each(o.Cases, b.viewAccess), Accounts: each(o.Accounts, viewAccount),
		Transactions: each(o.Transactions, viewTransaction), Categories: []string{}, Alerts: []alertView{},
	}
	if b.Alerts != nil && len(o.Cases) > 0 {
		subjects := each(o.Cases, func(c bank.Case) string { return bank.Subject(c.Access.ID) })
		alerts, err := b.Alerts(ctx, subjects)
		if err != nil {
			return nil, b.fail(err, bank.Case{})
		}
		v.Alerts = each(alerts, func(a guichet.Alert) alertView { return alertView{a.ID, a.Kind, a.Subject, a.OpenedAt} })
	}
	return &body[allView]{v}, nil
}

type pageIn struct {
	Account string `query:"account" required:"true" maxLength:"64"`
	Before  string `query:"before" maxLength:"64" doc:"What next was in the page before."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type pageView struct {
	Transactions []transactionView `json:"transactions"`
	Next         string            `json:"next" doc:"Give it as before; empty: there is no more."`
}

func (b *Bank) transactions(ctx context.Context, in *pageIn) (*body[pageView], error) {
	id, err := parsed(in.Account, bank.ErrNoAccount)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	f := bank.TransactionFilter{Account: id, Limit: in.Limit}
	if in.Before != "" {
		day, last, _ := strings.Cut(in.Before, ",")
		if f.Before.Day, err = ledger.ParseDate(day); err == nil {
			f.Before.ID, err = guichet.ParseID(last)
		}
		if err != nil {
			return nil, b.fail(&guichet.Error{Kind: guichet.Invalid, Code: "invalid_cursor", Field: "before", Reason: "This is not where a page of ours ended."}, bank.Case{})
		}
	}
	page, err := b.Desk.Transactions(ctx, askerOf(ctx).Actor, f)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	v := pageView{Transactions: each(page, viewTransaction)}
	if len(page) == in.Limit {
		last := page[len(page)-1]
		v.Next = string(listed(last)) + "," + last.ID.String()
	}
	return &body[pageView]{v}, nil
}

type openIn struct {
	Wait   int    `query:"wait" minimum:"-1" maximum:"60" default:"-1" doc:"Seconds to wait for the bank's first word. When given, an attempt that failed meanwhile is an error."`
	Accept string `header:"Accept-Language" maxLength:"200"`
	Body   struct {
		Institution string  `json:"institution" minLength:"1" maxLength:"100"`
		Label       string  `json:"label,omitempty" maxLength:"200"`
		Store       *bool   `json:"store_credentials,omitempty" doc:"False: they serve this attempt and are forgotten."`
		Fields      secrets `json:"fields"`
	}
}

// firstWord is how long a creation waits when it was not told: most banks have
// answered by then, and a simple client need not ask again.
const firstWord = 2 * time.Second

func (b *Bank) open(ctx context.Context, in *openIn) (*caseBody, error) {
	who := askerOf(ctx)
	c, created, err := b.Desk.Open(ctx, who.Actor, bank.Opening{
		Institution: in.Body.Institution, Label: in.Body.Label, Locale: languageOf(in.Accept), Fields: in.Body.Fields,
		Lend: in.Body.Store != nil && !*in.Body.Store,
	})
	if err != nil {
		return nil, b.fail(err, c)
	}
	wait := time.Duration(in.Wait) * time.Second
	if in.Wait < 0 {
		wait = firstWord
	}
	if c, err = b.wait(ctx, c, wait, bank.AtRest); err != nil {
		return nil, b.fail(err, c)
	}
	if in.Wait > 0 {
		if err := errOf(c, ""); err != nil {
			return nil, b.fail(err, c)
		}
	}
	status := http.StatusOK // the same form a moment ago: that one goes on
	if created {
		status = http.StatusCreated
	}
	return b.caseBody(c, status), nil
}

// languageOf is the first language of a header that the house speaks.
func languageOf(header string) string {
	for tag := range strings.SplitSeq(header, ",") {
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
		switch lang, _, _ := strings.Cut(strings.ToLower(tag), "-"); lang {
		case "fr", "en":
			return lang
		}
	}
	return "fr"
}

// wait waits at most so long for an attempt.
func (b *Bank) wait(ctx context.Context, c bank.Case, limit time.Duration, done func(bank.Case) bool) (bank.Case, error) {
	if limit <= 0 || done(c) {
		return c, nil
	}
	longer(askerOf(ctx).w)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return b.Desk.Wait(ctx, askerOf(ctx).Actor, c.Attempt.ID, done)
}

func (b *Bank) access(ctx context.Context, in *pathID) (*body[accessView], error) {
	id, err := parsed(in.ID, bank.ErrNoAccess)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	c, err := b.Desk.Access(ctx, askerOf(ctx).Actor, id)
	if err != nil {
		return nil, b.fail(err, c)
	}
	return &body[accessView]{b.viewAccess(c)}, nil
}

type amendIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Label       *string `json:"label,omitempty" maxLength:"200"`
		NightOff    *bool   `json:"night_off,omitempty" doc:"True: never fetch at night."`
		Disabled    *bool   `json:"disabled,omitempty" doc:"True: wipe the credentials and the session, keep the data, fetch nothing. False needs credentials."`
		Store       *bool   `json:"store_credentials,omitempty" doc:"False: forget them now, and ask at each fetch. True needs credentials."`
		Credentials secrets `json:"credentials,omitempty" doc:"New ones, kept at once; those given with a fetch are kept when the bank has accepted them."`
	}
}

func (b *Bank) amend(ctx context.Context, in *amendIn) (*body[accessView], error) {
	id, err := parsed(in.ID, bank.ErrNoAccess)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	m := bank.Amendment{Label: in.Body.Label, NightOff: in.Body.NightOff, Disabled: in.Body.Disabled, Credentials: in.Body.Credentials}
	if in.Body.Store != nil {
		lend := !*in.Body.Store
		m.Lend = &lend
	}
	c, err := b.Desk.Amend(ctx, askerOf(ctx).Actor, id, m)
	if err != nil {
		return nil, b.fail(err, c)
	}
	return &body[accessView]{b.viewAccess(c)}, nil
}

func (b *Bank) delete(ctx context.Context, in *pathID) (*struct{}, error) {
	id, err := parsed(in.ID, bank.ErrNoAccess)
	if err == nil {
		err = b.Desk.Delete(ctx, askerOf(ctx).Actor, id)
	}
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	return nil, nil
}

func (b *Bank) discard(ctx context.Context, in *pathID) (*struct{}, error) {
	id, err := parsed(in.ID, bank.ErrNoAccess)
	if err == nil {
		err = b.Desk.Discard(ctx, askerOf(ctx).Actor, id)
	}
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	return nil, nil
}

func (b *Bank) resume(ctx context.Context, in *pathID) (*caseBody, error) {
	id, err := parsed(in.ID, bank.ErrNoAccess)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	c, err := b.Desk.Resume(ctx, askerOf(ctx).Actor, id)
	if err != nil {
		return nil, b.fail(err, c)
	}
	return b.caseBody(c, http.StatusOK), nil
}

type fetchIn struct {
	ID   string `path:"id" maxLength:"64"`
	Wait int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for the end of it, or for a question."`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body *struct {
		Fields      secrets `json:"fields,omitempty" doc:"The answer to the question of this access."`
		Credentials secrets `json:"credentials,omitempty" doc:"Those of an access that has none, or new ones: kept when the bank has accepted them."`
	} `required:"false"`
}

// fetch starts, or answers when there are fields: the seed's three addresses.
func (b *Bank) fetch(p bank.Purpose) func(context.Context, *fetchIn) (*caseBody, error) {
	return func(ctx context.Context, in *fetchIn) (*caseBody, error) {
		r, err := b.refresh(ctx, in, p)
		if err != nil {
			return nil, b.fail(err, bank.Case{})
		}
		c, _, err := b.Desk.Fetch(ctx, askerOf(ctx).Actor, r)
		if err != nil {
			return nil, b.fail(err, c)
		}
		var answered guichet.ID
		if len(r.Fields) > 0 {
			answered = c.Challenge.ID
		}
		if c, err = b.wait(ctx, c, time.Duration(in.Wait)*time.Second, bank.AtRest); err == nil {
			err = errOf(c, answered)
		}
		if err != nil {
			return nil, b.fail(err, c)
		}
		return b.caseBody(c, statusOf(c)), nil
	}
}

func (b *Bank) refresh(ctx context.Context, in *fetchIn, p bank.Purpose) (bank.Refresh, error) {
	r := bank.Refresh{Purpose: p, Key: in.Key}
	if in.Body != nil {
		r.Fields, r.Credentials = in.Body.Fields, in.Body.Credentials
	}
	if p != bank.RefreshBalance {
		id, err := parsed(in.ID, bank.ErrNoAccess)
		r.Access = id
		return r, err
	}
	id, err := parsed(in.ID, bank.ErrNoAccount)
	if err != nil {
		return r, err
	}
	account, err := b.Desk.Account(ctx, askerOf(ctx).Actor, id)
	r.Access, r.Account = account.AccessID, account.ID
	return r, err
}

type attemptIn struct {
	ID   string `path:"id" maxLength:"64"`
	Wait int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for the end of it, or for a question."`
}

func (b *Bank) attempt(ctx context.Context, in *attemptIn) (*attemptBody, error) {
	id, err := parsed(in.ID, bank.ErrNoAttempt)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	c, err := b.Desk.Attempt(ctx, askerOf(ctx).Actor, id)
	if err == nil {
		c, err = b.wait(ctx, c, time.Duration(in.Wait)*time.Second, bank.Over)
	}
	if err != nil {
		return nil, b.fail(err, c)
	}
	return b.attemptBody(c, http.StatusOK), nil
}

func (b *Bank) cancel(ctx context.Context, in *pathID) (*attemptBody, error) {
	id, err := parsed(in.ID, bank.ErrNoAttempt)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	c, err := b.Desk.Cancel(ctx, askerOf(ctx).Actor, id)
	if err != nil {
		return nil, b.fail(err, c)
	}
	return b.attemptBody(c, http.StatusOK), nil
}

type answerIn struct {
	ID    string `path:"id" maxLength:"64"`
	Wait  int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for the end of it, or for a question."`
	Match string `header:"If-Match" maxLength:"40" doc:"The version of the question as it was seen."`
	Key   string `header:"Idempotency-Key" maxLength:"200" doc:"The same key again is the same answer."`
	Body  *struct {
		Fields secrets `json:"fields,omitempty"`
	} `required:"false"`
}

func (b *Bank) answer(resend bool) func(context.Context, *answerIn) (*attemptBody, error) {
	return func(ctx context.Context, in *answerIn) (*attemptBody, error) {
		id, err := parsed(in.ID, bank.ErrNoQuestion)
		if err != nil {
			return nil, b.fail(err, bank.Case{})
		}
		r := bank.Reply{Challenge: id, Key: in.Key, Resend: resend}
		if r.Version, err = matched(in.Match); err != nil {
			return nil, b.fail(err, bank.Case{})
		}
		if in.Body != nil {
			r.Fields = in.Body.Fields
		}
		c, err := b.Desk.Answer(ctx, askerOf(ctx).Actor, r)
		if err == nil {
			c, err = b.wait(ctx, c, time.Duration(in.Wait)*time.Second, bank.AtRest)
		}
		if err == nil {
			err = errOf(c, id)
		}
		if err != nil {
			return nil, b.fail(err, c)
		}
		return b.attemptBody(c, statusOf(c)), nil
	}
}

// matched reads If-Match: "3", W/"3" or 3; nothing or * is any version.
func matched(header string) (int64, error) {
	header = strings.TrimPrefix(strings.TrimSpace(header), "W/")
	if header == "" || header == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, errBadVersion
	}
	return n, nil
}
