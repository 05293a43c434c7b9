package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	strict "github.com/go-json-experiment/json"

	"guichet"
)

// hardened sets what huma keeps in package variables, once: each is a default
// that would let something through, or out. bank_hard_test.go has a test of each.
var hardened = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false // null is not a list
	huma.ValidateStrictCasing = true  // FIELDS is not fields
	huma.NewError = newError          // and no refused value comes back
})

// newHuma builds the API's description and its decoding.
func newHuma(mux *http.ServeMux, cookie string) huma.API {
	hardened()
	config := huma.DefaultConfig("Guichet", "1")
	config.Info.Description = "The bank window of one person below /api; what gateways and OAuth clients call elsewhere. Errors are RFC 9457 problems, but where another standard has its own; their code is stable."
	config.CreateHooks = nil // no $schema links to elsewhere
	config.DocsPath = ""     // no page that fetches scripts from elsewhere
	config.SchemasPath = ""
	config.OpenAPIPath = "/api/openapi"
	config.DefaultFormat = "application/json"
	form := huma.Format{
		Marshal: func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		// Strict: a name given twice, or text that is not UTF-8, is refused.
		Unmarshal: func(data []byte, v any) error { return strict.Unmarshal(data, v) },
	}
	config.Formats = map[string]huma.Format{"application/json": form, "json": form}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A personal token."},
		"session": {Type: "apiKey", In: "cookie", Name: cookie, Description: "What signing in gives a browser."},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	return humago.New(mux, config)
}

// newError is every error that huma itself makes: a request that does not fit
// the description. What was sent is never in it.
func newError(status int, message string, errs ...error) huma.StatusError {
	code := "invalid_request"
	switch status {
	case http.StatusRequestEntityTooLarge:
		code, message = "too_large", "The request is too large."
	case http.StatusUnsupportedMediaType:
		code, message = "not_json", "Only application/json is understood here."
	case http.StatusBadRequest:
		code, message = "invalid_json", "This is not JSON as we read it: well formed, in UTF-8, each name once."
	case http.StatusUnprocessableEntity:
		message = "The request does not fit the description of this address."
	}
	if status >= http.StatusInternalServerError {
		return &bankProblem{Problem: ProblemOf(&guichet.Error{Kind: guichet.Internal, Code: "internal", Reason: "Something went wrong here."})}
	}
	p := &bankProblem{Problem: Problem{
		Type: "urn:guichet:problem:" + code, Title: http.StatusText(status), Status: status, Detail: message, Code: code,
	}}
	if status != http.StatusUnprocessableEntity {
		return p
	}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if d, _ = err.(huma.ErrorDetailer); d == nil {
			continue
		}
		detail := d.ErrorDetail()
		// "unexpected property" is about a name that was sent; names are not
		// secret, yet a long one may be a value in the wrong place.
		field := strings.TrimPrefix(detail.Location, "body.")
		if len(field) > 80 {
			field = field[:80] + "…"
		}
		p.Errors = append(p.Errors, fieldProblem{Field: field, Detail: detail.Message})
		if p.Field == "" {
			p.Field = field
		}
	}
	return p
}
