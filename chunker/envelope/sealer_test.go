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

// framings are those that the tests try.
var framings = []Framing{Coarse, Fine, FramingMin}

// Of the tests that try one.
const (
	frameSize   = coarseSize
	sealedFrame = frameSize + Overhead
)

func sealed(plain []byte, index uint32) []byte { return sealedIn(Coarse, plain, index) }

func sealedIn(f Framing, plain []byte, index uint32) []byte {
	out := make([]byte, f.SealedLen(len(plain)))
	NewSealer(fixedDEK(1), f).Seal(out, plain, index)
	return out
}

func TestSealOpen(t *testing.T) {
	for _, f := range framings {
		s, size := NewSealer(fixedDEK(1), f), f.Size()
		for _, n := range []int{0, 1, 15, 16, 1000, 16384, size - 1, size, size + 1, 2 * size, 3*size + 5, 4 << 20} {
			plain := pattern(n)
			box := sealedIn(f, plain, 7)
			if s.SealedLen(n) != n+16*max((n+size-1)/size, 1) {
				t.Errorf("%d bytes in frames of %d: sealed length %d", n, size, s.SealedLen(n))
			}
			got, err := s.OpenChunk(make([]byte, n), box, 7, n)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes in frames of %d: opened to something else, error %v", n, size, err)
			}
			got, err = s.Open(box, box, 7, 0, n) // in place
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes in frames of %d in place: opened to something else, error %v", n, size, err)
			}
		}
	}
}

func TestValidFramings(t *testing.T) {
	for f, want := range map[Framing]bool{
		Coarse: true, Fine: true, 4 << 10: true, 32 << 10: true,
		1: false, 2 << 10: false, 12 << 10: false, 64 << 10: false, 128 << 10: false, 1<<32 - 1: false,
	} {
		if f.Valid() != want {
			t.Errorf("frames of %d bytes are valid: %v", f, !want)
		}
	}
}

func TestOpenRangesOfFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range framings {
		size := f.Size()
		n := 5*size + 77
		s, plain := NewSealer(fixedDEK(1), f), pattern(n)
		box := sealedIn(f, plain, 3)
		for range 300 {
			off := r.IntN(n)
			length := r.IntN(n - off + 1)
			span := f.Span(off, length, n)
			part := bytes.Clone(box[span.SealedOff : span.SealedOff+span.SealedLen])
			for _, dst := range [][]byte{make([]byte, len(part)), part} {
				got, err := s.Open(dst, part, 3, span.First, n)
				if err != nil {
					t.Fatalf("%d bytes at %d in frames of %d: %v", length, off, size, err)
				}
				if length > 0 && !bytes.Equal(got[span.Skip:span.Skip+length], plain[off:off+length]) {
					t.Fatalf("%d bytes at %d in frames of %d: wrong bytes", length, off, size)
				}
			}
			if want := (off+length-1)/size - off/size + 1; length > 0 && span.Count != want {
				t.Fatalf("%d bytes at %d: %d frames of %d, want %d", length, off, span.Count, size, want)
			}
		}
		if span := f.Span(n, 0, n); span.SealedLen != 0 || span.Count != 0 {
			t.Errorf("an empty range touches %+v", span)
		}
	}
}

func TestSealFramesIsSeal(t *testing.T) {
	for _, f := range framings {
		s, size := NewSealer(fixedDEK(1), f), f.Size()
		for _, n := range []int{1, size, size + 1, 4*size + 9, 8 * size} {
			plain := pattern(n)
			want, got := sealedIn(f, plain, 5), make([]byte, f.SealedLen(n))
			for _, step := range []int{1, 2, 3} {
				clear(got)
				for first := 0; first < f.Frames(n); first += step {
					piece := plain[first*size : min((first+step)*size, n)]
					s.SealFrames(got[first*(size+Overhead):][:f.SealedLen(len(piece))], piece, 5, first, n)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%d bytes in pieces of %d frames of %d are sealed differently", n, step, size)
				}
			}
		}
	}
}

// What opens must be what was sealed at that place: everything else is ErrCorrupt.
func TestOpenRefuses(t *testing.T) {
	const n = 3*frameSize + 100
	plain := pattern(n)
	box := sealed(plain, 3)
	s, dst := NewSealer(fixedDEK(1), Coarse), make([]byte, n+100)
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
		{"another key", box, 3, 0, n, NewSealer(fixedDEK(2), Coarse)},
		{"another chunk", box, 4, 0, n, s},
		{"other frames", box, 3, 0, n, NewSealer(fixedDEK(1), Fine)},
		{"frames exchanged", join(frame(1), frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"a frame repeated", join(frame(0), frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"a frame at another place", frame(1), 3, 2, n, s},
		{"a frame dropped", join(frame(0), frame(2), frame(3)), 3, 0, n, s},
		{"cut in a frame", box[:len(box)-1], 3, 0, n, s},
		{"cut inside a tag", box[:sealedFrame-1], 3, 0, n, s},
		{"a byte more", append(bytes.Clone(box), 0), 3, 0, n, s},
		{"a frame more", join(box, frame(0)), 3, 0, n, s},
		{"cut at a frame and said to be shorter", box[:3*sealedFrame], 3, 0, 3 * frameSize, s},
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
	s, dst := NewSealer(fixedDEK(1), Coarse), make([]byte, 40)
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
		for frame := range Framing(FramingMin).Frames(ChunkMax) {
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
	s, plain := NewSealer(fixedDEK(1), Coarse), pattern(1<<20)
	box, dst := make([]byte, Coarse.SealedLen(len(plain))), make([]byte, len(plain))
	if n := testing.AllocsPerRun(20, func() { s.Seal(box, plain, 1) }); n > 0 {
		t.Errorf("Seal: %v allocations", n)
	}
	if n := testing.AllocsPerRun(20, func() { s.Open(dst, box, 1, 0, len(plain)) }); n > 0 {
		t.Errorf("Open: %v allocations", n)
	}
}

func FuzzOpen(f *testing.F) {
	plain := pattern(frameSize + 50)
	f.Add(sealed(plain, 1), uint32(1), 0, len(plain))
	f.Add(sealed(plain, 1)[sealedFrame:], uint32(1), 1, len(plain))
	f.Add([]byte{}, uint32(0), 0, 0)
	s := NewSealer(fixedDEK(1), Coarse)
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
	for _, n := range []int{1 << 10, 16 << 10, frameSize, 4 << 20} {
		s, plain := NewSealer(fixedDEK(1), Fine), pattern(n)
		box := make([]byte, s.SealedLen(n))
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
	s, box := NewSealer(fixedDEK(1), Fine), sealedIn(Fine, pattern(n), 1)
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
