package api

import (
	"net/http"
	"slices"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

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
		h.Set("WWW-Authenticate", keyring.ChallengeOf(err))
		writeJSON(w, "application/json", StatusOf(kind), refusal{guichet.CodeOf(err)})
	default: // not knowing is refusing
		s.problem(w, r, err)
	}
}

func (s *Server) verdict(r *http.Request) (grant.Standing, error) {
	token, ok := keyring.OneToken(r.Header.Values("Authorization"), r.Header.Values("X-Api-Key"))
	if !ok {
		return grant.Standing{}, keyring.ErrNoToken
	}
	claims, err := s.Verifier.Verify(token)
	if err != nil {
		return grant.Standing{}, keyring.ErrNoToken.Because(err)
	}
	standing, err := s.Grant.Store.Standing(r.Context(), guichet.ID(claims.ID))
	switch {
	case guichet.KindOf(err) == guichet.NotFound:
		return standing, keyring.ErrNoToken
	case err != nil:
		return standing, err
	case !standing.BlockedAt.IsZero(), standing.Status == grant.Revoked:
		return standing, keyring.ErrTokenRevoked
	case !s.Clock.Now().Before(standing.ExpiresAt):
		return standing, keyring.ErrTokenExpired
	}
	for _, scope := range r.URL.Query()["scope"] {
		if !slices.Contains(standing.Scopes, scope) {
			return standing, keyring.ErrScope
		}
	}
	return standing, nil
}
