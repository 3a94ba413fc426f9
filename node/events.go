package node

import (
	"shoal/node/consensus"
	"shoal/p2p/gossip"
)

// layoutChanged hears of a placement epoch that another member has seen.
func (n *Node) layoutChanged(epoch uint64) {
	if n.control != nil {
		n.client.LayoutChanged(epoch)
		n.repair.LayoutChanged(epoch)
	}
}

// layoutFetched hears of the epoch that this node works with from now on, whoever has asked for it.
func (n *Node) layoutFetched(epoch uint64) {
	n.net.SetLayout(epoch)
	select {
	case n.layoutTaken <- struct{}{}:
	default:
	}
	if n.repair != nil {
		n.repair.LayoutChanged(epoch)
	}
}

// statusChanged hears what the failure detector thinks of a member. Groups that a suspect leads hold
// elections at once: a wrong suspicion costs an election and nothing else.
func (n *Node) statusChanged(e gossip.Event) {
	if n.host == nil || n.control == nil {
		return // it is still being opened
	}
	n.control.Poke()
	n.repair.NodesChanged()
	switch e.Status {
	case gossip.Alive:
		n.host.PeerUp(consensus.NodeID(e.Peer))
	default:
		n.host.PeerDown(consensus.NodeID(e.Peer))
	}
}

// membersChanged hears that the member table has changed.
func (n *Node) membersChanged() {
	if n.control != nil {
		n.control.Poke()
		n.repair.NodesChanged()
	}
}
