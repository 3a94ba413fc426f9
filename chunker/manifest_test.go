package chunker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"shoal/chunker/envelope"
)

// testID returns a chunk ID that depends on n and is not zero.
func testID(n int) (id ChunkID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
	id[31] = 1
	return id
}

// dataSegment makes a segment as a writer does: whole chunks, the last of them short.
func dataSegment(stream uint64, size int64) Segment {
	s := Segment{
		Kind: SegmentData, WrappedDEK: bytes.Repeat([]byte{byte(stream + 1)}, 77), Stream: stream, K: 4, M: 2, Size: size,
	}
	for off := int64(0); off < size; off += ChunkSize {
		n := uint32(min(size-off, ChunkSize))
		s.Chunks = append(s.Chunks, ChunkRef{
			ID: testID(int(stream)<<20 + len(s.Chunks)), Index: uint32(len(s.Chunks)), Size: n, Len: n,
		})
	}
	return s
}

func mustManifest(t testing.TB, segments ...Segment) *Manifest {
	t.Helper()
	m, err := NewManifest(segments...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sampleManifest has all that a manifest may have but frames that are not coarse.
func sampleManifest(t testing.TB) *Manifest {
	cut := dataSegment(1, 2*ChunkSize)
	cut.Chunks[0].Skip, cut.Chunks[0].Len = 1000, ChunkSize-1000
	cut.Chunks[1].Len = 1
	cut.Size = ChunkSize - 1000 + 1
	node := dataSegment(2, 5000)
	node.Kind, node.Size, node.K, node.M = SegmentNode, 1<<40, 1, 0
	return mustManifest(t, dataSegment(0, 3*ChunkSize+7), cut, node, dataSegment(1<<40, 1))
}

// fineManifest has frames of several lengths.
func fineManifest(t testing.TB) *Manifest {
	m := sampleManifest(t)
	for i, f := range []envelope.Framing{envelope.Fine, envelope.Coarse, envelope.FramingMin} {
		m.Segments[i].Framing = f
	}
	return m
}

func TestManifestGolden(t *testing.T) {
	golden(t, "manifest-format1-framing.bin", fineManifest(t).Append(nil))
	golden(t, "manifest-format1.bin", sampleManifest(t).Append(nil))
	golden(t, "manifest-format1-empty.bin", new(Manifest).Append(nil))
}

func TestManifestRoundTrip(t *testing.T) {
	for name, m := range map[string]*Manifest{
		"empty":  {},
		"sample": sampleManifest(t),
		"fine":   fineManifest(t),
		"long":   mustManifest(t, dataSegment(3, 1000*ChunkSize)),
	} {
		b := m.Append([]byte("before"))[6:]
		if m.EncodedSize() != len(b) {
			t.Errorf("%s: size %d, encoded %d", name, m.EncodedSize(), len(b))
		}
		got, err := ParseManifest(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got.Append(nil), b) {
			t.Errorf("%s: encodes to other bytes", name)
		}
	}
}

// TestManifestIsProtobuf holds the hand-written encoding to manifest.proto.
func TestManifestIsProtobuf(t *testing.T) {
	m := fineManifest(t)
	var record ManifestRecord
	if err := proto.Unmarshal(m.Append(nil), &record); err != nil {
		t.Fatal(err)
	}
	if record.GetFormat() != 1 || record.GetSize() != uint64(m.Size) || len(record.GetSegments()) != len(m.Segments) {
		t.Fatalf("record %v", &record)
	}
	for i, s := range record.GetSegments() {
		want := &m.Segments[i]
		if int(s.GetKind()) != int(want.Kind) || !bytes.Equal(s.GetWrappedDek(), want.WrappedDEK) || s.GetStream() != want.Stream ||
			s.GetK() != uint32(want.K) || s.GetM() != uint32(want.M) || s.GetSize() != uint64(want.Size) || s.GetFraming() != uint32(want.Framing) {
			t.Errorf("segment %d: %v", i, s)
		}
		for j, c := range s.GetChunks() {
			got := ChunkRef{ChunkID(c.GetId()), c.GetIndex(), c.GetSize(), c.GetSkip(), c.GetLen()}
			if got != want.Chunks[j] {
				t.Errorf("segment %d, chunk %d: %v", i, j, c)
			}
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&record)
	if err != nil || !bytes.Equal(b, m.Append(nil)) {
		t.Errorf("the generated code writes other bytes (error %v)", err)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, change := range map[string]func(m *Manifest){
		"size":               func(m *Manifest) { m.Size++ },
		"negative size":      func(m *Manifest) { m.Size = -1 },
		"segment size":       func(m *Manifest) { m.Segments[0].Size--; m.Size-- },
		"segment of nothing": func(m *Manifest) { m.Segments[2].Size, m.Size = 0, m.Size-m.Segments[2].Size },
		"no chunk":           func(m *Manifest) { m.Segments[2].Chunks = nil },
		"no kind":            func(m *Manifest) { m.Segments[0].Kind = 0 },
		"unknown kind":       func(m *Manifest) { m.Segments[0].Kind = 3 },
		"no key":             func(m *Manifest) { m.Segments[0].WrappedDEK = nil },
		"long key":           func(m *Manifest) { m.Segments[0].WrappedDEK = make([]byte, wrappedDEKMax+1) },
		"no data shard":      func(m *Manifest) { m.Segments[0].K = 0 },
		"many data shards":   func(m *Manifest) { m.Segments[0].K = 17 },
		"many parity shards": func(m *Manifest) { m.Segments[0].M = 9 },
		"odd frames":         func(m *Manifest) { m.Segments[0].Framing = 10_000 },
		"tiny frames":        func(m *Manifest) { m.Segments[0].Framing = 2 << 10 },
		"coarse, said":       func(m *Manifest) { m.Segments[0].Framing = 64 << 10 },
		"zero ID":            func(m *Manifest) { m.Segments[0].Chunks[1].ID = ChunkID{} },
		"empty chunk":        func(m *Manifest) { m.Segments[3].Chunks[0].Size = 0 },
		"chunk too large":    func(m *Manifest) { m.Segments[0].Chunks[0].Size = ChunkSizeMax + 1 },
		"nothing used": func(m *Manifest) {
			m.Segments[1].Chunks[1].Len, m.Segments[1].Size, m.Size = 0, m.Segments[1].Size-1, m.Size-1
		},
		"used past the end":   func(m *Manifest) { m.Segments[1].Chunks[0].Skip++ },
		"skip past the end":   func(m *Manifest) { m.Segments[1].Chunks[0].Skip = 1<<32 - 1 },
		"node not used whole": func(m *Manifest) { m.Segments[2].Chunks[0].Skip, m.Segments[2].Chunks[0].Len = 1, 4999 },
		"object too large":    func(m *Manifest) { m.Segments[2].Size += ObjectSizeMax; m.Size += ObjectSizeMax },
		"node too large": func(m *Manifest) {
			c := ChunkRef{ID: testID(1), Size: ChunkSize, Len: ChunkSize}
			m.Segments[2].Chunks = []ChunkRef{c, c, {ID: testID(2), Size: 1, Len: 1}}
		},
	} {
		m := sampleManifest(t)
		change(m)
		if err := m.Validate(); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: error %v", name, err)
		}
		if m.Size < 0 {
			continue // It has no encoding.
		}
		if _, err := ParseManifest(m.Append(nil)); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: parsed, error %v", name, err)
		}
	}
	if _, err := NewManifest(Segment{Size: -5}); !errors.Is(err, ErrManifest) {
		t.Errorf("negative segment: error %v", err)
	}
	node := sampleManifest(t).Segments[2]
	node.Size = ObjectSizeMax
	if _, err := NewManifest(node, node); !errors.Is(err, ErrManifest) {
		t.Errorf("two segments that are too large together: error %v", err)
	}
}

func TestParseRefusesOtherEncodings(t *testing.T) {
	valid := mustManifest(t, dataSegment(0, 5)).Append(nil)
	varint := protowire.AppendVarint
	for name, b := range map[string][]byte{
		"nothing":          {},
		"no format":        valid[2:],
		"other format":     append([]byte{8, 2}, valid[2:]...),
		"long varint":      append([]byte{8, 0x81, 0}, valid[2:]...),
		"zero written":     append(varint([]byte{8, 1, 16}, 0), valid[4:]...),
		"field twice":      append([]byte{8, 1, 8, 1}, valid[2:]...),
		"other order":      append(append(bytes.Clone(valid[2:4]), 8, 1), valid[4:]...),
		"unknown field":    append(bytes.Clone(valid), 0x78, 1),
		"long framing":     append(append(bytes.Clone(valid[:5]), valid[5]+6), append(bytes.Clone(valid[6:]), 0x40, 0x80, 0x80, 0x81, 0x80, 0x10)...),
		"trailing zero":    append(bytes.Clone(valid), 0),
		"cut off":          valid[:len(valid)-1],
		"wrong type":       append([]byte{8, 1, 18, 1, 5}, valid[4:]...),
		"length too large": append(bytes.Clone(valid), 26, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"overflow":         {8, 1, 16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"too long":         make([]byte, ManifestSizeMax+1),
		"many empty ones":  append([]byte{8, 1}, bytes.Repeat([]byte{26, 0}, 1<<20)...),
	} {
		if _, err := ParseManifest(b); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A hostile encoding must not cost memory out of proportion.
func TestParseAllocatesInProportion(t *testing.T) {
	hostile := append([]byte{8, 1}, bytes.Repeat([]byte{26, 0}, 4<<20-8)...)
	if n := testing.AllocsPerRun(3, func() { _, _ = ParseManifest(hostile) }); n > 20 {
		t.Errorf("%v allocations for %d empty segments", n, 4<<20-8)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(sampleManifest(f).Append(nil))
	f.Add(fineManifest(f).Append(nil))
	f.Add(new(Manifest).Append(nil))
	f.Add(mustManifest(f, dataSegment(0, 100*ChunkSize)).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !bytes.Equal(m.Append(nil), b) || m.EncodedSize() != len(b) {
			t.Fatal("encodes to other bytes")
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		covered := int64(0)
		for e := range Extents(m, 0, m.Size) {
			if e.ObjectOff != covered || e.Len < 1 {
				t.Fatalf("extent at %d of %d bytes after %d", e.ObjectOff, e.Len, covered)
			}
			covered += e.Len
		}
		if covered != m.Size {
			t.Fatalf("extents cover %d of %d bytes", covered, m.Size)
		}
	})
}

func BenchmarkManifest(b *testing.B) {
	m := mustManifest(b, dataSegment(0, 64*ChunkSize))
	encoded := m.Append(nil)
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		dst := make([]byte, 0, len(encoded))
		for b.Loop() {
			dst = m.Append(dst[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseManifest(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// randomManifest cuts random chunks into a manifest of size bytes.
func randomManifest(t testing.TB, r *rand.Rand, segments int) *Manifest {
	var list []Segment
	for i := range segments {
		s := dataSegment(uint64(i), 1+r.Int64N(3*ChunkSize))
		s.Framing = []envelope.Framing{envelope.Coarse, envelope.Fine}[i%2]
		for j := range s.Chunks {
			c := &s.Chunks[j]
			c.Skip = uint32(r.IntN(int(c.Size)))
			c.Len = 1 + uint32(r.IntN(int(c.Size-c.Skip)))
		}
		s.Size = 0
		for _, c := range s.Chunks {
			s.Size += int64(c.Len)
		}
		list = append(list, s)
	}
	return mustManifest(t, list...)
}
