package network

import (
	"sync"
	"time"

	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
)

// health remembers since when members are thought to be what they are.
type health struct {
	started time.Time

	mu    sync.Mutex // guards since
	since map[p2p.NodeID]time.Time
}

func (h *health) note(id p2p.NodeID, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since == nil {
		h.since = make(map[p2p.NodeID]time.Time)
	}
	h.since[id] = now
}

func (n *Network) statusChanged(e gossip.Event) {
	n.cfg.Log.Info("a member's status changed", "node_id", e.Peer, "status", e.Status.String())
	n.health.note(e.Peer, time.Now())
	n.cfg.OnStatus(e)
}

// Liveness is what is thought of a member, and since when; of one that has not changed, since this
// member started. 0 for one that is not watched.
func (n *Network) Liveness(id p2p.NodeID) (gossip.Status, time.Time) {
	if id == n.self {
		return gossip.Alive, n.health.started
	}
	n.health.mu.Lock()
	since, ok := n.health.since[id]
	n.health.mu.Unlock()
	if !ok {
		since = n.health.started
	}
	return n.detector.Status(id), since
}

// Alive tells whether a member is not thought to be dead.
func (n *Network) Alive(id p2p.NodeID) bool {
	s, _ := n.Liveness(id)
	return s != gossip.Dead && s != gossip.Left
}

// farRoundTrip is from how long a round trip on a member of another site is far: sites may be parts of
// one building.
const farRoundTrip = 10 * time.Millisecond

// Far tells whether a member is at another site and a long way off, as far as is known.
func (n *Network) Far(id p2p.NodeID) bool {
	if n.detector.RoundTrip(id) < farRoundTrip {
		return false
	}
	site, ok := n.Table.Site(id)
	return ok && site != n.cfg.Self.Site
}

// levelFor is for how long a level that was found is used.
const levelFor = time.Second

// level remembers up to which level all members understand each other.
type level struct {
	mu    sync.Mutex // guards all
	found uint32
	until time.Time
}

// Level is up to which level of commands and formats all members understand each other (docs/formats/metadata.md), as they have said by gossip: 0 while
// one of them has not said it.
func (n *Network) Level() uint32 {
	n.level.mu.Lock()
	defer n.level.mu.Unlock()
	now := time.Now()
	if now.Before(n.level.until) {
		return n.level.found
	}
	n.level.found = leastLevel(n.Table.List(), func(id p2p.NodeID) uint32 {
		r, _ := n.Gossip.Get(id)
		return r.Level
	}, n.cfg.Self.Level)
	n.level.until = now.Add(levelFor)
	return n.level.found
}

// leastLevel is the least of what members have said, and of this one's own level.
func leastLevel(members []member.Member, said func(p2p.NodeID) uint32, own uint32) uint32 {
	for _, m := range members {
		if m.State != member.StateLeft {
			own = min(own, said(m.Peer))
		}
	}
	return own
}
