package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

// What a check can refuse. The words are those of RFC 6750 where it has one.
var (
	errNoToken = &guichet.Error{Kind: guichet.Unauthorized, Code: "invalid_token", Reason: "There is no token, or it is not one of ours."}
	errExpired = &guichet.Error{Kind: guichet.Unauthorized, Code: "token_expired", Reason: "The token has ended."}
	errRevoked = &guichet.Error{Kind: guichet.Unauthorized, Code: "token_revoked", Reason: "The token was taken back."}
	errScope   = &guichet.Error{Kind: guichet.Forbidden, Code: "insufficient_scope", Reason: "The token does not cover what is asked."}
)

// errForeignKey is a cause: whoever shares a secret with us made a token of a
// provider that is not theirs.
var errForeignKey = errors.New("its key signs for another provider")

// check answers whether the token of the request may be used now. The signature
// may have been verified before; the verdict never was: the row is read on every
// call, from the database that decides.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	standing, err := s.verdict(r)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch kind := guichet.KindOf(err); kind {
	case "":
		h.Set("X-Guichet-Token", standing.ID.String())
		h.Set("X-Guichet-Request", standing.Provider+"/"+standing.ExternalID)
		h.Set("X-Guichet-Scopes", strings.Join(standing.Scopes, " "))
		w.WriteHeader(http.StatusNoContent)
	case guichet.Unauthorized, guichet.Forbidden:
		code := guichet.CodeOf(err)
		h.Set("WWW-Authenticate", `Bearer error="`+rfc6750(code)+`"`)
		writeJSON(w, "application/json", StatusOf(kind), refusal{code})
	default: // not knowing is refusing
		s.problem(w, r, err)
	}
}

func (s *Server) verdict(r *http.Request) (grant.Standing, error) {
	token, ok := bearer(r)
	if !ok {
		return grant.Standing{}, errNoToken
	}
	standing, err := s.standing(r.Context(), token)
	if err != nil {
		return standing, err
	}
	for _, scope := range r.URL.Query()["scope"] {
		if !slices.Contains(standing.Scopes, scope) {
			return standing, errScope
		}
	}
	return standing, nil
}

// standing gives what a token stands for when it may be used now.
func (s *Server) standing(ctx context.Context, token string) (grant.Standing, error) {
	standing, err := s.known(ctx, token)
	if err == nil {
		err = s.usable(standing)
	}
	return standing, err
}

// usable tells why a token that is known may not be used now.
func (s *Server) usable(standing grant.Standing) error {
	switch {
	case !standing.BlockedAt.IsZero(), standing.Status == grant.Revoked:
		return errRevoked
	case !s.Clock.Now().Before(standing.ExpiresAt):
		return errExpired
	}
	return nil
}

// known gives the row of a token that was signed by a key that may sign it.
func (s *Server) known(ctx context.Context, token string) (grant.Standing, error) {
	claims, err := s.Verifier.Verify(token)
	if err != nil {
		return grant.Standing{}, errNoToken.Because(err)
	}
	return s.row(ctx, claims)
}

// row gives the row that claims name. Whoever shares a secret with us can sign any
// text as an id: what has not the form of one is no row's, and is not looked for.
func (s *Server) row(ctx context.Context, claims keyring.Claims) (grant.Standing, error) {
	id, err := guichet.ParseID(claims.ID)
	if err != nil {
		id = ""
	}
	standing, err := s.Grant.Store.Standing(ctx, id)
	switch {
	case guichet.KindOf(err) == guichet.NotFound:
		return grant.Standing{}, errNoToken
	case err != nil:
		return grant.Standing{}, err
	case !claims.MayBeOf(standing.Provider):
		return grant.Standing{}, errNoToken.Because(errForeignKey)
	}
	return standing, nil
}

// bearer reads the one token of a request. Two tokens are as good as none: the
// API behind could look at the other.
func bearer(r *http.Request) (token string, ok bool) {
	authorization, key := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	switch {
	case len(authorization) == 1 && len(key) == 0:
		scheme, token, _ := strings.Cut(authorization[0], " ")
		return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
	case len(authorization) == 0 && len(key) == 1:
		return key[0], true
	}
	return "", false
}

// rfc6750 gives the standard's word for ours.
func rfc6750(code string) string {
	if code == errScope.Code {
		return code
	}
	return "invalid_token"
}
