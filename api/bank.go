package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"guichet"
	"guichet/bank"
	"guichet/grant"
)

// A Bank is the JSON API of the bank window: everything of one person, for
// whoever holds their session or their personal token; and what operators' programs
// do to tokens.
type Bank struct {
	Desk   *bank.Desk  // nil: the bank window is closed
	Tokens *grant.Desk // nil: the grant window is closed
	Log    *slog.Logger
	// Identify tells who asks, and their role: nobody when nothing says who, and an
	// error when what says it is not true.
	Identify func(*http.Request) (guichet.Actor, string, error)
	// Alerts are those about the subjects that nobody has acknowledged; nil: none.
	Alerts func(ctx context.Context, subjects []string) ([]guichet.Alert, error)
	// Cookie is the name of the session's cookie, for the description.
	Cookie string
	// Machines says that the grant window is open: the description tells of it.
	Machines bool
	// Stopping, when closed, ends the streams, so that the server can stop.
	Stopping <-chan struct{}
}

// maxBankBody bounds a request: forms and codes are small.
const maxBankBody = 64 << 10

// Handler serves the API under /api/.
func (b *Bank) Handler() http.Handler {
	mux := http.NewServeMux()
	b.register(newHuma(mux, b.Cookie))
	// pages and programs: hears of every move, so that they read at once
	if b.Desk != nil {
		mux.HandleFunc("GET /api/events", b.events)
	}
	same := http.NewCrossOriginProtection()
	same.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, ProblemOf(errCrossOrigin))
	}))
	return same.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if _, pattern := mux.Handler(r); pattern == "" {
			unknownRoute(mux, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

var (
	errCrossOrigin = &guichet.Error{Kind: guichet.Forbidden, Code: "cross_origin", Reason: "This request came from a page of another site."}
	errNoRoute     = &guichet.Error{Kind: guichet.NotFound, Code: "unknown_route", Reason: "There is nothing at this address."}
	errNoMethod    = &guichet.Error{Kind: guichet.Invalid, Code: "method_not_allowed", Reason: "This address does not do that."}
)

// unknownRoute says as a problem what the mux would say as text.
func unknownRoute(mux http.Handler, w http.ResponseWriter, r *http.Request) {
	said := unsaid{header: http.Header{}}
	mux.ServeHTTP(&said, r)
	p := ProblemOf(errNoRoute)
	switch {
	case said.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", said.header.Get("Allow"))
		p = ProblemOf(errNoMethod)
		p.Status, p.Title = said.status, http.StatusText(said.status)
	case said.status >= 300 && said.status < 400: // a path that is written otherwise
		w.Header().Set("Location", said.header.Get("Location"))
		w.WriteHeader(said.status)
		return
	}
	writeProblem(w, p)
}

// unsaid hears an answer and passes nothing on.
type unsaid struct {
	header http.Header
	status int
}

func (u *unsaid) Header() http.Header         { return u.header }
func (u *unsaid) WriteHeader(status int)      { u.status = status }
func (u *unsaid) Write(b []byte) (int, error) { return len(b), nil }

func writeProblem(w http.ResponseWriter, p Problem) {
	writeJSON(w, "application/problem+json", p.Status, p)
}

// asker is who asks, in the context of a request.
type asker struct {
	guichet.Actor
	role string
	w    http.ResponseWriter
}

type askerKey struct{}

func askerOf(ctx context.Context) asker {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a
}

// identified lets a request through when we know who asks.
func (b *Bank) identified(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	actor, role, err := b.Identify(r)
	if err == nil && actor.ID == "" {
		err = errNobody
	}
	if err != nil {
		b.refuse(w, r, err)
		return
	}
	next(huma.WithValue(ctx, askerKey{}, asker{actor, role, w}))
}

var errNobody = &guichet.Error{Kind: guichet.Unauthorized, Code: "unauthorized", Reason: "Sign in, or send a personal token."}

func (b *Bank) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="guichet"`)
	}
	if p.Status >= http.StatusInternalServerError {
		b.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeProblem(w, p)
}

// A bankProblem is a problem of this API: the attempt it is about comes with it,
// as it now stands.
type bankProblem struct {
	Problem
	Errors  []fieldProblem `json:"errors,omitempty"`
	Attempt *attemptView   `json:"attempt,omitempty"`
}

// A fieldProblem is one thing that is wrong in a request. The value never is.
type fieldProblem struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p *bankProblem) Error() string             { return p.Code }
func (p *bankProblem) GetStatus() int            { return p.Status }
func (p *bankProblem) ContentType(string) string { return "application/problem+json" }

// fail is how a verb's error leaves this API, with the attempt where there is one.
func (b *Bank) fail(err error, c bank.Case) error {
	p := &bankProblem{Problem: ProblemOf(err)}
	if p.Status >= http.StatusInternalServerError {
		b.Log.Error("request failed", "attempt", c.Attempt.ID, "error", err)
	}
	if c.Attempt.ID != "" && guichet.KindOf(err) != guichet.NotFound {
		v := b.viewAttempt(c)
		p.Attempt = &v
	}
	if p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"5"}})
	}
	return p
}

// errOf is the error that an attempt amounts to for whoever waited for it, or
// nil: it goes well, or goes on.
func errOf(c bank.Case, answered guichet.ID) error {
	typed := func(kind bank.OutcomeKind) error {
		reason := "The bank did not let us in. The outcome says why."
		if text := c.Attempt.Text; text != "" {
			reason = "The bank said: " + text
		}
		return &guichet.Error{Kind: guichet.Invalid, Code: string(kind), Reason: reason}
	}
	switch c.Attempt.State {
	case bank.AttemptFailed:
		return typed(c.Attempt.Outcome)
	case bank.AttemptExpired:
		return bank.ErrQuestionExpired
	case bank.AttemptCancelled:
		return bank.ErrAttemptOver
	case bank.AttemptWaiting:
		// The answer did not go through, and the question stands again.
		if q := c.Challenge; answered != "" && q.ID == answered && q.Status == bank.StatusOpen && q.LastOutcome != "" {
			return typed(q.LastOutcome)
		}
	}
	return nil
}

var _ huma.StatusError = (*bankProblem)(nil)

// statusOf is 200 when it is done and 202 while something is to come.
func statusOf(c bank.Case) int {
	if c.Attempt.State.Live() {
		return http.StatusAccepted
	}
	return http.StatusOK
}

var errBadVersion = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_if_match", Field: "If-Match", Reason: "If-Match is the version of the question, as in \"3\"."}

// parsed makes an id of what is in a path; what cannot be one names nothing.
func parsed(id string, missing error) (guichet.ID, error) {
	parsed, err := guichet.ParseID(id)
	if err != nil {
		return "", missing
	}
	return parsed, nil
}
