package chunker

import "google.golang.org/protobuf/encoding/protowire"

// The encoding is protobuf (manifest.proto) in one canonical form: fields in the order of their
// numbers, each at most once save the repeated ones, none with the value 0, numbers and lengths in
// their shortest form, nothing unknown. A manifest thus has one encoding, and none is accepted that
// would come out different. It is written and read by hand because a generated decoder takes an
// allocation for each chunk, and builds whatever a hostile length field promises before anyone looks.

//go:generate sh -c "protoc --go_out=. --go_opt=paths=source_relative manifest.proto && mv manifest.pb.go manifest_pb_test.go"

// manifestFormat is the format that this release writes, and the only one it reads.
const manifestFormat = 1

const (
	fieldFormat   protowire.Number = 1
	fieldSize     protowire.Number = 2
	fieldSegments protowire.Number = 3

	fieldKind        protowire.Number = 1
	fieldWrappedDEK  protowire.Number = 2
	fieldStream      protowire.Number = 3
	fieldK           protowire.Number = 4
	fieldM           protowire.Number = 5
	fieldSegmentSize protowire.Number = 6
	fieldChunks      protowire.Number = 7
	fieldFraming     protowire.Number = 8

	fieldID        protowire.Number = 1
	fieldIndex     protowire.Number = 2
	fieldChunkSize protowire.Number = 3
	fieldSkip      protowire.Number = 4
	fieldLen       protowire.Number = 5
)

// Append appends the encoding of m to dst. m must be valid. Equal manifests have equal encodings.
func (m *Manifest) Append(dst []byte) []byte {
	dst = appendUint(dst, fieldFormat, manifestFormat)
	dst = appendUint(dst, fieldSize, uint64(m.Size))
	for i := range m.Segments {
		s := &m.Segments[i]
		dst = appendHead(dst, fieldSegments, s.bodySize())
		dst = s.appendBody(dst)
	}
	return dst
}

// EncodedSize returns the length in bytes of the encoding.
func (m *Manifest) EncodedSize() int {
	n := uintSize(manifestFormat) + uintSize(uint64(m.Size))
	for i := range m.Segments {
		n += fieldLength(m.Segments[i].bodySize())
	}
	return n
}

func (s *Segment) appendBody(dst []byte) []byte {
	dst = appendUint(dst, fieldKind, uint64(s.Kind))
	dst = protowire.AppendTag(dst, fieldWrappedDEK, protowire.BytesType)
	dst = protowire.AppendBytes(dst, s.WrappedDEK)
	dst = appendUint(dst, fieldStream, s.Stream)
	dst = appendUint(dst, fieldK, uint64(s.K))
	dst = appendUint(dst, fieldM, uint64(s.M))
	dst = appendUint(dst, fieldSegmentSize, uint64(s.Size))
	for i := range s.Chunks {
		c := &s.Chunks[i]
		dst = appendHead(dst, fieldChunks, c.bodySize())
		dst = protowire.AppendTag(dst, fieldID, protowire.BytesType)
		dst = protowire.AppendBytes(dst, c.ID[:])
		dst = appendUint(dst, fieldIndex, uint64(c.Index))
		dst = appendUint(dst, fieldChunkSize, uint64(c.Size))
		dst = appendUint(dst, fieldSkip, uint64(c.Skip))
		dst = appendUint(dst, fieldLen, uint64(c.Len))
	}
	return appendUint(dst, fieldFraming, uint64(s.Framing))
}

// headSize returns the length of a segment's body without its chunks.
func (s *Segment) headSize() int {
	return uintSize(uint64(s.Kind)) + fieldLength(len(s.WrappedDEK)) + uintSize(s.Stream) +
		uintSize(uint64(s.K)) + uintSize(uint64(s.M)) + uintSize(uint64(s.Size)) + uintSize(uint64(s.Framing))
}

func (s *Segment) bodySize() int {
	n := s.headSize()
	for i := range s.Chunks {
		n += fieldLength(s.Chunks[i].bodySize())
	}
	return n
}

func (c *ChunkRef) bodySize() int {
	return fieldLength(len(c.ID)) + uintSize(uint64(c.Index)) + uintSize(uint64(c.Size)) +
		uintSize(uint64(c.Skip)) + uintSize(uint64(c.Len))
}

// All field numbers are below 16, so a tag is one byte.
const tagSize = 1

// appendUint appends a number, or nothing when it is 0.
func appendUint(dst []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), v)
}

func uintSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return tagSize + protowire.SizeVarint(v)
}

// appendHead appends the tag and length of a field of n bytes.
func appendHead(dst []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.BytesType), uint64(n))
}

// fieldLength returns the length of a field of n bytes with its tag and length.
func fieldLength(n int) int { return tagSize + protowire.SizeBytes(n) }
