package controller

import (
	"cmp"
	"fmt"

	"shoal/node/consensus"
)

// found takes the next step towards the first replica of a group that is bound to a site. That waits for the site's placement, so that
// whoever finds the group finds places for shards too.
func (p *planner) found(g *Group) string {
	founder := g.Founding.Founder
	m := p.members[founder]
	switch {
	case p.working[g.ID]:
		return "a step of its founding is under way"
	case p.s.Placement.in(g.Site) == nil:
		return fmt.Sprintf("waits for a placement of the site %s", g.Site)
	case founder == "":
		n, ok := p.chooseFounder(g)
		if !ok {
			return fmt.Sprintf("waits for a node of the site %s", g.Site)
		}
		return p.step(FoundGroup{Group: g.ID, Founder: n, Step: NameFounder})
	case m == nil || m.Site != g.Site || m.State != Active || m.Liveness == Dead:
		return p.step(FoundGroup{Group: g.ID, Founder: founder, Step: AbandonFounding})
	case m.Liveness != Alive:
		return fmt.Sprintf("waits for %s, which is to create it", founder)
	}
	return p.step(FoundGroup{Group: g.ID, Founder: founder, Step: CreateFirst})
}

func (p *planner) step(a FoundGroup) string {
	if !p.begin(a) {
		return "waits for other actions, or after a failed step"
	}
	if a.Step == NameFounder {
		p.replicas[a.Founder]++
	}
	return a.String()
}

// chooseFounder names the node of the group's site with the fewest replicas.
func (p *planner) chooseFounder(g *Group) (consensus.NodeID, bool) {
	var free []consensus.NodeID
	for _, m := range p.nodes {
		if m.Site == g.Site && p.usable(m.Node) {
			free = append(free, m.Node)
		}
	}
	if len(free) == 0 {
		return "", false
	}
	return free[extreme(free, func(a, b consensus.NodeID) int {
		return -cmp.Or(cmp.Compare(p.replicas[a], p.replicas[b]), cmp.Compare(rank(g.ID, a), rank(g.ID, b)))
	})], true
}
