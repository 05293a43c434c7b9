package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/keyring"
)

// errForeignKey is a cause: whoever shares a secret with us made a token of a
// provider that is not theirs.
var errForeignKey = errors.New("its key signs for another provider")

// checkPatience is how long a database that does not answer is waited for. Whoever
// asks holds up somebody else meanwhile, and not knowing is refusing.
const checkPatience = 5 * time.Second

// check answers whether the token of the request may be used now. The signature
// may have been verified before; the verdict never was: the row is read on every
// call, from the database that decides.
func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	standing, err := s.verdict(r)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch kind := guichet.KindOf(err); kind {
	case "":
		s.Uses.Use(standing.ID.String())
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
	standing, err := s.standing(r.Context(), token)
	if err != nil {
		return standing, err
	}
	for _, scope := range r.URL.Query()["scope"] {
		if !slices.Contains(standing.Scopes, scope) {
			return standing, keyring.ErrScope
		}
	}
	// Whoever connects: Guichet itself trusts no header about it. How often is
	// counted by gateways only.
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		at = netip.AddrPort{} // is in no network
	}
	if !standing.Limit.Admits(at.Addr()) {
		return standing, keyring.ErrAddress
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
		return keyring.ErrTokenRevoked
	case !s.Clock.Now().Before(standing.ExpiresAt):
		return keyring.ErrTokenExpired
	}
	return nil
}

// known gives the row of a token that was signed by a key that may sign it.
func (s *Server) known(ctx context.Context, token string) (grant.Standing, error) {
	claims, err := s.Verifier.Verify(token)
	if err != nil {
		return grant.Standing{}, keyring.ErrNoToken.Because(err)
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
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	standing, err := s.Grant.Store.Standing(ctx, id)
	switch {
	case guichet.KindOf(err) == guichet.NotFound:
		return grant.Standing{}, keyring.ErrNoToken
	case err != nil:
		return grant.Standing{}, err
	case !claims.MayBeOf(standing.Provider):
		return grant.Standing{}, keyring.ErrNoToken.Because(errForeignKey)
	}
	return standing, nil
}
