package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"guichet"
	"guichet/grant"
)

// maxForm is how long a form with a token may be: the longest token and some room.
const maxForm = 16 << 10

// oauthRoutes adds what OAuth clients call. Errors below /oauth are those of RFC
// 6749 section 5.2.
func (s *Server) oauthRoutes(mux *http.ServeMux) {
	// OAuth clients: once, to find the rest
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.handle(s.metadata))
	if s.Grant.Clients != nil {
		// APIs and gateways that ask about each token; programs that take one back
		mux.HandleFunc("/oauth/introspect", s.oauth(s.introspect))
		mux.HandleFunc("/oauth/revoke", s.oauth(s.revoke))
	}
	if s.Statuses != nil {
		// whoever polls: each status list, by its readers and their caches
		mux.HandleFunc("GET /status/{n}", s.handle(s.status))
		mux.HandleFunc("GET /status", s.handle(s.statuses))
	}
}

// metadata is what RFC 8414 says of us. There is no token endpoint: tokens come
// from requests, not from grants of OAuth.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	m := map[string]any{
		"issuer": s.URL, "jwks_uri": s.URL + "/.well-known/jwks.json", "response_types_supported": []string{}, "grant_types_supported": []string{},
	}
	if s.Grant.Clients != nil {
		methods := []string{"client_secret_basic", "client_secret_post"}
		m["introspection_endpoint"], m["introspection_endpoint_auth_methods_supported"] = s.URL+"/oauth/introspect", methods
		m["revocation_endpoint"], m["revocation_endpoint_auth_methods_supported"] = s.URL+"/oauth/revoke", methods
	}
	if s.Statuses != nil {
		m["status_list_aggregation_endpoint"] = s.URL + "/status"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	document, err := json.Marshal(m) // in the order of names
	if err != nil {
		return err
	}
	serveTagged(w, r, document)
	return nil
}

// An oauthError is an error as RFC 6749 writes it.
type oauthError struct {
	status int
	Code   string `json:"error"`
	Text   string `json:"error_description"`
}

// Error is the description.
func (e *oauthError) Error() string { return e.Text }

func invalidRequest(text string) error {
	return &oauthError{http.StatusBadRequest, "invalid_request", text}
}

var (
	errNoClient   = &oauthError{http.StatusUnauthorized, "invalid_client", "The client is unknown or revoked, or its secret is wrong."}
	errNotAllowed = &oauthError{http.StatusBadRequest, "unauthorized_client", "This client may not do that."}
	errNotYours   = &oauthError{http.StatusBadRequest, "unauthorized_client", "This token is not one that this client may take back. Nothing was changed."}
	errPostOnly   = &oauthError{http.StatusMethodNotAllowed, "invalid_request", "This address takes POST only."}
	errFormType   = &oauthError{http.StatusUnsupportedMediaType, "invalid_request", "The body is a form: application/x-www-form-urlencoded."}
	errFormSize   = &oauthError{http.StatusRequestEntityTooLarge, "invalid_request", "The form is too large."}
)

