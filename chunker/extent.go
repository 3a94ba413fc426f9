package chunker

import (
	"context"
	"fmt"
	"iter"
)

// Extent is a run of an object's bytes that lies in one chunk, or under one node of the tree.
type Extent struct {
	Segment *Segment
	Chunk   *ChunkRef // nil when Segment is a node

	ObjectOff int64 // where the run begins in what the manifest covers
	// Off and Len are the run in plaintext bytes of the whole chunk (Chunk.Skip is included), or, for
	// a node, in bytes of what its manifest covers.
	Off, Len int64
}

// FetchNode returns the manifest that the chunks of a node segment hold. Its errors are returned by
// whatever called it, as they are.
type FetchNode func(ctx context.Context, node *Segment) (*Manifest, error)

// Extents returns the runs that make up n bytes of m from off on, in order. It does not descend into
// nodes. The part of the range that m does not cover is left out. Extents point into m.
func Extents(m *Manifest, off, n int64) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		end := min(max(n, 0), m.Size-min(max(off, 0), m.Size)) + max(off, 0)
		pos := int64(0)
		for i := range m.Segments {
			s := &m.Segments[i]
			if pos >= end || off >= end {
				return
			}
			if pos+s.Size > off && !s.extents(pos, max(off, 0), end, yield) {
				return
			}
			pos += s.Size
		}
	}
}

// extents yields the runs of the segment, which begins at pos, within [off, end).
func (s *Segment) extents(pos, off, end int64, yield func(Extent) bool) bool {
	if s.Kind == SegmentNode {
		from, to := max(off, pos), min(end, pos+s.Size)
		return yield(Extent{Segment: s, ObjectOff: from, Off: from - pos, Len: to - from})
	}
	for i := range s.Chunks {
		c := &s.Chunks[i]
		if pos >= end {
			return true
		}
		next := pos + int64(c.Len)
		if from, to := max(off, pos), min(end, next); from < to {
			e := Extent{Segment: s, Chunk: c, ObjectOff: from, Off: from - pos + int64(c.Skip), Len: to - from}
			if !yield(e) {
				return false
			}
		}
		pos = next
	}
	return true
}

// Walk calls fn for the chunks that make up n bytes of the object from off on, in order, and fetches
// only the nodes that the range touches, each when its turn comes. ObjectOff counts from the start of
// m. It returns the first error of fn or fetch; ErrManifest when the range is not covered by m, a node
// does not cover what its parent says, or the tree is deeper than DepthMax.
func Walk(ctx context.Context, m *Manifest, off, n int64, fetch FetchNode, fn func(Extent) error) error {
	if err := m.checkRange(off, n); err != nil {
		return err
	}
	return walk(ctx, m, off, n, 0, 1, fetch, fn)
}

// walk is Walk for a manifest that begins at base of the object and is the depth-th from the root.
func walk(ctx context.Context, m *Manifest, off, n, base int64, depth int, fetch FetchNode, fn func(Extent) error) error {
	for e := range Extents(m, off, n) {
		if e.Chunk != nil {
			e.ObjectOff += base
			if err := fn(e); err != nil {
				return err
			}
			continue
		}
		child, err := fetchChild(ctx, e.Segment, depth, fetch)
		if err != nil {
			return err
		}
		childBase := base + e.ObjectOff - e.Off
		if err := walk(ctx, child, e.Off, e.Len, childBase, depth+1, fetch, fn); err != nil {
			return err
		}
	}
	return nil
}

// fetchChild fetches a node that a manifest at this depth names.
func fetchChild(ctx context.Context, node *Segment, depth int, fetch FetchNode) (*Manifest, error) {
	if depth >= DepthMax {
		return nil, fmt.Errorf("%w: tree deeper than %d", ErrManifest, DepthMax)
	}
	child, err := fetch(ctx, node)
	if err != nil {
		return nil, err
	}
	if child.Size != node.Size {
		return nil, fmt.Errorf("%w: node covers %d bytes, its parent says %d", ErrManifest, child.Size, node.Size)
	}
	return child, nil
}

func (m *Manifest) checkRange(off, n int64) error {
	if off < 0 || n < 0 || off > m.Size-n {
		return fmt.Errorf("%w: %d bytes at %d of %d", ErrManifest, n, off, m.Size)
	}
	return nil
}
