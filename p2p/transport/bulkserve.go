package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	// bulkInboundMax is how many bulk connections one peer may have open to us.
	bulkInboundMax = 64
	// greetPatience is how long a bulk connection may be ahead of its control connection's hello.
	greetPatience = 2 * time.Second
	// bulkServeIdleMax is when the server closes an unused connection; longer than bulkIdleMax, so
	// that it is the client who does.
	bulkServeIdleMax = 3 * bulkIdleMax
)

// registry lists the bulk connections that peers have dialled: they are unknown to the swarm, and a
// revocation has to find them.
type registry struct {
	mu     sync.Mutex
	conns  map[p2p.NodeID]map[*bulkConn]struct{}
	closed bool
}

func (r *registry) add(id p2p.NodeID, c *bulkConn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosing
	}
	if len(r.conns[id]) >= bulkInboundMax {
		return fmt.Errorf("peer has %d bulk connections already", bulkInboundMax)
	}
	if r.conns[id] == nil {
		r.conns[id] = make(map[*bulkConn]struct{})
	}
	r.conns[id][c] = struct{}{}
	return nil
}

func (r *registry) remove(id p2p.NodeID, c *bulkConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns[id], c)
	if len(r.conns[id]) == 0 {
		delete(r.conns, id)
	}
}

func (r *registry) closePeer(id p2p.NodeID) {
	r.mu.Lock()
	var list []*bulkConn
	for c := range r.conns[id] {
		list = append(list, c)
	}
	r.mu.Unlock()
	closeTogether(list)
}

// closeWhere closes the connections for which is is true.
func (r *registry) closeWhere(is func(*bulkConn) bool) {
	r.mu.Lock()
	var list []*bulkConn
	for _, m := range r.conns {
		for c := range m {
			if is(c) {
				list = append(list, c)
			}
		}
	}
	r.mu.Unlock()
	closeTogether(list)
}

func (r *registry) closeAll() {
	r.mu.Lock()
	r.closed = true
	var list []*bulkConn
	for _, m := range r.conns {
		for c := range m {
			list = append(list, c)
		}
	}
	r.mu.Unlock()
	closeTogether(list)
}

// closeTogether closes connections, none of which waits for another: each may take a moment when its peer takes
// nothing.
func closeTogether(list []*bulkConn) {
	var wg sync.WaitGroup
	for _, c := range list {
		wg.Go(func() { c.Close() })
	}
	wg.Wait()
}

// acceptBulk serves the bulk listener.
func (h *Host) acceptBulk() {
	h.accept(h.bulkLn, planeBulk, h.serveBulk)
}

// accept runs serve for each connection to ln that the guard admits. serve settles it.
func (h *Host) accept(ln net.Listener, p plane, serve func(*guarded)) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if h.tasks.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, or a connection that broke before it was taken.
			h.log.Warn("accept failed", "addr", ln.Addr().String(), "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-h.tasks.ctx.Done():
				return
			}
		}
		c, ok := h.guard.admit(p, conn)
		if !ok {
			continue
		}
		c.take()
		if !h.tasks.start(func() { serve(c) }) {
			c.settle(errClosing)
			conn.Close()
			return
		}
	}
}

func (h *Host) serveBulk(conn *guarded) {
	sc, err := h.sec.secure(h.tasks.ctx, newSocket(conn, readBufferBulk, false), "", alpnBulk, true)
	conn.settle(err)
	if err != nil {
		return
	}
	h.serveBulkConn(&bulkConn{bulkPipe: tcpPipe{sc, conn.Conn}}, sc.cred.Peer)
}

// serveBulkConn serves one bulk connection of a proved peer until it ends.
func (h *Host) serveBulkConn(c *bulkConn, id p2p.NodeID) {
	defer c.Close()
	if err := h.inbound.add(id, c); err != nil {
		h.log.Debug("bulk connection refused", "node_id", id, "err", err)
		return
	}
	defer h.inbound.remove(id, c)
	if !h.waitGreeted(id) {
		return
	}
	// A revocation, or a rule, may have come between the handshake and the registry.
	from, ok := h.door.inside(id)
	if !ok || h.blockedConn(c) {
		return
	}
	if err := c.writeFrame(&wire.Frame{Kind: wire.KindCredit, Arg: 1}, nil, nil); err != nil {
		return
	}
	l, err := h.link(id)
	if err != nil {
		return
	}
	b := &bulkServer{h: h, l: l, c: c, from: from}
	h.streamEnded(carrierBulk, from, b.serve())
}

// waitGreeted waits a moment for the control connection of a peer whose bulk connection was
// faster.
func (h *Host) waitGreeted(id p2p.NodeID) bool {
	l, err := h.link(id)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(h.tasks.ctx, greetPatience)
	defer cancel()
	return l.awaitUp(ctx)
}

// awaitUp waits until the peer has a ready connection; it does not dial.
func (l *link) awaitUp(ctx context.Context) bool {
	for {
		l.mu.Lock()
		if l.ready > 0 {
			l.mu.Unlock()
			return true
		}
		if l.wake == nil {
			l.wake = make(chan struct{})
		}
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return false
		}
	}
}

// bulkServer serves one connection.
type bulkServer struct {
	h    *Host
	l    *link
	c    *bulkConn
	from p2p.Peer
}

