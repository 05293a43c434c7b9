package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"guichet"
	"guichet/blocklist"
	"guichet/grant"
	"guichet/keyring"
)

const (
	pulseEvery   = 5 * time.Second
	contactEvery = 5 * time.Second // a contact is written at most so often
	longestWait  = time.Minute
	writeLimit   = 10 * time.Second // a gateway that does not read is not waited for
)

// gatewayRoutes adds what gateways may ask. Their credential opens nothing else.
func (s *Server) gatewayRoutes(mux *http.ServeMux) {
	s.feed = newFeed(s.Grant.Store, s.JWKS, s.Blocked)
	// gateways: every few seconds, and as a stream
	mux.HandleFunc("GET /blocklist", s.handle(s.blocklist))
	// gateways: at their first start, and after a gap
	mux.HandleFunc("GET /blocklist/snapshot", s.handle(s.snapshot))
	// gateways: every minute, how often tokens were used
	mux.HandleFunc("POST /usage", s.handle(s.takeUsage))
}

// gateway finds who asks. The list is read from the first question on.
func (s *Server) gateway(r *http.Request) (grant.Gateway, guichet.Secret, error) {
	token, ok := keyring.OneToken(r.Header.Values("Authorization"), nil)
	if !ok {
		return grant.Gateway{}, "", grant.ErrBadGateway
	}
	g, err := s.Gateways.Identify(r.Context(), guichet.Secret(token))
	if err == nil {
		s.feeding.Do(func() { go s.feed.run(s.Stopping) })
	}
	return g, guichet.Secret(token), err
}

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) error {
	if _, _, err := s.gateway(r); err != nil {
		return err
	}
	if _, err := s.feed.now(r.Context()); err != nil {
		return err
	}
	version, text, err := s.feed.snapshot()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", blocklist.MediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+version.String()+`"`)
	_, err = w.Write(text)
	return err
}

// blocklist answers where the list stands, at once or when there is something new;
// or streams it.
func (s *Server) blocklist(w http.ResponseWriter, r *http.Request) error {
	g, credential, err := s.gateway(r)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return s.stream(w, r, credential)
	}
	q, err := readQuestion(r)
	if err != nil {
		return err
	}
	longer(w)
	state, err := s.feed.now(r.Context())
	if err != nil {
		return err
	}
	if !q.have.Before(state.set.Version()) && q.wait > 0 {
		state = s.await(r.Context(), q.have, q.wait)
	}
	s.contact(r, g, q, state)
	a, err := s.answer(r.Context(), q, state)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, "application/json", http.StatusOK, a)
	return nil
}

// A question is what a gateway says it has.
type question struct {
	have  blocklist.Version
	ours  bool // it named an epoch: then it is answered with lines that follow, or told to begin again
	nonce string
	keys  string
	named bool // keys
	wait  time.Duration
}

var errQuestion = &guichet.Error{Kind: guichet.Invalid, Code: "invalid_blocklist_question", Reason: "after, epoch and wait are whole numbers; a nonce has 128 characters at the most."}

func readQuestion(r *http.Request) (q question, err error) {
	values := r.URL.Query()
	number := func(name string) (n int64) {
		text := values.Get(name)
		if text == "" {
			return 0
		}
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil || n < 0 {
			err = errQuestion
		}
		return n
	}
	q.have = blocklist.Version{Epoch: number("epoch"), Seq: number("after")}
	q.wait = min(time.Duration(min(number("wait"), 3600))*time.Second, longestWait)
	q.ours, q.named = values.Has("epoch"), values.Has("keys")
	q.nonce, q.keys = values.Get("nonce"), values.Get("keys")
	if len(q.nonce) > 128 {
		err = errQuestion
	}
	return q, err
}

// await waits until there is more than somebody has, or the time is over.
func (s *Server) await(ctx context.Context, have blocklist.Version, wait time.Duration) *feedState {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		news := *s.feed.news.Load() // before looking
		if state := s.feed.state.Load(); have.Before(state.set.Version()) {
			return state
		}
		select {
		case <-news:
		case <-over.C:
			return s.feed.state.Load()
		case <-s.Stopping:
			return s.feed.state.Load()
		case <-ctx.Done():
			return s.feed.state.Load()
		}
	}
}

func (s *Server) answer(ctx context.Context, q question, state *feedState) (blocklist.Answer, error) {
	a := blocklist.Answer{Nonce: q.nonce, Head: state.set.Head(), Lines: []blocklist.Line{}}
	if q.named {
		if a.Keys = state.keys; q.keys != state.keys {
			a.JWKS = state.jwks
		}
	}
	have := q.have
	if !q.ours {
		have.Epoch = a.Epoch
	}
	lines, ok := state.after(have)
	switch {
	case !ok && (q.ours || have.Seq > a.Seq):
		a.Reset = true
		return a, nil
	case !ok: // who reads the list from its beginning gets it page by page
		rows, _, err := s.Grant.Store.Blocklist(ctx, have.Seq, feedPage)
		if err != nil {
			return a, err
		}
		for _, r := range rows {
			lines = append(lines, blocklist.Line{Seq: r.Seq, Token: r.TokenID, Index: r.StatusIndex})
		}
	}
	if len(lines) > feedPage {
		lines = lines[:feedPage]
	}
	a.Lines = append(a.Lines, lines...)
	a.More = have.Seq+int64(len(lines)) < a.Seq
	return a, nil
}

// contact notes what the gateway has, now and then. That it cannot be written is no
// reason to leave the gateway without an answer.
func (s *Server) contact(r *http.Request, g grant.Gateway, q question, state *feedState) {
	if !q.ours {
		return
	}
	head := state.set.Version()
	has, ours := grant.Head{Epoch: q.have.Epoch, Seq: q.have.Seq}, grant.Head{Epoch: head.Epoch, Seq: head.Seq}
	if head.Before(q.have) {
		if err := s.Gateways.WentBack(r.Context(), g, has, ours); err != nil {
			s.Log.Error("an alert could not be opened", "gateway", g.Name, "error", err)
		}
	}
	now := s.Clock.Now()
	if now.Sub(g.Seen.At) < contactEvery {
		return
	}
	stale, err := strconv.Atoi(r.Header.Get("Guichet-Stale-After"))
	if err != nil || stale < 0 || stale > 1<<20 {
		stale = 0
	}
	c := grant.Sighting{At: now, Have: has, StaleAfter: time.Duration(stale) * time.Second, Software: cut(r.UserAgent(), 100)}
	if err := s.Gateways.Store.NoteContact(r.Context(), g.ID, c); err != nil {
		s.Log.Error("a contact could not be noted", "gateway", g.Name, "error", err)
	}
}

func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// stream sends blocks as they are committed, and where the list stands every few
// seconds, until the credential is refused or either side stops. Last-Event-ID
// says what the gateway has.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, credential guichet.Secret) error {
	state, err := s.feed.now(r.Context())
	if err != nil {
		return err
	}
	at, ok := blocklist.ParseVersion(r.Header.Get("Last-Event-ID"))
	if !ok {
		at = state.set.Version()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	longer(w)
	pulse := time.NewTicker(pulseEvery)
	defer pulse.Stop()
	text := []byte("retry: 1000\n\n")
	for beat := true; ; {
		news := *s.feed.news.Load() // before looking
		state = s.feed.state.Load()
		lines, follows := state.after(at)
		at = state.set.Version()
		for _, l := range lines {
			text = fmt.Appendf(text, "id: %d-%d\nevent: blocked\ndata: {\"seq\":%d,\"token\":%q,\"index\":%d,\"sum\":%q}\n\n", at.Epoch, l.Seq, l.Seq, l.Token, l.Index, l.Sum)
		}
		if head := state.set.Head(); beat || !follows || len(lines) == 0 {
			text = fmt.Appendf(text, "id: %s\nevent: head\ndata: {\"epoch\":%d,\"seq\":%d,\"sum\":%q,\"size\":%d,\"keys\":%q}\n\n", at, head.Epoch, head.Seq, head.Sum, head.Size, state.keys)
		}
		_ = out.SetWriteDeadline(s.wall().Add(writeLimit))
		if _, err := w.Write(text); err != nil {
			return nil //nolint:nilerr // the gateway went away: it comes back by itself
		}
		if err := out.Flush(); err != nil {
			return nil //nolint:nilerr // as above
		}
		text, beat = text[:0], false
		select {
		case <-news:
		case <-pulse.C:
			beat = true
			if _, err := s.Gateways.Identify(r.Context(), credential); err != nil {
				return nil //nolint:nilerr // its next question says why
			}
		case <-s.Stopping:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// longer lifts the limit the server has for reading a request: it would end what
// waits or streams for longer than that.
func longer(w http.ResponseWriter) { _ = http.NewResponseController(w).SetReadDeadline(time.Time{}) }

// wall is the time of the machine: the deadline of a socket knows no other.
func (s *Server) wall() time.Time { return guichet.SystemClock().Now() }
