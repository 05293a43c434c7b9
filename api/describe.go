package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// describeMachines adds to the description what gateways and OAuth clients call.
// These handlers are written by hand, so this is too; TestMachinesAreAsDescribed
// calls each address and compares.
func describeMachines(spec *huma.OpenAPI) {
	schemes := spec.Components.SecuritySchemes
	schemes["applicant"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The token of an applicant."}
	schemes["applicant_key"] = &huma.SecurityScheme{Type: "apiKey", In: "header", Name: "X-Api-Key", Description: "The same token, where gateways have it."}
	schemes["client"] = &huma.SecurityScheme{Type: "http", Scheme: "basic", Description: "client_id and client_secret; or both in the form."}
	schemes["gateway"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer", Description: "The credential of a gateway."}
	for _, o := range []*huma.Operation{
		describeCheck(), describeIntrospect(), describeRevoke(), describeStatus(), describeBlocklist(),
		public("/status", "statuses", "The addresses of all status lists", "application/json", object(map[string]*huma.Schema{"status_lists": listOf(text())})),
		public("/.well-known/jwks.json", "jwks", "The public keys of tokens (RFC 7517)", "application/jwk-set+json",
			object(map[string]*huma.Schema{"keys": listOf(&huma.Schema{Type: "object"})})),
		public("/.well-known/oauth-authorization-server", "metadata", "Where the rest of OAuth is (RFC 8414)", "application/json", object(map[string]*huma.Schema{
			"issuer": text(), "jwks_uri": text(), "introspection_endpoint": text(), "revocation_endpoint": text(), "status_list_aggregation_endpoint": text(),
			"response_types_supported": listOf(text()), "grant_types_supported": listOf(text()),
			"introspection_endpoint_auth_methods_supported": listOf(text()), "revocation_endpoint_auth_methods_supported": listOf(text()),
		})),
	} {
		spec.AddOperation(o)
	}
}

func text() *huma.Schema { return &huma.Schema{Type: "string"} }

func whole() *huma.Schema { return &huma.Schema{Type: "integer", Format: "int64"} }

func listOf(of *huma.Schema) *huma.Schema { return &huma.Schema{Type: "array", Items: of} }

func object(properties map[string]*huma.Schema, required ...string) *huma.Schema {
	return &huma.Schema{Type: "object", Properties: properties, Required: required}
}

func response(description, contentType string, schema *huma.Schema) *huma.Response {
	r := &huma.Response{Description: description}
	if contentType != "" {
		r.Content = map[string]*huma.MediaType{contentType: {Schema: schema}}
	}
	return r
}

// refusals of the addresses that answer with {"error": …}.
func refused(description string, words ...any) *huma.Response {
	return response(description, "application/json", object(map[string]*huma.Schema{"error": {Type: "string", Enum: words}}, "error"))
}

func oauthRefused(description string, words ...any) *huma.Response {
	return response(description, "application/json", object(map[string]*huma.Schema{
		"error": {Type: "string", Enum: words}, "error_description": text(),
	}, "error", "error_description"))
}

func problems(o *huma.Operation, statuses ...int) *huma.Operation {
	schema := object(map[string]*huma.Schema{
		"type": text(), "title": text(), "status": whole(), "detail": text(), "code": text(), "field": text(),
	}, "type", "title", "status", "code")
	for _, status := range statuses {
		o.Responses[strconv.Itoa(status)] = response(http.StatusText(status), "application/problem+json", schema)
	}
	return o
}

func public(path, id, summary, contentType string, schema *huma.Schema) *huma.Operation {
	o := &huma.Operation{
		Method: http.MethodGet, Path: path, OperationID: id, Summary: summary, Security: []map[string][]string{{}},
		Responses: map[string]*huma.Response{
			"200": response("OK", contentType, schema), "304": response("It has not changed since the ETag of If-None-Match.", "", nil),
		},
	}
	return problems(o, http.StatusServiceUnavailable)
}

func describeCheck() *huma.Operation {
	o := &huma.Operation{
		Method: http.MethodGet, Path: "/check", OperationID: "check", Summary: "May this token be used now? (any method)",
		Security:   []map[string][]string{{"applicant": {}}, {"applicant_key": {}}},
		Parameters: []*huma.Param{{Name: "scope", In: "query", Description: "Needed; all of those given.", Schema: listOf(text())}},
		Responses: map[string]*huma.Response{
			"204": {Description: "It may.", Headers: map[string]*huma.Param{
				"X-Guichet-Token": {Schema: text()}, "X-Guichet-Request": {Schema: text()}, "X-Guichet-Scopes": {Schema: text()},
			}},
			"401": refused("It may not.", "invalid_token", "token_expired", "token_revoked"),
			"403": refused("It does not cover a scope.", "insufficient_scope"),
		},
	}
	return problems(o, http.StatusServiceUnavailable)
}

func oauthForm(o *huma.Operation) *huma.Operation {
	o.Method, o.Security = http.MethodPost, []map[string][]string{{"client": {}}, {}}
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {
		Schema: object(map[string]*huma.Schema{"token": text(), "token_type_hint": text(), "client_id": text(), "client_secret": text()}, "token"),
	}}}
	o.Responses["400"] = oauthRefused("Not a request, or not one that this client may make.", "invalid_request", "unauthorized_client")
	o.Responses["401"] = oauthRefused("Nobody known asks.", "invalid_client")
	o.Responses["413"] = oauthRefused("More than 16 KiB.", "invalid_request")
	o.Responses["415"] = oauthRefused("Not a form.", "invalid_request")
	o.Responses["503"] = oauthRefused("The database did not answer: nothing was changed.", "temporarily_unavailable")
	return o
}

