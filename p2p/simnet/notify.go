package simnet

import (
	"bytes"
	"context"

	"shoal/p2p"
)

// Notify implements p2p.Transport.
func (d *Node) Notify(to p2p.NodeID, m p2p.Method, payload []byte) error {
	if len(payload) > p2p.PayloadSizeMax {
		return p2p.ErrTooLarge
	}
	if to == d.peer.ID {
		if hd, err := d.handler(m, d.peer); err == nil && hd.call != nil {
			hd.call(d.ctx, d.peer, &p2p.Message{Payload: payload})
		}
		return nil
	}
	c, other, err := d.conn(to)
	if err != nil {
		return err
	}
	q, limit := &c.queues[0], queueControl
	if m.Bulk() {
		q, limit = &c.queues[1], queueBulk
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 && q.size+len(payload) > limit {
		return p2p.ErrQueueFull
	}
	q.items = append(q.items, notification{m, bytes.Clone(payload)})
	q.size += len(payload) + 24
	if !q.busy {
		q.busy = d.spawn(func() { d.drain(c, q, other) })
	}
	return nil
}

// drain delivers a queue in order, one handler at a time.
func (d *Node) drain(c *conn, q *queue, other *Node) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) > 0 {
		it := q.items[0]
		q.mu.Unlock()
		if d.wait(c, context.Background()) == nil {
			other.notified(d.peer, it)
		}
		q.mu.Lock()
		q.items = q.items[1:]
		q.size -= len(it.payload) + 24
		if c.ctx.Err() != nil {
			q.items, q.size = nil, 0
		}
	}
	q.busy = false
}

func (d *Node) notified(from p2p.Peer, it notification) {
	hd, err := d.handler(it.method, from)
	if err != nil || hd.call == nil {
		return
	}
	done := make(chan struct{})
	if d.spawn(func() {
		defer close(done)
		if resp, err := hd.call(d.ctx, from, &p2p.Message{Payload: it.payload}); err == nil {
			resp.Release()
		}
	}) {
		<-done
	}
}

// OpenStream implements p2p.Transport. Streams have no delay; they break when the connection does.
func (d *Node) OpenStream(ctx context.Context, to p2p.NodeID, m p2p.Method) (p2p.Stream, error) {
	other, broken := d, d.ctx
	if to != d.peer.ID {
		c, o, err := d.conn(to)
		if err != nil {
			return nil, &p2p.CallError{To: to, Method: m, Err: err}
		}
		other, broken = o, c.ctx
	}
	hd, err := other.handler(m, d.peer)
	if err != nil || hd.stream == nil {
		return nil, p2p.ErrRefused
	}
	near, far := p2p.NewPipe()
	hctx, cancel := context.WithCancel(other.ctx)
	if !other.spawn(func() {
		defer cancel()
		defer far.Close()
		hd.stream(hctx, d.peer, far)
	}) {
		cancel()
		return nil, &p2p.CallError{To: to, Method: m, Err: p2p.ErrUnreachable}
	}
	abort := func(err error) func() {
		return func() {
			near.Abort(err)
			cancel()
		}
	}
	context.AfterFunc(broken, abort(errBroken))
	context.AfterFunc(other.ctx, abort(errBroken))
	context.AfterFunc(ctx, func() { abort(ctx.Err())() })
	return near, nil
}
