package discovery

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"shoal/p2p"
)

const (
	// nearMax bounds those found nearby that wait; further ones are dropped, and found again.
	nearMax = 64
	// strangersMax bounds how many peers found nearby are tried that the table does not know, in the
	// life of a process: anyone on the local network can invent them.
	strangersMax = 256
	nearRetry    = 5 * time.Second
)

// listenNear makes this node known on the local network and listens for others, until ctx ends.
func (d *DHT) listenNear(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s := mdns.NewMdnsService(d.cfg.Host, serviceName(d.cfg.Trust.Cluster().ID.String()), &neighbours{d: d, strangers: make(map[peer.ID]bool)})
		err := s.Start()
		if err == nil {
			<-ctx.Done()
		}
		s.Close()
		if ctx.Err() != nil {
			return
		}
		// The host does not listen yet, or there is no network to speak of.
		d.cfg.Log.Warn("not looking for members on the local network", "err", err)
		t.Reset(nearRetry)
	}
}

// serviceName is what members of one cluster look for.
func serviceName(cluster string) string { return "_shoal-" + cluster + "._udp" }

// neighbours takes what mDNS finds.
type neighbours struct {
	d         *DHT
	strangers map[peer.ID]bool // tried; used by one goroutine
}

// HandlePeerFound passes on who may be a member; the handshake finds out who is.
func (n *neighbours) HandlePeerFound(info peer.AddrInfo) {
	if !n.worth(info.ID) {
		return
	}
	select {
	case n.d.near <- info:
	default:
	}
}

func (n *neighbours) worth(pid peer.ID) bool {
	id := p2p.NodeID(pid.String())
	if n.d.cfg.Members != nil {
		for _, m := range n.d.cfg.Members() {
			if m.Peer == id {
				return true
			}
		}
	}
	if _, ok := n.d.cfg.Trust.Member(id); ok || n.strangers[pid] {
		return true
	}
	if len(n.strangers) >= strangersMax {
		return false
	}
	n.strangers[pid] = true
	return true
}
