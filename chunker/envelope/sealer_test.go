package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// fixedDEK is a data key that is the same in every run.
func fixedDEK(seed byte) DEK {
	var d DEK
	for i := range d.key {
		d.key[i] = seed + byte(i)
	}
	return d
}

var sizes = []int{0, 1, 15, 16, 1000, 16384, FrameSize - 1, FrameSize, FrameSize + 1, 2 * FrameSize, 3*FrameSize + 5, 4 << 20}

func sealed(plain []byte, index uint32) []byte {
	out := make([]byte, SealedLen(len(plain)))
	NewSealer(fixedDEK(1)).Seal(out, plain, index)
	return out
}

func TestSealOpen(t *testing.T) {
	s := NewSealer(fixedDEK(1))
	for _, n := range sizes {
		plain := pattern(n)
		box := sealed(plain, 7)
		if s.SealedLen(n) != n+16*max((n+FrameSize-1)/FrameSize, 1) {
			t.Errorf("%d bytes: sealed length %d", n, s.SealedLen(n))
		}
		if got, ok := PlainLen(len(box)); !ok || got != n {
			t.Errorf("%d bytes: plain length %d of the sealed one", n, got)
		}
		got, err := s.OpenChunk(make([]byte, n), box, 7, n)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: opened to something else, error %v", n, err)
		}
		got, err = s.Open(box, box, 7, 0, n) // in place
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes in place: opened to something else, error %v", n, err)
		}
	}
}

func TestPlainLenRefuses(t *testing.T) {
	for n := range 3 * sealedFrame {
		plain, ok := PlainLen(n)
		rest := n % sealedFrame
		// A last frame of tag alone exists only in an empty chunk; a shorter one never.
		want := n == Overhead || n > 0 && (rest == 0 || rest > Overhead)
		if ok != want || ok && SealedLen(plain) != n {
			t.Fatalf("%d sealed bytes: %d, %v; want %v", n, plain, ok, want)
		}
	}
}

func TestOpenRangesOfFrames(t *testing.T) {
	const n = 5*FrameSize + 77
	s, plain := NewSealer(fixedDEK(1)), pattern(n)
	box := sealed(plain, 3)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		off := r.IntN(n)
		length := r.IntN(n - off + 1)
		span := FrameRange(off, length, n)
		part := bytes.Clone(box[span.SealedOff : span.SealedOff+span.SealedLen])
		for _, dst := range [][]byte{make([]byte, len(part)), part} {
			got, err := s.Open(dst, part, 3, span.First, n)
			if err != nil {
				t.Fatalf("%d bytes at %d: %v", length, off, err)
			}
			if length > 0 && !bytes.Equal(got[span.Skip:span.Skip+length], plain[off:off+length]) {
				t.Fatalf("%d bytes at %d: wrong bytes", length, off)
			}
		}
		if want := (off+length-1)/FrameSize - off/FrameSize + 1; length > 0 && span.Count != want {
			t.Fatalf("%d bytes at %d: %d frames, want %d", length, off, span.Count, want)
		}
	}
	if span := FrameRange(n, 0, n); span.SealedLen != 0 || span.Count != 0 {
		t.Errorf("an empty range touches %+v", span)
	}
}

func TestSealFramesIsSeal(t *testing.T) {
	s := NewSealer(fixedDEK(1))
	for _, n := range []int{1, FrameSize, FrameSize + 1, 4*FrameSize + 9, 8 * FrameSize} {
		plain := pattern(n)
		want, got := sealed(plain, 5), make([]byte, SealedLen(n))
		for _, step := range []int{1, 2, 3} {
			clear(got)
			for first := 0; first < Frames(n); first += step {
				piece := plain[first*FrameSize : min((first+step)*FrameSize, n)]
				s.SealFrames(got[first*sealedFrame:][:SealedLen(len(piece))], piece, 5, first, n)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes in pieces of %d frames are sealed differently", n, step)
			}
		}
	}
}

