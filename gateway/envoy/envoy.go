// Package envoy answers the external authorization filter of Envoy over gRPC with
// the verdicts of a gateway. It decides nothing itself: [gateway.Gateway.Check]
// does, and the refusals are those of its /check.
//
// It is in a module of its own, so that whoever runs Guichet without Envoy has
// neither gRPC nor Envoy's types in its binary, nor in its list of modules.
package envoy

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"guichet"
	"guichet/gateway"
	"guichet/keyring"
)

// ScopeExtension names the context extension of a route, in the configuration of
// Envoy, with the scopes that a token must have there, separated by spaces. No
// client can write it.
const ScopeExtension = "scope"

// Register has a gRPC server answer for a gateway, and say how well it is.
func Register(r grpc.ServiceRegistrar, g *gateway.Gateway) {
	authv3.RegisterAuthorizationServer(r, authorization{gateway: g})
	healthv1.RegisterHealthServer(r, health{gateway: g})
}

type authorization struct {
	authv3.UnimplementedAuthorizationServer
	gateway *gateway.Gateway
}

// Check is asked by Envoy at every request of the API. A refusal is an answer and
// no error of gRPC: Envoy then refuses even where it was told to let pass what it
// could not ask about.
func (a authorization) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	at := r.GetAttributes()
	sent := headersOf(at.GetRequest().GetHttp())
	token, ok := keyring.OneToken(sent["authorization"], sent["x-api-key"])
	if !ok {
		token = "" // is refused like any other that is none, or told that we are cut off
	}
	who, err := a.gateway.Check(ctx, token, strings.Fields(at.GetContextExtensions()[ScopeExtension]), addressOf(at.GetSource()))
	if err != nil {
		return denied(err), nil
	}
	return allowed(who, sent), nil
}

// headersOf gives all values of each header by its lower-case name. Envoy gives a
// header that was sent twice as one, with a comma between; no token has a comma, so
// that two are as good as none, as everywhere.
func headersOf(r *authv3.AttributeContext_HttpRequest) map[string][]string {
	all := make(map[string][]string, len(r.GetHeaders()))
	for name, value := range r.GetHeaders() {
		name = strings.ToLower(name)
		all[name] = append(all[name], value)
	}
	for _, h := range r.GetHeaderMap().GetHeaders() { // with encode_raw_headers
		name, value := strings.ToLower(h.GetKey()), h.GetValue()
		if raw := h.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		all[name] = append(all[name], value)
	}
	return all
}

// addressOf is the caller's, as Envoy sees it: of the connection, or from the
// proxies that it was told to trust.
func addressOf(p *authv3.AttributeContext_Peer) netip.Addr {
	a, err := netip.ParseAddr(p.GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{} // is in no network
	}
	return a
}

// allowed says who it is, and takes away what the client claimed to be. Envoy
// removes after it has set: what we say must not be among what is removed.
func allowed(who gateway.Identity, sent map[string][]string) *authv3.CheckResponse {
	said := http.Header{}
	who.Write(said)
	ok := &authv3.OkHttpResponse{}
	ours := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if value := said.Get(name); value != "" {
			ours[strings.ToLower(name)] = true
			ok.Headers = append(ok.Headers, replace(name, value))
		} else {
			ok.HeadersToRemove = append(ok.HeadersToRemove, strings.ToLower(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if gateway.TellsWho(name) && !ours[name] && !slices.Contains(ok.HeadersToRemove, name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

func denied(err error) *authv3.CheckResponse {
	a := gateway.Refusal(err)
	no := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(a.Status)}, Body: string(a.Body)}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		no.Headers = append(no.Headers, replace(name, a.Header.Get(name)))
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codeOf(err)), Message: guichet.CodeOf(err)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: no},
	}
}

func codeOf(err error) codes.Code {
	switch guichet.KindOf(err) {
	case guichet.Unauthorized:
		return codes.Unauthenticated
	case guichet.Forbidden:
		return codes.PermissionDenied
	case guichet.TooMany:
		return codes.ResourceExhausted
	}
	return codes.Unavailable
}

func replace(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: strings.ToLower(name), Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// health is the health protocol of gRPC, by which Envoy leaves out a gateway that
// is cut off while another is not. The answer is computed when it is asked for.
type health struct {
	healthv1.UnimplementedHealthServer
	gateway *gateway.Gateway
}

// Check implements the protocol for the whole server and for its one service.
func (h health) Check(_ context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if s := r.GetService(); s != "" && s != authv3.Authorization_ServiceDesc.ServiceName {
		return nil, grpcstatus.Error(codes.NotFound, "no such service")
	}
	if h.gateway.Left() == 0 {
		return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}
