package envoy_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"guichet"
	"guichet/gateway"
	"guichet/gateway/envoy"
	"guichet/gateway/gatewaytest"
	"guichet/keyring"
	"guichet/store"
)

// An edge is a gateway of a real Guichet, asked as Envoy asks: over a connection,
// with the client that Envoy's own types come with.
type edge struct {
	*gatewaytest.Town
	gateway *gateway.Gateway
	client  authv3.AuthorizationClient
	health  healthv1.HealthClient
}

func newEdge(t *testing.T, limits func(*gatewaytest.Town) gateway.Limits) *edge {
	t.Helper()
	e := &edge{Town: gatewaytest.New(t, store.SQLite)}
	config := gateway.Config{
		Upstream: e.URL, Credential: e.Credential(), StaleAfter: gateway.LeastStaleAfter, Clock: guichet.SystemClock(), Log: slog.New(slog.DiscardHandler), Version: "test",
	}
	if limits != nil {
		config.Limits = limits(e.Town)
	}
	var err error
	if e.gateway, err = gateway.Open(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	kept := make(chan error, 1)
	go func() { kept <- e.gateway.Run(ctx) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	envoy.Register(server, e.gateway)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = connection.Close()
		server.Stop()
		cancel()
		if err := <-kept; err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	e.client, e.health = authv3.NewAuthorizationClient(connection), healthv1.NewHealthClient(connection)
	return e
}

// request is one as Envoy writes it: lower-case names, one value each.
func request(scopes, from string, headers map[string]string) *authv3.CheckRequest {
	at := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
		Method: "GET", Path: "/v4/anything?scope=everything", Host: "api.test", Headers: headers,
	}}}
	if scopes != "" {
		at.ContextExtensions = map[string]string{envoy.ScopeExtension: scopes}
	}
	if from != "" {
		at.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: from}}}}
	}
	return &authv3.CheckRequest{Attributes: at}
}

func bearer(jwt string) map[string]string {
	return map[string]string{"authorization": "Bearer " + jwt}
}

func (e *edge) ask(r *authv3.CheckRequest) *authv3.CheckResponse {
	e.T.Helper()
	said, err := e.client.Check(e.T.Context(), r)
	if err != nil {
		e.T.Fatal(err)
	}
	return said
}

// word is the reason of a refusal, or "ok".
func (e *edge) word(r *authv3.CheckRequest) string {
	e.T.Helper()
	said := e.ask(r)
	if (said.GetOkResponse() != nil) != (said.GetStatus().GetCode() == int32(codes.OK)) || (said.GetOkResponse() == nil) == (said.GetDeniedResponse() == nil) {
		e.T.Fatalf("an answer of two meanings: %v", said)
	}
	if said.GetOkResponse() != nil {
		return "ok"
	}
	return said.GetStatus().GetMessage()
}

func (e *edge) soon(jwt, want string) {
	e.T.Helper()
	for began := time.Now(); e.word(request("", "", bearer(jwt))) != want; <-time.After(2 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			e.T.Fatalf("%s, and not %s in time", e.word(request("", "", bearer(jwt))), want)
		}
	}
}

func headers(list []*corev3.HeaderValueOption) map[string]string {
	all := map[string]string{}
	for _, h := range list {
		all[h.GetHeader().GetKey()] += h.GetHeader().GetValue()
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			all[h.GetHeader().GetKey()] += " is appended to what the client sent"
		}
	}
	return all
}

