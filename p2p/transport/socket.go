package transport

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"time"
)

const (
	// readBufferHandshake is for those who have proved nothing yet.
	readBufferHandshake = 4 << 10
	// readBufferControl and readBufferBulk are what one read call may fetch, in bytes.
	readBufferControl = 64 << 10
	readBufferBulk    = 96 << 10
	// readBufferLong is what one read call may fetch of a body of which more is to come than twice readBufferBulk. Each call
	// is a turn of the processor for the peer and for us: with 256 KiB there and for corkMax, writing objects of 1 and 16 MiB costs 6 % more.
	readBufferLong = 512 << 10
	// corkMax is how much a bulk socket collects before it writes.
	corkMax = 640 << 10
	// closePatience is how long closing waits for what is being written.
	closePatience = 200 * time.Millisecond
	// pendingMax is how much a control socket lets wait for its flusher before Write blocks.
	pendingMax = 1 << 20
)

// socket sits between TLS and TCP. TLS hands over one record of at most 16 KiB at a time, which
// would be a system call each. A socket collects them: a bulk socket until the Write of the layer
// above is complete, a control socket for as long as an earlier write call is still under way, so
// that many small messages share one.
//
// TLS records written outside of a cork (handshake, alerts) go out at once.
type socket struct {
	net.Conn
	r    *bufio.Reader
	full int // bytes that r is to buffer once the handshake is over

	awaited int     // about so many bytes are still to come of a body; whoever reads owns it, and the next two
	long    *buffer // what was read of it at once; nil when all of that is taken
	taken   int     // bytes of long

	// deferred makes uncork leave the writing to a goroutine.
	deferred bool

	mu      sync.Mutex
	corked  int
	pending *writeBuffer // nil: nothing is
	writing bool         // a goroutine or caller is in conn.Write
	room    *sync.Cond   // signalled when pending shrinks, writing ends, or err is set
	err     error
}

func newSocket(conn net.Conn, readBuffer int, deferred bool) *socket {
	s := &socket{Conn: conn, r: bufio.NewReaderSize(conn, readBufferHandshake), full: readBuffer, deferred: deferred}
	s.room = sync.NewCond(&s.mu)
	return s
}

// grow gives the socket its full buffer. Nobody else may be reading.
func (s *socket) grow() {
	rest, _ := s.r.Peek(s.r.Buffered())
	s.r = bufio.NewReaderSize(&leftover{bytes.Clone(rest), s.Conn}, s.full)
}

// leftover reads what is left in memory before it reads from conn.
type leftover struct {
	b    []byte
	conn net.Conn
}

func (l *leftover) Read(b []byte) (int, error) {
	if len(l.b) == 0 {
		return l.conn.Read(b)
	}
	n := copy(b, l.b)
	l.b = l.b[n:]
	return n, nil
}

// expect says that n bytes more are to come at once. Whoever reads calls it: then long buffers are for bodies alone, and a
// thousand idle peers have none.
func (s *socket) expect(n int) { s.awaited = n }

func (s *socket) Read(b []byte) (int, error) {
	// What the layers above have read already counts as awaited too, but is less than readBufferBulk.
	if s.long == nil && s.awaited > 2*readBufferBulk && s.r.Buffered() == 0 {
		if err := s.readLong(); err != nil {
			return 0, err
		}
	}
	if s.long == nil {
		n, err := s.r.Read(b)
		s.awaited -= n
		return n, err
	}
	n := copy(b, s.long.b[s.taken:])
	if s.taken += n; s.taken == len(s.long.b) {
		s.long.put()
		s.long, s.taken = nil, 0
	}
	s.awaited -= n
	return n, nil
}

// readLong fills long with what there is.
func (s *socket) readLong() error {
	long := getBuffer(readBufferLong)
	n, err := s.Conn.Read(long.b)
	if n == 0 {
		long.put()
		return err
	}
	long.b = long.b[:n] // an error that came along comes again
	s.long = long
	return nil
}

// buffered tells whether something was read that nobody has taken.
func (s *socket) buffered() bool { return s.long != nil || s.r.Buffered() > 0 }

// Write takes one TLS record or a flight of them.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.deferred && s.corked > 0 && s.pending.size() > pendingMax && s.err == nil {
		s.room.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.pending == nil {
		s.pending = getWriteBuffer()
	}
	s.pending.b = append(s.pending.b, b...)
	if s.corked > 0 && (s.deferred || s.pending.size() < corkMax) {
		return len(b), nil
	}
	if err := s.flushLocked(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// cork makes Write collect until uncork.
func (s *socket) cork() {
	s.mu.Lock()
	s.corked++
	s.mu.Unlock()
}

// uncork sends what was collected, or sees to it that it is sent.
func (s *socket) uncork() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked--
	if !s.deferred {
		return s.flushLocked()
	}
	if s.pending != nil && !s.writing && s.err == nil {
		s.writing = true
		go s.flusher()
	}
	return s.err
}

// flusher writes until nothing is pending. It owns s.writing.
func (s *socket) flusher() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending != nil && s.err == nil {
		s.writeOnce()
	}
	s.writing = false
	s.room.Broadcast()
}

// flushLocked writes everything pending in the caller's goroutine. The caller holds mu.
func (s *socket) flushLocked() error {
	for s.writing && s.err == nil {
		s.room.Wait()
	}
	s.writing = true
	for s.pending != nil && s.err == nil {
		s.writeOnce()
	}
	s.writing = false
	s.room.Broadcast()
	return s.err
}

// writeOnce writes what is pending, without the lock meanwhile. The caller holds mu and writing.
func (s *socket) writeOnce() {
	out := s.pending
	s.pending = nil
	s.room.Broadcast()
	s.mu.Unlock()
	_, err := s.Conn.Write(out.b)
	out.put()
	s.mu.Lock()
	if err != nil && s.err == nil {
		s.err = err
	}
}

// Close gives a pending flush a moment, then closes.
func (s *socket) Close() error {
	s.Conn.SetWriteDeadline(time.Now().Add(closePatience))
	s.mu.Lock()
	for s.writing && s.err == nil {
		s.room.Wait()
	}
	if s.err == nil {
		s.err = net.ErrClosed
	}
	s.pending = nil
	s.room.Broadcast()
	s.mu.Unlock()
	return s.Conn.Close()
}
