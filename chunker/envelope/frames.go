package envelope

import (
	"fmt"
	"unsafe"
)

// FrameSpan is the run of frames that a plaintext range touches.
type FrameSpan struct {
	First, Count int // frame numbers First to First+Count-1

	SealedOff, SealedLen int // where the frames lie in the sealed chunk, in bytes
	Skip                 int // bytes of the opened frames in front of the range
}

// FrameRange returns the frames of a chunk of chunkPlainLen bytes that hold n plaintext bytes from
// off on. The range must lie in the chunk, and may be empty: then it touches no frame.
func FrameRange(off, n, chunkPlainLen int) FrameSpan {
	if off < 0 || n < 0 || off > chunkPlainLen-n {
		panic(fmt.Sprintf("envelope: range of %d bytes at %d in a chunk of %d", n, off, chunkPlainLen))
	}
	if n == 0 {
		return FrameSpan{First: off / FrameSize, SealedOff: off / FrameSize * sealedFrame}
	}
	first, last := off/FrameSize, (off+n-1)/FrameSize
	end := min((last+1)*sealedFrame, SealedLen(chunkPlainLen))
	return FrameSpan{
		First:     first,
		Count:     last - first + 1,
		SealedOff: first * sealedFrame,
		SealedLen: end - first*sealedFrame,
		Skip:      off - first*FrameSize,
	}
}

// overlap tells whether two slices share memory.
func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	pa, pb := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return pa < pb+uintptr(len(b)) && pb < pa+uintptr(len(a))
}
