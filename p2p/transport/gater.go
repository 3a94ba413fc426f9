package transport

import (
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p"
	"shoal/p2p/member"
)

// gater refuses revoked peers and blocked addresses wherever libp2p asks. Membership itself is decided in the handshake;
// this is what a handshake cannot do: not dial at all, and close the gap between the handshake and
// a revocation that arrives meanwhile.
type gater struct {
	trust *member.Trust
	guard *guard
}

var _ connmgr.ConnectionGater = gater{}

func (g gater) allowed(p peer.ID) bool { return !g.trust.Revoked(p2p.NodeID(p.String())) }

func (g gater) member(p peer.ID) bool {
	_, ok := g.trust.Member(p2p.NodeID(p.String()))
	return ok
}

func (g gater) InterceptPeerDial(p peer.ID) bool { return g.allowed(p) }
func (g gater) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	return g.allowed(p) && !g.guard.blocks(addrOfMultiaddr(a))
}
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.member(p)
}

func (g gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.member(c.RemotePeer()), 0
}
