package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"guichet"
	"guichet/openid"
)

// The settings of OpenID Connect are whole or absent, and misspelt ones are
// refused by name.
func TestOpenIDSettings(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := "GUICHET_OIDC_ISSUER=https://idp.example/realms/a GUICHET_OIDC_CLIENT_ID=guichet GUICHET_OIDC_CLIENT_SECRET=s"
	for settings, wrong := range map[string]string{
		"":    "",
		whole: "",
		"GUICHET_OIDC_ISSUER=http://127.0.0.1:9 GUICHET_OIDC_CLIENT_ID=g GUICHET_OIDC_CLIENT_SECRET_FILE=" + secret: "",
		"GUICHET_OIDC_CLIENT_ID=guichet":            "GUICHET_OIDC_ISSUER",
		"GUICHET_OIDC_NAME=ProConnect":              "GUICHET_OIDC_ISSUER",
		"GUICHET_OIDC_ISSUER=https://idp.example":   "GUICHET_OIDC_CLIENT_ID GUICHET_OIDC_CLIENT_SECRET",
		whole + " GUICHET_OIDC_SCOPES=email":        "GUICHET_OIDC_SCOPES",
		whole + " GUICHET_OIDC_TRUST_EMAIL=true":    "GUICHET_OIDC_TRUST_EMAIL",
		whole + " GUICHET_OIDC_CLIENTID=guichet":    "GUICHET_OIDC_CLIENTID",
		whole + " GUICHET_OIDC_ISSUER_FILE=/absent": "GUICHET_OIDC_ISSUER_FILE",
		"GUICHET_OIDC_ISSUER=http://idp.example GUICHET_OIDC_CLIENT_ID=g GUICHET_OIDC_CLIENT_SECRET=s":       "GUICHET_OIDC_ISSUER",
		"GUICHET_OIDC_ISSUER=https://u:p@idp.example GUICHET_OIDC_CLIENT_ID=g GUICHET_OIDC_CLIENT_SECRET=s":  "GUICHET_OIDC_ISSUER",
		"GUICHET_OIDC_ISSUER=https://idp.example/?a#b GUICHET_OIDC_CLIENT_ID=g GUICHET_OIDC_CLIENT_SECRET=s": "GUICHET_OIDC_ISSUER",
	} {
		t.Run(settings, func(t *testing.T) {
			for _, s := range strings.Fields(settings) {
				name, value, _ := strings.Cut(s, "=")
				t.Setenv(name, value)
			}
			c, err := loadConfig("")
			if (err == nil) != (wrong == "") {
				t.Fatalf("%v", err)
			}
			for _, name := range strings.Fields(wrong) {
				if !slices.Contains(wrongSettings(err), name) {
					t.Errorf("%s is not among %v", name, wrongSettings(err))
				}
			}
			if settings == whole {
				want := &openid.Settings{
					Issuer: "https://idp.example/realms/a", ClientID: "guichet", ClientSecret: "s", Name: "OpenID Connect",
					Scopes: []string{"openid", "email"}, Back: "http://127.0.0.1:8080/sign-in/openid/callback",
				}
				if d := cmp.Diff(want, c.OpenID); d != "" {
					t.Error(d)
				}
			}
			if strings.Contains(settings, secret) && c.OpenID.ClientSecret != "canary" {
				t.Error("the secret is not that of the file")
			}
		})
	}
}

// wrongSettings are the names of the settings that an error is about.
func wrongSettings(err error) (names []string) {
	var e *guichet.Error
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		for _, one := range all.Unwrap() {
			names = append(names, wrongSettings(one)...)
		}
	} else if errors.As(err, &e) {
		names = append(names, e.Field)
	}
	return names
}
