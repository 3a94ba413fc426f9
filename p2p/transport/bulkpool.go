package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p"
	"shoal/p2p/wire"
)

const (
	// bulkConnsMax is how many connections one peer gets for calls; further calls wait.
	bulkConnsMax = 8
	// bulkIdleMax is how long one of them is kept without use. The server waits longer.
	bulkIdleMax = 60 * time.Second
)

// bulkPool holds the bulk connections to one peer that we dialled.
type bulkPool struct {
	l    *link
	slot chan struct{} // a token for each connection that a call holds

	mu       sync.Mutex
	idle     []*bulkConn // the one used last is at the end
	all      map[*bulkConn]struct{}
	timer    *time.Timer // closes idle connections; nil if there are none
	directAt time.Time   // when the peer's bulk port may be tried
}

func (p *bulkPool) init(l *link) {
	p.l = l
	p.slot = make(chan struct{}, bulkConnsMax)
	p.all = make(map[*bulkConn]struct{})
}

// call makes one request over a connection of its own.
func (p *bulkPool) call(ctx context.Context, m p2p.Method, req *p2p.Message) (*p2p.Message, bool, error) {
	select {
	case p.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	c, err := p.take(ctx)
	if err != nil {
		<-p.slot
		return nil, false, err
	}
	resp, sent, keep, drain, err := c.roundTrip(ctx, m, req)
	switch {
	case keep:
		p.give(c)
	case drain && p.l.h.tasks.start(func() {
		if c.drain() == nil {
			p.give(c)
		} else {
			p.drop(c)
		}
	}):
	default:
		p.drop(c)
	}
	<-p.slot
	return resp, sent, err
}

// take returns an idle connection that still stands, or a new one.
func (p *bulkPool) take(ctx context.Context) (*bulkConn, error) {
	for {
		p.mu.Lock()
		n := len(p.idle)
		if n == 0 {
			p.mu.Unlock()
			return p.dial(ctx)
		}
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		if !c.broken() {
			return c, nil
		}
		p.drop(c)
	}
}

// give puts a connection back.
func (p *bulkPool) give(c *bulkConn) {
	c.idleAt = time.Now()
	p.mu.Lock()
	_, known := p.all[c]
	if known {
		p.idle = append(p.idle, c)
		if p.timer == nil {
			p.timer = time.AfterFunc(bulkIdleMax, p.trim)
		}
	}
	p.mu.Unlock()
	if !known {
		c.Close()
	}
}

// drop closes a connection.
func (p *bulkPool) drop(c *bulkConn) {
	p.mu.Lock()
	delete(p.all, c)
	p.mu.Unlock()
	c.Close()
}

// trim closes what has been idle for long.
func (p *bulkPool) trim() {
	p.mu.Lock()
	now := time.Now()
	var old []*bulkConn
	for len(p.idle) > 0 && now.Sub(p.idle[0].idleAt) >= bulkIdleMax {
		old = append(old, p.idle[0])
		delete(p.all, p.idle[0])
		p.idle = p.idle[1:]
	}
	p.timer = nil
	if len(p.idle) > 0 {
		p.timer = time.AfterFunc(max(bulkIdleMax-now.Sub(p.idle[0].idleAt), time.Second), p.trim)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// closeIdle closes the connections that no call uses.
func (p *bulkPool) closeIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	for _, c := range idle {
		delete(p.all, c)
	}
	p.stopTimer()
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// closeAll closes every connection; calls under way fail.
func (p *bulkPool) closeAll() {
	p.mu.Lock()
	all := p.all
	p.idle, p.all = nil, make(map[*bulkConn]struct{})
	p.stopTimer()
	p.mu.Unlock()
	closeTogether(slices.Collect(maps.Keys(all)))
}

// closeWhere closes the connections for which is is true; calls under way on them fail.
func (p *bulkPool) closeWhere(is func(*bulkConn) bool) {
	p.mu.Lock()
	var list []*bulkConn
	for c := range p.all {
		if is(c) {
			list = append(list, c)
			delete(p.all, c)
		}
	}
	p.idle = slices.DeleteFunc(p.idle, func(c *bulkConn) bool { return slices.Contains(list, c) })
	p.mu.Unlock()
	closeTogether(list)
}

func (p *bulkPool) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// dialDirect opens a connection to the bulk listener of the peer.
func (p *bulkPool) dialDirect(ctx context.Context) (*bulkConn, error) {
	var errs []error
	for _, addr := range p.l.bulkAddrs() {
		c, err := p.dialAddr(ctx, addr)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w: bulk: %w", p2p.ErrUnreachable, errors.Join(errs...))
}

func (p *bulkPool) dialAddr(ctx context.Context, addr string) (*bulkConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if at, err := netip.ParseAddrPort(addr); err == nil && p.l.h.guard.blocks(at.Addr().Unmap()) {
		return nil, fmt.Errorf("%s is blocked", addr)
	}
	d := net.Dialer{KeepAlive: 15 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	sc, err := p.l.h.sec.secure(ctx, newSocket(conn, readBufferBulk, false), p.l.pid, alpnBulk, false)
	if err != nil {
		return nil, err
	}
	c := &bulkConn{bulkPipe: tcpPipe{sc, conn}}
	if err := p.adopt(ctx, c); err != nil {
		return nil, err
	}
	return c, nil
}

// adopt lists a new connection once the peer has accepted it, and closes it otherwise.
func (p *bulkPool) adopt(ctx context.Context, c *bulkConn) error {
	if err := c.accepted(ctx); err != nil {
		c.Close()
		return err
	}
	p.mu.Lock()
	p.all[c] = struct{}{}
	p.mu.Unlock()
	if _, ok := p.l.h.door.inside(p.l.id); !ok || p.l.h.blockedConn(c) || p.l.h.tasks.ctx.Err() != nil {
		p.drop(c)
		return p2p.ErrClosed
	}
	return nil
}

// accepted reads the server's first frame: with TLS 1.3 only that tells whether it let us in.
func (c *bulkConn) accepted(ctx context.Context) error {
	undo := c.interrupt(ctx)
	var f wire.Frame
	err := c.readFrame(&f)
	if undo() {
		return ctx.Err()
	}
	if err == nil && f.Kind != wire.KindCredit {
		err = fmt.Errorf("%w: %v at the start", wire.ErrFrame, f.Kind)
	}
	return err
}

// bulkAddrs lists where the peer's bulk listener may be: on the host that the control connection
// goes to, then on the hosts it announced.
func (l *link) bulkAddrs() []string {
	hi := l.peerHello()
	port := strconv.Itoa(int(hi.BulkPort))
	var out []string
	add := func(a ma.Multiaddr) {
		ip, err := manet.ToIP(a)
		if err != nil || viaRelay(a) {
			return
		}
		addr := net.JoinHostPort(ip.String(), port)
		for _, have := range out {
			if have == addr {
				return
			}
		}
		out = append(out, addr)
	}
	if c := l.readyConn(); c != nil {
		add(c.RemoteMultiaddr())
	}
	for _, text := range hi.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil {
			add(a)
		}
	}
	return out
}

// openNotify opens a connection that carries bulk notifications only.
func (p *bulkPool) openNotify(ctx context.Context) (*notifyConn, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &notifyConn{bulkConn: c, p: p}, nil
}

// notifyConn takes itself off the pool's list when it is closed.
type notifyConn struct {
	*bulkConn
	p *bulkPool
}

func (c *notifyConn) Close() error {
	c.p.drop(c.bulkConn)
	return nil
}

// OpenStream opens a stream over a bulk connection of its own. See p2p.Transport.
func (h *Host) OpenStream(ctx context.Context, to p2p.NodeID, m p2p.Method) (p2p.Stream, error) {
	if to == h.id.self {
		return h.streamSelf(ctx, m)
	}
	l, err := h.link(to)
	if err != nil {
		return nil, err
	}
	c, err := l.bulk.dial(ctx)
	if err != nil {
		return nil, callError(ctx, to, m, false, err)
	}
	s, err := l.bulk.startStream(ctx, c, m)
	if err != nil {
		l.bulk.drop(c)
		return nil, callError(ctx, to, m, false, err)
	}
	return s, nil
}

func (p *bulkPool) startStream(ctx context.Context, c *bulkConn, m p2p.Method) (*bulkStream, error) {
	undo := c.interrupt(ctx)
	defer undo()
	f := wire.Frame{Kind: wire.KindStream, Method: uint16(m), ID: 1}
	if err := c.writeFrame(&f, nil, nil); err != nil {
		return nil, err
	}
	if err := c.readFrame(&f); err != nil {
		return nil, err
	}
	switch f.Kind {
	case wire.KindAccept:
	case wire.KindRefuse:
		return nil, refusal(f.Arg, "")
	default:
		return nil, fmt.Errorf("%w: %v instead of accept", wire.ErrFrame, f.Kind)
	}
	return newBulkStream(ctx, c, func() { p.drop(c) }), nil
}
