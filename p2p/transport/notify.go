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
	"shoal/p2p/wire"
)

const (
	protoNotify = protocol.ID("/shoal/notify/1")

	classControl = 0
	classBulk    = 1

	// What may wait for one peer, in bytes: control messages are small and go stale quickly.
	notifyPendingControl = 4 << 20
	notifyPendingBulk    = 64 << 20
)

// outbox is the queue of one class of notifications to one peer. A goroutine exists only while
// there is something to send; it keeps the stream open between times.
type outbox struct {
	l     *link
	bulk  bool
	limit int

	mu      sync.Mutex
	pending *writeBuffer // nil: nothing is
	count   int          // frames in pending
	busy    bool
	sink    io.WriteCloser // owned by the goroutine while busy
}

func (o *outbox) init(l *link, bulk bool) {
	o.l, o.bulk, o.limit = l, bulk, notifyPendingControl
	if bulk {
		o.limit = notifyPendingBulk
	}
}

// Notify queues a one-way message. See p2p.Transport.
func (h *Host) Notify(to p2p.NodeID, m p2p.Method, payload []byte) error {
	if len(payload) > p2p.PayloadSizeMax {
		return p2p.ErrTooLarge
	}
	if to == h.id.self {
		return h.notifySelf(m, payload)
	}
	l, err := h.link(to)
	if err != nil {
		return err
	}
	class := classControl
	if m.Bulk() {
		class = classBulk
	}
	if err := l.outbox[class].push(m, payload); err != nil {
		h.metrics.drop(m.Bulk(), 1)
		return fmt.Errorf("notify method %v of %s: %w", m, to.Short(), err)
	}
	return nil
}

// notifySelf runs the handler where it stands: a node that notifies itself wants order, and gets it
// most simply so.
func (h *Host) notifySelf(m p2p.Method, payload []byte) error {
	hd, reason := h.handler(m, h.self)
	if reason != 0 || hd.call == nil {
		return refusal(max(reason, 1), "")
	}
	resp, err := hd.call(h.tasks.ctx, h.self, &p2p.Message{Payload: payload})
	if err == nil {
		resp.Release()
	}
	return nil
}

func (o *outbox) push(m p2p.Method, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := wire.HeaderSize + len(payload)
	if o.pending.size() > 0 && o.pending.size()+size > o.limit {
		return p2p.ErrQueueFull
	}
	if !o.busy && o.sink == nil {
		if err := o.l.unreachable(); err != nil {
			return err
		}
	}
	f := wire.Frame{Kind: wire.KindNotify, Method: uint16(m), PayloadLen: uint32(len(payload))}
	if o.pending == nil {
		o.pending = getWriteBuffer()
	}
	o.pending.b = append(f.Append(o.pending.b), payload...)
	o.count++
	if !o.busy {
		o.busy = o.l.h.tasks.start(o.send)
		if !o.busy {
			o.pending, o.count = nil, 0
			return p2p.ErrClosed
		}
	}
	return nil
}

// unreachable returns the error of a connection attempt that failed a moment ago.
func (l *link) unreachable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready == 0 && l.lastErr != nil && time.Now().Before(l.retryAt) {
		return l.lastErr
	}
	return nil
}

// send empties the queue. What cannot be sent is dropped, the whole queue with it: the peer was
// gone, and whoever notifies has newer things to say when it is back.
func (o *outbox) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.pending != nil {
		out, count := o.pending, o.count
		o.pending, o.count = nil, 0
		o.mu.Unlock()
		err := o.write(out.b)
		out.put()
		o.mu.Lock()
		if err != nil {
			o.l.h.metrics.drop(o.bulk, count+o.count)
			o.pending, o.count = nil, 0
		}
	}
	o.busy = false
}

// write sends out over the open sink, or over a new one if that is gone.
func (o *outbox) write(out []byte) error {
	ctx := o.l.h.tasks.ctx
	if o.sink != nil {
		if alive(o.sink) {
			_, err := o.sink.Write(out)
			if err == nil {
				return nil
			}
		}
		o.sink.Close()
		o.sink = nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	sink, err := o.openSink(ctx)
	if err != nil {
		return err
	}
	if _, err := sink.Write(out); err != nil {
		sink.Close()
		return err
	}
	o.sink = sink
	return nil
}

func (o *outbox) openSink(ctx context.Context) (io.WriteCloser, error) {
	if o.bulk {
		return o.l.bulk.openNotify(ctx)
	}
	if err := o.l.connect(ctx); err != nil {
		return nil, err
	}
	c := o.l.readyConn()
	if c == nil {
		return nil, p2p.ErrUnreachable
	}
	st, err := openStream(ctx, c, protoNotify)
	if err != nil {
		return nil, err
	}
	st.SetDeadline(time.Time{})
	return &notifyStream{stream: st, conn: c, l: o.l}, nil
}

// notifyStream is the control plane's sink.
type notifyStream struct {
	*stream
	conn network.Conn
	l    *link
}

func (s *notifyStream) alive() bool {
	return !s.conn.IsClosed() && !(limited(s.conn) && s.l.direct())
}

func (s *notifyStream) Close() error { return s.Reset() }

// alive asks a sink whether its connection is still there, as far as one can know.
func alive(w io.Writer) bool {
	a, ok := w.(interface{ alive() bool })
	return !ok || a.alive()
}

// serveNotify serves one stream of notifications, in order.
func (h *Host) serveNotify(s network.Stream) {
	l, from, err := h.greetedPeer(s.Conn())
	if err != nil {
		s.Reset()
		return
	}
	if !l.openedStream(carrierNotify, s) {
		return
	}
	if !h.tasks.start(func() {
		ctx, cancel := context.WithCancel(h.tasks.ctx)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { s.Reset() })
		defer stop()
		defer l.streams[carrierNotify].Add(-1)
		cut := h.streamEnded(carrierNotify, from, h.notifications(ctx, l, from, s))
		s.Reset()
		if cut {
			s.Conn().Close()
		}
	}) {
		l.streams[carrierNotify].Add(-1)
		s.Reset()
	}
}

func (h *Host) notifications(ctx context.Context, l *link, from p2p.Peer, s network.Stream) error {
	fr := newFrameReader(s)
	for {
		var f wire.Frame
		if err := fr.next(&f); err != nil {
			return err
		}
		if f.Kind != wire.KindNotify {
			return unexpectedFrame(&f)
		}
		size := int64(f.PayloadLen)
		if err := l.notes.Acquire(ctx, size); err != nil {
			return err
		}
		s.SetReadDeadline(time.Now().Add(transferTime(f.BodySize())))
		d, err := fr.body(&f, nil)
		s.SetReadDeadline(time.Time{})
		if err == nil {
			h.notified(ctx, carrierNotify, from, p2p.Method(f.Method), d.message())
		}
		l.notes.Release(size)
		if err != nil {
			return err
		}
	}
}

// notified runs the handler of one notification. One that is not allowed is dropped.
func (h *Host) notified(ctx context.Context, c carrier, from p2p.Peer, m p2p.Method, req *p2p.Message) {
	defer req.Release()
	hd, reason := h.handler(m, from)
	if reason == 0 && hd.call == nil {
		reason = wire.RefuseMethod
	}
	if reason != 0 {
		h.refusedMethod(c, from, m, reason)
		return
	}
	resp, err := hd.call(ctx, from, req)
	if err == nil {
		resp.Release()
	}
}
