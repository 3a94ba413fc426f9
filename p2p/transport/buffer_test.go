package transport

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"shoal/p2p"
)

func TestBufferClasses(t *testing.T) {
	if got := classSize(bufferClassMax); got != p2p.PayloadSizeMax {
		t.Errorf("the largest buffer has %d bytes, want %d", got, p2p.PayloadSizeMax)
	}
	sizes := []int{0, 1, p2p.PayloadSizeMax - 1}
	for c := bufferClassMin; c < bufferClassMax; c++ {
		sizes = append(sizes, classSize(c), classSize(c)+1)
	}
	for _, size := range sizes {
		c := classOf(size)
		if c < bufferClassMin || c > bufferClassMax || classSize(c) < size {
			t.Errorf("class %d of %d bytes for %d", c, classSize(c), size)
		} else if c > bufferClassMin && classSize(c-1) >= size {
			t.Errorf("class %d of %d bytes for %d, but %d would do", c, classSize(c), size, classSize(c-1))
		}
		if b := getBuffer(size); len(b.b) != size || cap(b.b) < size {
			t.Errorf("buffer of %d bytes and capacity %d for %d", len(b.b), cap(b.b), size)
		} else {
			b.put()
		}
	}
}

func TestMappedBuffers(t *testing.T) {
	const size = hugePage + hugePage/8
	if b := getMapped(hugePage - 1); b.class != classOf(hugePage-1) || len(b.b) != hugePage-1 {
		t.Errorf("buffer of class %d and %d bytes for one byte less than a huge page", b.class, len(b.b))
	} else {
		b.put()
	}
	gone := make(chan struct{})
	func() {
		b := getMapped(size)
		if len(b.b) != size || cap(b.b) != classSize(classOf(size)) {
			t.Errorf("buffer of %d bytes and capacity %d for %d", len(b.b), cap(b.b), size)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b.b))); runtime.GOOS == "linux" && at%hugePage != 0 {
			t.Errorf("a buffer begins at %#x, not on a huge page", at)
		}
		for i := range b.b { // all of it is there
			b.b[i] = byte(i)
		}
		b.put()
		runtime.AddCleanup(b, func(ch chan struct{}) { close(ch) }, gone)
	}()
	deadline := time.After(30 * time.Second)
	for {
		runtime.GC() // the pool lets go of what nobody has wanted between two
		select {
		case <-gone:
			return
		case <-deadline:
			t.Fatal("a buffer that nobody wants is kept")
		case <-time.After(time.Millisecond):
		}
	}
}
