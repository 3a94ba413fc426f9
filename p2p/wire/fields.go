package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrRecord is wrapped by every error of Fields: the bytes are not the record expected.
var ErrRecord = errors.New("wire: bad record")

// Record builds a protobuf message. Writing fields in rising order of number and leaving out
// zero values gives the canonical form; a decoder of signed bytes encodes what it read and
// compares.
type Record []byte

// Uint appends a varint field unless v is zero.
func (r *Record) Uint(num int, v uint64) {
	if v != 0 {
		*r = protowire.AppendTag(*r, protowire.Number(num), protowire.VarintType)
		*r = protowire.AppendVarint(*r, v)
	}
}

// Bytes appends a length-delimited field unless b is empty.
func (r *Record) Bytes(num int, b []byte) {
	if len(b) != 0 {
		*r = protowire.AppendTag(*r, protowire.Number(num), protowire.BytesType)
		*r = protowire.AppendBytes(*r, b)
	}
}

// String appends a length-delimited field unless s is empty.
func (r *Record) String(num int, s string) {
	if s != "" {
		*r = protowire.AppendTag(*r, protowire.Number(num), protowire.BytesType)
		*r = protowire.AppendString(*r, s)
	}
}

// Repeat appends one element of a repeated length-delimited field; an empty one counts too.
func (r *Record) Repeat(num int, b []byte) {
	*r = protowire.AppendTag(*r, protowire.Number(num), protowire.BytesType)
	*r = protowire.AppendBytes(*r, b)
}

// Fields iterates over the fields of a protobuf message, of the wire types varint and bytes only.
//
//	f := wire.NewFields(b)
//	for f.Next() {
//		switch f.Num() {
//		case 1:
//			x = f.Uint()
//		}
//	}
//	err := f.Err()
//
// Unknown fields are skipped, so a neighbouring release may add some.
type Fields struct {
	rest  []byte
	num   protowire.Number
	typ   protowire.Type
	uint  uint64
	bytes []byte
	err   error
}

// NewFields iterates over b, which it does not copy.
func NewFields(b []byte) *Fields { return &Fields{rest: b} }

// Next moves to the next field. It returns false at the end and after an error.
func (f *Fields) Next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.Fail("tag")
		return false
	}
	f.num, f.typ, f.rest = num, typ, f.rest[n:]
	switch f.typ {
	case protowire.VarintType:
		f.uint, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(f.rest)
	default:
		n = protowire.ConsumeFieldValue(f.num, f.typ, f.rest)
	}
	if n < 0 {
		f.Fail("field %d", f.num)
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// Num is the number of the current field.
func (f *Fields) Num() int { return int(f.num) }

// Uint is the value of the current varint field.
func (f *Fields) Uint() uint64 {
	if f.typ != protowire.VarintType {
		f.Fail("field %d is not a number", f.num)
		return 0
	}
	return f.uint
}

// Uint32 is the value of the current varint field, which must fit.
func (f *Fields) Uint32() uint32 {
	v := f.Uint()
	if v > 1<<32-1 {
		f.Fail("field %d is too large", f.num)
	}
	return uint32(v)
}

// Bytes is the value of the current length-delimited field, of at most max bytes. It aliases the
// input.
func (f *Fields) Bytes(max int) []byte {
	if f.typ != protowire.BytesType {
		f.Fail("field %d is not bytes", f.num)
		return nil
	}
	if len(f.bytes) > max {
		f.Fail("field %d has %d bytes, at most %d allowed", f.num, len(f.bytes), max)
		return nil
	}
	return f.bytes
}

// Exact copies the current length-delimited field into dst, whose size it must have.
func (f *Fields) Exact(dst []byte) {
	if b := f.Bytes(len(dst)); len(b) == len(dst) {
		copy(dst, b)
		return
	}
	f.Fail("field %d does not have %d bytes", f.num, len(dst))
}

// String is the value of the current length-delimited field, of at most max bytes.
func (f *Fields) String(max int) string { return string(f.Bytes(max)) }

// Fail makes the iteration end with an error unless it already has one.
func (f *Fields) Fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", ErrRecord, fmt.Sprintf(format, args...))
	}
}

// Err is the first error met.
func (f *Fields) Err() error { return f.err }
