package checksum

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
)

// MD5 is a chain of steps each of which waits for the one before, so a stream by itself leaves most
// of a core idle. What is digested at the same time is therefore hashed side by side. The SHA-256 of the
// same stream, a chain too, runs in the shadow of its MD5, and so do those of two more streams; where MD5 is
// all that is wanted, many streams share vector lanes: eight MD5s then cost a third of what they would one by
// one. Nobody waits for others to come: sets of streams form and dissolve from one slice of the input to the next.
//
// No goroutine belongs to the lanes. The first stream to come leads: it hashes its own piece and
// those that join it; when its own is done it hands the others to one of theirs.

// laneMin is the shortest piece in bytes that may share lanes: to wait for a leader costs some
// microseconds, which a shorter piece would not win back.
const laneMin = 8 << 10

// md5Stream is the MD5 of a stream. The zero value is an empty stream.
type md5Stream struct {
	h    chainHash
	live bool // counted in lanes.live
}

// chainHash is a hash of the standard library whose state can be read and written.
type chainHash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// write hashes p and, unless along is nil, hashes it into along too, the SHA-256 of the same stream.
func (m *md5Stream) write(p []byte, along chainHash) {
	if m.h == nil {
		m.h = md5.New().(chainHash)
	}
	if len(p) < laneMin || !lanes.usable() {
		m.writeAlone(p, along)
		return
	}
	if !m.live {
		m.live = true
		lanes.live.Add(1)
	}
	var state chainState
	if fill := state.read(m.h, md5Words).partial(); fill > 0 {
		m.writeAlone(p[:md5.BlockSize-fill], along)
		p = p[md5.BlockSize-fill:]
	}
	whole := len(p) &^ (md5.BlockSize - 1)
	lanes.hash(m.h, along, p[:whole])
	m.writeAlone(p[whole:], along)
}

func (m *md5Stream) writeAlone(p []byte, along chainHash) {
	m.h.Write(p)
	if along != nil {
		along.Write(p)
	}
}

// leave says that the stream hands over no more pieces. It may be called twice.
func (m *md5Stream) leave() {
	if m.live {
		m.live = false
		lanes.live.Add(-1)
	}
}

// sum returns the digest and ends the stream.
func (m *md5Stream) sum() (digest [md5.Size]byte) {
	m.leave()
	if m.h == nil {
		return md5.Sum(nil)
	}
	m.h.Sum(digest[:0])
	return digest
}

const (
	md5Words    = 4
	sha256Words = 8
	// chainFixed is what a marshalled state has besides its words.
	chainFixed = 4 + md5.BlockSize + 8
)

// chainState is the state of crypto/md5 or crypto/sha256 as they marshal it: 4 bytes that name the
// format, four or eight words big-endian, a block of which the first length%64 bytes are input not yet
// hashed, and the length in bytes.
type chainState struct {
	b [chainFixed + 4*sha256Words]byte
	n int // bytes of b in use
}

const (
	md5Format    = "md5\x01"
	sha256Format = "sha\x03"
)

// read takes the state of h, which has so many words, and returns s.
func (s *chainState) read(h chainHash, words int) *chainState {
	s.n = chainFixed + 4*words
	b, err := h.AppendBinary(s.b[:0])
	if err != nil || len(b) != s.n {
		panic("checksum: a hash of the standard library has changed its form") // lanes.usable has looked.
	}
	return s
}

// write makes s the state of h.
func (s *chainState) write(h chainHash) {
	if err := h.UnmarshalBinary(s.b[:s.n]); err != nil {
		panic("checksum: " + err.Error())
	}
}

// partial returns the number of input bytes that are not yet hashed.
func (s *chainState) partial() int {
	return int(binary.BigEndian.Uint64(s.b[s.n-8:]) % md5.BlockSize)
}

// words takes the words out of the state.
func (s *chainState) words(w []uint32) {
	for i := range w {
		w[i] = binary.BigEndian.Uint32(s.b[4+4*i:])
	}
}

// advance puts the words after n more bytes into the state.
func (s *chainState) advance(w []uint32, n int) {
	for i := range w {
		binary.BigEndian.PutUint32(s.b[4+4*i:], w[i])
	}
	length := s.b[s.n-8 : s.n]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(n))
}

// knownState tells whether the standard library marshals its states as chainState expects. A release
// of Go that does otherwise costs speed, not correctness.
var knownState = sync.OnceValue(func() bool {
	return known(md5.New(), md5Format, md5Words) && known(sha256.New(), sha256Format, sha256Words)
})

func known(h hash.Hash, format string, words int) bool {
	c, ok := h.(chainHash)
	if !ok {
		return false
	}
	c.Write(make([]byte, 100))
	b, err := c.AppendBinary(nil)
	s := chainState{n: chainFixed + 4*words}
	return err == nil && copy(s.b[:], b) == len(b) && len(b) == s.n && string(b[:4]) == format && s.partial() == 100%md5.BlockSize
}
