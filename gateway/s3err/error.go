package s3err

import (
	"fmt"
	"time"
)

// Error is an error as an S3 client sees it. Err alone is for the log.
type Error struct {
	Code    Code
	Status  int    // HTTP status
	Message string // one sentence; never holds a secret
	Fields  []Field
	// RetryAfter asks the client to come back after this time; 0 says nothing.
	RetryAfter time.Duration
	// Resource takes the place of the request's path in the document when it is set.
	Resource string
	// LastModified is told in the header of that name when it is set: of a delete marker.
	LastModified string
	Err          error // cause, not shown
}

// Field is one further element of the error document.
type Field struct{ Name, Value string }

// New makes an error with the code's own status and message.
func New(code Code) *Error {
	row, ok := rows[code]
	if !ok {
		row = rows[InternalError]
	}
	return &Error{Code: code, Status: row.status, Message: row.message}
}

// Newf makes an error with a message of its own.
func Newf(code Code, format string, args ...any) *Error {
	e := New(code)
	e.Message = fmt.Sprintf(format, args...)
	return e
}

// With adds an element to the document and returns the error.
func (e *Error) With(name, value string) *Error {
	e.Fields = append(e.Fields, Field{Name: name, Value: value})
	return e
}

// Field gives an element that With added, "" when there is none.
func (e *Error) Field(name string) string {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Wrap keeps the cause for the log and returns the error.
func (e *Error) Wrap(cause error) *Error {
	e.Err = cause
	return e
}

// Error names code, message and cause.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is holds for an error of the same code, so that errors.Is(err, New(NoSuchKey)) decides by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
