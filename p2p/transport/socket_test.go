package transport

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// A long body is read in long buffers, whatever was there before it, and nothing of one is kept after it.
func TestSocketReadsLongBodies(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, readBufferBulk, 2 * readBufferBulk, 2*readBufferBulk + 1, readBufferLong, 3*readBufferLong + 7} {
		head, body := make([]byte, 16), make([]byte, size)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		s := newSocket(near, readBufferBulk, false)
		s.grow()
		go far.Write(append(append(bytes.Clone(head), body...), head...))
		got := make([]byte, len(head))
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatal(err)
		}
		s.expect(size)
		got = make([]byte, size)
		long := false
		for at := 0; at < size; {
			n, err := s.Read(got[at:min(size, at+1+random.IntN(20_000))])
			if err != nil {
				t.Fatalf("body of %d bytes, at %d: %v", size, at, err)
			}
			at += n
			long = long || s.long != nil
		}
		if !bytes.Equal(got, body) {
			t.Errorf("body of %d bytes came as another", size)
		}
		if want := size > 3*readBufferBulk; long != want {
			t.Errorf("body of %d bytes, of which some came along with what was before: in a long buffer is %v", size, long)
		}
		if !s.buffered() {
			t.Errorf("what came along with a body of %d bytes is not seen", size)
		}
		if _, err := io.ReadFull(s, got[:min(size, len(head))]); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(s, make([]byte, len(head)-min(size, len(head))))
		if s.buffered() {
			t.Errorf("after a body of %d bytes something is kept", size)
		}
	}
}
