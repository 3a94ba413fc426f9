package envelope

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"
)

const (
	// Overhead is how many bytes longer a sealed frame is.
	Overhead = tagSize
	// ChunkMax is the largest plaintext in bytes that is sealed as one chunk.
	ChunkMax = 64 << 20
)

// Sealer seals and opens the chunks of one stream. It is safe for concurrent use.
type Sealer struct {
	aead cipher.AEAD
	Framing
}

// scratch is what a call hands to the cipher and would otherwise allocate for each frame.
type scratch struct {
	nonce [12]byte
	aad   [aadSize]byte
}

var scratches = sync.Pool{New: func() any {
	sc := new(scratch)
	copy(sc.aad[:], aadLabel)
	return sc
}}

// aadLabel names the format of sealed frames; the plaintext length of the chunk follows as 4 bytes.
const (
	aadLabel = "shoal chunk 1\x00"
	aadSize  = len(aadLabel) + 4
)

// NewSealer returns the sealer of a stream. All of its chunks have the same framing.
func NewSealer(dek DEK, f Framing) *Sealer {
	return &Sealer{newAEAD(dek.key[:]), f}
}

// Seal writes the frames of a chunk into dst, which has SealedLen(len(plain)) bytes and must not
// overlap plain. A chunkIndex must be sealed only once under a DEK. It allocates nothing in steady
// state.
func (s *Sealer) Seal(dst, plain []byte, chunkIndex uint32) {
	if len(plain) > ChunkMax || len(dst) != s.SealedLen(len(plain)) {
		panic(fmt.Sprintf("envelope: seal %d bytes into %d", len(plain), len(dst)))
	}
	s.SealFrames(dst, plain, chunkIndex, 0, len(plain))
}

// Open verifies and decrypts the whole frames in sealed, the first of which is frame firstFrame of
// the chunk chunkIndex of chunkPlainLen bytes, and returns their plaintext. It is written to dst,
// which has at least that length and either does not overlap sealed or starts where sealed starts.
//
// It returns ErrCorrupt when a frame is not what was sealed at that place, or sealed is not a run of
// whole frames; what is in dst then must not be used. Opening in place overwrites what lies in
// sealed, in failure too: who wants to find the damaged shard afterwards reads it again.
func (s *Sealer) Open(dst, sealed []byte, chunkIndex uint32, firstFrame, chunkPlainLen int) ([]byte, error) {
	frames, size := s.Frames(chunkPlainLen), s.Size()
	if chunkPlainLen < 0 || chunkPlainLen > ChunkMax || firstFrame < 0 || firstFrame >= frames {
		return nil, fmt.Errorf("open frame %d of a chunk of %d bytes: %w", firstFrame, chunkPlainLen, ErrCorrupt)
	}
	sc := bind(chunkIndex, chunkPlainLen)
	defer scratches.Put(sc)
	plainLen, frame := 0, firstFrame
	for rest := sealed; len(rest) > 0; frame++ {
		n := min(chunkPlainLen-frame*size, size)
		if frame >= frames || len(rest) < n+Overhead {
			return nil, fmt.Errorf("chunk %d: %d sealed bytes from frame %d on of %d plain ones: %w",
				chunkIndex, len(sealed), firstFrame, chunkPlainLen, ErrCorrupt)
		}
		sc.setFrame(frame)
		in, out := rest[:n+Overhead], dst[plainLen:plainLen:plainLen+n]
		if err := s.openFrame(out, in, sc); err != nil {
			return nil, fmt.Errorf("chunk %d frame %d: %w", chunkIndex, frame, err)
		}
		plainLen, rest = plainLen+n, rest[n+Overhead:]
	}
	return dst[:plainLen], nil
}

// OpenChunk is Open for a whole chunk: it returns ErrCorrupt also when frames are missing at the end.
func (s *Sealer) OpenChunk(dst, sealed []byte, chunkIndex uint32, plainLen int) ([]byte, error) {
	if plainLen < 0 || plainLen > ChunkMax || len(sealed) != s.SealedLen(plainLen) {
		return nil, fmt.Errorf("chunk %d: %d sealed bytes of %d plain ones: %w", chunkIndex, len(sealed), plainLen, ErrCorrupt)
	}
	return s.Open(dst, sealed, chunkIndex, 0, plainLen)
}

// openFrame opens one frame into out, an empty slice with the capacity of the plaintext. The cipher
// opens in place only where plaintext and sealed bytes start together: from the second frame on of a
// chunk opened in place they do not, so the frame is opened where it lies and moved down.
func (s *Sealer) openFrame(out, in []byte, sc *scratch) error {
	n := len(in) - Overhead
	direct := out[:n]
	if overlap(direct, in) && (n == 0 || &direct[0] != &in[0]) {
		if _, err := s.aead.Open(in[:0], sc.nonce[:], in, sc.aad[:]); err != nil {
			return ErrCorrupt
		}
		copy(direct, in[:n])
		return nil
	}
	if _, err := s.aead.Open(out, sc.nonce[:], in, sc.aad[:]); err != nil {
		return ErrCorrupt
	}
	return nil
}

func bind(chunkIndex uint32, plainLen int) *scratch {
	sc := scratches.Get().(*scratch)
	binary.LittleEndian.PutUint32(sc.nonce[0:], chunkIndex)
	binary.LittleEndian.PutUint32(sc.aad[len(aadLabel):], uint32(plainLen))
	return sc
}

func (sc *scratch) setFrame(frame int) {
	binary.LittleEndian.PutUint32(sc.nonce[4:], uint32(frame))
}
