package transport

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p/member"
)

// reason is why a connection was refused before it could ask for anything.
type reason uint8

const (
	reasonNone       reason = iota
	reasonRate              // too many of its address have failed lately
	reasonFull              // too many handshakes at once
	reasonSlow              // it did not come to an end in time, or said nothing when room was needed
	reasonHandshake         // no handshake of ours, or one that failed
	reasonCredential        // shows none, or one that nobody of ours has signed
	reasonCluster           // credential of another cluster
	reasonExpired           // or not valid yet
	reasonOtherPeer         // credential of somebody else
	reasonRevoked           //
	reasonTable             // not in the member table
	reasonJoin              // not admitted
	reasonBlocked           // the operator's rules block its address
)

// reasons are the values of the label of that name.
var reasons = [...]string{
	"none", "rate", "full", "slow", "handshake", "credential", "other_cluster", "expired", "other_peer", "revoked",
	"not_in_table", "join", "blocked",
}

// reasonOf classifies what a handshake or a join ended with.
func reasonOf(err error) reason {
	var refused *refusedError
	var timeout net.Error
	switch {
	case err == nil:
		return reasonNone
	case errors.As(err, &refused):
		return reasonTable
	case errors.Is(err, member.ErrOtherCluster):
		return reasonCluster
	case errors.Is(err, member.ErrExpired), errors.Is(err, member.ErrNotYetValid):
		return reasonExpired
	case errors.Is(err, member.ErrOtherPeer):
		return reasonOtherPeer
	case errors.Is(err, member.ErrRevoked):
		return reasonRevoked
	case errors.Is(err, member.ErrNoCredential), errors.Is(err, member.ErrMalformed), errors.Is(err, member.ErrSignature):
		return reasonCredential
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return reasonSlow
	case errors.Is(err, errNotAdmitted):
		return reasonJoin
	}
	return reasonHandshake
}

// plane is one of the three listeners.
type plane uint8

const (
	planeControl plane = iota
	planeBulk
	planeJoin
)

// planes are the values of the label of that name.
var planes = [...]string{"control", "bulk", "join"}

// guarded is an accepted connection that the guard counts until its handshake has ended. Methods
// may be called on nil, which is a connection that came another way.
type guarded struct {
	net.Conn
	g      *guard
	plane  plane
	origin netip.Addr
	at     time.Time

	place *list.Element // among those under way; under the guard's lock
	spoke atomic.Bool   // anything was read
	taken atomic.Bool   // somebody will settle it, whatever Close does
}

func (c *guarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.spoke.Load() {
		c.spoke.Store(true)
	}
	return n, err
}

// Close settles a connection that never came as far as our handshake.
func (c *guarded) Close() error {
	if !c.taken.Load() {
		r := reasonHandshake
		if !c.spoke.Load() {
			r = reasonSlow
		}
		c.g.settle(c, r, nil)
	}
	return c.Conn.Close()
}

// take makes the caller the one who settles.
func (c *guarded) take() {
	if c != nil {
		c.taken.Store(true)
	}
}

// settle ends the handshake with its error.
func (c *guarded) settle(err error) {
	if c != nil {
		c.g.settle(c, reasonOf(err), err)
	}
}

// guardedConn is a guarded connection as libp2p's TCP transport wants it.
type guardedConn struct {
	*guarded
	manet.Conn
}

func (c *guardedConn) Read(b []byte) (int, error)         { return c.guarded.Read(b) }
func (c *guardedConn) Write(b []byte) (int, error)        { return c.guarded.Write(b) }
func (c *guardedConn) Close() error                       { return c.guarded.Close() }
func (c *guardedConn) LocalAddr() net.Addr                { return c.guarded.LocalAddr() }
func (c *guardedConn) RemoteAddr() net.Addr               { return c.guarded.RemoteAddr() }
func (c *guardedConn) SetDeadline(t time.Time) error      { return c.guarded.SetDeadline(t) }
func (c *guardedConn) SetReadDeadline(t time.Time) error  { return c.guarded.SetReadDeadline(t) }
func (c *guardedConn) SetWriteDeadline(t time.Time) error { return c.guarded.SetWriteDeadline(t) }
func (c *guardedConn) LocalMultiaddr() ma.Multiaddr       { return c.Conn.LocalMultiaddr() }
func (c *guardedConn) RemoteMultiaddr() ma.Multiaddr      { return c.Conn.RemoteMultiaddr() }

// tcpOptions are what libp2p sets on each TCP connection.
type tcpOptions interface {
	SetLinger(sec int) error
	SetKeepAlive(on bool) error
	SetKeepAlivePeriod(d time.Duration) error
}

func (c *guardedConn) option(f func(tcpOptions) error) error {
	if o, ok := c.Conn.(tcpOptions); ok {
		return f(o)
	}
	return nil
}

// SetLinger and its neighbours pass on what libp2p sets.
func (c *guardedConn) SetLinger(sec int) error {
	return c.option(func(o tcpOptions) error { return o.SetLinger(sec) })
}

// SetKeepAlive is that of net.TCPConn.
func (c *guardedConn) SetKeepAlive(on bool) error {
	return c.option(func(o tcpOptions) error { return o.SetKeepAlive(on) })
}

// SetKeepAlivePeriod is that of net.TCPConn.
func (c *guardedConn) SetKeepAlivePeriod(d time.Duration) error {
	return c.option(func(o tcpOptions) error { return o.SetKeepAlivePeriod(d) })
}

// guardedOf returns the guarded connection below what libp2p hands to our handshake, or nil.
func guardedOf(conn net.Conn) *guarded {
	if c, ok := conn.(*guardedConn); ok {
		return c.guarded
	}
	return nil
}

// guardedUpgrader puts the guard before the listeners of libp2p's TCP transport.
type guardedUpgrader struct {
	transport.Upgrader
	g *guard
}

// GateMaListener is that of the upgrader below.
func (u guardedUpgrader) GateMaListener(l manet.Listener) transport.GatedMaListener {
	return u.Upgrader.GateMaListener(guardedListener{l, u.g})
}

type guardedListener struct {
	manet.Listener
	g *guard
}

// Accept passes on the connections that the guard admits.
func (l guardedListener) Accept() (manet.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c, ok := l.g.admit(planeControl, conn); ok {
			return &guardedConn{guarded: c, Conn: conn}, nil
		}
	}
}
