package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/semaphore"

	"shoal/p2p"
)

const (
	connectTimeout = 8 * time.Second
	// After a failed attempt the next one is refused for a while, doubling from first to max.
	backoffFirst = 50 * time.Millisecond
	backoffMax   = 2 * time.Second
)

// link is everything this host has with one peer: its connections, the RPC session on one of them,
// the two queues of notifications, and the bulk connections. It exists from the first contact on
// and is never removed; there are at most as many as members.
type link struct {
	h   *Host
	id  p2p.NodeID
	pid peer.ID

	session atomic.Pointer[session]
	outbox  [2]outbox // indexed by class: control, bulk
	bulk    bulkPool
	share   *semaphore.Weighted         // of the host's budget for requests
	notes   *semaphore.Weighted         // bytes of notifications
	streams [len(carriers)]atomic.Int32 // that the peer has open to us

	mu       sync.Mutex
	conns    map[network.Conn]*connState
	ready    int // how many of conns have said hello
	hello    hello
	attempt  *attempt
	failures int
	retryAt  time.Time
	lastErr  error
	wake     chan struct{} // closed when ready becomes positive; nil if nobody waits
}

// connState is one control connection. done is closed when hello has ended, well or not.
type connState struct {
	done   chan struct{}
	once   sync.Once
	ok     atomic.Bool
	inward bool
	asked  atomic.Bool // the peer has begun its hello
}

func (cs *connState) finish() { cs.once.Do(func() { close(cs.done) }) }

// attempt is a connection attempt under way, which any number of callers wait for.
type attempt struct {
	done chan struct{}
	err  error
}

func newLink(h *Host, id p2p.NodeID, pid peer.ID) *link {
	l := &link{h: h, id: id, pid: pid, share: newShare(h.cfg.ReceiveMax), notes: semaphore.NewWeighted(notesMax), conns: make(map[network.Conn]*connState)}
	for class := range l.outbox {
		l.outbox[class].init(l, class == classBulk)
	}
	l.bulk.init(l)
	return l
}

// state returns the record of a connection, and makes it if this is the first we hear of it.
func (l *link) state(c network.Conn) *connState {
	l.mu.Lock()
	defer l.mu.Unlock()
	cs := l.conns[c]
	if cs == nil {
		cs = &connState{done: make(chan struct{}), inward: c.Stat().Direction == network.DirInbound}
		l.conns[c] = cs
	}
	return cs
}

// connected is told by the swarm of each new connection. Whoever dialled says hello.
func (l *link) connected(c network.Conn) {
	cs := l.state(c)
	if _, ok := l.h.door.inside(l.id); !ok || l.h.blockedControl(c) {
		// It was cut off between its handshake and now.
		cs.finish()
		l.h.tasks.start(func() { c.Close() })
		return
	}
	l.h.tasks.start(func() {
		if !cs.inward {
			l.helloOutbound(c, cs)
			return
		}
		t := time.NewTimer(helloTimeout)
		defer t.Stop()
		select {
		case <-cs.done:
		case <-l.h.tasks.ctx.Done():
		case <-t.C:
			c.Close()
		}
	})
}

// disconnected is told by the swarm when a connection is gone.
func (l *link) disconnected(c network.Conn) {
	l.mu.Lock()
	cs := l.conns[c]
	delete(l.conns, c)
	down := false
	if cs != nil && cs.ok.Load() {
		l.ready--
		down = l.ready == 0
	}
	if down {
		l.h.events.push(l.id, false)
	}
	l.mu.Unlock()
	if cs != nil {
		cs.finish()
	}
	if s := l.session.Load(); s != nil && s.conn == c {
		s.close(errDisconnected)
	}
	if down {
		// What is idle now was opened to a process that may be gone.
		l.bulk.closeIdle()
	}
}

// greeted marks a connection as ready for use.
func (l *link) greeted(c network.Conn, cs *connState, hi hello) {
	l.mu.Lock()
	if l.conns[c] == cs && !cs.ok.Swap(true) {
		l.hello = hi
		l.ready++
		l.failures, l.lastErr = 0, nil
		if l.ready == 1 {
			l.h.events.push(l.id, true)
		}
		if l.wake != nil {
			close(l.wake)
			l.wake = nil
		}
	}
	l.mu.Unlock()
	cs.finish()
	l.preferDirect()
}

