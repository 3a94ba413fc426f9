package transport

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p"
)

// What one relay carries. A circuit has limits, though ones that nobody reaches, because libp2p
// marks only those that have: we use such a connection where we say so, and nowhere by accident.
const (
	relayDuration     = 24 * time.Hour
	relayBytes        = 1 << 40 // in each direction
	relayReservations = 1024
	relayCircuits     = 256 // per peer
	relayBuffer       = 64 << 10
)

// nat is what lets members meet that cannot dial each other: on a member that can be dialled the
// relay, on an edge the search for relays and the punching of holes. Which of the two a node is, its
// operator says; nothing is guessed from the outside.
type nat struct {
	relay *relay.Relay
	punch *holepunch.Service
	edge  *edge // nil unless Config.RelayOnly
}

// startNAT belongs before the first dial and after the ports are bound.
func (h *Host) startNAT(up transport.Upgrader) error {
	if err := circuit.AddTransport(h.bh, up); err != nil {
		return fmt.Errorf("relayed connections: %w", err)
	}
	var err error
	if h.nat.edge == nil {
		h.nat.relay, err = relay.New(h.bh,
			relay.WithResources(relay.Resources{
				Limit:                 &relay.RelayLimit{Duration: relayDuration, Data: relayBytes},
				ReservationTTL:        time.Hour,
				MaxReservations:       relayReservations,
				MaxCircuits:           relayCircuits,
				BufferSize:            relayBuffer,
				MaxReservationsPerIP:  relayReservations, // a site is behind one address
				MaxReservationsPerASN: relayReservations,
			}),
			relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }),
			relay.WithACL(relayACL{h}))
		return err
	}
	h.nat.punch, err = holepunch.NewService(h.bh, h.bh.IDService(), h.nat.edge.punchAddrs)
	if err != nil {
		return err
	}
	return h.nat.edge.start()
}

func (n *nat) close() {
	if n.relay != nil {
		n.relay.Close()
	}
	if n.punch != nil {
		n.punch.Close()
	}
}

// relayACL lets members that have said hello reserve a slot, and members reach members.
type relayACL struct{ h *Host }

func (a relayACL) member(pid peer.ID) bool {
	_, ok := a.h.door.inside(p2p.NodeID(pid.String()))
	return ok
}

func (a relayACL) AllowReserve(pid peer.ID, _ ma.Multiaddr) bool {
	return a.member(pid) && a.h.linkOf(pid).up()
}

func (a relayACL) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return a.member(src) && a.member(dest)
}

// limited reports whether a connection is relayed.
func limited(c network.Conn) bool { return c != nil && c.Stat().Limited }

// viaRelay reports whether an address leads through a relay.
func viaRelay(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// withoutRelays keeps the addresses that can be dialled as they are.
func withoutRelays(addrs []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range addrs {
		if !viaRelay(a) {
			out = append(out, a)
		}
	}
	return out
}

// dialable lists the addresses in a hello that lead to the peer itself.
func (m *hello) dialable() []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, text := range m.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil && !viaRelay(a) {
			out = append(out, a)
		}
	}
	return out
}

// announced is what libp2p tells others about our addresses: the same as Addrs, as far as it can
// be dialled.
func (h *Host) announced(listening []ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, text := range h.cfg.Announce {
		if a, err := ma.NewMultiaddr(text); err == nil {
			out = append(out, a)
		}
	}
	switch {
	case h.nat.edge != nil:
		return append(out, h.nat.edge.addrs()...)
	case len(out) > 0:
		return out
	}
	return withoutRelays(listening)
}

// reverse makes an edge dial a peer whose connection came through a relay, if that peer can be
// dialled: what the peer could not do to us, we can do to it.
func (l *link) reverse(hi hello) {
	addrs := hi.dialable()
	if l.h.nat.edge == nil || len(addrs) == 0 || !limited(l.readyConn()) {
		return
	}
	l.h.AddPeer(l.id, addrTexts(addrs)...)
	l.h.tasks.start(func() {
		ctx, cancel := contextWithTimeout(l.h, connectTimeout)
		defer cancel()
		l.h.sw.Backoff().Clear(l.pid)
		if _, err := l.h.sw.DialPeer(network.WithForceDirectDial(ctx, "shoal"), l.pid); err != nil {
			l.h.log.Debug("peer cannot be dialled, its connection stays on the relay", "node_id", l.id, "err", err)
		}
	})
}

// preferDirect takes the session off a relayed connection once there is a direct one. Calls under
// way on it go on; the relayed connection stays as a spare.
func (l *link) preferDirect() {
	if s := l.session.Load(); s != nil && limited(s.conn) && l.direct() {
		l.session.CompareAndSwap(s, nil)
	}
}

// direct reports whether the peer is connected without a relay.
func (l *link) direct() bool {
	c := l.readyConn()
	return c != nil && !limited(c)
}

// better reports whether connection a is to be used rather than b: a direct one before a relayed
// one, then the older, so that both ends and all calls agree.
func better(a, b network.Conn) bool {
	if b == nil {
		return true
	}
	as, bs := a.Stat(), b.Stat()
	if as.Limited != bs.Limited {
		return !as.Limited
	}
	return as.Opened.Before(bs.Opened)
}

// usefulToOthers reports whether an address may mean something to a peer elsewhere.
func usefulToOthers(a ma.Multiaddr) bool {
	return !viaRelay(a) && !manet.IsIPLoopback(a) && !manet.IsIPUnspecified(a) && !manet.IsIP6LinkLocal(a)
}