// What opens must be what was sealed at that place: everything else is ErrCorrupt.
func TestOpenRefuses(t *testing.T) {
	const n = 3*FrameSize + 100
	plain := pattern(n)
	box := sealed(plain, 3)
	s, dst := NewSealer(fixedDEK(1)), make([]byte, n+100)
	frame := func(i int) []byte { return box[i*sealedFrame : min((i+1)*sealedFrame, len(box))] }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tc := range []struct {
		name   string
		sealed []byte
		index  uint32
		first  int
		plain  int
		sealer *Sealer
	}{
		{"another key", box, 3, 0, n, NewSealer(fixedDEK(2))},
		{"another chunk", box, 4, 0, n, s},
		{"frames exchanged", join(frame(1), frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"a frame repeated", join(frame(0), frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"a frame at another place", frame(1), 3, 2, n, s},
		{"a frame dropped", join(frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"cut in a frame", box[:len(box)-1], 3, 0, n, s},
		{"cut inside a tag", box[:sealedFrame-1], 3, 0, n, s},
		{"a byte more", append(bytes.Clone(box), 0), 3, 0, n, s},
		{"a frame more", join(box, frame(0)), 3, 0, n, s},
		{"cut at a frame and said to be shorter", box[:3*sealedFrame], 3, 0, 3 * FrameSize, s},
		{"said to be longer", box[:sealedFrame], 3, 0, n + 1, s},
		{"a frame that is not there", frame(0), 3, 4, n, s},
		{"a negative frame", frame(0), 3, -1, n, s},
		{"a negative length", frame(0), 3, 0, -1, s},
		{"too long", box, 3, 0, ChunkMax + 1, s},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.sealer.Open(dst, tc.sealed, tc.index, tc.first, tc.plain); !errors.Is(err, ErrCorrupt) {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, cut := range []int{0, sealedFrame, 2 * sealedFrame} {
		if _, err := s.OpenChunk(dst, box[:cut], 3, n); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a chunk of %d sealed bytes instead of %d: error %v", cut, len(box), err)
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	plain := pattern(40)
	box := sealed(plain, 0)
	s, dst := NewSealer(fixedDEK(1)), make([]byte, 40)
	for bit := range len(box) * 8 {
		box[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Open(dst, box, 0, 0, 40); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: error %v", bit, err)
		}
		box[bit/8] ^= 1 << (bit % 8)
	}
}

func TestNoncesDiffer(t *testing.T) {
	seen := map[[12]byte]bool{}
	for _, index := range []uint32{0, 1, 2, 255, 256, 65535, 65536, 1 << 24, 1<<32 - 1} {
		sc := bind(index, 100)
		for frame := range Frames(ChunkMax) {
			sc.setFrame(frame)
			if seen[sc.nonce] {
				t.Fatalf("nonce %x twice", sc.nonce)
			}
			seen[sc.nonce] = true
		}
		scratches.Put(sc)
	}
}

func TestSealingDoesNotAllocate(t *testing.T) {
	s, plain := NewSealer(fixedDEK(1)), pattern(1<<20)
	box, dst := make([]byte, SealedLen(len(plain))), make([]byte, len(plain))
	if n := testing.AllocsPerRun(20, func() { s.Seal(box, plain, 1) }); n > 0 {
		t.Errorf("Seal: %v allocations", n)
	}
	if n := testing.AllocsPerRun(20, func() { s.Open(dst, box, 1, 0, len(plain)) }); n > 0 {
		t.Errorf("Open: %v allocations", n)
	}
}

func FuzzOpen(f *testing.F) {
	plain := pattern(FrameSize + 50)
	f.Add(sealed(plain, 1), uint32(1), 0, len(plain))
	f.Add(sealed(plain, 1)[sealedFrame:], uint32(1), 1, len(plain))
	f.Add([]byte{}, uint32(0), 0, 0)
	s := NewSealer(fixedDEK(1))
	f.Fuzz(func(t *testing.T, box []byte, index uint32, first, plainLen int) {
		dst := make([]byte, len(box))
		got, err := s.Open(dst, bytes.Clone(box), index, first, plainLen)
		inPlace, err2 := s.Open(box, box, index, first, plainLen)
		if (err == nil) != (err2 == nil) || !bytes.Equal(got, inPlace) {
			t.Fatalf("in place %v, elsewhere %v", err2, err)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error %v", err)
		}
		if err == nil && len(got) > 0 && !bytes.Contains(plain, got) {
			t.Fatal("opened to what was never sealed")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{1 << 10, 16 << 10, FrameSize, 4 << 20} {
		s, plain := NewSealer(fixedDEK(1)), pattern(n)
		box := make([]byte, SealedLen(n))
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				s.Seal(box, plain, 1)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	const n = 4 << 20
	s, box := NewSealer(fixedDEK(1)), sealed(pattern(n), 1)
	dst, work := make([]byte, n), make([]byte, len(box))
	b.Run("apart", func(b *testing.B) {
		b.SetBytes(n)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Open(dst, box, 1, 0, n); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in place and a copy", func(b *testing.B) {
		b.SetBytes(n)
		b.ReportAllocs()
		for b.Loop() {
			copy(work, box)
			if _, err := s.Open(work, work, 1, 0, n); err != nil {
				b.Fatal(err)
			}
		}
	})
}
