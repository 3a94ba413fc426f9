package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/p2p"
	"shoal/p2p/wire"
)

// responder is the server's side of one RPC stream.
type responder struct {
	h    *Host
	l    *link
	from p2p.Peer
	s    network.Stream
	w    frameWriter
	ctx  context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
	unsent  int // requests whose answer is not queued yet, the running ones included
	wg      sync.WaitGroup
}

// unsentMax is where a peer is cut off for ignoring its credit. It may seem to exceed it by a few,
// because an answer can arrive before we have noted that it was sent.
const unsentMax = 2 * creditStart

// greetedPeer waits until the connection of an inbound stream has said hello, and returns who is at
// the other end.
func (h *Host) greetedPeer(c network.Conn) (*link, p2p.Peer, error) {
	l := h.linkOf(c.RemotePeer())
	cs := l.state(c)
	t := time.NewTimer(helloTimeout)
	defer t.Stop()
	select {
	case <-cs.done:
	case <-t.C:
	case <-h.tasks.ctx.Done():
	}
	from, ok := h.door.inside(l.id)
	if !ok || !cs.ok.Load() {
		return nil, p2p.Peer{}, errors.New("no hello")
	}
	return l, from, nil
}

// serveRPC serves one RPC stream until it ends.
func (h *Host) serveRPC(s network.Stream) {
	l, from, err := h.greetedPeer(s.Conn())
	if err != nil {
		s.Reset()
		return
	}
	if !l.openedStream(carrierRPC, s) {
		return
	}
	r := &responder{h: h, l: l, from: from, s: s, running: make(map[uint64]context.CancelFunc)}
	r.ctx, r.end = context.WithCancel(h.tasks.ctx)
	r.w = frameWriter{w: s, limit: rpcPendingMax, start: h.tasks.start, onError: func(error) { s.Reset() }}
	if !h.tasks.start(r.serve) {
		l.streams[carrierRPC].Add(-1)
		s.Reset()
	}
}

func (r *responder) serve() {
	stop := context.AfterFunc(r.ctx, func() { r.s.Reset() })
	fr := newFrameReader(r.s)
	var err error
	for err == nil {
		err = r.serveOne(fr)
	}
	cut := r.h.streamEnded(carrierRPC, r.from, err)
	r.end()
	r.w.fail(err)
	r.wg.Wait()
	stop()
	r.s.Reset()
	r.l.streams[carrierRPC].Add(-1)
	if cut {
		r.s.Conn().Close()
	}
}

func (r *responder) serveOne(fr *frameReader) error {
	var f wire.Frame
	if err := fr.next(&f); err != nil {
		return err
	}
	switch f.Kind {
	case wire.KindRequest:
		return r.request(fr, &f)
	case wire.KindCancel:
		r.mu.Lock()
		cancel := r.running[f.ID]
		r.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return nil
	case wire.KindPing:
		_, err := r.w.write(r.ctx.Done(), true, &wire.Frame{Kind: wire.KindPong, ID: f.ID}, nil, nil)
		return err
	}
	return unexpectedFrame(&f)
}

// request reads the body of a request and starts its handler. Reading stops while there is no
// memory for it, and with it, by yamux's window, the peer's writing.
func (r *responder) request(fr *frameReader, f *wire.Frame) error {
	hd, reason := r.h.handler(p2p.Method(f.Method), r.from)
	if reason == 0 && hd.call == nil {
		reason = wire.RefuseMethod
	}
	if reason != 0 {
		r.h.refusedMethod(carrierRPC, r.from, p2p.Method(f.Method), reason)
		r.s.SetReadDeadline(time.Now().Add(transferTime(f.BodySize())))
		if err := fr.skip(f); err != nil {
			return err
		}
		r.s.SetReadDeadline(time.Time{})
		_, err := r.w.write(r.ctx.Done(), true, &wire.Frame{Kind: wire.KindRefuse, ID: f.ID, Arg: reason}, nil, nil)
		return err
	}
	held, err := r.l.reserve(r.ctx, f.PayloadLen)
	if err != nil {
		return err
	}
	r.s.SetReadDeadline(time.Now().Add(transferTime(f.BodySize())))
	d, err := fr.body(f, nil)
	if err != nil {
		r.l.release(held)
		return err
	}
	r.s.SetReadDeadline(time.Time{})
	ctx, cancel := handlerContext(r.ctx, f.Arg)
	r.mu.Lock()
	_, twice := r.running[f.ID]
	full := r.unsent >= unsentMax
	if !twice && !full {
		r.running[f.ID] = cancel
		r.unsent++
	}
	r.mu.Unlock()
	if twice || full {
		cancel()
		d.release()
		r.l.release(held)
		return fmt.Errorf("request %d: %w", f.ID, errCredit)
	}
	r.wg.Add(1)
	method, id, req := f.Method, f.ID, d.message()
	if !r.h.tasks.start(func() { r.handle(ctx, cancel, hd.call, method, id, req, held) }) {
		r.wg.Done()
		cancel()
		req.Release()
		r.l.release(held)
		return p2p.ErrClosed
	}
	return nil
}

// handlerContext carries the caller's deadline, given in microseconds.
func handlerContext(parent context.Context, arg uint32) (context.Context, context.CancelFunc) {
	if arg == 0 {
		return context.WithCancel(parent)
	}
	return context.WithTimeout(parent, time.Duration(arg)*time.Microsecond)
}

func (r *responder) handle(ctx context.Context, cancel context.CancelFunc, call p2p.Handler, method uint16, id uint64, req *p2p.Message, held int64) {
	defer r.wg.Done()
	resp, err := call(ctx, r.from, req)
	f, header, payload := answer(method, id, resp, err)
	r.mu.Lock()
	delete(r.running, id)
	r.mu.Unlock()
	cancel()
	if r.ctx.Err() == nil {
		// A handler that was ended because we close says nothing about the outcome.
		r.w.write(r.ctx.Done(), true, &f, header, payload)
	}
	r.mu.Lock()
	r.unsent--
	r.mu.Unlock()
	resp.Release()
	req.Release()
	r.l.release(held)
}

// answer makes the frame for what a handler returned.
func answer(method uint16, id uint64, resp *p2p.Message, err error) (f wire.Frame, header, payload []byte) {
	f = wire.Frame{Kind: wire.KindResponse, Method: method, ID: id}
	if err == nil && resp != nil {
		err = resp.Check()
	}
	switch {
	case err != nil:
		e := p2p.NewRemoteError(err)
		f.Kind, f.Arg, header = wire.KindError, e.Code, []byte(e.Text)
	case resp != nil:
		header, payload = resp.Header, resp.Payload
	}
	f.HeaderLen, f.PayloadLen = uint32(len(header)), uint32(len(payload))
	return f, header, payload
}
