package controller

import (
	"slices"

	"shoal/node/consensus"
)

const (
	// followMin is how many requests a leader must have counted (in 15 to 30 seconds) before its place depends on where they come from.
	followMin = 300
	// followEven is how many times its even share of leaderships a node may have because requests come from there.
	followEven = 2
)

// followCallers moves one leadership nearer to where requests come from. A leader on the node of the gateway is asked without a message, and one in
// its site without a round trip between sites, of which every write takes one less then.
func (p *planner) followCallers() {
	most := followEven * p.evenShare()
	for i := range p.s.Groups {
		g := &p.s.Groups[i]
		if !p.mayTransfer(g) || !p.settled {
			continue
		}
		best, near := Replica{}, p.nearness(g, g.Status.Leader.Node)
		for _, v := range p.successors(g, nil) {
			if n := p.nearness(g, v.Node); n > near && p.usable(v.Node) && p.leaders[v.Node] < most {
				best, near = v, n
			}
		}
		if best.Node != "" {
			p.transfer(g, best)
			return
		}
	}
}

// nearness says how near a node is to whoever sends most requests for a group: 2 when it does so itself, 1 in the same site, 0 elsewhere. All
// nodes are as near when few requests come, or not two thirds of them from one place.
func (p *planner) nearness(g *Group, n consensus.NodeID) int {
	var all, node, site uint64
	for _, c := range g.Status.Callers {
		all += c.Requests
		if c.Node == n {
			node += c.Requests
		}
		if p.siteOf(c.Node) == p.siteOf(n) {
			site += c.Requests
		}
	}
	most := func(part uint64) bool { return all >= followMin && 3*part >= 2*all }
	switch {
	case most(node):
		return 2
	case most(site):
		return 1
	}
	return 0
}

// successors are the voters that could lead a group now.
func (p *planner) successors(g *Group, not []Replica) []Replica {
	return slices.DeleteFunc(slices.Clone(g.Status.Voters), func(r Replica) bool {
		return r == g.Status.Leader || slices.Contains(not, r) || p.isBroken(g, r) || !p.caughtUp(g, r.Node, r.Replica)
	})
}

// mayTransfer says whether a group's leadership can be handed over for the sake of a better place.
func (p *planner) mayTransfer(g *Group) bool {
	return g.Status != nil && !p.working[g.ID] && len(g.Status.Outgoing) == 0 && !p.core.waiting(p.now, groupKey(g.ID))
}
