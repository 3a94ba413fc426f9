package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
)

const (
	// partBytes is the size of a part of a multipart upload, and of a ranged read of such an object.
	partBytes = 16 << 20
	// pieceMax is the size of the largest body.
	pieceMax = partBytes
	// poolBytes is the size of the pool that bodies are cut from.
	poolBytes = 2 * pieceMax
	// bodiesMax is how many different bodies there are of one size. Keys share them; each upload is sealed under a key of its own, so the store gains nothing from that.
	bodiesMax = 8
	// strideBytes is how far the bodies of neighbouring numbers lie apart in the pool. It is prime, so that a piece that stands in a wrong place never fits.
	strideBytes = 65537
)

// content makes the bodies of objects: slices of one pool of random bytes, so that making one
// and checking one cost no digest and no copy.
type content struct {
	pool []byte

	mu      sync.Mutex // guards digests
	digests map[piece]string
}

// piece is where a body lies in the pool.
type piece struct{ offset, size int }

func newContent(seed byte) *content {
	c := &content{pool: make([]byte, poolBytes), digests: make(map[piece]string)}
	r := rand.NewChaCha8([32]byte{seed})
	// A ChaCha8 never fails.
	_, _ = r.Read(c.pool)
	return c
}

// place is where the given part of the object of that number lies.
func place(object int64, part, size int) piece {
	n := int(object%bodiesMax)*31 + part*7
	return piece{offset: n * strideBytes % (poolBytes - pieceMax), size: size}
}

// bytes are the bytes of a piece. They are not to be changed.
func (c *content) bytes(p piece) []byte { return c.pool[p.offset : p.offset+p.size] }

// digest is the SHA-256 of a piece in hex.
func (c *content) digest(p piece) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.digests[p]
	if !ok {
		sum := sha256.Sum256(c.bytes(p))
		d = hex.EncodeToString(sum[:])
		c.digests[p] = d
	}
	return d
}

// warm computes all digests of bodies of a size and with that many parts.
func (c *content) warm(size, parts int) {
	for object := range int64(bodiesMax) {
		for part := range parts {
			c.digest(place(object, part, size))
		}
	}
}

// check compares what was read from an offset of a piece on.
func (c *content) check(p piece, offset int64, got []byte) error {
	if offset+int64(len(got)) > int64(p.size) {
		return fmt.Errorf("the answer is longer than %d bytes", p.size)
	}
	at := int64(p.offset) + offset
	want := c.pool[at : at+int64(len(got))]
	if bytes.Equal(want, got) {
		return nil
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("wrong content at byte %d", offset+int64(i))
		}
	}
	return nil
}
