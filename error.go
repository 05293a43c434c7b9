package guichet

import (
	"errors"
	"fmt"
)

// Kind is the family of an [Error]. One place (api, web) maps it to HTTP.
type Kind string

// The families of errors. Whatever is not an *Error is Internal.
const (
	Invalid      Kind = "invalid"      // the input is wrong; sending it again changes nothing
	Unauthorized Kind = "unauthorized" // we do not know who asks
	Forbidden    Kind = "forbidden"    // we know, and they may not
	NotFound     Kind = "not_found"
	Conflict     Kind = "conflict" // the world changed since they looked
	Gone         Kind = "gone"     // it was there, and it is over
	TooMany      Kind = "too_many" // later
	Unavailable  Kind = "unavailable"
	Internal     Kind = "internal"
)

// An Error has two readers. Code and Reason are for the person and the program
// that asked: Reason is an English sentence that says what happened and what to
// do, web translates it by Code. Cause is for the log. Neither holds a secret.
type Error struct {
	Kind   Kind
	Code   string // stable snake_case word
	Reason string
	Field  string // the input it is about, when there is one
	Cause  error
}

// Error is for the log: code, reason and cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Reason, e.Cause)
	}
	return e.Code + ": " + e.Reason
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is makes two errors of the same code equal for errors.Is, so that a sentinel
// can be given a cause and still be recognised.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Because returns a copy of e that carries the cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// KindOf tells the family of any error; a nil error has none.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	default:
		return Internal
	}
}

// CodeOf tells the code of any error; what is not an *Error is "internal".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}
