package edge

import (
	"errors"
	"net"
	"sync"
)

const (
	// gatherPlain is what a connection without TLS holds while it gathers: the first write of an answer, which fills the buffer that
	// net/http has behind the head.
	gatherPlain = 4 << 10
	// gatherSecure is what one with TLS holds, which writes each record by itself.
	gatherSecure = 64 << 10
	// gatherMost is how much of a write is held; what is longer is written at once, behind what is held. A record of TLS is not longer
	// (RFC 8446, section 5.2).
	gatherMost = 5 + 16<<10 + 256
)

// gatherer is a connection that can hold what is written, to write it with what comes next: each write wakes who reads.
type gatherer struct {
	net.Conn
	pool *sync.Pool

	// mu guards what follows: TLS writes of itself too.
	mu   sync.Mutex
	held *[]byte // nil while nothing is held
	on   bool
	two  [2][]byte // what is written at once
	list net.Buffers
}

func gatherPool(secure bool) *sync.Pool {
	size := gatherPlain
	if secure {
		size = gatherSecure
	}
	return &sync.Pool{New: func() any {
		b := make([]byte, 0, size)
		return &b
	}}
}

// NetConn gives the connection that is written to.
func (g *gatherer) NetConn() net.Conn { return g.Conn }

// CloseWrite ends the answers. net/http does so before it closes a connection on which there may be more of a request than it has read:
// closed at once, it would be reset, and the client might lose the answer.
func (g *gatherer) CloseWrite() error { return closeWrite(g.Conn) }

// closeWrite calls CloseWrite where a connection has it.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// gather holds what is written from here on.
func (g *gatherer) gather() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = true
}

// release writes what is held. When that fails the connection is closed: whoever has written holds it for sent.
func (g *gatherer) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = false
	if g.held == nil {
		return nil
	}
	_, err := g.write(nil)
	if err != nil {
		g.Conn.Close()
	}
	return err
}

// Write writes p, or holds it.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	if !g.on {
		g.mu.Unlock()
		return g.Conn.Write(p)
	}
	defer g.mu.Unlock()
	switch {
	case g.held != nil:
	case len(p) > gatherMost: // nothing would be gained
		return g.Conn.Write(p)
	default:
		g.held = g.pool.Get().(*[]byte)
	}
	if room := cap(*g.held) - len(*g.held); len(p) <= min(room, gatherMost) {
		*g.held = append(*g.held, p...)
		return len(p), nil
	}
	return g.write(p)
}

// write writes what is held and p, and counts what was written of p. The caller holds mu.
func (g *gatherer) write(p []byte) (int, error) {
	held := g.held
	before := int64(len(*held))
	g.two = [...][]byte{*held, p}
	g.list = g.two[:]
	n, err := g.list.WriteTo(g.Conn)
	*held = (*held)[:0]
	g.pool.Put(held)
	g.held, g.list, g.two = nil, nil, [2][]byte{}
	return int(max(n-before, 0)), err
}
