package edge

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// connTable counts connections and knows which of them wait for a request.
type connTable struct {
	max          int
	perSourceMax atomic.Int64
	gathers      *sync.Pool // of *[]byte, what gathering connections hold
	proxies      *Proxies   // whose addresses stand for many clients
	turned       *turned

	mu      sync.Mutex
	conns   map[net.Conn]*tracked // guarded by mu
	sources map[netip.Addr]int64  // guarded by mu
	idle    *list.List            // of *tracked, longest idle first; guarded by mu
	refused uint64                // guarded by mu
	evicted uint64                // guarded by mu
}

// tracked is one connection. net/http may show it wrapped in TLS, so it is found by
// its transport connection.
type tracked struct {
	gatherer
	source  netip.Addr
	waiting *list.Element // in idle, or nil while a request is served
}

func newConnTable(l Limits, p *Proxies, t *turned, secure bool) *connTable {
	return &connTable{
		max: l.ConnectionsMax, proxies: p, turned: t, gathers: gatherPool(secure),
		conns: make(map[net.Conn]*tracked), sources: make(map[netip.Addr]int64), idle: list.New(),
	}
}

// admit takes a new connection in, making room if need be. It returns nil when the
// connection must be closed.
func (t *connTable) admit(conn net.Conn) (one *tracked) {
	address := addressOf(conn)
	source := SourceBlock(address)
	var victim *tracked
	reason := bySource
	t.mu.Lock()
	ok := address.IsLoopback() || t.proxies.trusts(address) || t.sources[source] < t.perSourceMax.Load()
	if ok && len(t.conns) >= t.max {
		if first := t.idle.Front(); first != nil {
			victim = first.Value.(*tracked)
			t.drop(victim)
			t.evicted++
		} else {
			ok, reason = false, byTotal
		}
	}
	if ok {
		one = &tracked{gatherer: gatherer{Conn: conn, pool: t.gathers}, source: source}
		one.waiting = t.idle.PushBack(one)
		t.conns[conn] = one
		t.sources[source]++
	} else {
		t.refused++
	}
	t.mu.Unlock()
	if victim != nil {
		victim.Conn.Close()
		t.turned.note(forOthers, victim.source)
	}
	if !ok {
		t.turned.note(reason, address)
	}
	return one
}

// drop forgets a connection. The caller holds mu.
func (t *connTable) drop(one *tracked) {
	delete(t.conns, one.Conn)
	if one.waiting != nil {
		t.idle.Remove(one.waiting)
		one.waiting = nil
	}
	if t.sources[one.source]--; t.sources[one.source] <= 0 {
		delete(t.sources, one.source)
	}
}

// state follows a connection through its life; it is http.Server.ConnState. A
// connection whose request head has not come whole counts as idle: net/http calls it
// active from its first byte on, so it is the request that makes it busy.
func (t *connTable) state(conn net.Conn, s http.ConnState) {
	if s != http.StateIdle && s != http.StateClosed && s != http.StateHijacked {
		return
	}
	conn = transportOf(conn)
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.conns[conn]
	if one == nil {
		return
	}
	switch {
	case s != http.StateIdle:
		t.drop(one)
	case one.waiting == nil:
		one.waiting = t.idle.PushBack(one)
	default:
		t.idle.MoveToBack(one.waiting)
	}
}

// busy marks a connection as serving a request.
func (t *connTable) busy(one *tracked) {
	t.mu.Lock()
	if one.waiting != nil {
		t.idle.Remove(one.waiting)
		one.waiting = nil
	}
	t.mu.Unlock()
}

// find gives the entry of a connection, nil when it was dropped.
func (t *connTable) find(conn net.Conn) *tracked {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[transportOf(conn)]
}

func (t *connTable) counts() Connections {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Connections{Open: len(t.conns), Refused: t.refused, Evicted: t.evicted}
}

// transportOf gives the connection under TLS and the PROXY protocol.
func transportOf(conn net.Conn) net.Conn {
	for {
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = under.NetConn()
	}
}

func addressOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// countedListener admits connections to a table.
type countedListener struct {
	net.Listener
	table   *connTable
	refuses func(netip.Addr) bool
}

// Accept gives the next connection that is admitted; others are closed at once.
func (l *countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.refuses(addressOf(conn)) {
			if one := l.table.admit(conn); one != nil {
				return one, nil
			}
		}
		conn.Close()
	}
}
