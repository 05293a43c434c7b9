// Package openid lets an issuer of OpenID Connect (ProConnect, Keycloak, …) say
// who somebody is: the code flow, with PKCE, a state and a nonce. It finds an
// e-mail that the issuer vouches for, and nothing else: whose it is here, and
// what they may do, is decided by others.
//
// A browser goes to the issuer and comes back. What must be remembered meanwhile
// is a [Detour], which the caller keeps where only that browser finds it again,
// and gives back once.
package openid

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"guichet"
)

// Settings are how an issuer knows us, and how far we trust it.
type Settings struct {
	Issuer       string // its exact name, an address; documents are found below it
	ClientID     string
	ClientSecret guichet.Secret
	Name         string   // for people
	Scopes       []string // with openid
	// TrustEmail takes an e-mail of which the issuer does not say whether it
	// verified it. One of which it says that it did not is never taken.
	TrustEmail bool
	Back       string // where the issuer sends browsers back to, an address of ours
}

// Why nobody could be signed in.
var (
	ErrUnavailable = &guichet.Error{Kind: guichet.Unavailable, Code: "openid_unavailable", Reason: "The identity provider does not answer. Nothing was changed; try again in a moment, or sign in by password."}
	ErrRefused     = &guichet.Error{Kind: guichet.Unauthorized, Code: "openid_refused", Reason: "The identity provider did not confirm who you are. Nothing was changed; try again, or sign in by password."}
	ErrUnverified  = &guichet.Error{Kind: guichet.Forbidden, Code: "openid_unverified_email", Reason: "The identity provider gives no e-mail that it has verified. Nothing was changed; have it verified there, or sign in by password."}
)

const (
	// fresh is how long what the issuer publishes is believed without asking again:
	// so short that the page where one signs in tells of an issuer that went down.
	fresh = time.Minute
	// pause is how long an issuer that failed is not asked again.
	pause = 5 * time.Second
	// glance is how long a page waits to know whether it is up; patience, how long
	// one answer may take to somebody who is signing in.
	glance, patience = 3 * time.Second, 5 * time.Second
	// biggest is how much of an answer is read.
	biggest = 1 << 20
)

// An Issuer is one that is asked who people are. It needs not be up when the
// program starts: it is looked for when somebody needs it. Safe for concurrent
// use.
type Issuer struct {
	settings Settings
	clock    guichet.Clock
	client   *http.Client

	mu     sync.Mutex // held while the issuer is looked for: others wait for the same answer
	asked  time.Time
	found  *published
	failed error
}

// published is what the issuer says of itself.
type published struct {
	provider *oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	saysIss  bool // its answers always name it (RFC 9207)
}

// New is the issuer of these settings. Nothing is asked yet.
func New(s Settings, clock guichet.Clock) (*Issuer, error) {
	if err := private(s.Issuer, true); err != nil {
		return nil, err
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the transport of HTTP was replaced")
	}
	return &Issuer{settings: s, clock: clock, client: &http.Client{
		Transport: bounded{transport.Clone()}, Timeout: patience,
		// Codes and secrets go to the addresses that were published, nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name is what people call the issuer.
func (i *Issuer) Name() string { return i.settings.Name }

// ID is the address that names the issuer.
func (i *Issuer) ID() string { return i.settings.Issuer }

// Ready tells whether the issuer answers: nil, or ErrUnavailable. It waits no
// longer than a person would for a page.
func (i *Issuer) Ready(ctx context.Context) error {
	_, err := i.find(ctx)
	return err
}

// find gives what the issuer publishes, asking it when that is old.
func (i *Issuer) find(ctx context.Context) (*published, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch age := i.clock.Now().Sub(i.asked); {
	case i.found != nil && age >= 0 && age < fresh:
		return i.found, nil
	case i.failed != nil && age >= 0 && age < pause:
		return nil, i.failed
	}
	// Who leaves the page does not fail those who wait for the same answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), glance)
	defer cancel()
	found, err := i.discover(oidc.ClientContext(ctx, i.client))
	i.asked, i.found, i.failed = i.clock.Now(), found, nil
	if err != nil {
		i.failed = ErrUnavailable.Because(err)
		return nil, i.failed
	}
	return found, nil
}

func (i *Issuer) discover(ctx context.Context) (*published, error) {
	s := i.settings
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		JWKS    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		SaysIss bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("what the issuer publishes: %w", err)
	}
	endpoint := provider.Endpoint()
	local := private(s.Issuer, false) != nil
	for _, address := range []string{endpoint.AuthURL, endpoint.TokenURL, more.JWKS} {
		if err := private(address, local); err != nil {
			return nil, err
		}
	}
	if user := provider.UserInfoEndpoint(); user != "" {
		if err := private(user, local); err != nil {
			return nil, err
		}
	}
	// Never by trial: a code that was tried once is used up.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &published{
		provider: provider, saysIss: more.SaysIss,
		oauth:    oauth2.Config{ClientID: s.ClientID, ClientSecret: s.ClientSecret.Reveal(), Endpoint: endpoint, RedirectURL: s.Back, Scopes: s.Scopes},
		verifier: provider.Verifier(&oidc.Config{ClientID: s.ClientID, Now: i.clock.Now}),
	}, nil
}

// private accepts the address of something that may be told secrets: over TLS,
// or, where local allows it, on this very machine.
func private(address string, local bool) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%.200q is not the address of an issuer", address)
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && here && local {
		return nil
	}
	return fmt.Errorf("%.200q is not an address over TLS", address)
}

