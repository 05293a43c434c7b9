package openid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// claims is what an issuer says of somebody, as far as we listen.
type claims struct {
	Issuer     string    `json:"iss"`
	Audience   audience  `json:"aud"`
	Authorized string    `json:"azp"`
	Email      string    `json:"email"`
	Verified   *verified `json:"email_verified"` // nil: it does not say
}

// verified is a truth that some issuers write as a text.
type verified bool

// UnmarshalJSON takes true and "true" for true, and everything else for false.
func (v *verified) UnmarshalJSON(b []byte) error {
	*v = string(b) == "true" || string(b) == `"true"`
	return nil
}

// audience is one name or a list of them.
type audience []string

// UnmarshalJSON reads both.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// claimsOf reads a token whose signature, issuer, audience and end are checked.
// One for several audiences must have been made for us.
func (i *Issuer) claimsOf(id *oidc.IDToken) (claims, error) {
	var c claims
	if err := id.Claims(&c); err != nil {
		return claims{}, fmt.Errorf("read the ID token: %w", err)
	}
	if c.Authorized != i.settings.ClientID && (c.Authorized != "" || len(c.Audience) > 1) {
		return claims{}, fmt.Errorf("the ID token was made for %.100q", c.Authorized)
	}
	return c, nil
}

// good tells whether the issuer vouches for the e-mail.
func (i *Issuer) good(c claims) bool {
	if c.Verified == nil {
		return c.Email != "" && i.settings.TrustEmail
	}
	return c.Email != "" && bool(*c.Verified)
}

// userInfo asks for what the ID token does not say. The signature of a signed
// answer is checked by the library; an answer about somebody else, or for somebody
// else, is refused. An issuer without that address says no more than its token.
func (i *Issuer) userInfo(ctx context.Context, p *published, id *oidc.IDToken, token *oauth2.Token) (claims, error) {
	if p.provider.UserInfoEndpoint() == "" {
		return claims{}, nil
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return claims{}, ErrRefused.Because(err)
		}
	}
	info, err := p.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return claims{}, notAnswered(err)
	}
	var c claims
	if err := info.Claims(&c); err != nil {
		return claims{}, ErrRefused.Because(err)
	}
	switch {
	case info.Subject == "" || info.Subject != id.Subject:
		err = errors.New("the issuer speaks of somebody else")
	case c.Issuer != "" && c.Issuer != i.settings.Issuer:
		err = fmt.Errorf("somebody else speaks: %.100q", c.Issuer)
	case len(c.Audience) > 0 && !slices.Contains(c.Audience, i.settings.ClientID):
		err = errors.New("the issuer speaks to somebody else")
	}
	if err != nil {
		return claims{}, ErrRefused.Because(err)
	}
	return c, nil
}
