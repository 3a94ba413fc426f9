package checksum

import (
	"crypto/md5"
	"hash"
	"sync"
	"sync/atomic"

	md5simd "github.com/minio/md5-simd"
)

const (
	// laneThreshold is from how many large streams at once, itself included, a stream that begins is
	// hashed in vector lanes. MD5 is a chain of dependent steps, so one stream leaves a core mostly
	// idle; lanes take as many steps side by side, but fewer than three filled lanes cost more than
	// they save.
	laneThreshold = 8
	// laneMax bounds the streams in lanes at once, and so the memory of their hashers. Further
	// streams are hashed each by itself.
	laneMax = 128
)

// largeStreams counts the streams that have had a large piece and have not ended.
var largeStreams atomic.Int64

// md5Stream is an MD5 that is computed alone or in a lane, as decided by its first piece: the two
// cannot take over each other's state. The zero value is an empty stream.
type md5Stream struct {
	alone hash.Hash
	lane  md5simd.Hasher
	large bool

	// A lane takes whole blocks only; tail keeps what is left over of the pieces so far.
	tail    [md5.BlockSize]byte
	tailLen int
}

func (m *md5Stream) write(p []byte) {
	if !m.large && len(p) > inlineMax {
		m.large = true
		if largeStreams.Add(1) >= laneThreshold && m.alone == nil {
			m.lane = lanes.take()
		}
	}
	if m.lane != nil {
		m.writeLane(p)
		return
	}
	if m.alone == nil {
		m.alone = md5.New()
	}
	m.alone.Write(p)
}

// writeLane hands whole blocks to the lane. Its server keeps a bounded number of buffers for all
// lanes, and it is woken only when a write leaves less than a block over: writes of whole blocks
// always wake it, so no set of writers can hold all buffers and wait for each other.
func (m *md5Stream) writeLane(p []byte) {
	if m.tailLen > 0 {
		n := copy(m.tail[m.tailLen:], p)
		m.tailLen += n
		p = p[n:]
		if m.tailLen < md5.BlockSize {
			return
		}
		m.lane.Write(m.tail[:])
		m.tailLen = 0
	}
	whole := len(p) &^ (md5.BlockSize - 1)
	if whole > 0 {
		m.lane.Write(p[:whole])
	}
	m.tailLen = copy(m.tail[:], p[whole:])
}

// sum returns the digest and ends the stream.
func (m *md5Stream) sum() (digest [md5.Size]byte) {
	switch {
	case m.lane != nil:
		m.lane.Write(m.tail[:m.tailLen])
		m.lane.Sum(digest[:0])
	case m.alone != nil:
		m.alone.Sum(digest[:0])
	default:
		digest = md5.Sum(nil)
	}
	m.close()
	return digest
}

// close ends the stream; it may be called twice.
func (m *md5Stream) close() {
	if m.lane != nil {
		lanes.give(m.lane)
		m.lane = nil
	}
	if m.large {
		m.large = false
		largeStreams.Add(-1)
	}
}

// laneServer lends the hashers of one md5simd server. The server, a goroutine and 1.5 MiB, begins with
// the first stream that wants a lane and stays; it sleeps on a channel while it has nothing to hash.
// It never forgets a hasher, so hashers are used again and never closed.
type laneServer struct {
	// mu guards what follows.
	mu     sync.Mutex
	server md5simd.Server
	free   []md5simd.Hasher
	made   int
}

// lanes is the process's one server: streams can only share lanes within a server.
var lanes laneServer

// take returns an empty hasher, or nil when all are in use.
func (l *laneServer) take() md5simd.Hasher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		h := l.free[n-1]
		l.free = l.free[:n-1]
		return h
	}
	if l.made == laneMax {
		return nil
	}
	if l.server == nil {
		l.server = md5simd.NewServer()
	}
	l.made++
	return l.server.NewHash()
}

// give takes a hasher back.
func (l *laneServer) give(h md5simd.Hasher) {
	h.Reset()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, h)
}
