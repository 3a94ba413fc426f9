package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"shoal/p2p"
)

// bulkStream is a p2p.Stream on a bulk connection that it owns. TLS tells an orderly end from a
// cut: Read returns io.EOF only after the peer's close-notify alert.
type bulkStream struct {
	c     *bulkConn
	close func()
	stop  func() bool
	once  sync.Once
}

// newBulkStream makes a stream that ends with ctx. drop closes the connection.
func newBulkStream(ctx context.Context, c *bulkConn, drop func()) *bulkStream {
	c.SetDeadline(time.Time{})
	return &bulkStream{c: c, close: drop, stop: context.AfterFunc(ctx, drop)}
}

func (s *bulkStream) Read(b []byte) (int, error)  { return s.c.secureConn.Read(b) }
func (s *bulkStream) Write(b []byte) (int, error) { return s.c.secureConn.Write(b) }
func (s *bulkStream) CloseWrite() error           { return s.c.secureConn.CloseWrite() }

func (s *bulkStream) Close() error {
	s.once.Do(func() {
		s.stop()
		s.c.secureConn.CloseWrite()
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