// serve reads requests one after the other. While a handler runs it goes on reading, for the
// caller's cancel and for the end of the connection.
func (b *bulkServer) serve() error {
	ctx, end := context.WithCancel(b.h.tasks.ctx)
	defer end()
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	var cancel context.CancelFunc
	var id uint64
	for {
		b.c.SetReadDeadline(time.Now().Add(bulkServeIdleMax))
		var f wire.Frame
		if err := b.c.readFrame(&f); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return io.EOF // nothing was asked for so long: the peer opens another when it needs one
			}
			return err
		}
		switch f.Kind {
		case wire.KindCancel:
			if cancel != nil && f.ID == id {
				cancel()
			}
			continue
		case wire.KindStream:
			running.Wait()
			return b.stream(ctx, &f)
		case wire.KindNotify:
			if err := b.notify(ctx, &f); err != nil {
				return err
			}
			continue
		case wire.KindRequest:
		default:
			return unexpectedFrame(&f)
		}
		// The client sends the next request when it has read the last answer, which is before our
		// goroutine has noticed.
		running.Wait()
		run, err := b.request(ctx, &f)
		if err != nil {
			return err
		}
		if run == nil {
			continue
		}
		var hctx context.Context
		hctx, cancel = handlerContext(ctx, f.Arg)
		id = f.ID
		done := cancel
		running.Add(1)
		if !b.h.tasks.start(func() {
			defer running.Done()
			defer done()
			run(hctx)
		}) {
			running.Done()
			done()
			run(hctx) // with its end, to give back what it holds
			return p2p.ErrClosed
		}
	}
}

func (b *bulkServer) notify(ctx context.Context, f *wire.Frame) error {
	size := int64(f.PayloadLen)
	if err := b.l.notes.Acquire(ctx, size); err != nil {
		return err
	}
	defer b.l.notes.Release(size)
	d, err := b.body(f, nil)
	if err == nil {
		b.h.notified(ctx, carrierBulk, b.from, p2p.Method(f.Method), d.message())
	}
	return err
}

// body reads the body of a frame.
func (b *bulkServer) body(f *wire.Frame, into []byte) (body, error) {
	b.c.SetReadDeadline(time.Now().Add(transferTime(f.BodySize())))
	return b.c.readBody(f, into)
}

// requestBody reads the body of a request. The payload may be of mapped memory, for request alone gives it back.
func (b *bulkServer) requestBody(f *wire.Frame) (body, error) {
	if f.PayloadLen < hugePage {
		return b.body(f, nil)
	}
	payload := getMapped(int(f.PayloadLen))
	d, err := b.body(f, payload.b)
	if err != nil {
		payload.put()
		return body{}, err
	}
	d.b = payload
	return d, nil
}

// request reads a request and returns what runs its handler and answers; nil if it was refused.
func (b *bulkServer) request(ctx context.Context, f *wire.Frame) (func(context.Context), error) {
	hd, reason := b.h.handler(p2p.Method(f.Method), b.from)
	if reason == 0 && hd.call == nil {
		reason = wire.RefuseMethod
	}
	if reason != 0 {
		b.h.refusedMethod(carrierBulk, b.from, p2p.Method(f.Method), reason)
		if _, err := io.CopyN(io.Discard, b.c.bulkPipe, int64(f.BodySize())); err != nil {
			return nil, err
		}
		return nil, b.answer(&wire.Frame{Kind: wire.KindRefuse, ID: f.ID, Arg: reason}, nil, nil)
	}
	held, err := b.l.reserve(ctx, f.PayloadLen)
	if err != nil {
		return nil, err
	}
	d, err := b.requestBody(f)
	if err != nil {
		b.l.release(held)
		return nil, err
	}
	method, id, open := f.Method, f.ID, ctx
	return func(ctx context.Context) {
		req := d.message()
		resp, err := hd.call(ctx, b.from, req)
		out, header, payload := answer(method, id, resp, err)
		// A handler that was ended because the connection is gone, or we close, says nothing about
		// the outcome.
		if open.Err() != nil || b.answer(&out, header, payload) != nil {
			b.c.Close()
		}
		resp.Release()
		req.Release()
		b.l.release(held)
	}, nil
}

func (b *bulkServer) answer(f *wire.Frame, header, payload []byte) error {
	b.c.SetWriteDeadline(time.Now().Add(transferTime(len(header) + len(payload))))
	return b.c.writeFrame(f, header, payload)
}

// stream hands the connection to a stream handler.
func (b *bulkServer) stream(ctx context.Context, f *wire.Frame) error {
	hd, reason := b.h.handler(p2p.Method(f.Method), b.from)
	if reason == 0 && hd.stream == nil {
		reason = wire.RefuseMethod
	}
	if reason != 0 {
		b.h.refusedMethod(carrierBulk, b.from, p2p.Method(f.Method), reason)
		return b.answer(&wire.Frame{Kind: wire.KindRefuse, ID: f.ID, Arg: reason}, nil, nil)
	}
	if err := b.answer(&wire.Frame{Kind: wire.KindAccept, Method: f.Method, ID: f.ID}, nil, nil); err != nil {
		return err
	}
	s := newBulkStream(ctx, b.c, func() { b.c.Close() })
	defer s.Close()
	hd.stream(ctx, b.from, s)
	return nil
}
