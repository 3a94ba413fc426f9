// Package wire turns frames and small records into bytes and back.
//
// A frame is what the RPC streams, the notification streams and the bulk plane carry: a fixed
// header of HeaderSize bytes, then a message header, then a payload. Decoding never allocates
// and never believes a length before it has compared it with its bound, so a peer can make the
// receiver read at most what the kind of frame allows.
//
// The package also holds a bounded reader and writer for the protobuf encoding, used for the
// records that are signed (credentials, revocations, node records): those need one canonical
// form, which generated code does not promise.
//
// It does not read from connections and keeps no state.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// Version is the format of the frames written by this release, and the only one it reads.
	Version = 1
	// HeaderSize is the size of an encoded Frame in bytes.
	HeaderSize = 24
	// BodyHeaderMax and PayloadMax bound the two parts of a frame's body, in bytes.
	BodyHeaderMax = 1 << 20
	PayloadMax    = 8 << 20
	// TextMax bounds the text of an error or refusal, in bytes.
	TextMax = 512
)

// Kind says what a frame is. The numbers travel and are never reused.
type Kind uint8

const (
	KindRequest  Kind = 1  // Arg: microseconds until the deadline, 0 for none
	KindResponse Kind = 2  // body: the handler's response
	KindError    Kind = 3  // Arg: the handler's error code; header: its text
	KindRefuse   Kind = 4  // Arg: a Refusal; header: its text. No handler ran
	KindCancel   Kind = 5  // ID: the request whose caller has given up
	KindNotify   Kind = 6  // body: a one-way message
	KindCredit   Kind = 7  // Arg: how many further requests may be outstanding
	KindPing     Kind = 8  // ID comes back in a KindPong
	KindPong     Kind = 9  //
	KindStream   Kind = 10 // from here on the connection is a raw stream for Method
	KindAccept   Kind = 11 // the stream asked for by KindStream begins

	kindMax = KindAccept
)

var kindNames = [...]string{
	KindRequest: "request", KindResponse: "response", KindError: "error", KindRefuse: "refuse",
	KindCancel: "cancel", KindNotify: "notify", KindCredit: "credit", KindPing: "ping",
	KindPong: "pong", KindStream: "stream", KindAccept: "accept",
}

func (k Kind) String() string {
	if k >= 1 && k <= kindMax {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Refusal is the reason in the Arg of a KindRefuse frame.
type Refusal = uint32

const (
	RefuseRole     Refusal = 1 // the peer's roles do not allow the method
	RefuseMethod   Refusal = 2 // nobody registered the method
	RefuseClosing  Refusal = 3 // the peer is shutting down
	RefuseOverload Refusal = 4 // the peer has no memory for a body of this size now
)

// What a body of each kind may hold, indexed by Kind.
var bodyMax = [...]struct{ header, payload uint32 }{
	KindRequest:  {BodyHeaderMax, PayloadMax},
	KindResponse: {BodyHeaderMax, PayloadMax},
	KindError:    {TextMax, 0},
	KindRefuse:   {TextMax, 0},
	KindCancel:   {},
	KindNotify:   {0, PayloadMax},
	KindCredit:   {},
	KindPing:     {},
	KindPong:     {},
	KindStream:   {},
	KindAccept:   {},
}

// ErrFrame is wrapped by every error of this file: what came is not a frame that we read. The
// stream it came from is of no further use.
var ErrFrame = errors.New("wire: bad frame")

// Frame is the decoded fixed header of a frame.
type Frame struct {
	Kind   Kind
	Method uint16
	ID     uint64 // names a request within its stream; responses, errors and cancels repeat it
	Arg    uint32 // meaning depends on Kind

	HeaderLen  uint32 // bytes of message header that follow
	PayloadLen uint32 // bytes of payload after that
}

// BodySize is the number of bytes that follow the fixed header.
func (f *Frame) BodySize() int { return int(f.HeaderLen) + int(f.PayloadLen) }

// Check reports whether f may travel.
func (f *Frame) Check() error {
	if f.Kind < 1 || f.Kind > kindMax {
		return fmt.Errorf("%w: unknown kind %d", ErrFrame, uint8(f.Kind))
	}
	limit := bodyMax[f.Kind]
	if f.HeaderLen > limit.header || f.PayloadLen > limit.payload {
		return fmt.Errorf("%w: %v with %d + %d bytes", ErrFrame, f.Kind, f.HeaderLen, f.PayloadLen)
	}
	return nil
}

// Append appends the fixed header of f to b. f must pass Check.
func (f *Frame) Append(b []byte) []byte {
	b = append(b, Version, byte(f.Kind))
	b = binary.LittleEndian.AppendUint16(b, f.Method)
	b = binary.LittleEndian.AppendUint32(b, f.Arg)
	b = binary.LittleEndian.AppendUint64(b, f.ID)
	b = binary.LittleEndian.AppendUint32(b, f.HeaderLen)
	return binary.LittleEndian.AppendUint32(b, f.PayloadLen)
}

// Decode reads the fixed header from the first HeaderSize bytes of b.
func (f *Frame) Decode(b []byte) error {
	if len(b) < HeaderSize {
		return fmt.Errorf("%w: %d bytes", ErrFrame, len(b))
	}
	if b[0] != Version {
		return fmt.Errorf("%w: version %d, this release reads %d", ErrFrame, b[0], Version)
	}
	f.Kind = Kind(b[1])
	f.Method = binary.LittleEndian.Uint16(b[2:])
	f.Arg = binary.LittleEndian.Uint32(b[4:])
	f.ID = binary.LittleEndian.Uint64(b[8:])
	f.HeaderLen = binary.LittleEndian.Uint32(b[16:])
	f.PayloadLen = binary.LittleEndian.Uint32(b[20:])
	return f.Check()
}
