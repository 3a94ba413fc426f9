package transport

import (
	"math/bits"
	"runtime"
	"sync"

	"shoal/p2p"
)

// Buffers come in four sizes from one power of two to the next: 512 bytes, then 640, 768, 896, 1024 and
// so on up to 8 MiB, the largest payload.
const (
	bufferClassSteps = 4
	bufferClassMin   = 9 * bufferClassSteps
	bufferClassMax   = 23 * bufferClassSteps
)

// classOf is the class of the smallest buffers that hold size bytes.
func classOf(size int) int {
	n := max(size, 1<<(bufferClassMin/bufferClassSteps)) - 1
	top := bits.Len(uint(n)) - 1 // n lies in [1<<top, 2<<top)
	return top*bufferClassSteps + n>>(top-2)&(bufferClassSteps-1) + 1
}

// classSize is how many bytes the buffers of a class have.
func classSize(class int) int {
	return (bufferClassSteps + class%bufferClassSteps) << (class/bufferClassSteps - 2)
}

// buffer is a piece of pooled memory. From 32 KiB up it starts on a page boundary, because the Go
// allocator places large objects so.
type buffer struct {
	b     []byte
	class int
	free  func() // returns the buffer to its pool; made once, so that a release allocates nothing
}

var bufferPools [bufferClassMax + 1]sync.Pool

// getBuffer returns a buffer whose b has size bytes of arbitrary content. size is at most
// p2p.PayloadSizeMax.
func getBuffer(size int) *buffer {
	class := classOf(size)
	if v := bufferPools[class].Get(); v != nil {
		buf := v.(*buffer)
		buf.b = buf.b[:size]
		return buf
	}
	buf := &buffer{b: make([]byte, size, classSize(class)), class: class}
	buf.free = func() { bufferPools[buf.class].Put(buf) }
	return buf
}

// hugePage is the size in bytes of large pages of memory, where there are any.
const hugePage = 2 << 20

var mappedPools [bufferClassMax + 1]sync.Pool

// getMapped is getBuffer for what lies on huge pages outside the Go heap, if size fills one and there are any. A drive takes
// such memory at less cost, for it pins page by page what is written past the page cache, and the collector does not let go of it, to have it
// cleared once more, as often as small things come and go. It is unmapped once the buffer cannot be reached any more, even if a slice
// of it still can: only for those who see to it that it is put back when nobody uses it.
func getMapped(size int) *buffer {
	if size < hugePage {
		return getBuffer(size)
	}
	class := classOf(size)
	if v := mappedPools[class].Get(); v != nil {
		buf := v.(*buffer)
		buf.b = buf.b[:size]
		return buf
	}
	mem, err := mapPages(classSize(class), size)
	if err != nil {
		return getBuffer(size)
	}
	buf := &buffer{b: mem[:size], class: class}
	buf.free = func() { mappedPools[buf.class].Put(buf) }
	runtime.AddCleanup(buf, unmapPages, mem)
	return buf
}

// put gives the buffer back. It must not be used afterwards.
func (buf *buffer) put() { buf.free() }

// body is where an arriving message is placed: one buffer for small ones, else one for the header
// and one, on a page boundary, for the payload. A payload may also go into the caller's memory.
type body struct {
	header  []byte
	payload []byte
	a, b    *buffer
}

// bodyJoinMax is up to which size header and payload share a buffer, in bytes.
const bodyJoinMax = 16 << 10

func newBody(headerLen, payloadLen int, into []byte) body {
	var d body
	if payloadLen > 0 && payloadLen <= cap(into) {
		d.payload = into[:payloadLen]
		payloadLen = 0
	}
	switch {
	case headerLen+payloadLen == 0:
	case headerLen+payloadLen <= bodyJoinMax:
		d.a = getBuffer(headerLen + payloadLen)
		d.header = d.a.b[:headerLen:headerLen]
		if payloadLen > 0 {
			d.payload = d.a.b[headerLen:]
		}
	default:
		if headerLen > 0 {
			d.a = getBuffer(headerLen)
			d.header = d.a.b
		}
		if payloadLen > 0 {
			d.b = getBuffer(payloadLen)
			d.payload = d.b.b
		}
	}
	return d
}

// release gives the buffers back.
func (d *body) release() {
	if d.a != nil {
		d.a.put()
	}
	if d.b != nil {
		d.b.put()
	}
	d.a, d.b = nil, nil
}

// message makes the body a message that releases its buffers.
func (d *body) message() *p2p.Message {
	switch a, b := d.a, d.b; {
	case a != nil && b != nil:
		return p2p.NewMessage(d.header, d.payload, func() { a.put(); b.put() })
	case a != nil:
		return p2p.NewMessage(d.header, d.payload, a.free)
	case b != nil:
		return p2p.NewMessage(d.header, d.payload, b.free)
	}
	return p2p.NewMessage(d.header, d.payload, nil)
}

// writeBufferMax is the largest write buffer that is kept for reuse, in bytes.
const writeBufferMax = 2 << 20

// writeBuffers are what frames and TLS records gather in before they are written. They belong to
// nobody while nothing is pending, so that a thousand idle peers cost none.
var writeBuffers = sync.Pool{New: func() any { return &writeBuffer{b: make([]byte, 0, 16<<10)} }}

type writeBuffer struct{ b []byte }

func getWriteBuffer() *writeBuffer { return writeBuffers.Get().(*writeBuffer) }

// put gives the buffer back. It may be called on nil.
func (w *writeBuffer) put() {
	if w == nil || cap(w.b) > writeBufferMax {
		return
	}
	w.b = w.b[:0]
	writeBuffers.Put(w)
}

// size is the number of bytes pending; it may be called on nil.
func (w *writeBuffer) size() int {
	if w == nil {
		return 0
	}
	return len(w.b)
}