// bounded reads no more of any answer than makes sense.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, biggest), answer.Body}
	return answer, nil
}

// A Detour is one browser on its way to the issuer and back. Its fields are kept
// on our side; the issuer sees the first two and a hash of the third.
type Detour struct {
	State    string
	Nonce    string
	Verifier string
}

// Begin gives the address of the issuer to send a browser to, and what must be
// known when it comes back.
func (i *Issuer) Begin(ctx context.Context) (d Detour, address string, err error) {
	p, err := i.find(ctx)
	if err != nil {
		return Detour{}, "", err
	}
	for _, s := range []*string{&d.State, &d.Nonce, &d.Verifier} {
		var b [32]byte
		if _, err := io.ReadFull(i.clock.Rand, b[:]); err != nil {
			return Detour{}, "", fmt.Errorf("begin a sign-in: %w", err)
		}
		*s = base64.RawURLEncoding.EncodeToString(b[:])
	}
	return d, p.oauth.AuthCodeURL(d.State, oidc.Nonce(d.Nonce), oauth2.S256ChallengeOption(d.Verifier)), nil
}

// Email gives the e-mail that the issuer vouches for, from what the browser
// brought back. The caller has already forgotten the detour: it is good once.
func (i *Issuer) Email(ctx context.Context, d Detour, back url.Values) (string, error) {
	p, err := i.find(ctx)
	if err != nil {
		return "", err
	}
	if err := i.comesFrom(p, d, back); err != nil {
		return "", ErrRefused.Because(err)
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, i.client), 2*patience)
	defer cancel()
	token, err := p.oauth.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(d.Verifier))
	if err != nil {
		return "", notAnswered(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", ErrRefused.Because(errors.New("the issuer gave no ID token"))
	}
	id, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return "", ErrRefused.Because(err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(d.Nonce)) != 1 {
		return "", ErrRefused.Because(errors.New("the nonce is not ours"))
	}
	said, err := i.claimsOf(id)
	if err != nil {
		return "", ErrRefused.Because(err)
	}
	if i.good(said) {
		return said.Email, nil
	}
	// Some tell the e-mail only there, ProConnect as a signed document.
	more, err := i.userInfo(ctx, p, id, token)
	if err != nil {
		return "", err
	}
	if more.Email == "" || !i.good(more) {
		return "", ErrUnverified
	}
	return more.Email, nil
}

// comesFrom checks what the browser brought back: ours, of this detour, from this
// issuer.
func (i *Issuer) comesFrom(p *published, d Detour, back url.Values) error {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(back[name]) > 1 {
			return fmt.Errorf("%s is there %d times", name, len(back[name]))
		}
	}
	if d.State == "" || subtle.ConstantTimeCompare([]byte(back.Get("state")), []byte(d.State)) != 1 {
		return errors.New("the state is not that of the browser")
	}
	if iss := back.Get("iss"); iss != i.settings.Issuer && (p.saysIss || back.Has("iss")) {
		return fmt.Errorf("the answer is of %.200q", iss)
	}
	if back.Has("error") {
		return fmt.Errorf("the issuer says %.100q", back.Get("error"))
	}
	if back.Get("code") == "" {
		return errors.New("there is no code")
	}
	return nil
}

// notAnswered tells an issuer that says no from one that is down. What it
// wrote beside its code of error stays out of our log.
func notAnswered(err error) error {
	var said *oauth2.RetrieveError
	var socket *url.Error
	switch {
	case errors.As(err, &said) && said.Response != nil && said.Response.StatusCode >= 500:
		return ErrUnavailable.Because(fmt.Errorf("the token endpoint answered %d", said.Response.StatusCode))
	case errors.As(err, &said):
		return ErrRefused.Because(fmt.Errorf("the token endpoint said %.100q", said.ErrorCode))
	case errors.As(err, &socket):
		return ErrUnavailable.Because(err)
	}
	return ErrRefused.Because(err)
}
