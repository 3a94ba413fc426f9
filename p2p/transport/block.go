package transport

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p"
)

// Block replaces the rules for addresses: what comes from one for which blocked is true is closed before its
// handshake, none is dialled, and connections that there are are cut before Block returns. blocked must not wait, and
// is not asked where there is no address; nil blocks nothing.
func (h *Host) Block(blocked func(netip.Addr) bool) {
	h.guard.block(blocked)
	var cut sync.WaitGroup // one peer that takes nothing must not keep the others connected
	defer cut.Wait()
	found := make(map[p2p.NodeID]bool)
	for _, c := range h.sw.Conns() {
		id := p2p.NodeID(c.RemotePeer().String())
		if found[id] || !h.blockedControl(c) {
			continue
		}
		found[id] = true
		h.log.Warn("connections to peer closed: its address is blocked", "node_id", id, "addr", c.RemoteMultiaddr().String())
		cut.Go(func() {
			h.inbound.closePeer(id)
			h.Disconnect(id)
		})
	}
	cut.Go(func() { h.inbound.closeWhere(h.blockedConn) })
	for _, l := range h.allLinks() {
		cut.Go(func() { l.bulk.closeWhere(h.blockedConn) })
	}
}

// Remotes gives the addresses, as IP, that peers are connected from or at; relayed ones are left out.
func (h *Host) Remotes() map[p2p.NodeID][]netip.Addr {
	out := make(map[p2p.NodeID][]netip.Addr)
	for _, c := range h.sw.Conns() {
		if a := addrOfMultiaddr(c.RemoteMultiaddr()); a.IsValid() && !limited(c) {
			id := p2p.NodeID(c.RemotePeer().String())
			out[id] = append(out[id], a)
		}
	}
	return out
}

// AddrOf is the IP address in the text of a multiaddr; invalid where it has none, or is one of a relay.
func AddrOf(multiaddr string) netip.Addr {
	a, err := ma.NewMultiaddr(multiaddr)
	if err != nil || viaRelay(a) {
		return netip.Addr{}
	}
	return addrOfMultiaddr(a)
}

// addrOfMultiaddr is the IP address that packets go to; invalid where there is none.
func addrOfMultiaddr(a ma.Multiaddr) netip.Addr {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// blockedControl and blockedConn tell of an open connection whether it may not be. They are asked once it can be
// found, too: one that Block has missed asks after it.
func (h *Host) blockedControl(c network.Conn) bool {
	return h.guard.blocks(addrOfMultiaddr(c.RemoteMultiaddr()))
}

func (h *Host) blockedConn(c *bulkConn) bool {
	p, ok := c.bulkPipe.(tcpPipe) // others end with their control connection
	return ok && h.guard.blocks(addrOf(p.raw.RemoteAddr()))
}

// block replaces the rules, and closes the handshakes under way that they are against.
func (g *guard) block(blocked func(netip.Addr) bool) {
	var out []*guarded
	g.mu.Lock()
	g.blocked = blocked
	for e := g.waiting.Front(); e != nil; {
		c := e.Value.(*guarded)
		e = e.Next()
		if g.blocksLocked(addrOf(c.Conn.RemoteAddr())) {
			g.settleLocked(c, reasonBlocked)
			out = append(out, c)
		}
	}
	g.mu.Unlock()
	for _, c := range out {
		c.Conn.Close()
		g.report(c, reasonBlocked, nil)
	}
}

// blocks tells whether the rules are against an address.
func (g *guard) blocks(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.blocksLocked(a)
}

func (g *guard) blocksLocked(a netip.Addr) bool {
	return g.blocked != nil && a.IsValid() && g.blocked(a)
}
