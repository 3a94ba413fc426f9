package chunker

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"shoal/chunker/envelope"
)

// chunkBodyMin is a lower bound of the encoding of a chunk: tag and length, its ID, and two numbers.
const chunkBodyMin = 2 + 34 + 2 + 2

// ParseManifest reads what Append wrote. It accepts only valid manifests of at most ManifestSizeMax
// bytes in their canonical encoding, and returns ErrManifest for all else. It does not retain b, and
// allocates memory in proportion to b only.
func ParseManifest(b []byte) (*Manifest, error) {
	if len(b) > ManifestSizeMax {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrManifest, len(b), ManifestSizeMax)
	}
	var m Manifest
	d := fieldReader{rest: b}
	format := d.uint(fieldFormat)
	if d.err == nil && format != manifestFormat {
		return nil, fmt.Errorf("%w: format %d, want %d", ErrManifest, format, manifestFormat)
	}
	m.Size = int64(d.uint(fieldSize))
	for {
		body, ok := d.message(fieldSegments)
		if !ok {
			break
		}
		m.Segments = append(m.Segments, parseSegment(&d, body))
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrManifest, err)
	}
	if err := m.checkTotal(); err != nil {
		return nil, err
	}
	return &m, nil
}

// parseSegment reads a segment's body; an error goes to the outer reader.
func parseSegment(outer *fieldReader, body []byte) Segment {
	var s Segment
	d := fieldReader{rest: body}
	s.Kind = SegmentKind(d.uintMax(fieldKind, 0xff))
	s.WrappedDEK = bytes.Clone(d.bytes(fieldWrappedDEK, wrappedDEKMax))
	s.Stream = d.uint(fieldStream)
	s.K = uint8(d.uintMax(fieldK, kMax))
	s.M = uint8(d.uintMax(fieldM, mMax))
	s.Size = int64(d.uintMax(fieldSegmentSize, ObjectSizeMax))
	s.Chunks = make([]ChunkRef, 0, len(d.rest)/chunkBodyMin)
	for {
		body, ok := d.message(fieldChunks)
		if !ok {
			break
		}
		s.Chunks = append(s.Chunks, parseChunk(&d, body))
	}
	s.Framing = envelope.Framing(d.uintMax(fieldFraming, 1<<32-1))
	outer.fail(d.end())
	// At once, not at the end: millions of empty segments would fit in few bytes.
	outer.fail(s.validate())
	return s
}

func parseChunk(outer *fieldReader, body []byte) ChunkRef {
	var c ChunkRef
	d := fieldReader{rest: body}
	id, err := ChunkIDFromBytes(d.bytes(fieldID, len(c.ID)))
	outer.fail(err)
	c.ID = id
	c.Index = uint32(d.uintMax(fieldIndex, 1<<32-1))
	c.Size = uint32(d.uintMax(fieldChunkSize, ChunkSizeMax))
	c.Skip = uint32(d.uintMax(fieldSkip, ChunkSizeMax))
	c.Len = uint32(d.uintMax(fieldLen, ChunkSizeMax))
	outer.fail(d.end())
	return c
}

// fieldReader reads the fields of one message in the order of their numbers. Its first error stays,
// and nothing is read after it.
type fieldReader struct {
	rest []byte
	err  error
}

var (
	errTruncated = errors.New("truncated")
	errCanonical = errors.New("not in canonical form")
)

func (d *fieldReader) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// end returns the reader's error, or one when bytes are left over.
func (d *fieldReader) end() error {
	if d.err == nil && len(d.rest) > 0 {
		d.err = errCanonical
	}
	return d.err
}

// next tells whether the next field is this one, and consumes its tag.
func (d *fieldReader) next(field protowire.Number, typ protowire.Type) bool {
	if d.err != nil || len(d.rest) == 0 || uint64(d.rest[0]) != protowire.EncodeTag(field, typ) {
		return false
	}
	d.rest = d.rest[tagSize:]
	return true
}

func (d *fieldReader) varint() uint64 {
	v, n := protowire.ConsumeVarint(d.rest)
	if n < 0 {
		d.fail(errTruncated)
		return 0
	}
	if n != protowire.SizeVarint(v) {
		d.fail(errCanonical)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// uint returns the number in a field, 0 when the field is not there.
func (d *fieldReader) uint(field protowire.Number) uint64 {
	if !d.next(field, protowire.VarintType) {
		return 0
	}
	v := d.varint()
	if v == 0 {
		d.fail(errCanonical)
	}
	return v
}

// uintMax is uint for numbers up to limit.
func (d *fieldReader) uintMax(field protowire.Number, limit uint64) uint64 {
	v := d.uint(field)
	if v > limit {
		d.fail(fmt.Errorf("field %d is %d, at most %d", field, v, limit))
		return 0
	}
	return v
}

// message returns the body of a field of bytes, or false when the next field is another.
func (d *fieldReader) message(field protowire.Number) ([]byte, bool) {
	if !d.next(field, protowire.BytesType) {
		return nil, false
	}
	n := d.varint()
	if d.err == nil && n > uint64(len(d.rest)) {
		d.fail(errTruncated)
	}
	if d.err != nil {
		return nil, false
	}
	body := d.rest[:n:n]
	d.rest = d.rest[n:]
	return body, true
}

// bytes is message for a field that is there at most once, of 1 to limit bytes; nil when it is not.
func (d *fieldReader) bytes(field protowire.Number, limit int) []byte {
	body, ok := d.message(field)
	if ok && (len(body) == 0 || len(body) > limit) {
		d.fail(fmt.Errorf("field %d of %d bytes, at most %d", field, len(body), limit))
		return nil
	}
	return body
}
