package chunker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"shoal/chunker/envelope"
)

// forest stores manifests as nodes: a node segment's first chunk ID names the manifest.
type forest struct {
	nodes   map[ChunkID][]byte
	fetched int
}

func (f *forest) store(m *Manifest) Segment {
	if f.nodes == nil {
		f.nodes = map[ChunkID][]byte{}
	}
	b := m.Append(nil)
	id := testID(1<<30 + len(f.nodes))
	f.nodes[id] = b
	n := uint32(len(b))
	return Segment{
		Kind: SegmentNode, WrappedDEK: []byte{9}, Stream: 99, K: 1, Size: m.Size,
		Chunks: []ChunkRef{{ID: id, Size: n, Len: n}},
	}
}

func (f *forest) fetch(_ context.Context, node *Segment) (*Manifest, error) {
	f.fetched++
	return ParseManifest(f.nodes[node.Chunks[0].ID])
}

// grow turns a manifest into a tree of this many levels.
func (f *forest) grow(t testing.TB, m *Manifest, levels, maxBytes int) *Manifest {
	t.Helper()
	for range levels - 1 {
		parts, err := Split(m, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		var nodes []Segment
		for _, part := range parts {
			nodes = append(nodes, f.store(part))
		}
		m = mustManifest(t, nodes...)
	}
	return m
}

// runs lists the plaintext that a range of a tree consists of, one entry for each chunk.
func runs(t testing.TB, m *Manifest, off, n int64, fetch FetchNode) []string {
	t.Helper()
	var list []string
	next := off
	err := Walk(context.Background(), m, off, n, fetch, func(e Extent) error {
		if e.ObjectOff != next || e.Len < 1 || e.Off < int64(e.Chunk.Skip) || e.Off+e.Len > int64(e.Chunk.Skip+e.Chunk.Len) {
			t.Fatalf("run at %d, want %d: %d bytes at %d of %+v", e.ObjectOff, next, e.Len, e.Off, *e.Chunk)
		}
		next += e.Len
		list = append(list, fmt.Sprintf("%x %d %d %d %d", e.Segment.WrappedDEK, e.Segment.Stream, e.Chunk.Index, e.Off, e.Len))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != off+n {
		t.Fatalf("%d bytes walked, want %d", next-off, n)
	}
	return list
}

func TestExtentsEdges(t *testing.T) {
	m := mustManifest(t, dataSegment(0, ChunkSize+10), dataSegment(1, 5))
	const size = ChunkSize + 15
	for _, tc := range []struct {
		off, n int64
		want   string
	}{
		{0, 0, ""}, {5, 0, ""}, {size, 0, ""}, {size, 10, ""}, {size + 10, 1, ""}, {0, -1, ""},
		{0, 1, "0/0+1"},
		{ChunkSize - 1, 2, "0/4194303+1 1/0+1"},
		{ChunkSize, 10, "1/0+10"},
		{ChunkSize + 9, 2, "1/9+1 0/0+1"},
		{ChunkSize + 12, 100, "0/2+3"},
		{0, size, "0/0+4194304 1/0+10 0/0+5"},
		{0, 1 << 62, "0/0+4194304 1/0+10 0/0+5"},
	} {
		got := ""
		for e := range Extents(m, tc.off, tc.n) {
			if got != "" {
				got += " "
			}
			got += fmt.Sprintf("%d/%d+%d", e.Chunk.Index, e.Off, e.Len)
		}
		if got != tc.want {
			t.Errorf("%d bytes at %d: %q, want %q", tc.n, tc.off, got, tc.want)
		}
	}
	for range Extents(m, 0, size) {
		break // A caller may stop early.
	}
}

func TestTreeReadsAsItsLeaves(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	flat := randomManifest(t, r, 40)
	for levels := 1; levels <= DepthMax; levels++ {
		var f forest
		tree := f.grow(t, flat, levels, 1000)
		if tree.Leaf() != (levels == 1) {
			t.Errorf("%d levels: leaf is %v", levels, tree.Leaf())
		}
		for range 200 {
			off := r.Int64N(flat.Size)
			n := r.Int64N(flat.Size - off + 1)
			want := runs(t, flat, off, n, nil)
			if got := runs(t, tree, off, n, f.fetch); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%d levels, %d bytes at %d: %v, want %v", levels, n, off, got, want)
			}
		}
		f.fetched = 0
		runs(t, tree, flat.Size/2, 1, f.fetch)
		if f.fetched != levels-1 {
			t.Errorf("%d levels: one byte costs %d nodes", levels, f.fetched)
		}
	}
}

func TestSliceReadsAsTheRange(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	flat := randomManifest(t, r, 30)
	for levels := 1; levels < DepthMax; levels++ {
		var f forest
		tree := f.grow(t, flat, levels, 1000)
		for range 100 {
			off := r.Int64N(flat.Size)
			n := r.Int64N(flat.Size - off + 1)
			part, err := Slice(context.Background(), tree, off, n, f.fetch)
			if err != nil {
				t.Fatal(err)
			}
			if err := part.Validate(); err != nil || part.Size != n {
				t.Fatalf("slice of %d bytes, want %d; error %v", part.Size, n, err)
			}
			want := fmt.Sprint(runs(t, flat, off, n, nil))
			if got := fmt.Sprint(runs(t, part, 0, n, f.fetch)); got != want {
				t.Fatalf("%d levels, %d bytes at %d: %v, want %v", levels, n, off, got, want)
			}
		}
		whole, err := Slice(context.Background(), tree, 0, tree.Size, nil) // Nothing is cut, so nothing fetched.
		if err != nil || !bytes.Equal(whole.Append(nil), tree.Append(nil)) {
			t.Errorf("%d levels: the whole is not the same; error %v", levels, err)
		}
	}
}

func TestSplitAndConcatUndoEachOther(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		m := randomManifest(t, r, 1+r.IntN(30))
		maxBytes := 250 + r.IntN(3000)
		parts, err := Split(m, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range parts {
			if err := part.Validate(); err != nil {
				t.Fatal(err)
			}
			if n := len(part.Append(nil)); n > maxBytes {
				t.Errorf("part %d has %d bytes, at most %d", i, n, maxBytes)
			}
		}
		if least := (m.EncodedSize() + maxBytes - 1) / maxBytes; len(parts) > 3*least+1 {
			t.Errorf("%d parts where %d could do", len(parts), least)
		}
		back, err := Concat(parts...)
		if err != nil || !bytes.Equal(back.Append(nil), m.Append(nil)) {
			t.Fatalf("the parts do not make up the whole; error %v", err)
		}
	}
	if parts, err := Split(new(Manifest), 10); len(parts) != 0 || err != nil {
		t.Errorf("an empty manifest has %d parts, error %v", len(parts), err)
	}
	if _, err := Split(mustManifest(t, dataSegment(0, 1)), 100); !errors.Is(err, ErrManifest) {
		t.Errorf("no room for a chunk: error %v", err)
	}
}

// TestConcatKeepsFramings: data of two streams are two segments, though they differ in the length of their frames alone.
func TestConcatKeepsFramings(t *testing.T) {
	a, b := dataSegment(0, 10), dataSegment(0, 10)
	b.Framing = envelope.Fine
	m, err := Concat(mustManifest(t, a), mustManifest(t, b))
	if err != nil || len(m.Segments) != 2 || m.Segments[0].Framing != envelope.Coarse || m.Segments[1].Framing != envelope.Fine {
		t.Errorf("segments %+v, error %v", m.Segments, err)
	}
}

func TestConcat(t *testing.T) {
	a, b := mustManifest(t, dataSegment(0, 10)), mustManifest(t, dataSegment(1, 20))
	both, err := Concat(a, new(Manifest), b)
	if err != nil || both.Size != 30 || len(both.Segments) != 2 {
		t.Fatalf("manifest %+v, error %v", both, err)
	}
	both.Segments[0].WrappedDEK[0] ^= 1
	if a.Segments[0].WrappedDEK[0] == both.Segments[0].WrappedDEK[0] {
		t.Error("the result shares memory with its source")
	}
	big := Segment{Kind: SegmentNode, WrappedDEK: []byte{1}, K: 1, Size: ObjectSizeMax, Chunks: dataSegment(0, 1).Chunks}
	if _, err := Concat(mustManifest(t, big), a); !errors.Is(err, ErrManifest) {
		t.Errorf("more than an object may have: error %v", err)
	}
	if none, err := Concat(); err != nil || none.Size != 0 {
		t.Errorf("of nothing: %+v, error %v", none, err)
	}
}

func TestWalkRefuses(t *testing.T) {
	ctx := context.Background()
	leaf := mustManifest(t, dataSegment(0, 100))
	var f forest
	deep := f.grow(t, leaf, DepthMax+1, 1000)
	nothing := func(Extent) error { return nil }
	if err := Walk(ctx, deep, 0, 1, f.fetch, nothing); !errors.Is(err, ErrManifest) {
		t.Errorf("too deep: error %v", err)
	}
	if _, err := Slice(ctx, deep, 0, 1, f.fetch); !errors.Is(err, ErrManifest) {
		t.Errorf("slice of what is too deep: error %v", err)
	}
	lying := f.store(leaf)
	lying.Size++
	if err := Walk(ctx, mustManifest(t, lying), 0, 1, f.fetch, nothing); !errors.Is(err, ErrManifest) {
		t.Errorf("node of another size: error %v", err)
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, 101}, {101, 0}, {100, 1}, {0, -1}, {1 << 62, 1 << 62}} {
		if err := Walk(ctx, leaf, bad[0], bad[1], nil, nothing); !errors.Is(err, ErrManifest) {
			t.Errorf("range %v: error %v", bad, err)
		}
	}
	stop := errors.New("stop")
	if err := Walk(ctx, leaf, 0, 100, nil, func(Extent) error { return stop }); err != stop {
		t.Errorf("the caller's error became %v", err)
	}
	failing := func(context.Context, *Segment) (*Manifest, error) { return nil, stop }
	if err := Walk(ctx, mustManifest(t, f.store(leaf)), 0, 100, failing, nothing); err != stop {
		t.Errorf("the fetcher's error became %v", err)
	}
}

// The largest object of the smallest parts must still be a tree of few nodes.
func TestManyParts(t *testing.T) {
	var ms []*Manifest
	for i := range 10_000 {
		ms = append(ms, mustManifest(t, dataSegment(uint64(i), 5<<20)))
	}
	whole, err := Concat(ms...)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := Split(whole, 256<<10)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("10,000 parts: %d bytes in %d nodes", whole.EncodedSize(), len(parts))
	if len(parts) > 12 {
		t.Errorf("%d nodes", len(parts))
	}
}
