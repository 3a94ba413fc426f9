package envelope

import (
	"fmt"
	"unsafe"
)

// Framing says into how long frames the chunks of a stream are cut: the plaintext length in bytes of every frame but the last of a chunk, a power of
// two. A read opens whole frames. The zero Framing is Coarse.
type Framing uint32

const (
	// Coarse are frames of 64 KiB, as all streams have that were written before there were others.
	Coarse Framing = 0
	// Fine are frames of 16 KiB.
	Fine Framing = 16 << 10

	coarseSize = 64 << 10
	// FramingMin is the least length of a frame.
	FramingMin = 4 << 10
)

// Valid tells whether a stream may have frames of this length. Coarse has no other form than 0.
func (f Framing) Valid() bool {
	return f == Coarse || f >= FramingMin && f < coarseSize && f&(f-1) == 0
}

// Size returns the plaintext length in bytes of a frame.
func (f Framing) Size() int {
	if f == Coarse {
		return coarseSize
	}
	return int(f)
}

// Frames returns the number of frames of a chunk of plainLen bytes. An empty chunk has one, so that
// it is authenticated too.
func (f Framing) Frames(plainLen int) int { return max((plainLen+f.Size()-1)/f.Size(), 1) }

// SealedLen returns the sealed length in bytes of a chunk of plainLen bytes.
func (f Framing) SealedLen(plainLen int) int { return plainLen + f.Frames(plainLen)*Overhead }

// FrameSpan is the run of frames that a plaintext range touches.
type FrameSpan struct {
	First, Count int // frame numbers First to First+Count-1

	SealedOff, SealedLen int // where the frames lie in the sealed chunk, in bytes
	Skip                 int // bytes of the opened frames in front of the range
}

// Span returns the frames of a chunk of chunkPlainLen bytes that hold n plaintext bytes from
// off on. The range must lie in the chunk, and may be empty: then it touches no frame.
func (f Framing) Span(off, n, chunkPlainLen int) FrameSpan {
	if off < 0 || n < 0 || off > chunkPlainLen-n {
		panic(fmt.Sprintf("envelope: range of %d bytes at %d in a chunk of %d", n, off, chunkPlainLen))
	}
	size := f.Size()
	first := off / size
	sp := FrameSpan{First: first, SealedOff: first * (size + Overhead)}
	if n == 0 {
		return sp
	}
	last := (off + n - 1) / size
	sp.Count, sp.Skip = last-first+1, off-first*size
	sp.SealedLen = min((last+1)*(size+Overhead), f.SealedLen(chunkPlainLen)) - sp.SealedOff
	return sp
}

// overlap tells whether two slices share memory.
func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	pa, pb := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return pa < pb+uintptr(len(b)) && pb < pa+uintptr(len(a))
}
