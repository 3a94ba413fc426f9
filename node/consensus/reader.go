package consensus

import (
	"encoding/binary"
	"fmt"
)

// reader takes fields off the front of bytes that somebody else made. The first violation sticks, and every later field reads as zero.
// It accepts only what the encoders write: a varint longer than needed is a violation.
type reader struct {
	b    []byte
	what string
	err  error
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", r.what, why)
	}
	r.b = nil
}

// done returns the first violation; bytes left over are one.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return r.err
}

func (r *reader) u8() byte {
	if len(r.b) < 1 {
		r.fail("too short")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.fail("too short")
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.fail("too short")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.fail("bad varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of elements, each of which takes at least one byte.
func (r *reader) count(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		if r.err == nil {
			r.fail("count out of range")
		}
		return 0
	}
	return int(n)
}

// bytes reads a length and returns that many bytes of the input, not copied.
func (r *reader) bytes(limit int) []byte {
	n := r.count(limit)
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}