// readyConn returns a connection that has said hello, the same one as long as it lives if possible;
// nil if there is none.
func (l *link) readyConn() network.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best network.Conn
	for c, cs := range l.conns {
		if cs.ok.Load() && !c.IsClosed() && better(c, best) {
			best = c
		}
	}
	return best
}

// up reports whether the peer is connected and checked.
func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready > 0
}

// peerHello returns what the peer said of itself last.
func (l *link) peerHello() hello {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hello
}

// open returns the RPC session, connecting first if need be. Callers share one attempt, which goes
// on when one of them gives up.
func (l *link) open(ctx context.Context) (*session, error) {
	if s := l.session.Load(); s != nil && !s.dead() {
		return s, nil
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	if s := l.session.Load(); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: session lost", p2p.ErrUnreachable)
}

// connect makes sure that there is a ready connection with an RPC session.
func (l *link) connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	a := l.attempt
	if a == nil {
		if l.lastErr != nil && time.Now().Before(l.retryAt) && l.ready == 0 {
			err := l.lastErr
			l.mu.Unlock()
			return err
		}
		a = &attempt{done: make(chan struct{})}
		l.attempt = a
		if !l.h.tasks.start(func() { l.runAttempt(a) }) {
			l.attempt = nil
			l.mu.Unlock()
			return p2p.ErrClosed
		}
	}
	l.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) runAttempt(a *attempt) {
	ctx, cancel := context.WithTimeout(l.h.tasks.ctx, connectTimeout)
	defer cancel()
	err := l.establish(ctx)
	l.mu.Lock()
	if err != nil {
		err = fmt.Errorf("%w: %w", p2p.ErrUnreachable, err)
		l.lastErr = err
		l.retryAt = time.Now().Add(min(backoffFirst<<min(l.failures, 10), backoffMax))
		l.failures++
	}
	a.err = err
	l.attempt = nil
	l.mu.Unlock()
	close(a.done)
}

// establish dials if there is no connection, waits for its hello and opens the session.
func (l *link) establish(ctx context.Context) error {
	if s := l.session.Load(); s != nil && !s.dead() {
		return nil
	}
	c := l.readyConn()
	if c == nil {
		var err error
		if c, err = l.dial(ctx); err != nil {
			return err
		}
	}
	s, err := openSession(ctx, l, c)
	if err != nil {
		return err
	}
	l.session.Store(s)
	if l.preferDirect(); l.session.Load() == nil {
		return l.establish(ctx) // a direct connection came meanwhile
	}
	return nil
}

// dial returns a connection that has said hello.
func (l *link) dial(ctx context.Context) (network.Conn, error) {
	if l.h.trust.Revoked(l.id) {
		return nil, errors.New("peer is revoked")
	}
	ctx = network.WithAllowLimitedConn(ctx, "shoal")
	l.h.sw.Backoff().Clear(l.pid) // we have a backoff of our own, of milliseconds
	c, err := l.h.sw.DialPeer(ctx, l.pid)
	if err != nil && l.h.cfg.Resolver != nil {
		found, rerr := l.h.cfg.Resolver.FindPeer(ctx, l.id)
		if rerr != nil {
			return nil, errors.Join(err, rerr)
		}
		l.h.addAddrs(l.pid, peerstore.TempAddrTTL, found) // of which any may be wrong
		l.h.sw.Backoff().Clear(l.pid)
		c, err = l.h.sw.DialPeer(ctx, l.pid)
	}
	if err != nil {
		return nil, err
	}
	cs := l.state(c)
	select {
	case <-cs.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if cs.ok.Load() {
		return c, nil
	}
	if other := l.readyConn(); other != nil {
		return other, nil
	}
	return nil, errors.New("peer did not accept the connection")
}

// cut closes everything to a peer. With forget set, so are its addresses.
func (l *link) cut(why error, forget bool) {
	l.h.sw.ClosePeer(l.pid)
	l.bulk.closeAll()
	if s := l.session.Load(); s != nil {
		s.close(why)
	}
	if forget {
		l.h.sw.Peerstore().ClearAddrs(l.pid)
	}
}

// addrs of the peer as it announced them, as text.
func addrTexts(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
