package gateway

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"guichet"
	"guichet/keyring"
)

// Headers in which the API behind learns whom a token stands for.
const (
	HeaderToken   = "X-Guichet-Token" //nolint:gosec // a name, and no secret
	HeaderRequest = "X-Guichet-Request"
	HeaderScopes  = "X-Guichet-Scopes"
	headerPrefix  = "X-Guichet-"
)

// Handler answers /check as Guichet itself does, for reverse proxies that ask
// before they let a request through, /healthz and /metrics.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/check", g.check)
	mux.HandleFunc("GET /healthz", g.healthz)
	mux.HandleFunc("GET /metrics", g.metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/check" { // proxies: at every request of the API, and nothing is looked up for them
			g.check(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Middleware is for an API that is written in Go: it lets through what may pass,
// with the identity in the headers, and answers the rest itself. What the client
// claimed to be is removed.
func (g *Gateway) Middleware(next http.Handler, scopes ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.ask(r, scopes)
		if err != nil {
			refuse(w, err)
			return
		}
		r = r.Clone(r.Context())
		for name := range r.Header {
			if TellsWho(name) {
				r.Header.Del(name)
			}
		}
		who.Write(r.Header)
		next.ServeHTTP(w, r)
	})
}

// TellsWho tells whether a header, in any spelling, is one in which only a gateway
// may say whom a token stands for.
func TellsWho(name string) bool {
	return len(name) >= len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix)
}

// Write sets the headers in which the API behind learns it.
func (who Identity) Write(h http.Header) {
	values := [...]string{who.Token, who.Request, strings.Join(who.Scopes, " ")} // one allocation for three
	h[HeaderToken], h[HeaderRequest], h[HeaderScopes] = values[0:1:1], values[1:2:2], values[2:3:3]
}

func (g *Gateway) ask(r *http.Request, scopes []string) (Identity, error) {
	token, ok := keyring.OneToken(r.Header["Authorization"], r.Header["X-Api-Key"])
	if !ok {
		token = "" // is refused like any other that is none, or told that we are cut off
	}
	return g.Check(r.Context(), token, scopes, g.clientIP(r))
}

// clientIP is the caller's address, for limits; none when it is not known.
func (g *Gateway) clientIP(r *http.Request) (a netip.Addr) {
	if g.config.ClientIP != "" {
		given := r.Header.Values(g.config.ClientIP)
		if len(given) != 1 {
			return a // none, or the client added its own
		}
		a, _ = netip.ParseAddr(strings.TrimSpace(given[0]))
		return a
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return a
	}
	return at.Addr()
}

func (g *Gateway) check(w http.ResponseWriter, r *http.Request) {
	who, err := g.ask(r, scopesOf(r.URL))
	if err != nil {
		refuse(w, err)
		return
	}
	h := w.Header()
	h["Cache-Control"] = noStore
	who.Write(h)
	w.WriteHeader(http.StatusNoContent)
}

// scopesOf reads the scopes of a query; what is spelt plainly, as in the
// configuration of a proxy, need not be taken apart.
func scopesOf(u *url.URL) []string {
	name, value, _ := strings.Cut(u.RawQuery, "=")
	switch {
	case u.RawQuery == "":
		return nil
	case name == "scope" && !strings.ContainsAny(value, "&;%+="):
		return []string{value}
	}
	return u.Query()["scope"]
}

var noStore = []string{"no-store"}

// problem is a failure as Guichet itself writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// An Answer is a refusal as the client is told it, whoever carries it there.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Refusal is the answer to a token that may not be used, from the error of Check.
func Refusal(err error) Answer {
	code := guichet.CodeOf(err)
	a := Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Cache-Control": noStore, "Content-Type": {"application/json"}}}
	body := any(struct {
		Error string `json:"error"`
	}{code})
	switch guichet.KindOf(err) {
	case guichet.Unauthorized:
		a.Status = http.StatusUnauthorized
		a.Header.Set("WWW-Authenticate", keyring.ChallengeOf(err))
	case guichet.Forbidden:
		a.Status = http.StatusForbidden
		a.Header.Set("WWW-Authenticate", keyring.ChallengeOf(err))
	case guichet.TooMany:
		a.Status = http.StatusTooManyRequests
		a.Header.Set("Retry-After", "5")
	default:
		a.Header.Set("Retry-After", "5")
		a.Header.Set("Content-Type", "application/problem+json")
		body = problem{"urn:guichet:problem:" + code, http.StatusText(a.Status), a.Status, ErrCutOff.Reason, code}
	}
	if a.Body, err = json.Marshal(body); err != nil {
		a.Status = http.StatusServiceUnavailable
	}
	return a
}

func refuse(w http.ResponseWriter, err error) {
	a := Refusal(err)
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// healthz tells whoever watches whether tokens are verified or everything is refused.
func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	if g.Left() == 0 {
		refuse(w, ErrCutOff)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// textMember reads one text of a JSON object; empty when there is none.
func textMember(object []byte, name string) string {
	var members map[string]json.RawMessage
	var text string
	if json.Unmarshal(object, &members) != nil || json.Unmarshal(members[name], &text) != nil {
		return ""
	}
	return text
}
