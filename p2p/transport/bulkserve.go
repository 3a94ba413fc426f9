package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	// handshakesMax is how many strangers may be in a bulk or join handshake at once.
	handshakesMax = 128
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
	for _, c := range list {
		c.Close()
	}
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
	for _, c := range list {
		c.Close()
	}
}

// acceptBulk serves the bulk listener.
func (h *Host) acceptBulk() {
	h.accept(h.bulkLn, func(conn net.Conn) { h.serveBulk(conn) })
}

// accept runs serve for each connection to ln. At most handshakesMax are served at once until they
// call done: further ones wait in the kernel.
func (h *Host) accept(ln net.Listener, serve func(net.Conn)) {
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
		if !h.tasks.start(func() { serve(conn) }) {
			conn.Close()
			return
		}
	}
}

func (h *Host) serveBulk(conn net.Conn) {
	if !h.handshakes.TryAcquire(1) {
		conn.Close()
		return
	}
	sc, err := h.sec.secure(h.tasks.ctx, newSocket(conn, readBufferBulk, false), "", alpnBulk, true)
	h.handshakes.Release(1)
	if err != nil {
		h.log.Debug("bulk connection refused", "addr", conn.RemoteAddr().String(), "err", err)
		return
	}
	c := &bulkConn{secureConn: sc, raw: conn}
	defer c.Close()
	from := sc.cred.Identity()
	if err := h.inbound.add(from.ID, c); err != nil {
		h.log.Debug("bulk connection refused", "node_id", from.ID, "err", err)
		return
	}
	defer h.inbound.remove(from.ID, c)
	// The revocation may have come between the handshake and the registry.
	if _, ok := h.trust.Member(from.ID); !ok || !h.waitGreeted(from.ID) {
		return
	}
	if err := c.writeFrame(&wire.Frame{Kind: wire.KindCredit, Arg: 1}, nil, nil); err != nil {
		return
	}
	b := &bulkServer{h: h, c: c, from: from}
	if err := b.serve(); err != nil && err != io.EOF && h.tasks.ctx.Err() == nil {
		h.log.Debug("bulk connection ended", "node_id", from.ID, "err", err)
	}
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
			d, _, err := b.body(ctx, &f, false)
			if err != nil {
				return err
			}
			b.h.notified(ctx, b.from, p2p.Method(f.Method), d.message())
			continue
		case wire.KindRequest:
		default:
			return errors.New("unexpected " + f.Kind.String() + " frame")
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
		go func() {
			defer running.Done()
			defer done()
			run(hctx)
		}()
	}
}

// body reads the body of a frame. With hold set, a large one counts against the host's bound until
// the caller gives held back.
func (b *bulkServer) body(ctx context.Context, f *wire.Frame, hold bool) (d body, held int64, err error) {
	if hold && f.PayloadLen > budgetOver {
		held = int64(f.PayloadLen)
		if err := b.h.budget.Acquire(ctx, held); err != nil {
			return body{}, 0, err
		}
	}
	b.c.SetReadDeadline(time.Now().Add(transferTime(f.BodySize())))
	if d, err = readBody(b.c.secureConn, f, nil); err != nil {
		b.h.budget.Release(held)
		return body{}, 0, err
	}
	return d, held, nil
}

// request reads a request and returns what runs its handler and answers; nil if it was refused.
func (b *bulkServer) request(ctx context.Context, f *wire.Frame) (func(context.Context), error) {
	hd, reason := b.h.handler(p2p.Method(f.Method), b.from)
	if reason == 0 && hd.call == nil {
		reason = wire.RefuseMethod
	}
	if reason != 0 {
		if _, err := io.CopyN(io.Discard, b.c.secureConn, int64(f.BodySize())); err != nil {
			return nil, err
		}
		return nil, b.answer(&wire.Frame{Kind: wire.KindRefuse, ID: f.ID, Arg: reason}, nil, nil)
	}
	d, held, err := b.body(ctx, f, true)
	if err != nil {
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
		if held > 0 {
			b.h.budget.Release(held)
		}
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
