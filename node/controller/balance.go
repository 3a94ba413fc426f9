package controller

import (
	"cmp"
	"maps"
	"slices"

	"shoal/node/consensus"
)

// rebalance looks at a group that has the voters it should. A learner it still has is either on its way to replace a voter for a better
// spread, or superfluous; without one, such a move may be begun.
func (p *planner) rebalance(g *Group) string {
	st := g.Status
	if len(st.Learners) == 0 {
		return p.beginMove(g)
	}
	l := st.Learners[0]
	from, ok := p.moveOn(g, l.Node)
	switch {
	case !ok || len(st.Learners) > 1:
		return p.change(g, consensus.Change{Remove: idsOf(st.Learners)})
	case p.allAlive(g, st.Voters) && p.caughtUp(g, l.Node, l.Replica):
		return p.swap(g, []consensus.ReplicaID{l.Replica}, []Replica{from})
	}
	return "waits until the learner on " + string(l.Node) + " has caught up and all voters are alive"
}

// beginMove takes the first step of a move that makes the spread better.
func (p *planner) beginMove(g *Group) string {
	if !p.settled || !p.allAlive(g, g.Status.Voters) {
		return ""
	}
	for _, k := range p.choose(g, g.Status.Voters, len(p.nodes)) {
		var ok bool
		if k.created != 0 {
			_, ok = p.moveOn(g, k.node)
		} else {
			_, ok = p.moveTo(g, k.node, 2)
		}
		if ok && p.hasRoom(g.ID, k.node) {
			return p.addLearners(g, []pick{k})
		}
	}
	return ""
}

// moveOn is moveTo for a move that has begun: the node counts without the replica that came by it.
func (p *planner) moveOn(g *Group, n consensus.NodeID) (Replica, bool) {
	p.replicas[n]--
	defer func() { p.replicas[n]++ }()
	return p.moveTo(g, n, 1)
}

// moveTo finds the voter that a node should replace, if that makes the group's spread over sites better, or else, with the same
// spread, the number of replicas of two nodes more even. A move is begun only for a difference of two, so that it is never undone.
func (p *planner) moveTo(g *Group, n consensus.NodeID, differenceMin int) (Replica, bool) {
	sites := p.sitesOf(g.Status.Voters)
	gain := func(v Replica) int { // in spread over sites
		from, to := p.siteOf(v.Node), p.siteOf(n)
		if from == to {
			return 0
		}
		return sites[from] - sites[to] - 1
	}
	better := func(v Replica) bool {
		return gain(v) > 0 || gain(v) == 0 && p.replicas[v.Node]-p.replicas[n] >= differenceMin
	}
	fit := slices.DeleteFunc(slices.Clone(g.Status.Voters), func(v Replica) bool { return !better(v) })
	if len(fit) == 0 {
		return Replica{}, false
	}
	return fit[extreme(fit, func(a, b Replica) int {
		return cmp.Or(
			cmp.Compare(gain(a), gain(b)),
			cmp.Compare(p.replicas[a.Node], p.replicas[b.Node]),
			-compareBool(a == g.Status.Leader, b == g.Status.Leader),
		)
	})], true
}

// evenShare is how many leaderships each node has when all have as many.
func (p *planner) evenShare() int {
	alive := 0
	for _, m := range p.nodes {
		if p.usable(m.Node) {
			alive++
		}
	}
	return (len(p.s.Groups) + alive - 1) / max(alive, 1)
}

// balanceLeaders moves one leadership from the node that has most to one that has fewer, when it has more than its share and one.
func (p *planner) balanceLeaders() {
	share := p.evenShare() + 1
	over := slices.DeleteFunc(slices.Sorted(maps.Keys(p.leaders)), func(n consensus.NodeID) bool { return p.leaders[n] <= share })
	slices.SortStableFunc(over, func(a, b consensus.NodeID) int { return p.leaders[b] - p.leaders[a] })
	for _, from := range over {
		if p.unload(from, share) {
			return
		}
	}
}

// unload moves one leadership from a node to the one with the fewest among the groups that can move. One that is where its requests come from stays
// there, while the node does not have far too many.
func (p *planner) unload(from consensus.NodeID, share int) bool {
	var best *Group
	var bestTo Replica
	for i := range p.s.Groups {
		g := &p.s.Groups[i]
		if !p.mayTransfer(g) || g.Status.Leader.Node != from {
			continue
		}
		to, ok := p.successor(g, nil)
		if ok && p.leaders[from] <= followEven*p.evenShare() && p.nearness(g, to.Node) < p.nearness(g, from) {
			continue
		}
		if ok && p.leaders[to.Node] < share-1 && (best == nil || p.leaders[to.Node] < p.leaders[bestTo.Node]) {
			best, bestTo = g, to
		}
	}
	if best == nil {
		return false
	}
	p.transfer(best, bestTo)
	return true
}

// planMap brings the partition map up to date where the groups' leaders report something else.
func (p *planner) planMap() {
	for i := range p.s.Groups {
		g := &p.s.Groups[i]
		if g.Status == nil || g.Founding != nil || len(g.Status.Outgoing) > 0 {
			continue
		}
		now := Place{Voters: sorted(nodesOf(g.Status.Voters)), Learners: sorted(nodesOf(g.Status.Learners)), Site: g.Site}
		if old := g.Published; old != nil && slices.Equal(now.Voters, sorted(old.Voters)) && slices.Equal(now.Learners, sorted(old.Learners)) {
			continue
		}
		p.begin(PublishGroup{Group: g.ID, Place: now})
	}
}

func sorted(ns []consensus.NodeID) []consensus.NodeID { return slices.Sorted(slices.Values(ns)) }
