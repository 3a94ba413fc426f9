package simnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shoal/p2p"
)

const (
	outstandingMax = 256
	queueControl   = 4 << 20
	queueBulk      = 64 << 20
)

var errBroken = errors.New("simnet: connection broke")

// Node is one node's Transport. It is made by Net.Node, and serves between Start and Stop.
type Node struct {
	net  *Net
	peer p2p.Peer

	handlers map[p2p.Method]handler
	subs     []func(p2p.NodeID, bool)

	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	conns  map[p2p.NodeID]*conn
	events []event
	busy   bool
	wg     sync.WaitGroup
}

type handler struct {
	allow  p2p.Role
	call   p2p.Handler
	stream p2p.StreamHandler
}

type event struct {
	id p2p.NodeID
	up bool
}

// conn is what a node has with one peer while they are connected.
type conn struct {
	ctx    context.Context // ends when the connection breaks
	end    context.CancelFunc
	slots  chan struct{}
	queues [2]queue
}

// queue is one class of notifications on their way to a peer.
type queue struct {
	mu    sync.Mutex
	items []notification
	size  int
	busy  bool
}

type notification struct {
	method  p2p.Method
	payload []byte
}

var _ p2p.Transport = (*Node)(nil)

// Node makes a node that is not started. Its ID may be any text.
func (n *Net) Node(peer p2p.Peer) *Node {
	d := &Node{net: n, peer: peer, handlers: make(map[p2p.Method]handler), conns: make(map[p2p.NodeID]*conn)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// Start puts the node on the network.
func (d *Node) Start() {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	d.net.nodes[d.peer.ID] = d
}

// Stop takes the node off the network, as a crash does, and waits for its handlers.
func (d *Node) Stop() {
	d.net.mu.Lock()
	if d.net.nodes[d.peer.ID] == d {
		delete(d.net.nodes, d.peer.ID)
	}
	var others []p2p.NodeID
	for id := range d.net.nodes {
		others = append(others, id)
	}
	d.net.mu.Unlock()
	d.stop()
	for _, id := range others {
		d.net.disconnect(d.peer.ID, id)
		d.lost(id)
	}
	d.mu.Lock()
	for id, c := range d.conns {
		c.end()
		delete(d.conns, id)
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// Self is the node's ID.
func (d *Node) Self() p2p.NodeID { return d.peer.ID }

// Addrs is a made-up address.
func (d *Node) Addrs() []string { return []string{"/memory/" + string(d.peer.ID)} }

// Handle registers h for m.
func (d *Node) Handle(m p2p.Method, allow p2p.Role, h p2p.Handler) {
	d.register(m, handler{allow: allow, call: h})
}

// HandleStream registers h for streams of m.
func (d *Node) HandleStream(m p2p.Method, allow p2p.Role, h p2p.StreamHandler) {
	d.register(m, handler{allow: allow, stream: h})
}

func (d *Node) register(m p2p.Method, h handler) {
	if _, taken := d.handlers[m]; taken {
		panic(fmt.Sprintf("simnet: method %v registered twice", m))
	}
	d.handlers[m] = h
}

// OnPeer registers f for connections coming and going.
func (d *Node) OnPeer(f func(p2p.NodeID, bool)) { d.subs = append(d.subs, f) }

// spawn runs f in a goroutine that Stop waits for. It does nothing once the node has stopped.
func (d *Node) spawn(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return false
	}
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		f()
	}()
	return true
}

// event queues a change and sees to its delivery.
func (d *Node) event(id p2p.NodeID, up bool) {
	d.mu.Lock()
	d.events = append(d.events, event{id, up})
	start := !d.busy
	d.busy = true
	d.mu.Unlock()
	if start && !d.spawn(d.deliverEvents) {
		d.mu.Lock()
		d.busy = false
		d.mu.Unlock()
	}
}

func (d *Node) deliverEvents() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.events) > 0 {
		e := d.events[0]
		d.events = d.events[1:]
		d.mu.Unlock()
		for _, f := range d.subs {
			f(e.id, e.up)
		}
		d.mu.Lock()
	}
	d.busy = false
}

// lost drops the connection to a peer.
func (d *Node) lost(id p2p.NodeID) {
	d.mu.Lock()
	c := d.conns[id]
	delete(d.conns, id)
	d.mu.Unlock()
	if c != nil {
		c.end()
	}
	d.event(id, false)
}