func describeIntrospect() *huma.Operation {
	return oauthForm(&huma.Operation{
		Path: "/oauth/introspect", OperationID: "introspect", Summary: "What is this token? (RFC 7662)",
		Responses: map[string]*huma.Response{"200": response(`What it is; {"active":false} and nothing else when it may not be used, or is none of this client's.`, "application/json",
			object(map[string]*huma.Schema{
				"active": {Type: "boolean"}, "scope": text(), "token_type": text(), "iss": text(), "sub": text(), "jti": text(), "iat": whole(), "exp": whole(),
				"request": text(), "scopes": listOf(text()),
			}, "active"))},
	})
}

func describeRevoke() *huma.Operation {
	return oauthForm(&huma.Operation{
		Path: "/oauth/revoke", OperationID: "revoke_token", Summary: "Take this token back (RFC 7009)",
		Responses: map[string]*huma.Response{"200": response("It is refused from now on; or it is no token.", "", nil)},
	})
}

func describeStatus() *huma.Operation {
	o := public("/status/{n}", "status_list", "A status list: the blocked tokens as bits (IETF Token Status List)", statusType, text())
	o.Parameters = []*huma.Param{{Name: "n", In: "path", Required: true, Schema: whole()}}
	return problems(o, http.StatusNotFound, http.StatusNotAcceptable, http.StatusNotImplemented)
}

func describeBlocklist() *huma.Operation {
	o := &huma.Operation{
		Method: http.MethodGet, Path: "/blocklist", OperationID: "blocklist", Summary: "Blocks after a sequence, at once or when there are some; or as a stream",
		Security: []map[string][]string{{"gateway": {}}},
		Parameters: []*huma.Param{
			{Name: "after", In: "query", Description: "The last sequence that is known.", Schema: whole()},
			{Name: "wait", In: "query", Description: "Seconds to wait for a new one.", Schema: whole()},
		},
		Responses: map[string]*huma.Response{"200": {Description: "The head, and the lines that follow.", Content: map[string]*huma.MediaType{
			"application/json":  {Schema: object(map[string]*huma.Schema{"epoch": whole(), "seq": whole(), "lines": listOf(&huma.Schema{Type: "object"})}, "epoch", "seq", "lines")},
			"text/event-stream": {Schema: text()},
		}}},
	}
	return problems(o, http.StatusUnauthorized, http.StatusServiceUnavailable)
}

// describe says what the types do not: that a verb may only have begun, and the
// stream.
func describe(spec *huma.OpenAPI) {
	for path, item := range spec.Paths {
		for _, o := range []*huma.Operation{item.Post, item.Put} {
			if o == nil || !strings.Contains(path, "/fetch/") && !strings.Contains(path, "-balance") && !strings.HasPrefix(path, "/api/challenges/") {
				continue
			}
			done := o.Responses["200"]
			o.Responses["202"] = &huma.Response{
				Description: "Begun: the attempt is at Location, and may ask a question.", Content: done.Content, Headers: done.Headers,
			}
		}
	}
	create := spec.Paths["/api/accesses"].Post.Responses
	create["200"] = &huma.Response{
		Description: "The same creation is under way already.", Content: create["201"].Content, Headers: create["201"].Headers,
	}
	spec.AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: "/api/events", OperationID: "events", Summary: "Hear of every move, as server-sent events",
		Responses: map[string]*huma.Response{"200": {
			Description: "One event for each move: its kind and the id of what to read again.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
		}},
	})
}
