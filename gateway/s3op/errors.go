package s3op

import (
	"fmt"
	"strconv"

	"shoal/gateway/s3err"
)

// errNotImplemented says that an operation or a part of one is not built.
func errNotImplemented(what string) error {
	return s3err.Newf(s3err.NotImplemented, "The operation that you asked for is not implemented: %s", what)
}

// errHeaderNotImplemented is AWS's answer to a header whose meaning is not built.
func errHeaderNotImplemented(header string) error {
	return s3err.Newf(s3err.NotImplemented,
		"A header you provided implies functionality that is not implemented").With("Header", header)
}

func errMethodNotAllowed(method string, scope Scope) error {
	return s3err.New(s3err.MethodNotAllowed).With("Method", method).With("ResourceType", scope.String())
}

// errInvalidArgument names the argument and its value as AWS does.
func errInvalidArgument(name, value, message string) error {
	return s3err.Newf(s3err.InvalidArgument, "%s", message).
		With("ArgumentName", name).With("ArgumentValue", value)
}

func errInvalidArgumentf(name, value, format string, args ...any) error {
	return errInvalidArgument(name, value, fmt.Sprintf(format, args...))
}

func errInvalidRequest(format string, args ...any) error {
	return s3err.Newf(s3err.InvalidRequest, format, args...)
}

// errPrecondition names the condition that does not hold.
func errPrecondition(condition string) error {
	return s3err.New(s3err.PreconditionFailed).With("Condition", condition)
}

func errNoSuchKey(key string) error {
	return s3err.New(s3err.NoSuchKey).With("Key", key)
}

// errRange is the answer to a range that touches no byte of the object
// (https://www.rfc-editor.org/rfc/rfc9110#status.416).
func errRange(requested string, size int64) error {
	return s3err.New(s3err.InvalidRange).
		With("RangeRequested", requested).With("ActualObjectSize", strconv.FormatInt(size, 10))
}

// errPartNumber is the answer to a part that the object does not have.
func errPartNumber(part, count int) error {
	return s3err.New(s3err.InvalidPartNumber).
		With("PartNumberRequested", strconv.Itoa(part)).With("ActualPartCount", strconv.Itoa(count))
}

func errMalformedXML(cause error) error { return s3err.New(s3err.MalformedXML).Wrap(cause) }