// conn returns the connection to a peer and the node behind it.
func (d *Node) conn(to p2p.NodeID) (*conn, *Node, error) {
	if d.ctx.Err() != nil {
		return nil, nil, p2p.ErrClosed
	}
	other := d.net.contact(d, to)
	if other == nil {
		return nil, nil, p2p.ErrUnreachable
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.conns[to]
	if c == nil {
		c = &conn{slots: make(chan struct{}, outstandingMax)}
		c.ctx, c.end = context.WithCancel(d.ctx)
		d.conns[to] = c
	}
	return c, other, nil
}

// wait lets one message travel: it returns after the delay, or when one of the contexts ends.
func (d *Node) wait(c *conn, ctx context.Context) error {
	delay, arrives := d.net.fate()
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.ctx.Err() != nil || !arrives:
		return errBroken
	}
	return nil
}

// Call implements p2p.Transport.
func (d *Node) Call(ctx context.Context, to p2p.NodeID, m p2p.Method, req *p2p.Message) (*p2p.Message, error) {
	if req == nil {
		req = &p2p.Message{}
	}
	if err := req.Check(); err != nil {
		return nil, err
	}
	failed := func(sent bool, err error) error {
		return &p2p.CallError{To: to, Method: m, Sent: sent, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, failed(false, err)
	}
	if to == d.peer.ID {
		return d.callSelf(ctx, m, req)
	}
	c, other, err := d.conn(to)
	if err != nil {
		return nil, failed(false, err)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, failed(false, ctx.Err())
	case <-c.ctx.Done():
		return nil, failed(false, p2p.ErrUnreachable)
	}
	resp, err := d.travel(ctx, c, other, m, req)
	var remote *p2p.RemoteError
	if err != nil && !errors.Is(err, p2p.ErrRefused) && !errors.As(err, &remote) {
		return nil, failed(true, err)
	}
	return resp, err
}

// travel takes a request to the other node and its answer back.
func (d *Node) travel(ctx context.Context, c *conn, other *Node, m p2p.Method, req *p2p.Message) (*p2p.Message, error) {
	arrived := &p2p.Message{Header: bytes.Clone(req.Header), Payload: bytes.Clone(req.Payload)}
	if err := d.wait(c, ctx); err != nil {
		return nil, err
	}
	hd, err := other.handler(m, d.peer)
	if err == nil && hd.call == nil {
		err = p2p.ErrRefused
	}
	if err != nil {
		return nil, err
	}
	// The handler's context is not the caller's: it has the same end, but no values travel.
	hctx, cancel := context.WithCancel(other.ctx)
	if dl, ok := ctx.Deadline(); ok {
		hctx, cancel = context.WithDeadline(other.ctx, dl)
	}
	type answer struct {
		msg *p2p.Message
		err error
	}
	done := make(chan answer, 1)
	if !other.spawn(func() {
		defer cancel()
		resp, err := hd.call(hctx, d.peer, arrived)
		if err == nil && resp != nil {
			err = resp.Check()
		}
		if err != nil {
			done <- answer{err: p2p.NewRemoteError(err)}
			return
		}
		out := &p2p.Message{}
		if resp != nil {
			out.Header, out.Payload = bytes.Clone(resp.Header), bytes.Clone(resp.Payload)
			resp.Release()
		}
		done <- answer{msg: out}
	}) {
		cancel()
		return nil, errBroken
	}
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	case <-c.ctx.Done():
		cancel()
		return nil, errBroken
	}
	if other.ctx.Err() != nil {
		return nil, errBroken // the handler was ended by its node's stop
	}
	if err := d.wait(c, ctx); err != nil {
		return nil, err
	}
	if dl, ok := ctx.Deadline(); a.err != nil && ok && !time.Now().Before(dl) {
		// The handler gave up at the same moment as the caller.
		return nil, context.DeadlineExceeded
	}
	if a.err == nil && len(a.msg.Payload) > 0 && len(a.msg.Payload) <= cap(req.Into) {
		into := req.Into[:len(a.msg.Payload)]
		copy(into, a.msg.Payload)
		a.msg.Payload = into
	}
	return a.msg, a.err
}

func (d *Node) callSelf(ctx context.Context, m p2p.Method, req *p2p.Message) (*p2p.Message, error) {
	hd, err := d.handler(m, d.peer)
	if err != nil || hd.call == nil {
		return nil, p2p.ErrRefused
	}
	resp, err := hd.call(ctx, d.peer, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &p2p.CallError{To: d.peer.ID, Method: m, Sent: true, Err: ctx.Err()}
	case err != nil:
		return nil, p2p.NewRemoteError(err)
	case resp == nil:
		return &p2p.Message{}, nil
	}
	return resp, nil
}

func (d *Node) handler(m p2p.Method, from p2p.Peer) (handler, error) {
	hd, ok := d.handlers[m]
	if !ok || !from.Roles.Has(hd.allow) {
		return handler{}, p2p.ErrRefused
	}
	return hd, nil
}
