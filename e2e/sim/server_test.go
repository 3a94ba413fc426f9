package sim

import (
	"errors"
	"time"

	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

// What a node answers about shards and owners: a model of node/server.

// pin says that a version is being read.
type pin struct {
	readers int
	renewed bool // by others than those readers, perhaps
	until   time.Time
}

// reign is since when a node leads a group.
type reign struct {
	term  uint64
	since time.Time
}

func (n *node) pin(v peer.VersionID, another bool) {
	p := n.pins[v]
	if another {
		p.readers++
	} else {
		p.renewed = true
	}
	p.until = n.clock().Add(peer.PinTTL)
	n.pins[v] = p
}

func (n *node) unpin(v peer.VersionID) {
	p, ok := n.pins[v]
	p.readers--
	switch {
	case !ok:
	case p.readers <= 0 && !p.renewed:
		delete(n.pins, v)
	default:
		p.readers = max(p.readers, 0)
		n.pins[v] = p
	}
}

func (n *node) pinned(v peer.VersionID) bool {
	p, ok := n.pins[v]
	if ok && n.clock().After(p.until) {
		delete(n.pins, v)
		return false
	}
	return ok
}

// sparePinned takes back the word that versions are dead which are being read.
func (n *node) sparePinned(g consensus.GroupID, owners []*meta.StreamOwner, states []meta.OwnerState) {
	if n.w.mutant == ignorePins || n.w.nobodyReads() {
		return
	}
	young := n.young(g)
	for i := range states {
		if states[i] == meta.OwnerState_OWNER_DEAD && (young || n.pinned(peer.VersionID(owners[i].GetVersion()))) {
			states[i] = meta.OwnerState_OWNER_UNKNOWN
		}
	}
}

func (n *node) young(g consensus.GroupID) bool {
	st, err := n.st.Status(g)
	if err != nil || !st.IsLeader {
		return true
	}
	if len(n.w.nodes) == 1 {
		return false
	}
	have, ok := n.reigns[g]
	if !ok || have.term != st.Term {
		have = reign{st.Term, n.clock()}
		n.reigns[g] = have
	}
	return n.clock().Sub(have.since) < peer.PinTTL
}

// errOwner says that an owner is not known to be dead.
var errOwner = errors.New("the owner's group does not say that it is dead")

func (n *node) drive(id peer.DriveID) *drive {
	for _, d := range n.drives {
		if d.id == id && !d.gone {
			return d
		}
	}
	return nil
}

// putShard stores a shard.
func (n *node) putShard(p *proc, at peer.DriveID, id shardstore.ID, s shard, o shardstore.Owner) error {
	d := n.drive(at)
	if d == nil {
		return errAway
	}
	return d.do(p, &driveOp{kind: putOp, id: id, shard: shard{k: s.k, m: s.m, content: s.content}, owner: o})
}

// bringShard stores a shard on a drive that may have it, and reads that first.
func (n *node) bringShard(p *proc, at peer.DriveID, id shardstore.ID, s shard, o shardstore.Owner) error {
	d := n.drive(at)
	if d == nil {
		return errAway
	}
	if _, err := d.read(p, id); err == nil {
		return nil
	}
	return n.putShard(p, at, id, s, o)
}

// addOwner adds an owner to shards. The error is shardstore.ErrNotFound when one of them is not there.
func (n *node) addOwner(p *proc, at peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	d := n.drive(at)
	if d == nil {
		return errAway
	}
	var first error
	for _, id := range ids {
		if err := d.do(p, &driveOp{kind: addOp, id: id, owner: o}); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// dropOwner takes a dead owner off shards, after its group has said that it is dead.
func (n *node) dropOwner(p *proc, at peer.DriveID, ids []shardstore.ID, o shardstore.Owner) error {
	d := n.drive(at)
	if d == nil {
		return errAway
	}
	if n.w.mutant != dropUnasked {
		states, err := n.ownerStates(p, consensus.GroupID(o.Group), []shardstore.Owner{o})
		if err != nil {
			return err
		}
		if states[0] != meta.OwnerState_OWNER_DEAD {
			return errOwner
		}
	}
	for _, id := range ids {
		if err := d.do(p, &driveOp{kind: dropOp, id: id, owner: o}); err != nil && !errors.Is(err, shardstore.ErrNotFound) {
			return err
		}
	}
	return nil
}

func streamOwners(os []shardstore.Owner) []*meta.StreamOwner {
	out := make([]*meta.StreamOwner, len(os))
	for i := range os {
		out[i] = &meta.StreamOwner{Version: os[i].Version[:], Stream: os[i].Stream}
	}
	return out
}
