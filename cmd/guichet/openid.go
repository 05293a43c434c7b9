package main

import (
	"slices"
	"strings"

	"guichet"
	"guichet/openid"
	"guichet/web/view"
)

// openID reads who else may say who somebody is, at a public address of ours. A
// half of it is refused: somebody would look for the link that is not there.
func (s *settings) openID(url string) *openid.Settings {
	o := &openid.Settings{
		Issuer: s.text("oidc_issuer", ""), ClientID: s.text("oidc_client_id", ""), ClientSecret: guichet.Secret(s.text("oidc_client_secret", "")),
		Name: s.text("oidc_name", "OpenID Connect"), Scopes: strings.Fields(s.text("oidc_scopes", "openid email")), Back: url + view.PathOpenIDBack,
	}
	trust := s.text("oidc_trust_email", "no")
	o.TrustEmail = trust == "yes"
	if o.Issuer == "" {
		for _, name := range names {
			if strings.HasPrefix(name, "oidc_") && s.text(name, "") != "" {
				s.fail("oidc_issuer", "This is needed with the other settings of OpenID Connect.")
				return nil
			}
		}
		return nil
	}
	if o.ClientID == "" {
		s.fail("oidc_client_id", "This is needed with GUICHET_OIDC_ISSUER.")
	}
	if o.ClientSecret == "" {
		s.fail("oidc_client_secret", "This is needed with GUICHET_OIDC_ISSUER.")
	}
	if !slices.Contains(o.Scopes, "openid") {
		s.fail("oidc_scopes", "One of the scopes is openid.")
	}
	if trust != "yes" && trust != "no" {
		s.fail("oidc_trust_email", "This is yes or no.")
	}
	if _, err := openid.New(*o, guichet.SystemClock()); err != nil {
		s.fail("oidc_issuer", "This is the address of an issuer, with https://; http:// is for one on this machine.")
	}
	return o
}