// oauth serves a verb of an authenticated client on one token.
func (s *Server) oauth(verb func(http.ResponseWriter, *http.Request, grant.Client, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
		err := s.asClient(w, r, verb)
		var e *oauthError
		switch {
		case err == nil:
			return
		case errors.As(err, &e):
		default:
			// Nothing is known to have changed: a token that was to be taken back
			// still works, and the caller must try again.
			s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			status, code := http.StatusInternalServerError, "server_error"
			if guichet.KindOf(err) == guichet.Unavailable {
				status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
				w.Header().Set("Retry-After", "5")
			}
			e = &oauthError{status, code, "Nothing is known to have changed. Please try again."}
		}
		switch e.status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Basic realm="guichet", charset="UTF-8"`)
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", "POST")
		}
		writeJSON(w, "application/json", e.status, e)
	}
}

func (s *Server) asClient(w http.ResponseWriter, r *http.Request, verb func(http.ResponseWriter, *http.Request, grant.Client, string) error) error {
	if r.Method != http.MethodPost {
		return errPostOnly
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	id, secret, err := credentials(r, form)
	if err != nil {
		return err
	}
	client, err := s.Grant.AuthenticateClient(r.Context(), id, secret)
	switch {
	case errors.Is(err, grant.ErrBadClient):
		return errNoClient
	case err != nil:
		return err
	case form.Get("token") == "":
		return invalidRequest("The form has no token.")
	}
	return verb(w, r, client, form.Get("token"))
}

// readForm reads the body, and nothing of the address: a token in an address is in
// the logs of everyone on the way.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errFormType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errFormSize
	case err != nil:
		return nil, invalidRequest("The body ended before its end.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("The form cannot be read.")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, invalidRequest("A name is there twice.")
		}
	}
	return form, nil
}

// credentials reads who the client says it is: by HTTP Basic, or in the form, and
// never both.
func credentials(r *http.Request, form url.Values) (guichet.ID, guichet.Secret, error) {
	inForm := form.Has("client_id") || form.Has("client_secret")
	switch headers := r.Header.Values("Authorization"); {
	case len(headers) > 1 || len(headers) == 1 && form.Has("client_secret"):
		return "", "", invalidRequest("The client authenticates in more than one way.")
	case len(headers) == 0 && inForm:
		return guichet.ID(form.Get("client_id")), guichet.Secret(form.Get("client_secret")), nil
	case len(headers) == 0:
		return "", "", errNoClient
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", errNoClient
	}
	// RFC 6749 section 2.3.1: both were form-encoded first.
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	if err1 != nil || err2 != nil || inForm && form.Get("client_id") != id {
		return "", "", errNoClient
	}
	return guichet.ID(id), guichet.Secret(secret), nil
}

// An introspection is the answer about a token that may be used. About any other
// there is one answer, whatever is wrong with it.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope"`
	TokenType string   `json:"token_type"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	Request   string   `json:"request"` // provider/number
	Scopes    []string `json:"scopes"`
}

// introspect is RFC 7662. Every token takes the same way, one read of a row,
// whether it is active, blocked, ended, unknown, another client's, or no token: the
// time of the answer tells no more than the answer.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, c grant.Client, token string) error {
	if !c.MayIntrospect {
		return errNotAllowed
	}
	claims, unsigned := s.Verifier.Verify(token) // without claims it is the token of no row
	standing, err := s.row(r.Context(), claims)
	if kind := guichet.KindOf(err); kind != "" && kind != guichet.Unauthorized {
		return err
	}
	if err != nil || unsigned != nil || s.usable(standing) != nil || !c.MayActOn(standing) {
		writeJSON(w, "application/json", http.StatusOK, struct {
			Active bool `json:"active"`
		}{false})
		return nil
	}
	writeJSON(w, "application/json", http.StatusOK, introspection{
		Active: true, Scope: strings.Join(standing.Scopes, " "), TokenType: "Bearer", Issuer: s.URL, Subject: standing.Title,
		ID: standing.ID.String(), IssuedAt: standing.IssuedAt.Unix(), ExpiresAt: standing.ExpiresAt.Unix(),
		Request: standing.Provider + "/" + standing.ExternalID, Scopes: append([]string{}, standing.Scopes...),
	})
	return nil
}

// revoke is RFC 7009: the token is blocked, for ever, before the answer. What is no
// token of ours, or is blocked already, is as good as taken back.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, c grant.Client, token string) error {
	if !c.MayRevoke {
		return errNotAllowed
	}
	standing, err := s.known(r.Context(), token)
	switch kind := guichet.KindOf(err); {
	case kind == guichet.Unauthorized:
		w.WriteHeader(http.StatusOK)
		return nil
	case kind != "":
		return err
	case !c.MayActOn(standing):
		return errNotYours
	}
	_, err = s.Grant.Block(r.Context(), c.Actor(), standing.ID, grant.Blocking{Reason: "revoked by the client " + c.Name})
	if err != nil && !errors.Is(err, grant.ErrBlocked) {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
