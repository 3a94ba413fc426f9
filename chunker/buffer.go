package chunker

import (
	"fmt"
	"sync/atomic"
)

// pageSize is the alignment in bytes of buffers: that of the blocks of any disk and of memory.
const pageSize = 4096

// Buffer is memory on loan from a Pool. Its holder alone may touch it, and gives it back by Release.
type Buffer struct {
	// B has the length that was asked for. It starts on a multiple of 4096 and its capacity is a
	// multiple of 4096, so that direct I/O can take it as it is. The bytes are not zeroed.
	B []byte

	pool     *Pool
	mem      []byte
	class    int
	released atomic.Bool
}

// Release gives the memory back. Neither the buffer nor any slice of it may be used afterwards. A
// second Release is a broken invariant and panics, since somebody else may hold the memory by then.
func (b *Buffer) Release() {
	if b.released.Swap(true) {
		panic(fmt.Sprintf("chunker: buffer of %d bytes released twice", len(b.mem)))
	}
	mem := b.mem
	b.B, b.mem = nil, nil
	b.pool.put(b.class, mem)
}

// classCount is the number of size classes: four to a doubling, from a page up.
const classCount = 4 * 40

// classSize returns the size in bytes of a class: 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... pages. A
// buffer is thus at most a quarter larger than asked for.
func classSize(class int) int {
	doublings, step := class/4, class%4
	return (4 + step) << doublings * pageSize
}

// classOf returns the smallest class that holds size bytes, or false when there is none.
func classOf(size int) (int, bool) {
	if size < 0 || size > classSize(classCount-1) {
		return 0, false
	}
	lo, hi := 0, classCount-1
	for lo < hi {
		mid := (lo + hi) / 2
		if classSize(mid) >= size {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, true
}
