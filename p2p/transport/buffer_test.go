package transport

import (
	"testing"

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
