package peer

import "sync"

// Answers to reads come from a few sizes of reused memory: fresh memory is dear.
var readBuffers = [...]struct {
	size int
	pool sync.Pool
}{{size: 64<<10 + 4096}, {size: 320 << 10}, {size: 576 << 10}, {size: 1<<20 + 4096}, {size: 2<<20 + 8192}, {size: 4<<20 + 16384}}

func getReadBuffer(n int) []byte {
	for i := range readBuffers {
		if b := &readBuffers[i]; n <= b.size {
			if p, ok := b.pool.Get().(*[]byte); ok {
				return (*p)[:n]
			}
			return make([]byte, b.size)[:n]
		}
	}
	return make([]byte, n)
}

func putReadBuffer(p []byte) {
	for i := range readBuffers {
		if b := &readBuffers[i]; cap(p) == b.size {
			b.pool.Put(&p)
			return
		}
	}
}
