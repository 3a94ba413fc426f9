package envelope

import "fmt"

// SealFrames writes the frames of a part of a chunk into dst, which must not overlap plain: plain
// starts at frame firstFrame of the chunk chunkIndex of chunkPlainLen bytes, and is a whole number
// of frames or goes to the chunk's end. dst has len(plain) bytes and Overhead for each frame. It
// serves a writer that has a chunk piece by piece, so that a piece is still in the processor's
// cache when it is sealed; the result is that of one Seal over the whole chunk.
func (s *Sealer) SealFrames(dst, plain []byte, chunkIndex uint32, firstFrame, chunkPlainLen int) {
	size := s.Size()
	end := firstFrame*size + len(plain)
	whole := end == chunkPlainLen || len(plain)%size == 0 && len(plain) > 0
	if end > chunkPlainLen || chunkPlainLen > ChunkMax || !whole || len(dst) != s.SealedLen(len(plain)) {
		panic(fmt.Sprintf("envelope: seal %d bytes into %d at frame %d of a chunk of %d",
			len(plain), len(dst), firstFrame, chunkPlainLen))
	}
	sc := bind(chunkIndex, chunkPlainLen)
	for frame := range s.Frames(len(plain)) {
		sc.setFrame(firstFrame + frame)
		n := min(len(plain), size)
		s.aead.Seal(dst[:0:n+Overhead], sc.nonce[:], plain[:n], sc.aad[:])
		dst, plain = dst[n+Overhead:], plain[n:]
	}
	scratches.Put(sc)
}
