package network

import (
	"sync"

	"shoal/node/peer"
	"shoal/p2p"
)

// Remotes finds members over a transport.
type Remotes struct {
	Transport p2p.Transport

	mu    sync.RWMutex // guards both
	byID  map[p2p.NodeID]*peer.Remote
	known []p2p.NodeID
}

// Node gives the way to a member.
func (r *Remotes) Node(id p2p.NodeID) peer.Node {
	r.mu.RLock()
	n := r.byID[id]
	r.mu.RUnlock()
	if n != nil {
		return n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[p2p.NodeID]*peer.Remote)
	}
	n = r.byID[id]
	if n == nil {
		n = peer.NewRemote(r.Transport, id)
		r.byID[id] = n
	}
	return n
}

// Nodes lists the members that keep metadata.
func (r *Remotes) Nodes() []p2p.NodeID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.known
}

// SetNodes says which members keep metadata.
func (r *Remotes) SetNodes(ids []p2p.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = ids
}
