package chunker

import (
	"errors"
	"fmt"

	"shoal/chunker/envelope"
)

const (
	// ManifestSizeMax is the longest encoding in bytes of one manifest. A longer list of chunks is cut
	// by Split and becomes a tree.
	ManifestSizeMax = 8 << 20
	// ChunkSizeMax is the largest chunk in plaintext bytes that a manifest may name.
	ChunkSizeMax = 64 << 20
	// DepthMax is how many manifests lie on the way from the root of a tree to a chunk of the object.
	DepthMax = 4

	wrappedDEKMax = 512
	kMax          = 16
	mMax          = 8
)

// ErrManifest is returned for bytes that are no manifest, and for manifests that contradict
// themselves or their tree.
var ErrManifest = errors.New("malformed manifest")

// Manifest lists the chunks of an object in order, or of the part of it that lies under one node of
// a tree. The zero Manifest is that of an empty object.
type Manifest struct {
	Size     int64 // bytes of the object covered: the sum over Segments
	Segments []Segment
}

// SegmentKind says what the chunks of a segment hold.
type SegmentKind uint8

const (
	// SegmentData: the chunks hold bytes of the object.
	SegmentData SegmentKind = 1
	// SegmentNode: the chunks, opened and concatenated, are the encoding of a further Manifest.
	SegmentNode SegmentKind = 2
)

// Segment is a run of chunks that one upload stream sealed under one DEK.
type Segment struct {
	Kind       SegmentKind
	WrappedDEK []byte // see envelope.Unwrap
	Stream     uint64 // number of the upload stream within the version that wrote it
	K, M       uint8  // data and parity shards of each chunk
	Size       int64  // bytes of the object covered
	Chunks     []ChunkRef
	Framing    envelope.Framing // of the sealed chunks
}

// ChunkRef names a chunk and the run of its plaintext bytes that is used.
type ChunkRef struct {
	ID    ChunkID
	Index uint32 // position in the sealed stream: what the chunk was sealed with
	Size  uint32 // plaintext bytes of the whole chunk
	Skip  uint32 // plaintext bytes in front of those used
	Len   uint32 // plaintext bytes used, at least 1
}

// NewManifest returns the manifest of these segments in order, or ErrManifest. It keeps segments.
func NewManifest(segments ...Segment) (*Manifest, error) {
	m := &Manifest{Segments: segments}
	for i := range segments {
		if segments[i].Size < 0 || segments[i].Size > ObjectSizeMax-m.Size {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrManifest, int64(ObjectSizeMax))
		}
		m.Size += segments[i].Size
	}
	return m, m.Validate()
}

// Validate returns ErrManifest unless the manifest is one that ParseManifest accepts, its length
// apart.
func (m *Manifest) Validate() error {
	for i := range m.Segments {
		if err := m.Segments[i].validate(); err != nil {
			return fmt.Errorf("%w: segment %d: %v", ErrManifest, i, err)
		}
	}
	return m.checkTotal()
}

// checkTotal checks the sizes of segments that are valid each.
func (m *Manifest) checkTotal() error {
	total := int64(0)
	for i := range m.Segments {
		size := m.Segments[i].Size
		if size > ObjectSizeMax-total {
			return fmt.Errorf("%w: more than %d bytes", ErrManifest, int64(ObjectSizeMax))
		}
		total += size
	}
	if total != m.Size {
		return fmt.Errorf("%w: %d bytes in segments, %d declared", ErrManifest, total, m.Size)
	}
	return nil
}

// Leaf tells whether the manifest names chunks of the object alone, and no further manifest.
func (m *Manifest) Leaf() bool {
	for i := range m.Segments {
		if m.Segments[i].Kind == SegmentNode {
			return false
		}
	}
	return true
}

func (s *Segment) validate() error {
	switch {
	case s.Kind != SegmentData && s.Kind != SegmentNode:
		return fmt.Errorf("kind %d", s.Kind)
	case len(s.WrappedDEK) == 0 || len(s.WrappedDEK) > wrappedDEKMax:
		return fmt.Errorf("wrapped key of %d bytes", len(s.WrappedDEK))
	case s.K < 1 || s.K > kMax || s.M > mMax:
		return fmt.Errorf("%d data and %d parity shards", s.K, s.M)
	case s.Size < 1 || s.Size > ObjectSizeMax:
		return fmt.Errorf("%d bytes", s.Size)
	case len(s.Chunks) == 0:
		return errors.New("no chunk")
	case !s.Framing.Valid():
		return fmt.Errorf("frames of %d bytes", s.Framing)
	}
	used := int64(0) // At most 2^32 chunks fit in memory by far, so the sum cannot overflow.
	for i := range s.Chunks {
		c := &s.Chunks[i]
		if err := c.validate(); err != nil {
			return fmt.Errorf("chunk %d: %v", i, err)
		}
		if s.Kind == SegmentNode && (c.Skip != 0 || c.Len != c.Size) {
			return fmt.Errorf("chunk %d of a node is not used whole", i)
		}
		used += int64(c.Len)
	}
	if s.Kind == SegmentNode && used > ManifestSizeMax {
		return fmt.Errorf("node of %d bytes", used)
	}
	if s.Kind == SegmentData && used != s.Size {
		return fmt.Errorf("%d bytes in chunks, %d declared", used, s.Size)
	}
	return nil
}

func (c *ChunkRef) validate() error {
	switch {
	case c.ID.IsZero():
		return errors.New("no ID")
	case c.Size < 1 || c.Size > ChunkSizeMax:
		return fmt.Errorf("%d bytes", c.Size)
	case c.Len < 1 || c.Skip >= c.Size || c.Len > c.Size-c.Skip:
		return fmt.Errorf("%d bytes used at %d of %d", c.Len, c.Skip, c.Size)
	}
	return nil
}
