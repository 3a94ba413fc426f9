package transport

import (
	"errors"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMappedBuffers(t *testing.T) {
	const size = hugePage + hugePage/8
	if b := getMapped(hugePage - 1); b.class != classOf(hugePage-1) || len(b.b) != hugePage-1 {
		t.Errorf("buffer of class %d and %d bytes for one byte less than a huge page", b.class, len(b.b))
	} else {
		b.put()
	}
	var mem []byte // not the collector's: it keeps nothing
	func() {
		b := getMapped(size)
		if len(b.b) != size || cap(b.b) != classSize(classOf(size)) {
			t.Errorf("buffer of %d bytes and capacity %d for %d", len(b.b), cap(b.b), size)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b.b))); at%hugePage != 0 {
			t.Errorf("a buffer begins at %#x, not on a huge page", at)
		}
		for i := range b.b { // all of it is there
			b.b[i] = byte(i)
		}
		mem = b.b
		b.put()
	}()
	mem = mem[:hugePage]
	if err := unix.Madvise(mem, unix.MADV_NORMAL); err != nil {
		t.Fatalf("a buffer is not there any more although it was just put back: %v", err)
	}
	deadline := time.After(30 * time.Second)
	for !errors.Is(unix.Madvise(mem, unix.MADV_NORMAL), unix.ENOMEM) { // nothing is mapped there
		runtime.GC() // the pool lets go of what nobody has wanted between two
		select {
		case <-deadline:
			t.Fatal("the memory of a buffer that nobody wants is kept")
		case <-time.After(time.Millisecond):
		}
	}
}
