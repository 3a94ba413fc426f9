package api

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Error is the error of this contract. Kind decides; Detail is one sentence that a
// client may see; Err is for the log alone.
type Error struct {
	Kind    Kind
	Op      string // package.Function that found it
	Bucket  string
	Key     string
	Version string
	Detail  string
	Err     error
	// Marker is the delete marker that was found, with NoSuchKey and DeleteMarker; nil when there is none.
	Marker *Marker
}

// Marker is a delete marker.
type Marker struct {
	VersionID    string
	LastModified time.Time
}

// Error names what was tried, on what, and why it failed.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Kind.String())
	for _, part := range [...]struct{ name, value string }{
		{" bucket=", e.Bucket}, {" key=", e.Key}, {" version=", e.Version}, {": ", e.Detail},
	} {
		if part.value != "" {
			b.WriteString(part.name)
			b.WriteString(part.value)
		}
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// WireCode is the kind as it travels between peers.
func (e *Error) WireCode() uint32 { return uint32(e.Kind) + wireBase }

// wireBase keeps kinds apart from the transport's own small codes.
const wireBase = 1000

// KindFromWire turns a code made by WireCode back into a kind.
func KindFromWire(code uint32) (Kind, bool) {
	if code < wireBase || code-wireBase >= uint32(kindEnd) {
		return Internal, false
	}
	return Kind(code - wireBase), true
}

// KindOf finds the kind of an error: that of the outermost Error in its chain,
// Canceled for an ended context, Internal for anything else. KindOf(nil) is a
// mistake of the caller and gives Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	default:
		return Internal
	}
}

// Invalid makes an InvalidArgument error whose detail the client sees.
func Invalid(op, detail string) *Error { return &Error{Kind: InvalidArgument, Op: op, Detail: detail} }
