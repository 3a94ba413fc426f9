package network

import (
	"maps"
	"slices"

	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// Directory finds members: this one without a socket, if it is a node, others over the transport.
// It implements client.Directory.
type Directory struct {
	Remotes
	self  p2p.NodeID
	local peer.Node // nil for a gateway
}

func newDirectory(h *transport.Host) *Directory {
	return &Directory{Remotes: Remotes{Transport: h}, self: h.Self()}
}

// Serve makes this member a node, which is asked directly. It belongs before anything is asked.
func (d *Directory) Serve(local peer.Node) {
	d.local = local
	if len(d.Nodes()) == 0 {
		d.SetNodes([]p2p.NodeID{d.self}) // until the member table names others
	}
}

// Node implements client.Directory.
func (d *Directory) Node(id p2p.NodeID) peer.Node {
	if id == d.self && d.local != nil {
		return d.local
	}
	return d.Remotes.Node(id)
}

// setNodes says which members are nodes; this one comes first, if it is among them.
func (d *Directory) setNodes(known map[p2p.NodeID][]string) {
	if len(known) == 0 {
		return
	}
	ids := slices.Sorted(maps.Keys(known))
	if i := slices.Index(ids, d.self); i > 0 {
		ids = slices.Insert(slices.Delete(ids, i, i+1), 0, d.self)
	}
	d.SetNodes(ids)
}
