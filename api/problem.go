package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"guichet"
)

// StatusOf is the only place where a kind of error becomes an HTTP status.
func StatusOf(k guichet.Kind) int {
	switch k {
	case guichet.Invalid:
		return http.StatusUnprocessableEntity
	case guichet.Unauthorized:
		return http.StatusUnauthorized
	case guichet.Forbidden:
		return http.StatusForbidden
	case guichet.NotFound:
		return http.StatusNotFound
	case guichet.Conflict:
		return http.StatusConflict
	case guichet.Gone:
		return http.StatusGone
	case guichet.TooMany:
		return http.StatusTooManyRequests
	case guichet.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// A Problem is an error as RFC 9457 writes it. Its type is a word of ours, stable
// and listed in docs/errors.md.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

// ProblemOf writes any error for a machine. What is not ours is internal, and
// says nothing of its cause.
func ProblemOf(err error) Problem {
	var e *guichet.Error
	if !errors.As(err, &e) {
		e = &guichet.Error{Kind: guichet.Internal, Code: "internal", Reason: "Something went wrong here. Nothing was changed."}
	}
	status := StatusOf(e.Kind)
	return Problem{
		Type: "urn:guichet:problem:" + e.Code, Title: http.StatusText(status), Status: status, Detail: e.Reason, Code: e.Code, Field: e.Field,
	}
}

func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	Fail(s.Log, w, r, err)
}

// Fail answers an error.
func Fail(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	if p.Status >= http.StatusInternalServerError {
		log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
