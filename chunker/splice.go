package chunker

import (
	"bytes"
	"context"
	"fmt"
)

// Slice returns the manifest of n bytes of the object from off on. It names the same chunks, so
// nothing is copied. It fetches only the nodes that the range cuts; a node that lies in the range
// whole stays a node. Errors are those of Walk. The result shares no memory with m.
func Slice(ctx context.Context, m *Manifest, off, n int64, fetch FetchNode) (*Manifest, error) {
	if err := m.checkRange(off, n); err != nil {
		return nil, err
	}
	var out Manifest
	if err := out.appendRange(ctx, m, off, n, 1, fetch); err != nil {
		return nil, err
	}
	return &out, nil
}

func (m *Manifest) appendRange(ctx context.Context, from *Manifest, off, n int64, depth int, fetch FetchNode) error {
	for e := range Extents(from, off, n) {
		switch {
		case e.Chunk != nil:
			c := *e.Chunk
			c.Skip, c.Len = uint32(e.Off), uint32(e.Len)
			m.appendChunk(e.Segment, c)
		case e.Len == e.Segment.Size:
			m.appendSegment(e.Segment)
		default:
			child, err := fetchChild(ctx, e.Segment, depth, fetch)
			if err != nil {
				return err
			}
			if err := m.appendRange(ctx, child, e.Off, e.Len, depth+1, fetch); err != nil {
				return err
			}
		}
	}
	return nil
}

// Concat returns the manifest of the objects' bytes one after the other, or ErrManifest when they are
// more than ObjectSizeMax. Neighbours that one stream sealed become one segment. The result shares no
// memory with its sources.
func Concat(ms ...*Manifest) (*Manifest, error) {
	var out Manifest
	for _, m := range ms {
		if m.Size > ObjectSizeMax-out.Size {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrManifest, int64(ObjectSizeMax))
		}
		for i := range m.Segments {
			out.appendSegment(&m.Segments[i])
		}
	}
	return &out, nil
}

// Split cuts a manifest into successive ones of at most maxBytes of encoding each, so that each can
// be stored in the chunks of a node segment whose Size is that manifest's. A segment that is too long
// is cut between chunks. It returns ErrManifest when a single chunk does not fit.
func Split(m *Manifest, maxBytes int) ([]*Manifest, error) {
	// Upper bounds: a manifest's own fields, and a segment's tag and length.
	const manifestHead, segmentTag = 2 + 8, tagSize + 5
	var parts []*Manifest
	var part *Manifest
	room := 0
	for i := range m.Segments {
		s := &m.Segments[i]
		head := segmentTag + s.headSize()
		open := false // whether s has a segment in part already
		for _, c := range splitUnits(s) {
			size := c.bytes
			if !open {
				size += head
			}
			if part == nil || size > room {
				part, open, room, size = &Manifest{}, false, maxBytes-manifestHead, c.bytes+head
				parts = append(parts, part)
			}
			if room -= size; room < 0 {
				return nil, fmt.Errorf("%w: a chunk does not fit %d bytes", ErrManifest, maxBytes)
			}
			open = true
			part.appendUnit(s, c)
		}
	}
	return parts, nil
}

// splitUnit is what Split does not cut: a chunk of data, or all chunks of a node.
type splitUnit struct {
	chunks []ChunkRef
	bytes  int
}

func splitUnits(s *Segment) []splitUnit {
	units := make([]splitUnit, 0, len(s.Chunks))
	for i := range s.Chunks {
		units = append(units, splitUnit{s.Chunks[i : i+1], fieldLength(s.Chunks[i].bodySize())})
	}
	if s.Kind == SegmentData {
		return units
	}
	whole := splitUnit{chunks: s.Chunks}
	for _, u := range units {
		whole.bytes += u.bytes
	}
	return []splitUnit{whole}
}

func (m *Manifest) appendUnit(s *Segment, u splitUnit) {
	if s.Kind == SegmentNode {
		m.appendSegment(s)
		return
	}
	m.appendChunk(s, u.chunks[0])
}

// appendSegment appends a copy of s.
func (m *Manifest) appendSegment(s *Segment) {
	if s.Kind == SegmentData {
		for i := range s.Chunks {
			m.appendChunk(s, s.Chunks[i])
		}
		return
	}
	node := *s
	node.WrappedDEK = bytes.Clone(s.WrappedDEK)
	node.Chunks = append([]ChunkRef(nil), s.Chunks...)
	m.Segments = append(m.Segments, node)
	m.Size += node.Size
}

// appendChunk appends a chunk of the data segment s, to the last segment when that is of the same
// stream.
func (m *Manifest) appendChunk(s *Segment, c ChunkRef) {
	last := len(m.Segments) - 1
	if last < 0 || !m.Segments[last].sameStream(s) {
		m.Segments = append(m.Segments, Segment{
			Kind: s.Kind, WrappedDEK: bytes.Clone(s.WrappedDEK), Stream: s.Stream, K: s.K, M: s.M, Framing: s.Framing,
		})
		last++
	}
	m.Segments[last].Chunks = append(m.Segments[last].Chunks, c)
	m.Segments[last].Size += int64(c.Len)
	m.Size += int64(c.Len)
}

// sameStream tells whether s and t are data that one stream sealed and coded alike.
func (s *Segment) sameStream(t *Segment) bool {
	return s.Kind == SegmentData && t.Kind == SegmentData && s.Stream == t.Stream && s.K == t.K && s.M == t.M && s.Framing == t.Framing &&
		bytes.Equal(s.WrappedDEK, t.WrappedDEK)
}
