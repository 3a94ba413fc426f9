package node

import (
	"crypto/ed25519"
	"errors"
	"sync/atomic"

	"shoal/node/api"
	"shoal/node/network"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// witnesses implements api.Witnesses over the network of a node or gateway.
type witnesses struct {
	id   *transport.Identity
	net  *network.Network // set before the process runs
	hear atomic.Pointer[func(from string, text []byte)]
}

// Witnesses are the other members, as the node's own gateway needs them.
func (n *Node) Witnesses() api.Witnesses { return &n.witnesses }

// Witnesses are the other members.
func (g *Gateway) Witnesses() api.Witnesses { return &g.witnesses }

// Self implements api.Witnesses.
func (w *witnesses) Self() string { return string(w.id.NodeID()) }

// Sign implements api.Witnesses.
func (w *witnesses) Sign(message []byte) []byte {
	sig, err := w.id.Sign(message)
	if err != nil {
		panic(err) // an Ed25519 key signs whatever it is given
	}
	return sig
}

// KeyOf implements api.Witnesses.
func (w *witnesses) KeyOf(peerID string) (ed25519.PublicKey, error) {
	return transport.PublicKey(p2p.NodeID(peerID))
}

// Tell implements api.Witnesses.
func (w *witnesses) Tell(text []byte) error {
	if w.net == nil {
		return errors.New("the network is not open")
	}
	return w.net.Gossip.Checkpoint(text)
}

// Listen implements api.Witnesses.
func (w *witnesses) Listen(f func(from string, text []byte)) { w.hear.Store(&f) }

// heard takes what a member has said.
func (w *witnesses) heard(from p2p.NodeID, text []byte) {
	if f := w.hear.Load(); f != nil {
		(*f)(string(from), text)
	}
}
