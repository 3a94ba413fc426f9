package sts

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"shoal/gateway/s3err"
)

// Error is an error as a client sees it
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html). Its cause is for the log.
type Error struct {
	Code    string
	Status  int // HTTP status
	Message string
	err     error
}

// Error names code, message and cause.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

func (e *Error) wrap(cause error) *Error {
	e.err = cause
	return e
}

func newError(code string, status int, format string, args ...any) *Error {
	return &Error{Code: code, Status: status, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return newError("ValidationError", http.StatusBadRequest, format, args...)
}

func errNoSignature() *Error {
	return newError("MissingAuthenticationToken", http.StatusForbidden, "The request is missing a signature.")
}

// translated are the codes of this service for those that signatures and the store give.
var translated = map[s3err.Code]struct {
	code   string
	status int
}{
	s3err.InvalidAccessKeyId:           {"InvalidClientTokenId", http.StatusForbidden},
	s3err.InvalidToken:                 {"InvalidClientTokenId", http.StatusForbidden},
	s3err.ExpiredToken:                 {"ExpiredToken", http.StatusForbidden},
	s3err.SignatureDoesNotMatch:        {"SignatureDoesNotMatch", http.StatusForbidden},
	s3err.RequestTimeTooSkewed:         {"SignatureDoesNotMatch", http.StatusForbidden},
	s3err.XAmzContentSHA256Mismatch:    {"SignatureDoesNotMatch", http.StatusForbidden},
	s3err.AuthorizationHeaderMalformed: {"IncompleteSignature", http.StatusBadRequest},
	s3err.AccessDenied:                 {"AccessDenied", http.StatusForbidden},
	s3err.InvalidArgument:              {"ValidationError", http.StatusBadRequest},
	s3err.SlowDown:                     {"Throttling", http.StatusServiceUnavailable},
	s3err.ServiceUnavailable:           {"ServiceUnavailable", http.StatusServiceUnavailable},
	s3err.ReadOnly:                     {"ServiceUnavailable", http.StatusServiceUnavailable},
}

// from makes an error of this service of any.
func from(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	e := s3err.From(err)
	if t, ok := translated[e.Code]; ok {
		return &Error{Code: t.code, Status: t.status, Message: e.Message, err: err}
	}
	if e.Status < http.StatusInternalServerError {
		return &Error{Code: string(e.Code), Status: e.Status, Message: e.Message, err: err}
	}
	return &Error{Code: "InternalFailure", Status: e.Status, Message: "The request could not be processed. Please try again.", err: err}
}

type errorAnswer struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Error   struct {
		Type    string // Sender or Receiver: whose fault it is
		Code    string
		Message string
	}
	RequestID string `xml:"RequestId"`
}

// Failure is an error as records tell of it.
func Failure(err error) *s3err.Error {
	e := from(err)
	return &s3err.Error{Code: s3err.Code(e.Code), Status: e.Status, Message: e.Message, Err: err}
}

// WriteError answers a request with what went wrong.
func WriteError(w http.ResponseWriter, err error, requestID string) {
	e := from(err)
	a := errorAnswer{RequestID: requestID}
	a.Error.Type, a.Error.Code, a.Error.Message = "Sender", e.Code, e.Message
	if e.Status >= http.StatusInternalServerError {
		a.Error.Type = "Receiver"
	}
	writeXML(w, e.Status, &a) // a client that has gone needs no answer
}

func writeXML(w http.ResponseWriter, status int, v any) error {
	text, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, err = w.Write(text)
	return err
}