func TestIdentityIsOurs(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	id, jwt := e.Approve()
	e.soon(jwt, "ok")
	forged := bearer(jwt)
	for _, name := range []string{"x-guichet-token", "x-guichet-request", "X-Guichet-Scopes", "x-guichet-administrator", "X-GUICHET-", "x-forwarded-for"} {
		forged[name] = "forged"
	}
	said := e.ask(request("a b", "", forged)).GetOkResponse()
	want := map[string]string{"x-guichet-token": id.String(), "x-guichet-request": "api_entreprise/1", "x-guichet-scopes": "a b"}
	if diff := cmp.Diff(want, headers(said.GetHeaders())); diff != "" {
		t.Error(diff)
	}
	// Envoy removes after it has set: none of ours may be there.
	if diff := cmp.Diff([]string{"x-guichet-", "x-guichet-administrator"}, said.GetHeadersToRemove()); diff != "" {
		t.Error(diff)
	}
	// A token that names no request: nobody else may name one for it.
	claims, err := e.DB.Grant().Standing(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	nameless := e.Claims(claims)
	nameless.ExtraInfo, nameless.Scopes = nil, nil
	said = e.ask(request("", "", map[string]string{"x-api-key": e.Sign(nameless), "x-guichet-request": "forged", "x-guichet-scopes": "forged"})).GetOkResponse()
	if diff := cmp.Diff(map[string]string{"x-guichet-token": id.String()}, headers(said.GetHeaders())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x-guichet-request", "x-guichet-scopes"}, said.GetHeadersToRemove()); diff != "" {
		t.Error(diff)
	}
}

// Envoy is told the same as whoever asks /check: status, body, headers.
func TestSameWordsAsCheck(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	dead, blocked := e.Approve()
	id, jwt := e.Approve()
	e.soon(jwt, "ok")
	e.Block(dead)
	e.soon(blocked, "token_revoked")
	standing, err := e.DB.Grant().Standing(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	old := e.Claims(standing)
	old.ExpiresAt = time.Now().Add(-time.Second)
	for name, c := range map[string]struct {
		headers map[string]string
		scopes  string
		want    string
	}{
		"good":       {bearer(jwt), "a", "ok"},
		"key":        {map[string]string{"x-api-key": jwt}, "", "ok"},
		"two scopes": {bearer(jwt), "a b", "ok"},
		"scope":      {bearer(jwt), "a c", "insufficient_scope"},
		"revoked":    {bearer(blocked), "a", "token_revoked"},
		"expired":    {bearer(e.Sign(old)), "a", "token_expired"},
		"none":       {nil, "a", "invalid_token"},
		"basic":      {map[string]string{"authorization": "Basic eDp5"}, "", "invalid_token"},
		"garbage":    {bearer("garbage"), "", "invalid_token"},
		"cut":        {bearer(jwt[:80]), "", "invalid_token"},
		"both":       {map[string]string{"authorization": "Bearer " + jwt, "x-api-key": jwt}, "", "invalid_token"},
		"twice":      {map[string]string{"x-api-key": jwt + "," + jwt}, "", "invalid_token"},
		"two cases":  {map[string]string{"x-api-key": jwt, "X-Api-Key": jwt}, "", "invalid_token"},
	} {
		said := e.ask(request(c.scopes, "", c.headers))
		if got := e.word(request(c.scopes, "", c.headers)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/check?scope="+strings.ReplaceAll(c.scopes, " ", "&scope="), nil)
		if c.scopes == "" {
			r.URL.RawQuery = ""
		}
		for name, value := range c.headers {
			for v := range strings.SplitSeq(value, ",") {
				r.Header.Add(name, v)
			}
		}
		w := httptest.NewRecorder()
		e.gateway.Handler().ServeHTTP(w, r)
		if ok := said.GetOkResponse(); ok != nil {
			for name, value := range headers(ok.GetHeaders()) {
				if w.Code != http.StatusNoContent || w.Header().Get(name) != value {
					t.Errorf("%s: %s is %q, at /check %d %q", name, name, value, w.Code, w.Header().Get(name))
				}
			}
			continue
		}
		no := said.GetDeniedResponse()
		if int(no.GetStatus().GetCode()) != w.Code || no.GetBody() != w.Body.String() {
			t.Errorf("%s: %v %s, at /check %d %s", name, no.GetStatus(), no.GetBody(), w.Code, w.Body)
		}
		want := map[string]string{}
		for name := range w.Header() {
			want[strings.ToLower(name)] = w.Header().Get(name)
		}
		if diff := cmp.Diff(want, headers(no.GetHeaders())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Raw headers, which Envoy sends with encode_raw_headers, are read the same way.
func TestRawHeaders(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	_, jwt := e.Approve()
	e.soon(jwt, "ok")
	raw := func(values ...string) *authv3.CheckRequest {
		r := request("", "", nil)
		list := &corev3.HeaderMap{}
		for _, v := range values {
			list.Headers = append(list.Headers, &corev3.HeaderValue{Key: "authorization", RawValue: []byte(v)})
		}
		r.Attributes.Request.Http.HeaderMap = list
		return r
	}
	if got := e.word(raw("Bearer " + jwt)); got != "ok" {
		t.Error(got)
	}
	if got := e.word(raw("Bearer "+jwt, "Bearer "+jwt)); got != "invalid_token" {
		t.Errorf("two: %s", got)
	}
	if got := e.word(raw("Bearer \xff\x00" + jwt)); got != "invalid_token" {
		t.Errorf("bytes: %s", got)
	}
}

// Requests that no Envoy writes are refused, not fatal.
func TestEmptyRequests(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	_, jwt := e.Approve()
	e.soon(jwt, "ok")
	for _, r := range []*authv3.CheckRequest{{}, {Attributes: &authv3.AttributeContext{}}, {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}}} {
		if got := e.word(r); got != "invalid_token" {
			t.Error(got)
		}
	}
}

// What the header of a token says about how to verify it is not believed.
func TestAttacksOnHeader(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	_, jwt := e.Approve()
	e.soon(jwt, "ok")
	parts := strings.Split(jwt, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var good map[string]any
	if err := json.Unmarshal(text, &good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]map[string]any{
		"none": {"alg": "none"}, "None": {"alg": "NoNe"}, "shared": {"alg": "HS256"}, "other": {"alg": "ES256"}, "no algorithm": {"alg": nil},
		"path": {"kid": "../../../../dev/null"}, "query": {"kid": "x' OR '1'='1"}, "no key": {"kid": ""}, "number": {"kid": 1},
		"address": {"jku": "http://127.0.0.1:1/keys"}, "own key": {"jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": strings.Repeat("A", 43)}},
		"chain": {"x5u": "http://127.0.0.1:1/"}, "critical": {"crit": []string{"exp"}},
	} {
		header := map[string]any{}
		for k, v := range good {
			header[k] = v
		}
		for k, v := range change {
			if header[k] = v; v == nil {
				delete(header, k)
			}
		}
		b, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		signed := base64.RawURLEncoding.EncodeToString(b) + "." + parts[1]
		mac := hmac.New(sha256.New, []byte(parts[0]))
		mac.Write([]byte(signed))
		for kind, signature := range map[string]string{"as it was": parts[2], "empty": "", "hmac": base64.RawURLEncoding.EncodeToString(mac.Sum(nil))} {
			if got := e.word(request("", "", bearer(signed+"."+signature))); got != "invalid_token" {
				t.Errorf("%s, signature %s: %s", name, kind, got)
			}
		}
	}
	foreign, err := keyring.NewSigningKey(keyring.EdDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := foreign.Sign(keyring.Claims{ID: "x", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if got := e.word(request("", "", bearer(other))); got != "invalid_token" {
		t.Errorf("another's key: %s", got)
	}
}

// Cut off, everything is refused with 503, and the health protocol says so, until
// Guichet is heard again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	_, jwt := e.Approve()
	e.soon(jwt, "ok")
	healthy := func() healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		said, err := e.health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "envoy.service.auth.v3.Authorization"})
		if err != nil {
			t.Fatal(err)
		}
		return said.GetStatus()
	}
	if got := healthy(); got != healthv1.HealthCheckResponse_SERVING {
		t.Error(got)
	}
	if _, err := e.health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "another"}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("another service: %v", err)
	}
	e.Cut.Store(true)
	e.soon(jwt, "gateway_cut_off")
	for _, headers := range []map[string]string{bearer(jwt), bearer("garbage"), nil} {
		said := e.ask(request("", "", headers))
		no := said.GetDeniedResponse()
		if no.GetStatus().GetCode() != 503 || headersOf(no)["retry-after"] == "" || headersOf(no)["content-type"] != "application/problem+json" || said.GetStatus().GetCode() != int32(codes.Unavailable) {
			t.Errorf("%v", said)
		}
	}
	if got := healthy(); got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Error(got)
	}
	e.Cut.Store(false)
	e.soon(jwt, "ok")
	if got := healthy(); got != healthv1.HealthCheckResponse_SERVING {
		t.Error(got)
	}
}

func headersOf(no *authv3.DeniedHttpResponse) map[string]string { return headers(no.GetHeaders()) }

// The caller's address is the one that Envoy found, and nothing a header says.
func TestLimits(t *testing.T) {
	t.Parallel()
	var jwt string
	e := newEdge(t, func(c *gatewaytest.Town) gateway.Limits {
		id, text := c.Approve()
		jwt = text
		return gateway.Limits{id.String(): {From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, PerMinute: 2}}
	})
	e.soon(jwt, "address_not_allowed")
	for from, want := range map[string]string{"": "address_not_allowed", "198.51.100.1": "address_not_allowed", "@socket": "address_not_allowed"} {
		h := bearer(jwt)
		h["x-forwarded-for"], h["x-real-ip"] = "192.0.2.1", "192.0.2.1"
		if got := e.word(request("", from, h)); got != want {
			t.Errorf("from %q: %s", from, got)
		}
	}
	for i, want := range []int32{0, 0, 429} {
		said := e.ask(request("", "192.0.2.9", bearer(jwt)))
		if got := int32(said.GetDeniedResponse().GetStatus().GetCode()); got != want {
			t.Errorf("use %d: %d", i, got)
		}
	}
}
