package transport

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"shoal/p2p"
)

// Bulk requests to a peer whose bulk port cannot be dialled go over streams of the control
// connection, relayed or not: the peer is an edge, or something between us blocks the port. One
// stream stands for one bulk connection; frames, order and limits are the same. They share the
// connection with everything else, which is why they are the second choice.

const (
	protoBulk = protocol.ID("/shoal/bulk/1")

	// bulkAgain is how long after a failure the bulk port of a peer is tried again.
	bulkAgain = 30 * time.Second
	// leftoverMax is how long what the peer still sends on a stream that we closed is read and
	// dropped, before it is told to stop.
	leftoverMax = 2 * time.Second
)

// dial returns a new bulk connection. The control connection comes first: it carries the hello, and
// the hello the port.
func (p *bulkPool) dial(ctx context.Context) (*bulkConn, error) {
	if err := p.l.connect(ctx); err != nil {
		return nil, err
	}
	if !p.tryDirect() {
		return p.dialVia(ctx)
	}
	c, err := p.dialDirect(ctx)
	if err == nil || ctx.Err() != nil || !p.l.up() {
		return c, err
	}
	via, verr := p.dialVia(ctx)
	if verr != nil {
		return nil, err
	}
	p.mu.Lock()
	p.directAt = time.Now().Add(bulkAgain)
	p.mu.Unlock()
	p.l.h.log.Warn("bulk port not reachable, control connection carries bulk requests", "node_id", p.l.id, "err", err)
	return via, nil
}

// tryDirect reports whether the peer has a bulk port that did not fail a moment ago.
func (p *bulkPool) tryDirect() bool {
	if p.l.peerHello().BulkPort == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !time.Now().Before(p.directAt)
}

// dialVia opens a stream of the control connection.
func (p *bulkPool) dialVia(ctx context.Context) (*bulkConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn := p.l.readyConn()
	if conn == nil {
		return nil, p2p.ErrUnreachable
	}
	s, err := openStream(ctx, conn, protoBulk)
	if err != nil {
		return nil, fmt.Errorf("%w: bulk stream: %w", p2p.ErrUnreachable, err)
	}
	s.SetDeadline(time.Time{})
	c := &bulkConn{bulkPipe: &streamPipe{muxed: s, conn: conn, l: p.l, retire: true}}
	if err := p.adopt(ctx, c); err != nil {
		return nil, fmt.Errorf("bulk stream: %w", err)
	}
	return c, nil
}

// serveBulkVia serves a bulk connection that is a stream of the control connection.
func (h *Host) serveBulkVia(s network.Stream) {
	l, _, err := h.greetedPeer(s.Conn())
	if err != nil || !h.tasks.start(func() {
		h.serveBulkConn(&bulkConn{bulkPipe: &streamPipe{muxed: s, conn: s.Conn(), l: l}}, l.id)
	}) {
		s.Reset()
	}
}

// muxed is the part of a libp2p stream that a pipe needs.
type muxed interface {
	io.ReadWriter
	CloseWrite() error
	Reset() error
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// streamPipe is a bulk connection's pipe on a stream.
type streamPipe struct {
	muxed
	conn   network.Conn
	l      *link
	retire bool // we opened it, and may open a better one

	mu sync.Mutex // keeps the halves of writeTwo together
}

func (p *streamPipe) writeTwo(a, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.Write(a)
	if err == nil && len(b) > 0 {
		_, err = p.Write(b)
	}
	return err
}

// expect changes nothing: the control connection reads for all of its streams.
func (p *streamPipe) expect(int) {}

// broken also holds for a stream that has become the worse way to the peer.
func (p *streamPipe) broken() bool {
	return p.conn.IsClosed() || p.retire && (limited(p.conn) && p.l.direct() || p.l.bulk.tryDirect())
}

// cut ends our direction in order: a reset would take from the peer what it has received and not
// read yet. Frames and blocks show the peer what is missing. What it still sends is dropped for a
// moment, and then refused.
func (p *streamPipe) cut() error {
	err := p.CloseWrite()
	p.SetWriteDeadline(longAgo)
	if !p.l.h.tasks.start(func() {
		p.SetReadDeadline(time.Now().Add(leftoverMax))
		io.Copy(io.Discard, p.muxed)
		p.Reset()
	}) {
		return p.Reset()
	}
	return err
}
