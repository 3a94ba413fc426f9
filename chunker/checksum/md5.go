package checksum

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
)

// MD5 is a chain of steps each of which waits for the one before, so a stream by itself leaves most
// of a core idle. Streams that are digested at the same time are therefore hashed in lanes, the steps
// of all of them side by side in vector registers: four streams then cost a third of what they would
// one by one. Nobody waits for lanes to fill: a stream that is alone is hashed by the standard
// library, and lanes form and dissolve from one slice of the input to the next.
//
// No goroutine belongs to the lanes. The first stream to come leads: it hashes its own piece and
// those that join it; when its own is done it hands the others to one of theirs.

// laneMin is the shortest piece in bytes that may share lanes: to wait for a leader costs some
// microseconds, which a shorter piece would not win back.
const laneMin = 8 << 10

// md5Stream is the MD5 of a stream. The zero value is an empty stream.
type md5Stream struct {
	h    md5Hash
	live bool // counted in lanes.live
}

// md5Hash is crypto/md5, whose state can be read and written.
type md5Hash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func (m *md5Stream) write(p []byte) {
	if m.h == nil {
		m.h = md5.New().(md5Hash)
	}
	if len(p) < laneMin || !lanes.usable() {
		m.h.Write(p)
		return
	}
	if !m.live {
		m.live = true
		lanes.live.Add(1)
	}
	var state md5State
	if fill := state.read(m.h).partial(); fill > 0 {
		m.h.Write(p[:md5.BlockSize-fill])
		p = p[md5.BlockSize-fill:]
	}
	whole := len(p) &^ (md5.BlockSize - 1)
	lanes.hash(m.h, p[:whole])
	m.h.Write(p[whole:])
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

// md5State is the state of crypto/md5 as it marshals it: 4 bytes that name the format, four words
// big-endian, a block of which the first length%64 bytes are input not yet hashed, and the length in
// bytes.
type md5State [4 + 16 + md5.BlockSize + 8]byte

const md5Format = "md5\x01"

// read takes the state of h and returns s.
func (s *md5State) read(h md5Hash) *md5State {
	b, err := h.AppendBinary(s[:0])
	if err != nil || len(b) != len(s) {
		panic("checksum: the state of crypto/md5 has changed its form") // lanes.usable has looked.
	}
	return s
}

// write makes s the state of h.
func (s *md5State) write(h md5Hash) {
	if err := h.UnmarshalBinary(s[:]); err != nil {
		panic("checksum: " + err.Error())
	}
}

// partial returns the number of input bytes that are not yet hashed.
func (s *md5State) partial() int {
	return int(binary.BigEndian.Uint64(s[len(s)-8:]) % md5.BlockSize)
}

func (s *md5State) word(i int) uint32 { return binary.BigEndian.Uint32(s[4+4*i:]) }

func (s *md5State) setWord(i int, w uint32) { binary.BigEndian.PutUint32(s[4+4*i:], w) }

// addLength counts n more bytes.
func (s *md5State) addLength(n int) {
	length := s[len(s)-8:]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(n))
}

// knownState tells whether crypto/md5 marshals its state as md5State expects. A release of Go that
// does otherwise costs speed, not correctness.
var knownState = sync.OnceValue(func() bool {
	h, ok := md5.New().(md5Hash)
	if !ok {
		return false
	}
	h.Write(make([]byte, 100))
	b, err := h.AppendBinary(nil)
	var s md5State
	return err == nil && copy(s[:], b) == len(s) && len(b) == len(s) &&
		string(s[:4]) == md5Format && s.partial() == 100%md5.BlockSize
})
