package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// streamBlockMax is the largest block of a stream, in bytes.
const streamBlockMax = 1 << 20

// bulkStream is a p2p.Stream on a bulk connection that it owns. Bytes travel in blocks with a
// length of four bytes in front; a length of 0 is the orderly end. (The end of TLS will not do:
// crypto/tls takes a connection that was cut between two records for a complete one.)
type bulkStream struct {
	c     *bulkConn
	close func()
	stop  func() bool
	once  sync.Once

	left  uint32 // of the block being read
	ended bool   // the peer's end was read

	mu     sync.Mutex // held while a block is written
	closed bool       // our end was written
}

var _ p2p.Stream = (*bulkStream)(nil)

// newBulkStream makes a stream that ends with ctx. drop closes the connection.
func newBulkStream(ctx context.Context, c *bulkConn, drop func()) *bulkStream {
	c.SetDeadline(time.Time{})
	return &bulkStream{c: c, close: drop, stop: context.AfterFunc(ctx, drop)}
}

func (s *bulkStream) Read(b []byte) (int, error) {
	for s.left == 0 {
		if s.ended {
			return 0, io.EOF
		}
		var head [4]byte
		if _, err := io.ReadFull(s.c.bulkPipe, head[:]); err != nil {
			return 0, unexpected(err)
		}
		s.left = binary.LittleEndian.Uint32(head[:])
		s.ended = s.left == 0
		if s.left > streamBlockMax {
			return 0, fmt.Errorf("%w: stream block of %d bytes", wire.ErrFrame, s.left)
		}
		s.c.expect(int(s.left))
	}
	n, err := s.c.bulkPipe.Read(b[:min(len(b), int(s.left))])
	s.left -= uint32(n)
	if err != nil {
		err = unexpected(err)
	}
	return n, err
}

// unexpected makes an end where none belongs an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *bulkStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for len(b) > 0 {
		if s.closed {
			return written, io.ErrClosedPipe
		}
		block := b[:min(len(b), streamBlockMax)]
		if err := s.block(block); err != nil {
			return written, err
		}
		written += len(block)
		b = b[len(block):]
	}
	return written, nil
}

func (s *bulkStream) block(b []byte) error {
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(b)))
	return s.c.writeTwo(head[:], b)
}

// CloseWrite sends the orderly end.
func (s *bulkStream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.block(nil)
}

// Close sends the orderly end, unless a Write is stuck, and closes the connection.
func (s *bulkStream) Close() error {
	s.once.Do(func() {
		s.stop()
		s.c.SetWriteDeadline(time.Now().Add(closePatience))
		s.CloseWrite()
		s.close()
	})
	return nil
}

// streamSelf connects the two ends in memory.
func (h *Host) streamSelf(ctx context.Context, m p2p.Method) (p2p.Stream, error) {
	hd, reason := h.handler(m, h.self)
	if reason != 0 || hd.stream == nil {
		return nil, fmt.Errorf("open stream %v to self: %w", m, refusal(max(reason, 1), ""))
	}
	near, far := p2p.NewPipe()
	hctx, cancel := context.WithCancel(ctx)
	cut := func() {
		near.Abort(net.ErrClosed)
		cancel()
	}
	stopHost := context.AfterFunc(h.tasks.ctx, cut)
	stopCaller := context.AfterFunc(ctx, cut)
	if !h.tasks.start(func() {
		hd.stream(hctx, h.self, far)
		stopHost()
		stopCaller()
		cancel()
		far.Close()
	}) {
		cut()
		return nil, p2p.ErrClosed
	}
	return near, nil
}
