package p2p

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

var (
	// ErrUnreachable: no connection to the peer could be made. Nothing was sent.
	ErrUnreachable = errors.New("p2p: peer unreachable")
	// ErrRefused: the peer will not serve this method to us, because of our role or because it
	// does not know the method. No handler ran.
	ErrRefused = errors.New("p2p: refused by peer")
	// ErrOutcomeUnknown: the request was sent and no answer came. The handler may have run, in
	// whole, in part or not at all.
	ErrOutcomeUnknown = errors.New("p2p: outcome unknown")
	// ErrQueueFull: a Notify was dropped because the peer does not keep up.
	ErrQueueFull = errors.New("p2p: queue to peer is full")
	// ErrTooLarge: a header or payload exceeds its bound. Nothing was sent.
	ErrTooLarge = errors.New("p2p: message too large")
	// ErrClosed: the transport is closed or was not started.
	ErrClosed = errors.New("p2p: transport closed")
)

// CodeInternal is the code of a RemoteError whose cause the peer does not disclose.
const CodeInternal uint32 = 1

// WireCoder is implemented by a handler's errors that may cross the network: they arrive as a
// RemoteError with this code and their (bounded) text. All others arrive as CodeInternal.
type WireCoder interface {
	error
	WireCode() uint32
}

// RemoteError is a handler's refusal or failure, as the caller sees it. The handler has ended.
type RemoteError struct {
	Code uint32
	Text string
}

func (e *RemoteError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("p2p: peer answered with code %d", e.Code)
	}
	return e.Text
}

// WireCode makes a RemoteError that a handler passes on keep its code.
func (e *RemoteError) WireCode() uint32 { return e.Code }

// NewRemoteError turns the error of a handler into what travels.
func NewRemoteError(err error) *RemoteError {
	var wc WireCoder
	if !errors.As(err, &wc) {
		return &RemoteError{Code: CodeInternal}
	}
	return &RemoteError{Code: wc.WireCode(), Text: cut(wc.Error(), ErrorTextMax)}
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// CallError says which call failed and how far it had got.
//
// When Sent is false, the peer has not seen the request and another peer may be asked instead.
// When Sent is true the outcome is unknown, and errors.Is(err, ErrOutcomeUnknown) holds beside
// whatever Err says (a broken connection, or the end of the caller's context).
type CallError struct {
	To     NodeID
	Method Method
	Sent   bool
	Err    error
}

func (e *CallError) Error() string {
	state := "not sent"
	if e.Sent {
		state = "outcome unknown"
	}
	return fmt.Sprintf("call method %v of %s (%s): %v", e.Method, e.To.Short(), state, e.Err)
}

func (e *CallError) Unwrap() error { return e.Err }

// Is makes a call that was sent match ErrOutcomeUnknown.
func (e *CallError) Is(target error) bool { return e.Sent && target == ErrOutcomeUnknown }
